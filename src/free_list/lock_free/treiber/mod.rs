//! A lock-free stack of free buffers (R. K. Treiber, *Systems Programming: Coping with Parallelism*, IBM
//! RJ 5118, 1986), with a tag against ABA and its links in a side array.
//!
//! Lock-free: whenever one thread's compare-and-swap fails, another's has succeeded.
#![forbid(unsafe_code)]

mod frozen;
mod many;
mod trim;

use crossbeam_utils::CachePadded;

use crate::base::sync::{AtomicU32, AtomicU64, Backoff, Mutex, Ordering};
use crate::free_list::lock_free::tagged_index::TaggedIndex;
use crate::free_list::lock_free::treiber::trim::Trimmed;
use crate::free_list::{Counts, Slot};

/// A stack and the nodes of its indices: references to atomics and locks alone, see
/// [`ReleaseSide`](crate::free_list::ReleaseSide). It has the indices `first..first + indices` of the list's `N`.
///
/// How the fields are ordered among threads:
///
/// - `push` writes the index's link (Relaxed), then swaps it into `head` (Release). `pop` and `push` read
///   `head` (Acquire) before they read the link of the index that it names, so they see the link, and all
///   that the releasing thread did before. Every change of `head` is a read-modify-write, so each push
///   heads a release sequence that all later values of `head` belong to: it does not matter how many
///   operations lie between the push of an index and the pop that returns it. (The one plain store, of what thaws a
///   stack, follows the read-modify-write that froze it, and nothing else changes `head` between the two.)
/// - A link read may already be a later one, if the index was taken and put back meanwhile. Then the tag
///   has gone up, and the compare-and-swap that would use the link fails. It would succeed wrongly only if
///   the tag came round to the same value: if exactly a multiple of 2^(tag bits) pops happened between one
///   thread's read of `head` and its compare-and-swap.
#[derive(Clone, Copy)]
pub(crate) struct TreiberStack<'a, const N: usize> {
    pub(super) stack: &'a StackHead,
    /// Of the whole list.
    pub(super) nodes: &'a [Node],
    pub(super) first: u32,
    pub(super) indices: u32,
}

/// See [`TreiberStack`].
pub(crate) struct StackHead {
    /// Top of the stack, and the number of pops so far as the tag.
    head: CachePadded<AtomicU64>,
    /// Most indices in use since the last trim. Read by each pop, seldom written.
    high_water: AtomicU32,
    /// How often the tag went up though no buffer was taken. Goes up before the tag does.
    marks: AtomicU64,
    /// Of earlier trims. Locked while the list is held, or for a moment by what reads statistics.
    trimmed: Mutex<Trimmed>,
}

/// What is known of an index while it is in the stack.
pub(crate) struct Node {
    /// A [`Link`].
    link: AtomicU64,
    /// [`Slot::dirty`]. Written before the push and read after the pop, which order the two.
    dirty: AtomicU32,
}

/// A stack that was empty, or frozen, when its head was this word: as long as the word is the same, it is so still.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct EmptyHead<const N: usize>(TaggedIndex<N>);

impl<const N: usize> EmptyHead<N> {
    /// What is free there then is not said.
    pub(crate) fn is_frozen(self) -> bool {
        self.0.is_frozen()
    }
}

/// What lies below an index in the stack.
///
/// ```text
/// 63        32 31         0
/// [  depth   ][   below   ]    depth: indices in the stack from this one down, itself included
/// ```
#[derive(Clone, Copy)]
struct Link {
    below: Option<u32>,
    depth: u32,
}

impl Link {
    /// No index has this value: `N` is below `u32::MAX`.
    const NONE: u32 = u32::MAX;

    fn from_word(word: u64) -> Self {
        let below = word as u32;
        Link {
            below: (below != Link::NONE).then_some(below),
            depth: (word >> 32) as u32,
        }
    }

    fn word(self) -> u64 {
        u64::from(self.depth) << 32 | u64::from(self.below.unwrap_or(Link::NONE))
    }
}

impl StackHead {
    /// All of `first..first + indices` free, the first `initial` of them touched. Adds their nodes to `nodes`.
    pub(super) fn new<const N: usize>(first: u32, indices: u32, initial: u32, nodes: &mut Vec<Node>) -> Self {
        // The first on top, so that the indices ever taken are the lowest.
        nodes.extend((1..=indices).map(|next| {
            let link = Link {
                below: (next < indices).then_some(first + next),
                depth: indices - next + 1,
            };
            Node {
                link: AtomicU64::new(link.word()),
                dirty: AtomicU32::new(0),
            }
        }));
        let top = (indices > 0).then_some(first);
        StackHead {
            head: CachePadded::new(AtomicU64::new(TaggedIndex::<N>::new(top).word())),
            high_water: AtomicU32::new(0),
            marks: AtomicU64::new(0),
            trimmed: Mutex::new(Trimmed::new(initial)),
        }
    }
}

