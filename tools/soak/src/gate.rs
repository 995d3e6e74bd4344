//! Where all threads come to rest between two rounds.
#![forbid(unsafe_code)]

use std::time::Instant;

use parking_lot::{Condvar, Mutex};

/// See the module.
pub(crate) struct Gate {
    threads: usize,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// The present round's number, from 1 on.
    round: u64,
    /// When it ends; `None` before the first, and when there are no more.
    until: Option<Instant>,
    over: bool,
    resting: usize,
}

impl Gate {
    pub(crate) fn new(threads: usize) -> Self {
        Gate {
            threads,
            state: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    /// Comes to rest after that round; returns the next one and when it ends, or `None` if there is none.
    pub(crate) fn rest(&self, after: u64) -> Option<(u64, Instant)> {
        let mut state = self.state.lock();
        state.resting += 1;
        self.changed.notify_all();
        while state.round == after && !state.over {
            self.changed.wait(&mut state);
        }
        let next = (state.round, state.until?);
        (!state.over).then_some(next)
    }

    /// Waits until all threads have come to rest.
    pub(crate) fn wait_for_rest(&self) {
        let mut state = self.state.lock();
        while state.resting < self.threads {
            self.changed.wait(&mut state);
        }
    }

    /// Begins a round. All threads are at rest.
    pub(crate) fn begin(&self, until: Instant) {
        let mut state = self.state.lock();
        state.round += 1;
        state.until = Some(until);
        state.resting = 0;
        self.changed.notify_all();
    }

    /// There are no more rounds.
    pub(crate) fn end(&self) {
        self.state.lock().over = true;
        self.changed.notify_all();
    }
}
