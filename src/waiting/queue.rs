//! The requests that wait: first come, first served.
//!
//! What comes free is *handed* to the request that has waited longest, not put where any may take it: so a thread in a
//! tight loop can't starve those that wait, and there is no wake-up that finds nothing. All changes are made under
//! one lock; what has to be woken is woken after it has been let go, and no waker is dropped under it.
//!
//! A request may want many things. Only the first in the queue collects: what comes free goes into its want until that is
//! complete, and then to the next. Two that want many thus never hold what the other lacks.
#![forbid(unsafe_code)]

use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use crate::sync::{AtomicBool, AtomicU64, Instant, Mutex, MutexGuard, Ordering};
use crate::waiting::waker::UserWaker;

/// See the module. `W` is what a request wants, `T` what it is handed.
pub(crate) struct Waiters<W, T> {
    queue: Mutex<Queue<W, T>>,
}

/// The queue, while its lock is held.
pub(crate) type Locked<'a, W, T> = MutexGuard<'a, Queue<W, T>>;

/// A list in the order of arrival, linked by indices, so that a request can leave from the middle.
pub(crate) struct Queue<W, T> {
    places: Vec<Place<W, T>>,
    first: Option<usize>,
    last: Option<usize>,
    /// Heads the list of vacant places, which are linked by `after`.
    vacant: Option<usize>,
    /// Places that are not vacant.
    occupied: usize,
    closed: bool,
    /// How many have joined.
    joined: u64,
    /// How often another request became the first.
    turns: u64,
    /// The turn, and how much the first had, when it was last asked; and when it was first found so.
    seen: Option<(u64, usize, Instant)>,
    /// Requests that wait now, or have been handed something and not come for it. A request that waits in two queues
    /// counts in one.
    waiting: usize,
}

struct Place<W, T> {
    state: State<W, T>,
    clock: Option<Clock>,
    /// Whether it counts as waiting here.
    counted: bool,
    before: Option<usize>,
    after: Option<usize>,
}

enum State<W, T> {
    Vacant,
    /// In the list.
    Waiting(Entry<W>),
    /// No longer in the list, since the request has been served by another queue. It will come and leave.
    Claimed(#[expect(dead_code, reason = "dropped when the request leaves")] UserWaker),
    /// No longer in the list: served, and the request has not yet come for it.
    Handed(T),
    /// No longer in the list: there is nothing more to wait for.
    Closed,
}

struct Entry<W> {
    want: W,
    waker: UserWaker,
    claim: Option<Claim>,
}

/// A place in a queue. Given up with [`Queue::leave`], or void when [`Waiters::check`] says so.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ticket(usize);

/// Shared by the places that one request has in two queues: the queue that takes it first serves the request.
#[derive(Clone)]
pub(crate) struct Claim(Arc<AtomicBool>);

impl Claim {
    pub(crate) fn new() -> Self {
        Claim(Arc::new(AtomicBool::new(false)))
    }

    /// Whether this call is the first.
    fn take(&self) -> bool {
        // Relaxed: says which queue serves, and hands nothing on.
        !self.0.swap(true, Ordering::Relaxed)
    }

    fn is_taken(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// What became of a request that waits.
pub(crate) enum Outcome<T> {
    Waiting,
    /// Served. The ticket is void.
    Handed(T, Option<Clock>),
    /// The ticket is void.
    Closed(Option<Clock>),
}

/// What is left of a place that has been given up. To be dropped after the lock has been let go.
pub(crate) struct Left<W, T> {
    pub(crate) handed: Option<T>,
    pub(crate) clock: Option<Clock>,
    /// Kept for its waker.
    _state: Option<State<W, T>>,
}

/// When a wait began, and for how many waits that are not timed it stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    since: Instant,
    stands_for: u64,
}

/// So many waits are timed each; beyond that, one in [`TIMED`]: looking at the clock would otherwise take a tenth of
/// what it takes to wait and to be served.
const TIMED_EACH: u64 = 1024;
const TIMED: u64 = 16;
/// So many places are kept, in an empty queue, for the next requests.
const KEPT: usize = 64;

impl Clock {
    /// How long the waits that it stands for took together, in nanoseconds.
    pub(crate) fn waited(self) -> u64 {
        // Beyond 584 years it is no longer exact.
        (self.since.elapsed().as_nanos() as u64).wrapping_mul(self.stands_for)
    }
}

/// How the waits of a pool ended. Added up without a lock.
#[derive(Default)]
pub(crate) struct WaitCounts {
    served: AtomicU64,
    /// Buffers that were lent to them, but for one each.
    more: AtomicU64,
    timed_out: AtomicU64,
    abandoned: AtomicU64,
    closed: AtomicU64,
    /// Nanoseconds.
    waited: AtomicU64,
}

/// Why a request waits no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Served,
    TimedOut,
    /// It was dropped, whatever had happened by then.
    Abandoned,
    /// Its pool was closed, and it was told so.
    Closed,
}

/// A wait that has ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wait {
    pub(crate) clock: Option<Clock>,
    /// Whether it was for the bytes of a budget, at the end; the buffer was there.
    pub(crate) for_bytes: bool,
}

