//! What is left to do when a lock of ours has been let go: wake whom has been served, and let others look.
#![forbid(unsafe_code)]

use std::sync::Arc;

use crate::waiting::waker::UserWaker;

/// See the module. Wakers are a user's code, which may call the pool; and what a budget has bytes for may wait in
/// another line, whose lock is not taken under one of ours.
#[derive(Default)]
#[must_use = "those that were served are not woken"]
pub(crate) struct After {
    /// Most often there is one at most.
    first: Option<UserWaker>,
    others: Vec<UserWaker>,
    kicks: Vec<Arc<dyn Kick>>,
}

/// What may have something for requests in other lines: a budget.
pub(crate) trait Kick: Send + Sync {
    /// Lets those look that it has something for. The caller holds no lock.
    fn serve(&self, after: &mut After);
}

impl After {
    /// Wakes this one.
    pub(crate) fn wake(&mut self, waker: Option<UserWaker>) {
        match self.first {
            None => self.first = waker,
            Some(_) => self.others.extend(waker),
        }
    }

    /// Lets those look that wait there: another has come to the head, or something has come back.
    pub(crate) fn kick<K: Kick + 'static>(&mut self, kick: &Arc<K>) {
        let kick: Arc<dyn Kick> = Arc::clone(kick) as _;
        if !self.kicks.iter().any(|other| Arc::ptr_eq(other, &kick)) {
            self.kicks.push(kick);
        }
    }

    /// Does it. The caller holds no lock.
    #[inline]
    pub(crate) fn settle(mut self) {
        while let Some(kick) = self.kicks.pop() {
            kick.serve(&mut self);
        }
        if let Some(waker) = self.first {
            waker.wake();
        }
        if !self.others.is_empty() {
            self.others.into_iter().for_each(UserWaker::wake);
        }
    }
}
