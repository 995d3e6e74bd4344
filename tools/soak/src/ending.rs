//! Threads that end: with full magazines, with guards in their thread-locals, by a panic.
#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::thread;

use crate::held::Held;
use crate::ledger::How;
use crate::pools::Entry;
use crate::requests::{length, moment, request};
use crate::shelf::Shelf;
use poolbuf_support::random::Random;

/// What a panic carries that is meant to be; it is raised so that no panic hook is called.
struct Deliberate;

/// What a thread leaves to the drops of its thread-locals.
struct Parting {
    held: Vec<Held>,
    entry: Arc<Entry>,
    random: Random,
}

impl Drop for Parting {
    /// The pool is used once more, when the thread's magazines may be gone already.
    fn drop(&mut self) {
        self.held.clear();
        for how in [How::Now, How::Within(moment(&mut self.random))] {
            let len = length(&self.entry, &mut self.random);
            drop(request(&self.entry, len, how, &mut self.random));
        }
    }
}

thread_local! {
    static LAST: RefCell<Vec<Parting>> = const { RefCell::new(Vec::new()) };
}

/// Runs a few threads at the same time that use `entries`, and waits until they have ended, with all their
/// thread-locals.
pub(crate) fn end_threads(shelf: &Shelf, entries: &[Arc<Entry>], random: &mut Random) {
    thread::scope(|scope| {
        let threads: Vec<_> = (0..random.between(1, 3))
            .map(|_| {
                let mut random = random.fork();
                scope.spawn(move || live_and_end(shelf, entries, &mut random))
            })
            .collect();
        // The end of the scope would not wait for thread-locals.
        for thread in threads {
            if let Err(payload) = thread.join() {
                assert!(payload.is::<Deliberate>(), "a thread panicked");
            }
        }
    });
}

fn live_and_end(shelf: &Shelf, entries: &[Arc<Entry>], random: &mut Random) {
    // Before or after the pools' own, so that the one or the other is dropped first.
    if random.once_in(2) {
        LAST.with(|_| ());
    }
    let mut held: Vec<Held> = Vec::new();
    for _ in 0..random.between(1, 60) {
        let entry = &entries[random.below(entries.len())];
        let how = match random.once_in(8) {
            true => How::Within(moment(random)),
            false => How::Now,
        };
        let len = length(entry, random);
        held.extend(request(entry, len, how, random).map(Held::Guard));
        if random.once_in(2) && !held.is_empty() {
            held.swap_remove(random.below(held.len()));
        }
        if held.len() > 6 {
            held.clear();
        }
    }
    match random.below(4) {
        0 => drop(held),
        1 => {
            for one in held {
                drop(shelf.hand_over(one, random));
            }
        }
        2 => {
            let parting = Parting {
                held,
                entry: Arc::clone(&entries[0]),
                random: random.fork(),
            };
            LAST.with_borrow_mut(|last| last.push(parting));
        }
        _ => unwind_with(held),
    }
}

fn unwind_with(_held: Vec<Held>) {
    resume_unwind(Box::new(Deliberate));
}

/// Releases them in the unwinding of a panic.
pub(crate) fn release_in_unwinding(held: Vec<Held>) {
    let unwound = catch_unwind(AssertUnwindSafe(|| unwind_with(held)));
    assert!(matches!(unwound, Err(payload) if payload.is::<Deliberate>()));
}
