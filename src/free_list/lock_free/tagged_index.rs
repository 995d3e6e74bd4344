//! An index and a tag in one `u64`, so that one compare-and-swap replaces both.
//!
//! The tag is what keeps a lock-free stack free of ABA (IBM System/370 Principles of Operation, 1983;
//! Treiber, *Systems Programming: Coping with Parallelism*, 1986): every pop counts it up, so a head that
//! was taken off and put back is not mistaken for one that was never touched.
#![forbid(unsafe_code)]

/// An index below `N`, or none, or that the stack is frozen, in as few low bits as hold the values `0..=N + 1`; all the
/// other bits are the tag. `N` = 65,534 leaves a tag of 48 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TaggedIndex<const N: usize>(u64);

impl<const N: usize> TaggedIndex<N> {
    /// Bits that the values `0..=N + 1` need; `N` itself stands for "no index". No pool has an `N` that needs
    /// more than 32, but the type may be named with any.
    const INDEX_BITS: u32 = {
        let bits = usize::BITS - N.saturating_add(1).leading_zeros();
        if bits < 32 { bits } else { 32 }
    };
    const INDEX_MASK: u64 = (1 << Self::INDEX_BITS) - 1;
    const FROZEN: u64 = N as u64 + 1;

    /// The word that holds `index` and the tag 0.
    pub(crate) fn new(index: Option<u32>) -> Self {
        TaggedIndex(Self::code(index))
    }

    pub(crate) fn from_word(word: u64) -> Self {
        TaggedIndex(word)
    }

    pub(crate) fn word(self) -> u64 {
        self.0
    }

    pub(crate) fn index(self) -> Option<u32> {
        let code = self.0 & Self::INDEX_MASK;
        // The code came from a `u32`.
        (code < N as u64).then_some(code as u32)
    }

    /// What is on top is not said here.
    pub(crate) fn is_frozen(self) -> bool {
        self.0 & Self::INDEX_MASK == Self::FROZEN
    }

    /// Frozen, under the same tag.
    pub(crate) fn frozen(self) -> Self {
        TaggedIndex((self.0 & !Self::INDEX_MASK) | Self::FROZEN)
    }

    pub(crate) fn tag(self) -> u64 {
        self.0 >> Self::INDEX_BITS
    }

    /// Another index under the same tag: what a push stores.
    pub(crate) fn with_index(self, index: Option<u32>) -> Self {
        TaggedIndex((self.0 & !Self::INDEX_MASK) | Self::code(index))
    }

    /// Another index under the next tag: what a pop stores. The tag starts again at 0 after its largest
    /// value: the carry falls off the top of the word.
    pub(crate) fn with_index_and_next_tag(self, index: Option<u32>) -> Self {
        self.with_index_and_later_tag(index, 1)
    }

    /// Another index under the tag that comes after so many: what a pop of so many indices stores.
    pub(crate) fn with_index_and_later_tag(self, index: Option<u32>, later: u32) -> Self {
        let step = u64::from(later) << Self::INDEX_BITS;
        let tag = (self.0 & !Self::INDEX_MASK).wrapping_add(step);
        TaggedIndex(tag | Self::code(index))
    }

    fn code(index: Option<u32>) -> u64 {
        index.map_or(N as u64, u64::from)
    }
}

#[cfg(test)]
mod tests {
    use super::TaggedIndex;

    #[test]
    fn the_index_takes_only_the_bits_that_it_needs() {
        assert_eq!(TaggedIndex::<1>::INDEX_BITS, 2);
        assert_eq!(TaggedIndex::<2>::INDEX_BITS, 2);
        assert_eq!(TaggedIndex::<3>::INDEX_BITS, 3);
        assert_eq!(TaggedIndex::<65_534>::INDEX_BITS, 16);
        assert_eq!(TaggedIndex::<65_535>::INDEX_BITS, 17);
        assert_eq!(TaggedIndex::<4_294_967_294>::INDEX_BITS, 32);
    }

    #[test]
    fn index_and_tag_do_not_disturb_each_other() {
        let mut head = TaggedIndex::<5>::new(Some(4));
        for pops in 1..=100 {
            head = head.with_index_and_next_tag((pops % 2 == 0).then_some(3));
            assert_eq!(head.tag(), pops);
            assert_eq!(head.index(), (pops % 2 == 0).then_some(3));
            head = head.with_index(Some(4));
            assert_eq!((head.index(), head.tag()), (Some(4), pops));
        }
    }

    #[test]
    fn a_tag_that_wraps_leaves_the_index_alone() {
        let last = TaggedIndex::<65_534>::from_word(u64::MAX);
        assert!(last.is_frozen());
        assert_eq!((last.index(), last.tag()), (None, (1 << 48) - 1));
        let wrapped = last.with_index_and_next_tag(Some(65_533));
        assert_eq!((wrapped.index(), wrapped.tag()), (Some(65_533), 0));
        assert!(!wrapped.is_frozen());
        assert!(wrapped.frozen().is_frozen());
        assert_eq!((wrapped.frozen().index(), wrapped.frozen().tag()), (None, 0));
    }
}
