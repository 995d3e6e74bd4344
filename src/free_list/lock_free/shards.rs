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
//! *Freezing.* To have all shards to itself for a moment, a thread takes the lock and *freezes* them
//! ([`treiber::frozen`]): each head then says so, and what others would take or put back goes to the lock. So many are
//! taken from several shards, and pages are given back; and while requests wait, the shards stay frozen, since what is
//! free is owed to them. Beside the heads there is one word, [`FreezeState::phase`], which says why they are frozen:
//!
//! | phase | what finds a frozen head, and wants to take | and to put back |
//! |---|---|---|
//! | open: about to be thawed | looks again under the lock | tries again under the lock |
//! | counting: for a moment | the same, which waits for the end of the moment | the same |
//! | waiting | is refused without the lock | puts it on the frozen shard under the lock, or is told that it is wanted |
//! | closed | is told so | is told so |
//!
//! *The order.* The phase is `counting` before the first head is frozen, becomes `waiting` only after a look under the
//! lock that could not serve those that wait, and `open` before the first head is thawed. So what is refused by
//! `waiting` has found it while the first in the line lacked something; and what has found a head thawed, or has put a
//! buffer there, is refused by nothing from before. (Were there a flag beside the heads alone, asked after the walk, a
//! pop could be refused though a buffer was free all the time: it finds the shards empty before they are filled, and
//! the flag set afterwards.)
//!
//! Lock-free, unless they are frozen: a walk is repeated only when a head has changed, and then another thread has
//! taken or put back a buffer.
#![forbid(unsafe_code)]

use std::cell::Cell;

use crate::base::faults::{Fault, injected};
use crate::base::sync::{AtomicU8, IN_MODEL, Mutex, MutexGuard, Ordering, next_thread_number, static_thread_local};
use crate::free_list::lock_free::tagged_index::TaggedIndex;
use crate::free_list::lock_free::treiber::{EmptyHead, Node, StackHead, TreiberStack};
use crate::free_list::{Counts, Demand, Empty, FreeList, Held, Limits, NotTaken, ReleaseSide, Slot, reserve};
use crate::memory::trim_plan::Trimming;
use crate::memory::{OutOfMemory, vec_for};

/// See the module. `N` is the number of buffers.
pub(crate) struct Shards<const N: usize> {
    stacks: Box<[StackHead]>,
    /// Of all indices of the list.
    nodes: Box<[Node]>,
    state: Box<FreezeState<N>>,
    /// Many at once may come from several shards. Not where none may wait: there nothing is ever frozen for a request,
    /// and so none that takes or puts back one waits for a lock.
    across: bool,
}

/// The list, as references to atomics and locks alone: see [`ReleaseSide`].
#[derive(Clone, Copy)]
pub(crate) struct ShardsReleaseSide<'a, const N: usize> {
    stacks: &'a [StackHead],
    nodes: &'a [Node],
    state: &'a FreezeState<N>,
}

/// What is beside the stacks.
struct FreezeState<const N: usize> {
    /// [`OPEN`], [`COUNTING`], [`WAITING`] or [`CLOSED`]. Changed under the lock only.
    phase: AtomicU8,
    frozen: Mutex<Frozen<N>>,
}

const OPEN: u8 = 0;
const COUNTING: u8 = 1;
const WAITING: u8 = 2;
const CLOSED: u8 = 3;

/// What is known under the lock.
struct Frozen<const N: usize> {
    /// What is on top of each shard, while they are frozen.
    tops: Option<[TaggedIndex<N>; MOST]>,
    demand: Demand,
    /// How often a buffer came back while they were frozen.
    returns: u64,
    closed: bool,
}

/// All shards are frozen, and the lock is held.
pub(crate) struct HeldShards<'a, const N: usize> {
    shards: ShardsReleaseSide<'a, N>,
    frozen: MutexGuard<'a, Frozen<N>>,
    tops: [TaggedIndex<N>; MOST],
    home: usize,
}

/// Why a walk has found no buffer.
enum Walked {
    AllTaken,
    /// Some are frozen.
    Frozen,
}

/// Most shards of a list.
const MOST: usize = if IN_MODEL { 2 } else { 8 };
/// Fewest buffers for which a shard is worth its cache lines.
const FEWEST: usize = if IN_MODEL { 2 } else { 8 };

