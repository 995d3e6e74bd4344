//! Giving back the pages of free buffers while others take and return some.
//!
//! Nobody may take a buffer while its pages are given back, and nobody may be refused for it, so that happens under
//! the stack's lock, a batch at a time. Between the batches the stack is anybody's. What is still free is told by
//! one number: as long as the stack never had fewer than `low` buffers, those at its bottom, so many, are those that
//! were there before. Whoever takes others in the meantime keeps them as they are; they are in use, after all.
#![forbid(unsafe_code)]

use std::ops::Range;

use crate::free_list::magazines::depot::{Idle, MutexStack, Stack};
use crate::memory::trim_plan::{Bytes, Pieces, Reason, Trimming};

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
    done: u32,
    /// Also those that were never taken and lie below this one.
    fresh_end: u32,
}

impl Plan {
    /// Notes in `pieces` which buffers of `window` are free still, and which of the `overlap` before.
    fn collect(&mut self, stack: &Stack, window: &Range<u32>, overlap: u32) {
        let reason = |index, reason| match index {
            index if index < window.start => Reason::Leave,
            _ => reason,
        };
        let from = window.start.saturating_sub(overlap);
        let first = self.candidates.partition_point(|c| c.index < from);
        self.pieces.clear();
        for &Candidate { index, position } in &self.candidates[first..] {
            if index >= window.end {
                break;
            }
            if (position as usize) < stack.low {
                let why = if position < self.done {
                    Reason::Leave
                } else {
                    reason(index, Reason::Used)
                };
                self.pieces.add(index..index + 1, why);
            }
        }
        // Those after the window in the same page are free as well.
        let end = window.end.saturating_add(overlap).min(stack.reserve);
        let fresh_end = self.fresh_end.min(window.end);
        let mut index = stack.fresh.max(from);
        for (until, why) in [
            (window.start, Reason::Leave),
            (fresh_end, Reason::Fresh),
            (end, Reason::Leave),
        ] {
            if index < until {
                self.pieces.add(index..until, why);
                index = until;
            }
        }
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
        let free = given_back.left(self.low.min(u32::MAX as usize) as u32);
        let fresh = fresh_given_back.left(self.initial.saturating_sub(self.fresh));
        free.bytes.saturating_add(fresh.bytes)
    }

    /// Sets `low` anew, after passing on what it was to those that want to know.
    fn restart_low(&mut self) {
        let low = self.low;
        // As in `given_back`.
        let left = low.min(u32::MAX as usize) as u32;
        self.idle.given_back = self.idle.given_back.left(left);
        let before = self.idle.low_before.unwrap_or(usize::MAX);
        self.idle.low_before = Some(before.min(low));
        self.low = self.free.len();
    }

    /// Notes what was given back.
    fn end_trimming(&mut self, plan: &Plan, bytes: Bytes) {
        let idle = &mut self.idle;
        idle.trimming = false;
        // At most `reserve`. What has been taken since is found by `low`.
        idle.given_back.buffers = (plan.candidates.len() as u32).max(plan.done);
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
        self.restart_low();
        let low = self.idle.low_before.take().unwrap_or(0);
        let long_idle = low.min(self.idle.low_last_generation);
        self.idle.low_last_generation = low;
        // As many as `initial` stay as they are.
        let total = self.fresh.max(self.initial);
        long_idle.min((total - self.initial) as usize)
    }
}

impl MutexStack {
    /// See [`FreeList::trim`](crate::free_list::FreeList::trim).
    pub(super) fn trim_free(&self, trimming: &mut Trimming<'_>) -> usize {
        self.trim_bottom(usize::MAX, true, trimming)
    }

    /// See [`FreeList::end_generation`](crate::free_list::FreeList::end_generation).
    pub(super) fn trim_decayed(&self, trimming: &mut Trimming<'_>) {
        let mut stack = self.stack.lock();
        if stack.closed || stack.idle.trimming {
            return;
        }
        let bottom = stack.next_generation();
        let done = stack.idle.given_back.buffers as usize;
        drop(stack);
        if bottom > done {
            self.trim_bottom(bottom, false, trimming);
        }
    }

    /// Trims up to `bottom` buffers from the bottom of the stack.
    fn trim_bottom(&self, bottom: usize, with_fresh: bool, trimming: &mut Trimming<'_>) -> usize {
        let Some(mut plan) = self.plan(bottom, with_fresh, trimming) else {
            return 0;
        };
        plan.candidates
            .sort_unstable_by_key(|candidate| candidate.index);
        let mut bytes = Bytes::default();
        let mut next = Some(plan.candidates.first().map_or(0, |first| first.index));
        while let Some(start) = next {
            let window = start..start.saturating_add(trimming.span);
            let mut stack = self.stack.lock();
            if stack.closed {
                break;
            }
            plan.collect(&stack, &window, trimming.overlap);
            bytes += plan.pieces.discard(trimming);
            next = plan.next_window(&stack, window.end);
            if next.is_none() {
                stack.end_trimming(&plan, bytes);
            }
        }
        bytes.used + bytes.fresh
    }

