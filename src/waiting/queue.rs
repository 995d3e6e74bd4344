//! The requests that wait: first come, first served.
//!
//! A request that waits has a place here, and nothing else: no buffer, no byte of a budget. When all that it wants is
//! free it is taken in one step, and the request is *granted* it.
//!
//! One queue serves all tiers of a pool. It has a list of requests for each tier, in the order in which they came, and
//! a request is linked into the one or two tiers that may serve it. It is served by the tier where it is the first, and
//! free are as many buffers as it wants; then it leaves the other list in the same step.
#![forbid(unsafe_code)]

use std::sync::Weak;
use std::task::Waker;
use std::time::Duration;

use crate::base::sync::Instant;
use crate::buf::guard::PooledBuf;
use crate::report::holders::Caller;
use crate::waiting::after::After;
use crate::waiting::budget::{Ask, Asking, Budget, LookAgain};
use crate::waiting::counts::Clock;
use crate::waiting::loan::Loan;
use crate::waiting::places::{Places, Ticket};
use crate::waiting::waker::UserWaker;

/// See the module.
pub(crate) struct Queue {
    places: Places<Waiter>,
    tiers: Vec<Tier>,
    /// How many have joined.
    joined: u64,
}

/// The requests that a tier may serve, from the first to the last.
#[derive(Default)]
struct Tier {
    first: Option<Ticket>,
    last: Option<Ticket>,
    linked: usize,
    /// Those that wait, and count in this tier: in the first of those that may serve them.
    waiting: usize,
    closed: bool,
    /// How often another request became the first.
    turns: u64,
    /// Buffers that went from who released them to the first, past the free list, which counts all others.
    handed_on: u64,
    /// What [`stalled`](Queue::stalled) found last: `turns`, how often buffers had come back, and since when both have
    /// been the same.
    seen: Option<(u64, u64, Instant)>,
}

#[derive(Default)]
struct Waiter {
    state: PlaceState,
    request: Wants,
    clock: Option<Clock>,
    /// Of the tier that granted or refused it: see [`TierLink::lacked_bytes`].
    lacked_bytes: bool,
    /// In the list of each tier that may serve it. The smaller one first; none once it waits no more.
    links: [Option<TierLink>; 2],
}

struct TierLink {
    tier: usize,
    before: Option<Ticket>,
    after: Option<Ticket>,
    /// All its buffers are free here, and it asks for their bytes.
    ask: Option<Ask>,
    /// It did so at some time.
    lacked_bytes: bool,
}

/// What a request wants, and who.
pub(crate) struct Wants {
    /// At least 1.
    pub(crate) count: u32,
    pub(crate) caller: Caller,
    /// Has room for all, unless that is 1.
    pub(crate) room: Vec<PooledBuf>,
}

impl Default for Wants {
    #[track_caller]
    fn default() -> Self {
        Wants {
            count: 0,
            caller: std::panic::Location::caller(),
            room: Vec::new(),
        }
    }
}

#[derive(Default)]
enum PlaceState {
    /// The place is given up.
    #[default]
    Gone,
    Waiting(Option<UserWaker>),
    /// By that tier.
    Granted(usize, Loan),
    /// By that tier, the last one that could have served it.
    Refused(usize, Refused),
}

/// Why a tier serves a request no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// It was closed.
    Closed,
    /// Its max was lowered below what the request wants.
    TooMany,
}

/// What became of a request.
pub(crate) enum Outcome {
    Waiting,
    /// The place is given up.
    Granted(usize, Loan, Waited),
    /// The place is given up.
    Refused(usize, Refused, Waited),
}

/// A wait that is over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waited {
    pub(crate) clock: Option<Clock>,
    /// In the tier where it counts it lacked nothing but the bytes of the budget: at some time, or, if it was given up
    /// while it waited, at the end.
    pub(crate) for_bytes: bool,
}

