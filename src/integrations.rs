//! One file for each crate that is integrated, named after it and its version.

#[cfg(feature = "compio-buf-08")]
mod compio_buf_08;
