//! How a request waits: for a pool, or for two tiers of one, whichever can serve it first.
#![forbid(unsafe_code)]

use std::task::{Poll, Waker};

use crate::base::sync::Ordering;
use crate::engine::acquire::as_u32;
use crate::engine::{PoolHandle, Refusal};
use crate::free_list::{Empty, FreeList};
use crate::report::error::acquire::AcquireError;
use crate::report::holders::Tracker;
use crate::report::name::Name;
use crate::waiting::acquire::{Lender, Request};
use crate::waiting::after::After;
use crate::waiting::counts::Ending;
use crate::waiting::loan::Loan;
use crate::waiting::places::Ticket;
use crate::waiting::queue::{Checked, Outcome, Refused, Waited, Wants};
use crate::waiting::waker::UserWaker;

/// The tiers that may serve a request: one, or one and the next larger of the same line.
pub(crate) struct Serving<'a, F: FreeList> {
    pub(crate) home: &'a PoolHandle<F>,
    pub(crate) next: Option<&'a PoolHandle<F>>,
}

impl<'a, F: FreeList> Serving<'a, F> {
    fn tiers(&self) -> [Option<&'a PoolHandle<F>>; 2] {
        [Some(self.home), self.next]
    }

    /// The tier with that number, which is one of the two.
    fn tier(&self, number: usize) -> &'a PoolHandle<F> {
        let next = self.next.filter(|next| next.core().tier == number);
        next.unwrap_or(self.home)
    }

    /// See [`Lender::poll_lend`].
    pub(crate) fn poll_lend(
        &self,
        request: &Request,
        ticket: &mut Option<Ticket>,
        waker: &Waker,
    ) -> Poll<Result<Loan, AcquireError>> {
        let Some(known) = *ticket else {
            return self.lend_or_join(request, ticket, waker);
        };
        let mut fresh = None;
        let outcome = loop {
            let checked = (self.home.core().line.lock()).queue.check(known, waker, &mut fresh);
            match checked {
                Checked::Is(outcome, _stale) => break outcome,
                // Without the lock: a user's code.
                Checked::NeedsWaker => fresh = Some(UserWaker::clone_of(waker)),
            }
        };
        let result = match outcome {
            Outcome::Waiting => return Poll::Pending,
            Outcome::Granted(tier, loan, waited) => {
                let served = Ending::Served(loan.count());
                self.tier(tier).count_wait(served, waited);
                Ok(loan)
            }
            Outcome::Refused(tier, why, waited) => {
                let tier = self.tier(tier);
                tier.count_wait(Ending::Refused, waited);
                Err(tier.refused(why, request))
            }
        };
        *ticket = None;
        Poll::Ready(result)
    }

    /// Lends what is free, or joins the line.
    #[inline(never)]
    fn lend_or_join(
        &self,
        request: &Request,
        ticket: &mut Option<Ticket>,
        waker: &Waker,
    ) -> Poll<Result<Loan, AcquireError>> {
        let mut error = None;
        // What ends the soonest is said: too many wait, and not that the other tier never lends so many, or is closed.
        let rank = |error: &AcquireError| match error {
            AcquireError::Closed { .. } => 0,
            AcquireError::TooMany { .. } => 1,
            _ => 2,
        };
        let mut note = |new: AcquireError| match &error {
            Some(earlier) if rank(earlier) >= rank(&new) => {}
            _ => error = Some(new),
        };
        let mut count = 0;
        let mut able = [None, None];
        for (tier, able) in self.tiers().iter().zip(&mut able) {
            let Some(tier) = *tier else { continue };
            let is_next = !std::ptr::eq(tier, self.home);
            match tier.may_wait(request.count, request.len) {
                Ok(checked) => (count, *able) = (checked, Some(tier)),
                // A tier that is not waited for, or lends fewer, does not serve in another's place either.
                Err(_) if is_next => continue,
                // The next tier may lend so many.
                Err(too_many @ AcquireError::TooMany { .. }) => {
                    note(too_many);
                    continue;
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
            match tier.try_lend(count, request) {
                Ok(loan) => return Poll::Ready(Ok(loan)),
                Err(Refusal::Empty(Empty::OutOfMemory)) => {
                    return Poll::Ready(Err(tier.out_of_memory(count)));
                }
                Err(Refusal::Empty(_) | Refusal::OverBudget(_)) => {}
            }
        }
        let mut room = Vec::new();
        if able.iter().any(Option::is_some) && count > 1 {
            // Before the lock, and before it has a place.
            if room.try_reserve_exact(count as usize).is_err() {
                return Poll::Ready(Err(self.home.out_of_memory(count)));
            }
        }
        // Before the lock: a user's code.
        let mut waker_of_request = Some(UserWaker::clone_of(waker));
        let mut after = After::default();
        // The first tier where too many wait.
        let mut full = None;
        let mut line = self.home.core().line.lock();
        let mut tiers = [None, None];
        for (number, tier) in tiers.iter_mut().zip(&able) {
            let Some(tier) = *tier else { continue };
            let core = tier.core();
            if line.queue.is_closed(core.tier) {
                note(tier.closed());
            } else if count > core.most_at_once() {
                // Under the lock: what lowers the max refuses those that are in the queue by then.
                note(tier.too_many(request.count));
            } else if line.queue.linked(core.tier) >= core.max_waiting {
                full.get_or_insert(core);
                note(AcquireError::TooManyWaiting {
                    pool: tier.name().clone(),
                    waiting: core.max_waiting,
                });
            } else {
                *number = Some(core.tier);
            }
        }
        if tiers == [None, None] {
            drop(line);
            // Each that does not serve it has said why.
            let error = error.unwrap_or_else(|| self.home.closed());
            if let (AcquireError::TooManyWaiting { .. }, Some(full)) = (&error, full) {
                full.refused.fetch_add(1, Ordering::Relaxed);
            }
            return Poll::Ready(Err(error));
        }
        let wants = Wants {
            count,
            caller: request.caller,
            room,
        };
        let joined = line.queue.join(wants, tiers);
        for &tier in tiers.iter().flatten() {
            // Served by the first already, it is in no line any more.
            if line.queue.is_first(joined, tier) {
                line.look_at([tier], &mut after);
            }
        }
        // It may be served at once: of what came back since it looked.
        let checked = line.queue.check(joined, waker, &mut waker_of_request);
        drop(line);
        let polled = match checked {
            Checked::Is(Outcome::Granted(_, loan, _), _) => Poll::Ready(Ok(loan)),
            _ => {
                *ticket = Some(joined);
                Poll::Pending
            }
        };
        after.settle();
        polled
    }

    /// See [`Lender::leave`].
    pub(crate) fn leave(
        &self,
        request: &Request,
        ticket: Ticket,
        ending: Ending,
    ) -> Result<Loan, Option<AcquireError>> {
        let mut after = After::default();
        let mut line = self.home.core().line.lock();
        let left = line.queue.leave(ticket, &mut after);
        // Those behind it may want less.
        line.look_at(left.led.into_iter().flatten(), &mut after);
        drop(line);
        after.settle();
        let tier = left.tier.map_or(self.home, |tier| self.tier(tier));
        let ending = match (ending, &left.granted, left.refused) {
            (Ending::TimedOut, Some(loan), _) => Ending::Served(loan.count()),
            (Ending::TimedOut, None, Some(_)) => Ending::Refused,
            (ending, ..) => ending,
        };
        tier.count_wait(ending, left.waited);
        match (ending, left.granted) {
            (Ending::Served(_), Some(loan)) => return Ok(loan),
            (Ending::Refused, None) => {
                return Err(left.refused.map(|why| tier.refused(why, request)));
            }
            (Ending::TimedOut, None) => {}
            _ => return Err(None),
        }
        let count = request.count as u32;
        let lacked = left.lacked.into_iter().flatten();
        let lacked = lacked.map(|(tier, bytes)| self.tier(tier).shortage(count, bytes));
        Err(lacked.reduce(AcquireError::and))
    }
}

impl<F: FreeList> PoolHandle<F> {
    /// Lends what a request asks for, if it is free, with its bytes.
    fn try_lend(&self, count: u32, request: &Request) -> Result<Loan, Refusal> {
        if count == 1 {
            return self.try_take(request.caller).map(|taken| Loan::one(taken.lend()));
        }
        let bufs = self.try_acquire_many(count, request.caller)?;
        // As many as were asked for.
        Loan::many(bufs).ok_or(Refusal::Empty(Empty::Owed))
    }

    /// The error of a request that waits in vain from now on.
    #[cold]
    fn refused(&self, why: Refused, request: &Request) -> AcquireError {
        match why {
            Refused::Closed => self.closed(),
            Refused::TooMany => self.too_many(request.count),
        }
    }

    /// Whether a request for `count` buffers that hold `len` bytes each may wait here. Returns `count`.
    fn may_wait(&self, count: usize, len: usize) -> Result<u32, AcquireError> {
        if len > self.buffer_size() {
            return Err(self.too_large(len));
        }
        if !self.core().waiting {
            return Err(AcquireError::WaitingOff {
                pool: self.name().clone(),
            });
        }
        self.may_lend_at_once(count, len)
    }

    /// Counts a wait that has ended.
    fn count_wait(&self, ending: Ending, Waited { clock, for_bytes }: Waited) {
        let core = self.core();
        core.waits.add(ending, clock);
        let Some(budget) = core.budget.as_ref().filter(|_| for_bytes) else {
            return;
        };
        budget.count_wait(ending, clock);
        core.waits_for_bytes.fetch_add(1, Ordering::Relaxed);
        if matches!(ending, Ending::TimedOut | Ending::Abandoned) {
            core.over_budget.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// What a request for `count` buffers lacks that waited in vain: bytes, or buffers. Counts nothing.
    #[cold]
    fn shortage(&self, count: u32, of_bytes: bool) -> AcquireError {
        let core = self.core();
        match &core.budget {
            Some(budget) if of_bytes => AcquireError::OverBudget {
                pool: self.name().clone(),
                requested: core.bytes_of(count) as usize,
                lent: budget.lent(),
                budget: budget.limit(),
                waiting: as_u32(budget.waiting()),
            },
            _ => self.exhausted(self.in_use(), false),
        }
    }

    /// The error that too few buffers are free while `in_use` are lent; or that those that are free are `owed` to
    /// requests that came before. Counts nothing.
    #[cold]
    pub(crate) fn exhausted(&self, in_use: usize, owed: bool) -> AcquireError {
        let core = self.core();
        // Relaxed, and without the lock of the line: who is refused is not to keep those who wait from it.
        let first_wants = core.first_wants.load(Ordering::Relaxed);
        let max = self.max();
        let held_by = core.tracker.as_ref().and_then(Tracker::held_by);
        AcquireError::Exhausted {
            pool: self.name().clone(),
            in_use,
            max,
            first_wants: if in_use < max {
                first_wants.max(u32::from(owed))
            } else {
                0
            },
            held_by: held_by.map(Box::new),
        }
    }

    fn serving(&self) -> Serving<'_, F> {
        Serving { home: self, next: None }
    }
}

impl<F: FreeList> Lender for PoolHandle<F> {
    fn name(&self) -> &Name {
        PoolHandle::name(self)
    }

    fn poll_lend(
        &self,
        request: &Request,
        ticket: &mut Option<Ticket>,
        waker: &Waker,
    ) -> Poll<Result<Loan, AcquireError>> {
        self.serving().poll_lend(request, ticket, waker)
    }

    fn leave(&self, request: &Request, ticket: Ticket, ending: Ending) -> Result<Loan, Option<AcquireError>> {
        self.serving().leave(request, ticket, ending)
    }

    fn to_owned(&self) -> Box<dyn Lender> {
        Box::new(self.clone())
    }
}