/// What is left of a place that was given up before its request was told of an outcome.
pub(crate) struct Left {
    pub(crate) granted: Option<Loan>,
    /// The tier where the wait counts: that which granted or refused it, or the first that may have served it.
    pub(crate) tier: Option<usize>,
    /// Why that tier refused it.
    pub(crate) refused: Option<Refused>,
    /// The tiers where it was the first.
    pub(crate) led: [Option<usize>; 2],
    /// The tiers where it was linked, with whether what it lacked there, or the first before it, were bytes alone.
    pub(crate) lacked: [Option<(usize, bool)>; 2],
    pub(crate) waited: Waited,
    /// To be dropped after the lock has been let go.
    _waker: Option<UserWaker>,
    _room: Vec<PooledBuf>,
}

impl Queue {
    pub(crate) fn new() -> Self {
        Queue {
            places: Places::new(),
            tiers: Vec::new(),
            joined: 0,
        }
    }

    /// Adds a tier; returns its number, one more than that of the one before.
    pub(crate) fn add_tier(&mut self) -> usize {
        self.tiers.push(Tier::default());
        self.tiers.len() - 1
    }

    /// Requests that wait, and count in the tier.
    pub(crate) fn waiting(&self, tier: usize) -> usize {
        self.tiers[tier].waiting
    }

    /// Requests that the tier may serve.
    pub(crate) fn linked(&self, tier: usize) -> usize {
        self.tiers[tier].linked
    }

    pub(crate) fn is_closed(&self, tier: usize) -> bool {
        self.tiers[tier].closed
    }

    /// Puts a request at the end of the lists of `tiers`, the smaller one first, at least one.
    #[inline]
    pub(crate) fn join(&mut self, request: Wants, tiers: [Option<usize>; 2]) -> Ticket {
        let clock = Clock::start(self.joined);
        self.joined = self.joined.wrapping_add(1);
        let link = |tier: usize, tiers: &[Tier]| TierLink {
            tier,
            before: tiers[tier].last,
            after: None,
            ask: None,
            lacked_bytes: false,
        };
        let (ticket, place) = self.places.occupy();
        place.state = PlaceState::Waiting(None);
        place.request = request;
        place.clock = clock;
        place.lacked_bytes = false;
        for (place, &tier) in place.links.iter_mut().zip(&tiers) {
            *place = tier.map(|tier| link(tier, &self.tiers));
        }
        for &tier in tiers.iter().flatten() {
            match self.tiers[tier].last.replace(ticket) {
                Some(last) => self.link_mut(last, tier).after = Some(ticket),
                None => {
                    self.tiers[tier].first = Some(ticket);
                    self.tiers[tier].turns += 1;
                }
            }
            self.tiers[tier].linked += 1;
        }
        if let Some(&counts) = tiers.iter().flatten().next() {
            self.tiers[counts].waiting += 1;
        }
        ticket
    }

    /// The first request of a tier, and what it wants.
    pub(crate) fn first(&self, tier: usize) -> Option<(Ticket, &Wants)> {
        let ticket = self.tiers[tier].first?;
        Some((ticket, &self.places[ticket].request))
    }

    pub(crate) fn count_handed_on(&mut self, tier: usize) {
        self.tiers[tier].handed_on += 1;
    }

    /// How many buffers were counted so.
    pub(crate) fn handed_on(&self, tier: usize) -> u64 {
        self.tiers[tier].handed_on
    }

    pub(crate) fn is_first(&self, ticket: Ticket, tier: usize) -> bool {
        self.tiers[tier].first == Some(ticket)
    }

    /// The room that a request has for its buffers.
    pub(crate) fn take_room(&mut self, ticket: Ticket) -> Vec<PooledBuf> {
        std::mem::take(&mut self.places[ticket].request.room)
    }

    fn link(&self, ticket: Ticket, tier: usize) -> Option<&TierLink> {
        let mut links = self.places[ticket].links.iter().flatten();
        links.find(|link| link.tier == tier)
    }

    /// The tiers where a request is linked.
    fn linked_in(&self, ticket: Ticket) -> [Option<usize>; 2] {
        let [small, large] = &self.places[ticket].links;
        let tier = |link: &Option<TierLink>| link.as_ref().map(|link| link.tier);
        [tier(small), tier(large)]
    }

