//! Lending, taking back, closing, resizing, trimming: once, for every free list.
//!
//! Its own floors, from the bottom up:
//!
//! | file | what it has |
//! |---|---|
//! | `config` | how a pool is made |
//! | `stock` | the buffers of a pool, which of them are free, and what is noted of each loan |
//! | `line` | where requests wait for them, and how they are served |
//! | `pool_core` | what all handles share: a stock, its line, and what keeps both alive |
//! | `trim` | giving memory back |
//! | `release` | taking buffers back, from guards |
//! | `handle` | a handle; making a pool, cloning, closing |
//! | `stats`, `refusal` | what a pool says, of itself and to who is refused |
//! | `acquire`, `many` | lending without waiting |
//! | `wait`, `more`, `resize` | waiting; lending past those who wait; changing the max |

pub(crate) mod config;

pub(crate) mod acquire;
pub(crate) mod handle;
pub(crate) mod line;
mod many;
mod more;
mod pool_core;
pub(crate) mod refusal;
mod release;
mod resize;
mod stats;
mod stock;
mod trim;
pub(crate) mod wait;
