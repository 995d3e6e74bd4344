//! What a guard finds its lender by.

use std::ptr::NonNull;

use crate::wipe::Wipe;

/// What lies at the start of a lender's own data, so that the functions below find those data from the pointer that
/// they are called with (as the vtable of `bytes::Bytes` does).
///
/// There are two headers, since how much of a buffer may have been written is not always known. A guard that hands out
/// bytes as they are, by `spare_capacity_mut` for instance, does not see what is written there; it is told afterwards
/// how many bytes that was, or it is never told, if the receive fails or the caller panics. Then all of them count. To
/// remember that bytes are out would need one more bit of the guard, whose 40 bytes are all in use, and one more branch
/// in each release. So the guard remembers it by where it points: at `settled` at first, at `handed_out` while bytes
/// are out, and at `settled` again when the report has come. A release goes through the header that the guard points
/// at, and that of `handed_out` counts everything as exposed.
#[repr(C)]
pub(crate) struct Lender {
    settled: ReleaseHeader,
    handed_out: ReleaseHeader,
}

/// One of the two.
pub(crate) struct ReleaseHeader {
    pub(super) release: Release,
    /// Bytes before each buffer's first byte that belong to the buffer too.
    pub(super) headroom: u32,
    /// Whether all bytes of all buffers are initialised.
    pub(super) initialised: bool,
    /// What becomes of the bytes at the release.
    pub(super) wipe: Wipe,
    /// How many headers on is the one to point at when bytes are handed out, and how many back when it has been said
    /// how many were written.
    on_handed_out: u8,
    back_on_report: u8,
}

/// Takes back what a guard was made from: the lender; where the data begin, and where that is in the buffer; the slot;
/// and last how much of the buffer was written. Plain values, as the guard has them, so that they travel in registers.
pub(crate) type Release = unsafe fn(NonNull<ReleaseHeader>, NonNull<u8>, Place, u32, Lengths);

/// How much of a buffer was written, counted from its first byte. The headroom's may have been written in any case.
#[derive(Clone, Copy)]
pub(crate) struct Lengths {
    /// What this holder wrote lies below: this is wiped.
    pub(crate) written: u32,
    /// Bytes below may have been written, by this holder or one before it, since the buffer was wiped: these are hidden
    /// from the next holder. At least `written`.
    pub(crate) exposed: u32,
}

/// Where in its buffer a guard's data begin: how many bytes it is to the buffer's end, and how many they lie behind the
/// buffer's first (modulo 2³², if they lie before it: in the headroom). An array, which travels in one register.
pub(crate) type Place = [u32; 2];

impl Lender {
    /// A lender that takes buffers back by `release`, with the pointer to this as the pointer to its first header.
    pub(crate) const fn new(release: Release, headroom: u32, wipe: Wipe) -> Self {
        let settled = ReleaseHeader {
            release,
            headroom,
            initialised: true,
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
        Lender {
            settled,
            handed_out,
        }
    }

    /// The same, of memory that may not be initialised.
    pub(super) const fn of_uninitialised(mut self) -> Self {
        self.settled.initialised = false;
        self.handed_out.initialised = false;
        self
    }
}

impl ReleaseHeader {
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
    slot: u32,
    _lengths: Lengths,
) {
    let [room, head] = place;
    let capacity = room.wrapping_add(head);
    let all = Lengths {
        written: capacity,
        exposed: capacity,
    };
    // SAFETY: the first header lies before the second. The rest is passed on.
    unsafe {
        let settled = header.sub(1);
        (settled.as_ref().release)(settled, data, place, slot, all);
    }
}
