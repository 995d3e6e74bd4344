//! The plain words of a guard: what they say, and no more. How they lie in it is told in [`layout`](super::layout).
#![forbid(unsafe_code)]

use crate::free_list::Slot;

/// Where in its buffer a guard's data begin.
#[derive(Clone, Copy)]
pub(crate) struct Place(pub(super) u64);

impl Place {
    #[inline(always)]
    pub(super) fn new(room: u32, head: u32) -> Place {
        Place(u64::from(head) << 32 | u64::from(room))
    }

    /// Bytes up to the end of the buffer.
    #[inline(always)]
    pub(super) fn room(self) -> u32 {
        self.0 as u32
    }

    /// How many bytes the data lie behind the buffer's first byte: all of them this holder's. Modulo 2³²: where they
    /// were prepended into the headroom, which lies before that byte, the number is negative. So the lender's headroom
    /// `+ head` are the bytes before the data that belong to the buffer.
    #[inline(always)]
    pub(crate) fn head(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// Bytes from the buffer's first up to its end: the capacity without headroom.
    #[inline(always)]
    pub(crate) fn size(self) -> u32 {
        self.room().wrapping_add(self.head())
    }

    /// Bytes before the data, up to the buffer's first, that were consumed. 0 where the data begin in the headroom:
    /// then there are more bytes from the data on than from the buffer's first.
    #[inline(always)]
    pub(super) fn consumed(self) -> u32 {
        self.size().saturating_sub(self.room())
    }

    /// Bytes that the buffer can hold, what was prepended into the headroom among them.
    #[inline(always)]
    pub(super) fn capacity(self) -> u32 {
        self.size().max(self.room())
    }
}

/// How many bytes a guard's holder has written, counted from where the data begin.
#[derive(Clone, Copy)]
pub(crate) struct Lengths(pub(super) u64);

impl Lengths {
    #[inline(always)]
    pub(super) fn new(len: u32, written: u32) -> Lengths {
        Lengths(u64::from(written) << 32 | u64::from(len))
    }

    /// At most `written`.
    #[inline(always)]
    pub(super) fn len(self) -> u32 {
        self.0 as u32
    }

    /// Bytes below this are this holder's: it wrote them, or they were zeroed before it could read them. At most the
    /// room.
    #[inline(always)]
    pub(super) fn written(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// Where what is written ends, counted from the buffer's first byte: this is wiped. The headroom's bytes may have
    /// been written in any case.
    #[inline(always)]
    pub(crate) fn written_end(self, place: Place) -> u32 {
        // As far behind the buffer's first byte as it is behind the data.
        self.written().wrapping_add(place.head())
    }
}

impl Slot {
    /// The slot of a guard of these words that is released, and not wiped: what its holder has written counts as
    /// dirty, so it is hidden from the next one, as is what was dirty before.
    ///
    /// A branch, not a maximum: most holders write no more than those before did, and then what is released does not
    /// depend on the lengths, which were written a moment ago.
    #[inline(always)]
    pub(crate) fn used(mut self, place: Place, lengths: Lengths) -> Slot {
        let end = lengths.written_end(place);
        if end > self.dirty() {
            seldom();
            self.set_dirty(end);
        }
        self
    }
}

/// Tells the compiler that the branch that calls it is seldom taken.
#[cold]
#[inline(always)]
fn seldom() {}
