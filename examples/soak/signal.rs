//! A waker on which a thread waits that polls by hand.
#![forbid(unsafe_code)]

use std::sync::Arc;
use std::task::{Wake, Waker};

use parking_lot::{Condvar, Mutex};

/// See the module.
#[derive(Default)]
pub(crate) struct Signal {
    woken: Mutex<bool>,
    changed: Condvar,
}

impl Signal {
    pub(crate) fn new() -> (Arc<Signal>, Waker) {
        let signal = Arc::new(Signal::default());
        let waker = Waker::from(Arc::clone(&signal));
        (signal, waker)
    }

    /// Waits until somebody has woken it since the last time.
    pub(crate) fn wait(&self) {
        let mut woken = self.woken.lock();
        while !*woken {
            self.changed.wait(&mut woken);
        }
        *woken = false;
    }
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        *self.woken.lock() = true;
        self.changed.notify_one();
    }
}
