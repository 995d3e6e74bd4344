//! What the pools should be like, as far as one thread can tell: what is lent is a number for each size, and the
//! requests that wait are lists.
//!
//! Simple enough to be right, and slow: every question is answered by looking at everything. What must have been served
//! is said once more, whatever the order in which it was done, in [`Model::assert_none_is_overlooked`].

use std::collections::{BTreeMap, VecDeque};
use std::task::Poll;
use std::time::Duration;

use poolbuf::{AcquireError, Budget, BudgetStats, PoolStats};

use crate::setup::{Setup, Tier};

/// All pools, their budgets, and the requests that wait.
pub(crate) struct Model {
    pub(crate) pools: Vec<PoolModel>,
    /// Of all pools, side by side.
    pub(crate) tiers: Vec<TierModel>,
    budgets: Vec<BudgetModel>,
    requests: BTreeMap<usize, Request>,
    /// The next request's number.
    next: usize,
    /// Requests that were granted what they want, ever.
    granted: u64,
    /// Budgets in whose queues another has become the first, or to which bytes have come back.
    kicked: Vec<usize>,
}

/// One pool.
pub(crate) struct PoolModel {
    /// What its name and those of its tiers begin with.
    pub(crate) name: &'static str,
    /// The numbers of its tiers, smallest first.
    pub(crate) tiers: Vec<usize>,
    climbs: bool,
}

/// The buffers of one size of one pool.
pub(crate) struct TierModel {
    pub(crate) setup: Tier,
    max: usize,
    /// Lent, or granted to a request that has not been polled since.
    pub(crate) in_use: usize,
    /// Requests that wait and that it may serve, in the order in which they came.
    line: VecDeque<usize>,
    closed: bool,
    high_water: usize,
    acquired: u64,
    refused: u64,
    over_budget: u64,
    waits: u64,
    handed_over: u64,
    timed_out: u64,
    abandoned: u64,
    waits_for_bytes: u64,
}

struct BudgetModel {
    limit: usize,
    lent: usize,
    /// Requests that lack nothing but bytes, in the order in which they came to that. Only the first may be served.
    queue: VecDeque<usize>,
    /// The most that was lent at once.
    high_water: usize,
    refused: u64,
    waits: u64,
    granted: u64,
    timed_out: u64,
    abandoned: u64,
}

/// A request that waits, or is about to.
struct Request {
    pool: usize,
    /// Buffers that it asks for.
    count: usize,
    /// Bytes that each is to hold.
    len: usize,
    state: State,
    /// How often its waker should have been woken.
    wakes: usize,
}

enum State {
    /// It has not been polled.
    New,
    /// In the lines of one or two tiers.
    Waiting(Vec<Link>),
    /// It has what it wants, and has not come for it.
    Granted(Outcome),
    /// No tier serves it any more, and it does not know that yet.
    Refused(Outcome, Refused),
}

/// Where a request stands in a line.
#[derive(Clone, Copy)]
struct Link {
    tier: usize,
    /// It lacks nothing but bytes here, and is in the queue of the tier's budget.
    asks: bool,
    /// It did so at some time.
    lacked_bytes: bool,
}

/// What became of a request: in which tier, and whether it lacked nothing but bytes there at some time.
#[derive(Clone, Copy)]
struct Outcome {
    tier: usize,
    for_bytes: bool,
}

/// Why a tier serves a request no more.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Refused {
    Closed,
    TooMany,
}

/// How a wait ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    Served,
    TimedOut,
    Abandoned,
    Refused,
}

/// Why a tier lends nothing to a request that does not wait.
#[derive(Clone, Copy)]
enum Refusal {
    /// Too few are free, or what is free is owed.
    Exhausted,
    /// Too few bytes are left, or those that are left are owed.
    OverBudget {
        owed: bool,
    },
    Closed,
}

/// The number of the tier, or why there is no buffer.
type Lent = Result<usize, AcquireError>;

