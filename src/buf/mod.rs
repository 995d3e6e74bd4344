//! What holds bytes: the guard of one buffer, a chain of several, and memory of a user's own behind a guard.

pub(crate) mod chain;
pub(crate) mod guard;
pub(crate) mod recycler;
