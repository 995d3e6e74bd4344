//! What the pools should be like, as far as one thread can tell: what is lent is a number for each size, and the
//! requests that wait are a list.
//!
//! Simple enough to be right, and slow: every question is answered by looking at everything.

use std::collections::{BTreeMap, VecDeque};
use std::task::Poll;
use std::time::Duration;

use poolbuf::{AcquireError, PoolStats};

use crate::setup::{Setup, Tier};

/// All pools, their budget, and the requests that wait.
pub(crate) struct Model {
    pub(crate) pools: Vec<PoolModel>,
    /// Of all pools, side by side.
    pub(crate) tiers: Vec<TierModel>,
    budget: Option<BudgetModel>,
    requests: BTreeMap<usize, Request>,
    /// The next request's number.
    next: usize,
}

/// One pool.
pub(crate) struct PoolModel {
    /// What its name and those of its tiers begin with.
    pub(crate) name: &'static str,
    /// The numbers of its tiers, smallest first.
    pub(crate) tiers: Vec<usize>,
    climbs: bool,
    pub(crate) closed: bool,
}

/// The buffers of one size of one pool.
pub(crate) struct TierModel {
    pub(crate) setup: Tier,
    max: usize,
    /// Lent, or handed to a request that has not been polled since.
    in_use: usize,
    /// Lent.
    pub(crate) guards: usize,
    /// Requests that wait, in the order in which they came.
    queue: VecDeque<usize>,
    closed: bool,
    high_water: usize,
    lent: u64,
    refused: u64,
    over_budget: u64,
    waits: u64,
    handed_over: u64,
    timed_out: u64,
}

struct BudgetModel {
    limit: usize,
    lent: usize,
    /// Requests that have a buffer and wait for its bytes, in the order in which they came.
    queue: VecDeque<usize>,
}

/// A request that waits, or is about to.
struct Request {
    /// The tier that fits, and the one that may serve in its place.
    places: Vec<(usize, Turn)>,
    /// It has a buffer of this tier, and waits for the bytes.
    for_bytes: Option<(usize, Turn)>,
    ready: bool,
    too_large: Option<AcquireError>,
    /// How often its waker should have been woken.
    wakes: usize,
}

/// How far a request has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    New,
    Waiting,
    /// It has what it waited for, and has not come for it.
    Handed,
    /// There is nothing more to wait for, and it does not know that yet.
    Closed,
    /// It stands here no more.
    Gone,
}

/// The number of the tier, or why there is no buffer.
type Lent = Result<usize, AcquireError>;

/// The error without its pool's name, which the model leaves out: whether it is that of a tier, and of which, depends
/// on which was asked last.
pub(crate) fn unnamed(mut error: AcquireError) -> AcquireError {
    match &mut error {
        AcquireError::TooLarge { pool, .. }
        | AcquireError::Exhausted { pool, .. }
        | AcquireError::OverBudget { pool, .. }
        | AcquireError::TimedOut { pool, .. }
        | AcquireError::Closed { pool } => *pool = "".into(),
        _ => {}
    }
    error
}

fn closed() -> AcquireError {
    AcquireError::Closed { pool: "".into() }
}

impl Model {
    pub(crate) fn new(setup: &Setup, budget: Option<usize>) -> Self {
        let mut tiers = Vec::new();
        let mut pools = Vec::new();
        for (number, own) in setup.tiers().into_iter().enumerate() {
            pools.push(PoolModel {
                name: setup.name(number),
                tiers: (tiers.len()..tiers.len() + own.len()).collect(),
                climbs: setup.climbs(number),
                closed: false,
            });
            tiers.extend(own.into_iter().map(TierModel::new));
        }
        Model {
            pools,
            tiers,
            budget: budget.map(|limit| BudgetModel {
                limit,
                lent: 0,
                queue: VecDeque::new(),
            }),
            requests: BTreeMap::new(),
            next: 0,
        }
    }

