//! Wakers, which are a user's code and may panic wherever they are cloned, woken or dropped.
#![forbid(unsafe_code)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Waker;

/// A clone of a user's waker. Should waking or dropping it panic, that ends here: what wakes is often the drop of a
/// guard. The panic's message has been printed by then. None is woken or dropped under a lock of ours, since it may
/// call the pool.
pub(crate) struct UserWaker(Option<Waker>);

impl UserWaker {
    /// A clone of `waker`. Calls the user's code, which may panic; so its caller holds nothing that could be lost.
    pub(crate) fn clone_of(waker: &Waker) -> Self {
        UserWaker(Some(waker.clone()))
    }

    pub(crate) fn wake(mut self) {
        if let Some(waker) = self.0.take() {
            contain(|| waker.wake());
        }
    }

    /// Whether it wakes what `waker` does.
    pub(crate) fn will_wake(&self, waker: &Waker) -> bool {
        self.0.as_ref().is_some_and(|own| own.will_wake(waker))
    }
}

impl Drop for UserWaker {
    fn drop(&mut self) {
        if let Some(waker) = self.0.take() {
            contain(|| drop(waker));
        }
    }
}

fn contain(users_code: impl FnOnce()) {
    // Nothing of ours is in there.
    let Err(panic) = catch_unwind(AssertUnwindSafe(users_code)) else {
        return;
    };
    // What it carried is a user's too. If even its drop panics, what that carries is leaked.
    if let Err(another) = catch_unwind(AssertUnwindSafe(|| drop(panic))) {
        std::mem::forget(another);
    }
}
