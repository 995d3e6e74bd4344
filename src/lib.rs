#![doc = include_str!("../README.md")]
#![deny(missing_docs)]
#![cfg_attr(
    not(any(test, poolbuf_loom)),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic)
)]
#![cfg_attr(docsrs, feature(doc_cfg))]

// From the ground up: a file uses what stands above it in this list.
mod faults;
mod sync;

mod error;
mod holders;
mod stats;
mod wipe;

mod config;
mod core;
mod free_list;
mod memory;
mod pool;
mod pooled_buf;
mod pools;
mod recycler;
mod waiting;

pub mod guide;
mod integrations;

#[cfg(doctest)]
mod must_not_compile;

pub use config::PoolConfig;
pub use error::{AcquireError, CapacityError, ConfigError, ResizeError};
pub use holders::{HeldBy, Holder, Holders};
#[cfg(feature = "metrics")]
pub use integrations::metrics;
pub use memory::region::MemoryRegion;
pub use pool::Pool;
pub use pooled_buf::PooledBuf;
pub use pools::aligned::AlignedPool;
pub use pools::buffer::BufferPool;
pub use pools::lock_free::LockFreePool;
pub use pools::multi_size::{MultiSizeConfig, MultiSizePool, Overflow};
pub use recycler::{Recycle, Recycler};
pub use stats::{Health, PoolStats};
pub use waiting::acquire::Acquire;
pub use waiting::budget::Budget;
pub use wipe::{POISON, Wipe};
