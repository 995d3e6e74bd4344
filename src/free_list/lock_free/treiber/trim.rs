//! Giving back the pages of free buffers of a stack while others use it.
//!
//! Window by window of the indices: the stack is frozen, what is free in the window is given back, and the stack is
//! thawed. Nothing is taken out for that, so the order stays, those that were never taken at the bottom; and no request
//! is refused for it, but waits for the end of the window.
//!
//! What was given back before and has not been taken since lies at the bottom. How many those still are is told by the
//! high water, which is set anew when a trim begins: for each buffer that was in use beyond what was then, one was
//! taken from there.
//!
//! An example. Of a stack of six indices 5 and 0 are in use; from the top down lie 2, 4, 1 and 3. A window spans three,
//! and nothing was given back before.
//!
//! 1. `begin_trim` notes that two are in use, and sets the high water to that. The four others count as given back.
//! 2. The window 0 to 2: of it 1 and 2 are free, and are given back. The stack is thawed, and a thread takes 2: three
//!    are in use now, and that is the high water.
//! 3. The window 3 to 5: of it 3 and 4 are free, and are given back. The order is as it was: 4, 1, 3.
//! 4. The next trim finds the high water at three, one more than two: one buffer was taken of the four. So the lowest
//!    three are left as they are, whichever these are.
#![forbid(unsafe_code)]

use std::ops::Range;

use crate::base::sync::Ordering;
use crate::free_list::lock_free::tagged_index::TaggedIndex;
use crate::free_list::lock_free::treiber::TreiberStack;
use crate::memory::trim_plan::{Action, GivenBack, Pieces, Trimming};

/// What is known of earlier trims.
pub(crate) struct Trimmed {
    given_back: GivenBack,
    /// Indices in use when the last trim began. If more were since, so many came from those that were trimmed.
    in_use: u32,
    /// Most indices in use before it.
    high_water: u32,
    /// Indices that were touched when the pool was made.
    initial: u32,
    /// A thread is trimming.
    under_way: bool,
}

impl Trimmed {
    pub(super) fn new(initial: u32) -> Self {
        Trimmed {
            given_back: GivenBack::default(),
            in_use: 0,
            high_water: 0,
            initial,
            under_way: false,
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

/// A trim that is under way.
pub(crate) struct StackTrim {
    /// Free buffers of the window and beside it, from the lowest up.
    free: Vec<(u32, Action)>,
    pieces: Pieces,
    /// Those from here on were never touched.
    touched: u32,
    /// As many at the bottom had been given back when it began.
    already: u32,
    /// Where the next window begins.
    next: u32,
    bytes: usize,
}

impl<const N: usize> TreiberStack<'_, N> {
    /// Begins to trim the stack, which is frozen. `None` if another thread is trimming it, or there is no memory for
    /// the notes.
    pub(crate) fn begin_trim(self, top: TaggedIndex<N>, trimming: &Trimming<'_>) -> Option<StackTrim> {
        let mut trimmed = self.stack.trimmed.lock();
        if trimmed.under_way {
            return None;
        }
        let most = trimming.overlap.saturating_mul(2);
        let most = trimming.span.saturating_add(most).min(self.indices) as usize;
        let mut free = Vec::new();
        free.try_reserve_exact(most).ok()?;
        let pieces = Pieces::with_capacity(most)?;
        let in_use = self.indices - self.frozen_depth(top);
        // Nobody raises it: what takes buffers waits.
        let high_water = self.stack.high_water.swap(in_use, Ordering::Relaxed);
        let left = trimmed.left(high_water);
        trimmed.high_water = trimmed.high_water.max(high_water);
        trimmed.in_use = in_use;
        let touched = trimmed.high_water.max(trimmed.initial);
        trimmed.given_back = GivenBack {
            buffers: touched.saturating_sub(in_use),
            bytes: left.bytes,
        };
        trimmed.under_way = true;
        Some(StackTrim {
            free,
            pieces,
            touched: self.first + touched,
            already: left.buffers,
            next: self.first,
            bytes: 0,
        })
    }

    /// Gives back what is free in the next window of the stack, which is frozen; returns false if there was none.
    pub(crate) fn trim_window(self, top: TaggedIndex<N>, trim: &mut StackTrim, trimming: &mut Trimming<'_>) -> bool {
        let end = trim.touched.min(self.first + self.indices);
        if trim.next >= end {
            return false;
        }
        let window = trim.next..trim.next.saturating_add(trimming.span).min(end);
        trim.next = window.end;
        self.collect(top, trim, &window, trimming);
        trim.pieces.clear();
        for &(index, action) in &trim.free {
            trim.pieces.add(index..index + 1, action);
        }
        let bytes = trim.pieces.discard(trimming).used;
        if trimming.dirty_after > 0 {
            for &(index, _) in &trim.free {
                // A neighbour in the same page may have been given back, if not this one.
                let dirty = &self.nodes[index as usize].dirty;
                dirty.fetch_max(trimming.dirty_after, Ordering::Relaxed);
            }
        }
        trim.bytes += bytes;
        self.stack.trimmed.lock().given_back.bytes += bytes;
        true
    }

    /// Notes which buffers of `window` are free, and which of those that share a page with its ends.
    fn collect(self, top: TaggedIndex<N>, trim: &mut StackTrim, window: &Range<u32>, trimming: &Trimming<'_>) {
        let beside = window.start.saturating_sub(trimming.overlap)..window.end.saturating_add(trimming.overlap);
        let taken = {
            let in_use = self.stack.trimmed.lock().in_use;
            let high_water = self.stack.high_water.load(Ordering::Relaxed);
            high_water.saturating_sub(in_use)
        };
        let already = trim.already.saturating_sub(taken);
        let depth = self.frozen_depth(top);
        trim.free.clear();
        for (from_top, index) in (0..).zip(self.frozen_indices(top)) {
            if !beside.contains(&index) || trim.free.len() == trim.free.capacity() {
                continue;
            }
            let is_below = depth - from_top <= already;
            let action = match window.contains(&index) && index < trim.touched && !is_below {
                true => Action::GiveBackUsed,
                false => Action::Leave,
            };
            trim.free.push((index, action));
        }
        trim.free.sort_unstable_by_key(|(index, _)| *index);
    }

    /// Ends a trim; returns how many bytes it gave back.
    pub(crate) fn end_trim(self, trim: StackTrim) -> usize {
        self.stack.trimmed.lock().under_way = false;
        trim.bytes
    }
}
