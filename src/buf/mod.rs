//! What holds bytes: the guard of one buffer, a chain of several, and memory of a user's own behind a guard.

pub(crate) mod chain;
mod equality;
pub(crate) mod guard;
pub(crate) mod recycler;
