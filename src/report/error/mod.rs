//! What can go wrong, each with the numbers that say why. Nothing is lost by an error: the pool, the
//! guard and its bytes are as they were.
//!
//! A message is whole, since most logs have it alone: what an error carries is said in its own message, and so is not
//! its `source`, as std asks ("either or, but not both"). So a reporter that prints all sources says nothing twice.
#![forbid(unsafe_code)]

pub(crate) mod acquire;
pub(crate) mod capacity;
pub(crate) mod config;
pub(crate) mod resize;
pub(crate) mod split;
