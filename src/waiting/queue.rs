//! Who waits, first come, first served.
//!
//! What comes free is *handed* to whoever has waited longest, not put where anybody may take it: so a thread in a
//! tight loop can't starve those who wait, and there is no wake-up that finds nothing. All changes are made under
//! one lock; whoever has to be woken is woken after it has been let go.
#![forbid(unsafe_code)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Waker;
use std::time::Duration;

use crate::sync::{AtomicU64, Instant, Mutex, MutexGuard, Ordering};

/// See the module. `W` is what somebody wants, `T` what is handed to him.
pub(crate) struct Waiters<W, T> {
    queue: Mutex<Queue<W, T>>,
    /// Nanoseconds that waits that have ended took together. Not in the queue, so that most looks at the clock are not
    /// under its lock.
    waited: AtomicU64,
}

/// The queue, while its lock is held.
pub(crate) type Locked<'a, W, T> = MutexGuard<'a, Queue<W, T>>;

/// A list in the order of arrival, linked by indices, so that who waits can leave from the middle.
pub(crate) struct Queue<W, T> {
    places: Vec<Place<W, T>>,
    first: Option<usize>,
    last: Option<usize>,
    /// Heads the list of vacant places, which are linked by `after`.
    vacant: Option<usize>,
    closed: bool,
    /// How many have joined.
    joined: u64,
    figures: Figures,
}

struct Place<W, T> {
    state: State<W, T>,
    /// `None` if this wait is not timed.
    clock: Option<Clock>,
    /// Whether it counts even if it is left without having been served.
    counted: bool,
    before: Option<usize>,
    after: Option<usize>,
}

enum State<W, T> {
    Vacant,
    /// In the list.
    Waiting(W, Waker),
    /// No longer in the list: served, and not yet come for it.
    Handed(T),
    /// No longer in the list: there is nothing more to wait for.
    Closed,
}

/// A place in the queue. Given up with [`Waiters::leave`].
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ticket(usize);

/// What became of one who waits.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome<T> {
    Waiting,
    /// Served. The ticket is void.
    Handed(T),
    /// The ticket is void.
    Closed,
}

/// When a wait began, and for how many waits that are not timed it stands.
#[derive(Clone, Copy)]
struct Clock {
    since: Instant,
    stands_for: u64,
}

/// So many waits are timed each; beyond that, one in [`TIMED`]: looking at the clock would otherwise take a tenth of
/// what it takes to wait and to be served.
const TIMED_EACH: u64 = 1024;
const TIMED: u64 = 16;

/// A wait that has ended, to be [added](Waiters::add) when the lock has been let go.
#[must_use]
pub(crate) struct Wait(Option<Clock>);

/// Why a place is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Who stood here no longer wants anything.
    Left,
    TimedOut,
    /// He was served by another queue, in which he stood too.
    ServedElsewhere,
}

/// What has been counted since the beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Figures {
    /// Those who wait now, or have been served and not come for it. Who stands in two queues counts in one.
    pub(crate) waiting: usize,
    /// Waits that have ended. Those that ended because of another queue count there.
    pub(crate) waits: u64,
    /// Those of them that ended with something for him who waited.
    pub(crate) served: u64,
    /// Those of them that ended because the time was up.
    pub(crate) timed_out: u64,
    /// The time that all of them took together, or an estimate of it when there were many.
    pub(crate) waited: Duration,
}

impl<W, T> Waiters<W, T> {
    pub(crate) fn new() -> Self {
        Waiters {
            queue: Mutex::new(Queue {
                places: Vec::new(),
                first: None,
                last: None,
                vacant: None,
                closed: false,
                joined: 0,
                figures: Figures::default(),
            }),
            waited: AtomicU64::new(0),
        }
    }

    pub(crate) fn figures(&self) -> Figures {
        Figures {
            waited: Duration::from_nanos(self.waited.load(Ordering::Relaxed)),
            ..self.lock().figures
        }
    }

    /// Adds up the time of a wait that has ended.
    pub(crate) fn add(&self, wait: Wait) {
        if let Wait(Some(Clock { since, stands_for })) = wait {
            // Beyond 584 years it is no longer exact.
            let waited = (since.elapsed().as_nanos() as u64).wrapping_mul(stands_for);
            self.waited.fetch_add(waited, Ordering::Relaxed);
        }
    }