    /// The request is linked there.
    #[inline]
    fn link_mut(&mut self, ticket: Ticket, tier: usize) -> &mut TierLink {
        let link = match &mut self.places[ticket].links {
            [Some(small), _] if small.tier == tier => Some(small),
            [_, large] => large.as_mut(),
        };
        link.unwrap_or_else(|| unreachable!("a request that is not linked there"))
    }

    /// Charges `budget` for the first request of a tier, whose buffers are all free there. If it can't, the request
    /// asks for the bytes, in the line that `line` makes known. It is in the queue of a budget once, whichever tiers
    /// ask.
    pub(crate) fn charge(
        &mut self,
        ticket: Ticket,
        tier: usize,
        (budget, bytes): (&Budget, u64),
        line: impl FnOnce() -> Weak<dyn LookAgain>,
        after: &mut After,
    ) -> bool {
        let place = &mut self.places[ticket];
        let mut asks = place.links.iter().flatten().flat_map(|link| &link.ask);
        let asked = match asks.find(|ask| ask.is_to(budget)).cloned() {
            Some(asked) if asked.charge(bytes, after) => Ok(()),
            Some(asked) => Err(asked),
            None => budget.charge_or_queue(bytes, || Asking { line: line(), ticket }),
        };
        let charged = asked.is_ok();
        for link in place.links.iter_mut().flatten() {
            match &asked {
                // The budget has taken it out of its queue.
                Ok(()) => drop(link.ask.take_if(|ask| ask.is_to(budget))),
                Err(asked) if link.tier == tier => {
                    link.ask = Some(asked.clone());
                    link.lacked_bytes = true;
                }
                Err(_) => {}
            }
        }
        charged
    }

    /// A request that is linked in a tier asks for no bytes there.
    pub(crate) fn ask_no_more(&mut self, ticket: Ticket, tier: usize, after: &mut After) {
        let [small, large] = &mut self.places[ticket].links;
        let (here, other) = match small {
            Some(link) if link.tier == tier => (small, large),
            _ => (large, small),
        };
        if let Some(ask) = here.as_mut().and_then(|link| link.ask.take()) {
            withdraw(ask, other.as_ref(), after);
        }
    }

    /// The request has what it wants, from that tier. Adds the other tier to `others` if it was the first there too.
    #[inline]
    pub(crate) fn grant(
        &mut self,
        ticket: Ticket,
        tier: usize,
        loan: Loan,
        others: &mut Vec<usize>,
        after: &mut After,
    ) {
        let lacked_bytes = self.link_mut(ticket, tier).lacked_bytes;
        let led = self.unlink(ticket, after);
        others.extend(led.iter().flatten().filter(|other| **other != tier));
        let place = &mut self.places[ticket];
        place.lacked_bytes = lacked_bytes;
        let granted = PlaceState::Granted(tier, loan);
        if let PlaceState::Waiting(waker) = std::mem::replace(&mut place.state, granted) {
            after.wake(waker);
        }
    }

    /// Takes a request out of all lists; returns those where it was the first.
    #[inline]
    fn unlink(&mut self, ticket: Ticket, after: &mut After) -> [Option<usize>; 2] {
        let mut led = self.linked_in(ticket);
        for tier in &mut led {
            *tier = tier.filter(|&tier| self.unlink_from(ticket, tier, after));
        }
        led
    }

    /// Takes a request out of the list of a tier, where it is linked; returns whether it was the first.
    fn unlink_from(&mut self, ticket: Ticket, tier: usize, after: &mut After) -> bool {
        let [small, large] = &mut self.places[ticket].links;
        // It counts in the first list.
        let (link, counts, other) = match small {
            Some(link) if link.tier == tier => (small.take(), true, large),
            _ => (large.take(), small.is_none(), small),
        };
        let Some(link) = link else { return false };
        let list = &mut self.tiers[tier];
        list.linked -= 1;
        list.waiting -= usize::from(counts);
        if let Some(other) = other {
            self.tiers[other.tier].waiting += usize::from(counts);
        }
        if let Some(ask) = link.ask {
            withdraw(ask, other.as_ref(), after);
        }
        match link.after {
            Some(next) => self.link_mut(next, tier).before = link.before,
            None => self.tiers[tier].last = link.before,
        }
        match link.before {
            Some(before) => self.link_mut(before, tier).after = link.after,
            None => {
                let list = &mut self.tiers[tier];
                list.first = link.after;
                list.turns += 1;
            }
        }
        link.before.is_none()
    }

