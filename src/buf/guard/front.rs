//! A second lender in front of a guard's own.
//!
//! A guard finds what takes it back through one pointer. So another may stand in front of its lender, at no cost where
//! none does: the guard points to the front, and the front to the lender behind it. A release comes to the front, which
//! passes it on as it is, and is told.
//!
//! ```text
//! guard --> Front { headers, behind --> core, told }
//! ```

use std::ptr::NonNull;
use std::sync::Arc;

use crate::buf::guard::PooledBuf;
use crate::buf::guard::header::{ReleaseHeader, ReleaseHeaders};
use crate::buf::guard::words::{Lengths, Place};
use crate::free_list::Slot;

/// What a front tells.
pub(crate) trait Told: Send + Sync + 'static {
    /// A guard was released, and its buffer is back.
    fn released(&self);

    /// Whether requests wait for what comes back then.
    fn is_wanted(&self) -> bool;
}

/// See the module. The headers come first, so a guard's pointer to them is one to the whole.
#[repr(C)]
pub(crate) struct Front<T> {
    headers: ReleaseHeaders,
    behind: NonNull<ReleaseHeader>,
    /// A handle of what the lender behind belongs to; or none, where that lives as long as the one guard that this is
    /// for.
    keeps: Option<Box<dyn Send + Sync>>,
    told: T,
}

// SAFETY: the lender behind may be called on any thread, as `PooledBuf::from_parts` was promised.
unsafe impl<T: Told> Send for Front<T> {}
// SAFETY: as above; and nothing of it is changed.
unsafe impl<T: Told> Sync for Front<T> {}

impl<T: Told> Front<T> {
    /// A front of the lender of `buf`, for all of its guards. `keeps` is a handle of it: while there is one it lives.
    pub(crate) fn of_all(buf: &PooledBuf, keeps: Box<dyn Send + Sync>, told: T) -> Arc<Self> {
        Front::new(buf, Some(keeps), told)
    }

    /// `buf` with a front of its own, behind which its lender lives as long as its buffer is out.
    pub(crate) fn of_one(buf: PooledBuf, told: T) -> PooledBuf {
        let front = Front::new(&buf, None, told);
        // SAFETY: made for this guard.
        unsafe { front.put_before(buf) }
    }

    fn new(buf: &PooledBuf, keeps: Option<Box<dyn Send + Sync>>, told: T) -> Arc<Self> {
        // SAFETY: the lender lives until the release.
        let behind = unsafe { buf.header.as_ref() };
        Arc::new(Front {
            headers: ReleaseHeaders::in_front_of(behind, release::<T>).waited_for(is_wanted::<T>),
            behind: buf.header,
            keeps,
            told,
        })
    }

    /// `buf` with this front before its lender, if it is of that lender.
    pub(crate) fn lend(self: &Arc<Self>, buf: PooledBuf) -> Result<PooledBuf, PooledBuf> {
        if buf.header != self.behind || self.keeps.is_none() {
            return Err(buf);
        }
        // SAFETY: what is kept keeps that lender alive, so the one at this address now is the one that it was.
        Ok(unsafe { Arc::clone(self).put_before(buf) })
    }

    /// # Safety
    ///
    /// The lender behind is that of `buf`.
    unsafe fn put_before(self: Arc<Self>, mut buf: PooledBuf) -> PooledBuf {
        let front = Arc::into_raw(self).cast_mut();
        // SAFETY: an `Arc` never points to null. Its count, which `release` takes back, keeps the headers alive until
        // then; and all else that `from_parts` was promised holds as before, of the lender behind.
        buf.header = unsafe { NonNull::new_unchecked(front) }.cast();
        buf
    }
}

/// Passes a release on to the lender behind a `Front<T>`.
///
/// # Safety
///
/// The header is one that `put_before` gave to a guard, whose other words these are, and that has not been released.
unsafe fn release<T: Told>(
    header: NonNull<ReleaseHeader>,
    data: NonNull<u8>,
    place: Place,
    lengths: Lengths,
    slot: Slot,
) {
    let front: *const Front<T> = header.cast().as_ptr();
    // SAFETY: `put_before` made the header from `Arc::into_raw`, and this call alone takes that count back.
    let front = unsafe { Arc::from_raw(front) };
    // SAFETY: the lender behind lives, since the buffer is out; and the words are its guard's, as our caller says.
    unsafe { (front.behind.as_ref().release)(front.behind, data, place, lengths, slot) };
    front.told.released();
}

/// Whether what is told, or the lender behind, has something for requests that wait.
///
/// # Safety
///
/// The header is the first of a `Front<T>`, and a guard that points to it is not released.
unsafe fn is_wanted<T: Told>(header: NonNull<ReleaseHeader>) -> bool {
    // SAFETY: the guard's count keeps it alive.
    let front = unsafe { header.cast::<Front<T>>().as_ref() };
    // SAFETY: the lender behind lives, since the buffer is out.
    front.told.is_wanted() || unsafe { ReleaseHeader::is_wanted(front.behind) }
}
