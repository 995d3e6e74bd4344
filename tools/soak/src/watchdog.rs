//! Notices a thread that makes no progress: one that waits and is not woken.
#![forbid(unsafe_code)]

use std::fmt::Write;
use std::process;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use crate::actions::Action;
use crate::pools::Entry;
use poolbuf_support::output::complain;

/// How long a thread may take for one thing.
const PATIENCE: Duration = Duration::from_secs(30);
/// The same when all threads are at rest or wait: then no thread is left that would wake them.
const PATIENCE_AT_REST: Duration = Duration::from_secs(5);
/// How often to look.
const INTERVAL: Duration = Duration::from_secs(1);
/// How long the figures of pools may take, which may be locked for ever.
const FIGURES: Duration = Duration::from_secs(5);

/// What one thread does.
#[derive(Default)]
pub(crate) struct Progress {
    steps: AtomicU64,
    doing: Mutex<Doing>,
}

#[derive(Clone, Default)]
struct Doing {
    /// `None` at rest, where it may stay.
    action: Option<Action>,
    pool: Option<Arc<Entry>>,
}

impl Progress {
    pub(crate) fn begin(&self, action: Action, pool: Option<&Arc<Entry>>) {
        self.steps.fetch_add(1, Relaxed);
        *self.doing.lock() = Doing {
            action: Some(action),
            pool: pool.cloned(),
        };
    }

    /// Whether it is at rest, or waits until it is served.
    fn may_stay(&self) -> bool {
        self.doing.lock().action.is_none_or(Action::waits)
    }

    /// Comes to rest.
    pub(crate) fn rest(&self) {
        self.steps.fetch_add(1, Relaxed);
        *self.doing.lock() = Doing::default();
    }
}

/// Looks until it is told that all is over. The last of `threads` is the one that begins rounds and checks balances.
pub(crate) struct Watchdog {
    pub(crate) threads: Vec<Progress>,
    over: Mutex<bool>,
    changed: Condvar,
}

impl Watchdog {
    pub(crate) fn new(threads: usize) -> Self {
        Watchdog {
            threads: (0..threads).map(|_| Progress::default()).collect(),
            over: Mutex::new(false),
            changed: Condvar::new(),
        }
    }

    pub(crate) fn end(&self) {
        *self.over.lock() = true;
        self.changed.notify_all();
    }

    /// Ends the program with `status` if a thread makes no progress.
    pub(crate) fn watch(&self, seed: u64, status: i32) {
        let now = Instant::now();
        let mut last = vec![(0, now); self.threads.len()];
        let mut over = self.over.lock();
        while !*over {
            self.changed.wait_for(&mut over, INTERVAL);
            let patience = match self.threads.iter().all(Progress::may_stay) {
                true => PATIENCE_AT_REST,
                false => PATIENCE,
            };
            for (progress, (steps, since)) in self.threads.iter().zip(&mut last) {
                let now_at = progress.steps.load(Relaxed);
                if now_at != *steps || progress.doing.lock().action.is_none() {
                    (*steps, *since) = (now_at, Instant::now());
                } else if since.elapsed() > patience {
                    complain(&format!("a thread made no progress for {patience:?} (seed {seed}):"));
                    self.print();
                    process::exit(status);
                }
            }
        }
    }

    /// What every thread does.
    fn print(&self) {
        let mut pools: Vec<Arc<Entry>> = Vec::new();
        for (number, progress) in self.threads.iter().enumerate() {
            let Doing { action, pool } = progress.doing.lock().clone();
            let mut line = format!("thread {number}: ");
            match action {
                Some(action) => _ = write!(line, "{action:?}"),
                None => line.push_str("at rest"),
            }
            if let Some(pool) = pool {
                _ = write!(line, " at {}", pool.ledger.name());
                if !pools.iter().any(|other| Arc::ptr_eq(other, &pool)) {
                    pools.push(pool);
                }
            }
            complain(&line);
        }
        let (done, is_done) = mpsc::channel();
        thread::spawn(move || {
            for entry in pools {
                let lent = entry.ledger.tiers.iter().map(|tier| tier.lent());
                let lent: Vec<usize> = lent.collect();
                complain(&format!("{}: lent {lent:?}", entry.ledger.name()));
                complain(&entry.pool.stats().report());
            }
            let _ = done.send(());
        });
        if is_done.recv_timeout(FIGURES).is_err() {
            complain(&format!("a pool does not give its figures within {FIGURES:?}"));
        }
    }
}