impl Wait {
    pub(crate) fn for_buffer(clock: Option<Clock>) -> Self {
        Wait {
            clock,
            for_bytes: false,
        }
    }

    pub(crate) fn for_bytes(clock: Option<Clock>) -> Self {
        Wait {
            clock,
            for_bytes: true,
        }
    }
}

impl WaitCounts {
    pub(crate) fn add(&self, ending: Ending, clock: Option<Clock>) {
        let count = match ending {
            Ending::Served => &self.served,
            Ending::TimedOut => &self.timed_out,
            Ending::Abandoned => &self.abandoned,
            Ending::Closed => &self.closed,
        };
        // Release: what sees that a request was served sees what was counted before.
        count.fetch_add(1, Ordering::Release);
        self.add_time(clock);
    }

    /// Adds the time of a wait that goes on elsewhere.
    pub(crate) fn add_time(&self, clock: Option<Clock>) {
        if let Some(clock) = clock {
            self.waited.fetch_add(clock.waited(), Ordering::Relaxed);
        }
    }

    pub(crate) fn served(&self) -> u64 {
        self.served.load(Ordering::Relaxed)
    }

    /// Notes that a request that is about to count as served was lent so many buffers.
    pub(crate) fn add_buffers(&self, count: u32) {
        if count > 1 {
            let more = u64::from(count) - 1;
            self.more.fetch_add(more, Ordering::Relaxed);
        }
    }

    /// Buffers that were lent after a wait.
    pub(crate) fn handed_over(&self) -> u64 {
        self.served() + self.more.load(Ordering::Relaxed)
    }

    pub(crate) fn timed_out(&self) -> u64 {
        self.timed_out.load(Ordering::Relaxed)
    }

    pub(crate) fn abandoned(&self) -> u64 {
        self.abandoned.load(Ordering::Relaxed)
    }

    pub(crate) fn all(&self) -> u64 {
        let unserved = self.timed_out() + self.abandoned() + self.closed.load(Ordering::Relaxed);
        self.served() + unserved
    }

    pub(crate) fn waited(&self) -> Duration {
        Duration::from_nanos(self.waited.load(Ordering::Relaxed))
    }
}

impl<W, T> Waiters<W, T> {
    pub(crate) fn new() -> Self {
        Waiters {
            queue: Mutex::new(Queue {
                places: Vec::new(),
                first: None,
                last: None,
                vacant: None,
                occupied: 0,
                closed: false,
                joined: 0,
                turns: 0,
                seen: None,
                waiting: 0,
            }),
        }
    }

    pub(crate) fn waiting(&self) -> usize {
        self.lock().waiting
    }

    pub(crate) fn lock(&self) -> Locked<'_, W, T> {
        self.queue.lock()
    }

    /// Whether the request with `ticket` has been served. While not, it will be woken with `waker`.
    pub(crate) fn check(&self, ticket: &Ticket, waker: &Waker) -> Outcome<T> {
        let mut fresh = None;
        loop {
            let mut queue = self.lock();
            let place = &mut queue.places[ticket.0];
            match &mut place.state {
                State::Claimed(_) => return Outcome::Waiting,
                State::Waiting(entry) if entry.waker.will_wake(waker) => return Outcome::Waiting,
                State::Waiting(entry) => match fresh.take() {
                    None => {
                        drop(queue);
                        fresh = Some(UserWaker::clone_of(waker));
                    }
                    Some(fresh) => {
                        let stale = std::mem::replace(&mut entry.waker, fresh);
                        drop(queue);
                        drop(stale);
                        return Outcome::Waiting;
                    }
                },
                _ => {
                    let clock = place.clock;
                    let state = queue.vacate(ticket.0);
                    drop(queue);
                    return match state {
                        State::Handed(thing) => Outcome::Handed(thing, clock),
                        _ => Outcome::Closed(clock),
                    };
                }
            }
        }
    }
}

