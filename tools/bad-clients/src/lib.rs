//! Bad clients, and whether two of the examples' servers withstand them.
//!
//! Where to read first: `attacks/strategy.rs` says what the clients do, `inputs/corpus.rs` what they send, and
//! `checks.rs` what must hold of a server when they have gone. The servers are the examples `game_server` and
//! `tokio_server`, each in a process of its own; `servers.rs` says how they are started, `target.rs` how they are
//! looked at.
#![forbid(unsafe_code)]
// What is public is so for `main.rs` and the tests alone.
#![allow(
    missing_docs,
    clippy::missing_errors_doc,
    clippy::missing_panics_doc,
    clippy::must_use_candidate
)]

mod attacks;
pub mod checks;
pub mod faults;
pub mod figures;
pub mod good_player;
pub mod inputs;
pub mod options;
pub mod program;
mod report;
pub mod servers;
mod siege;
pub mod tally;
pub mod target;

pub use attacks::strategy::Strategy;
pub use report::Report;