/// The error without what the model leaves out: its pool's name, what holds the buffers, and how long it waited.
pub(crate) fn plain(mut error: AcquireError) -> AcquireError {
    match &mut error {
        AcquireError::TooLarge { pool, .. }
        | AcquireError::TooMany { pool, .. }
        | AcquireError::OverBudget { pool, .. }
        | AcquireError::TooManyWaiting { pool, .. }
        | AcquireError::WaitingOff { pool }
        | AcquireError::Closed { pool } => *pool = "".into(),
        AcquireError::Exhausted { pool, held_by, .. } => (*pool, *held_by) = ("".into(), None),
        AcquireError::TimedOut { pool, waited, why } => {
            (*pool, *waited) = ("".into(), Duration::ZERO);
            *why = why.take().map(|why| Box::new(plain(*why)));
        }
        _ => {}
    }
    error
}

/// What `refused` is together with that of the next tier, if both are exhausted.
fn both(mut refused: AcquireError, next: AcquireError) -> AcquireError {
    if let (
        AcquireError::Exhausted {
            in_use,
            max,
            first_wants,
            ..
        },
        AcquireError::Exhausted {
            in_use: in_use_there,
            max: max_there,
            first_wants: first_wants_there,
            ..
        },
    ) = (&mut refused, next)
    {
        *in_use += in_use_there;
        *max += max_there;
        *first_wants = first_wants_there.max(*first_wants);
    }
    refused
}

fn closed() -> AcquireError {
    AcquireError::Closed { pool: "".into() }
}

