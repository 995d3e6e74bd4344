//! Buffer pools for servers.
//!
//! A pool lends buffers out of a bounded set, instead of asking the allocator for each: memory has a limit that
//! you choose, and a pool with nothing left says so at once, or lets the request wait its turn. What it lends is a
//! [`PooledBuf`]: owned, without a lifetime or a type parameter, empty at first, back in its pool when it is dropped,
//! on whatever thread.
//!
//! ```
//! use poolbuf::{AcquireError, BufferPool, Pool};
//!
//! let pool = BufferPool::new(8192, 16, 256)?; // 8 KiB each; 16 at first, 256 at most
//! let mut socket: &[u8] = b"hello"; // anything that implements `std::io::Read`
//!
//! let mut buf = pool.acquire()?;
//! buf.read_from(&mut socket)?;
//! assert_eq!(&buf[..], b"hello");
//!
//! let rest: Vec<_> = (1..256).map(|_| pool.acquire()).collect::<Result<_, _>>()?;
//! let refused = pool.acquire().unwrap_err();
//! assert!(matches!(refused, AcquireError::Exhausted { in_use: 256, max: 256, .. }));
//!
//! drop((buf, rest));
//! assert_eq!(pool.stats().in_use, 0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Where to find what
//!
//! | for | see |
//! |---|---|
//! | pools | [`BufferPool`], the one to begin with; [`MultiSizePool`], [`AlignedPool`], [`LockFreePool`] |
//! | their settings | [`PoolConfig`], [`MultiSizeConfig`] |
//! | what all pools can do | [`Pool`], object-safe; [`Recycler`] lends memory of your own through it |
//! | the guard | [`PooledBuf`]; [`Wipe`] says what becomes of its bytes |
//! | messages that are larger than a buffer | [`PooledChain`], by [`Pool::acquire_chain`], or [growing](PooledChain::try_grow) as bytes come |
//! | waiting | [`Pool::acquire_timeout`] parks the thread, [`Pool::acquire_async`] is a future, [`Acquire::into_owned`] makes it one to keep; [`Pool::acquire_many`] takes several at once |
//! | a limit for several pools | [`Budget`] |
//! | a limit for each client | [`Share`]; [`Heap`] for what spills; the guide's page on [bad clients](guide::bad_clients) |
//! | a stream as frames | [`frames`] |
//! | statistics | [`PoolStats`], and its advice, [`Health`]; [`BudgetStats`]; [`Holders`] names the lines that hold buffers |
//! | errors | [`AcquireError`], [`CapacityError`], [`ConfigError`] with [`ConfigProblem`], [`ResizeError`], [`SplitError`] |
//! | memory | [`MemoryRegion`], for registering all buffers with the kernel |
//! | more | the [`guide`]: [sizing](guide::sizing), [waiting](guide::waiting), [how it works](guide::how_it_works), … |
//!
//! # Features
//!
//! None is on by default.
//!
//! | feature | what it adds |
//! |---|---|
//! | `bytes` | a [`PooledBuf`] or [`PooledChain`] is a `Buf` and a `BufMut`, and becomes `Bytes` without a copy |
//! | `compio-buf-08` | a [`PooledBuf`] goes into the reads and writes of compio 0.19 |
//! | `metrics` | publishes the figures of pools for Prometheus and others |
//! | `zeroize` | `Wipe::Secure`: wiping that the compiler may not leave out |
#![deny(missing_docs)]
#![cfg_attr(
    not(any(test, poolbuf_loom)),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic)
)]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(not(target_has_atomic = "64"))]
compile_error!("poolbuf needs a processor with 64-bit atomic operations, which this target lacks");

// From the ground up: a file uses what stands on floors above its own in this list, or beside it on its own.
mod base;

mod memory;

mod free_list;

mod report;

mod buf;

mod waiting;

mod engine;

mod pools;

mod integrations;

pub mod frames;

pub mod guide;

#[cfg(doctest)]
mod must_not_compile;

/// The README's examples run with the tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

pub use base::wipe::{POISON, Wipe};
pub use buf::chain::PooledChain;
pub use buf::chain::into_buffers::IntoBuffers;
pub use buf::guard::PooledBuf;
pub use buf::guard::datagrams::TrustedRecv;
pub use buf::guard::trusted_read::TrustedRead;
pub use buf::recycler::{Recycle, Recycler};
pub use engine::config::PoolConfig;
#[cfg(feature = "metrics")]
pub use integrations::metrics;
pub use memory::region::MemoryRegion;
pub use pools::aligned::AlignedPool;
pub use pools::buffer::BufferPool;
pub use pools::heap::Heap;
pub use pools::lock_free::LockFreePool;
pub use pools::multi_size::{MultiSizeConfig, MultiSizePool, Overflow};
pub use pools::pool::Pool;
pub use pools::share::Share;
pub use report::budget_stats::BudgetStats;
pub use report::error::acquire::AcquireError;
pub use report::error::capacity::CapacityError;
pub use report::error::config::{ConfigError, ConfigProblem};
pub use report::error::resize::ResizeError;
pub use report::error::split::SplitError;
pub use report::health::Health;
pub use report::holders::{HeldBy, Holder, Holders};
pub use report::name::Name;
pub use report::stats::PoolStats;
pub use waiting::acquire::Acquire;
pub use waiting::budget::Budget;
pub use waiting::loan::Lent;
pub use waiting::within::Within;
