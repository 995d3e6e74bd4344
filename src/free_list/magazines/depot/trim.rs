//! Giving back the pages of free buffers while other threads take and return some.
//!
//! No thread may take a buffer while its pages are given back, and no request may be refused for it, so that happens
//! under the stack's lock, a batch at a time; between two batches any thread may use it. What is still free is told by
//! one number, the *low water*: the fewest buffers that the stack had since the number was last set. So many of them,
//! counted from the bottom, have not been touched since.
//!
//! An example. The stack holds the buffers 5, 2, 9, 4, from the bottom, when trimming begins. It sets the low water to
//! 4, the length of the stack, and notes for each buffer its position: 0, 1, 2, 3. It sorts the notes by buffer,
//! 2, 4, 5, 9, so that neighbours in memory are given back together, and gives back the pages of 2 and 4 as its first
//! batch. Before the second batch another thread takes two buffers, 4 and 9, which leaves two, and puts back a 7. The
//! low water is 2 now. Of the next batch, 5 lies at position 0, below the low water: it was free all the time, and its
//! pages go. The position of 9 was 2: it was taken, and whether it came back does not matter; it is left alone. When
//! all is done, those at the bottom count as given back (`given_back`), up to the low water of the moment when that is
//! asked for: a buffer that was taken from there since is in memory again.
//!
//! The same number tells which buffers were idle for a whole generation ([`Depot::end_generation`]): as many, from the
//! bottom, as the low water since its begin. Trimming sets the low water anew in the middle of a generation, so what it
//! was until then is kept in `earlier_low_water`.
#![forbid(unsafe_code)]

use std::ops::Range;

use crate::free_list::magazines::depot::{Depot, Idle, Stack};
use crate::memory::trim_plan::{Action, Discarded, Pieces, Trimming};

/// Slots that are looked at under one lock.
const AT_ONCE: usize = 1 << 14;

/// A buffer that was free when trimming began.
struct Candidate {
    index: u32,
    /// Where in the stack, from the bottom.
    position: u32,
}

/// What is to be trimmed, beside the lock.
struct Plan {
    /// By index.
    candidates: Vec<Candidate>,
    /// For one batch.
    pieces: Pieces,
    /// The pages of those below this position have been given back already.
    already: u32,
    /// Also those that were never taken and lie below this one.
    fresh_end: u32,
    /// All buffers that there are.
    reserve: u32,
}

impl Plan {
    /// Notes in `pieces` which buffers of `window` are free still, and which of the `overlap` before.
    fn collect(&mut self, stack: &Stack, window: &Range<u32>, overlap: u32) {
        let from = window.start.saturating_sub(overlap);
        let first = self.candidates.partition_point(|c| c.index < from);
        self.pieces.clear();
        for &Candidate { index, position } in &self.candidates[first..] {
            if index >= window.end {
                break;
            }
            if (position as usize) < stack.low_water {
                let action = if position < self.already || index < window.start {
                    Action::Leave
                } else {
                    Action::GiveBackUsed
                };
                self.pieces.add(index..index + 1, action);
            }
        }
        // Those after the window in the same page are free as well.
        let end = window.end.saturating_add(overlap).min(self.reserve);
        let fresh_end = self.fresh_end.min(window.end);
        let mut index = stack.fresh.max(from);
        for (until, action) in [
            (window.start, Action::Leave),
            (fresh_end, Action::GiveBackFresh),
            (end, Action::Leave),
        ] {
            if index < until {
                self.pieces.add(index..until, action);
                index = until;
            }
        }
    }

    /// Notes that the buffers of which `collect` has just spoken may hold anything.
    fn mark_dirty(&self, stack: &mut Stack, window: &Range<u32>, trimming: &Trimming<'_>) {
        let from = window.start.saturating_sub(trimming.overlap);
        let first = self.candidates.partition_point(|c| c.index < from);
        let there = self.candidates[first..].iter().take_while(|c| c.index < window.end);
        for &Candidate { position, .. } in there {
            if (position as usize) < stack.low_water {
                stack.free[position as usize].set_dirty(trimming.dirty_after);
            }
        }
        stack.fresh_dirty = trimming.dirty_after;
    }

    /// Where the window after the one that ends at `end` begins.
    fn next_window(&self, stack: &Stack, end: u32) -> Option<u32> {
        let next = self.candidates.partition_point(|c| c.index < end);
        match self.candidates.get(next) {
            Some(candidate) => Some(candidate.index),
            None => Some(end.max(stack.fresh)).filter(|&start| start < self.fresh_end),
        }
    }
}

impl Stack {
    /// Bytes that have been given back, of buffers that are free still.
    pub(super) fn given_back(&self) -> usize {
        let Idle {
            given_back,
            fresh_given_back,
            ..
        } = self.idle;
        // The bottom of the stack fits a `u32`, as do all buffers.
        let free = given_back.left(self.low_water.min(u32::MAX as usize) as u32);
        let fresh = fresh_given_back.left(self.initial.saturating_sub(self.fresh));
        free.bytes.saturating_add(fresh.bytes)
    }

