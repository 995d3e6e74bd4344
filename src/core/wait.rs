//! How a pool of equal buffers serves requests that wait.
//!
//! *None is overlooked.* A request that begins to wait tells the free list (`start_waiting`) before it looks for a
//! buffer the last time. A release that it can't see then finds that a request waits, and hands its buffer over. All of
//! this is under the lock of the queue, so that the free list knows that requests wait whenever the queue
//! is not empty.
//!
//! An example. The only buffer is lent, and request R joins while thread T releases.
//!
//! 1. R locks the queue, which is empty, and calls `start_waiting`: the demand is `Joining`.
//! 2. R pops once more. If T's push came before step 1, the buffer is there: R takes it, and `stop_waiting` follows. If
//!    not, R confirms the demand, enters the queue and unlocks it.
//! 3. T's push, which comes after step 1, fails: the buffer is wanted. T locks the queue, which it gets when R is in it,
//!    or has been served in step 2 and left it empty. In the first case T hands its buffer to R; in the second there is
//!    no demand any more, and T pushes again.
//!
//! *What is handed over* is still out, as the free list sees it: it was not pushed, and is not popped.

use std::ptr::NonNull;
use std::sync::Arc;
use std::task::Poll;

use crate::core::release::return_slot;
use crate::core::{PoolCore, PoolHandle, Refusal};
use crate::error::AcquireError;
use crate::free_list::{Demand, Empty, FreeList, Slot};
use crate::holders::Caller;
use crate::pooled_buf::PooledBuf;
use crate::sync::Ordering;
use crate::waiting::acquire::{Acquire, Left, Lender, LenderRef, Lent, Progress, Request};
use crate::waiting::budget::{Budget, Granted};
use crate::waiting::queue::{Claim, Ending, Outcome, Queue, Ticket, Wait};
use crate::waiting::unlent_slot::UnlentSlot;
use crate::waiting::waker::{UserWaker, wake_all};

impl<F: FreeList> PoolCore<F> {
    /// Whether requests wait, or did a moment ago.
    pub(super) fn has_waiters(&self) -> bool {
        self.free_list.demand() == Demand::Waiting
    }

    /// Hands a buffer to the first request that waits, and returns its waker. The buffer again if none waits, or none
    /// may have it, since more are out than the max.
    ///
    /// # Safety
    ///
    /// `slot` is that of a buffer that is out of `this` pool and has no guard. If it is handed over, the core may be gone
    /// afterwards.
    pub(super) unsafe fn hand_over(this: NonNull<Self>, slot: Slot) -> Result<UserWaker, Slot> {
        // SAFETY: the core is alive because the buffer is out, until the lock has been let go.
        let core = unsafe { this.as_ref() };
        let mut queue = core.waiters.lock();
        // Asked under the lock: a request that began to wait after the max was lowered is handed nothing by a release
        // that looked before.
        if !core.free_list.may_lend_again() {
            return Err(slot);
        }
        let handed = match queue.next() {
            // SAFETY: passed on.
            Some(next) => Ok(next.hand(|caller| unsafe { Self::hand(this, slot, caller) })),
            None => Err(slot),
        };
        core.stop_waiting_if_empty(&queue);
        handed
    }

    /// A buffer that is on its way to `caller`, and is tracked as its from now on: if the request is never polled, it
    /// is what holds the buffer.
    ///
    /// # Safety
    ///
    /// As for `hand_over`.
    unsafe fn hand(this: NonNull<Self>, slot: Slot, caller: Caller) -> UnlentSlot {
        // SAFETY: the core is alive because the buffer is out. The header lies at its start.
        unsafe {
            this.as_ref().track(&slot, caller);
            UnlentSlot::new(this.cast(), slot)
        }
    }

    pub(super) fn stop_waiting_if_empty(&self, queue: &Queue<Caller, UnlentSlot>) {
        if queue.is_empty() && self.free_list.demand() != Demand::None {
            self.free_list.stop_waiting();
        }
    }
}

/// What came of a first attempt.
enum Tried {
    /// Charged, if need be.
    Popped(Slot),
    /// Not charged.
    Taken(UnlentSlot),
    Queued(Ticket),
}

impl<F: FreeList> PoolHandle<F> {
    /// Hands over what has become free without a release.
    pub(super) fn serve_waiters(&self) {
        let core = self.core();
        let mut wakers = Vec::new();
        let mut queue = core.waiters.lock();
        let mut left_over = None;
        while !queue.is_empty() {
            let Ok(slot) = core.take() else {
                break;
            };
            let Some(next) = queue.next() else {
                // All have been served by other queues.
                left_over = Some(slot);
                break;
            };
            // SAFETY: just taken.
            wakers.push(next.hand(|caller| unsafe { PoolCore::hand(self.core, slot, caller) }));
        }
        core.stop_waiting_if_empty(&queue);
        drop(queue);
        if let Some(slot) = left_over {
            // SAFETY: just taken.
            wakers.extend(unsafe { return_slot(self.core, slot) });
        }
        wake_all(wakers);
    }

