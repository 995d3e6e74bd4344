//! What waits, for what, and how it is woken.
//!
//! *A request holds nothing until it has everything.* One that finds too little joins the [`queue`] of its pool, and
//! has a place there, nothing else. What comes back goes to the free list as ever; when it completes what the first
//! request wants, all of that is taken in one step, and the request is granted it. Meanwhile what is free is owed to
//! it.
//!
//! Several words say that requests wait, where looking at the queue would cost a lock:
//!
//! | word | changed under | read without | stale |
//! |---|---|---|---|
//! | [`Demand`](crate::free_list::Demand) of a free list | line, and list held | by `pop` | may be: *a* |
//! | the same | the same | by `push`, under the list's lock | never |
//! | gate of a magazine, shut | registry | by its owner | may be: *b* |
//! | lowest bit of a budget's word | queue of the budget | by who charges or refunds | never: *c* |
//!
//! *a*: it is set in the hold of the list in which a look could not serve the first. *b*: see
//! [`magazines`](crate::free_list::magazines). *c*: it is in one word with the bytes.
//!
//! *Which lock comes first:* line, registry of magazines, free list, queue of a budget. Never two lines, and no line
//! under a budget: what a budget has bytes for is looked at [after](after) all have been let go.
#![forbid(unsafe_code)]

pub(crate) mod acquire;
pub(crate) mod after;
pub(crate) mod budget;
pub(crate) mod charge;
pub(crate) mod counts;
pub(crate) mod loan;
pub(crate) mod places;
pub(crate) mod queue;
mod thread_waker;
pub(crate) mod waker;
pub(crate) mod within;
