//! Several lock-free stacks instead of one, so that threads seldom meet at the same head.
//!
//! Each shard has a fixed part of the buffers. A thread takes from its own shard, and from the others when
//! that is empty; what is put back goes to the shard that it belongs to.
//!
//! *Exhaustion is exact.* That each shard was found empty does not mean that all were at one moment: behind
//! the back of a thread that walks along them, a buffer may be put back where it has been and another be
//! taken where it has yet to look. So it walks again, until it has found every shard empty twice with the same
//! head. A head's tag goes up with each take, so between the two looks nothing was put there; and between the
//! two walks lies a moment when all shards were empty. (The double collect of Y. Afek et al., *Atomic
//! Snapshots of Shared Memory*, 1993.)
//!
//! *Many at once.* If one shard has as many as are wanted, they are taken there by one compare-and-swap. If not, they
//! are gathered from several shards, which takes more than one step, and if there turn out to be too few, all are put
//! back. Meanwhile they are missing to others: so a thread says that it gathers, under a lock by which those that
//! gather take turns, and a request that has found nothing while one gathered waits for the end of that and looks
//! again. What sees an index gone that was gathered sees also that a thread gathers. So if at the end of the first of
//! the two walks none did, then between the walks nothing was missing that is not lent.
//!
//! Lock-free, unless many are gathered: a walk is repeated only when a head has changed, and then another thread has
//! taken or put back a buffer.
#![forbid(unsafe_code)]

use std::cell::Cell;

use crate::faults::{Fault, injected};
use crate::free_list::lock_free::treiber::many::Gathered;
use crate::free_list::lock_free::treiber::{EmptyHead, Node, Stack, State, TreiberStack};
use crate::free_list::{Counts, Demand, Empty, FreeList, Inlet, Limits, NotTaken, Slot};
use crate::memory::trim_plan::Trimming;
use crate::memory::{OutOfMemory, vec_for};
use crate::sync::{IN_MODEL, next_thread_number, static_thread_local};

/// See the module. `N` is the number of buffers.
pub(crate) struct Shards<const N: usize> {
    stacks: Box<[Stack]>,
    /// Of all indices of the list.
    nodes: Box<[Node]>,
    state: Box<State>,
}

/// The list, as references to atomics and locks alone: see [`Inlet`].
#[derive(Clone, Copy)]
pub(crate) struct ShardsInlet<'a, const N: usize> {
    stacks: &'a [Stack],
    nodes: &'a [Node],
    state: &'a State,
}

/// Most shards of a list.
const MOST: usize = if IN_MODEL { 2 } else { 8 };
/// Fewest buffers for which a shard is worth its cache lines.
const FEWEST: usize = if IN_MODEL { 2 } else { 8 };

impl<'a, const N: usize> ShardsInlet<'a, N> {
    /// A power of two, so that a thread's shard is found without a division.
    const SHARDS: usize = {
        let mut shards = 1;
        while shards < MOST && shards * 2 * FEWEST <= N {
            shards *= 2;
        }
        shards
    };
    /// Indices of each shard; of the last one, what is left of `N`.
    const SHARE: usize = N.div_ceil(Self::SHARDS);

    /// The first index of a shard, and how many it has.
    #[inline]
    fn part(place: usize) -> (u32, u32) {
        let first = place * Self::SHARE;
        // Both at most `N`, which fits a `u32`.
        (
            first as u32,
            N.saturating_sub(first).min(Self::SHARE) as u32,
        )
    }

    #[inline]
    fn shard(self, place: usize) -> TreiberStack<'a, N> {
        let (first, indices) = Self::part(place);
        TreiberStack {
            stack: &self.stacks[place],
            nodes: self.nodes,
            state: self.state,
            first,
            indices,
        }
    }

    fn shards(self) -> impl Iterator<Item = TreiberStack<'a, N>> {
        (0..Self::SHARDS).map(move |place| self.shard(place))
    }

    /// The shards, this thread's own first.
    #[inline]
    fn home_first(self) -> impl Iterator<Item = (usize, TreiberStack<'a, N>)> {
        let home = thread_number();
        (0..Self::SHARDS).map(move |step| {
            let place = home.wrapping_add(step) % Self::SHARDS;
            (place, self.shard(place))
        })
    }
}

