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
//!
//! *Many.* A request for many takes its place in the queue like any other. As the first there it collects: what is free
//! when it joins, and then each buffer that is released, until it has all. Those behind it wait, and requests that don't
//! wait are refused: what it has collected is out, as if it had been lent, so the rule stays that none is free while
//! the queue is not empty. If it leaves, what it has collected is given back, one buffer after the other as by releases.

use std::ptr::NonNull;
use std::sync::Arc;
use std::task::Poll;

use crate::core::release::return_slot;
use crate::core::{PoolCore, PoolHandle, Refusal, Wanted};
use crate::error::AcquireError;
use crate::free_list::{Demand, Empty, FreeList, Slot};
use crate::holders::Caller;
use crate::sync::Ordering;
use crate::waiting::acquire::{Acquire, Left, Lender, LenderRef, Lent, Loan, Progress, Request};
use crate::waiting::budget::{Budget, Granted};
use crate::waiting::parcel::Parcel;
use crate::waiting::queue::{Claim, Ending, Outcome, Queue, Ticket, Wait};
use crate::waiting::unlent_slot::UnlentSlot;
use crate::waiting::waker::{UserWaker, wake_all};

impl<F: FreeList> PoolCore<F> {
    /// Whether requests wait, or did a moment ago.
    pub(super) fn has_waiters(&self) -> bool {
        self.free_list.demand() == Demand::Waiting
    }

    /// Hands a buffer to the first request that waits, and returns its waker if it has all that it wants. The buffer again
    /// if none waits, or none may have it, since more are out than the max.
    ///
    /// # Safety
    ///
    /// `slot` is that of a buffer that is out of `this` pool and has no guard. If it is handed over, the core may be gone
    /// afterwards.
    pub(super) unsafe fn hand_over(
        this: NonNull<Self>,
        slot: Slot,
    ) -> Result<Option<UserWaker>, Slot> {
        // SAFETY: the core is alive because the buffer is out, until the lock has been let go.
        let core = unsafe { this.as_ref() };
        let mut queue = core.waiters.lock();
        // Asked under the lock: a request that began to wait after the max was lowered is handed nothing by a release
        // that looked before.
        if !core.free_list.may_lend_again() {
            return Err(slot);
        }
        let mut passed_over = Vec::new();
        // SAFETY: passed on.
        let handed = unsafe { Self::give_to_first(this, slot, &mut queue, &mut passed_over) };
        core.stop_waiting_if_empty(&queue);
        drop(queue);
        // Each buffer that these have collected keeps the core alive.
        drop(passed_over);
        handed
    }

    /// Does what `hand_over` does, in the queue. What is passed over, as [`Queue::first_wants`] says, is to be dropped after
    /// the lock has been let go.
    ///
    /// # Safety
    ///
    /// As for `hand_over`.
    unsafe fn give_to_first(
        this: NonNull<Self>,
        slot: Slot,
        queue: &mut Queue<Wanted, Parcel>,
        passed_over: &mut Vec<Wanted>,
    ) -> Result<Option<UserWaker>, Slot> {
        while let Some(first) = queue.first_wants(passed_over) {
            if first.collected.len() + 1 < first.count as usize {
                // SAFETY: passed on.
                let unlent = unsafe { Self::hand(this, slot, first.caller) };
                first.collected.push(unlent);
                return Ok(None);
            }
            // If another queue has just served it, the next look passes it over.
            if let Some(next) = queue.next() {
                return Ok(Some(next.hand(|wanted| Parcel {
                    // SAFETY: passed on.
                    last: unsafe { Self::hand(this, slot, wanted.caller) },
                    others: wanted.collected,
                })));
            }
        }
        Err(slot)
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

    pub(super) fn stop_waiting_if_empty(&self, queue: &Queue<Wanted, Parcel>) {
        if queue.is_empty() && self.free_list.demand() != Demand::None {
            self.free_list.stop_waiting();
        }
    }
}

/// What came of a first attempt.
enum Tried {
    /// Charged, if need be.
    Lent(Loan),
    /// Not charged.
    Taken(Parcel),
    Queued(Ticket),
}

impl<F: FreeList> PoolHandle<F> {
    /// Hands over what has become free without a release.
    pub(super) fn serve_waiters(&self) {
        let core = self.core();
        let mut wakers = Vec::new();
        let mut passed_over = Vec::new();
        let mut queue = core.waiters.lock();
        let mut left_over = None;
        while !queue.is_empty() {
            let Ok(slot) = core.take() else {
                break;
            };
            // SAFETY: just taken.
            match unsafe { PoolCore::give_to_first(self.core, slot, &mut queue, &mut passed_over) }
            {
                Ok(waker) => wakers.extend(waker),
                Err(slot) => {
                    // All have been served by other queues.
                    left_over = Some(slot);
                    break;
                }
            }
        }
        core.stop_waiting_if_empty(&queue);
        drop(queue);
        drop(passed_over);
        if let Some(slot) = left_over {
            // SAFETY: just taken.
            wakers.extend(unsafe { return_slot(self.core, slot) });
        }
        wake_all(wakers);
    }

