#![doc = include_str!("../README.md")]
#![deny(missing_docs)]
#![cfg_attr(
    not(any(test, loom)),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic)
)]
#![cfg_attr(docsrs, feature(doc_cfg))]

// Floor 0: plain.
mod barrier;
mod budget;
mod config;
mod decay;
mod error;
mod faults;
mod history;
mod pages;
mod stats;
mod sync;
mod tagged_index;
mod waiters;
mod wipe;

// Floor 1: mechanisms.
mod free_list;
mod holders;
mod region;

// Floor 2: the core.
mod acquire;
mod pool;
mod pool_core;
mod pooled_buf;
mod public_pool;
mod recycler;

// Floor 3: public pools.
mod aligned_pool;
mod buffer_pool;
mod lock_free_pool;
mod multi_size_pool;

// Floor 4.
pub mod guide;
mod integrations;

#[cfg(doctest)]
mod must_not_compile;

pub use acquire::Acquire;
pub use aligned_pool::AlignedPool;
pub use budget::Budget;
pub use buffer_pool::BufferPool;
pub use config::PoolConfig;
pub use error::{AcquireError, CapacityError, ConfigError, HeldBy, ResizeError};
pub use history::{Advice, Finding, History};
pub use holders::{Holder, Holders};
#[cfg(feature = "metrics")]
pub use integrations::metrics;
pub use lock_free_pool::LockFreePool;
pub use multi_size_pool::{MultiSizeConfig, MultiSizePool, Overflow};
pub use pool::Pool;
pub use pooled_buf::PooledBuf;
pub use recycler::{Recycle, Recycler};
pub use region::MemoryRegion;
pub use stats::{Health, PoolStats};
pub use wipe::{POISON, Wipe};