impl<const N: usize> Inlet for ShardsInlet<'_, N> {
    #[inline(always)]
    fn push_fast(self, slot: Slot) -> Result<(), Slot> {
        self.push(slot).map_err(|not_taken| match not_taken {
            NotTaken::Closed(slot) | NotTaken::Wanted(slot) => slot,
        })
    }

    #[inline]
    fn push(self, slot: Slot) -> Result<(), NotTaken> {
        self.shard(slot.index as usize / Self::SHARE).push(slot)
    }
}

impl<const N: usize> FreeList for Shards<N> {
    type Inlet<'a> = ShardsInlet<'a, N>;

    fn new(limits: &Limits) -> Result<Self, OutOfMemory> {
        debug_assert_eq!(limits.max as usize, N);
        let shards = ShardsInlet::<N>::SHARDS;
        let (mut stacks, mut nodes) = (vec_for(shards)?, vec_for(N)?);
        for place in 0..shards {
            let (first, indices) = ShardsInlet::<N>::part(place);
            let initial = limits.initial.saturating_sub(first).min(indices);
            stacks.push(Stack::new::<N>(first, indices, initial, &mut nodes));
        }
        Ok(Shards {
            stacks: stacks.into(),
            nodes: nodes.into(),
            state: Box::new(State::new()),
        })
    }

    fn pop(&self) -> Result<Slot, Empty> {
        let inlet = self.inlet();
        let mut seen: [Option<EmptyHead>; MOST] = [None; MOST];
        loop {
            let mut same = true;
            for (place, shard) in inlet.home_first() {
                match shard.pop() {
                    Ok(slot) => return Ok(slot),
                    Err(head) => {
                        same &= seen[place] == Some(head);
                        seen[place] = Some(head);
                    }
                }
            }
            if self.state.wait_for_gathering() {
                seen = [None; MOST];
            } else if same {
                break;
            }
        }
        // If they are being closed, their buffers need not all be in use.
        if self.state.is_closed() {
            return Err(Empty::Closed);
        }
        // `N` fits a `u32`.
        Err(Empty::AllInUse(N as u32))
    }

    /// From this thread's own shard.
    #[inline(always)]
    fn pop_fast(&self) -> Option<Slot> {
        let (_, home) = self.inlet().home_first().next()?;
        home.pop().ok()
    }

    fn pop_many<T>(
        &self,
        count: u32,
        out: &mut Vec<T>,
        make: impl Fn(Slot) -> T,
        put_back: impl FnMut(Slot),
    ) -> Result<(), Empty> {
        // From the first that is not empty, or else what has been lent before would be left for what has not.
        for (_, shard) in self.inlet().home_first() {
            if shard.pop_many(count, out, &make) {
                return Ok(());
            }
            if !shard.looks_empty() {
                break;
            }
        }
        self.gather(count, out, make, put_back)
    }

    /// From this thread's own shard.
    #[inline]
    fn pop_many_fast<T>(&self, count: u32, out: &mut Vec<T>, make: impl Fn(Slot) -> T) -> bool {
        let home = self.inlet().home_first().next();
        home.is_some_and(|(_, home)| home.pop_many(count, out, make))
    }

