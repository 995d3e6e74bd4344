//! A server with up to 10,000 players, by how its connections come by their buffers.
//!
//! Where to read first: `servers/tokio.rs` and `servers/compio.rs` are the four ways on each runtime, `pooled` the one
//! to take. The rest is what it takes to measure them.
#![forbid(unsafe_code)]
// What is public is so for `main.rs` and the tests alone.
#![allow(
    missing_docs,
    clippy::missing_errors_doc,
    clippy::missing_panics_doc,
    clippy::must_use_candidate
)]

pub mod cores;
pub mod figures;
pub mod measure;
pub mod options;
pub mod page;
pub mod players;
pub mod program;
pub mod report;
pub mod results;
pub mod servers;
pub mod strategy;
pub mod targets;