    /// A tier serves those no more that are `such`.
    pub(crate) fn refuse(&mut self, tier: usize, why: Refused, such: impl Fn(&Wants) -> bool, after: &mut After) {
        let mut next = self.tiers[tier].first;
        while let Some(ticket) = next {
            next = self.link(ticket, tier).and_then(|link| link.after);
            if !such(&self.places[ticket].request) {
                continue;
            }
            let lacked_bytes = self.link_mut(ticket, tier).lacked_bytes;
            self.unlink_from(ticket, tier, after);
            let place = &mut self.places[ticket];
            if place.links.iter().all(Option::is_none) {
                place.lacked_bytes = lacked_bytes;
                place.request.room = Vec::new();
                let refused = PlaceState::Refused(tier, why);
                if let PlaceState::Waiting(waker) = std::mem::replace(&mut place.state, refused) {
                    after.wake(waker);
                }
            }
        }
    }

    /// A tier serves none any more, and never will.
    pub(crate) fn close(&mut self, tier: usize, after: &mut After) {
        self.tiers[tier].closed = true;
        self.refuse(tier, Refused::Closed, |_| true, after);
    }

    /// What became of a request. While it waits, it will be woken with `waker`, of which `fresh` is a clone if need be:
    /// returns what it was woken with before, to be dropped after the lock has been let go, or that it needs one.
    #[inline]
    pub(crate) fn check(&mut self, ticket: Ticket, waker: &Waker, fresh: &mut Option<UserWaker>) -> Checked {
        let place = &mut self.places[ticket];
        if let PlaceState::Waiting(own) = &mut place.state {
            if own.as_ref().is_some_and(|own| own.will_wake(waker)) {
                return Checked::Is(Outcome::Waiting, None);
            }
            return match fresh.take() {
                Some(fresh) => Checked::Is(Outcome::Waiting, own.replace(fresh)),
                None => Checked::NeedsWaker,
            };
        }
        let waited = Waited {
            clock: place.clock,
            for_bytes: place.lacked_bytes,
        };
        let outcome = match std::mem::take(&mut place.state) {
            PlaceState::Granted(tier, loan) => Outcome::Granted(tier, loan, waited),
            PlaceState::Refused(tier, why) => Outcome::Refused(tier, why, waited),
            PlaceState::Waiting(_) | PlaceState::Gone => Outcome::Waiting,
        };
        self.places.vacate(ticket);
        Checked::Is(outcome, None)
    }

    /// Gives up a place.
    pub(crate) fn leave(&mut self, ticket: Ticket, after: &mut After) -> Left {
        let tiers = self.linked_in(ticket);
        // Behind one that lacks bytes alone, it is bytes that it lacks.
        let lacked = tiers.map(|tier| tier.map(|tier| (tier, self.lacks_bytes(tier))));
        let led = self.unlink(ticket, after);
        let mut left = Left {
            granted: None,
            tier: None,
            refused: None,
            led,
            lacked,
            waited: Waited {
                clock: None,
                for_bytes: false,
            },
            _waker: None,
            _room: Vec::new(),
        };
        let Some(place) = self.places.get_mut(ticket) else {
            return left;
        };
        left.waited = Waited {
            clock: place.clock,
            for_bytes: place.lacked_bytes,
        };
        left._room = std::mem::take(&mut place.request.room);
        match std::mem::take(&mut place.state) {
            PlaceState::Granted(tier, loan) => (left.tier, left.granted) = (Some(tier), Some(loan)),
            PlaceState::Refused(tier, why) => (left.tier, left.refused) = (Some(tier), Some(why)),
            PlaceState::Waiting(waker) => {
                left._waker = waker;
                if let Some((tier, for_bytes)) = lacked.into_iter().flatten().next() {
                    (left.tier, left.waited.for_bytes) = (Some(tier), for_bytes);
                }
            }
            PlaceState::Gone => {}
        }
        self.places.vacate(ticket);
        left
    }