    pub(crate) fn max_len(&self, pool: usize) -> usize {
        let largest = self.pools[pool].tiers.last().unwrap();
        self.tiers[*largest].setup.size
    }

    /// The tier that fits, and the one that may serve in its place.
    fn serving(&self, pool: usize, len: usize) -> Result<Vec<usize>, AcquireError> {
        let PoolModel { tiers, climbs, .. } = &self.pools[pool];
        let fitting = tiers.iter().copied();
        let fitting = fitting.filter(|tier| self.tiers[*tier].setup.size >= len);
        let serving: Vec<_> = fitting.take(if *climbs { 2 } else { 1 }).collect();
        if serving.is_empty() {
            return Err(AcquireError::TooLarge {
                pool: "".into(),
                requested: len,
                max: self.max_len(pool),
            });
        }
        Ok(serving)
    }

    /// A request that does not wait.
    pub(crate) fn acquire(&mut self, pool: usize, len: usize) -> Lent {
        let serving = self.serving(pool, len)?;
        let home = serving[0];
        if self.pools[pool].closed {
            return Err(closed());
        }
        for &tier in &serving {
            let one = &mut self.tiers[tier];
            if !one.has_free() {
                continue;
            }
            // Taken first, and given back if the budget does not allow it.
            one.take();
            let size = one.setup.size;
            if self
                .budget
                .as_mut()
                .is_none_or(|budget| budget.charge(size))
            {
                return Ok(self.lend(tier));
            }
            one.in_use -= 1;
            if tier == home {
                one.refused += 1;
                one.over_budget += 1;
                let budget = self.budget.as_ref().unwrap();
                return Err(AcquireError::OverBudget {
                    pool: "".into(),
                    requested: size,
                    lent: budget.lent,
                    budget: budget.limit,
                });
            }
        }
        let one = &mut self.tiers[home];
        one.refused += 1;
        let in_use = match one.queue.is_empty() {
            true => one.in_use,
            // While others wait, the buffers are theirs, however many there are.
            false => one.max,
        };
        Err(AcquireError::Exhausted {
            pool: "".into(),
            in_use,
            max: one.max,
            held_by: None,
        })
    }

    fn lend(&mut self, tier: usize) -> usize {
        self.tiers[tier].guards += 1;
        self.tiers[tier].lent += 1;
        tier
    }

    /// A guard is dropped.
    pub(crate) fn release(&mut self, tier: usize) {
        self.tiers[tier].guards -= 1;
        self.refund(self.tiers[tier].setup.size);
        self.give_back(tier);
    }

    /// A buffer comes back, and goes to the request that has waited longest.
    fn give_back(&mut self, tier: usize) {
        let one = &mut self.tiers[tier];
        // Not while more are out than there may be.
        if one.in_use <= one.max {
            if let Some(first) = one.queue.pop_front() {
                return self.hand(first, tier);
            }
        }
        one.in_use -= 1;
    }

    fn hand(&mut self, request: usize, tier: usize) {
        let request = self.requests.get_mut(&request).unwrap();
        *request.place(tier) = Turn::Handed;
        request.wakes += 1;
    }

    fn refund(&mut self, bytes: usize) {
        if let Some(budget) = &mut self.budget {
            budget.lent -= bytes;
            self.grant();
        }
    }

    /// The request that has waited longest for bytes gets them, if there are enough; and then the next.
    fn grant(&mut self) {
        let Some(budget) = &mut self.budget else {
            return;
        };
        while let Some(first) = budget.queue.front() {
            let request = self.requests.get_mut(first).unwrap();
            let (tier, turn) = request.for_bytes.as_mut().unwrap();
            let size = self.tiers[*tier].setup.size;
            if budget.lent + size > budget.limit {
                break;
            }
            budget.lent += size;
            *turn = Turn::Handed;
            request.wakes += 1;
            budget.queue.pop_front();
        }
    }

