//! Which pages can be given back, as far as that can be told from the indices of free buffers.
//!
//! A page goes if all buffers that touch it are free. So neighbours are looked at together: of buffers of 64 bytes,
//! the 64 of a page must be.
#![forbid(unsafe_code)]

use std::ops::{AddAssign, Range};

/// What a free list trims with.
pub(crate) struct Trimming<'a> {
    /// Most buffers of which the pages are given back while others wait or go without.
    pub(crate) span: u32,
    /// Buffers that lie, at least in part, in the page where one begins.
    pub(crate) overlap: u32,
    /// All buffers that there are.
    pub(crate) reserve: u32,
    /// How many leading bytes of a buffer may hold anything when pages of it or its neighbours have been given back,
    /// beside those that did before.
    pub(crate) dirty_after: u32,
    /// Gives back the pages that lie in the first buffers, all free, and touch the second ones, which are among
    /// them; returns how many bytes that were.
    pub(crate) discard: &'a mut dyn FnMut(Range<u32>, Range<u32>) -> usize,
}

/// What trimming does with the pages of a buffer that is free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Leaves them: they have been given back already, or are another batch's. They count as free where a
    /// neighbour in the same page is given back.
    Leave,
    /// Gives them back, of a buffer that was lent before.
    GiveBackUsed,
    /// Gives them back, of a buffer that was never lent but touched when the pool was made.
    GiveBackFresh,
}

/// Free buffers side by side.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Piece {
    buffers: Range<u32>,
    action: Action,
}

/// Bytes that were given back, by the action.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Discarded {
    pub(crate) used: usize,
    pub(crate) fresh: usize,
}

impl AddAssign for Discarded {
    fn add_assign(&mut self, other: Discarded) {
        self.used += other.used;
        self.fresh += other.fresh;
    }
}

/// Pieces in ascending order.
pub(crate) struct Pieces(Vec<Piece>);

impl Pieces {
    /// None yet; `None` when the allocator has no memory for `most`.
    pub(crate) fn with_capacity(most: usize) -> Option<Pieces> {
        let mut pieces = Vec::new();
        pieces.try_reserve_exact(most).ok()?;
        Some(Pieces(pieces))
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// Adds buffers that come after all that were added. Beyond the capacity it adds nothing.
    pub(crate) fn add(&mut self, buffers: Range<u32>, action: Action) {
        if buffers.is_empty() {
            return;
        }
        if let Some(last) = self.0.last_mut() {
            if last.buffers.end == buffers.start && last.action == action {
                last.buffers.end = buffers.end;
                return;
            }
        }
        if self.0.len() < self.0.capacity() {
            self.0.push(Piece { buffers, action });
        }
    }

    /// Gives back the pages of all that are not to be left.
    pub(crate) fn discard(&self, trimming: &mut Trimming<'_>) -> Discarded {
        let touches = |a: &Piece, b: &Piece| a.buffers.end == b.buffers.start;
        let mut bytes = Discarded::default();
        for run in self.0.chunk_by(touches) {
            let (Some(first), Some(last)) = (run.first(), run.last()) else {
                continue;
            };
            let free = first.buffers.start..last.buffers.end;
            for piece in run {
                let mut discard = || (trimming.discard)(free.clone(), piece.buffers.clone());
                match piece.action {
                    Action::Leave => {}
                    Action::GiveBackUsed => bytes.used += discard(),
                    Action::GiveBackFresh => bytes.fresh += discard(),
                }
            }
        }
        bytes
    }
}

/// How many free buffers have had their pages given back, and how many bytes those pages are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct GivenBack {
    pub(crate) buffers: u32,
    pub(crate) bytes: usize,
}

impl GivenBack {
    /// What is left of it when all but `buffers` have been taken again: as many of the bytes in proportion.
    pub(crate) fn left(self, buffers: u32) -> GivenBack {
        if buffers >= self.buffers {
            return self;
        }
        // The quotient is at most `bytes`.
        let bytes = self.bytes as u128 * u128::from(buffers) / u128::from(self.buffers);
        GivenBack {
            buffers,
            bytes: bytes as usize,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Action, Discarded, GivenBack, Pieces, Trimming};

    #[test]
    fn neighbours_are_given_back_together_and_only_what_is_wanted() {
        use Action::{GiveBackFresh as Fresh, GiveBackUsed as Used, Leave};
        let mut pieces = Pieces::with_capacity(8).unwrap();
        for (index, action) in [(1, Used), (2, Used), (3, Leave), (4, Used), (6, Leave)] {
            pieces.add(index..index + 1, action);
        }
        pieces.add(9..9, Used);
        pieces.add(8..20, Fresh);
        let mut calls = Vec::new();
        let bytes = pieces.discard(&mut Trimming {
            span: 100,
            overlap: 1,
            reserve: 100,
            dirty_after: 0,
            discard: &mut |free, wanted| {
                calls.push((free, wanted));
                10
            },
        });
        let expected = Discarded { used: 20, fresh: 10 };
        assert_eq!(bytes, expected);
        assert_eq!(calls, [(1..5, 1..3), (1..5, 4..5), (8..20, 8..20)]);
    }

    #[test]
    fn what_is_left_shrinks_in_proportion_to_nothing() {
        let given = GivenBack { buffers: 3, bytes: 10 };
        assert_eq!(given.left(5), given);
        let bytes: Vec<_> = (0..=3).map(|buffers| given.left(buffers).bytes).collect();
        assert_eq!(bytes, [0, 3, 6, 10]);
        assert_eq!(GivenBack::default().left(0), GivenBack::default());
    }
}
