//! A lock-free stack of free buffers (R. K. Treiber, *Systems Programming: Coping with Parallelism*, IBM
//! RJ 5118, 1986), with a tag against ABA and its links in a side array.
//!
//! Lock-free: whenever one thread's compare-and-swap fails, another's has succeeded.
#![forbid(unsafe_code)]

pub(crate) mod many;
mod trim;

use crossbeam_utils::CachePadded;

use crate::free_list::lock_free::tagged_index::TaggedIndex;
use crate::free_list::{Counts, Demand, NotTaken, Slot};
use crate::sync::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Backoff, Mutex, Ordering};

/// A stack, the nodes of its indices, and what it shares with the other stacks of its list: references to atomics and
/// locks alone, see [`Inlet`](crate::free_list::Inlet). It has the indices `first..first + indices` of the list's `N`.
///
/// How the fields are ordered among threads:
///
/// - `push` writes the index's link (Relaxed), then swaps it into `head` (Release). `pop` and `push` read
///   `head` (Acquire) before they read the link of the index that it names, so they see the link, and all
///   that the releasing thread did before. Every change of `head` is a read-modify-write, so each push
///   heads a release sequence that all later values of `head` belong to: it does not matter how many
///   operations lie between the push of an index and the pop that returns it.
/// - A link read may already be a later one, if the index was taken and put back meanwhile. Then the tag
///   has gone up, and the compare-and-swap that would use the link fails. It would succeed wrongly only if
///   the tag came round to the same value: if exactly a multiple of 2^(tag bits) pops happened between one
///   thread's read of `head` and its compare-and-swap.
#[derive(Clone, Copy)]
pub(crate) struct TreiberStack<'a, const N: usize> {
    pub(super) stack: &'a Stack,
    /// Of the whole list.
    pub(super) nodes: &'a [Node],
    pub(super) state: &'a State,
    pub(super) first: u32,
    pub(super) indices: u32,
}

/// See [`TreiberStack`].
pub(crate) struct Stack {
    /// Top of the stack, and the number of pops so far as the tag.
    head: CachePadded<AtomicU64>,
    /// Most indices in use since the last trim. Read by each pop, seldom written.
    high_water: AtomicU32,
    /// How often the tag went up though no buffer was lent. Goes up before the tag does.
    marks: AtomicU64,
    /// Indices that a trim has taken, or a thread that gathers many.
    held: AtomicU32,
    /// Held for as long as a trim takes; not needed to take or put back an index.
    trimmed: Mutex<trim::Trimmed>,
}

/// What all stacks of a list share. A change is followed by a change of every head, so whatever reads a later head sees
/// it.
pub(crate) struct State {
    closed: AtomicBool,
    /// A [`Demand`].
    demand: AtomicU8,
    /// A thread gathers indices that it may put back.
    is_gathering: AtomicBool,
    /// Held by that thread.
    gathering_turn: Mutex<()>,
}

impl State {
    pub(super) fn new() -> Self {
        State {
            closed: AtomicBool::new(false),
            demand: AtomicU8::new(Demand::None as u8),
            is_gathering: AtomicBool::new(false),
            gathering_turn: Mutex::new(()),
        }
    }

    /// Relaxed: `close` stores the flag before it swaps a `head`, and a caller that has found the stack empty
    /// has read `head` with Acquire: if it is what `close` left, the flag is seen.
    #[cold]
    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// Returns whether it was closed before.
    pub(super) fn close(&self) -> bool {
        self.closed.swap(true, Ordering::Relaxed)
    }

    /// Relaxed: as for `is_closed`, since a demand is stored before the heads are marked.
    pub(super) fn demand(&self) -> Demand {
        Demand::from_u8(self.demand.load(Ordering::Relaxed))
    }

    pub(super) fn set_demand(&self, demand: Demand) {
        self.demand.store(demand as u8, Ordering::Relaxed);
    }
}

/// What is known of an index while it is in the stack.
pub(crate) struct Node {
    /// A [`Link`].
    link: AtomicU64,
    /// [`Slot::exposed`]. Written before the push and read after the pop, which order the two.
    exposed: AtomicU32,
}

/// A stack that was empty when its head was this word: as long as the word is the same, it is empty still.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct EmptyHead(u64);

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