    /// Whether the first of a tier lacks nothing but bytes.
    pub(crate) fn lacks_bytes(&self, tier: usize) -> bool {
        let first = self.tiers[tier].first;
        let link = first.and_then(|first| self.link(first, tier));
        link.is_some_and(|link| link.ask.is_some())
    }

    /// The tiers where a request asks for bytes.
    pub(crate) fn asking(&mut self, ticket: Ticket) -> [Option<usize>; 2] {
        let links = self.places.get_mut(ticket).map(|place| place.links.each_ref());
        links.map_or([None; 2], |links| {
            links.map(|link| link.as_ref().filter(|link| link.ask.is_some()).map(|link| link.tier))
        })
    }

    /// For how long, at least, the same request has been the first of a tier and no buffer has come back, which has
    /// happened so often; zero if none waits. Counted from the first call that finds it so: what waits need not look at
    /// the clock.
    pub(crate) fn stalled(&mut self, tier: usize, returns: u64) -> Duration {
        let tier = &mut self.tiers[tier];
        if tier.first.is_none() {
            return Duration::ZERO;
        }
        match tier.seen {
            Some((turn, came, since)) if (turn, came) == (tier.turns, returns) => since.elapsed(),
            _ => {
                tier.seen = Some((tier.turns, returns, Instant::now()));
                Duration::ZERO
            }
        }
    }
}

/// Withdraws what a tier asked for, unless the other tier of the request asks for it too.
#[cold]
fn withdraw(ask: Ask, other: Option<&TierLink>, after: &mut After) {
    let others = other.and_then(|link| link.ask.as_ref());
    if !others.is_some_and(|others| others.is(&ask)) {
        ask.withdraw(after);
    }
}

/// What came of [`Queue::check`].
pub(crate) enum Checked {
    /// With a waker to be dropped after the lock has been let go.
    Is(Outcome, Option<UserWaker>),
    /// It is to be asked again with a clone of the waker.
    NeedsWaker,
}

#[cfg(all(test, not(any(poolbuf_loom, poolbuf_shuttle))))]
mod tests {
    use std::panic::Location;

    use super::*;

    fn queue(tiers: usize) -> Queue {
        let mut queue = Queue::new();
        (0..tiers).for_each(|tier| assert_eq!(queue.add_tier(), tier));
        queue
    }

    /// A request for `count`, by which it is known here.
    fn join(queue: &mut Queue, count: u32, tiers: [Option<usize>; 2]) -> Ticket {
        let wants = Wants {
            count,
            caller: Location::caller(),
            room: Vec::new(),
        };
        queue.join(wants, tiers)
    }

    fn first(queue: &Queue, tier: usize) -> Option<u32> {
        queue.first(tier).map(|(_, wants)| wants.count)
    }

    /// Grants something to the first of a tier; returns what it is known by, and the other tier that it led.
    fn grant(queue: &mut Queue, tier: usize) -> Option<(u32, Vec<usize>)> {
        let (ticket, wants) = queue.first(tier)?;
        let count = wants.count;
        let (mut others, mut after) = (Vec::new(), After::default());
        let loan = Loan::one(PooledBuf::try_from(vec![7]).ok()?);
        queue.grant(ticket, tier, loan, &mut others, &mut after);
        after.settle();
        Some((count, others))
    }

    fn leave(queue: &mut Queue, ticket: Ticket) -> Left {
        let mut after = After::default();
        let left = queue.leave(ticket, &mut after);
        after.settle();
        left
    }

