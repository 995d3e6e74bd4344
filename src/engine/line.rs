//! Where requests wait for the buffers of a pool, or of all its tiers, and how they are served.
//!
//! *Looking* serves the first request of a tier until it can't be served, all in one hold of the tier's free list: what
//! does not wait sees what was before, or what is afterwards. It is done after whatever may let the first be served: a
//! buffer has come back that completes what it wants, the first has left, the max was changed, bytes have come back.
//! What is left free is owed to the first; see [`Demand`].
//!
//! An example. Of a pool's 4 buffers 3 are lent, and request R wants 2.
//!
//! 1. R finds one free, which is too few. It locks the line, joins it, and looks: the list is held, one is free still,
//!    and the demand becomes `At(2)`.
//! 2. Thread T asks for one without waiting. It is refused: the one that is free is owed to R.
//! 3. Thread U releases one of the three. Its push is not taken, since with it two are free: it is wanted. U locks the
//!    line, holds the list, puts its buffer back, takes two and grants them to R; the demand becomes `None`. It lets go
//!    of both locks, and wakes R.
//!
//! Had R left between the two steps of U, then U would have found nobody to serve, and its buffer would be free.
//!
//! *What keeps the stocks there.* The line knows those of its tiers by pointer, and uses one only while it is locked
//! and a request is linked there, or was under the same lock. A stock is part of a core, whose last handle closes it,
//! under the lock of the line, and that unlinks all; so it is there until the lock is let go.

use std::ptr::NonNull;
use std::sync::{Arc, Weak};

use crossbeam_utils::CachePadded;

use crate::base::sync::{Mutex, MutexGuard, Ordering};
use crate::buf::guard::PooledBuf;
use crate::engine::stock::Stock;
use crate::free_list::{Demand, FreeList, Held, Slot};
use crate::report::holders::Caller;
use crate::waiting::after::After;
use crate::waiting::budget::LookAgain;
use crate::waiting::loan::Loan;
use crate::waiting::places::Ticket;
use crate::waiting::queue::Queue;

/// See the module.
pub(crate) struct Line<F: FreeList> {
    locked: CachePadded<Mutex<LockedLine<F>>>,
}

/// The line, while it is locked.
pub(crate) struct LockedLine<F: FreeList> {
    /// For the queue of a budget.
    this: Weak<Line<F>>,
    pub(super) queue: Queue,
    /// The tiers, by number.
    stocks: Vec<StockRef<F>>,
}

struct StockRef<F: FreeList>(NonNull<Stock<F>>);

// SAFETY: a pointer to a stock, which may be shared among threads. It is used as the module says.
unsafe impl<F: FreeList> Send for StockRef<F> {}

impl<F: FreeList> Line<F> {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new_cyclic(|this| Line {
            locked: CachePadded::new(Mutex::new(LockedLine {
                this: Weak::clone(this),
                queue: Queue::new(),
                stocks: Vec::new(),
            })),
        })
    }

    /// The number of the tier that is added next. One thread adds them.
    pub(super) fn next_tier(&self) -> usize {
        self.lock().stocks.len()
    }

    /// Adds a tier. Its stock has that number.
    pub(super) fn add_tier(&self, stock: NonNull<Stock<F>>) {
        let mut line = self.lock();
        line.queue.add_tier();
        line.stocks.push(StockRef(stock));
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, LockedLine<F>> {
        self.locked.lock()
    }
}

impl<F: FreeList> LockedLine<F> {
    /// Takes a buffer back to a tier, and looks.
    ///
    /// # Safety
    ///
    /// The tier's stock is there until the line is unlocked; the buffer is out of it, and has no guard.
    pub(super) unsafe fn take_back(&mut self, tier: usize, slot: Slot, after: &mut After) {
        let mut others = Vec::new();
        // SAFETY: as our caller says.
        if let Err(slot) = unsafe { self.hand_on(tier, slot, &mut others, after) } {
            let stock = self.stocks[tier].0;
            // SAFETY: as our caller says.
            let mut held = unsafe { stock.as_ref() }.free_list.hold();
            held.put(slot);
            // SAFETY: as our caller says; and this is its free list.
            unsafe { self.serve(stock, &mut held, &mut others, after) };
        }
        if !others.is_empty() {
            self.look_at(others, after);
        }
    }

