//! Which buffers are lent, and how requests ended, as the models know it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use poolbuf::{AcquireError, BudgetStats, Pool, PoolStats, PooledBuf};
use shuttle::thread;

use crate::pools::SIZE;

/// The buffers that are lent, and how each request ended. Kept outside the pools and outside shuttle.
#[derive(Clone, Default)]
pub(crate) struct Ledger(Arc<Mutex<Entries>>);

#[derive(Default)]
struct Entries {
    /// The capacity of each buffer that is lent, by its address.
    lent: HashMap<usize, usize>,
    /// Buffers that were lent, and how many of them beyond one for each request.
    served: u64,
    more: u64,
    refused: u64,
    over_budget: u64,
    timed_out: u64,
    abandoned: u64,
    /// Buffers that those asked for that were dropped while they waited. They may have been granted them.
    granted_at_most: u64,
}

impl Ledger {
    /// Enters how a request ended. Fails if a buffer is lent already, or not empty. Nothing if it was refused.
    pub(crate) fn enter(&self, result: Result<PooledBuf, AcquireError>) -> Option<Held> {
        let mut entries = self.0.lock().unwrap();
        match result {
            Ok(buf) => {
                entries.served += 1;
                assert!(buf.is_empty());
                let before = entries.lent.insert(buf.as_ptr() as usize, buf.capacity());
                assert_eq!(before, None, "a buffer is lent twice");
                return Some(Held {
                    buf: Some(buf),
                    ledger: self.clone(),
                });
            }
            Err(AcquireError::Exhausted { .. }) => entries.refused += 1,
            Err(AcquireError::OverBudget { .. }) => {
                entries.refused += 1;
                entries.over_budget += 1;
            }
            Err(AcquireError::TimedOut { .. }) => entries.timed_out += 1,
            Err(AcquireError::Closed { .. }) => {}
            Err(error) => panic!("{error}"),
        }
        None
    }

    /// As `enter`, for a request for many, which counts once.
    pub(crate) fn enter_many(&self, result: Result<Vec<PooledBuf>, AcquireError>) -> Vec<Held> {
        match result {
            Ok(bufs) => {
                self.0.lock().unwrap().more += bufs.len() as u64 - 1;
                bufs.into_iter().filter_map(|buf| self.enter(Ok(buf))).collect()
            }
            Err(error) => self.enter(Err(error)).into_iter().collect(),
        }
    }

    /// Enters that a request for so many was dropped while it waited, or was granted them and did not know.
    pub(crate) fn abandon(&self, count: usize) {
        let mut entries = self.0.lock().unwrap();
        entries.abandoned += 1;
        entries.granted_at_most += count as u64;
    }

    /// So many buffers were lent in all: those that were entered, and what was granted to requests that were dropped.
    pub(crate) fn assert_acquired(&self, acquired: u64) {
        let entries = self.0.lock().unwrap();
        Self::assert_lent(&entries, acquired);
    }

    fn assert_lent(entries: &Entries, acquired: u64) {
        let possible = entries.served..=entries.served + entries.granted_at_most;
        assert!(possible.contains(&acquired), "{acquired}, not {possible:?}");
    }

    /// Bytes of the buffers that are lent.
    pub(crate) fn bytes(&self) -> usize {
        self.0.lock().unwrap().lent.values().sum()
    }

    /// The figures of two pools with a budget, and the budget's own, are what was entered.
    pub(crate) fn assert_budget(&self, pools: [&PoolStats; 2], budget: &BudgetStats) {
        let entries = self.0.lock().unwrap();
        let sum = |figure: fn(&PoolStats) -> u64| pools.map(figure).into_iter().sum::<u64>();
        assert_eq!(sum(|pool| pool.refused), entries.refused, "{pools:?}");
        assert_eq!(sum(|pool| pool.timed_out), entries.timed_out, "{pools:?}");
        assert_eq!(sum(|pool| pool.abandoned), entries.abandoned, "{pools:?}");
        assert_eq!(budget.refused, entries.over_budget, "{budget:?}");
        let over_budget = budget.refused + budget.timed_out + budget.abandoned;
        assert_eq!(sum(|pool| pool.over_budget), over_budget, "{budget:?}");
        assert_eq!(sum(|pool| pool.waits_for_bytes), budget.waits, "{budget:?}");
        assert!(budget.high_water <= budget.limit, "{budget:?}");
    }

    /// Of a pool that was closed: what else waited was told so.
    pub(crate) fn assert_closed(&self, stats: &PoolStats) {
        let entries = self.0.lock().unwrap();
        Self::assert_lent(&entries, stats.acquired);
        Self::assert_ended(&entries, stats);
        let ended = stats.handed_over + stats.timed_out + stats.abandoned;
        assert!(ended <= stats.waits + entries.more, "{stats:?}");
    }

    fn assert_ended(entries: &Entries, stats: &PoolStats) {
        assert_eq!(stats.timed_out, entries.timed_out, "{stats:?}");
        assert_eq!(stats.abandoned, entries.abandoned, "{stats:?}");
    }

    pub(crate) fn served(&self) -> u64 {
        self.0.lock().unwrap().served
    }

    /// The figures of the pool, or pools, are what was entered, and nothing is out any more.
    pub(crate) fn assert_exact(&self, stats: &PoolStats) {
        let entries = self.0.lock().unwrap();
        assert!(entries.lent.is_empty());
        assert_eq!(stats.in_use, 0, "{stats:?}");
        assert_eq!(stats.available, stats.total, "{stats:?}");
        assert_eq!(stats.waiting, 0, "{stats:?}");
        assert_eq!(stats.refused, entries.refused, "{stats:?}");
        assert_eq!(stats.over_budget, entries.over_budget, "{stats:?}");
        Self::assert_ended(&entries, stats);
        Self::assert_lent(&entries, stats.acquired);
        let ended = stats.handed_over + stats.timed_out + stats.abandoned;
        // Those for many may have waited, or not.
        let waits = stats.waits..=stats.waits + entries.more;
        assert!(waits.contains(&ended), "{stats:?}");
    }
}

/// A buffer that the ledger knows of.
pub(crate) struct Held {
    buf: Option<PooledBuf>,
    ledger: Ledger,
}

impl Held {
    /// Fills the buffer, lets others run, and finds what it wrote.
    pub(crate) fn write(&mut self, id: u8) {
        let buf = self.buf.as_mut().unwrap();
        buf.clear();
        buf.extend_from_slice(&[id; SIZE]).unwrap();
        thread::yield_now();
        assert_eq!(buf[..], [id; SIZE], "another holder wrote here");
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(buf) = self.buf.take() {
            let mut entries = self.ledger.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            entries.lent.remove(&(buf.as_ptr() as usize));
            drop(entries);
            drop(buf);
        }
    }
}

/// All `max` buffers are free and all different, and there is no other; and the figures are exact before and after.
pub(crate) fn assert_whole(pool: &impl Pool, ledger: &Ledger, max: usize) {
    ledger.assert_exact(&pool.stats());
    let held: Vec<_> = (0..max).map(|_| ledger.enter(pool.acquire_for(SIZE))).collect();
    assert!(held.iter().all(Option::is_some));
    let stats = pool.stats();
    assert_eq!((stats.in_use, stats.total), (max, max), "{stats:?}");
    assert!(ledger.enter(pool.acquire_for(SIZE)).is_none());
    drop(held);
    ledger.assert_exact(&pool.stats());
}
