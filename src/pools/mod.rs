//! The pools that users name.

pub(crate) mod aligned;
pub(crate) mod buffer;
mod forward;
pub(crate) mod lock_free;
pub(crate) mod multi_size;
