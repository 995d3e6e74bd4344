//! What is known of a pool from outside: which buffers are lent, what was asked for and how it ended.
//!
//! Kept so that it orders nothing between threads that the pool does not order itself, or else it would hide from the
//! thread sanitizer what the pool forgets: relaxed atomics, and fences, of which that sanitizer knows nothing. A buffer
//! counts as lent from after its acquire until before its release; so never more are counted than are lent.
#![forbid(unsafe_code)]

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, fence};
use std::time::Duration;

use parking_lot::Mutex;
use poolbuf::{AcquireError, Budget, PooledBuf, Wipe};

/// What a pool is like, as far as it is checked.
pub(crate) struct Features {
    pub(crate) name: String,
    /// Bytes, buffers at most, and what that can be raised to, for each size; smallest first.
    pub(crate) tiers: Vec<(usize, usize, usize)>,
    /// Whether a larger buffer may serve in place of one that is out.
    pub(crate) next_tier: bool,
    pub(crate) alignment: usize,
    pub(crate) wipe: Wipe,
    /// Whether requests can wait; all pools of the crate's can.
    pub(crate) waits: bool,
    /// Whether buffers have a number of their own.
    pub(crate) numbered: bool,
    /// No more buffers are asked for than there are, so no request may be refused.
    pub(crate) roomy: bool,
    pub(crate) tracked: bool,
    /// Requests that may wait at most for buffers of a size, if there is a limit.
    pub(crate) max_waiting: Option<usize>,
    pub(crate) account: Option<Arc<Account>>,
}

/// A budget, and what is lent of it as far as the ledgers know.
pub(crate) struct Account {
    pub(crate) budget: Budget,
    lent: AtomicUsize,
    /// Requests to all its pools that were refused for its sake.
    pub(crate) refused: AtomicU64,
}

impl Account {
    pub(crate) fn new(bytes: usize) -> Self {
        Account {
            budget: Budget::new(bytes),
            lent: AtomicUsize::new(0),
            refused: AtomicU64::new(0),
        }
    }
}

/// See the module.
pub(crate) struct Ledger {
    pub(crate) features: Features,
    pub(crate) tiers: Vec<Tier>,
    /// Buffers that were lent, and requests that were refused, refused for the sake of the budget, and late.
    pub(crate) served: AtomicU64,
    /// Buffers that may have been granted to a request just before that was dropped.
    pub(crate) perhaps_granted: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) over_budget: AtomicU64,
    pub(crate) timed_out: AtomicU64,
    /// Requests that were dropped while they waited; and those that perhaps were, since a waker's panic had made them
    /// begin anew.
    pub(crate) abandoned: AtomicU64,
    pub(crate) perhaps_abandoned: AtomicU64,
    /// A thread is about to close the pool, or has closed it.
    closing: AtomicBool,
    /// It has been closed.
    closed: AtomicBool,
}

/// The buffers of one size.
pub(crate) struct Tier {
    pub(crate) size: usize,
    pub(crate) reserve: usize,
    /// The present max. Changed under `resizing`.
    max: AtomicUsize,
    /// Odd while the max is being changed.
    changes: AtomicUsize,
    resizing: Mutex<()>,
    /// Those that are lent, by number.
    held: Vec<AtomicBool>,
    lent: AtomicUsize,
    /// Of a roomy pool: buffers that are lent or asked for.
    claims: AtomicUsize,
}

/// How a request asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// `acquire_for`.
    Now,
    /// `acquire_timeout`.
    Within(Duration),
    /// `acquire_async`.
    Polled,
}

/// A request under way. It ends with [`Ledger::end`] or [`Ledger::cancel`].
pub(crate) struct Request {
    len: usize,
    /// Buffers that it asks for.
    count: usize,
    how: How,
    /// Which size fits; `None` if none does.
    home: Option<usize>,
    was_closed: bool,
    /// Of the fitting size and the next: how often the max had changed, and what it was.
    before: [(usize, usize); 2],
}

/// A buffer that counts as lent.
pub(crate) struct Loan {
    ledger: Arc<Ledger>,
    tier: usize,
    /// Which size fitted: that has the claim.
    home: usize,
    slot: Option<usize>,
}

