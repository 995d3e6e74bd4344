//! What waits, for what, and how it is woken.
//!
//! *A request holds nothing until it has everything.* One that finds too little joins the [`queue`] of its pool, and
//! has a place there, nothing else. What comes back goes to the free list as ever; when it completes what the first
//! request wants, all of that is taken in one step, and the request is granted it. Meanwhile what is free is owed to
//! it.
//!
//! Several words say that requests wait, where looking at the queue would cost a lock:
//!
//! | what | changes under the lock of | is read without that lock by | and may be stale, since |
//! |---|---|---|---|
//! | the [`Demand`](crate::free_list::Demand) of a free list | the line, and the list held | `pop`: refuses | it is set after a look that could not serve the first, in the same hold of the list |
//! | | | `push`: tells the one that completes what is wanted | it is read while the list is locked |
//! | gates of magazines: shut | the pool's registry | their owners | see [`magazines`](crate::free_list::magazines) |
//! | lowest bit of a budget's word | the budget's queue | whatever charges or gives back bytes | it is in the same word as the bytes, so it never is |
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