impl Model {
    pub(crate) fn new(setup: &Setup, budgets: &[Budget]) -> Self {
        let mut tiers = Vec::new();
        let mut pools = Vec::new();
        for (number, own) in setup.tiers().into_iter().enumerate() {
            pools.push(PoolModel {
                name: setup.name(number),
                tiers: (tiers.len()..tiers.len() + own.len()).collect(),
                climbs: setup.climbs(number),
            });
            tiers.extend(own.into_iter().map(TierModel::new));
        }
        Model {
            pools,
            tiers,
            budgets: budgets.iter().map(BudgetModel::new).collect(),
            requests: BTreeMap::new(),
            next: 0,
            granted: 0,
            kicked: Vec::new(),
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

    /// Buffers that the tier can lend at one time.
    fn most_at_once(&self, tier: usize) -> usize {
        let TierModel { setup, max, .. } = &self.tiers[tier];
        let by_budget = setup.budget.map(|budget| self.budgets[budget].limit / setup.size);
        by_budget.unwrap_or(usize::MAX).min(*max)
    }

    fn too_many(&self, tier: usize, requested: usize) -> AcquireError {
        let max = self.most_at_once(tier);
        let by_budget = self.tiers[tier].setup.budget.filter(|_| max < self.tiers[tier].max);
        AcquireError::TooMany {
            pool: "".into(),
            requested,
            max,
            budget: by_budget.map_or(0, |budget| self.budgets[budget].limit),
        }
    }

    /// A request for no buffers.
    pub(crate) fn acquire_none(&self, pool: usize, len: usize) -> Result<(), AcquireError> {
        let home = self.serving(pool, len)?[0];
        match self.tiers[home].closed {
            true => Err(closed()),
            false => Ok(()),
        }
    }

    /// A request for `count` buffers, at least 1, that does not wait.
    pub(crate) fn acquire(&mut self, pool: usize, count: usize, len: usize) -> Lent {
        let mut serving = self.serving(pool, len)?;
        let fitting = serving[0];
        serving.retain(|tier| count <= self.most_at_once(*tier));
        let Some(&home) = serving.first() else {
            return Err(self.too_many(fitting, count));
        };
        let Err(in_home) = self.take_if_free(home, count) else {
            return Ok(home);
        };
        let next = serving.get(1).copied();
        let next = next.filter(|next| match in_home {
            // A larger buffer would cost more of the same budget.
            Refusal::OverBudget { .. } => self.budget_of(*next) != self.budget_of(home),
            Refusal::Exhausted | Refusal::Closed => true,
        });
        let Some(next) = next else {
            return Err(self.refuse(home, in_home, count));
        };
        match (in_home, self.take_if_free(next, count)) {
            (_, Ok(())) => Ok(next),
            (Refusal::Closed, Err(in_next)) => Err(self.refuse(next, in_next, count)),
            (_, Err(Refusal::Exhausted)) => {
                let refused = self.refuse(home, in_home, count);
                Err(both(refused, self.exhausted(next)))
            }
            (_, Err(_)) => Err(self.refuse(home, in_home, count)),
        }
    }

    /// Takes `count` free buffers of the tier and their bytes, or nothing; nothing while others wait for them.
    fn take_if_free(&mut self, tier: usize, count: usize) -> Result<(), Refusal> {
        let one = &self.tiers[tier];
        if one.closed {
            return Err(Refusal::Closed);
        }
        if let Some(budget) = one.setup.budget.map(|budget| &self.budgets[budget]) {
            // Before the buffers: if both are lacking, it is the bytes that are.
            let fits = budget.fits(one.setup.size * count);
            if !fits || !budget.queue.is_empty() {
                return Err(Refusal::OverBudget { owed: fits });
            }
        }
        if !one.line.is_empty() || one.free() < count {
            return Err(Refusal::Exhausted);
        }
        if let Some(budget) = one.setup.budget {
            self.budgets[budget].charge(one.setup.size * count);
        }
        self.tiers[tier].take(count);
        Ok(())
    }

    fn budget_of(&self, tier: usize) -> Option<usize> {
        self.tiers[tier].setup.budget
    }

    /// The error of a request that does not wait, counted where it is one that counts.
    fn refuse(&mut self, tier: usize, refusal: Refusal, count: usize) -> AcquireError {
        let one = &mut self.tiers[tier];
        match refusal {
            Refusal::Closed => closed(),
            Refusal::OverBudget { owed } => {
                one.refused += 1;
                one.over_budget += 1;
                let budget = &mut self.budgets[one.setup.budget.unwrap()];
                budget.refused += 1;
                let waiting = if owed { budget.queue.len() } else { 0 };
                self.over_budget(tier, count, waiting)
            }
            Refusal::Exhausted => {
                one.refused += 1;
                self.exhausted(tier)
            }
        }
    }

    fn exhausted(&self, tier: usize) -> AcquireError {
        let one = &self.tiers[tier];
        let first = one.line.front().map(|first| self.requests[first].count);
        AcquireError::Exhausted {
            pool: "".into(),
            in_use: one.in_use,
            max: one.max,
            first_wants: match one.free() {
                0 => 0,
                _ => first.unwrap_or(0) as u32,
            },
            held_by: None,
        }
    }

    fn over_budget(&self, tier: usize, count: usize, waiting: usize) -> AcquireError {
        let setup = &self.tiers[tier].setup;
        let budget = &self.budgets[setup.budget.unwrap()];
        AcquireError::OverBudget {
            pool: "".into(),
            requested: setup.size * count,
            lent: budget.lent,
            budget: budget.limit,
            waiting: waiting as u32,
        }
    }

    /// A guard is dropped.
    pub(crate) fn release(&mut self, tier: usize) {
        self.come_back(tier);
        self.settle();
    }

    fn come_back(&mut self, tier: usize) {
        self.tiers[tier].in_use -= 1;
        if let Some(number) = self.budget_of(tier) {
            let budget = &mut self.budgets[number];
            budget.lent -= self.tiers[tier].setup.size;
            if !budget.queue.is_empty() {
                self.kick(number);
            }
        }
        // Where the first lacks nothing but bytes, those alone decide, and they may serve it in a smaller tier.
        if !self.lacks_bytes(tier) {
            self.look_at(vec![tier]);
        }
    }

    /// Whether the first of the tier's line lacks nothing but bytes.
    fn lacks_bytes(&self, tier: usize) -> bool {
        let first = self.tiers[tier].line.front();
        let links = first.map_or(&[][..], |first| self.links(*first));
        links.iter().any(|link| link.tier == tier && link.asks)
    }

    /// Serves the first of each tier's line until it can't be served; and of the other tiers where that makes another
    /// the first.
    fn look_at(&mut self, tiers: Vec<usize>) {
        let mut tiers = VecDeque::from(tiers);
        while let Some(tier) = tiers.pop_front() {
            while let Some(&first) = self.tiers[tier].line.front() {
                let count = self.requests[&first].count;
                if self.tiers[tier].free() < count {
                    self.ask_no_more(first, tier);
                    break;
                }
                if !self.charge_or_ask(first, tier) {
                    break;
                }
                self.tiers[tier].take(count);
                let for_bytes = self.link(first, tier).lacked_bytes;
                let changed = self.unlink(first);
                tiers.extend(changed.into_iter().filter(|other| *other != tier));
                let request = self.requests.get_mut(&first).unwrap();
                request.state = State::Granted(Outcome { tier, for_bytes });
                request.wakes += 1;
                self.granted += 1;
            }
        }
    }

    /// Charges the tier's budget for a request, whose buffers are free. If it can't, the request asks for the bytes.
    fn charge_or_ask(&mut self, number: usize, tier: usize) -> bool {
        let Some(of) = self.budget_of(tier) else {
            return true;
        };
        let bytes = self.tiers[tier].setup.size * self.requests[&number].count;
        let budget = &mut self.budgets[of];
        let asked = budget.queue.contains(&number);
        if (budget.queue.front()).is_none_or(|first| *first == number) && budget.fits(bytes) {
            budget.charge(bytes);
            if asked {
                self.withdraw(number, of);
            }
            return true;
        }
        if !asked {
            budget.queue.push_back(number);
        }
        let link = self.link(number, tier);
        (link.asks, link.lacked_bytes) = (true, true);
        false
    }

    /// The request asks for no bytes in a tier.
    fn ask_no_more(&mut self, number: usize, tier: usize) {
        let link = self.link(number, tier);
        if !std::mem::take(&mut link.asks) {
            return;
        }
        let of = self.budget_of(tier).unwrap();
        let mut links = self.links(number).iter();
        if !links.any(|link| link.asks && self.budget_of(link.tier) == Some(of)) {
            self.withdraw(number, of);
        }
    }

    /// The request is in a budget's queue no more.
    fn withdraw(&mut self, number: usize, of: usize) {
        let State::Waiting(links) = &mut self.requests.get_mut(&number).unwrap().state else {
            unreachable!("it asks for bytes")
        };
        for link in links {
            link.asks &= self.tiers[link.tier].setup.budget != Some(of);
        }
        let queue = &mut self.budgets[of].queue;
        let was_first = queue.front() == Some(&number);
        queue.retain(|other| *other != number);
        if was_first && !queue.is_empty() {
            self.kick(of);
        }
    }

    fn kick(&mut self, budget: usize) {
        if !self.kicked.contains(&budget) {
            self.kicked.push(budget);
        }
    }

    /// Serves those that lack nothing but bytes, while there are enough for the first. Which of several budgets comes
    /// first is not promised.
    fn settle(&mut self) {
        while let Some(budget) = self.kicked.pop() {
            while let Some(&first) = self.budgets[budget].queue.front() {
                let granted = self.granted;
                let asks = self.links(first).iter().filter(|link| link.asks);
                self.look_at(asks.map(|link| link.tier).collect());
                let now = self.budgets[budget].queue.front();
                if self.granted == granted && now == Some(&first) {
                    break;
                }
            }
        }
        self.assert_none_is_overlooked();
    }

    /// The first of each line lacks buffers, or it is in its budget's queue, and the first there lacks bytes. No other
    /// is in a budget's queue, and none holds anything.
    fn assert_none_is_overlooked(&self) {
        let counts = |tier: usize| {
            let granted = self.requests.values().filter_map(|one| match one.state {
                State::Granted(outcome) if outcome.tier == tier => Some(one.count),
                _ => None,
            });
            granted.sum::<usize>()
        };
        let mut asking = vec![Vec::new(); self.budgets.len()];
        for (number, tier) in self.tiers.iter().enumerate() {
            assert!(counts(number) <= tier.in_use);
            let Some(first) = tier.line.front() else {
                continue;
            };
            let count = self.requests[first].count;
            if tier.free() < count {
                continue;
            }
            let of = tier.setup.budget.expect("it lacks nothing");
            let budget = &self.budgets[of];
            let is_first = budget.queue.front() == Some(first);
            assert!(!is_first || !budget.fits(tier.setup.size * count));
            asking[of].push(*first);
        }
        for (budget, mut asking) in self.budgets.iter().zip(asking) {
            asking.sort_unstable();
            asking.dedup();
            let mut queue = Vec::from(budget.queue.clone());
            queue.sort_unstable();
            assert_eq!(queue, asking);
        }
    }

    fn links(&self, number: usize) -> &[Link] {
        match &self.requests[&number].state {
            State::Waiting(links) => links,
            _ => &[],
        }
    }

    /// The request is in the line of that tier.
    fn link(&mut self, number: usize, tier: usize) -> &mut Link {
        let State::Waiting(links) = &mut self.requests.get_mut(&number).unwrap().state else {
            unreachable!("it waits")
        };
        links.iter_mut().find(|link| link.tier == tier).unwrap()
    }

    /// Takes a request out of all lines. Returns the tiers where it was the first.
    fn unlink(&mut self, number: usize) -> Vec<usize> {
        let mut tiers: Vec<_> = self.links(number).iter().map(|link| link.tier).collect();
        tiers.retain(|tier| self.unlink_from(number, *tier));
        tiers
    }

    /// Returns whether it was the first there.
    fn unlink_from(&mut self, number: usize, tier: usize) -> bool {
        self.ask_no_more(number, tier);
        if let State::Waiting(links) = &mut self.requests.get_mut(&number).unwrap().state {
            links.retain(|link| link.tier != tier);
        }
        let line = &mut self.tiers[tier].line;
        let was_first = line.front() == Some(&number);
        line.retain(|other| *other != number);
        was_first
    }

    /// A request for `count` buffers, at least 1, that may wait. Returns its number.
    pub(crate) fn request(&mut self, pool: usize, count: usize, len: usize) -> usize {
        let number = self.next;
        self.next += 1;
        self.requests.insert(
            number,
            Request {
                pool,
                count,
                len,
                state: State::New,
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

    /// The request is gone once it is ready.
    pub(crate) fn poll(&mut self, number: usize) -> Poll<Lent> {
        let Request {
            pool,
            count,
            len,
            ref state,
            ..
        } = self.requests[&number];
        let lent = match *state {
            State::New => match self.lend_or_join(number, (pool, count, len)) {
                Some(lent) => lent,
                None => return Poll::Pending,
            },
            State::Waiting(_) => return Poll::Pending,
            State::Granted(Outcome { tier, for_bytes }) => {
                self.count_wait(tier, Ending::Served, for_bytes);
                self.tiers[tier].handed_over += count as u64;
                Ok(tier)
            }
            State::Refused(Outcome { tier, for_bytes }, why) => {
                self.count_wait(tier, Ending::Refused, for_bytes);
                Err(match why {
                    Refused::Closed => closed(),
                    Refused::TooMany => self.too_many(tier, count),
                })
            }
        };
        self.requests.remove(&number);
        Poll::Ready(lent)
    }

    /// Lends what is free; `None` if the request waits.
    fn lend_or_join(&mut self, number: usize, (pool, count, len): (usize, usize, usize)) -> Option<Lent> {
        let serving = match self.serving(pool, len) {
            Ok(serving) => serving,
            Err(error) => return Some(Err(error)),
        };
        if self.tiers[serving[0]].setup.waiting.is_none() {
            return Some(Err(AcquireError::WaitingOff { pool: "".into() }));
        }
        let waited_for = |tier: &usize| self.tiers[*tier].setup.waiting.is_some();
        let serving: Vec<_> = serving.into_iter().filter(waited_for).collect();
        let able = |tier: &usize| count <= self.most_at_once(*tier);
        let able: Vec<_> = serving.iter().copied().filter(able).collect();
        for tier in &able {
            if self.take_if_free(*tier, count).is_ok() {
                return Some(Ok(*tier));
            }
        }
        let mut links = Vec::new();
        // Why which tier will not serve it.
        let mut refused = Vec::new();
        for (place, tier) in serving.into_iter().enumerate() {
            let one = &self.tiers[tier];
            let most = one.setup.waiting.unwrap();
            if !able.contains(&tier) {
                // That the next one lends fewer says nothing of the one that fits.
                if place == 0 {
                    refused.push((tier, self.too_many(tier, count)));
                }
            } else if one.closed {
                refused.push((tier, closed()));
            } else if one.line.len() >= most {
                let error = AcquireError::TooManyWaiting {
                    pool: "".into(),
                    waiting: most,
                };
                refused.push((tier, error));
            } else {
                links.push(Link {
                    tier,
                    asks: false,
                    lacked_bytes: false,
                });
            }
        }
        if links.is_empty() {
            // What ends the soonest is said.
            refused.sort_by_key(|(_, error)| match error {
                AcquireError::TooManyWaiting { .. } => 0,
                AcquireError::TooMany { .. } => 1,
                _ => 2,
            });
            let (tier, error) = refused.remove(0);
            if let AcquireError::TooManyWaiting { .. } = error {
                self.tiers[tier].refused += 1;
            }
            return Some(Err(error));
        }
        let mut leads = Vec::new();
        for link in &links {
            let line = &mut self.tiers[link.tier].line;
            line.push_back(number);
            if line.len() == 1 {
                leads.push(link.tier);
            }
        }
        self.requests.get_mut(&number).unwrap().state = State::Waiting(links);
        self.look_at(leads);
        self.settle();
        // It would have been lent what is free.
        assert!(!self.links(number).is_empty());
        None
    }

    /// Counts a wait that has ended.
    fn count_wait(&mut self, tier: usize, ending: Ending, for_bytes: bool) {
        let one = &mut self.tiers[tier];
        one.waits += 1;
        one.timed_out += u64::from(ending == Ending::TimedOut);
        one.abandoned += u64::from(ending == Ending::Abandoned);
        if for_bytes {
            one.waits_for_bytes += 1;
            one.over_budget += u64::from(matches!(ending, Ending::TimedOut | Ending::Abandoned));
            let budget = &mut self.budgets[one.setup.budget.unwrap()];
            budget.waits += 1;
            budget.granted += u64::from(ending == Ending::Served);
            budget.timed_out += u64::from(ending == Ending::TimedOut);
            budget.abandoned += u64::from(ending == Ending::Abandoned);
        }
    }

    /// The request is dropped, at whatever moment.
    pub(crate) fn cancel(&mut self, number: usize) {
        self.leave(number, Ending::Abandoned);
    }

    /// Returns what it lacked, if it waited.
    fn leave(&mut self, number: usize, ending: Ending) -> Option<AcquireError> {
        // Behind one that lacks bytes alone, it is bytes that it lacks.
        let tiers = self.links(number).iter().map(|link| link.tier);
        let lacked: Vec<_> = tiers.map(|tier| (tier, self.lacks_bytes(tier))).collect();
        let changed = self.unlink(number);
        let Request { count, state, .. } = self.requests.remove(&number).unwrap();
        self.look_at(changed);
        self.settle();
        match state {
            State::New => {}
            State::Waiting(_) => {
                let (tier, for_bytes) = lacked[0];
                self.count_wait(tier, ending, for_bytes);
            }
            State::Granted(Outcome { tier, for_bytes }) => {
                self.count_wait(tier, ending, for_bytes);
                for _ in 0..count {
                    self.release(tier);
                }
            }
            State::Refused(Outcome { tier, for_bytes }, _) => {
                self.count_wait(tier, ending, for_bytes);
            }
        }
        let shortages = lacked.into_iter().map(|(tier, for_bytes)| match for_bytes {
            true => {
                let budget = &self.budgets[self.budget_of(tier).unwrap()];
                self.over_budget(tier, count, budget.queue.len())
            }
            false => self.exhausted(tier),
        });
        shortages.reduce(both)
    }

    /// A request for `count` buffers, at least 1, that waits for no time at all.
    pub(crate) fn acquire_timeout(&mut self, pool: usize, count: usize, len: usize) -> Lent {
        let number = self.request(pool, count, len);
        match self.poll(number) {
            Poll::Ready(result) => result,
            Poll::Pending => Err(AcquireError::TimedOut {
                pool: "".into(),
                waited: Duration::ZERO,
                why: self.leave(number, Ending::TimedOut).map(Box::new),
            }),
        }
    }

    /// Closes all tiers of the pool.
    pub(crate) fn close(&mut self, pool: usize) {
        for tier in self.pools[pool].tiers.clone() {
            self.close_tier(tier);
        }
    }

    pub(crate) fn close_tier(&mut self, tier: usize) {
        self.tiers[tier].closed = true;
        self.refuse_waiters_for_more_than(0, tier, Refused::Closed);
        self.settle();
    }

    /// The tier serves none any more that wants more than `max` buffers.
    fn refuse_waiters_for_more_than(&mut self, max: usize, tier: usize, why: Refused) {
        for number in self.tiers[tier].line.clone() {
            if self.requests[&number].count <= max {
                continue;
            }
            let for_bytes = self.link(number, tier).lacked_bytes;
            self.unlink_from(number, tier);
            if self.links(number).is_empty() {
                let request = self.requests.get_mut(&number).unwrap();
                request.state = State::Refused(Outcome { tier, for_bytes }, why);
                request.wakes += 1;
            }
        }
    }

    /// The max before, or what was asked for and what it can be raised to.
    pub(crate) fn set_max(&mut self, tier: usize, after: usize) -> Result<usize, (usize, usize)> {
        let reserve = self.tiers[tier].setup.reserve.unwrap();
        if !(1..=reserve).contains(&after) {
            return Err((after, reserve));
        }
        self.refuse_waiters_for_more_than(after, tier, Refused::TooMany);
        let before = std::mem::replace(&mut self.tiers[tier].max, after);
        self.look_at(vec![tier]);
        self.settle();
        Ok(before)
    }

    /// What closing the pool says of the buffers that are out: what was granted, and not fetched yet, is held too.
    pub(crate) fn outstanding(&self, pool: usize) -> usize {
        let tiers = self.pools[pool].tiers.iter();
        tiers.map(|tier| self.tiers[*tier].in_use).sum()
    }

    /// Compares the figures of a budget.
    pub(crate) fn check_budget(&self, number: usize, stats: &BudgetStats) {
        let budget = &self.budgets[number];
        assert_eq!((stats.limit, stats.lent), (budget.limit, budget.lent));
        assert_eq!(stats.high_water, budget.high_water, "high water: {stats:?}");
        assert_eq!(stats.waiting, budget.queue.len(), "waiting: {stats:?}");
        assert_eq!(stats.refused, budget.refused, "refused: {stats:?}");
        assert_eq!(stats.waits, budget.waits, "waits: {stats:?}");
        assert_eq!(stats.granted, budget.granted, "granted: {stats:?}");
        assert_eq!(stats.timed_out, budget.timed_out, "timed out: {stats:?}");
        assert_eq!(stats.abandoned, budget.abandoned, "abandoned: {stats:?}");
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
        assert_eq!(stats.waiting, sum(|stats| stats.waiting));
    }

    fn check_tier(&self, number: usize, stats: &PoolStats) {
        let tier = &self.tiers[number];
        let total = tier.high_water.max(tier.setup.initial);
        // A request counts in the first of the tiers that may serve it.
        let counts_here = |request: &&usize| {
            let first = self.links(**request).first();
            first.is_some_and(|link| link.tier == number)
        };
        let waiting = self.requests.keys().filter(counts_here).count();
        assert_eq!(stats.buffer_size, tier.setup.size);
        assert_eq!(stats.closed, tier.closed, "closed: {stats:?}");
        assert_eq!(stats.max, tier.max, "max: {stats:?}");
        assert_eq!(stats.in_use, tier.in_use, "in use: {stats:?}");
        assert_eq!(stats.high_water, tier.high_water, "high water: {stats:?}");
        assert_eq!(stats.total, total, "total: {stats:?}");
        assert_eq!(stats.available, total - tier.in_use, "available: {stats:?}");
        assert_eq!(stats.waiting, waiting, "waiting: {stats:?}");
        assert_eq!(stats.refused, tier.refused, "refused: {stats:?}");
        assert_eq!(stats.over_budget, tier.over_budget, "over budget: {stats:?}");
        assert_eq!(stats.waits, tier.waits, "waits: {stats:?}");
        assert_eq!(stats.handed_over, tier.handed_over, "handed over: {stats:?}");
        assert_eq!(stats.timed_out, tier.timed_out, "timed out: {stats:?}");
        assert_eq!(stats.abandoned, tier.abandoned, "abandoned: {stats:?}");
        assert_eq!(
            stats.waits_for_bytes, tier.waits_for_bytes,
            "waits for bytes: {stats:?}"
        );
        assert_eq!(stats.acquired, tier.acquired, "acquired: {stats:?}");
    }
}

impl TierModel {
    fn new(setup: Tier) -> Self {
        TierModel {
            max: setup.max,
            setup,
            in_use: 0,
            line: VecDeque::new(),
            closed: false,
            high_water: 0,
            acquired: 0,
            refused: 0,
            over_budget: 0,
            waits: 0,
            handed_over: 0,
            timed_out: 0,
            abandoned: 0,
            waits_for_bytes: 0,
        }
    }

    /// Buffers that may be lent; more may be in use than the max, where that was lowered.
    fn free(&self) -> usize {
        self.max.saturating_sub(self.in_use)
    }

    fn take(&mut self, count: usize) {
        self.in_use += count;
        self.high_water = self.high_water.max(self.in_use);
        self.acquired += count as u64;
    }

    pub(crate) fn max(&self) -> usize {
        self.max
    }
}

impl BudgetModel {
    fn new(budget: &Budget) -> Self {
        BudgetModel {
            limit: budget.stats().limit,
            lent: 0,
            queue: VecDeque::new(),
            high_water: 0,
            refused: 0,
            waits: 0,
            granted: 0,
            timed_out: 0,
            abandoned: 0,
        }
    }

    fn fits(&self, bytes: usize) -> bool {
        self.lent + bytes <= self.limit
    }

    fn charge(&mut self, bytes: usize) {
        self.lent += bytes;
        self.high_water = self.high_water.max(self.lent);
    }
}
