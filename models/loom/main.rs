//! loom models of the public pools: every schedule of two or three threads (three: up to a bound on preemptions) is
//! run, and memory orderings are checked as the C11 model has them.
//!
//! What makes a model fail, beside its own assertions: each pool keeps a cell for each buffer that its holder
//! reads and writes, and loom reports two accesses that nothing orders, so a buffer lent twice or handed on
//! without a happens-before edge is seen even where the bytes happen to be right; and a pool that is never
//! freed is reported as a leak.
//!
//! Plain `cargo test` at the top runs them, optimised: this package is one of the workspace's default members, and
//! its build script turns the crate's own loom types on. `cargo test -p poolbuf-loom-models -- --show-output` also says
//! how many schedules each model ran. The conventional command works too, and checks the same, with all of loom and of
//! the crate as a release has them:
//!
//!     RUSTFLAGS="--cfg poolbuf_loom" cargo test --release -p poolbuf-loom-models --target-dir target/loom

extern crate poolbuf_loom as poolbuf;

mod budget;
mod closing;
mod explore;
mod freezing;
mod growing;
mod ledger;
mod lending;
mod lock_free;
mod magazines;
mod many;
mod pools;
mod requests;
mod resizing;
mod share;
mod splitting;
mod tiers;
mod trimming;
mod waiting;