    /// Tells the requests that wait for more buffers than `max`, to which it was lowered, that they wait in vain.
    pub(super) fn refuse_waiters_for_more_than(&self, max: u32) {
        let core = self.core();
        let mut queue = core.waiters.lock();
        let (wakers, wanted) = queue.close_where(|wanted| wanted.count > max);
        core.stop_waiting_if_empty(&queue);
        drop(queue);
        // What they have collected goes to those behind them.
        drop(wanted);
        wake_all(wakers);
    }

    /// Lends what a request asks for, if it is free, with its bytes.
    fn try_lend(&self, request: &Request<'_>) -> Result<Loan, Refusal> {
        if request.count == 1 {
            let slot = self.try_pop(request.caller)?;
            // SAFETY: just popped.
            return Ok(Loan::one(unsafe { self.lend(slot) }));
        }
        let bufs = self.try_acquire_many(request.count, request.caller)?;
        // There is at least one.
        Loan::many(bufs).ok_or(Refusal::Empty(Empty::AllInUse(0)))
    }

    /// Takes the buffers for a request that is to be charged for them: all or none.
    fn take_for(&self, request: &Request<'_>) -> Result<Parcel, Empty> {
        let (last, others) = match request.count {
            1 => (self.core().take()?, Vec::new()),
            count => {
                let mut taken = self.take_many(count)?;
                // There is at least one.
                (taken.pop().ok_or(Empty::AllInUse(0))?, taken)
            }
        };
        // SAFETY: each was just taken.
        let hand = |slot| unsafe { PoolCore::hand(self.core, slot, request.caller) };
        Ok(Parcel {
            last: hand(last),
            others: others.into_iter().map(hand).collect(),
        })
    }