    /// Hands a buffer that has come back on to the first request there, without the free list, if looking would do so:
    /// none is free, and the first wants one, and no bytes. Else returns it. Adds to `others` as `serve` does.
    ///
    /// The demand stays that for one, whatever the next wants, and even if there is none. That is never wrong: still
    /// none is free, and the next buffer that comes back, which comes here, sets it anew.
    ///
    /// # Safety
    ///
    /// As for `take_back`.
    unsafe fn hand_on(
        &mut self,
        tier: usize,
        slot: Slot,
        others: &mut Vec<usize>,
        after: &mut After,
    ) -> Result<(), Slot> {
        let stock = self.stocks[tier].0;
        // SAFETY: as our caller says.
        let (stock, lending) = unsafe { (stock.as_ref(), Stock::lending(stock)) };
        if stock.budget.is_some() || !stock.free_list.wants_one() {
            return Err(slot);
        }
        let first = self.queue.first(tier).filter(|(_, wants)| wants.count == 1);
        let Some((first, caller)) = first.map(|(first, wants)| (first, wants.caller)) else {
            return Err(slot);
        };
        stock.track(&slot, caller);
        // SAFETY: as our caller says; and it is tracked.
        let loan = Loan::one(unsafe { lending.lend(slot) });
        self.queue.grant(first, tier, loan, others, after);
        self.queue.count_handed_on(tier);
        Ok(())
    }

    /// Takes `count` buffers of a tier past the requests that wait there, if so many are free, and adds them to `out`,
    /// which has room; returns whether it did. They are charged.
    ///
    /// The demand stays. That fewer are free is no news to it: it says how many the first wants, or that it lacks
    /// bytes, and then it is looked at when some come back.
    ///
    /// # Safety
    ///
    /// As for `serve`.
    pub(super) unsafe fn take_past(
        &mut self,
        stock: NonNull<Stock<F>>,
        count: u32,
        caller: Caller,
        out: &mut Vec<PooledBuf>,
    ) -> bool {
        // SAFETY: as our caller says.
        let (alive, lending) = unsafe { (stock.as_ref(), Stock::lending(stock)) };
        let mut held = alive.free_list.hold();
        let enough = held.allowed() >= count;
        if enough {
            out.extend((0..count).map(|_| {
                let slot = held.take();
                alive.track(&slot, caller);
                // SAFETY: just taken, charged and tracked.
                unsafe { lending.lend(slot) }
            }));
        }
        enough
    }

    /// Looks at all of these tiers, one after the other: at the smaller one first, which serves a request that both
    /// can. In each a request is linked, or was since the line was locked.
    pub(super) fn look_at(&mut self, tiers: impl IntoIterator<Item = usize>, after: &mut After) {
        let (mut tiers, mut others) = (tiers.into_iter(), Vec::new());
        while let Some(tier) = tiers.next().or_else(|| others.pop()) {
            let stock = self.stocks[tier].0;
            // SAFETY: a request was linked there under this lock, so the pool was not closed, and closing it takes the
            // lock: its stock is there until the line is unlocked.
            let mut held = unsafe { stock.as_ref() }.free_list.hold();
            // SAFETY: as above.
            unsafe { self.serve(stock, &mut held, &mut others, after) };
            // The smallest last. Most often there is none.
            others.sort_unstable_by(|one, other| other.cmp(one));
        }
    }

    /// Serves the first request of a tier until it can't be served. Adds other tiers to `others` where another has
    /// become the first.
    ///
    /// # Safety
    ///
    /// `stock` is one of the line's, and there until the line is unlocked.
    pub(super) unsafe fn serve(
        &mut self,
        stock: NonNull<Stock<F>>,
        held: &mut F::Held<'_>,
        others: &mut Vec<usize>,
        after: &mut After,
    ) {
        // SAFETY: as our caller says.
        let (tier, lending) = unsafe { (stock.as_ref().tier, Stock::lending(stock)) };
        // SAFETY: as above.
        let stock = unsafe { stock.as_ref() };
        stock.witness.is_used();
        let (queue, this) = (&mut self.queue, &self.this);
        let demand = loop {
            let Some((first, wants)) = queue.first(tier) else {
                break Demand::None;
            };
            let (count, caller) = (wants.count, wants.caller);
            if held.allowed() < count {
                queue.ask_no_more(first, tier, after);
                break Demand::At(count);
            }
            if let Some(budget) = &stock.budget {
                let line = || -> Weak<dyn LookAgain> { Weak::clone(this) as _ };
                let bytes = (budget, stock.bytes_of(count));
                if !queue.charge(first, tier, bytes, line, after) {
                    break Demand::Never;
                }
            }
            let mut take = || {
                let slot = held.take();
                stock.track(&slot, caller);
                // SAFETY: just taken, charged and tracked.
                unsafe { lending.lend(slot) }
            };
            let mut loan = Loan::one(take());
            if count > 1 {
                loan.others = queue.take_room(first);
                loan.others.extend((1..count).map(|_| take()));
                loan.others.reverse();
            }
            queue.grant(first, tier, loan, others, after);
        };
        held.set_demand(demand);
        let first_wants = queue.first(tier).map_or(0, |(_, wants)| wants.count);
        stock.first_wants.store(first_wants, Ordering::Relaxed);
    }
}

impl<F: FreeList> LookAgain for Line<F> {
    fn look_again(&self, ticket: Ticket, after: &mut After) {
        let mut line = self.lock();
        let asking = line.queue.asking(ticket);
        line.look_at(asking.into_iter().flatten(), after);
    }
}
