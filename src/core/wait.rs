//! How a pool of equal buffers serves those who wait.
//!
//! *Nobody is overlooked.* Whoever begins to wait tells the free list (`start_waiting`) before he looks for a buffer
//! the last time. A release that he can't see then finds that somebody waits, and hands its buffer over. All of
//! this is under the lock of the queue, so that the free list knows that somebody waits whenever the queue
//! is not empty.
//!
//! *What is handed over* is still out, as the free list sees it: it was not pushed, and is not popped.

use std::ptr::NonNull;
use std::sync::Arc;
use std::task::{Poll, Waker};

use crate::core::{PoolCore, PoolHandle, Refusal, give_back};
use crate::free_list::{Empty, FreeList, Slot};
use crate::holders::Caller;
use crate::pooled_buf::PooledBuf;
use crate::sync::Ordering;
use crate::waiting::acquire::{Lender, Lent, Request, Turn};
use crate::waiting::budget::Granted;
use crate::waiting::queue::{Ending, Outcome, Queue, Ticket, discard, wake_all};

impl<F: FreeList> PoolCore<F> {
    /// Hands a buffer to the first who waits, and returns his waker. Afterwards the core may be gone. `None` if nobody
    /// waits, or nobody may have it, since more are out than the max; then the buffer is the caller's still.
    pub(super) fn hand_over(&self, slot: Slot) -> Option<Waker> {
        let mut queue = self.waiters.lock();
        // Asked under the lock: so who began to wait after the max was lowered is handed nothing by who looked before.
        if self.was_shrunk.load(Ordering::Relaxed) && !self.free_list.may_lend_onward() {
            return None;
        }
        let waker = queue.hand(slot).ok()?;
        self.stop_waiting_if_empty(&queue);
        Some(waker)
    }

    /// Hands over what has become free without a release.
    pub(super) fn serve_waiters(&self) {
        let mut wakers = Vec::new();
        let mut queue = self.waiters.lock();
        while !queue.is_empty() {
            let Ok(slot) = self.free_list.pop() else {
                break;
            };
            // Taken from the free list, and handed over too.
            self.count_not_lent();
            wakers.extend(queue.hand(slot));
        }
        self.stop_waiting_if_empty(&queue);
        drop(queue);
        wake_all(wakers);
    }

    pub(super) fn stop_waiting_if_empty(&self, queue: &Queue<(), Slot>) {
        if queue.is_empty() && self.wanted.load(Ordering::Relaxed) {
            self.wanted.store(false, Ordering::Relaxed);
            self.free_list.stop_waiting();
        }
    }

    /// Takes a free buffer. While others wait there is none: that takes no lock to see.
    pub(super) fn pop(&self) -> Result<Slot, Empty> {
        if self.wanted.load(Ordering::Relaxed) {
            return Err(Empty::AllInUse(self.max.load(Ordering::Relaxed)));
        }
        self.free_list.pop()
    }

    /// Takes a free buffer, or joins the queue.
    fn pop_or_join(&self, request: &Request<'_>) -> Result<Turned, Empty> {
        if let Some(slot) = self.free_list.pop_at_hand() {
            return Ok(Turned::Served(slot));
        }
        match self.pop() {
            Err(Empty::AllInUse(_)) => {}
            result => return result.map(Turned::Served),
        }
        // Before the lock: a user's code.
        let waker = request.waker.clone();
        let mut queue = self.waiters.lock();
        if queue.is_closed() {
            drop(queue);
            return Err(Empty::Closed);
        }
        if queue.is_empty() {
            self.free_list.start_waiting();
            match self.free_list.pop() {
                Err(Empty::AllInUse(_)) => self.wanted.store(true, Ordering::Relaxed),
                result => {
                    self.free_list.stop_waiting();
                    drop(queue);
                    return result.map(Turned::Served);
                }
            }
        }
        Ok(Turned::Queued(queue.join((), waker, request.counted)))
    }
}

/// Gives a buffer back that has become no guard, if it is dropped.
struct GiveBack<F: FreeList>(NonNull<PoolCore<F>>, Slot);

impl<F: FreeList> Drop for GiveBack<F> {
    fn drop(&mut self) {
        // SAFETY: popped, or handed over by whoever had it last; who makes this has no other use for it.
        unsafe {
            self.0.as_ref().count_not_lent();
            give_back(self.0, self.1);
        }
    }
}

enum Turned {
    Served(Slot),
    Queued(Ticket),
}

impl<F: FreeList> Lender for PoolHandle<F> {
    fn name(&self) -> &Arc<str> {
        PoolHandle::name(self)
    }

