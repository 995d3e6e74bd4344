//! Taking several indices from a stack at once, and gathering them from several stacks.
//!
//! Those on top are taken by one compare-and-swap: the links are followed down to the first that stays, which becomes
//! the head. If the head is the same word then as when the walk began, no index came or went meanwhile, and what the
//! walk has read was so; if not, it may have read anything, and begins again. The tag goes up by as many as were taken.
#![forbid(unsafe_code)]

use crate::free_list::lock_free::treiber::{EmptyHead, Link, Node, State, TreiberStack};
use crate::free_list::{NotTaken, Slot};
use crate::sync::{Backoff, MutexGuard, Ordering};

/// Indices that were taken at one moment, linked from the first to the last.
pub(crate) struct Run {
    first: u32,
    last: u32,
    pub(crate) count: u32,
    /// Indices of the stack that are taken then.
    pub(crate) in_use: u32,
}

/// Indices that a thread has taken, and has neither lent nor put back: a stack of its own, by the same links.
pub(crate) struct Gathered<'a> {
    nodes: &'a [Node],
    top: Option<u32>,
}

impl<'a> Gathered<'a> {
    pub(crate) fn none(nodes: &'a [Node]) -> Self {
        Gathered { nodes, top: None }
    }

    /// Adds what was taken.
    pub(crate) fn add(&mut self, run: &Run) {
        let link = Link {
            below: self.top,
            // None of a stack that others see.
            depth: 0,
        };
        // Relaxed: whatever reads the link of an index that is taken finds that its head has changed.
        let node = &self.nodes[run.last as usize];
        node.link.store(link.word(), Ordering::Relaxed);
        self.top = Some(run.first);
    }

    /// Adds a buffer that could not be put back.
    fn add_one(&mut self, slot: Slot) {
        let Slot { index, exposed } = slot;
        let node = &self.nodes[index as usize];
        node.exposed.store(exposed, Ordering::Relaxed);
        self.add(&Run {
            first: index,
            last: index,
            count: 1,
            in_use: 0,
        });
    }
}

impl Iterator for Gathered<'_> {
    type Item = Slot;

    fn next(&mut self) -> Option<Slot> {
        let index = self.top?;
        let node = &self.nodes[index as usize];
        self.top = Link::from_word(node.link.load(Ordering::Relaxed)).below;
        let exposed = node.exposed.load(Ordering::Relaxed);
        Some(Slot { index, exposed })
    }
}

impl<const N: usize> TreiberStack<'_, N> {
    /// Takes `count` indices, at least 1, all at one moment, and adds what `make` makes of each to `out`; none, and
    /// returns false, if there are fewer.
    pub(crate) fn pop_many<T>(
        self,
        count: u32,
        out: &mut Vec<T>,
        make: impl Fn(Slot) -> T,
    ) -> bool {
        let Ok(run) = self.take_many(count, count) else {
            return false;
        };
        self.note_in_use(run.in_use);
        let mut taken = Gathered::none(self.nodes);
        taken.add(&run);
        out.extend(taken.map(make));
        true
    }

    /// Whether no index is free at this moment.
    pub(crate) fn looks_empty(self) -> bool {
        self.load_head().index().is_none()
    }

    /// Takes up to `most` indices that may have to be put back.
    pub(crate) fn gather(self, most: u32) -> Result<Run, EmptyHead> {
        self.stack.marks.fetch_add(most.into(), Ordering::Relaxed);
        let taken = self.take_many(1, most);
        let count = taken.as_ref().map_or(0, |run| run.count);
        let not_taken = u64::from(most - count);
        self.stack.marks.fetch_sub(not_taken, Ordering::Relaxed);
        self.stack.held.fetch_add(count, Ordering::Relaxed);
        taken
    }

    /// Those of `gather` are lent after all: so many, when so many were in use.
    pub(crate) fn keep(self, count: u32, in_use: u32) {
        self.stack.held.fetch_sub(count, Ordering::Relaxed);
        self.stack.marks.fetch_sub(count.into(), Ordering::Relaxed);
        self.note_in_use(in_use);
    }

    /// Puts one of `gather` back.
    pub(crate) fn ungather(self, slot: Slot, left_over: &mut Gathered<'_>) {
        self.stack.held.fetch_sub(1, Ordering::Relaxed);
        if let Err(NotTaken::Wanted(slot) | NotTaken::Closed(slot)) = self.push(slot) {
            left_over.add_one(slot);
        }
    }

    /// Takes the indices on top: up to `most`, and at least `fewest`, which is at least 1. Fails if there are fewer,
    /// and says what the head was.
    fn take_many(self, fewest: u32, most: u32) -> Result<Run, EmptyHead> {
        let backoff = Backoff::new();
        let mut head = self.load_head();
        loop {
            let Some(first) = head.index() else {
                return Err(EmptyHead(head.word()));
            };
            let depth = self.link(first).depth;
            let count = depth.min(most);
            if count < fewest {
                let now = self.load_head();
                if now == head {
                    return Err(EmptyHead(head.word()));
                }
                head = now;
            } else if let Some((last, below)) = self.walk(first, count) {
                let rest = head.with_index_and_later_tag(below, count);
                // Release: as in `take`.
                match self.swap_head(head, rest, Ordering::Release) {
                    Ok(()) => {
                        return Ok(Run {
                            first,
                            last,
                            count,
                            in_use: self.indices - (depth - count),
                        });
                    }
                    Err(changed) => head = changed,
                }
            } else {
                head = self.load_head();
            }
            backoff.spin();
        }
    }

    /// The last of `count` indices from `first` down, and what lies below it. `None` if there are fewer: others have
    /// changed the links meanwhile.
    fn walk(self, first: u32, count: u32) -> Option<(u32, Option<u32>)> {
        let mut last = first;
        for _ in 1..count {
            last = self.link(last).below?;
        }
        Some((last, self.link(last).below))
    }
}

/// While a thread gathers: see [`shards`](crate::free_list::lock_free::shards).
pub(crate) struct Gathering<'a> {
    state: &'a State,
    _turn: MutexGuard<'a, ()>,
}

impl State {
    /// Waits until no other thread gathers.
    pub(crate) fn begin_to_gather(&self) -> Gathering<'_> {
        let turn = self.gathering_turn.lock();
        // Relaxed: what sees an index gone that was gathered sees this, by the Release of the compare-and-swap that
        // took it.
        self.is_gathering.store(true, Ordering::Relaxed);
        Gathering {
            state: self,
            _turn: turn,
        }
    }

    /// Whether a thread gathers; waits until it does not.
    pub(crate) fn wait_for_gathering(&self) -> bool {
        // Acquire: pairs with the Release of `Gathering::drop`. What sees that it is over sees what was put back.
        let gathers = self.is_gathering.load(Ordering::Acquire);
        if gathers {
            drop(self.gathering_turn.lock());
        }
        gathers
    }
}

impl Drop for Gathering<'_> {
    fn drop(&mut self) {
        // Release: pairs with the Acquire of `wait_for_gathering`.
        self.state.is_gathering.store(false, Ordering::Release);
    }
}
