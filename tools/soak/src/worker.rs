//! A thread that goes on through all rounds, and does one thing after the other.
#![forbid(unsafe_code)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::actions::{Action, Tally};
use crate::ending::{end_threads, release_in_unwinding};
use crate::gate::Gate;
use crate::held::{Guard, Held};
use crate::ledger::How;
use crate::pools::Entry;
use crate::requests::{cancel, cancel_many, count, length, moment, request, request_from_all, request_many};
use crate::resizing::resize;
use crate::shelf::{Shelf, View};
use crate::watchdog::Progress;
use poolbuf_support::random::Random;

/// Most buffers that one thread holds for longer.
const MOST: usize = 8;

/// As good as for ever, but the thread parks with a limit.
const AN_HOUR: Duration = Duration::from_secs(3600);

/// What all threads share.
pub(crate) struct Common {
    pub(crate) shelf: Shelf,
    pub(crate) gate: Gate,
    pub(crate) tally: Tally,
}

/// See the module.
pub(crate) struct Worker<'a> {
    common: &'a Common,
    progress: &'a Progress,
    random: Random,
    view: View,
    held: Vec<Held>,
}

impl<'a> Worker<'a> {
    pub(crate) fn new(common: &'a Common, progress: &'a Progress, random: Random) -> Self {
        Worker {
            common,
            progress,
            random,
            view: View::default(),
            held: Vec::new(),
        }
    }

    /// Goes on until there are no more rounds.
    pub(crate) fn run(mut self) {
        let mut round = 0;
        loop {
            self.progress.rest();
            let Some((next, until)) = self.common.gate.rest(round) else {
                return;
            };
            round = next;
            while Instant::now() < until {
                self.step();
            }
            self.release_everything();
            // The last handle of a pool that is no longer on the shelf may be this one's.
            self.view = View::default();
        }
    }

    fn step(&mut self) {
        let action = Action::choose(&mut self.random);
        let entry = self.view.choose(&self.common.shelf, &mut self.random);
        self.progress.begin(action, Some(&entry));
        self.common.tally.count(action);
        match action {
            Action::Acquire => self.request(&entry, How::Now),
            Action::AcquireAll => self.acquire_all(&entry),
            Action::AcquireMany => self.request_many(&entry, How::Now),
            Action::AcquireTooMuch => self.acquire_too_much(&entry),
            Action::WaitShortly => {
                let limit = moment(&mut self.random);
                self.request(&entry, How::Within(limit));
            }
            Action::WaitShortlyForMany => {
                let limit = moment(&mut self.random);
                self.request_many(&entry, How::Within(limit));
            }
            Action::WaitForMany => {
                self.release_everything();
                let limit = self.random.choose(&[Duration::MAX, AN_HOUR]);
                self.request_many(&entry, How::Within(limit));
            }
            Action::WaitForEver => {
                self.release_everything();
                let limit = self.random.choose(&[Duration::MAX, AN_HOUR]);
                self.request(&entry, How::Within(limit));
            }
            Action::Cancel => self.cancel(&entry),
            Action::CancelMany => self.cancel_many(&entry),
            Action::AwaitMany => {
                self.release_everything();
                self.request_many(&entry, How::Polled);
            }
            Action::Await => {
                self.release_everything();
                self.request(&entry, How::Polled);
            }
            Action::AwaitSeveral => {
                self.release_everything();
                let entries = self.several(entry);
                request_from_all(&entries, &mut self.random);
            }
            Action::Verify => self.held.iter().for_each(Held::verify),
            Action::Rewrite => self.rewrite(),
            Action::Release => drop(self.take_one()),
            Action::ReleaseAll => self.held.clear(),
            Action::HandOver => {
                if let Some(one) = self.take_one() {
                    drop(self.common.shelf.hand_over(one, &mut self.random));
                }
            }
            Action::TakeOver => {
                let one = self.common.shelf.take_over(&mut self.random);
                if let Some(one) = one {
                    one.verify();
                    self.keep(one);
                }
            }
            Action::Freeze => match self.take_one() {
                Some(Held::Guard(guard)) => self.keep(guard.freeze()),
                one => self.held.extend(one),
            },
            Action::Split => self.split(),
            Action::Resize => resize(&entry, &mut self.random),
            Action::Trim => trim(&entry),
            Action::Look => self.look(&entry),
            Action::Replace => {
                drop(entry);
                self.replace();
            }
            Action::Unwind => {
                let held = self.held.split_off(self.held.len() / 2);
                release_in_unwinding(held);
            }
            Action::EndThreads => {
                let entries = self.several(entry);
                end_threads(&self.common.shelf, &entries, &mut self.random);
            }
        }
    }

    /// So that a thread that waits for ever, as this one may do next, can be served: what lies in the exchange
    /// would serve no thread if all of them waited.
    fn release_everything(&mut self) {
        self.held.clear();
        self.common.shelf.clear_exchange();
    }

    fn keep(&mut self, one: Held) {
        if self.held.len() >= MOST {
            drop(self.take_one());
        }
        self.held.push(one);
    }