    /// Sets the low water anew, after passing on what it was to what is reckoned by it.
    fn restart_low_water(&mut self) {
        let low = self.low_water;
        // As in `given_back`.
        let left = low.min(u32::MAX as usize) as u32;
        self.idle.given_back = self.idle.given_back.left(left);
        let before = self.idle.earlier_low_water.unwrap_or(usize::MAX);
        self.idle.earlier_low_water = Some(before.min(low));
        self.low_water = self.free.len();
    }

    /// Notes what was given back.
    fn end_trimming(&mut self, plan: &Plan, bytes: Discarded) {
        let idle = &mut self.idle;
        idle.trimming = false;
        // At most `reserve`. What has been taken since is told by the low water.
        idle.given_back.buffers = (plan.candidates.len() as u32).max(plan.already);
        idle.given_back.bytes += bytes.used;
        let fresh = self.initial.saturating_sub(self.fresh);
        idle.fresh_given_back = idle.fresh_given_back.left(fresh);
        if bytes.fresh > 0 {
            idle.fresh_given_back.buffers = fresh;
            idle.fresh_given_back.bytes += bytes.fresh;
        }
    }

    /// How many buffers, from the bottom, were free all through this generation and the one before. Begins the
    /// next one.
    fn next_generation(&mut self) -> usize {
        self.restart_low_water();
        let low = self.idle.earlier_low_water.take().unwrap_or(0);
        let long_idle = low.min(self.idle.last_low_water);
        self.idle.last_low_water = low;
        // As many as `initial` stay as they are.
        let total = self.fresh.max(self.initial);
        long_idle.min((total - self.initial) as usize)
    }
}

impl Depot {
    /// See [`FreeList::trim`](crate::free_list::FreeList::trim).
    pub(in super::super) fn trim(&self, trimming: &mut Trimming<'_>) -> usize {
        self.trim_bottom(usize::MAX, true, trimming)
    }

    /// See [`FreeList::end_generation`](crate::free_list::FreeList::end_generation).
    pub(in super::super) fn end_generation(&self, trimming: &mut Trimming<'_>) {
        let mut stack = self.stack.lock();
        if stack.closed || stack.idle.trimming {
            return;
        }
        let bottom = stack.next_generation();
        let already = stack.idle.given_back.buffers as usize;
        drop(stack);
        if bottom > already {
            self.trim_bottom(bottom, false, trimming);
        }
    }

    /// Trims up to `bottom` buffers from the bottom of the stack.
    fn trim_bottom(&self, bottom: usize, with_fresh: bool, trimming: &mut Trimming<'_>) -> usize {
        let Some(mut plan) = self.plan(bottom, with_fresh, trimming) else {
            return 0;
        };
        plan.candidates.sort_unstable_by_key(|candidate| candidate.index);
        let mut bytes = Discarded::default();
        let mut next = Some(plan.candidates.first().map_or(0, |first| first.index));
        while let Some(start) = next {
            let window = start..start.saturating_add(trimming.span);
            let mut stack = self.stack.lock();
            if stack.closed {
                break;
            }
            plan.collect(&stack, &window, trimming.overlap);
            bytes += plan.pieces.discard(trimming);
            if trimming.dirty_after > 0 {
                plan.mark_dirty(&mut stack, &window, trimming);
            }
            next = plan.next_window(&stack, window.end);
            if next.is_none() {
                stack.end_trimming(&plan, bytes);
            }
        }
        bytes.used + bytes.fresh
    }

