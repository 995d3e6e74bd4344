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
//! Lock-free: a walk is repeated only when a head has changed, and then another thread has taken or put back a
//! buffer.
#![forbid(unsafe_code)]

use std::cell::Cell;
use std::ops::Range;

use crate::config::CheckedConfig;
use crate::error::ConfigError;
use crate::faults::{Fault, injected};
use crate::free_list::lock_free::treiber::{EmptyHead, TreiberStack};
use crate::free_list::{Counts, Empty, FreeList, NotTaken, Slot};
use crate::memory::trim_plan::Trimming;
use crate::sync::{IN_MODEL, next_thread_number, static_thread_local};

/// See the module. `N` is the number of buffers.
pub(crate) struct Shards<const N: usize> {
    shards: Box<[TreiberStack<N>]>,
}

/// Most shards of a list.
const MOST: usize = if IN_MODEL { 2 } else { 8 };
/// Fewest buffers for which a shard is worth its cache lines.
const FEWEST: usize = if IN_MODEL { 2 } else { 8 };

impl<const N: usize> Shards<N> {
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

    /// The shards, this thread's own first.
    #[inline]
    fn home_first(&self) -> impl Iterator<Item = (usize, &TreiberStack<N>)> {
        let home = thread_number();
        (0..Self::SHARDS).map(move |step| {
            let place = home.wrapping_add(step) % Self::SHARDS;
            (place, &self.shards[place])
        })
    }

    /// The slot by its index in the whole list.
    #[inline]
    fn in_whole(place: usize, slot: Slot) -> Slot {
        // Below `N`, which fits a `u32`.
        let index = (place * Self::SHARE) as u32 + slot.index;
        Slot { index, ..slot }
    }
}

impl<const N: usize> FreeList for Shards<N> {
    fn new(config: &CheckedConfig) -> Result<Self, ConfigError> {
        debug_assert_eq!(config.max as usize, N);
        let mut shards = ConfigError::vec_for(Self::SHARDS)?;
        for place in 0..Self::SHARDS {
            let left = N.saturating_sub(place * Self::SHARE);
            // At most `N`, which fits a `u32`.
            let share = left.min(Self::SHARE) as u32;
            let before = (place * Self::SHARE) as u32;
            let initial = config.initial.saturating_sub(before).min(share);
            shards.push(TreiberStack::new(share, initial)?);
        }
        Ok(Shards {
            shards: shards.into(),
        })
    }

    fn pop(&self) -> Result<Slot, Empty> {
        let mut seen: [Option<EmptyHead>; MOST] = [None; MOST];
        loop {
            let mut same = true;
            for (place, shard) in self.home_first() {
                match shard.pop() {
                    Ok(slot) => return Ok(Self::in_whole(place, slot)),
                    Err(head) => {
                        same &= seen[place] == Some(head);
                        seen[place] = Some(head);
                    }
                }
            }
            if same {
                break;
            }
        }
        // If one of them is closed, its buffers need not all be in use.
        if self.shards.iter().any(TreiberStack::is_closed) {
            return Err(Empty::Closed);
        }
        // `N` fits a `u32`.
        Err(Empty::AllInUse(N as u32))
    }

    #[inline]
    fn push(&self, slot: Slot) -> Result<(), NotTaken> {
        let index = slot.index as usize;
        self.shards[index / Self::SHARE].push(Slot {
            // Below `N`, which fits a `u32`.
            index: (index % Self::SHARE) as u32,
            ..slot
        })
    }

    /// Shard by shard. What is put back meanwhile lies in a shard that is looked at later, by a `pop` that begins
    /// after this.
    fn start_waiting(&self) {
        self.shards.iter().for_each(TreiberStack::start_waiting);
    }

    fn stop_waiting(&self) {
        self.shards.iter().for_each(TreiberStack::stop_waiting);
    }

    /// One shard after the other. A buffer put back meanwhile is free if its shard is still open and counts
    /// as in use if not, and is then counted by whoever put it back.
    fn close(&self) -> u32 {
        self.shards.iter().map(TreiberStack::close).sum()
    }

    /// From this thread's own shard.
    #[inline(always)]
    fn pop_at_hand(&self) -> Option<Slot> {
        let (place, shard) = self.home_first().next()?;
        let slot = shard.pop().ok()?;
        Some(Self::in_whole(place, slot))
    }

    #[inline(always)]
    fn push_at_hand(&self, slot: Slot) -> bool {
        self.push(slot).is_ok()
    }

    fn counts(&self) -> Counts {
        let shards = self.shards.iter().map(TreiberStack::counts);
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

    /// One shard after the other.
    fn trim(&self, trimming: &mut Trimming<'_>, put_back: &mut dyn FnMut(Slot)) -> usize {
        let mut bytes = 0;
        for (place, shard) in self.shards.iter().enumerate() {
            // Below `N`.
            let first = (place * Self::SHARE) as u32;
            let discard = &mut *trimming.discard;
            let mut in_shard = Trimming {
                discard: &mut |free, wanted| {
                    let in_whole = |part: Range<u32>| first + part.start..first + part.end;
                    discard(in_whole(free), in_whole(wanted))
                },
                ..*trimming
            };
            bytes += shard.trim(&mut in_shard, &mut |slot| {
                put_back(Self::in_whole(place, slot));
            });
        }
        bytes
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
