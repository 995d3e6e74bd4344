//! Taking several indices from a stack at once.
//!
//! Those on top are taken by one compare-and-swap: the links are followed down to the first that stays, which becomes
//! the head. If the head is the same word then as when the walk began, no index came or went meanwhile, and what the
//! walk has read was so; if not, it may have read anything, and begins again. The tag goes up by as many as were taken.
//! From then on their links are the taker's, which reads them and writes none: a thread that read the head before may
//! still look at them.
#![forbid(unsafe_code)]

use crate::base::sync::{Backoff, Ordering};
use crate::free_list::lock_free::treiber::TreiberStack;
use crate::free_list::{Empty, Slot, reserve};

impl<const N: usize> TreiberStack<'_, N> {
    /// Takes `count` indices, at least 1, all at one moment, and adds what `make` makes of each to `out`, the one on
    /// top last. None, and returns false, if there are fewer.
    pub(crate) fn pop_many<T>(self, count: u32, out: &mut Vec<T>, make: impl Fn(Slot) -> T) -> Result<bool, Empty> {
        let backoff = Backoff::new();
        let mut head = self.load_head();
        loop {
            let Some(first) = head.index() else {
                return Ok(false);
            };
            let depth = self.link(first).depth;
            if depth < count {
                let now = self.load_head();
                if now == head {
                    return Ok(false);
                }
                head = now;
            } else if let Some(below) = self.below(first, count) {
                reserve(out, count)?;
                let rest = head.with_index_and_later_tag(below, count);
                // Release: as in `pop`.
                match self.swap_head(head, rest, Ordering::Release) {
                    Ok(()) => {
                        self.note_in_use(self.indices - (depth - count));
                        let from = out.len();
                        let run = std::iter::successors(Some(first), |top| self.link(*top).below);
                        let run = run.take(count as usize);
                        out.extend(run.map(|index| make(self.slot(index))));
                        out[from..].reverse();
                        return Ok(true);
                    }
                    Err(changed) => head = changed,
                }
            } else {
                head = self.load_head();
            }
            backoff.spin();
        }
    }

    /// Whether no index can be taken at this moment.
    pub(crate) fn looks_empty(self) -> bool {
        self.load_head().index().is_none()
    }

    /// What lies below `count` indices from `first` down. `None` if there are fewer: others have changed the links
    /// meanwhile.
    fn below(self, first: u32, count: u32) -> Option<Option<u32>> {
        let mut last = first;
        for _ in 1..count {
            last = self.link(last).below?;
        }
        Some(self.link(last).below)
    }
}
