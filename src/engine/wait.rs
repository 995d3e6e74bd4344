//! How a request waits: for a pool, or for two tiers of one, whichever can serve it first.
#![forbid(unsafe_code)]

use std::ops::ControlFlow;
use std::task::{Poll, Waker};

use crate::base::sync::Ordering;
use crate::engine::handle::PoolHandle;
use crate::engine::refusal::Refusal;
use crate::free_list::{Empty, FreeList};
use crate::report::error::acquire::AcquireError;
use crate::report::name::Name;
use crate::waiting::acquire::{Lender, Request};
use crate::waiting::after::After;
use crate::waiting::counts::Ending;
use crate::waiting::loan::Loan;
use crate::waiting::places::Ticket;
use crate::waiting::queue::{Checked, Outcome, Queue, Refused, Waited, Wants};
use crate::waiting::waker::UserWaker;

/// The tiers that may serve a request: one, or one and the next larger of the same line.
pub(crate) struct Serving<'a, F: FreeList> {
    pub(crate) home: &'a PoolHandle<F>,
    pub(crate) next: Option<&'a PoolHandle<F>>,
}

/// The tiers of a request that may be waited for, and how many buffers it wants.
struct Able<'a, F: FreeList> {
    count: u32,
    tiers: [Option<&'a PoolHandle<F>>; 2],
}

/// Why a request is not served. Of several reasons the one that ends the soonest, and of such the first: that too many
/// wait, and not that the other tier never lends so many, or is closed.
#[derive(Default)]
struct Why(Option<AcquireError>);

impl Why {
    fn note(&mut self, new: AcquireError) {
        let rank = |error: &AcquireError| match error {
            AcquireError::Closed { .. } => 0,
            AcquireError::TooMany { .. } => 1,
            _ => 2,
        };
        match &self.0 {
            Some(earlier) if rank(earlier) >= rank(&new) => {}
            _ => self.0 = Some(new),
        }
    }
}

impl<'a, F: FreeList> Serving<'a, F> {
    fn tiers(&self) -> [Option<&'a PoolHandle<F>>; 2] {
        [Some(self.home), self.next]
    }

    /// The tier with that number, which is one of the two.
    fn tier(&self, number: usize) -> &'a PoolHandle<F> {
        let next = self.next.filter(|next| next.core().stock.tier == number);
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
        let mut why = Why::default();
        match self.try_lend(request, &mut why) {
            ControlFlow::Break(result) => Poll::Ready(result),
            ControlFlow::Continue(able) => self.join(request, able, why, ticket, waker),
        }
    }

    /// Lends what is free; else returns those of the tiers that may be waited for, and notes why the others may not.
    fn try_lend(&self, request: &Request, why: &mut Why) -> ControlFlow<Result<Loan, AcquireError>, Able<'a, F>> {
        let mut able = Able {
            count: 0,
            tiers: [None, None],
        };
        for (tier, able_tier) in self.tiers().iter().zip(&mut able.tiers) {
            let Some(tier) = *tier else { continue };
            let is_next = !std::ptr::eq(tier, self.home);
            let count = match tier.may_wait(request.count, request.len) {
                Ok(count) => count,
                // A tier that is not waited for, or lends fewer, does not serve in another's place either.
                Err(_) if is_next => continue,
                // The next tier may lend so many.
                Err(too_many @ AcquireError::TooMany { .. }) => {
                    why.note(too_many);
                    continue;
                }
                Err(error) => return ControlFlow::Break(Err(error)),
            };
            match tier.try_lend(count, request) {
                Ok(loan) => return ControlFlow::Break(Ok(loan)),
                Err(Refusal::Empty(Empty::OutOfMemory)) => {
                    return ControlFlow::Break(Err(tier.out_of_memory(count)));
                }
                Err(Refusal::Empty(_) | Refusal::OverBudget(_)) => {}
            }
            (able.count, *able_tier) = (count, Some(tier));
        }
        ControlFlow::Continue(able)
    }

    /// Joins the line, unless it has what is asked for by then.
    fn join(
        &self,
        request: &Request,
        able: Able<'a, F>,
        mut why: Why,
        ticket: &mut Option<Ticket>,
        waker: &Waker,
    ) -> Poll<Result<Loan, AcquireError>> {
        let count = able.count;
        let mut room = Vec::new();
        // Before the lock, and before it has a place.
        if count > 1 && room.try_reserve_exact(count as usize).is_err() {
            return Poll::Ready(Err(self.home.out_of_memory(count)));
        }
        // Before the lock: a user's code.
        let mut waker_of_request = Some(UserWaker::clone_of(waker));
        let mut after = After::default();
        let mut line = self.home.core().line.lock();
        let mut tiers = [None, None];
        // The first where too many wait.
        let mut full = None;
        for (number, tier) in tiers.iter_mut().zip(able.tiers) {
            let Some(tier) = tier else { continue };
            match tier.may_join(&line.queue, count) {
                Ok(joined) => *number = Some(joined),
                Err(error) => {
                    full = full.or(matches!(error, AcquireError::TooManyWaiting { .. }).then_some(tier));
                    why.note(error);
                }
            }
        }
        if tiers == [None, None] {
            drop(line);
            // Each that does not serve it has said why.
            let error = why.0.unwrap_or_else(|| self.home.closed());
            if let (AcquireError::TooManyWaiting { .. }, Some(full)) = (&error, full) {
                full.core().refused.fetch_add(1, Ordering::Relaxed);
            }
            return Poll::Ready(Err(error));
        }
        let caller = request.caller;
        let joined = line.queue.join(Wants { count, caller, room }, tiers);
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

    /// Whether a request for `count` buffers may join the line here, whose queue is locked. Returns the tier's number.
    fn may_join(&self, queue: &Queue, count: u32) -> Result<usize, AcquireError> {
        let core = self.core();
        let tier = core.stock.tier;
        if queue.is_closed(tier) {
            return Err(self.closed());
        }
        // Under the lock: what lowers the max refuses those that are in the queue by then.
        if count > core.stock.most_at_once() {
            return Err(self.too_many(count as usize));
        }
        if queue.linked(tier) >= core.max_waiting {
            return Err(AcquireError::TooManyWaiting {
                pool: self.name().clone(),
                waiting: core.max_waiting,
            });
        }
        Ok(tier)
    }

    /// Counts a wait that has ended.
    fn count_wait(&self, ending: Ending, Waited { clock, for_bytes }: Waited) {
        let core = self.core();
        core.waits.add(ending, clock);
        let Some(budget) = core.stock.budget.as_ref().filter(|_| for_bytes) else {
            return;
        };
        budget.count_wait(ending, clock);
        core.waits_for_bytes.fetch_add(1, Ordering::Relaxed);
        if matches!(ending, Ending::TimedOut | Ending::Abandoned) {
            core.over_budget.fetch_add(1, Ordering::Relaxed);
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