impl Tier {
    /// How often the max was changed, and what it is.
    fn seen(&self) -> (usize, usize) {
        let changes = self.changes.load(Acquire);
        (changes, self.max.load(Acquire))
    }

    pub(crate) fn max(&self) -> usize {
        self.max.load(Acquire)
    }

    pub(crate) fn lent(&self) -> usize {
        self.lent.load(Relaxed)
    }

    pub(crate) fn claims(&self) -> usize {
        self.claims.load(Relaxed)
    }

    /// Lets `change` change the max that it is given, and return what it is then.
    pub(crate) fn resize(&self, change: impl FnOnce(usize) -> usize) {
        let _resizing = self.resizing.lock();
        self.changes.fetch_add(1, SeqCst);
        let after = change(self.max());
        self.max.store(after, Release);
        self.changes.fetch_add(1, SeqCst);
    }
}

impl Ledger {
    pub(crate) fn new(features: Features) -> Self {
        let tier = |&(size, max, reserve): &(usize, usize, usize)| Tier {
            size,
            reserve,
            max: AtomicUsize::new(max),
            changes: AtomicUsize::new(0),
            resizing: Mutex::new(()),
            held: (0..reserve).map(|_| AtomicBool::new(false)).collect(),
            lent: AtomicUsize::new(0),
            claims: AtomicUsize::new(0),
        };
        Ledger {
            tiers: features.tiers.iter().map(tier).collect(),
            features,
            served: AtomicU64::new(0),
            perhaps_granted: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            over_budget: AtomicU64::new(0),
            timed_out: AtomicU64::new(0),
            abandoned: AtomicU64::new(0),
            perhaps_abandoned: AtomicU64::new(0),
            closing: AtomicBool::new(false),
            closed: AtomicBool::new(false),
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.features.name
    }

    pub(crate) fn poisoned(&self) -> bool {
        self.features.wipe == Wipe::Poison
    }

    /// Bytes that the largest buffers hold.
    pub(crate) fn max_len(&self) -> usize {
        self.tiers.last().map_or(0, |tier| tier.size)
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Acquire)
    }

    /// Lets `close` close the pool.
    pub(crate) fn close(&self, close: impl FnOnce()) {
        self.closing.store(true, SeqCst);
        close();
        self.closed.store(true, Release);
    }

    /// Which size fits.
    fn home(&self, len: usize) -> Option<usize> {
        self.tiers.iter().position(|tier| len <= tier.size)
    }

    /// Begins a request. `None` if it may not be made: of a roomy pool, since all buffers may be lent.
    pub(crate) fn begin(&self, len: usize, how: How) -> Option<Request> {
        self.begin_many(len, 1, how)
    }

    /// As `begin`, for `count` buffers at once, all or none.
    pub(crate) fn begin_many(&self, len: usize, count: usize, how: How) -> Option<Request> {
        let home = self.home(len);
        if let Some(home) = home.filter(|_| self.features.roomy) {
            let tier = &self.tiers[home];
            if tier.claims.fetch_add(count, Relaxed) + count > tier.max() {
                self.give_up_claims(home, count);
                return None;
            }
            fence(SeqCst);
        }
        let seen = |tier: Option<usize>| {
            let tier = tier.and_then(|tier| self.tiers.get(tier));
            tier.map_or((0, 0), Tier::seen)
        };
        Some(Request {
            len,
            count,
            how,
            home,
            was_closed: self.is_closed(),
            before: [seen(home), seen(home.map(|home| home + 1))],
        })
    }

    fn give_up_claims(&self, home: usize, count: usize) {
        if self.features.roomy {
            fence(SeqCst);
            self.tiers[home].claims.fetch_sub(count, Relaxed);
        }
    }

    /// Counts a request that was dropped while it waited, or perhaps waited.
    pub(crate) fn count_dropped(&self, request: &Request, waited: bool) {
        let dropped = match waited {
            true => &self.abandoned,
            false => &self.perhaps_abandoned,
        };
        dropped.fetch_add(1, Relaxed);
        self.perhaps_granted.fetch_add(request.count as u64, Relaxed);
    }

    /// Ends a request whose future was dropped.
    pub(crate) fn cancel(&self, request: &Request) {
        if let Some(home) = request.home {
            self.give_up_claims(home, request.count);
        }
    }