    /// A request that may wait. Returns its number.
    pub(crate) fn request(&mut self, pool: usize, len: usize) -> usize {
        let (serving, too_large) = match self.serving(pool, len) {
            Ok(serving) => (serving, None),
            Err(error) => (Vec::new(), Some(error)),
        };
        let number = self.next;
        self.next += 1;
        self.requests.insert(
            number,
            Request {
                places: serving.into_iter().map(|tier| (tier, Turn::New)).collect(),
                for_bytes: None,
                ready: false,
                too_large,
                wakes: 0,
            },
        );
        number
    }

    /// How often the waker of the request should have been woken.
    pub(crate) fn wakes(&self, request: usize) -> usize {
        self.requests[&request].wakes
    }

    /// It is polled with another waker, which has not been woken yet, if the request still waits.
    pub(crate) fn new_waker(&mut self, request: usize) {
        self.requests.get_mut(&request).unwrap().wakes = 0;
    }

    pub(crate) fn poll(&mut self, number: usize) -> Poll<Lent> {
        let request = self.requests.get_mut(&number).unwrap();
        if request.ready {
            return Poll::Pending;
        }
        let answer = self.poll_places(number);
        if answer.is_ready() {
            let request = self.requests.get_mut(&number).unwrap();
            request.ready = true;
        }
        answer
    }

    fn poll_places(&mut self, number: usize) -> Poll<Lent> {
        let request = &self.requests[&number];
        if let Some(error) = request.too_large.clone() {
            return Poll::Ready(Err(error));
        }
        match request.for_bytes {
            None => {}
            Some((tier, Turn::Handed)) => {
                self.requests.get_mut(&number).unwrap().for_bytes = None;
                return Poll::Ready(Ok(self.lend(tier)));
            }
            Some((tier, Turn::Closed)) => {
                self.requests.get_mut(&number).unwrap().for_bytes = None;
                self.give_back(tier);
                return Poll::Ready(Err(closed()));
            }
            Some(_) => return Poll::Pending,
        }
        let home = request.places[0].0;
        for place in 0..request.places.len() {
            let (tier, turn) = self.requests[&number].places[place];
            let one = &mut self.tiers[tier];
            let after = match turn {
                Turn::New if one.closed => Turn::Gone,
                Turn::New if one.has_free() => {
                    one.take();
                    Turn::Handed
                }
                Turn::New => {
                    one.queue.push_back(number);
                    Turn::Waiting
                }
                Turn::Handed => {
                    one.waits += 1;
                    one.handed_over += 1;
                    Turn::Handed
                }
                Turn::Closed => {
                    one.waits += u64::from(tier == home);
                    Turn::Gone
                }
                Turn::Waiting | Turn::Gone => turn,
            };
            let request = self.requests.get_mut(&number).unwrap();
            request.places[place].1 = after;
            if after != Turn::Handed {
                continue;
            }
            request.places[place].1 = Turn::Gone;
            let (size, closed) = (one.setup.size, one.closed);
            let charged = self
                .budget
                .as_mut()
                .is_none_or(|budget| budget.charge(size));
            if charged {
                self.leave_places(number, false);
                return Poll::Ready(Ok(self.lend(tier)));
            }
            if closed {
                // A closed pool has no waiters.
                self.give_back(tier);
                continue;
            }
            let request = self.requests.get_mut(&number).unwrap();
            request.for_bytes = Some((tier, Turn::Waiting));
            self.budget.as_mut().unwrap().queue.push_back(number);
            // It needs none of the others.
            self.leave_places(number, false);
            return Poll::Pending;
        }
        let places = &self.requests[&number].places;
        match places.iter().all(|(_, turn)| *turn == Turn::Gone) {
            true => Poll::Ready(Err(closed())),
            false => Poll::Pending,
        }
    }

