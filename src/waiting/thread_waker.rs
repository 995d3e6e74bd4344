//! The waker of a thread that parks until it is served.
#![forbid(unsafe_code)]

use std::cell::Cell;
use std::sync::Arc;
use std::task::{Wake, Waker};
use std::time::Duration;

use crate::base::faults::{Fault, injected};
use crate::base::sync::{Parker, Unparker, static_thread_local};

/// Parks a thread until its waker is woken. Not by the thread's own token ([`std::thread::park`]): a user may have left
/// one there, or a waker that parks may take one that was meant for this.
pub(crate) struct ThreadWaker {
    parker: Parker,
    waker: Waker,
}

static_thread_local! {
    /// This thread's, while it does not wait. A waker that waits itself, called while its thread waits, finds none here
    /// and makes another.
    static IDLE: Cell<Option<Box<ThreadWaker>>> = Cell::new(None);
}

impl ThreadWaker {
    /// This thread's, made at the first use, and anew where the thread is at its end.
    pub(crate) fn take() -> Box<Self> {
        let idle = match injected(Fault::NoThreadLocals) {
            true => None,
            false => IDLE.try_with(Cell::take).ok().flatten(),
        };
        idle.unwrap_or_else(|| {
            let parker = Parker::new();
            let waker = Waker::from(Arc::new(WakesThread(parker.unparker().clone())));
            Box::new(ThreadWaker { parker, waker })
        })
    }

    /// Keeps it for the next wait.
    pub(crate) fn keep(self: Box<Self>) {
        // Fails only where the thread is at its end: then it is dropped.
        let _ = IDLE.try_with(|idle| idle.set(Some(self)));
    }

    pub(crate) fn waker(&self) -> &Waker {
        &self.waker
    }

    /// Parks until the waker is woken, or `limit` is over, or for no reason.
    pub(crate) fn park(&self, limit: Option<Duration>) {
        match limit {
            Some(limit) => self.parker.park_timeout(limit),
            None => self.parker.park(),
        }
    }
}

struct WakesThread(Unparker);

impl Wake for WakesThread {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.unpark();
    }
}