    /// Counts how a request for one ended.
    pub(crate) fn count<T>(&self, result: &Result<T, AcquireError>) {
        self.count_many(result.as_ref().map(|_| 1));
    }

    /// Counts how a request ended: with so many buffers, or with that error.
    fn count_many(&self, ending: Result<u64, &AcquireError>) {
        let counter = match ending {
            Ok(buffers) => {
                self.served.fetch_add(buffers, Relaxed);
                return;
            }
            Err(AcquireError::Exhausted { .. } | AcquireError::TooManyWaiting { .. }) => &self.refused,
            Err(AcquireError::OverBudget { .. }) => {
                self.over_budget.fetch_add(1, Relaxed);
                if let Some(account) = &self.features.account {
                    account.refused.fetch_add(1, Relaxed);
                }
                &self.refused
            }
            Err(AcquireError::TimedOut { .. }) => &self.timed_out,
            Err(_) => return,
        };
        counter.fetch_add(1, Relaxed);
    }

    /// Ends a request with its result: fails if it may not end like that.
    pub(crate) fn end(
        self: &Arc<Self>,
        request: &Request,
        result: Result<PooledBuf, AcquireError>,
    ) -> Option<(PooledBuf, Loan)> {
        self.end_many(request, result.map(|buf| vec![buf])).pop()
    }

    /// As `end`, for a request for many.
    pub(crate) fn end_many(
        self: &Arc<Self>,
        request: &Request,
        result: Result<Vec<PooledBuf>, AcquireError>,
    ) -> Vec<(PooledBuf, Loan)> {
        self.count_many(result.as_ref().map(|bufs| bufs.len() as u64));
        match result {
            Ok(bufs) => {
                assert_eq!(bufs.len(), request.count, "{}", self.name());
                let sizes = bufs.iter().map(PooledBuf::capacity);
                assert_eq!(sizes.clone().min(), sizes.max(), "{}", self.name());
                let lend = |buf| {
                    let loan = self.lend(request, &buf);
                    (buf, loan)
                };
                bufs.into_iter().map(lend).collect()
            }
            Err(error) => {
                self.verify_error(request, &error);
                self.cancel(request);
                Vec::new()
            }
        }
    }

    fn lend(self: &Arc<Self>, request: &Request, buf: &PooledBuf) -> Loan {
        let name = self.name();
        assert!(!request.was_closed, "{name} lends a buffer after it was closed");
        let fitting = request.home.zip(self.home(buf.capacity()));
        let Some((home, number)) = fitting else {
            panic!("{name} lends {} bytes for {}", buf.capacity(), request.len);
        };
        let allowed = home..=home + usize::from(self.features.next_tier);
        let tier = &self.tiers[number];
        assert!(
            allowed.contains(&number) && buf.capacity() == tier.size,
            "{name} lends {} bytes for {}",
            buf.capacity(),
            request.len,
        );
        assert!(buf.is_empty(), "a fresh buffer of {name} is not empty");
        let address = buf.as_ptr() as usize;
        assert_eq!(address % self.features.alignment, 0, "alignment of {name}");
        let slot = buf.slot();
        assert_eq!(slot.is_some(), self.features.numbered, "of {name}");
        if let Some(slot) = slot {
            let was_held = tier.held[slot].swap(true, Relaxed);
            assert!(!was_held, "buffer {slot} of {name} is lent twice");
        }
        fence(SeqCst);
        let lent = tier.lent.fetch_add(1, Relaxed) + 1;
        fence(SeqCst);
        let (changes, max) = request.before[number - home];
        // Else the max was changed meanwhile, and it may have been lent when that was larger.
        let settled = changes % 2 == 0 && changes == tier.changes.load(Acquire);
        let most = if settled { max } else { tier.reserve };
        assert!(lent <= most, "{name} lends {lent} buffers of {most}");
        if let Some(account) = &self.features.account {
            let bytes = account.lent.fetch_add(tier.size, Relaxed) + tier.size;
            let limit = account.budget.stats().limit;
            assert!(bytes <= limit, "{bytes} bytes are lent of a budget of {limit}");
        }
        Loan {
            ledger: Arc::clone(self),
            tier: number,
            home,
            slot,
        }
    }

