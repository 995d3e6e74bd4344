//! What waits, for what, and how it is woken.
//!
//! A request that finds no buffer joins the [`queue`] of its pool. What is released then is handed to the request that
//! came first, and never reaches the free list. Several flags say that requests wait; all are stale copies of one fact,
//! whether a queue is empty, in places where looking at the queue would cost a lock:
//!
//! | flag | what changes it, under which lock | what reads it without that lock | what corrects a stale value |
//! |---|---|---|---|
//! | [`Demand`](crate::free_list::Demand) of a free list, one for each pool | the core, under the lock of the pool's queue | `acquire`: refused at once while requests wait | it is set after the last look has found no buffer, so it is never set while one is free; read as unset, the free list is asked, and finds none |
//! | | | `release`: straight to the queue while requests wait | the queue is asked under its lock; if none waits, the buffer goes to the free list |
//! | | | a `push` of the free list itself: fails while requests wait or are about to | it is read under the depot's lock, or after a head that was marked when it was set; so a push either comes before the last look of the request that joins, or sees the flag |
//! | gates of magazines: shut | a revoker, under the lock of the pool's registry | their owners | see [`hand`](crate::free_list::magazines) |
//! | [`Claim`](queue::Claim) of a request in the queues of two tiers | the queue that serves it first, under its own lock | the other queue, under another lock | read as unset, that queue collects for it, or sets it and finds that it was set: it serves the next then. What it has collected is given back when it passes the request over, or the request leaves |
//! | lowest bit of a budget's word | the budget, under the lock of its own queue | whatever charges or gives back bytes | it is in the same word as the bytes, so a read is never stale |
//!
//! A request for many adds no flag. What the first one has collected is out, as if it were lent, so that still no buffer
//! is free while a queue is not empty. Two things are looked at once more under the lock of the queue, since they change
//! without it: the max, when a request for more than it joins (what lowers the max then refuses those that are in the
//! queue); and whether the other tier has served the request, when the last buffer that it lacks comes.

pub(crate) mod acquire;
pub(crate) mod acquire_chain;
pub(crate) mod budget;
pub(crate) mod parcel;
pub(crate) mod queue;
mod thread_waker;
pub(crate) mod unlent_slot;
pub(crate) mod waker;
pub(crate) mod within;
