//! What everything else stands on: std, loom or shuttle; faults that tests inject; numbers with their units; how bytes
//! are wiped.
#![forbid(unsafe_code)]

pub(crate) mod faults;
pub(crate) mod sync;
pub(crate) mod units;
pub(crate) mod wipe;
