//! The pools that are open, one of each kind, and what is left of those that were.
#![forbid(unsafe_code)]

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use parking_lot::Mutex;

use crate::held::Held;
use crate::ledger::{Account, Ledger};
use crate::pools::{Entry, Kind, open};
use poolbuf_support::random::Random;

/// See the module.
pub(crate) struct Shelf {
    pub(crate) account: Arc<Account>,
    places: Mutex<Vec<Arc<Entry>>>,
    /// Counts the changes of `places`.
    version: AtomicU64,
    retired: Mutex<Vec<Retired>>,
    opened: AtomicU64,
    /// Where threads hand over to each other.
    exchange: Mutex<Vec<Held>>,
}

/// A pool that was taken off the shelf.
pub(crate) enum Retired {
    /// Closed, with a handle left to look at it.
    Closed(Arc<Entry>),
    /// To be dropped by all threads that have a handle, sooner or later.
    Dropped(Arc<Ledger>),
}

/// A thread's own copy of what is on the shelf, so that it need not take the lock each time.
#[derive(Default)]
pub(crate) struct View {
    entries: Vec<Arc<Entry>>,
    version: u64,
}

impl Shelf {
    pub(crate) fn new(account: Account, random: &mut Random) -> Self {
        let shelf = Shelf {
            account: Arc::new(account),
            places: Mutex::default(),
            version: AtomicU64::new(0),
            retired: Mutex::default(),
            opened: AtomicU64::new(0),
            exchange: Mutex::default(),
        };
        let entries = Kind::ALL.map(|kind| shelf.open(kind, random));
        shelf.places.lock().extend(entries);
        shelf.version.store(1, Release);
        shelf
    }

    fn open(&self, kind: Kind, random: &mut Random) -> Arc<Entry> {
        let number = self.opened.fetch_add(1, Relaxed) + 1;
        match open(kind, number, &self.account, random) {
            Ok(entry) => Arc::new(entry),
            Err(error) => panic!("no {kind:?} pool: {error}"),
        }
    }

    /// Pools opened so far.
    pub(crate) fn opened(&self) -> u64 {
        self.opened.load(Relaxed)
    }

    /// Those that are on the shelf.
    pub(crate) fn entries(&self) -> Vec<Arc<Entry>> {
        self.places.lock().clone()
    }

    /// Takes what was taken off the shelf.
    pub(crate) fn take_retired(&self) -> Vec<Retired> {
        std::mem::take(&mut *self.retired.lock())
    }

    /// Puts a new pool of the same kind in the place of one of them.
    pub(crate) fn replace(&self, random: &mut Random) -> Arc<Entry> {
        let place = random.below(Kind::ALL.len());
        let fresh = self.open(Kind::ALL[place], random);
        let old = std::mem::replace(&mut self.places.lock()[place], Arc::clone(&fresh));
        self.version.fetch_add(1, Release);
        let retired = match random.below(3) {
            0 => Retired::Dropped(Arc::clone(&old.ledger)),
            _ => {
                let ledger = &old.ledger;
                ledger.close(|| {
                    let out = old.pool.close().outstanding();
                    let most: usize = ledger.tiers.iter().map(|tier| tier.reserve).sum();
                    assert!(out <= most, "{} was closed with {out} out", ledger.name());
                });
                match random.once_in(2) {
                    true => Retired::Dropped(Arc::clone(&old.ledger)),
                    false => Retired::Closed(old),
                }
            }
        };
        self.retired.lock().push(retired);
        fresh
    }

    /// Puts something where any thread may take it; returns what has to go to make place for it.
    pub(crate) fn hand_over(&self, held: Held, random: &mut Random) -> Option<Held> {
        let mut exchange = self.exchange.lock();
        exchange.push(held);
        if exchange.len() <= 16 {
            return None;
        }
        let which = random.below(exchange.len());
        Some(exchange.swap_remove(which))
    }

    /// Takes what some thread put there.
    pub(crate) fn take_over(&self, random: &mut Random) -> Option<Held> {
        let mut exchange = self.exchange.lock();
        if exchange.is_empty() {
            return None;
        }
        let which = random.below(exchange.len());
        Some(exchange.swap_remove(which))
    }

    /// Releases all that was handed over.
    pub(crate) fn clear_exchange(&self) {
        let held = std::mem::take(&mut *self.exchange.lock());
        drop(held);
    }
}

impl View {
    /// One of the pools.
    pub(crate) fn choose(&mut self, shelf: &Shelf, random: &mut Random) -> Arc<Entry> {
        let version = shelf.version.load(Acquire);
        if version != self.version {
            self.entries = shelf.entries();
            self.version = version;
        }
        Arc::clone(&self.entries[random.below(self.entries.len())])
    }
}
