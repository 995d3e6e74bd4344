//! Arbitrary operations on arbitrary pools, decoded from bytes. `one_thread` compares the pools with a model of them
//! after each operation: beside what the crate's `tests/model.rs` does, waiting in the order of arrival, in one or two
//! tiers, for one or for many, with a place in the line or without; budgets of several pools and tiers; changes of max,
//! trimming, closing of pools and of single tiers, handles that go before their guards, guards as `Bytes`, and guards
//! that are split in any order and reclaimed. `several_threads`, where guards are lent through shares too, has no
//! model; it checks what must be so whatever the others do. `chains` compares a chain with a queue of bytes. `frames`
//! cuts a stream anywhere, and compares the frames with those of the whole.
//!
//! `fuzz/` runs them on the bytes of a fuzzer; `tests/state_machine.rs` on random ones, and on those that the fuzzer
//! kept because they reach code that no other reaches; `examples/at_random.rs` on random ones for as long as one likes.

mod any_pool;
mod bell;
pub mod chains;
pub mod corpus;
pub mod frames;
mod held;
mod model;
pub mod one_thread;
mod operation;
mod own_memory;
mod request;
mod setup;
pub mod several_threads;

/// Whether what fails says nothing of what it did.
pub static QUIET: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);
