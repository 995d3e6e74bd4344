//! What the tools share: options on the command line, output, random numbers, and processes.
#![forbid(unsafe_code)]

pub mod descriptors;
pub mod numbers;
pub mod options;
pub mod output;
pub mod process;
pub mod random;
pub mod usage;
