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
//! | lowest bit of a budget's word | the budget, under the lock of its own queue | whatever charges or gives back bytes | it is in the same word as the bytes, so a read is never stale |

pub(crate) mod acquire;
pub(crate) mod budget;
pub(crate) mod parcel;
pub(crate) mod queue;
mod thread_waker;
pub(crate) mod unlent_slot;
pub(crate) mod waker;
pub(crate) mod within;