/// The request that is served next. Dropped without [`hand`](Next::hand), it would wait for ever.
#[must_use]
pub(crate) struct Next<'a, W, T> {
    queue: &'a mut Queue<W, T>,
    number: usize,
    entry: Entry<W>,
}

impl<W, T> Next<'_, W, T> {
    /// Hands over what is made of the want; returns what to wake.
    pub(crate) fn hand(self, thing: impl FnOnce(W) -> T) -> UserWaker {
        let Entry { want, waker, .. } = self.entry;
        self.queue.places[self.number].state = State::Handed(thing(want));
        waker
    }
}

impl<W, T> Queue<W, T> {
    /// Whether no request waits. Those that have been handed something do not.
    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Puts a request at the end of the queue. `counted` says whether it counts as waiting here.
    pub(crate) fn join(
        &mut self,
        want: W,
        waker: UserWaker,
        claim: Option<Claim>,
        counted: bool,
    ) -> Ticket {
        let place = Place {
            state: State::Waiting(Entry { want, waker, claim }),
            clock: self.clock(),
            counted,
            before: self.last,
            after: None,
        };
        let number = match self.vacant {
            Some(number) => {
                self.vacant = self.places[number].after;
                self.places[number] = place;
                number
            }
            None => {
                self.places.push(place);
                self.places.len() - 1
            }
        };
        match self.last {
            Some(last) => self.places[last].after = Some(number),
            None => {
                self.first = Some(number);
                self.turns += 1;
            }
        }
        self.last = Some(number);
        self.occupied += 1;
        self.waiting += usize::from(counted);
        Ticket(number)
    }

    /// For a wait that begins now; `None` if it is not timed.
    fn clock(&mut self) -> Option<Clock> {
        let number = self.joined;
        self.joined = number.wrapping_add(1);
        let stands_for = match number {
            0..TIMED_EACH => 1,
            _ if number % TIMED == 0 => TIMED,
            _ => return None,
        };
        Some(Clock {
            since: Instant::now(),
            stands_for,
        })
    }

    /// What the first request wants. Those that another queue has served are passed over, and what they wanted is added
    /// to `passed_over`, to be dropped after the lock has been let go.
    pub(crate) fn first_wants(&mut self, passed_over: &mut Vec<W>) -> Option<&mut W> {
        while self
            .first_entry()?
            .claim
            .as_ref()
            .is_some_and(Claim::is_taken)
        {
            let number = self.first?;
            self.unlink(number);
            let state = &mut self.places[number].state;
            // Only places that wait are linked.
            if let State::Waiting(entry) = std::mem::replace(state, State::Closed) {
                *state = State::Claimed(entry.waker);
                passed_over.push(entry.want);
            }
        }
        Some(&mut self.first_entry()?.want)
    }

    /// For how long, at least, the same request has been the first and been handed nothing, by what `has` says of what it
    /// has; zero if none waits. Counted from the first call that finds it so: what waits need not look at the clock.
    pub(crate) fn stalled(&mut self, has: impl Fn(&W) -> usize) -> Duration {
        let turn = self.turns;
        let Some(first) = self.first_entry() else {
            return Duration::ZERO;
        };
        let has = has(&first.want);
        match self.seen {
            Some((seen, had, since)) if (seen, had) == (turn, has) => since.elapsed(),
            _ => {
                self.seen = Some((turn, has, Instant::now()));
                Duration::ZERO
            }
        }
    }

    fn first_entry(&mut self) -> Option<&mut Entry<W>> {
        match &mut self.places[self.first?].state {
            State::Waiting(entry) => Some(entry),
            _ => None,
        }
    }