    /// Notes which buffers are free, and that somebody is trimming; `None` if somebody else is, or there is no
    /// memory for the notes.
    fn plan(&self, bottom: usize, with_fresh: bool, trimming: &Trimming<'_>) -> Option<Plan> {
        // What the allocator does is none of the lock's.
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
            room.min(stack.low)
        };
        stack.restart_low();
        let done = stack.idle.given_back.buffers;
        if bottom <= done as usize && (fresh_is_done || !with_fresh) {
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
            // Fewer are there than were: of those that came since, `low` knows.
            let Some(slots) = stack.free.get(from..to).filter(|slots| !slots.is_empty()) else {
                break;
            };
            // There are at most as many positions as buffers.
            let places = (from as u32..).zip(slots);
            candidates.extend(places.map(|(position, slot)| Candidate {
                index: slot.index,
                position,
            }));
        }
        Some(Plan {
            candidates,
            pieces,
            done,
            fresh_end,
        })
    }
}

#[cfg(all(test, not(poolbuf_loom)))]
mod tests {
    use std::collections::BTreeSet;
    use std::ops::Range;

    use super::MutexStack;
    use crate::config::{Defaults, PoolConfig};
    use crate::free_list::{FreeList, Slot};
    use crate::memory::trim_plan::Trimming;

    fn stack(config: PoolConfig) -> MutexStack {
        let defaults = Defaults {
            name: "stack",
            alignment: 1,
            fixed_max: None,
        };
        MutexStack::new(&config.check(defaults).unwrap()).unwrap()
    }

    fn take(stack: &MutexStack, count: usize) -> Vec<Slot> {
        (0..count).map(|_| stack.pop().unwrap()).collect()
    }

    /// The last one first, so that the next is lent what this one was lent first.
    fn put_back(stack: &MutexStack, slots: Vec<Slot>) {
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
            discard: &mut |free, wanted| {
                let bytes = wanted.len();
                calls.push((free, wanted));
                bytes
            },
        });
        calls
    }

    fn generation(stack: &MutexStack) -> BTreeSet<u32> {
        let calls = noting(|trimming| stack.end_generation(trimming));
        calls.into_iter().flat_map(|(_, wanted)| wanted).collect()
    }

    #[test]
    fn what_lay_free_for_two_generations_is_trimmed_and_nothing_else() {
        let stack = stack(PoolConfig::new(64).max(20));
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
        assert_eq!(stack.counts().given_back, 20);
    }

    #[test]
    fn as_many_as_at_first_do_not_decay() {
        let stack = stack(PoolConfig::new(64).initial(6).max(20));
        let all = take(&stack, 10);
        put_back(&stack, all);
        for _ in 0..2 {
            assert!(generation(&stack).is_empty());
        }
        // The ones that were used last stay.
        assert_eq!(generation(&stack), BTreeSet::from([6, 7, 8, 9]));
        assert_eq!(stack.counts().given_back, 4);
        assert!(generation(&stack).is_empty(), "they are gone");
    }

    /// Whatever is in use, and however it lies to the batches, which are of four here.
    #[test]
    fn all_that_is_free_is_trimmed_once_and_with_its_neighbours() {
        for pattern in 0_u32..1 << 10 {
            let stack = stack(PoolConfig::new(64).initial(13).max(14).reserve(20));
            let (free, in_use): (Vec<_>, Vec<_>) =
                (take(&stack, 10).into_iter()).partition(|slot| pattern >> slot.index & 1 == 0);
            put_back(&stack, free);
            let calls = noting(|trimming| {
                stack.trim(trimming, &mut |_| ());
            });
            let mut trimmed = Vec::new();
            for (free, wanted) in calls {
                assert!(in_use.iter().all(|slot| !free.contains(&slot.index)));
                assert!(free.start <= wanted.start && wanted.end <= free.end && free.end <= 20);
                // Those in the same page.
                let before = [1, 2].map(|back| wanted.start.checked_sub(back));
                let before = before.into_iter().map_while(|index| {
                    index.filter(|index| in_use.iter().all(|slot| slot.index != *index))
                });
                assert!(before.into_iter().all(|index| free.contains(&index)));
                trimmed.extend(wanted);
            }
            let expected = (0..13).filter(|index| *index >= 10 || pattern >> index & 1 == 0);
            assert!(trimmed.into_iter().eq(expected), "{pattern:b}");
            let again = noting(|trimming| {
                stack.trim(trimming, &mut |_| ());
            });
            assert_eq!(again, []);
        }
    }
}