    fn verify_error(&self, request: &Request, error: &AcquireError) {
        let features = &self.features;
        let closing = self.closing.load(SeqCst);
        let may_be_out = request.home.is_some() && !request.was_closed && !features.roomy;
        let refuses = may_be_out && (request.how == How::Now || !features.waits);
        // Where the next size may serve too, it speaks too; or alone, where the one that fits is closed already.
        let speaks = 1 + usize::from(features.next_tier);
        let speaking = |home: usize| self.tiers[home..].iter().take(speaks);
        let counts = |home: usize| -> RangeInclusive<usize> { 0..=speaking(home).map(|tier| tier.reserve).sum() };
        // Where no max has been changed meanwhile, so many are free as are too few in each, or else they are owed.
        let too_few = |home: usize, free: usize, first_wants: u32| {
            let mut seen = speaking(home).map(Tier::seen).zip(request.before);
            let settled = seen.all(|((now, _), (before, _))| now % 2 == 0 && now == before);
            !settled || first_wants > 0 || free < speaks * request.count
        };
        let allowed = match error {
            &AcquireError::TooLarge { requested, max, .. } => {
                request.home.is_none() && (requested, max) == (request.len, self.max_len())
            }
            &AcquireError::TooMany { requested, .. } => {
                // Where the max has not been changed meanwhile, it is lower, or the budget is.
                let lower = request.home.is_some_and(|home| {
                    let (changes, max) = request.before[0];
                    let settled = changes % 2 == 0 && self.tiers[home].seen().0 == changes;
                    !settled || requested > max || features.account.is_some() || closing
                });
                requested == request.count && requested > 1 && lower && !features.roomy
            }
            AcquireError::Closed { .. } => request.home.is_some() && closing,
            AcquireError::Exhausted {
                in_use,
                max,
                first_wants,
                held_by,
                ..
            } => {
                let counts = request.home.map_or(0..=0, counts);
                let free = max.saturating_sub(*in_use);
                refuses
                    && counts.contains(in_use)
                    && counts.contains(max)
                    && (request.home).is_some_and(|home| too_few(home, free, *first_wants))
                    // One of two may have more in use than its max, which was lowered, and the other free ones.
                    && (free > 0 || *first_wants == 0 || features.next_tier)
                    && (features.tracked || held_by.is_none())
            }
            &AcquireError::OverBudget {
                requested,
                lent,
                budget,
                waiting,
                ..
            } => {
                let limit = features.account.as_ref().map(|it| it.budget.stats().limit);
                let lacks = waiting > 0 || lent + requested > budget;
                refuses && limit == Some(budget) && lent <= budget && lacks
            }
            &AcquireError::TooManyWaiting { waiting, .. } => {
                may_be_out && request.how != How::Now && features.max_waiting == Some(waiting)
            }
            AcquireError::TimedOut { waited, why, .. } => {
                let known = matches!(
                    why.as_deref(),
                    Some(AcquireError::Exhausted { .. } | AcquireError::OverBudget { .. }) | None
                );
                let late = matches!(request.how, How::Within(limit) if *waited >= limit);
                may_be_out && known && late
            }
            _ => false,
        };
        let name = self.name();
        let (len, how) = (request.len, request.how);
        assert!(
            allowed,
            "{name} answers a request for {len} bytes ({how:?}, closing: {closing}) with: {error:?}"
        );
    }
}

impl Loan {
    pub(crate) fn ledger(&self) -> &Arc<Ledger> {
        &self.ledger
    }

    /// The buffer is about to be released.
    pub(crate) fn releasing(&self) {
        let Ledger { features, tiers, .. } = &*self.ledger;
        let tier = &tiers[self.tier];
        if let Some(slot) = self.slot {
            tier.held[slot].store(false, Relaxed);
        }
        tier.lent.fetch_sub(1, Relaxed);
        if let Some(account) = &features.account {
            account.lent.fetch_sub(tier.size, Relaxed);
        }
        fence(SeqCst);
    }

    /// The buffer has been released.
    pub(crate) fn released(&self) {
        self.ledger.give_up_claims(self.home, 1);
    }
}
