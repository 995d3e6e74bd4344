//! A stack that is frozen: its head says so, and what would be on top is known to the one that froze it alone.
//!
//! What takes or puts back finds the mark in the head, and goes to the lock instead. An operation that read the head
//! before fails its compare-and-swap, since the tag has gone up. So the one that froze a stack, under that lock,
//! counts, takes and puts back as if it were alone, and then stores what is on top as the head again.
#![forbid(unsafe_code)]

use crate::base::sync::Ordering;
use crate::free_list::Slot;
use crate::free_list::lock_free::tagged_index::TaggedIndex;
use crate::free_list::lock_free::treiber::TreiberStack;

impl<const N: usize> TreiberStack<'_, N> {
    /// Freezes the stack, and returns what is on top of it. The caller has the lock, under which it was not frozen.
    pub(crate) fn freeze(self) -> TaggedIndex<N> {
        self.stack.marks.fetch_add(1, Ordering::Relaxed);
        let mut head = self.load_head();
        loop {
            let marked = head.with_index_and_next_tag(head.index());
            // The head was read by Acquire, so the caller sees the links below it, and what was done with their
            // buffers. Release: what finds the mark, by Acquire, sees why it is frozen.
            match self.swap_head(head, marked.frozen(), Ordering::Release) {
                Ok(()) => return marked,
                Err(changed) => head = changed,
            }
        }
    }

    /// The stack is frozen no more, and `top` is on top.
    pub(crate) fn thaw(self, top: TaggedIndex<N>) {
        // Release: pairs with the Acquire of what reads this head or a later one, as after a push.
        self.stack.head.store(top.word(), Ordering::Release);
    }

    /// How many indices lie there, in a frozen stack.
    pub(crate) fn frozen_depth(self, top: TaggedIndex<N>) -> u32 {
        self.depth(top.index())
    }

    /// Takes the index on top of a frozen stack, if there is one.
    pub(crate) fn take_frozen(self, top: &mut TaggedIndex<N>) -> Option<Slot> {
        let index = top.index()?;
        let link = self.link(index);
        *top = top.with_index_and_next_tag(link.below);
        self.note_in_use(self.indices - (link.depth - 1));
        Some(self.slot(index))
    }

    /// Puts an index on top of a frozen stack.
    pub(crate) fn put_frozen(self, top: &mut TaggedIndex<N>, slot: Slot) {
        self.write_node(&slot, top.index());
        *top = top.with_index(Some(slot.index()));
    }

    /// The indices of a frozen stack, from the top down.
    pub(super) fn frozen_indices(self, top: TaggedIndex<N>) -> impl Iterator<Item = u32> {
        std::iter::successors(top.index(), move |index| self.link(*index).below)
    }
}
