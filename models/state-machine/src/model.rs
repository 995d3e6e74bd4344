//! What the pools should be like, as far as one thread can tell: what is lent is a number for each size, and the
//! requests that wait are a list.
//!
//! Simple enough to be right, and slow: every question is answered by looking at everything.

use std::collections::{BTreeMap, VecDeque};
use std::task::Poll;
use std::time::Duration;

use poolbuf::{AcquireError, BudgetStats, PoolStats};

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
}

/// The buffers of one size of one pool.
pub(crate) struct TierModel {
    pub(crate) setup: Tier,
    max: usize,
    /// Lent, or collected for a request, or handed to one that has not been polled since, or waits for bytes.
    pub(crate) in_use: usize,
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
    abandoned: u64,
    waits_for_bytes: u64,
}

struct BudgetModel {
    limit: usize,
    lent: usize,
    /// The most that was lent at once.
    high_water: usize,
    refused: u64,
    waits: u64,
    granted: u64,
    timed_out: u64,
    abandoned: u64,
    /// Requests that have their buffers and wait for the bytes, in the order in which they came.
    queue: VecDeque<usize>,
}

/// A request that waits, or is about to.
struct Request {
    /// Buffers that it asks for.
    count: usize,
    /// In the tier that fits, and the one that may serve in its place.
    places: Vec<Place>,
    /// A tier has handed it what it asks for: the other passes it over.
    served: bool,
    /// It has its buffers, of this tier, and waits for the bytes.
    for_bytes: Option<(usize, Turn)>,
    ready: bool,
    /// Why it can never be served.
    never: Option<AcquireError>,
    /// How often its waker should have been woken.
    wakes: usize,
}

/// Where a request stands in a tier.
#[derive(Clone, Copy)]
struct Place {
    tier: usize,
    turn: Turn,
    /// Whether the request counts as waiting in this tier: it does in one.
    counted: bool,
    /// Buffers that the request has of those that it asks for. Only the first in the queue has any.
    collected: usize,
}

/// How far a request has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    New,
    Waiting,
    /// It has left the queue without knowing it, since the other tier has served it.
    PassedOver,
    /// It has what it waited for, and has not come for it.
    Handed,
    /// There is nothing more to wait for, and it does not know that yet.
    Closed,
    /// It stands here no more.
    Gone,
}

/// How a wait ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Served,
    TimedOut,
    Abandoned,
    Closed,
}

/// What came of asking a tier.
enum Asked {
    Lent(usize),
    /// It has lent the buffers, and the request waits for the bytes.
    ForBytes,
    /// The request has lost what it had, and all its places.
    Lost(AcquireError),
    /// The request stands here no more.
    Refused(AcquireError),
    /// Nothing new.
    Waits,
}

/// Why a tier lends nothing.
#[derive(Clone, Copy)]
enum Refusal {
    InUse,
    OverBudget,
    Closed,
}

/// The number of the tier, or why there is no buffer.
type Lent = Result<usize, AcquireError>;

/// The error without its pool's name, which the model leaves out: whether it is that of a tier, and of which, depends
/// on which was asked last.
pub(crate) fn unnamed(mut error: AcquireError) -> AcquireError {
    match &mut error {
        AcquireError::TooLarge { pool, .. }
        | AcquireError::TooMany { pool, .. }
        | AcquireError::Exhausted { pool, .. }
        | AcquireError::OverBudget { pool, .. }
        | AcquireError::TimedOut { pool, .. }
        | AcquireError::Closed { pool } => *pool = "".into(),
        _ => {}
    }
    error
}

