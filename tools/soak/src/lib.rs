//! A soak: threads that do everything that can be done with every pool, at random and all at once, and check what must
//! hold.
//!
//! Where to read first: `worker.rs` is what a thread does, `held.rs` and `ledger.rs` are what is checked while all
//! threads do it, `balance.rs` what is checked when they have come to rest. A check that fails is a panic.
// But for `panicking_waker.rs`.
#![deny(unsafe_code)]
// What is public is so for `main.rs` and the tests alone.
#![allow(
    missing_docs,
    clippy::missing_errors_doc,
    clippy::missing_panics_doc,
    clippy::must_use_candidate
)]

mod actions;
mod any_pool;
mod balance;
mod ending;
mod gate;
mod held;
mod ledger;
mod memory;
pub mod options;
#[allow(unsafe_code)]
mod panicking_waker;
mod pools;
pub mod program;
mod recycled;
mod requests;
mod resizing;
mod shelf;
pub mod stamp;

mod watchdog;
mod worker;
