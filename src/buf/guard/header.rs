//! What a guard finds its lender by.

use std::ptr::NonNull;

use crate::base::wipe::Wipe;
use crate::buf::guard::words::{Lengths, Place};
use crate::free_list::Slot;

/// What lies at the start of a lender's own data, so that the functions below find those data from the pointer that
/// they are called with (as the vtable of `bytes::Bytes` does).
///
/// There are two headers, since how much of a buffer may have been written is not always known. A guard that hands out
/// bytes as they are, by `spare_capacity_mut` for instance, does not see what is written there; it is told afterwards
/// how many bytes that was, or it is never told, if the receive fails or the caller panics. Then all of them count. To
/// remember that bytes are out would need one more bit of the guard, whose 40 bytes are all in use, and one more branch
/// in each release. So the guard remembers it by where it points: at `settled` at first, at `handed_out` while bytes
/// are out, and at `settled` again when the report has come. A release goes through the header that the guard points
/// at, and that of `handed_out` counts everything as dirty.
#[repr(C)]
pub(crate) struct ReleaseHeaders {
    settled: ReleaseHeader,
    handed_out: ReleaseHeader,
}

/// One of the two.
pub(crate) struct ReleaseHeader {
    pub(super) release: Release,
    pub(super) is_wanted: IsWanted,
    /// Bytes before each buffer's first byte that belong to the buffer too.
    pub(super) headroom: u32,
    /// What is true of all that it lends: [`UNINITIALISED`], [`PARTS`].
    flags: u8,
    /// What becomes of the bytes at the release.
    pub(super) wipe: Wipe,
    /// From this header to the one that a guard points to while a writer has its bytes: 1 from the first, 0 from the
    /// second.
    on_handed_out: u8,
    /// From this header back to the one that a guard points to once the writer has said how many it wrote: 1 from the
    /// second where such reports are trusted, else 0.
    back_on_report: u8,
}

/// The bytes may not be initialised.
const UNINITIALISED: u8 = 1;
/// They are the parts of one buffer, and the lender is what these share.
const PARTS: u8 = 2;

/// Takes back what a guard was made from. The words of the guard as they are, so that its drop is a few loads and this
/// call: what they say together is worked out by who wants to know. What is to be wiped ends at
/// [`Lengths::written_end`]; what is to be hidden from the next holder is said by [`Slot::used`].
pub(crate) type Release = unsafe fn(NonNull<ReleaseHeader>, NonNull<u8>, Place, Lengths, Slot);

/// Whether requests wait that a buffer of this lender could serve. Called with its first header.
pub(crate) type IsWanted = unsafe fn(NonNull<ReleaseHeader>) -> bool;

/// Of a lender for which none waits.
unsafe fn never(_: NonNull<ReleaseHeader>) -> bool {
    false
}

impl ReleaseHeaders {
    /// A lender that takes buffers back by `release`, with the pointer to this as the pointer to its first header.
    pub(crate) const fn new(release: Release, headroom: u32, wipe: Wipe) -> Self {
        let settled = ReleaseHeader {
            release,
            is_wanted: never,
            headroom,
            flags: 0,
            wipe,
            on_handed_out: 1,
            back_on_report: 0,
        };
        let handed_out = ReleaseHeader {
            release: release_handed_out,
            on_handed_out: 0,
            back_on_report: wipe.trusts_reports() as u8,
            ..settled
        };
        ReleaseHeaders { settled, handed_out }
    }

    /// The same, whose buffers may be waited for.
    pub(crate) const fn waited_for(mut self, is_wanted: IsWanted) -> Self {
        self.settled.is_wanted = is_wanted;
        self.handed_out.is_wanted = is_wanted;
        self
    }

    /// The same, of memory that may not be initialised.
    pub(super) const fn of_uninitialised(self) -> Self {
        self.with_flags(UNINITIALISED)
    }

    /// A lender in front of that one, whose buffers it takes back by `release`.
    pub(super) fn in_front_of(behind: &ReleaseHeader, release: Release) -> Self {
        let headers = ReleaseHeaders::new(release, behind.headroom, behind.wipe);
        headers.with_flags(behind.flags & UNINITIALISED)
    }

    /// A lender of the parts of a buffer that `whole` has lent, which takes them back by `release`. None has headroom.
    pub(super) fn of_parts(whole: &ReleaseHeader, release: Release) -> Self {
        let headers = ReleaseHeaders::new(release, 0, whole.wipe);
        headers.with_flags(whole.flags & UNINITIALISED | PARTS)
    }

    const fn with_flags(mut self, flags: u8) -> Self {
        self.settled.flags = flags;
        self.handed_out.flags = flags;
        self
    }
}

impl ReleaseHeader {
    /// Whether all bytes of all buffers are initialised.
    #[inline(always)]
    pub(super) fn initialised(&self) -> bool {
        self.flags & UNINITIALISED == 0
    }

    /// Whether what it lends are the parts of one buffer: then the lender was made by
    /// [`of_parts`](ReleaseHeaders::of_parts).
    #[inline]
    pub(super) fn lends_parts(&self) -> bool {
        self.flags & PARTS != 0
    }

    /// Whether requests wait that a buffer of its lender could serve.
    ///
    /// # Safety
    ///
    /// As for `when_handed_out`; and a guard that points to it is not released.
    pub(super) unsafe fn is_wanted(header: NonNull<Self>) -> bool {
        // SAFETY: the lender lives, as our caller says.
        unsafe {
            let first = Self::both(header).cast::<ReleaseHeader>();
            (first.as_ref().is_wanted)(first)
        }
    }

    /// Both headers of the lender, which lie where its first one does.
    ///
    /// # Safety
    ///
    /// As for `when_handed_out`.
    #[inline]
    pub(super) unsafe fn both(header: NonNull<Self>) -> NonNull<ReleaseHeaders> {
        // SAFETY: the header lives, as our caller says; and it is the second of two where the number is 0.
        unsafe { header.sub(1 - usize::from(header.as_ref().on_handed_out)).cast() }
    }

    /// The header to point at when bytes are handed out. It belongs to the same lender.
    ///
    /// # Safety
    ///
    /// `header` is that of a lender that lives, and may be used for both of the lender's headers.
    #[inline]
    pub(super) unsafe fn when_handed_out(header: NonNull<Self>) -> NonNull<Self> {
        // SAFETY: the header lives, as our caller says; and it is the first of two, or else the number is 0.
        unsafe { header.add(header.as_ref().on_handed_out.into()) }
    }

    /// The header to point at when it has been said how many bytes were written.
    ///
    /// # Safety
    ///
    /// As for `when_handed_out`.
    #[inline]
    pub(super) unsafe fn when_reported(header: NonNull<Self>) -> NonNull<Self> {
        // SAFETY: the header lives, as our caller says; and it is the second of two, or else the number is 0.
        unsafe { header.sub(header.as_ref().back_on_report.into()) }
    }
}

/// Takes a buffer back, any of whose bytes may have been written.
///
/// # Safety
///
/// As for the `release` of the lender, whose second header this is called with.
unsafe fn release_handed_out(
    header: NonNull<ReleaseHeader>,
    data: NonNull<u8>,
    place: Place,
    lengths: Lengths,
    mut slot: Slot,
) {
    let all = Lengths::new(lengths.len(), place.room());
    slot.set_dirty(place.size());
    // SAFETY: the first header lies before the second; and the values are a guard's, as our caller says.
    unsafe {
        let settled = header.sub(1);
        (settled.as_ref().release)(settled, data, place, all, slot);
    }
}