    pub(crate) fn lock(&self) -> Locked<'_, W, T> {
        self.queue.lock()
    }

    /// Whether the one with `ticket` has been served. While not, `waker` is what he will be woken with.
    pub(crate) fn check(&self, ticket: &Ticket, waker: &Waker) -> Outcome<T> {
        let mut fresh = None;
        loop {
            let mut queue = self.lock();
            let place = &mut queue.places[ticket.0];
            match &mut place.state {
                State::Waiting(_, current) if current.will_wake(waker) => return Outcome::Waiting,
                State::Waiting(_, current) => match fresh.take() {
                    // Clones and drops of wakers are the user's code: not under the lock.
                    None => {
                        drop(queue);
                        fresh = Some(waker.clone());
                    }
                    Some(fresh) => {
                        let stale = std::mem::replace(current, fresh);
                        drop(queue);
                        drop(stale);
                        return Outcome::Waiting;
                    }
                },
                _ => {
                    let (outcome, wait) = queue.finish(ticket);
                    drop(queue);
                    self.add(wait);
                    return outcome;
                }
            }
        }
    }
}

impl<W, T> Queue<W, T> {
    /// Whether nobody waits. Those who have been served do not.
    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Goes to the end of the queue. `counted` says whether he stands in no other queue where he counts.
    pub(crate) fn join(&mut self, want: W, waker: Waker, counted: bool) -> Ticket {
        let place = Place {
            state: State::Waiting(want, waker),
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
            None => self.first = Some(number),
        }
        self.last = Some(number);
        self.figures.waiting += usize::from(counted);
        Ticket(number)
    }

    /// For one who joins now.
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

    /// What the first one wants.
    pub(crate) fn first_wants(&self) -> Option<&W> {
        match &self.places[self.first?].state {
            State::Waiting(want, _) => Some(want),
            _ => None,
        }
    }

    /// Hands `thing` to the first one. Returns whom to wake, or `thing` if nobody waits.
    pub(crate) fn hand(&mut self, thing: T) -> Result<Waker, T> {
        let Some(first) = self.first else {
            return Err(thing);
        };
        self.unlink(first);
        match std::mem::replace(&mut self.places[first].state, State::Handed(thing)) {
            State::Waiting(_, waker) => Ok(waker),
            // Only places that wait are linked.
            _ => Ok(Waker::noop().clone()),
        }
    }

    /// Gives up a place. Returns what has been handed to it, and what is to be done after the lock: the waker of one
    /// who was still waiting is to be dropped, and the wait to be added.
    pub(crate) fn leave(
        &mut self,
        ticket: &Ticket,
        ending: Ending,
    ) -> (Outcome<T>, Option<Waker>, Wait) {
        let number = ticket.0;
        if matches!(self.places[number].state, State::Waiting(..)) {
            self.unlink(number);
        }
        let counted = self.places[number].counted && ending != Ending::ServedElsewhere;
        let (state, wait) = self.vacate(number, counted);
        match state {
            State::Waiting(_, waker) => {
                self.figures.timed_out += u64::from(counted && ending == Ending::TimedOut);
                (Outcome::Waiting, Some(waker), wait)
            }
            State::Handed(thing) => {
                // Who is late is served all the same; the others no longer want it.
                self.figures.served += u64::from(ending == Ending::TimedOut);
                (Outcome::Handed(thing), None, wait)
            }
            _ => {
                // Late, and told so, even if it was closed since he looked.
                self.figures.timed_out += u64::from(counted && ending == Ending::TimedOut);
                (Outcome::Closed, None, wait)
            }
        }
    }

    /// The end of one who waits no more.
    fn finish(&mut self, ticket: &Ticket) -> (Outcome<T>, Wait) {
        let served = matches!(self.places[ticket.0].state, State::Handed(_));
        let counted = self.places[ticket.0].counted || served;
        let (state, wait) = self.vacate(ticket.0, counted);
        match state {
            State::Handed(thing) => {
                self.figures.served += 1;
                (Outcome::Handed(thing), wait)
            }
            _ => (Outcome::Closed, wait),
        }
    }

    /// Nobody waits any more, and nobody will. Returns whom to wake.
    pub(crate) fn close(&mut self) -> Vec<Waker> {
        self.closed = true;
        self.close_where(|_| true)
    }

    /// There is nothing more to wait for, for those whose want is such. Returns whom to wake.
    pub(crate) fn close_where(&mut self, such: impl Fn(&W) -> bool) -> Vec<Waker> {
        let mut wakers = Vec::new();
        let mut next = self.first;
        while let Some(number) = next {
            let place = &mut self.places[number];
            next = place.after;
            match std::mem::replace(&mut place.state, State::Closed) {
                State::Waiting(want, waker) if such(&want) => {
                    self.unlink(number);
                    wakers.push(waker);
                }
                kept => self.places[number].state = kept,
            }
        }
        wakers
    }

    /// Takes a place that is not linked out of use, and counts its wait if it is one.
    fn vacate(&mut self, number: usize, wait: bool) -> (State<W, T>, Wait) {
        let place = &mut self.places[number];
        let state = std::mem::replace(&mut place.state, State::Vacant);
        place.after = self.vacant;
        self.vacant = Some(number);
        self.figures.waiting -= usize::from(place.counted);
        self.figures.waits += u64::from(wait);
        let clock = place.clock.filter(|_| wait);
        (state, Wait(clock))
    }

