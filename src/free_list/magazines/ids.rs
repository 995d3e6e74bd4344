//! Small numbers for the pools that have magazines: no two living pools have the same.
#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::collections::BTreeSet;

use crate::base::sync::{IN_MODEL, StaticMutex};

/// The numbers in use. The smallest free one is given to the next pool, so that the tables which threads keep by them
/// stay short.
struct Ids {
    next: u32,
    free: BTreeSet<u32>,
}

impl Ids {
    const fn new() -> Self {
        Ids {
            next: 0,
            free: BTreeSet::new(),
        }
    }
}

static IDS: StaticMutex<Ids> = StaticMutex::new(Ids::new());

std::thread_local! {
    /// A model's own: it runs on one thread of the system. If those that run at the same time shared their numbers,
    /// none could repeat a schedule.
    static IDS_OF_MODEL: RefCell<Ids> = const { RefCell::new(Ids::new()) };
}

fn with_ids<R>(f: impl FnOnce(&mut Ids) -> R) -> R {
    if IN_MODEL {
        IDS_OF_MODEL.with_borrow_mut(f)
    } else {
        f(&mut IDS.lock())
    }
}

/// A number for a new pool.
pub(super) fn take() -> u32 {
    with_ids(|ids| {
        ids.free.pop_first().unwrap_or_else(|| {
            // Each number in use belongs to a pool of some hundred bytes, so there are not as many as a `u32`
            // can count.
            ids.next += 1;
            ids.next - 1
        })
    })
}

/// The pool with this number is gone.
pub(super) fn give_back(id: u32) {
    with_ids(|ids| ids.free.insert(id));
}