    /// Takes the first request out of the list, to be handed what it wants. `None` if there is none, or another queue has
    /// served it.
    pub(crate) fn next(&mut self) -> Option<Next<'_, W, T>> {
        let number = self.first?;
        let claim = self.first_entry()?.claim.as_ref();
        if !claim.is_none_or(Claim::take) {
            return None;
        }
        self.unlink(number);
        let state = &mut self.places[number].state;
        match std::mem::replace(state, State::Closed) {
            State::Waiting(entry) => Some(Next {
                queue: self,
                number,
                entry,
            }),
            // Only places that wait are linked.
            _ => None,
        }
    }

    /// Gives up a place.
    pub(crate) fn leave(&mut self, ticket: Ticket) -> Left<W, T> {
        let number = ticket.0;
        if matches!(self.places[number].state, State::Waiting(_)) {
            self.unlink(number);
        }
        let clock = self.places[number].clock;
        let (handed, state) = match self.vacate(number) {
            State::Handed(thing) => (Some(thing), None),
            state => (None, Some(state)),
        };
        Left {
            handed,
            clock,
            _state: state,
        }
    }

    /// No request waits any more, and none will. Returns what to wake, and the wants, to be dropped after the lock has been
    /// let go.
    pub(crate) fn close(&mut self) -> (Vec<UserWaker>, Vec<W>) {
        self.closed = true;
        self.close_where(|_| true)
    }

    /// There is nothing more to wait for, for those whose want is such. Returns what to wake, and the wants.
    pub(crate) fn close_where(&mut self, such: impl Fn(&W) -> bool) -> (Vec<UserWaker>, Vec<W>) {
        let (mut wakers, mut wants) = (Vec::new(), Vec::new());
        let mut next = self.first;
        while let Some(number) = next {
            let place = &mut self.places[number];
            next = place.after;
            match std::mem::replace(&mut place.state, State::Closed) {
                State::Waiting(entry) if such(&entry.want) => {
                    self.unlink(number);
                    wakers.push(entry.waker);
                    wants.push(entry.want);
                }
                kept => self.places[number].state = kept,
            }
        }
        (wakers, wants)
    }

    /// Takes a place that is not linked out of use.
    fn vacate(&mut self, number: usize) -> State<W, T> {
        let state = std::mem::replace(&mut self.places[number].state, State::Vacant);
        self.waiting -= usize::from(self.places[number].counted);
        self.occupied -= 1;
        if self.occupied == 0 && self.places.len() > KEPT {
            // After a crowd. What it waited with would else stay as long as the pool.
            self.places = Vec::new();
            self.vacant = None;
        } else {
            self.places[number].after = self.vacant;
            self.vacant = Some(number);
        }
        state
    }

    fn unlink(&mut self, number: usize) {
        let Place { before, after, .. } = self.places[number];
        match before {
            Some(before) => self.places[before].after = after,
            None => {
                self.first = after;
                self.turns += 1;
            }
        }
        match after {
            Some(after) => self.places[after].before = before,
            None => self.last = before,
        }
    }
}

#[cfg(all(test, not(any(poolbuf_loom, poolbuf_shuttle))))]
mod tests {
    use super::*;

    /// What a request wants is its name.
    type Line = Waiters<char, u32>;

    fn join(line: &Line, name: char) -> Ticket {
        join_with(line, name, None)
    }

    fn join_with(line: &Line, name: char, claim: Option<&Claim>) -> Ticket {
        let waker = UserWaker::clone_of(Waker::noop());
        line.lock().join(name, waker, claim.cloned(), true)
    }

    /// Hands `thing` to the next request, and returns its name.
    fn hand(line: &Line, thing: u32) -> Option<char> {
        let mut name = None;
        let mut queue = line.lock();
        queue.first_wants(&mut Vec::new())?;
        let waker = queue.next()?.hand(|first| {
            name = Some(first);
            thing
        });
        drop(queue);
        drop(waker);
        name
    }

    /// What `ticket` was handed. It is void then.
    fn handed(line: &Line, ticket: &Ticket) -> Option<u32> {
        match line.check(ticket, Waker::noop()) {
            Outcome::Handed(thing, _) => Some(thing),
            _ => None,
        }
    }

    /// Leaves the queue, and returns what it was handed.
    fn leave(line: &Line, ticket: Ticket) -> Option<u32> {
        let mut left = line.lock().leave(ticket);
        left.handed.take()
    }

    #[test]
    fn a_request_that_leaves_from_the_middle_leaves_the_order_of_the_others() {
        let line = Line::new();
        let [first, second, third, fourth] = ['a', 'b', 'c', 'd'].map(|name| join(&line, name));
        assert_eq!(leave(&line, second), None);
        assert_eq!(leave(&line, fourth), None);
        // In a place that was left.
        let fifth = join(&line, 'e');
        assert_eq!(
            [1, 2, 3].map(|thing| hand(&line, thing)),
            [Some('a'), Some('c'), Some('e')]
        );
        assert_eq!(hand(&line, 4), None);
        assert_eq!(line.waiting(), 3, "none has come for it");
        for (ticket, thing) in [(fifth, 3), (third, 2), (first, 1)] {
            assert_eq!(handed(&line, &ticket), Some(thing));
        }
        assert!(line.lock().is_empty());
        assert_eq!(line.waiting(), 0);
    }

