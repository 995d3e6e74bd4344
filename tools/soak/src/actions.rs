//! What the threads did, by kind.
#![forbid(unsafe_code)]

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use poolbuf_support::random::Random;

macro_rules! actions {
    ($($action:ident $weight:literal $name:literal,)*) => {
        /// What a thread can do next.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Action {
            $(#[doc = $name] $action,)*
        }

        impl Action {
            const ALL: &[(Action, usize, &str)] = &[$((Action::$action, $weight, $name),)*];
        }
    };
}

// How often, in proportion, and what it is called.
actions! {
    Acquire 240 "acquire at once",
    AcquireAll 2 "acquire until refused",
    AcquireMany 60 "acquire many at once",
    AcquireTooMuch 4 "ask for more than there can be",
    WaitShortly 40 "wait for a moment",
    WaitShortlyForMany 20 "wait for many for a moment",
    WaitForMany 6 "wait for many until served",
    WaitForEver 12 "wait until served",
    Cancel 40 "begin to wait, and cancel",
    CancelMany 20 "begin to wait for many, and cancel",
    AwaitMany 5 "await many",
    Await 10 "await",
    AwaitSeveral 4 "await several at once",
    Verify 60 "look at what is held",
    Rewrite 60 "write anew",
    Release 240 "release",
    ReleaseAll 10 "release everything",
    HandOver 60 "hand over to another thread",
    TakeOver 60 "take over from another thread",
    Freeze 24 "freeze",
    Split 40 "clone or slice what is frozen",
    Resize 20 "change a max",
    Trim 4 "trim",
    Look 12 "statistics and holders",
    Replace 1 "replace a pool",
    Unwind 4 "release in unwinding",
    EndThreads 1 "threads that end",
}

impl Action {
    /// Whether a thread does that until another one wakes it.
    pub(crate) fn waits(self) -> bool {
        use Action::{Await, AwaitMany, AwaitSeveral, WaitForEver, WaitForMany};
        matches!(self, WaitForEver | WaitForMany | Await | AwaitMany | AwaitSeveral)
    }

    pub(crate) fn choose(random: &mut Random) -> Action {
        let total = Action::ALL.iter().map(|(_, weight, _)| weight).sum();
        let mut left = random.below(total);
        for &(action, weight, _) in Action::ALL {
            match left.checked_sub(weight) {
                Some(less) => left = less,
                None => return action,
            }
        }
        Action::Acquire
    }
}

/// How often each was done.
pub(crate) struct Tally {
    counts: Vec<AtomicU64>,
}

impl Tally {
    pub(crate) fn new() -> Self {
        Tally {
            counts: Action::ALL.iter().map(|_| AtomicU64::new(0)).collect(),
        }
    }

    pub(crate) fn count(&self, action: Action) {
        self.counts[action as usize].fetch_add(1, Relaxed);
    }

    pub(crate) fn total(&self) -> u64 {
        self.counts.iter().map(|count| count.load(Relaxed)).sum()
    }

    /// What was done, and how often.
    pub(crate) fn by_kind(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        let names = Action::ALL.iter().map(|&(_, _, name)| name);
        names.zip(self.counts.iter().map(|count| count.load(Relaxed)))
    }
}