    /// Notes which buffers are free, and that a thread is trimming; `None` if another is, or there is no memory for
    /// the notes.
    fn plan(&self, bottom: usize, with_fresh: bool, trimming: &Trimming<'_>) -> Option<Plan> {
        // Before the lock: allocating may take long.
        let room = self.stack.lock().free.len().min(bottom);
        let mut candidates = Vec::new();
        candidates.try_reserve_exact(room).ok()?;
        let batch = trimming.span.saturating_add(trimming.overlap) as usize;
        let pieces = Pieces::with_capacity(batch.min(room) + 3)?;
        let mut stack = self.stack.lock();
        if stack.closed || stack.idle.trimming {
            return None;
        }
        let fresh = stack.initial.saturating_sub(stack.fresh);
        let fresh_is_done = stack.idle.fresh_given_back.buffers >= fresh;
        let bottom = if with_fresh {
            room.min(stack.free.len())
        } else {
            // Those above have been taken since they were chosen.
            room.min(stack.low_water)
        };
        stack.restart_low_water();
        let already = stack.idle.given_back.buffers;
        if bottom <= already as usize && (fresh_is_done || !with_fresh) {
            return None;
        }
        stack.idle.trimming = true;
        let fresh_end = match with_fresh {
            true if fresh_is_done => stack.fresh,
            true => stack.initial,
            false => 0,
        };
        drop(stack);
        while candidates.len() < bottom {
            let stack = self.stack.lock();
            let from = candidates.len();
            let to = bottom.min(from + AT_ONCE).min(stack.free.len());
            // Fewer are there than were; what was taken since lies above the low water.
            let Some(slots) = stack.free.get(from..to).filter(|slots| !slots.is_empty()) else {
                break;
            };
            // There are at most as many positions as buffers.
            let places = (from as u32..).zip(slots);
            candidates.extend(places.map(|(position, slot)| Candidate {
                index: slot.index(),
                position,
            }));
        }
        Some(Plan {
            candidates,
            pieces,
            already,
            fresh_end,
            reserve: trimming.reserve,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::ops::Range;

    use crate::free_list::magazines::depot::Depot;
    use crate::free_list::{Limits, Slot};
    use crate::memory::trim_plan::Trimming;

    const RESERVE: u32 = 20;

    fn depot(initial: u32, max: u32) -> Depot {
        Depot::new(&Limits {
            buffer_size: 64,
            initial,
            max,
            reserve: RESERVE,
            magazine: 0,
            waiting: true,
        })
        .unwrap()
    }

    fn take(stack: &Depot, count: usize) -> Vec<Slot> {
        (0..count).map(|_| stack.pop().unwrap()).collect()
    }

    /// The last one first, so that the next is lent what this one was lent first.
    fn put_back(stack: &Depot, slots: Vec<Slot>) {
        for slot in slots.into_iter().rev() {
            stack.push(slot).unwrap();
        }
    }

    /// Calls `f` with something that notes which buffers are to be given back, a byte for each.
    fn noting(f: impl FnOnce(&mut Trimming<'_>)) -> Vec<(Range<u32>, Range<u32>)> {
        let mut calls = Vec::new();
        f(&mut Trimming {
            span: 4,
            overlap: 2,
            reserve: RESERVE,
            dirty_after: 0,
            discard: &mut |free, wanted| {
                let bytes = wanted.len();
                calls.push((free, wanted));
                bytes
            },
        });
        calls
    }

    fn generation(stack: &Depot) -> BTreeSet<u32> {
        let calls = noting(|trimming| stack.end_generation(trimming));
        calls.into_iter().flat_map(|(_, wanted)| wanted).collect()
    }

    #[test]
    fn what_lay_free_for_two_generations_is_trimmed_and_nothing_else() {
        let stack = depot(0, 20);
        let all = take(&stack, 20);
        put_back(&stack, all);
        assert!(generation(&stack).is_empty(), "all were in use");
        // How many are used in a generation, 0 before the others, and what is trimmed after it.
        let generations = [
            (3, 0..0),
            (5, 5..20),
            (2, 0..0),
            (2, 2..5),
            (4, 0..0),
            (0, 0..0),
            (0, 0..4),
        ];
        for (number, (used, trimmed)) in generations.into_iter().enumerate() {
            let lent = take(&stack, used);
            put_back(&stack, lent);
            let expected = trimmed.collect::<BTreeSet<u32>>();
            assert_eq!(generation(&stack), expected, "generation {number}");
        }
        assert_eq!(stack.counts(|| ()).0.given_back, 20);
    }

    #[test]
    fn as_many_as_at_first_do_not_decay() {
        let stack = depot(6, 20);
        let all = take(&stack, 10);
        put_back(&stack, all);
        for _ in 0..2 {
            assert!(generation(&stack).is_empty());
        }
        // The ones that were used last stay.
        assert_eq!(generation(&stack), BTreeSet::from([6, 7, 8, 9]));
        assert_eq!(stack.counts(|| ()).0.given_back, 4);
        assert!(generation(&stack).is_empty(), "they are gone");
    }

    /// Whatever is in use, and however it lies to the batches, which are of four here.
    #[test]
    fn all_that_is_free_is_trimmed_once_and_with_its_neighbours() {
        for pattern in 0_u32..1 << 10 {
            let stack = depot(13, 14);
            let (free, in_use): (Vec<_>, Vec<_>) =
                (take(&stack, 10).into_iter()).partition(|slot| pattern >> slot.index() & 1 == 0);
            put_back(&stack, free);
            let calls = noting(|trimming| {
                stack.trim(trimming);
            });
            let mut trimmed = Vec::new();
            for (free, wanted) in calls {
                assert!(in_use.iter().all(|slot| !free.contains(&slot.index())));
                assert!(free.start <= wanted.start && wanted.end <= free.end && free.end <= 20);
                // Those in the same page.
                let before = [1, 2].map(|back| wanted.start.checked_sub(back));
                let before = before
                    .into_iter()
                    .map_while(|index| index.filter(|index| in_use.iter().all(|slot| slot.index() != *index)));
                assert!(before.into_iter().all(|index| free.contains(&index)));
                trimmed.extend(wanted);
            }
            let expected = (0..13).filter(|index| *index >= 10 || pattern >> index & 1 == 0);
            assert!(trimmed.into_iter().eq(expected), "{pattern:b}");
            let again = noting(|trimming| {
                stack.trim(trimming);
            });
            assert_eq!(again, []);
        }
    }
}