    fn take_one(&mut self) -> Option<Held> {
        if self.held.is_empty() {
            return None;
        }
        let which = self.random.below(self.held.len());
        Some(self.held.swap_remove(which))
    }

    fn several(&mut self, first: Arc<Entry>) -> Vec<Arc<Entry>> {
        let more = self.random.between(0, 3);
        let mut entries = vec![first];
        entries.extend((0..more).map(|_| self.view.choose(&self.common.shelf, &mut self.random)));
        entries
    }

    fn request(&mut self, entry: &Entry, how: How) {
        let len = length(entry, &mut self.random);
        let served = request(entry, len, how, &mut self.random);
        if let Some(guard) = served {
            self.keep(Held::Guard(guard));
        }
    }

    fn request_many(&mut self, entry: &Entry, how: How) {
        let (len, count) = self.many(entry);
        let served = request_many(entry, len, count, how, &mut self.random);
        self.keep_some(served);
    }

    fn many(&mut self, entry: &Entry) -> (usize, usize) {
        let len = length(entry, &mut self.random);
        (len, count(entry, &mut self.random))
    }

    /// As many as it may hold for longer.
    fn keep_some(&mut self, served: Vec<Guard>) {
        served.iter().for_each(Guard::verify);
        for guard in served {
            self.keep(Held::Guard(guard));
        }
    }

    fn acquire_all(&mut self, entry: &Entry) {
        let len = length(entry, &mut self.random);
        let random = &mut self.random;
        let all = std::iter::from_fn(|| request(entry, len, How::Now, random));
        // Roomy pools have more.
        let all: Vec<Guard> = all.take(40).collect();
        all.iter().for_each(Guard::verify);
    }

    fn acquire_too_much(&mut self, entry: &Entry) {
        let largest = entry.ledger.max_len();
        let len = match self.random.once_in(2) {
            true => largest + 1,
            false => usize::MAX,
        };
        let limit = Duration::MAX;
        for how in [How::Now, How::Within(limit), How::Polled] {
            let served = request(entry, len, how, &mut self.random);
            assert!(served.is_none(), "{}", entry.ledger.name());
        }
    }

    fn cancel(&mut self, entry: &Entry) {
        let len = length(entry, &mut self.random);
        let held = &mut self.held;
        let meanwhile = |_: &mut Random| drop(held.pop());
        let served = cancel(entry, len, &mut self.random, meanwhile);
        if let Some(guard) = served {
            self.keep(Held::Guard(guard));
        }
    }

    fn cancel_many(&mut self, entry: &Entry) {
        let (len, count) = self.many(entry);
        let held = &mut self.held;
        let meanwhile = |_: &mut Random| drop(held.pop());
        let served = cancel_many(entry, len, count, &mut self.random, meanwhile);
        self.keep_some(served);
    }

    fn rewrite(&mut self) {
        if let Some(mut one) = self.take_one() {
            if let Held::Guard(guard) = &mut one {
                guard.rewrite(&mut self.random);
            }
            self.held.push(one);
        }
    }

    fn split(&mut self) {
        let frozen = self.held.iter().find_map(|one| match one {
            Held::Frozen(frozen) => Some(frozen),
            Held::Guard(_) => None,
        });
        let piece = frozen.and_then(|frozen| frozen.piece(&mut self.random));
        if let Some(piece) = piece {
            self.keep(Held::Frozen(piece));
        }
    }

    fn look(&mut self, entry: &Entry) {
        let name = entry.ledger.name();
        let stats = entry.pool.stats();
        assert_eq!(stats.total, stats.in_use + stats.available, "{name}");
        assert!(!stats.to_string().is_empty() && !stats.report().is_empty());
        let most: usize = entry.ledger.tiers.iter().map(|tier| tier.reserve).sum();
        let holders = entry.pool.holders();
        let tracked = entry.ledger.features.tracked;
        assert!(tracked || holders.lines().is_empty(), "{name}: {holders}");
        assert!(!tracked || holders.outstanding() <= most, "{name}");
        let budget = &self.common.shelf.account.budget;
        assert!(budget.lent() <= budget.stats().limit, "{budget:?}");
    }

    /// Puts a new pool on the shelf, and asks it first.
    fn replace(&mut self) {
        let fresh = self.common.shelf.replace(&mut self.random);
        self.request(&fresh, How::Now);
    }
}

/// Gives memory of free buffers back.
fn trim(entry: &Entry) {
    let ledger = &entry.ledger;
    // At most a cache line and the alignment between two buffers, and half a page at either end.
    let between = ledger.features.alignment + 64;
    let bytes = ledger.tiers.iter().map(|tier| tier.reserve * (tier.size + between));
    let most = bytes.sum::<usize>() + 4096 * ledger.tiers.len();
    let trimmed = entry.pool.trim();
    let name = ledger.name();
    assert!(trimmed <= most, "{name} gave back {trimmed} bytes of {most}");
}