impl<'a, const N: usize> ShardsReleaseSide<'a, N> {
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
        (first as u32, N.saturating_sub(first).min(Self::SHARE) as u32)
    }

    #[inline]
    fn shard(self, place: usize) -> TreiberStack<'a, N> {
        let (first, indices) = Self::part(place);
        TreiberStack {
            stack: &self.stacks[place],
            nodes: self.nodes,
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

impl<'a, const N: usize> ShardsReleaseSide<'a, N> {
    /// The shard that an index belongs to.
    #[inline]
    fn shard_of(self, index: u32) -> TreiberStack<'a, N> {
        self.shard(index as usize / Self::SHARE)
    }

    /// Takes a buffer from the first shard that has one, this thread's own first.
    fn walk(self) -> Result<Slot, Walked> {
        let mut seen: [Option<EmptyHead<N>>; MOST] = [None; MOST];
        loop {
            let (mut same, mut frozen) = (true, false);
            for (place, shard) in self.home_first() {
                match shard.pop() {
                    Ok(slot) => return Ok(slot),
                    Err(head) => {
                        frozen |= head.is_frozen();
                        same &= seen[place] == Some(head);
                        seen[place] = Some(head);
                    }
                }
            }
            if frozen {
                return Err(Walked::Frozen);
            }
            if same {
                return Err(Walked::AllTaken);
            }
        }
    }

    /// Takes a buffer where a walk has found that shards are frozen.
    #[cold]
    fn pop_slow(self) -> Result<Slot, Empty> {
        match self.state.phase() {
            CLOSED => return Err(Empty::Closed),
            WAITING => return Err(Empty::Owed),
            _ => {}
        }
        let frozen = self.state.frozen.lock();
        if frozen.closed {
            return Err(Empty::Closed);
        }
        if frozen.tops.is_some() {
            return Err(Empty::Owed);
        }
        // Nobody freezes them while this has the lock. `N` fits a `u32`.
        self.walk().map_err(|_| Empty::AllInUse(N as u32))
    }

    /// Puts a buffer back whose shard is frozen.
    #[cold]
    fn push_slow(self, slot: Slot) -> Result<(), NotTaken> {
        let mut frozen = self.state.frozen.lock();
        if frozen.closed {
            return Err(NotTaken::Closed(slot));
        }
        let Some(mut tops) = frozen.tops else {
            // Nobody freezes it while this has the lock.
            return self.shard_of(slot.index()).push(slot).map_err(NotTaken::Wanted);
        };
        if let Demand::At(count) = frozen.demand {
            if self.depth(&tops) + 1 >= count {
                return Err(NotTaken::Wanted(slot));
            }
        }
        let place = slot.index() as usize / Self::SHARE;
        self.shard(place).put_frozen(&mut tops[place], slot);
        frozen.tops = Some(tops);
        frozen.returns += 1;
        Ok(())
    }

    /// How many buffers lie in all shards, which are frozen.
    fn depth(self, tops: &[TaggedIndex<N>; MOST]) -> u32 {
        let shards = self.shards().zip(tops);
        shards.map(|(shard, top)| shard.frozen_depth(*top)).sum()
    }

    /// Freezes the shards, if they are not frozen. The list is not closed, unless by the caller.
    fn freeze(self, mut frozen: MutexGuard<'a, Frozen<N>>) -> HeldShards<'a, N> {
        let phase = if frozen.closed { CLOSED } else { COUNTING };
        // Before the first head: see the module. What has been frozen all along stays so.
        if frozen.tops.is_none() || frozen.closed {
            self.state.phase.store(phase, Ordering::Relaxed);
        }
        let tops = frozen.tops.take().unwrap_or_else(|| {
            let mut tops = [TaggedIndex::new(None); MOST];
            for (shard, top) in self.shards().zip(&mut tops) {
                *top = shard.freeze();
            }
            tops
        });
        HeldShards {
            shards: self,
            frozen,
            tops,
            home: thread_number(),
        }
    }

    /// As `freeze`, for one that does not wait. Fails if requests wait.
    fn try_hold(self) -> Result<HeldShards<'a, N>, Empty> {
        let frozen = self.state.frozen.lock();
        if frozen.closed {
            return Err(Empty::Closed);
        }
        if frozen.demand != Demand::None {
            return Err(Empty::Owed);
        }
        Ok(self.freeze(frozen))
    }
}