/// What `refused` is together with a tier that is exhausted too.
fn exhausted_both(
    mut refused: AcquireError,
    in_use_there: usize,
    max_there: usize,
) -> AcquireError {
    if let AcquireError::Exhausted { in_use, max, .. } = &mut refused {
        *in_use += in_use_there;
        *max += max_there;
    }
    refused
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
            });
            tiers.extend(own.into_iter().map(TierModel::new));
        }
        Model {
            pools,
            tiers,
            budget: budget.map(|limit| BudgetModel {
                limit,
                lent: 0,
                high_water: 0,
                refused: 0,
                waits: 0,
                granted: 0,
                timed_out: 0,
                abandoned: 0,
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

    /// Those of the tiers that serve `len` that can lend `count` buffers at once.
    fn serving_many(
        &self,
        pool: usize,
        count: usize,
        len: usize,
    ) -> Result<Vec<usize>, AcquireError> {
        let serving = self.serving(pool, len)?;
        let may_lend = |tier: &usize| count <= self.most_at_once(*tier);
        let able: Vec<_> = serving.iter().copied().filter(may_lend).collect();
        match able.is_empty() {
            true => Err(self.too_many(serving[0], count)),
            false => Ok(able),
        }
    }

    /// Buffers that the tier can lend at one time.
    fn most_at_once(&self, tier: usize) -> usize {
        let one = &self.tiers[tier];
        let by_budget = self.budget.as_ref().map(|it| it.limit / one.setup.size);
        by_budget.unwrap_or(usize::MAX).min(one.max)
    }

    fn too_many(&self, tier: usize, requested: usize) -> AcquireError {
        AcquireError::TooMany {
            pool: "".into(),
            requested,
            max: self.most_at_once(tier),
        }
    }

    /// A request for `count` buffers, at least 1, that does not wait.
    pub(crate) fn acquire(&mut self, pool: usize, count: usize, len: usize) -> Lent {
        let serving = self.serving_many(pool, count, len)?;
        let home = serving[0];
        let refusal = match (self.take_charged(home, count), serving.get(1)) {
            (Ok(()), _) => return Ok(self.lend(home, count)),
            (Err(refusal @ (Refusal::InUse | Refusal::Closed)), Some(&next)) => {
                match (self.take_charged(next, count), refusal) {
                    (Ok(()), _) => return Ok(self.lend(next, count)),
                    (Err(in_next), Refusal::Closed) => {
                        return Err(self.refuse(next, in_next, count));
                    }
                    (Err(Refusal::InUse), refusal) => {
                        let refused = self.refuse(home, refusal, count);
                        let there = self.in_use(next);
                        return Err(exhausted_both(refused, there, self.tiers[next].max));
                    }
                    (Err(_), refusal) => refusal,
                }
            }
            (Err(refusal), _) => refusal,
        };
        Err(self.refuse(home, refusal, count))
    }

    /// Takes `count` free buffers of the tier and their bytes, or nothing.
    fn take_charged(&mut self, tier: usize, count: usize) -> Result<(), Refusal> {
        let one = &mut self.tiers[tier];
        if one.closed {
            return Err(Refusal::Closed);
        }
        let has_free = one.has_free(count);
        let bytes = one.setup.size * count;
        if let Some(budget) = &mut self.budget {
            // Before the buffers: if both are lacking, it is the bytes that are.
            if !budget.charge(bytes) {
                return Err(Refusal::OverBudget);
            }
            if !has_free {
                budget.lent -= bytes;
            }
        }
        if !has_free {
            return Err(Refusal::InUse);
        }
        one.take(count);
        if let Some(budget) = &mut self.budget {
            budget.note_lent();
        }
        Ok(())
    }

    /// The error of a request that does not wait, counted where it is one that counts.
    fn refuse(&mut self, tier: usize, refusal: Refusal, count: usize) -> AcquireError {
        let one = &mut self.tiers[tier];
        match refusal {
            Refusal::Closed => closed(),
            Refusal::OverBudget => {
                one.refused += 1;
                one.over_budget += 1;
                let budget = self.budget.as_mut().unwrap();
                budget.refused += 1;
                AcquireError::OverBudget {
                    pool: "".into(),
                    requested: one.setup.size * count,
                    lent: budget.lent,
                    budget: budget.limit,
                }
            }
            Refusal::InUse => {
                one.refused += 1;
                let max = one.max;
                AcquireError::Exhausted {
                    pool: "".into(),
                    in_use: self.in_use(tier),
                    max,
                    held_by: None,
                }
            }
        }
    }

    /// What a refusal says that the tier has in use.
    fn in_use(&self, tier: usize) -> usize {
        let one = &self.tiers[tier];
        match one.queue.is_empty() {
            true => one.in_use,
            // While others wait, the buffers are theirs, however many there are.
            false => one.max,
        }
    }

    fn lend(&mut self, tier: usize, count: usize) -> usize {
        self.tiers[tier].lent += count as u64;
        tier
    }

    /// Lends buffers to a request that waited for them, or for their bytes.
    fn lend_after_wait(&mut self, tier: usize, count: usize, for_bytes: bool) -> usize {
        self.count_wait(tier, Ending::Served, for_bytes);
        self.tiers[tier].handed_over += count as u64;
        self.lend(tier, count)
    }

    /// Counts a wait that has ended.
    fn count_wait(&mut self, tier: usize, ending: Ending, for_bytes: bool) {
        let in_vain = matches!(ending, Ending::TimedOut | Ending::Abandoned);
        // It waited for a buffer that others have, which wait for their bytes.
        let behind_such = in_vain && self.for_bytes_in(tier) > 0;
        let one = &mut self.tiers[tier];
        one.waits += 1;
        one.timed_out += u64::from(ending == Ending::TimedOut);
        one.abandoned += u64::from(ending == Ending::Abandoned);
        if for_bytes || behind_such {
            one.waits_for_bytes += 1;
            one.over_budget += u64::from(in_vain);
            let budget = self.budget.as_mut().unwrap();
            budget.waits += 1;
            budget.granted += u64::from(ending == Ending::Served);
            budget.timed_out += u64::from(ending == Ending::TimedOut);
            budget.abandoned += u64::from(ending == Ending::Abandoned);
        }
    }

    /// Requests that have buffers of the tier and wait for the bytes, as far as they know.
    fn for_bytes_in(&self, tier: usize) -> usize {
        let here = |request: &&Request| request.for_bytes.is_some_and(|(of, _)| of == tier);
        self.requests.values().filter(here).count()
    }

    /// A guard is dropped.
    pub(crate) fn release(&mut self, tier: usize) {
        self.refund(self.tiers[tier].setup.size);
        self.give_back(tier);
    }

    /// A buffer comes back, and goes to the request that has waited longest.
    fn give_back(&mut self, tier: usize) {
        let one = &self.tiers[tier];
        let mut left_behind = 0;
        // Not while more are out than there may be.
        if one.in_use > one.max || !self.hand(tier, &mut left_behind) {
            self.tiers[tier].in_use -= 1;
        }
        self.give_back_all(tier, left_behind);
    }

    fn give_back_all(&mut self, tier: usize, count: usize) {
        for _ in 0..count {
            self.give_back(tier);
        }
    }

    /// Gives a buffer to the request that has waited longest, of those that the other tier has not served; false if
    /// there is none. Adds to `left_behind` what was collected for those that it has: it is to be given back.
    fn hand(&mut self, tier: usize, left_behind: &mut usize) -> bool {
        while let Some(&first) = self.tiers[tier].queue.front() {
            let request = self.requests.get_mut(&first).unwrap();
            let (count, served) = (request.count, request.served);
            let place = request.place(tier);
            if served {
                place.turn = Turn::PassedOver;
                *left_behind += std::mem::take(&mut place.collected);
                self.tiers[tier].queue.pop_front();
                continue;
            }
            place.collected += 1;
            if place.collected == count {
                place.collected = 0;
                place.turn = Turn::Handed;
                request.served = true;
                request.wakes += 1;
                self.tiers[tier].queue.pop_front();
            }
            return true;
        }
        false
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
            let size = self.tiers[*tier].setup.size * request.count;
            if budget.lent + size > budget.limit {
                break;
            }
            budget.lent += size;
            budget.note_lent();
            *turn = Turn::Handed;
            request.wakes += 1;
            budget.queue.pop_front();
        }
    }

    /// A request for `count` buffers, at least 1, that may wait. Returns its number.
    pub(crate) fn request(&mut self, pool: usize, count: usize, len: usize) -> usize {
        let (serving, never) = match self.serving_many(pool, count, len) {
            Ok(serving) => (serving, None),
            Err(error) => (Vec::new(), Some(error)),
        };
        let number = self.next;
        self.next += 1;
        self.requests.insert(
            number,
            Request {
                count,
                places: serving.into_iter().map(Place::new).collect(),
                served: false,
                for_bytes: None,
                ready: false,
                never,
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
        let count = request.count;
        if let Some(error) = request.never.clone() {
            return Poll::Ready(Err(error));
        }
        match request.for_bytes {
            None => {}
            Some((tier, Turn::Handed)) => {
                self.requests.get_mut(&number).unwrap().for_bytes = None;
                return Poll::Ready(Ok(self.lend_after_wait(tier, count, true)));
            }
            Some((tier, Turn::Closed)) => {
                self.requests.get_mut(&number).unwrap().for_bytes = None;
                self.count_wait(tier, Ending::Closed, true);
                return Poll::Ready(Err(closed()));
            }
            Some(_) => return Poll::Pending,
        }
        let mut refused = None;
        for place in 0..request.places.len() {
            match self.poll_place(number, place) {
                Asked::Lent(tier) => {
                    // It needs none of the others.
                    self.leave_places(number);
                    return Poll::Ready(Ok(tier));
                }
                Asked::ForBytes => {
                    self.leave_places(number);
                    return Poll::Pending;
                }
                Asked::Lost(error) => {
                    self.leave_places(number);
                    return Poll::Ready(Err(refused.unwrap_or(error)));
                }
                // That one is closed says less than that another never lends so many.
                Asked::Refused(AcquireError::Closed { .. }) if refused.is_some() => {}
                Asked::Refused(error) => refused = Some(error),
                Asked::Waits => {}
            }
        }
        let mut turns = self.requests[&number].places.iter().map(|place| place.turn);
        match refused {
            Some(error) if turns.all(|turn| turn == Turn::Gone) => Poll::Ready(Err(error)),
            _ => Poll::Pending,
        }
    }

    /// Asks one tier.
    fn poll_place(&mut self, number: usize, place: usize) -> Asked {
        let request = &self.requests[&number];
        let (count, places) = (request.count, &request.places);
        let is_gone = |other: &Place| other.turn == Turn::Gone;
        let counted = places[..place].iter().all(is_gone);
        let tier = places[place].tier;
        let alone = places.iter().filter(|other| !is_gone(other)).count() == 1;
        let turn = places[place].turn;
        let (after, asked) = match turn {
            Turn::New => match self.take_charged(tier, count) {
                Ok(()) => return Asked::Lent(self.lend(tier, count)),
                Err(Refusal::Closed) => (Turn::Gone, Asked::Refused(closed())),
                Err(Refusal::OverBudget) if self.tiers[tier].has_free(count) => {
                    self.tiers[tier].take(count);
                    self.wait_for_bytes(number, tier);
                    (Turn::Gone, Asked::ForBytes)
                }
                // The max has been lowered since the request was made.
                Err(_) if count > self.tiers[tier].max => {
                    (Turn::Gone, Asked::Refused(self.too_many(tier, count)))
                }
                Err(_) => {
                    // The first takes what is free.
                    let one = &mut self.tiers[tier];
                    if one.queue.is_empty() {
                        let free = one.max.saturating_sub(one.in_use);
                        one.take(free);
                        self.place(number, place).collected = free;
                    }
                    self.tiers[tier].queue.push_back(number);
                    (Turn::Waiting, Asked::Waits)
                }
            },
            Turn::Handed => {
                let one = &self.tiers[tier];
                let (bytes, is_closed) = (one.setup.size * count, one.closed);
                let mut budget = self.budget.as_mut();
                let charged = budget.as_mut().is_none_or(|budget| budget.charge(bytes));
                self.place(number, place).turn = Turn::Gone;
                if charged {
                    if let Some(budget) = &mut self.budget {
                        budget.note_lent();
                    }
                    return Asked::Lent(self.lend_after_wait(tier, count, false));
                }
                if is_closed {
                    // As if it had been closed while the request waited for the bytes.
                    self.give_back_all(tier, count);
                    self.count_wait(tier, Ending::Closed, true);
                    return Asked::Lost(closed());
                }
                self.wait_for_bytes(number, tier);
                (Turn::Gone, Asked::ForBytes)
            }
            Turn::Closed => {
                let lowered = !self.tiers[tier].closed;
                if lowered && count <= self.tiers[tier].max {
                    // And has been raised again: it begins anew.
                    self.place(number, place).turn = Turn::New;
                    return self.poll_place(number, place);
                }
                if alone {
                    self.count_wait(tier, Ending::Closed, false);
                }
                let error = match lowered {
                    true => self.too_many(tier, count),
                    false => closed(),
                };
                (Turn::Gone, Asked::Refused(error))
            }
            Turn::Waiting | Turn::PassedOver | Turn::Gone => (turn, Asked::Waits),
        };
        let place = self.place(number, place);
        place.counted |= counted && place.turn == Turn::New;
        place.turn = after;
        asked
    }

    fn place(&mut self, number: usize, place: usize) -> &mut Place {
        &mut self.requests.get_mut(&number).unwrap().places[place]
    }

    fn wait_for_bytes(&mut self, number: usize, tier: usize) {
        self.requests.get_mut(&number).unwrap().for_bytes = Some((tier, Turn::Waiting));
        self.budget.as_mut().unwrap().queue.push_back(number);
    }

    /// Stands in no queue of a tier any more; what it has been handed goes to the next. Returns the first tier in which
    /// it waited.
    fn leave_places(&mut self, number: usize) -> Option<usize> {
        let request = self.requests.get_mut(&number).unwrap();
        let places = std::mem::take(&mut request.places);
        let count = request.count;
        for place in &places {
            let tier = place.tier;
            match place.turn {
                Turn::Waiting => {
                    self.tiers[tier].queue.retain(|other| *other != number);
                    self.give_back_all(tier, place.collected);
                }
                Turn::Handed => self.give_back_all(tier, count),
                Turn::New | Turn::PassedOver | Turn::Closed | Turn::Gone => {}
            }
        }
        let mut waited = places.iter().filter(|place| place.waits());
        waited.next().map(|place| place.tier)
    }

    /// The request is dropped, at whatever moment.
    pub(crate) fn cancel(&mut self, number: usize) {
        if let Some((tier, for_bytes)) = self.end(number) {
            self.count_wait(tier, Ending::Abandoned, for_bytes);
        }
    }

    /// The request goes. Returns the tier in which its wait counts, if it was one, and whether it was for bytes.
    fn end(&mut self, number: usize) -> Option<(usize, bool)> {
        let mut waited = self.leave_places(number).map(|tier| (tier, false));
        let request = self.requests.get_mut(&number).unwrap();
        if let Some((tier, turn)) = request.for_bytes.take() {
            waited = Some((tier, true));
            let count = request.count;
            let size = self.tiers[tier].setup.size * count;
            match turn {
                // It has no buffer any more.
                Turn::Closed => {}
                Turn::Handed => {
                    self.refund(size);
                    self.give_back_all(tier, count);
                }
                _ => {
                    let budget = self.budget.as_mut().unwrap();
                    budget.queue.retain(|other| *other != number);
                    // Those behind it may want less.
                    self.grant();
                    self.give_back_all(tier, count);
                }
            }
        }
        self.requests.remove(&number);
        waited
    }

    /// A request for `count` buffers, at least 1, that waits for no time at all.
    pub(crate) fn acquire_timeout(&mut self, pool: usize, count: usize, len: usize) -> Lent {
        let number = self.request(pool, count, len);
        let polled = self.poll(number);
        let waited = self.end(number);
        let Poll::Ready(result) = polled else {
            let (tier, for_bytes) = waited.unwrap();
            self.count_wait(tier, Ending::TimedOut, for_bytes);
            return Err(AcquireError::TimedOut {
                pool: "".into(),
                waited: Duration::ZERO,
                why: None,
            });
        };
        assert_eq!(waited, None);
        result
    }

    /// Closes all tiers of the pool.
    pub(crate) fn close(&mut self, pool: usize) {
        for tier in self.pools[pool].tiers.clone() {
            self.close_tier(tier);
        }
    }

    pub(crate) fn close_tier(&mut self, tier: usize) {
        let one = &mut self.tiers[tier];
        one.closed = true;
        let mut buffers = self.tell_waiters_for_more_than(tier, 0);
        if let Some(budget) = &mut self.budget {
            budget.queue.retain(|number| {
                let request = self.requests.get_mut(number).unwrap();
                let (of, turn) = request.for_bytes.as_mut().unwrap();
                if *of == tier {
                    *turn = Turn::Closed;
                    request.wakes += 1;
                    buffers += request.count;
                }
                *of != tier
            });
            self.grant();
        }
        // What was collected, and what those had that waited for bytes.
        self.give_back_all(tier, buffers);
    }

    /// Those that wait in the tier for more than `max` buffers wait in vain. Returns how many they had collected.
    fn tell_waiters_for_more_than(&mut self, tier: usize, max: usize) -> usize {
        let mut collected = 0;
        self.tiers[tier].queue.retain(|number| {
            let request = self.requests.get_mut(number).unwrap();
            if request.count <= max {
                return true;
            }
            let place = request.place(tier);
            place.turn = Turn::Closed;
            collected += std::mem::take(&mut place.collected);
            request.wakes += 1;
            false
        });
        collected
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
        let collected = self.tell_waiters_for_more_than(tier, after);
        self.give_back_all(tier, collected);
        let mut left_behind = 0;
        while self.tiers[tier].in_use < after && !self.tiers[tier].queue.is_empty() {
            self.tiers[tier].take(1);
            if !self.hand(tier, &mut left_behind) {
                self.tiers[tier].in_use -= 1;
            }
        }
        self.give_back_all(tier, left_behind);
        Ok(before)
    }

    /// What closing the pool says of the buffers that are out: what was handed over, and not fetched yet, is held too.
    pub(crate) fn outstanding(&self, pool: usize) -> usize {
        let tiers = self.pools[pool].tiers.iter();
        tiers.map(|tier| self.tiers[*tier].in_use).sum()
    }

    /// Compares the figures of the budget.
    pub(crate) fn check_budget(&self, stats: &BudgetStats) {
        let budget = self.budget.as_ref().unwrap();
        let waits = |request: &&Request| request.for_bytes.is_some();
        let waiting = self.requests.values().filter(waits).count();
        assert_eq!((stats.limit, stats.lent), (budget.limit, budget.lent));
        assert_eq!(stats.high_water, budget.high_water, "high water: {stats:?}");
        assert_eq!(stats.waiting, waiting, "waiting: {stats:?}");
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
    }

    fn check_tier(&self, number: usize, stats: &PoolStats) {
        let tier = &self.tiers[number];
        let total = tier.high_water.max(tier.setup.initial);
        let places = self.requests.values().flat_map(|request| &request.places);
        let here = |place: &&Place| place.tier == number && place.counted && place.waits();
        let waiting = places.filter(here).count() + self.for_bytes_in(number);
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
        assert_eq!(stats.abandoned, tier.abandoned, "abandoned: {stats:?}");
        assert_eq!(
            stats.waits_for_bytes, tier.waits_for_bytes,
            "waits for bytes: {stats:?}"
        );
        assert_eq!(stats.acquired, tier.lent, "acquired: {stats:?}");
    }
}

impl TierModel {
    fn new(setup: Tier) -> Self {
        TierModel {
            max: setup.max,
            setup,
            in_use: 0,
            queue: VecDeque::new(),
            closed: false,
            high_water: 0,
            lent: 0,
            refused: 0,
            over_budget: 0,
            waits: 0,
            handed_over: 0,
            timed_out: 0,
            abandoned: 0,
            waits_for_bytes: 0,
        }
    }

    /// Whether a new request for so many is served at once: not if others wait.
    fn has_free(&self, count: usize) -> bool {
        !self.closed && self.queue.is_empty() && self.in_use + count <= self.max
    }

    fn take(&mut self, count: usize) {
        self.in_use += count;
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

    /// What was charged is lent.
    fn note_lent(&mut self) {
        self.high_water = self.high_water.max(self.lent);
    }
}

impl Request {
    fn place(&mut self, tier: usize) -> &mut Place {
        let mut places = self.places.iter_mut();
        places.find(|place| place.tier == tier).unwrap()
    }
}

impl Place {
    fn new(tier: usize) -> Self {
        Place {
            tier,
            turn: Turn::New,
            counted: false,
            collected: 0,
        }
    }

    /// Whether the request waits here, as far as it knows.
    fn waits(&self) -> bool {
        !matches!(self.turn, Turn::New | Turn::Gone)
    }
}