    /// Takes what is free for a request that is about to wait. If that is not all, it is in `collected`.
    fn collect_for(
        &self,
        request: &Request<'_>,
        collected: &mut Vec<UnlentSlot>,
    ) -> Result<Parcel, Empty> {
        loop {
            let slot = self.core().take()?;
            // SAFETY: just taken.
            let unlent = unsafe { PoolCore::hand(self.core, slot, request.caller) };
            if collected.len() + 1 == request.count as usize {
                let others = std::mem::take(collected);
                return Ok(Parcel {
                    last: unlent,
                    others,
                });
            }
            collected.push(unlent);
        }
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

    /// Takes what is free, or joins the queue.
    fn try_or_join(&self, request: &Request<'_>) -> Result<Tried, AcquireError> {
        let core = self.core();
        match self.try_lend(request) {
            Ok(loan) => return Ok(Tried::Lent(loan)),
            Err(Refusal::Empty(Empty::Closed)) => return Err(self.closed()),
            Err(Refusal::Empty(Empty::AllInUse(_))) => {}
            // It waits for the bytes with its buffers in hand.
            Err(Refusal::OverBudget(_)) if !core.has_waiters() => match self.take_for(request) {
                Ok(buffers) => return Ok(Tried::Taken(buffers)),
                Err(Empty::Closed) => return Err(self.closed()),
                Err(Empty::AllInUse(_)) => {}
            },
            Err(Refusal::OverBudget(_)) => {}
        }
        // Before the lock: a user's code.
        let waker = UserWaker::clone_of(request.waker);
        let claim = request
            .claim
            .map(|claim| claim.get_or_init(Claim::new).clone());
        // Room for all, before the lock.
        let mut collected = Vec::with_capacity(request.count as usize - 1);
        let mut queue = core.waiters.lock();
        if queue.is_closed() {
            drop(queue);
            return Err(self.closed());
        }
        // Under the lock: what lowers the max refuses those that are in the queue by then.
        if request.count > core.free_list.max() {
            drop(queue);
            return Err(self.too_many(request.count as usize));
        }
        if queue.is_empty() {
            core.free_list.start_waiting();
            match self.collect_for(request, &mut collected) {
                Err(Empty::AllInUse(_)) => core.free_list.confirm_waiting(),
                result => {
                    core.free_list.stop_waiting();
                    drop(queue);
                    return result.map(Tried::Taken).map_err(|_| self.closed());
                }
            }
        }
        let wanted = Wanted {
            caller: request.caller,
            count: request.count,
            collected,
        };
        Ok(Tried::Queued(queue.join(
            wanted,
            waker,
            claim,
            request.counted,
        )))
    }

    /// The guards of buffers that are charged if need be, for a request that `waited`, or did not.
    fn lend_unlent(&self, buffers: Parcel, waited: Option<Wait>) -> Loan {
        let core = self.core();
        let count = buffers.count();
        match waited {
            Some(wait) => {
                core.waits.add_buffers(count);
                self.count_wait(Ending::Served, wait);
            }
            // They were taken, and are lent after all.
            None => {
                core.not_lent.fetch_sub(count.into(), Ordering::Relaxed);
            }
        }
        // SAFETY: each was taken or handed over, and tracked then.
        let lend = |unlent: UnlentSlot| unsafe { self.lend(unlent.into_slot()) };
        let Parcel { last, others } = buffers;
        // With room for the first, see `Loan`.
        let room = if count == 1 { 0 } else { count as usize };
        let mut loan = Loan {
            first: lend(last),
            others: Vec::with_capacity(room),
        };
        loan.others.extend(others.into_iter().map(lend));
        loan
    }

    /// Charges the budget for buffers, if there is one, and lends them; or waits for the bytes.
    fn charge_and_lend(
        &self,
        buffers: Parcel,
        waited: Option<Wait>,
        progress: &mut Progress,
        request: &Request<'_>,
    ) -> Poll<Lent> {
        let core = self.core();
        let buffers = match &core.budget {
            None => buffers,
            Some(budget) => {
                let bytes = core.bytes_of(request.count);
                match budget.charge_or_join(bytes, self.id(), buffers, request.waker) {
                    Granted::Now(buffers) => buffers,
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
        Poll::Ready(Ok(self.lend_unlent(buffers, waited)))
    }

    /// Asks again for what is more than the max was when it was lowered, and may be so still.
    fn shrunk_meanwhile(
        &self,
        progress: &mut Progress,
        request: &Request<'_>,
        wait: Wait,
    ) -> Poll<Lent> {
        if request.count <= self.core().free_list.max() {
            self.core().waits.add_time(wait.clock);
            return self.poll_acquire(progress, request);
        }
        if request.claim.is_none() {
            self.count_wait(Ending::Closed, wait);
        }
        Poll::Ready(Err(self.too_many(request.count as usize)))
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
                Ok(Tried::Lent(loan)) => Poll::Ready(Ok(loan)),
                Ok(Tried::Taken(buffers)) => self.charge_and_lend(buffers, None, progress, request),
                Ok(Tried::Queued(ticket)) => {
                    *progress = Progress::InQueue(ticket);
                    Poll::Pending
                }
                Err(error) => Poll::Ready(Err(error)),
            },
            Progress::InQueue(ticket) => match core.waiters.check(ticket, request.waker) {
                Outcome::Waiting => Poll::Pending,
                Outcome::Handed(buffers, clock) => {
                    *progress = Progress::Lost;
                    self.charge_and_lend(buffers, Some(Wait::for_buffer(clock)), progress, request)
                }
                Outcome::Closed(clock) => {
                    *progress = Progress::New;
                    let wait = Wait::for_buffer(clock);
                    if core.waiters.lock().is_closed() {
                        self.closed_meanwhile(request, wait)
                    } else {
                        self.shrunk_meanwhile(progress, request, wait)
                    }
                }
            },
            // Begins anew before it asks.
            Progress::Lost => Poll::Pending,
            Progress::ForBytes(reservation) => match reservation.check(request.waker) {
                Outcome::Waiting => Poll::Pending,
                Outcome::Handed(buffers, clock) => {
                    self.no_longer_for_bytes(progress);
                    Poll::Ready(Ok(self.lend_unlent(buffers, Some(Wait::for_bytes(clock)))))
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
                let charged = left.handed.take().filter(|buffers| {
                    let bytes = core.bytes_of(buffers.count());
                    let charge = |budget: &Budget| budget.charge(bytes).is_ok();
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
            lent: charged.map(|buffers| self.lend_unlent(buffers, Some(wait))),
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
