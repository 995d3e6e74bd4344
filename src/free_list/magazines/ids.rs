//! Small numbers for the pools that have magazines: no two living pools have the same.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;

use crate::sync::StaticMutex;

/// The numbers in use. The smallest free one is given to the next pool, so that the tables which threads keep by them
/// stay short.
struct Ids {
    next: u32,
    free: BTreeSet<u32>,
}

static IDS: StaticMutex<Ids> = StaticMutex::new(Ids {
    next: 0,
    free: BTreeSet::new(),
});

/// A number for a new pool.
pub(super) fn take() -> u32 {
    let mut ids = IDS.lock();
    ids.free.pop_first().unwrap_or_else(|| {
        // Each number in use belongs to a pool of some hundred bytes, so there are not as many as a `u32`
        // can count.
        ids.next += 1;
        ids.next - 1
    })
}

/// The pool with this number is gone.
pub(super) fn give_back(id: u32) {
    IDS.lock().free.insert(id);
}
