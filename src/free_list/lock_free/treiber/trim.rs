//! Giving back the pages of free buffers where there is no lock to keep others from taking them.
//!
//! A trim takes all of the stack, as any thread could, gives back the pages, and puts the buffers back from the
//! highest index down: then the lowest lies on top, and those that were never taken at the bottom, as at first.
#![forbid(unsafe_code)]

use crate::free_list::Slot;
use crate::free_list::lock_free::treiber::TreiberStack;
use crate::memory::trim_plan::{Action, GivenBack, Pieces, Trimming};
use crate::sync::Ordering;

/// What is known of earlier trims.
pub(super) struct Trimmed {
    given_back: GivenBack,
    /// Indices in use after the last trim. If more were since, so many came from those that were trimmed.
    in_use: u32,
    /// Most indices in use before it.
    high_water: u32,
    /// Indices that were touched when the pool was made.
    initial: u32,
}

impl Trimmed {
    pub(super) fn new(initial: u32) -> Self {
        Trimmed {
            given_back: GivenBack::default(),
            in_use: 0,
            high_water: 0,
            initial,
        }
    }

    pub(super) fn high_water_before(&self) -> u32 {
        self.high_water
    }

    /// What is left of what was given back, when at most `high_water` indices were in use since.
    pub(super) fn left(&self, high_water: u32) -> GivenBack {
        let taken = high_water.saturating_sub(self.in_use);
        let free = self.given_back.buffers.saturating_sub(taken);
        self.given_back.left(free)
    }
}

impl<const N: usize> TreiberStack<'_, N> {
    /// Gives back the pages of all indices that are free; returns how many bytes that were. They count as taken
    /// meanwhile, and go back through `put_back`.
    pub(crate) fn trim(self, trimming: &mut Trimming<'_>, put_back: &mut dyn FnMut(Slot)) -> usize {
        let mut trimmed = self.stack.trimmed.lock();
        // At most `N`.
        let indices = self.indices as usize;
        // The last one that is popped lies at the bottom.
        let mut taken: Vec<(Slot, Action)> = Vec::new();
        let batch = trimming.span.saturating_add(trimming.overlap) as usize;
        let pieces = Pieces::with_capacity(batch.min(indices));
        let (Some(mut pieces), Ok(())) = (pieces, taken.try_reserve_exact(indices)) else {
            return 0;
        };
        while taken.len() < indices {
            self.stack.marks.fetch_add(1, Ordering::Relaxed);
            let Ok((slot, _)) = self.take() else {
                self.stack.marks.fetch_sub(1, Ordering::Relaxed);
                break;
            };
            self.stack.held.fetch_add(1, Ordering::Relaxed);
            taken.push((slot, Action::GiveBackUsed));
        }
        let high_water = self.stack.high_water.load(Ordering::Relaxed);
        let left = trimmed.left(high_water);
        let high_water = high_water.max(trimmed.high_water);
        let touched = self.first + high_water.max(trimmed.initial);
        for (place, (slot, action)) in taken.iter_mut().rev().enumerate() {
            if place < left.buffers as usize || slot.index >= touched {
                *action = Action::Leave;
            }
        }
        let free = taken
            .iter()
            .filter(|(slot, _)| slot.index < touched)
            .count();
        taken.sort_unstable_by_key(|(slot, _)| slot.index);
        let mut bytes = 0;
        while let Some((last, _)) = taken.last() {
            let start = (last.index + 1).saturating_sub(trimming.span);
            let context = start.saturating_sub(trimming.overlap);
            pieces.clear();
            let from = taken.partition_point(|(slot, _)| slot.index < context);
            for (slot, action) in &taken[from..] {
                // Those before come next.
                let action = if slot.index < start {
                    Action::Leave
                } else {
                    *action
                };
                pieces.add(slot.index..slot.index + 1, action);
            }
            bytes += pieces.discard(trimming).used;
            let done = taken.partition_point(|(slot, _)| slot.index < start);
            for (mut slot, _) in taken.drain(done..).rev() {
                // A neighbour in the same page may have been given back, if not this one.
                slot.exposed = slot.exposed.max(trimming.exposed_after);
                self.stack.held.fetch_sub(1, Ordering::Relaxed);
                put_back(slot);
            }
        }
        let in_use = self.indices - self.depth(self.load_head().index());
        // A closed stack is empty, whatever is in use; and its figures are final.
        if self.state.is_closed() {
            return bytes;
        }
        // What another thread raises it to meanwhile is not lost.
        let before = self.stack.high_water.swap(in_use, Ordering::Relaxed);
        trimmed.high_water = high_water.max(before);
        trimmed.in_use = in_use;
        trimmed.given_back = GivenBack {
            // At most `N`.
            buffers: free as u32,
            bytes: left.bytes + bytes,
        };
        bytes
    }
}