impl<const N: usize> TreiberStack<'_, N> {
    /// What lies at and below `top`. Its caller has read `top` from `head` with Acquire.
    #[inline]
    fn link(self, top: u32) -> Link {
        Link::from_word(self.nodes[top as usize].link.load(Ordering::Relaxed))
    }

    fn depth(self, top: Option<u32>) -> u32 {
        top.map_or(0, |top| self.link(top).depth)
    }

    fn load_head(self) -> TaggedIndex<N> {
        // Acquire: pairs with the Release of the push that put the index on top; see the type.
        TaggedIndex::from_word(self.stack.head.load(Ordering::Acquire))
    }

    /// Replaces `head` if it is still `current`; else says what it is now.
    #[inline]
    fn swap_head(self, current: TaggedIndex<N>, new: TaggedIndex<N>, success: Ordering) -> Result<(), TaggedIndex<N>> {
        self.stack
            .head
            // Acquire on failure: the caller goes on with the value, as if from `load_head`.
            .compare_exchange_weak(current.word(), new.word(), success, Ordering::Acquire)
            .map(|_| ())
            .map_err(TaggedIndex::from_word)
    }

    /// Takes the index on top, unless there is none, or another thread is at the stack at the same time. No loop, so
    /// that it is short where it is inlined, and needs few registers.
    #[inline(always)]
    pub(crate) fn try_pop(self) -> Option<Slot> {
        self.try_take(self.load_head()).ok()?.ok()
    }

    /// Takes the index on top.
    #[inline]
    pub(crate) fn pop(self) -> Result<Slot, EmptyHead<N>> {
        let backoff = Backoff::new();
        let mut head = self.load_head();
        loop {
            match self.try_take(head)? {
                Ok(slot) => return Ok(slot),
                Err(changed) => head = changed,
            }
            backoff.spin();
        }
    }

    /// As `pop`, if the head is still `head`; else says what it is now.
    #[inline(always)]
    fn try_take(self, head: TaggedIndex<N>) -> Result<Result<Slot, TaggedIndex<N>>, EmptyHead<N>> {
        let Some(index) = head.index() else {
            return Err(EmptyHead(head));
        };
        let link = self.link(index);
        // Release on success, though a pop hands nothing on: pairs with the Acquire of a thread that finds the
        // stack without this index, and looks for others elsewhere. It then sees what this thread has put
        // back elsewhere before.
        if let Err(changed) = self.swap_head(head, head.with_index_and_next_tag(link.below), Ordering::Release) {
            return Ok(Err(changed));
        }
        self.note_in_use(self.indices - (link.depth - 1));
        Ok(Ok(self.slot(index)))
    }

    /// Raises the high water if so many indices are taken.
    #[inline]
    fn note_in_use(self, in_use: u32) {
        if in_use > self.stack.high_water.load(Ordering::Relaxed) {
            self.stack.high_water.fetch_max(in_use, Ordering::Relaxed);
        }
    }

    /// The slot of an index that the caller has just taken.
    #[inline]
    fn slot(self, index: u32) -> Slot {
        let dirty = self.nodes[index as usize].dirty.load(Ordering::Relaxed);
        Slot::new(index, dirty)
    }

    /// Puts an index on top, unless the stack is frozen, or another thread is at it at the same time. The caller has it
    /// from `pop`. No loop, as in `try_pop`.
    #[inline(always)]
    pub(crate) fn try_push(self, slot: Slot) -> Result<(), Slot> {
        let head = self.load_head();
        if head.is_frozen() {
            return Err(slot);
        }
        self.try_put(&slot, head).map_err(|_| slot)
    }

    /// Puts an index on top. The caller has it from `pop`. It has it still if the stack is frozen.
    #[inline]
    pub(crate) fn push(self, slot: Slot) -> Result<(), Slot> {
        let backoff = Backoff::new();
        let mut head = self.load_head();
        loop {
            if head.is_frozen() {
                return Err(slot);
            }
            match self.try_put(&slot, head) {
                Ok(()) => return Ok(()),
                Err(changed) => head = changed,
            }
            backoff.spin();
        }
    }

    /// Puts an index on top, if the head, which is not frozen, is still `head`; else says what it is now.
    #[inline(always)]
    fn try_put(self, slot: &Slot, head: TaggedIndex<N>) -> Result<(), TaggedIndex<N>> {
        self.write_node(slot, head.index());
        // Release: pairs with the Acquire of what reads this head, or a later one; see the type.
        self.swap_head(head, head.with_index(Some(slot.index())), Ordering::Release)
    }

    /// Writes down what is to lie on top of `below`.
    #[inline(always)]
    fn write_node(self, slot: &Slot, below: Option<u32>) {
        let depth = self.depth(below) + 1;
        let link = Link { below, depth };
        let node = &self.nodes[slot.index() as usize];
        node.dirty.store(slot.dirty(), Ordering::Relaxed);
        node.link.store(link.word(), Ordering::Relaxed);
    }

    /// How many indices are taken at about this moment; all of them, as far as this knows, in a frozen stack.
    pub(crate) fn in_use(self) -> u32 {
        self.indices - self.depth(self.load_head().index())
    }

    /// What it knows about its past and present, if `top` is its top, or its head as far as others see it. The indices
    /// in use are told by the link of the index on top, read after it: the depth is that of the moment when the top was
    /// read or, if the index has been taken and put back since, of a later one.
    pub(crate) fn counts(self, top: Option<TaggedIndex<N>>) -> Counts {
        let trimmed = self.stack.trimmed.lock();
        let top = top.unwrap_or_else(|| self.load_head());
        let high_water = self.stack.high_water.load(Ordering::Relaxed);
        Counts {
            in_use: Some(self.indices - self.depth(top.index())),
            high_water: trimmed.high_water_before().max(high_water),
            acquired: top.tag().saturating_sub(self.stack.marks.load(Ordering::Relaxed)),
            given_back: trimmed.left(high_water).bytes,
        }
    }
}