    #[test]
    fn a_request_in_two_queues_is_served_by_one_and_passed_over_by_the_other() {
        let [one, other] = [Line::new(), Line::new()];
        let claim = Claim::new();
        let in_one = join_with(&one, 'a', Some(&claim));
        let in_other = join_with(&other, 'a', Some(&claim));
        let behind = join(&other, 'b');
        assert_eq!(hand(&one, 1), Some('a'));
        assert_eq!(hand(&other, 2), Some('b'));
        assert!(matches!(
            other.check(&in_other, Waker::noop()),
            Outcome::Waiting
        ));
        // Closing means nothing to it any more.
        assert!(other.lock().close().0.is_empty());
        assert_eq!(handed(&one, &in_one), Some(1));
        assert_eq!(leave(&other, in_other), None);
        assert_eq!(handed(&other, &behind), Some(2));
        assert_eq!((one.waiting(), other.waiting()), (0, 0));
    }

    #[test]
    fn a_queue_of_requests_that_others_have_served_serves_none_and_is_empty() {
        let [one, other] = [Line::new(), Line::new()];
        let claims = [Claim::new(), Claim::new()];
        let tickets = claims.each_ref().map(|claim| {
            let _ = join_with(&one, 'a', Some(claim));
            join_with(&other, 'a', Some(claim))
        });
        assert_eq!([hand(&one, 1), hand(&one, 2)], [Some('a'); 2]);
        assert!(!other.lock().is_empty());
        assert_eq!(hand(&other, 3), None);
        assert!(other.lock().is_empty());
        assert_eq!(tickets.map(|ticket| leave(&other, ticket)), [None; 2]);
        assert_eq!(other.waiting(), 0);
    }

    #[test]
    fn after_a_crowd_the_memory_of_its_places_is_given_back() {
        let line = Line::new();
        for crowd in [KEPT + 1, 10 * KEPT] {
            let mut tickets: Vec<_> = (0..crowd).map(|_| join(&line, 'a')).collect();
            assert!(line.lock().places.capacity() >= crowd);
            // Some are served, some leave, one is told that nothing comes.
            let last = tickets.pop().unwrap();
            for (number, ticket) in tickets.into_iter().enumerate() {
                match number % 2 {
                    0 => {
                        assert_eq!(hand(&line, 1), Some('a'));
                        assert_eq!(handed(&line, &ticket), Some(1));
                    }
                    _ => assert_eq!(leave(&line, ticket), None),
                }
            }
            line.lock().close_where(|_| true);
            assert!(handed(&line, &last).is_none());
            assert_eq!(line.lock().places.capacity(), 0);
        }
        // A few are kept for the next requests.
        let few: Vec<_> = (0..KEPT).map(|_| join(&line, 'a')).collect();
        for ticket in few {
            assert_eq!(leave(&line, ticket), None);
        }
        assert!(line.lock().places.capacity() >= KEPT);
    }

    #[test]
    fn a_first_request_that_is_handed_nothing_is_stalled_until_another_is_first_or_it_gets_more() {
        let line = Line::new();
        let stalled = |had| line.lock().stalled(|_| had);
        assert_eq!(stalled(0), Duration::ZERO);
        let _first = join(&line, 'a');
        assert_eq!(stalled(0), Duration::ZERO, "noted now");
        let since = Instant::now();
        while since.elapsed().is_zero() {}
        assert!(stalled(0) > Duration::ZERO);
        let _second = join(&line, 'b');
        assert!(stalled(0) > Duration::ZERO, "the first is the same");
        assert_eq!(stalled(1), Duration::ZERO, "it got one more");
        hand(&line, 1);
        assert_eq!(stalled(1), Duration::ZERO, "another is first");
    }

    #[test]
    fn waits_that_are_not_timed_are_stood_for_by_those_that_are() {
        let line = Line::new();
        let mut queue = line.lock();
        let waits = TIMED_EACH + 10 * TIMED;
        let clocks = (0..waits).filter_map(|_| queue.clock());
        assert_eq!(clocks.map(|clock| clock.stands_for).sum::<u64>(), waits);
    }

    #[test]
    fn each_ending_of_a_wait_counts_as_itself_and_as_a_wait() {
        let counts = WaitCounts::default();
        let endings = [
            Ending::Served,
            Ending::TimedOut,
            Ending::Abandoned,
            Ending::Closed,
        ];
        for (number, ending) in endings.into_iter().enumerate() {
            (0..=number).for_each(|_| counts.add(ending, None));
        }
        assert_eq!((counts.served(), counts.timed_out()), (1, 2));
        assert_eq!((counts.abandoned(), counts.all()), (3, 10));
        assert_eq!(counts.waited(), Duration::ZERO);
    }
}