impl<const N: usize> FreezeState<N> {
    /// Relaxed: what has found a frozen head, by Acquire, sees no phase from before it was frozen, and needs no more.
    fn phase(&self) -> u8 {
        self.phase.load(Ordering::Relaxed)
    }
}

impl<const N: usize> Held for HeldShards<'_, N> {
    fn allowed(&self) -> u32 {
        self.shards.depth(&self.tops)
    }

    fn take(&mut self) -> Slot {
        let count = ShardsReleaseSide::<N>::SHARDS;
        let places = (0..count).map(|step| self.home.wrapping_add(step) % count);
        let slot = places
            .map(|place| (self.shards.shard(place)).take_frozen(&mut self.tops[place]))
            .find_map(|slot| slot);
        slot.unwrap_or_else(|| unreachable!("as many are taken as were counted"))
    }

    fn put(&mut self, slot: Slot) {
        let place = slot.index() as usize / ShardsReleaseSide::<N>::SHARE;
        let shard = self.shards.shard(place);
        shard.put_frozen(&mut self.tops[place], slot);
        self.frozen.returns += 1;
    }

    fn set_demand(&mut self, demand: Demand) {
        self.frozen.demand = demand;
    }
}

/// Thaws the shards, unless requests wait or the list is closed.
impl<const N: usize> Drop for HeldShards<'_, N> {
    fn drop(&mut self) {
        let state = self.shards.state;
        if self.frozen.closed || self.frozen.demand != Demand::None {
            self.frozen.tops = Some(self.tops);
            if !self.frozen.closed {
                // After a look that could not serve those that wait: see the module.
                state.phase.store(WAITING, Ordering::Relaxed);
            }
            return;
        }
        // Before the first head, which is stored with Release: see the module.
        state.phase.store(OPEN, Ordering::Relaxed);
        for (shard, top) in self.shards.shards().zip(self.tops) {
            shard.thaw(top);
        }
    }
}

impl<const N: usize> ReleaseSide for ShardsReleaseSide<'_, N> {
    #[inline(always)]
    fn push_fast(self, slot: Slot) -> Result<(), Slot> {
        self.shard_of(slot.index()).try_push(slot)
    }

    #[inline]
    fn push(self, slot: Slot) -> Result<(), NotTaken> {
        let pushed = self.shard_of(slot.index()).push(slot);
        pushed.or_else(|slot| self.push_slow(slot))
    }
}

impl<const N: usize> FreeList for Shards<N> {
    type ReleaseSide<'a> = ShardsReleaseSide<'a, N>;
    type Held<'a> = HeldShards<'a, N>;

    fn new(limits: &Limits) -> Result<Self, OutOfMemory> {
        debug_assert_eq!(limits.max as usize, N);
        let shards = ShardsReleaseSide::<N>::SHARDS;
        let (mut stacks, mut nodes) = (vec_for(shards)?, vec_for(N)?);
        for place in 0..shards {
            let (first, indices) = ShardsReleaseSide::<N>::part(place);
            let initial = limits.initial.saturating_sub(first).min(indices);
            stacks.push(StackHead::new::<N>(first, indices, initial, &mut nodes));
        }
        Ok(Shards {
            stacks: stacks.into(),
            nodes: nodes.into(),
            state: Box::new(FreezeState {
                phase: AtomicU8::new(OPEN),
                frozen: Mutex::new(Frozen {
                    tops: None,
                    demand: Demand::None,
                    returns: 0,
                    closed: false,
                }),
            }),
            across: limits.waiting,
        })
    }

    fn pop(&self) -> Result<Slot, Empty> {
        self.release_side().walk().or_else(|walked| match walked {
            // `N` fits a `u32`.
            Walked::AllTaken => Err(Empty::AllInUse(N as u32)),
            Walked::Frozen => self.release_side().pop_slow(),
        })
    }

    /// From this thread's own shard.
    #[inline(always)]
    fn pop_fast(&self) -> Option<Slot> {
        let (_, home) = self.release_side().home_first().next()?;
        home.try_pop()
    }