    fn poll_turn(&self, turn: &mut Turn, request: &Request<'_>) -> Poll<Lent> {
        let core = self.core();
        let slot = match turn {
            Turn::New => match core.pop_or_join(request) {
                Ok(Turned::Served(slot)) => slot,
                Ok(Turned::Queued(ticket)) => {
                    *turn = Turn::ForBuffer(ticket);
                    return Poll::Pending;
                }
                Err(empty) => return Poll::Ready(Err(self.refuse(Refusal::Empty(empty)))),
            },
            Turn::ForBuffer(ticket) => match core.waiters.check(ticket, request.waker) {
                Outcome::Waiting => return Poll::Pending,
                Outcome::Handed(slot) => slot,
                Outcome::Closed => {
                    *turn = Turn::New;
                    return Poll::Ready(Err(self.closed()));
                }
            },
            Turn::ForBytes(slot, ticket) => {
                let slot = *slot;
                let granted = match &core.budget {
                    Some(budget) => budget.check(ticket, request.waker),
                    None => Outcome::Closed,
                };
                match granted {
                    Outcome::Waiting => return Poll::Pending,
                    Outcome::Handed(()) => {
                        *turn = Turn::New;
                        // SAFETY: popped, or handed over by whoever had it last; and charged.
                        return Poll::Ready(Ok(unsafe { self.lend_to(slot, request.caller) }));
                    }
                    Outcome::Closed => {
                        *turn = Turn::New;
                        core.count_not_lent();
                        // SAFETY: it was popped, or handed over, and has become no guard.
                        unsafe { give_back(self.core, slot) };
                        return Poll::Ready(Err(self.closed()));
                    }
                }
            }
        };
        *turn = Turn::New;
        if let Some(budget) = &core.budget {
            let back = GiveBack(self.core, slot);
            // Clones the waker: a user's code, which may panic.
            let joined = budget.charge_or_join(core.buffer_size, self.id(), request.waker);
            std::mem::forget(back);
            if let Granted::Queued(ticket) = joined {
                *turn = Turn::ForBytes(slot, ticket);
                // Who closes the pool looks at the budget's queue after he has closed the pool's own. So either he
                // finds this request there, or it finds the pool closed.
                if core.waiters.lock().is_closed() {
                    drop(self.leave(turn, request, Ending::Left));
                    return Poll::Ready(Err(self.closed()));
                }
                return Poll::Pending;
            }
        }
        // SAFETY: just popped, or handed over by whoever had it last.
        Poll::Ready(Ok(unsafe { self.lend_to(slot, request.caller) }))
    }

    fn leave(&self, turn: &mut Turn, request: &Request<'_>, ending: Ending) -> Option<PooledBuf> {
        let core = self.core();
        match std::mem::take(turn) {
            Turn::New => None,
            Turn::ForBuffer(ticket) => {
                let mut queue = core.waiters.lock();
                let (outcome, waker, wait) = queue.leave(&ticket, ending);
                core.stop_waiting_if_empty(&queue);
                drop(queue);
                core.waiters.add(wait);
                discard(waker);
                let Outcome::Handed(slot) = outcome else {
                    return None;
                };
                let charged = match &core.budget {
                    Some(budget) => budget.charge(core.buffer_size).is_ok(),
                    None => true,
                };
                // Who is late counts as served.
                if !charged && ending == Ending::TimedOut {
                    core.count_not_lent();
                }
                // SAFETY: handed over by whoever had it last, and charged if need be.
                unsafe { self.lend_or_give_back(slot, charged, request.caller) }
            }
            Turn::ForBytes(slot, ticket) => {
                let budget = core.budget.as_ref();
                let charged = budget.is_some_and(|budget| budget.leave(&ticket, ending));
                // Only who is late still wants it.
                if !charged || ending != Ending::TimedOut {
                    core.count_not_lent();
                }
                // SAFETY: popped, or handed over by whoever had it last.
                unsafe { self.lend_or_give_back(slot, charged, request.caller) }
            }
        }
    }
}

impl<F: FreeList> PoolHandle<F> {
    /// The guard of a buffer, which is then tracked.
    ///
    /// # Safety
    ///
    /// As for `lend`.
    unsafe fn lend_to(&self, slot: Slot, caller: Caller) -> PooledBuf {
        self.core().track(slot, caller);
        // SAFETY: passed on.
        unsafe { self.lend(slot) }
    }

    /// # Safety
    ///
    /// As for `lend`.
    unsafe fn lend_or_give_back(
        &self,
        slot: Slot,
        charged: bool,
        caller: Caller,
    ) -> Option<PooledBuf> {
        // SAFETY: passed on, once.
        unsafe {
            if charged {
                return Some(self.lend_to(slot, caller));
            }
            give_back(self.core, slot);
        }
        None
    }
}