    #[inline(always)]
    fn inlet(&self) -> ShardsInlet<'_, N> {
        ShardsInlet {
            stacks: &self.stacks,
            nodes: &self.nodes,
            state: &self.state,
        }
    }

    /// Shard by shard. What is put back meanwhile lies in a shard that is looked at later, by a `pop` that begins
    /// after this.
    fn start_waiting(&self) {
        self.state.set_demand(Demand::Joining);
        self.inlet().shards().for_each(TreiberStack::notice_demand);
    }

    fn confirm_waiting(&self) {
        self.state.set_demand(Demand::Waiting);
    }

    fn stop_waiting(&self) {
        self.state.set_demand(Demand::None);
    }

    fn demand(&self) -> Demand {
        self.state.demand()
    }

    /// One shard after the other. A buffer put back meanwhile is free if its shard has yet to be emptied and counts
    /// as in use if not, and is then counted by what put it back.
    fn close(&self) -> u32 {
        if self.state.close() {
            return 0;
        }
        self.inlet().shards().map(TreiberStack::close).sum()
    }

    fn is_closed(&self) -> bool {
        self.state.is_closed()
    }

    fn counts(&self) -> Counts {
        let shards = self.inlet().shards().map(TreiberStack::counts);
        let none = Counts {
            in_use: Some(0),
            high_water: 0,
            acquired: 0,
            given_back: 0,
        };
        shards.fold(none, |sum, shard| Counts {
            in_use: sum.in_use.zip(shard.in_use).map(|(sum, shard)| sum + shard),
            high_water: sum.high_water + shard.high_water,
            acquired: sum.acquired + shard.acquired,
            given_back: sum.given_back.saturating_add(shard.given_back),
        })
    }

    fn max(&self) -> u32 {
        // It fits a `u32`.
        N as u32
    }

    /// One shard after the other.
    fn trim(&self, trimming: &mut Trimming<'_>, put_back: &mut dyn FnMut(Slot)) -> usize {
        (self.inlet().shards())
            .map(|shard| shard.trim(trimming, put_back))
            .sum()
    }
}

impl<const N: usize> Shards<N> {
    /// Does what `pop_many` does, from several shards.
    #[cold]
    fn gather<T>(
        &self,
        count: u32,
        out: &mut Vec<T>,
        make: impl Fn(Slot) -> T,
        put_back: impl FnMut(Slot),
    ) -> Result<(), Empty> {
        let inlet = self.inlet();
        let gathering = self.state.begin_to_gather();
        let mut gathered = Gathered::none(inlet.nodes);
        // How many of each shard, and how many of its indices were taken then.
        let mut parts = [(0, 0); MOST];
        let mut missing = count;
        let mut seen: [Option<EmptyHead>; MOST] = [None; MOST];
        let mut same = false;
        // As `pop` does.
        while !same && missing > 0 {
            same = true;
            for (place, shard) in inlet.home_first() {
                match shard.gather(missing) {
                    Ok(run) => {
                        gathered.add(&run);
                        missing -= run.count;
                        parts[place] = (parts[place].0 + run.count, run.in_use);
                        seen[place] = None;
                        same = false;
                        if missing == 0 {
                            break;
                        }
                    }
                    Err(head) => {
                        same &= seen[place] == Some(head);
                        seen[place] = Some(head);
                    }
                }
            }
        }
        if missing == 0 {
            drop(gathering);
            for ((count, in_use), shard) in parts.into_iter().zip(inlet.shards()) {
                if count > 0 {
                    shard.keep(count, in_use);
                }
            }
            out.extend(gathered.map(make));
            return Ok(());
        }
        let mut left_over = Gathered::none(inlet.nodes);
        for slot in gathered {
            let place = slot.index as usize / ShardsInlet::<N>::SHARE;
            inlet.shard(place).ungather(slot, &mut left_over);
        }
        // Before what is wanted is put back: that may take locks of the caller's, whose holder may look for a buffer
        // here.
        drop(gathering);
        left_over.for_each(put_back);
        match self.state.is_closed() {
            true => Err(Empty::Closed),
            // `N` fits a `u32`.
            false => Err(Empty::AllInUse(N as u32 - (count - missing))),
        }
    }
}

/// A number that is this thread's, whatever list it uses: the first threads have different ones modulo the
/// number of shards.
#[inline]
fn thread_number() -> usize {
    static_thread_local! {
        /// 0 until it is first asked for.
        static NUMBER: Cell<usize> = Cell::new(0);
    }
    if injected(Fault::NoThreadLocals) {
        return 0;
    }
    NUMBER
        .try_with(|number| {
            if number.get() == 0 {
                number.set(next_thread_number());
            }
            number.get()
        })
        .unwrap_or(0)
}