    /// Stands in no queue of a tier any more; what it has been handed goes to the next. `ended` says whether that is
    /// the end of its wait, and not because it was served elsewhere.
    fn leave_places(&mut self, number: usize, ended: bool) {
        let request = self.requests.get_mut(&number).unwrap();
        let places = std::mem::take(&mut request.places);
        for (place, (tier, turn)) in places.into_iter().enumerate() {
            let one = &mut self.tiers[tier];
            if matches!(turn, Turn::Waiting | Turn::Handed | Turn::Closed) {
                // It counts where it fits.
                one.waits += u64::from(ended && place == 0);
            }
            match turn {
                Turn::Waiting => one.queue.retain(|other| *other != number),
                Turn::Handed => self.give_back(tier),
                Turn::New | Turn::Closed | Turn::Gone => {}
            }
        }
    }

    /// The request is dropped, at whatever moment.
    pub(crate) fn cancel(&mut self, number: usize) {
        self.leave_places(number, true);
        let request = self.requests.get_mut(&number).unwrap();
        if let Some((tier, turn)) = request.for_bytes.take() {
            let size = self.tiers[tier].setup.size;
            if let Some(budget) = &mut self.budget {
                match turn {
                    Turn::Handed => self.refund(size),
                    _ => {
                        budget.queue.retain(|other| *other != number);
                        // Those behind it may want less.
                        self.grant();
                    }
                }
            }
            self.give_back(tier);
        }
        self.requests.remove(&number);
    }

    /// A request that waits for no time at all.
    pub(crate) fn acquire_timeout(&mut self, pool: usize, len: usize) -> Lent {
        let number = self.request(pool, len);
        let result = match self.poll(number) {
            Poll::Ready(result) => result,
            Poll::Pending => {
                let home = self.requests[&number].places.first();
                if let Some(&(home, Turn::Waiting)) = home {
                    self.tiers[home].timed_out += 1;
                }
                Err(AcquireError::TimedOut {
                    pool: "".into(),
                    waited: Duration::ZERO,
                })
            }
        };
        self.cancel(number);
        result
    }

    /// Returns how many buffers are out, and how many of those are lent.
    pub(crate) fn close(&mut self, pool: usize) {
        self.pools[pool].closed = true;
        for tier in self.pools[pool].tiers.clone() {
            let one = &mut self.tiers[tier];
            one.closed = true;
            for number in std::mem::take(&mut one.queue) {
                let request = self.requests.get_mut(&number).unwrap();
                *request.place(tier) = Turn::Closed;
                request.wakes += 1;
            }
            if let Some(budget) = &mut self.budget {
                budget.queue.retain(|number| {
                    let request = self.requests.get_mut(number).unwrap();
                    let (of, turn) = request.for_bytes.as_mut().unwrap();
                    if *of == tier {
                        *turn = Turn::Closed;
                        request.wakes += 1;
                    }
                    *of != tier
                });
                self.grant();
            }
        }
    }

    /// The max before, or what was asked for and what it can be raised to.
    pub(crate) fn set_max(&mut self, tier: usize, after: usize) -> Result<usize, (usize, usize)> {
        let one = &mut self.tiers[tier];
        let before = one.max;
        let reserve = one.setup.reserve.unwrap();
        if !(1..=reserve).contains(&after) {
            return Err((after, reserve));
        }
        one.max = after;
        while self.tiers[tier].in_use < after && !self.tiers[tier].closed {
            let Some(first) = self.tiers[tier].queue.pop_front() else {
                break;
            };
            self.tiers[tier].take();
            self.hand(first, tier);
        }
        Ok(before)
    }

    /// What closing the pool says of the buffers that are out.
    pub(crate) fn outstanding(&self, pool: usize) -> usize {
        let tiers = self.pools[pool].tiers.iter();
        let out = tiers.map(|tier| match &self.tiers[*tier] {
            // What was handed over, and not fetched yet, is held by no line of code.
            tier if tier.setup.track_holders => tier.guards,
            tier => tier.in_use,
        });
        out.sum()
    }

    /// Bytes that are lent, and requests that wait for some.
    pub(crate) fn budget(&self) -> (usize, usize) {
        let waits = |request: &&Request| request.for_bytes.is_some();
        let waiting = self.requests.values().filter(waits).count();
        let lent = self.budget.as_ref().map_or(0, |budget| budget.lent);
        (lent, waiting)
    }