    fn pop_many<T>(&self, count: u32, out: &mut Vec<T>, make: impl Fn(Slot) -> T) -> Result<(), Empty> {
        for (_, shard) in self.release_side().home_first() {
            if shard.pop_many(count, out, &make)? {
                return Ok(());
            }
            // From the first that is not empty, or else what has been lent before would be left for what has not.
            if self.across && !shard.looks_empty() {
                break;
            }
        }
        if !self.across {
            return Err(match self.state.phase() {
                CLOSED => Empty::Closed,
                _ => Empty::AllInUse(self.release_side().shards().map(TreiberStack::in_use).sum()),
            });
        }
        let mut held = self.release_side().try_hold()?;
        let allowed = held.allowed();
        if allowed < count {
            return Err(Empty::AllInUse(N as u32 - allowed));
        }
        reserve(out, count)?;
        let from = out.len();
        out.extend((0..count).map(|_| make(held.take())));
        out[from..].reverse();
        Ok(())
    }

    /// From this thread's own shard.
    #[inline]
    fn pop_many_fast<T>(&self, count: u32, out: &mut Vec<T>, make: impl Fn(Slot) -> T) -> bool {
        let home = self.release_side().home_first().next();
        home.is_some_and(|(_, home)| home.pop_many(count, out, make) == Ok(true))
    }

    #[inline(always)]
    fn release_side(&self) -> ShardsReleaseSide<'_, N> {
        ShardsReleaseSide {
            stacks: &self.stacks,
            nodes: &self.nodes,
            state: &self.state,
        }
    }

    fn hold(&self) -> HeldShards<'_, N> {
        self.release_side().freeze(self.state.frozen.lock())
    }

    fn is_wanted(&self) -> bool {
        self.state.phase() == WAITING
    }

    /// What is released finds the mark in the head anyway.
    fn wants_one(&self) -> bool {
        false
    }

    /// Freezes all shards for good. A buffer that is put back from then on is not taken.
    fn close(&self) -> u32 {
        let mut frozen = self.state.frozen.lock();
        if frozen.closed {
            return 0;
        }
        frozen.closed = true;
        N as u32 - self.release_side().freeze(frozen).allowed()
    }

    fn is_closed(&self) -> bool {
        self.state.frozen.lock().closed
    }

    fn counts(&self) -> Counts {
        let frozen = self.state.frozen.lock();
        let shards = self.release_side().shards().enumerate();
        let counts = shards.map(|(place, shard)| shard.counts(frozen.tops.map(|tops| tops[place])));
        let none = Counts {
            in_use: Some(0),
            high_water: 0,
            acquired: 0,
            given_back: 0,
        };
        let sum = counts.fold(none, |sum, shard| Counts {
            in_use: sum.in_use.zip(shard.in_use).map(|(sum, shard)| sum + shard),
            high_water: sum.high_water + shard.high_water,
            acquired: sum.acquired + shard.acquired,
            given_back: sum.given_back.saturating_add(shard.given_back),
        });
        Counts {
            in_use: sum.in_use.filter(|_| !frozen.closed),
            ..sum
        }
    }

    fn max(&self) -> u32 {
        // It fits a `u32`.
        N as u32
    }

    fn most_at_once(&self) -> u32 {
        match self.across {
            true => N as u32,
            // The first has as many as any other.
            false => ShardsReleaseSide::<N>::part(0).1,
        }
    }

    fn returns(&self) -> u64 {
        self.state.frozen.lock().returns
    }

    /// One shard after the other; all are frozen for each window.
    fn trim(&self, trimming: &mut Trimming<'_>) -> usize {
        let hold = || {
            let frozen = self.state.frozen.lock();
            (!frozen.closed).then(|| self.release_side().freeze(frozen))
        };
        let trim_shard = |(place, shard): (usize, TreiberStack<'_, N>)| {
            let Some(held) = hold() else { return 0 };
            let Some(mut trim) = shard.begin_trim(held.tops[place], trimming) else {
                return 0;
            };
            let mut next = Some(held);
            while let Some(held) = next.take() {
                if shard.trim_window(held.tops[place], &mut trim, trimming) {
                    drop(held);
                    next = hold();
                }
            }
            shard.end_trim(trim)
        };
        self.release_side().shards().enumerate().map(trim_shard).sum()
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
