//! A lock-free stack of free indices (R. K. Treiber, *Systems Programming: Coping with Parallelism*, IBM
//! RJ 5118, 1986), with a tag against ABA and its links in a side array.
//!
//! Lock-free: whenever one thread's compare-and-swap fails, another's has succeeded.
#![forbid(unsafe_code)]

use crossbeam_utils::CachePadded;

use crate::error::ConfigError;
use crate::free_list::{Closed, Counts, Empty, FreeList};
use crate::sync::{AtomicBool, AtomicU32, AtomicU64, Backoff, Ordering};
use crate::tagged_index::TaggedIndex;

/// See the module. `N` is the number of indices.
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
pub(crate) struct TreiberStack<const N: usize> {
    /// Top of the stack, and the number of pops so far as the tag.
    head: CachePadded<AtomicU64>,
    /// For each index in the stack: what lies below it, and how many lie there with it.
    links: Box<[AtomicU64]>,
    /// Most indices ever in use. Read by each pop, seldom written: away from `head`'s cache line.
    high_water: CachePadded<AtomicU32>,
    closed: AtomicBool,
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

impl<const N: usize> TreiberStack<N> {
    /// What lies at and below `top`. Its caller has read `top` from `head` with Acquire.
    #[inline]
    fn link(&self, top: u32) -> Link {
        Link::from_word(self.links[top as usize].load(Ordering::Relaxed))
    }

    fn depth(&self, top: Option<u32>) -> u32 {
        top.map_or(0, |top| self.link(top).depth)
    }

    fn load_head(&self) -> TaggedIndex<N> {
        // Acquire: pairs with the Release of the push that put the index on top; see the type.
        TaggedIndex::from_word(self.head.load(Ordering::Acquire))
    }

    /// Replaces `head` if it is still `current`; else says what it is now.
    #[inline]
    fn swap_head(
        &self,
        current: TaggedIndex<N>,
        new: TaggedIndex<N>,
        success: Ordering,
    ) -> Result<(), TaggedIndex<N>> {
        self.head
            // Acquire on failure: the caller goes on with the value, as if from `load_head`.
            .compare_exchange_weak(current.word(), new.word(), success, Ordering::Acquire)
            .map(|_| ())
            .map_err(TaggedIndex::from_word)
    }

    #[cold]
    fn empty(&self) -> Empty {
        // Relaxed: `close` stores the flag before it swaps `head`, and the head that the caller found
        // empty was read with Acquire: if it is what `close` left, the flag is seen.
        if self.closed.load(Ordering::Relaxed) {
            Empty::Closed
        } else {
            Empty::AllInUse(N as u32)
        }
    }
}

impl<const N: usize> FreeList for TreiberStack<N> {
    fn with_max(max: u32) -> Result<Self, ConfigError> {
        debug_assert_eq!(max as usize, N);
        let mut links = Vec::new();
        links
            .try_reserve_exact(N)
            .map_err(|_| ConfigError::OutOfMemory {
                bytes: N.saturating_mul(size_of::<AtomicU64>()),
            })?;
        // 0 on top, so that the indices ever taken are the lowest.
        links.extend((0..max).map(|index| {
            let link = Link {
                below: (index + 1 < max).then_some(index + 1),
                depth: max - index,
            };
            AtomicU64::new(link.word())
        }));
        Ok(TreiberStack {
            head: CachePadded::new(AtomicU64::new(TaggedIndex::<N>::new(Some(0)).word())),
            links: links.into_boxed_slice(),
            high_water: CachePadded::new(AtomicU32::new(0)),
            closed: AtomicBool::new(false),
        })
    }

    #[inline]
    fn pop(&self) -> Result<u32, Empty> {
        let backoff = Backoff::new();
        let mut head = self.load_head();
        let (index, link) = loop {
            let Some(top) = head.index() else {
                return Err(self.empty());
            };
            let link = self.link(top);
            // Relaxed on success: what the pusher of `top` did was acquired with `head`, and a pop
            // publishes nothing.
            match self.swap_head(
                head,
                head.with_index_and_next_tag(link.below),
                Ordering::Relaxed,
            ) {
                Ok(()) => break (top, link),
                Err(changed) => head = changed,
            }
            backoff.spin();
        };
        let in_use = N as u32 - (link.depth - 1);
        if in_use > self.high_water.load(Ordering::Relaxed) {
            self.high_water.fetch_max(in_use, Ordering::Relaxed);
        }
        Ok(index)
    }

    #[inline]
    fn push(&self, index: u32) -> Result<(), Closed> {
        let backoff = Backoff::new();
        let mut head = self.load_head();
        loop {
            let top = head.index();
            if top.is_none() && self.empty() == Empty::Closed {
                return Err(Closed);
            }
            let link = Link {
                below: top,
                depth: self.depth(top) + 1,
            };
            self.links[index as usize].store(link.word(), Ordering::Relaxed);
            // Release: pairs with the Acquire of whoever reads this head, or a later one; see the type.
            match self.swap_head(head, head.with_index(Some(index)), Ordering::Release) {
                Ok(()) => return Ok(()),
                Err(changed) => head = changed,
            }
            backoff.spin();
        }
    }

    /// Empties the stack. A push that read `head` before fails its compare-and-swap, since the tag has
    /// gone up even if the stack was empty already, and then sees the flag.
    fn close(&self) -> Option<u32> {
        if self.closed.swap(true, Ordering::Relaxed) {
            return None;
        }
        let mut head = self.load_head();
        loop {
            // Release: pairs with the Acquire of whoever finds the stack empty and asks for `closed`.
            match self.swap_head(head, head.with_index_and_next_tag(None), Ordering::Release) {
                Ok(()) => return Some(N as u32 - self.depth(head.index())),
                Err(changed) => head = changed,
            }
        }
    }

    /// A head and the link of its index, read one after the other: the depth is that of the moment when
    /// the head was read or, if the index has been put back since, of a later one.
    fn counts(&self) -> Counts {
        let head = self.load_head();
        // Relaxed: as in `empty`.
        let closed = self.closed.load(Ordering::Relaxed);
        Counts {
            in_use: (!closed).then(|| N as u32 - self.depth(head.index())),
            high_water: self.high_water.load(Ordering::Relaxed),
            // `close` counts the tag up once, for no pop.
            acquired: head.tag().saturating_sub(u64::from(closed)),
        }
    }
}
