//! Who waits, for what, and how it is woken.

pub(crate) mod acquire;
pub(crate) mod budget;
pub(crate) mod queue;
