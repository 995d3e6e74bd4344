//! Bytes of a budget that are charged for a request before it comes to a pool; and the wait for them.
#![forbid(unsafe_code)]

use std::borrow::Borrow;
use std::mem;
use std::sync::{Arc, Weak};
use std::task::{Poll, Waker};

use crate::base::sync::Mutex;
use crate::waiting::after::After;
use crate::waiting::budget::{Ask, Asking, Budget, Exceeded, LookAgain};
use crate::waiting::counts::{Clock, Ending};
use crate::waiting::places::Ticket;
use crate::waiting::waker::UserWaker;

/// Bytes that are charged. Dropped, they are given back.
#[must_use = "dropped, the bytes are given back"]
pub(crate) struct Charge<B: Borrow<Budget> = Budget> {
    budget: B,
    bytes: u64,
}

impl<'a> Charge<&'a Budget> {
    /// Charges so many, unless that is too much or others wait for some.
    pub(crate) fn try_new(budget: &'a Budget, bytes: u64) -> Result<Self, Exceeded> {
        budget.charge_ahead(bytes)?;
        Ok(Charge { budget, bytes })
    }

    /// The same, whoever waits: for who holds some already.
    pub(crate) fn past(budget: &'a Budget, bytes: u64) -> Result<Self, Exceeded> {
        budget.charge_past(bytes)?;
        Ok(Charge { budget, bytes })
    }
}

impl<B: Borrow<Budget>> Charge<B> {
    /// Takes as many as `bytes` out of it, or all: they are lent now, and stay charged until [`refund`] gives them
    /// back.
    pub(crate) fn take(&mut self, bytes: u64) -> u64 {
        let taken = bytes.min(self.bytes);
        self.bytes -= taken;
        self.budget.borrow().note_lent();
        taken
    }
}

impl<B: Borrow<Budget>> Drop for Charge<B> {
    fn drop(&mut self) {
        refund(self.budget.borrow(), self.bytes);
    }
}

/// Gives bytes back, and lets those have them that wait.
pub(crate) fn refund(budget: &Budget, bytes: u64) {
    if bytes > 0 {
        let mut after = After::default();
        budget.refund(bytes, &mut after);
        after.settle();
    }
}

/// A request that waits for bytes and nothing else, in the budget's queue. Dropped, it leaves.
pub(crate) struct ChargeWait(Arc<Waiting>);

struct Waiting {
    budget: Budget,
    bytes: u64,
    clock: Option<Clock>,
    stage: Mutex<Stage>,
}

enum Stage {
    Asking(Ask, UserWaker),
    Charged(Charge),
    Gone,
}

impl ChargeWait {
    /// Charges `bytes`, or joins the queue.
    pub(crate) fn join(budget: &Budget, bytes: u64, waker: &Waker) -> Result<Charge, ChargeWait> {
        // Before the locks: a user's code.
        let waker = UserWaker::clone_of(waker);
        let waiting = Arc::new(Waiting {
            budget: budget.clone(),
            bytes,
            clock: budget.start_clock(),
            stage: Mutex::new(Stage::Gone),
        });
        // Locked until it says what it asks for: what serves it comes by that lock.
        let mut stage = waiting.stage.lock();
        let line: Weak<Waiting> = Arc::downgrade(&waiting);
        let asking = || Asking {
            line,
            ticket: Ticket::ONLY,
        };
        match budget.charge_or_queue(bytes, asking) {
            Ok(()) => {
                let budget = budget.clone();
                Ok(Charge { budget, bytes })
            }
            Err(ask) => {
                *stage = Stage::Asking(ask, waker);
                drop(stage);
                Err(ChargeWait(waiting))
            }
        }
    }

    /// What it waited for, if it has it by now; else `waker` is woken when it does.
    pub(crate) fn poll(&self, waker: &Waker) -> Poll<Charge> {
        let wakes = matches!(&*self.0.stage.lock(), Stage::Asking(_, own) if own.will_wake(waker));
        if wakes {
            return Poll::Pending;
        }
        // Before the lock: a user's code; and dropped after it, as is the one that it replaces.
        let mut fresh = UserWaker::clone_of(waker);
        let mut stage = self.0.stage.lock();
        match mem::replace(&mut *stage, Stage::Gone) {
            Stage::Asking(ask, own) => {
                *stage = Stage::Asking(ask, mem::replace(&mut fresh, own));
                Poll::Pending
            }
            Stage::Charged(charge) => {
                drop(stage);
                self.0.budget.count_wait(Ending::Served(1), self.0.clock);
                Poll::Ready(charge)
            }
            Stage::Gone => Poll::Pending,
        }
    }

    /// Leaves the queue. What was charged by then is given back.
    pub(crate) fn leave(&self, ending: Ending) {
        let left = mem::replace(&mut *self.0.stage.lock(), Stage::Gone);
        match left {
            Stage::Gone => return,
            Stage::Charged(charge) => drop(charge),
            Stage::Asking(ask, _waker) => {
                let mut after = After::default();
                ask.withdraw(&mut after);
                after.settle();
            }
        }
        self.0.budget.count_wait(ending, self.0.clock);
    }
}

impl Drop for ChargeWait {
    fn drop(&mut self) {
        self.leave(Ending::Abandoned);
    }
}

impl LookAgain for Waiting {
    fn look_again(&self, _: Ticket, after: &mut After) {
        let mut stage = self.stage.lock();
        match &*stage {
            Stage::Asking(ask, _) if ask.charge(self.bytes, after) => {}
            _ => return,
        }
        let charge = Charge {
            budget: self.budget.clone(),
            bytes: self.bytes,
        };
        if let Stage::Asking(_, waker) = mem::replace(&mut *stage, Stage::Charged(charge)) {
            after.wake(Some(waker));
        }
    }
}