    /// Takes a buffer for a request that is to be charged for it.
    fn take_for(&self, request: &Request<'_>) -> Result<UnlentSlot, Empty> {
        let slot = self.core().take()?;
        // SAFETY: just taken.
        Ok(unsafe { PoolCore::hand(self.core, slot, request.caller) })
    }

    /// Whether a request for `len` bytes may wait here.
    pub(crate) fn may_wait(&self, len: usize) -> Result<(), AcquireError> {
        if len > self.buffer_size() {
            return Err(self.too_large(len));
        }
        if !self.core().waiting {
            return Err(AcquireError::WaitingOff {
                pool: Arc::clone(self.name()),
            });
        }
        Ok(())
    }

    /// This pool, to be kept: another handle of it.
    pub(crate) fn to_owned_lender(&self) -> LenderRef<'static> {
        LenderRef::Owned(Box::new(self.clone()))
    }

    /// A request to `lender`, which is this pool, if it may wait.
    #[track_caller]
    pub(crate) fn request<'a>(&self, len: usize, lender: LenderRef<'a>) -> Acquire<'a> {
        match self.may_wait(len) {
            Ok(()) => Acquire::new(lender, None),
            Err(error) => Acquire::ready(Err(error)),
        }
    }

    /// Takes a free buffer, or joins the queue.
    fn try_or_join(&self, request: &Request<'_>) -> Result<Tried, Empty> {
        let core = self.core();
        match self.try_pop(request.caller) {
            Ok(slot) => return Ok(Tried::Popped(slot)),
            Err(Refusal::Empty(Empty::Closed)) => return Err(Empty::Closed),
            Err(Refusal::Empty(Empty::AllInUse(_))) => {}
            // It waits for the bytes with its buffer in hand.
            Err(Refusal::OverBudget(_)) if !core.has_waiters() => match self.take_for(request) {
                Err(Empty::AllInUse(_)) => {}
                result => return result.map(Tried::Taken),
            },
            Err(Refusal::OverBudget(_)) => {}
        }
        // Before the lock: a user's code.
        let waker = UserWaker::clone_of(request.waker);
        let claim = request
            .claim
            .map(|claim| claim.get_or_init(Claim::new).clone());
        let mut queue = core.waiters.lock();
        if queue.is_closed() {
            drop(queue);
            return Err(Empty::Closed);
        }
        if queue.is_empty() {
            core.free_list.start_waiting();
            match self.take_for(request) {
                Err(Empty::AllInUse(_)) => core.free_list.confirm_waiting(),
                result => {
                    core.free_list.stop_waiting();
                    drop(queue);
                    return result.map(Tried::Taken);
                }
            }
        }
        Ok(Tried::Queued(queue.join(
            request.caller,
            waker,
            claim,
            request.counted,
        )))
    }

    /// The guard of a buffer that is charged if need be, for a request that `waited`, or did not.
    fn lend_unlent(&self, unlent: UnlentSlot, waited: Option<Wait>) -> PooledBuf {
        match waited {
            Some(wait) => self.count_wait(Ending::Served, wait),
            // It was taken, and is lent after all.
            None => {
                self.core().not_lent.fetch_sub(1, Ordering::Relaxed);
            }
        }
        // SAFETY: it was taken or handed over, and tracked then.
        unsafe { self.lend(unlent.into_slot()) }
    }

    /// Charges the budget for a buffer, if there is one, and lends it; or waits for the bytes.
    fn charge_and_lend(
        &self,
        unlent: UnlentSlot,
        waited: Option<Wait>,
        progress: &mut Progress,
        request: &Request<'_>,
    ) -> Poll<Lent> {
        let core = self.core();
        let unlent = match &core.budget {
            None => unlent,
            Some(budget) => {
                let bytes = core.buffer_size();
                match budget.charge_or_join(bytes, self.id(), unlent, request.waker) {
                    Granted::Now(unlent) => unlent,
                    Granted::Queued(reservation) => {
                        // What closes the pool looks at the budget's queue after it has closed the pool's own. So
                        // either it finds this request there, or this finds the pool closed.
                        core.waits.add_time(waited.and_then(|wait| wait.clock));
                        if core.waiters.lock().is_closed() {
                            let (_, wait) = reservation.leave(false);
                            if waited.is_none() {
                                return self.closed_meanwhile(request, wait);
                            }
                            self.count_wait(Ending::Closed, wait);
                            return Poll::Ready(Err(self.closed()));
                        }
                        core.waiting_for_bytes.fetch_add(1, Ordering::Relaxed);
                        *progress = Progress::ForBytes(reservation);
                        return Poll::Pending;
                    }
                }
            }
        };
        Poll::Ready(Ok(self.lend_unlent(unlent, waited)))
    }

    /// The request waits for bytes no more.
    fn no_longer_for_bytes(&self, progress: &mut Progress) {
        *progress = Progress::New;
        let waiting = &self.core().waiting_for_bytes;
        waiting.fetch_sub(1, Ordering::Relaxed);
    }

    /// Counts a wait that ended since the pool was closed, unless the request goes on waiting for another.
    fn closed_meanwhile(&self, request: &Request<'_>, wait: Wait) -> Poll<Lent> {
        if request.claim.is_none() {
            self.count_wait(Ending::Closed, wait);
        }
        Poll::Ready(Err(self.closed()))
    }
}

