//! One file for each crate that is integrated, named after it and, where that changes often, its version.

#[cfg(feature = "bytes")]
mod bytes;
#[cfg(feature = "compio-buf-08")]
mod compio_buf_08;
#[cfg(feature = "metrics")]
pub mod metrics;