impl Stack {
    /// All of `first..first + indices` free, the first `initial` of them touched. Adds their nodes to `nodes`.
    pub(super) fn new<const N: usize>(
        first: u32,
        indices: u32,
        initial: u32,
        nodes: &mut Vec<Node>,
    ) -> Self {
        // The first on top, so that the indices ever taken are the lowest.
        nodes.extend((1..=indices).map(|next| {
            let link = Link {
                below: (next < indices).then_some(first + next),
                depth: indices - next + 1,
            };
            Node {
                link: AtomicU64::new(link.word()),
                exposed: AtomicU32::new(0),
            }
        }));
        let top = (indices > 0).then_some(first);
        Stack {
            head: CachePadded::new(AtomicU64::new(TaggedIndex::<N>::new(top).word())),
            high_water: AtomicU32::new(0),
            marks: AtomicU64::new(0),
            held: AtomicU32::new(0),
            trimmed: Mutex::new(trim::Trimmed::new(initial)),
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
    fn swap_head(
        self,
        current: TaggedIndex<N>,
        new: TaggedIndex<N>,
        success: Ordering,
    ) -> Result<(), TaggedIndex<N>> {
        self.stack
            .head
            // Acquire on failure: the caller goes on with the value, as if from `load_head`.
            .compare_exchange_weak(current.word(), new.word(), success, Ordering::Acquire)
            .map(|_| ())
            .map_err(TaggedIndex::from_word)
    }

    /// Takes the index on top.
    #[inline]
    pub(crate) fn pop(self) -> Result<Slot, EmptyHead> {
        let (slot, in_use) = self.take()?;
        self.note_in_use(in_use);
        Ok(slot)
    }

    /// Raises the high water if so many indices are taken.
    #[inline]
    fn note_in_use(self, in_use: u32) {
        if in_use > self.stack.high_water.load(Ordering::Relaxed) {
            let in_use = in_use.saturating_sub(self.stack.held.load(Ordering::Relaxed));
            self.stack.high_water.fetch_max(in_use, Ordering::Relaxed);
        }
    }

    /// Takes the index on top; says also how many are taken then.
    #[inline]
    fn take(self) -> Result<(Slot, u32), EmptyHead> {
        let backoff = Backoff::new();
        let mut head = self.load_head();
        let (index, link) = loop {
            let Some(top) = head.index() else {
                return Err(EmptyHead(head.word()));
            };
            let link = self.link(top);
            // Release on success, though a pop hands nothing on: pairs with the Acquire of a thread that finds the
            // stack without this index, and looks for others elsewhere. It then sees what this thread has put
            // back elsewhere before.
            match self.swap_head(
                head,
                head.with_index_and_next_tag(link.below),
                Ordering::Release,
            ) {
                Ok(()) => break (top, link),
                Err(changed) => head = changed,
            }
            backoff.spin();
        };
        let in_use = self.indices - (link.depth - 1);
        let exposed = self.nodes[index as usize].exposed.load(Ordering::Relaxed);
        Ok((Slot { index, exposed }, in_use))
    }

    /// Puts an index on top. The caller has it from `pop`.
    #[inline]
    pub(crate) fn push(self, slot: Slot) -> Result<(), NotTaken> {
        let backoff = Backoff::new();
        let node = &self.nodes[slot.index as usize];
        node.exposed.store(slot.exposed, Ordering::Relaxed);
        let mut head = self.load_head();
        loop {
            let top = head.index();
            if top.is_none() {
                if self.state.is_closed() {
                    return Err(NotTaken::Closed(slot));
                }
                if self.state.demand() != Demand::None {
                    return Err(NotTaken::Wanted(slot));
                }
            }
            let link = Link {
                below: top,
                depth: self.depth(top) + 1,
            };
            node.link.store(link.word(), Ordering::Relaxed);
            // Release: pairs with the Acquire of what reads this head, or a later one; see the type.
            match self.swap_head(head, head.with_index(Some(slot.index)), Ordering::Release) {
                Ok(()) => return Ok(()),
                Err(changed) => head = changed,
            }
            backoff.spin();
        }
    }

    /// Empties the stack, whose [`State`] says that it is closed, so that no push succeeds any more. Returns how many
    /// indices were in use then.
    ///
    /// A push that read `head` before fails its compare-and-swap, since the tag has gone up even if the
    /// stack was empty already, and then sees the flag.
    pub(crate) fn close(self) -> u32 {
        let head = self.mark(|_| None);
        self.indices - self.depth(head)
    }

    /// From now on, while the [`State`] says that there is a demand, nothing is pushed on the stack while it is empty.
    /// A push that read `head` before fails its compare-and-swap, since the tag goes up, and then sees the flag, as
    /// does one that reads any later head.
    pub(crate) fn notice_demand(self) {
        self.mark(|index| index);
    }

    /// Counts the tag up, and puts `index` of what is on top there; returns what was.
    fn mark(self, index: impl Fn(Option<u32>) -> Option<u32>) -> Option<u32> {
        self.stack.marks.fetch_add(1, Ordering::Relaxed);
        let mut head = self.load_head();
        loop {
            let marked = head.with_index_and_next_tag(index(head.index()));
            // Release: pairs with the Acquire of whatever reads this head, or a later one, and asks for the state.
            match self.swap_head(head, marked, Ordering::Release) {
                Ok(()) => return head.index(),
                Err(changed) => head = changed,
            }
        }
    }

    /// What it knows about its past and present: the indices in use (`None` after `close`), the most that
    /// ever were, and how often one was taken. A head and the link of its index, read one after the other: the
    /// depth is that of the moment when the head was read or, if the index has been put back since, of a
    /// later one.
    pub(crate) fn counts(self) -> Counts {
        let trimmed = self.stack.trimmed.lock();
        let head = self.load_head();
        let closed = self.state.is_closed();
        let held = self.stack.held.load(Ordering::Relaxed);
        let in_use = self.indices - self.depth(head.index());
        let high_water = self.stack.high_water.load(Ordering::Relaxed);
        Counts {
            in_use: (!closed).then(|| in_use.saturating_sub(held)),
            high_water: trimmed.high_water_before().max(high_water),
            acquired: head
                .tag()
                .saturating_sub(self.stack.marks.load(Ordering::Relaxed)),
            given_back: trimmed.left(high_water).bytes,
        }
    }
}