impl<F: FreeList> Lender for PoolHandle<F> {
    fn name(&self) -> &Arc<str> {
        PoolHandle::name(self)
    }

    fn poll_acquire(&self, progress: &mut Progress, request: &Request<'_>) -> Poll<Lent> {
        let core = self.core();
        // A user's waker may panic in `check`; the request is where it was then.
        match progress {
            Progress::New => match self.try_or_join(request) {
                // SAFETY: just popped.
                Ok(Tried::Popped(slot)) => Poll::Ready(Ok(unsafe { self.lend(slot) })),
                Ok(Tried::Taken(unlent)) => self.charge_and_lend(unlent, None, progress, request),
                Ok(Tried::Queued(ticket)) => {
                    *progress = Progress::InQueue(ticket);
                    Poll::Pending
                }
                Err(empty) => Poll::Ready(Err(self.refuse(Refusal::Empty(empty)))),
            },
            Progress::InQueue(ticket) => match core.waiters.check(ticket, request.waker) {
                Outcome::Waiting => Poll::Pending,
                Outcome::Handed(unlent, clock) => {
                    *progress = Progress::Lost;
                    self.charge_and_lend(unlent, Some(Wait::for_buffer(clock)), progress, request)
                }
                Outcome::Closed(clock) => {
                    *progress = Progress::New;
                    self.closed_meanwhile(request, Wait::for_buffer(clock))
                }
            },
            // Begins anew before it asks.
            Progress::Lost => Poll::Pending,
            Progress::ForBytes(reservation) => match reservation.check(request.waker) {
                Outcome::Waiting => Poll::Pending,
                Outcome::Handed(unlent, clock) => {
                    self.no_longer_for_bytes(progress);
                    Poll::Ready(Ok(self.lend_unlent(unlent, Some(Wait::for_bytes(clock)))))
                }
                Outcome::Closed(clock) => {
                    self.no_longer_for_bytes(progress);
                    self.closed_meanwhile(request, Wait::for_bytes(clock))
                }
            },
        }
    }

    fn leave(&self, progress: &mut Progress, wants: bool) -> Left {
        let core = self.core();
        let (charged, wait) = match std::mem::take(progress) {
            Progress::New => return Left::default(),
            Progress::InQueue(ticket) => {
                let mut queue = core.waiters.lock();
                let mut left = queue.leave(ticket);
                core.stop_waiting_if_empty(&queue);
                drop(queue);
                let mut wait = Wait::for_buffer(left.clock);
                let charge = |budget: &Budget| budget.charge(core.buffer_size()).is_ok();
                let charged = left.handed.take().filter(|_| {
                    let charged = wants && core.budget.as_ref().is_none_or(charge);
                    wait.for_bytes = wants && !charged;
                    charged
                });
                (charged, wait)
            }
            Progress::ForBytes(reservation) => {
                core.waiting_for_bytes.fetch_sub(1, Ordering::Relaxed);
                reservation.leave(wants)
            }
            Progress::Lost => (None, Wait::for_buffer(None)),
        };
        Left {
            in_vain: charged.is_none().then_some(wait),
            lent: charged.map(|unlent| self.lend_unlent(unlent, Some(wait))),
        }
    }

    fn count_wait(&self, ending: Ending, wait: Wait) {
        let core = self.core();
        if let Some(budget) = &core.budget {
            let in_vain = matches!(ending, Ending::TimedOut | Ending::Abandoned);
            // Behind those that keep the pool's buffers while they wait for bytes, it is bytes that it lacked.
            let behind_such = in_vain && core.waiting_for_bytes.load(Ordering::Relaxed) > 0;
            if wait.for_bytes || behind_such {
                budget.count_wait(ending, wait.clock);
                core.waits_for_bytes.fetch_add(1, Ordering::Relaxed);
                core.over_budget
                    .fetch_add(in_vain.into(), Ordering::Relaxed);
            }
        }
        core.waits.add(ending, wait.clock);
    }
}
