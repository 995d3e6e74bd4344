//! The pools that users name.
#![forbid(unsafe_code)]

pub(crate) mod aligned;
pub(crate) mod buffer;
mod forward;
mod grow;
pub(crate) mod heap;
pub(crate) mod lock_free;
pub(crate) mod multi_size;
pub(crate) mod pool;
pub(crate) mod share;