    fn unlink(&mut self, number: usize) {
        let Place { before, after, .. } = self.places[number];
        match before {
            Some(before) => self.places[before].after = after,
            None => self.first = after,
        }
        match after {
            Some(after) => self.places[after].before = before,
            None => self.last = before,
        }
    }
}

/// Wakes with `waker`. Should that panic, as a user's code may, it ends here: whoever wakes is often the drop of a
/// guard. The panic's message has been printed.
pub(crate) fn wake(waker: Waker) {
    contain(|| waker.wake());
}

pub(crate) fn wake_all(wakers: Vec<Waker>) {
    wakers.into_iter().for_each(wake);
}

/// Drops a waker that is not needed any more; as [`wake`].
pub(crate) fn discard(waker: Option<Waker>) {
    contain(|| drop(waker));
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

#[cfg(all(test, not(any(poolbuf_loom, poolbuf_shuttle))))]
mod tests {
    use super::*;

    type Line = Waiters<(), u32>;

    fn join(line: &Line, counted: bool) -> Ticket {
        line.lock().join((), Waker::noop().clone(), counted)
    }

    fn leave(line: &Line, ticket: &Ticket, ending: Ending) -> Outcome<u32> {
        let (outcome, waker, wait) = line.lock().leave(ticket, ending);
        line.add(wait);
        discard(waker);
        outcome
    }

    /// Served, timed out, and all that have ended.
    fn counts(line: &Line) -> (u64, u64, u64) {
        let figures = line.figures();
        (figures.served, figures.timed_out, figures.waits)
    }

    #[test]
    fn who_leaves_from_the_middle_leaves_the_order_of_the_others() {
        let line = Line::new();
        let [first, second, third, fourth] = [(); 4].map(|()| join(&line, true));
        assert_eq!(leave(&line, &second, Ending::Left), Outcome::Waiting);
        assert_eq!(leave(&line, &fourth, Ending::Left), Outcome::Waiting);
        let fifth = join(&line, true);
        for thing in [1, 2, 3] {
            assert!(line.lock().hand(thing).is_ok());
        }
        assert_eq!(line.lock().hand(4).err(), Some(4));
        for (ticket, thing) in [(fifth, 3), (third, 2), (first, 1)] {
            assert_eq!(line.check(&ticket, Waker::noop()), Outcome::Handed(thing));
        }
        assert!(line.lock().is_empty());
        assert_eq!(line.figures().waiting, 0);
        assert_eq!(counts(&line), (3, 0, 5));
    }

    #[test]
    fn who_is_late_and_was_served_all_the_same_counts_as_served() {
        let line = Line::new();
        let (served, late) = (join(&line, true), join(&line, true));
        assert!(line.lock().hand(7).is_ok());
        assert_eq!(leave(&line, &served, Ending::TimedOut), Outcome::Handed(7));
        assert_eq!(counts(&line), (1, 0, 1));
        assert_eq!(leave(&line, &late, Ending::TimedOut), Outcome::Waiting);
        assert_eq!(counts(&line), (1, 1, 2));
    }

    #[test]
    fn who_was_served_by_another_queue_counts_there() {
        let line = Line::new();
        let (counted, not_counted) = (join(&line, true), join(&line, false));
        assert_eq!(line.figures().waiting, 1);
        for ticket in [counted, not_counted] {
            leave(&line, &ticket, Ending::ServedElsewhere);
        }
        // What both are handed, and nobody wants, is not served.
        let handed = join(&line, true);
        assert!(line.lock().hand(7).is_ok());
        let outcome = leave(&line, &handed, Ending::ServedElsewhere);
        assert_eq!(outcome, Outcome::Handed(7));
        assert_eq!((line.figures().waiting, counts(&line)), (0, (0, 0, 0)));
        // Who counts elsewhere, but is served here, counts here.
        let served = join(&line, false);
        assert!(line.lock().hand(8).is_ok());
        assert_eq!(line.check(&served, Waker::noop()), Outcome::Handed(8));
        assert_eq!(counts(&line), (1, 0, 1));
    }

    #[test]
    fn waits_that_are_not_timed_are_stood_for_by_those_that_are() {
        let mut queue = Line::new().queue;
        let queue = queue.get_mut();
        let mut stood_for = 0;
        for _ in 0..TIMED_EACH + 10 * TIMED {
            stood_for += queue.clock().map_or(0, |clock| clock.stands_for);
        }
        assert_eq!(stood_for, TIMED_EACH + 10 * TIMED);
    }
}