    /// Compares the figures of a pool.
    pub(crate) fn check(&self, pool: usize, stats: &PoolStats) {
        let tiers = &self.pools[pool].tiers;
        let parts = match &stats.tiers[..] {
            [] => std::slice::from_ref(stats),
            parts => parts,
        };
        assert_eq!(tiers.len(), parts.len());
        for (&tier, stats) in tiers.iter().zip(parts) {
            self.check_tier(tier, stats);
        }
        let sum = |figure: fn(&PoolStats) -> usize| parts.iter().map(figure).sum::<usize>();
        assert_eq!(stats.in_use, sum(|stats| stats.in_use));
        assert_eq!(stats.total, sum(|stats| stats.total));
        assert_eq!(stats.max, sum(|stats| stats.max));
    }

    fn check_tier(&self, number: usize, stats: &PoolStats) {
        let tier = &self.tiers[number];
        let total = tier.high_water.max(tier.setup.initial);
        let waiting = |request: &&Request| {
            let home = request.places.first();
            let stands = |turn| matches!(turn, Turn::Waiting | Turn::Handed | Turn::Closed);
            home.is_some_and(|&(home, turn)| home == number && stands(turn))
        };
        let waiting = self.requests.values().filter(waiting).count();
        assert_eq!(stats.buffer_size, tier.setup.size);
        assert_eq!(stats.max, tier.max, "max: {stats:?}");
        assert_eq!(stats.in_use, tier.in_use, "in use: {stats:?}");
        assert_eq!(stats.high_water, tier.high_water, "high water: {stats:?}");
        assert_eq!(stats.total, total, "total: {stats:?}");
        assert_eq!(stats.available, total - tier.in_use, "available: {stats:?}");
        assert_eq!(stats.waiting, waiting, "waiting: {stats:?}");
        assert_eq!(stats.refused, tier.refused, "refused: {stats:?}");
        assert_eq!(
            stats.over_budget, tier.over_budget,
            "over budget: {stats:?}"
        );
        assert_eq!(stats.waits, tier.waits, "waits: {stats:?}");
        assert_eq!(
            stats.handed_over, tier.handed_over,
            "handed over: {stats:?}"
        );
        assert_eq!(stats.timed_out, tier.timed_out, "timed out: {stats:?}");
        // A request that waits for bytes has its buffer already.
        let has_buffer = |request: &&Request| request.for_bytes.is_some_and(|(of, _)| of == number);
        let acquired = tier.lent + self.requests.values().filter(has_buffer).count() as u64;
        assert_eq!(stats.acquired, acquired, "acquired: {stats:?}");
    }
}

impl TierModel {
    fn new(setup: Tier) -> Self {
        TierModel {
            max: setup.max,
            setup,
            in_use: 0,
            guards: 0,
            queue: VecDeque::new(),
            closed: false,
            high_water: 0,
            lent: 0,
            refused: 0,
            over_budget: 0,
            waits: 0,
            handed_over: 0,
            timed_out: 0,
        }
    }

    /// Whether a new request is served at once: not if others wait.
    fn has_free(&self) -> bool {
        !self.closed && self.queue.is_empty() && self.in_use < self.max
    }

    fn take(&mut self) {
        self.in_use += 1;
        self.high_water = self.high_water.max(self.in_use);
    }

    pub(crate) fn max(&self) -> usize {
        self.max
    }
}

impl BudgetModel {
    /// Whether there are so many bytes, and no request waits for them.
    fn charge(&mut self, bytes: usize) -> bool {
        let fits = self.queue.is_empty() && self.lent + bytes <= self.limit;
        self.lent += if fits { bytes } else { 0 };
        fits
    }
}

impl Request {
    fn place(&mut self, tier: usize) -> &mut Turn {
        let place = self.places.iter_mut().find(|(other, _)| *other == tier);
        &mut place.unwrap().1
    }
}