    #[test]
    fn a_request_that_leaves_from_the_middle_leaves_the_order_of_the_others() {
        let mut queue = queue(1);
        let [one, two, three, four] = [1, 2, 3, 4].map(|id| join(&mut queue, id, [Some(0), None]));
        assert_eq!(leave(&mut queue, two).led, [None; 2]);
        assert_eq!(leave(&mut queue, four).led, [None; 2]);
        join(&mut queue, 5, [Some(0), None]);
        assert_eq!(queue.waiting(0), 3);
        assert_eq!(leave(&mut queue, one).led, [Some(0), None]);
        let granted = [(); 3].map(|()| grant(&mut queue, 0).map(|(id, _)| id));
        assert_eq!(granted, [Some(3), Some(5), None]);
        assert_eq!(queue.waiting(0), 0, "what was granted waits no more");
        let left = leave(&mut queue, three);
        assert!(left.granted.is_some() && left.led == [None; 2]);
    }

    #[test]
    fn a_request_in_two_lists_leaves_both_at_once_and_counts_in_one() {
        let mut queue = queue(3);
        join(&mut queue, 1, [Some(0), Some(1)]);
        join(&mut queue, 2, [Some(1), Some(2)]);
        join(&mut queue, 3, [Some(0), None]);
        let waiting = |queue: &Queue| [0, 1, 2].map(|tier| queue.waiting(tier));
        let linked = |queue: &Queue| [0, 1, 2].map(|tier| queue.linked(tier));
        assert_eq!((waiting(&queue), linked(&queue)), ([2, 1, 0], [2, 2, 1]));
        assert_eq!([0, 1, 2].map(|tier| first(&queue, tier)), [Some(1), Some(1), Some(2)]);
        assert_eq!(grant(&mut queue, 1), Some((1, vec![0])));
        assert_eq!([0, 1, 2].map(|tier| first(&queue, tier)), [Some(3), Some(2), Some(2)]);
        let mut after = After::default();
        queue.close(1, &mut after);
        after.settle();
        // It waits on in the other, and counts there.
        assert_eq!((waiting(&queue), linked(&queue)), ([1, 0, 1], [1, 0, 1]));
        assert_eq!(grant(&mut queue, 2), Some((2, vec![])));
    }

    #[test]
    fn only_who_wants_too_much_and_can_be_served_nowhere_else_is_refused() {
        let mut queue = queue(2);
        let alone = join(&mut queue, 9, [Some(0), None]);
        let both = join(&mut queue, 8, [Some(0), Some(1)]);
        let small = join(&mut queue, 2, [Some(0), None]);
        let mut after = After::default();
        queue.refuse(0, Refused::TooMany, |wants| wants.count > 2, &mut after);
        after.settle();
        let mut outcome = |ticket| {
            let mut fresh = Some(UserWaker::clone_of(Waker::noop()));
            match queue.check(ticket, Waker::noop(), &mut fresh) {
                Checked::Is(Outcome::Refused(0, why, _), _) => Some(why),
                Checked::Is(Outcome::Waiting, _) => None,
                _ => unreachable!(),
            }
        };
        assert_eq!(outcome(alone), Some(Refused::TooMany));
        assert_eq!((outcome(both), outcome(small)), (None, None));
        assert_eq!((first(&queue, 0), first(&queue, 1)), (Some(2), Some(8)));
    }

    #[test]
    fn the_first_is_stalled_until_another_is_first_or_a_buffer_comes_back() {
        let mut queue = queue(1);
        assert_eq!(queue.stalled(0, 5), Duration::ZERO, "none waits");
        join(&mut queue, 1, [Some(0), None]);
        assert_eq!(queue.stalled(0, 5), Duration::ZERO, "noted now");
        let since = Instant::now();
        while since.elapsed().is_zero() {}
        assert!(queue.stalled(0, 5) > Duration::ZERO);
        join(&mut queue, 2, [Some(0), None]);
        assert!(queue.stalled(0, 5) > Duration::ZERO, "the first is the same");
        assert_eq!(queue.stalled(0, 6), Duration::ZERO, "one has come back");
        grant(&mut queue, 0);
        assert_eq!(queue.stalled(0, 6), Duration::ZERO, "another is first");
    }
}
