//! Splitting a guard in two over one buffer, and taking the whole back.
//!
//! A guard finds what takes it back by its header. So the parts of a split buffer have a lender of their own in front
//! of the buffer's: [`Shared`], which counts them, and gives the buffer back when the last is dropped. Each part is a
//! guard as any other, over its own bytes alone: they are all that its words say.

use std::mem;
use std::ptr::{self, NonNull};

use crate::base::sync::{AtomicU32, LeakTracker, Ordering, Witness};
use crate::buf::guard::PooledBuf;
use crate::buf::guard::header::{ReleaseHeader, ReleaseHeaders};
use crate::buf::guard::layout::Address;
use crate::buf::guard::words::{Lengths, Place};
use crate::free_list::Slot;
use crate::memory::{OutOfMemory, vec_for};
use crate::report::error::split::SplitError;

impl PooledBuf {
    /// Splits the first `at` bytes off, and returns them as a guard of their own over the same buffer: a frame at the
    /// front of a receive, for another thread, while the next one is received behind it. Nothing is copied.
    ///
    /// The guard keeps what is behind them, and what was to spare. What it returns has these bytes and no room for
    /// more. Neither has [headroom](PooledBuf::headroom) then, so that by no call can one reach the other's bytes; what
    /// was consumed before the data, and the pool's headroom, is nobody's until the whole is
    /// [reclaimed](PooledBuf::try_reclaim). A part is split again as any guard is.
    ///
    /// *The buffer goes back when its last part is dropped*, on whatever thread: then it is wiped, no longer among the
    /// [holders](crate::Pool::holders), and refunded to a [budget](crate::Budget). So a small part that is kept for
    /// long keeps a large buffer, and a secret in a part that was dropped stays in memory until then; copy what is to
    /// be kept, by [`to_vec`](slice::to_vec), and overwrite what is to be gone, by
    /// [`as_mut_slice`](PooledBuf::as_mut_slice). A part that would have neither bytes nor room (the first 0 bytes, or
    /// all of a full guard) is no part: it keeps nothing, and the other stays as it was.
    ///
    /// *Cost.* The first split of a buffer allocates some 80 bytes for what its parts share; later ones count up, by an
    /// atomic instruction. So does the drop of a part, down.
    ///
    /// # Errors
    ///
    /// [`SplitError`] when there are fewer bytes, or no memory; then nothing changes.
    ///
    /// ```
    /// use poolbuf::{BufferPool, Pool};
    ///
    /// let pool = BufferPool::new(1024, 1, 1)?;
    /// let mut received = pool.acquire()?;
    /// received.extend_from_slice(b"one|two|thr")?;
    ///
    /// let mut frames = Vec::new();
    /// while let Some(end) = received.iter().position(|&byte| byte == b'|') {
    ///     frames.push(received.split_to(end + 1)?);
    /// }
    /// received.extend_from_slice(b"ee|")?;
    /// assert_eq!((&frames[0][..], &frames[1][..], &received[..]), (&b"one|"[..], &b"two|"[..], &b"three|"[..]));
    ///
    /// drop(received);
    /// frames.pop();
    /// assert_eq!(pool.stats().in_use, 1);
    /// frames.pop();
    /// assert_eq!(pool.stats().in_use, 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn split_to(&mut self, at: usize) -> Result<PooledBuf, SplitError> {
        let behind = self.split_off(at)?;
        Ok(mem::replace(self, behind))
    }

    /// Splits all but the first `at` bytes off, and returns them, with what was to spare behind them, as a guard of
    /// their own over the same buffer. The guard keeps these bytes, and no room for more. All else is as for
    /// [`split_to`](PooledBuf::split_to).
    ///
    /// # Errors
    ///
    /// [`SplitError`] when there are fewer bytes, or no memory; then nothing changes.
    ///
    /// ```
    /// use poolbuf::{BufferPool, Pool};
    ///
    /// let mut head = BufferPool::new(1024, 1, 1)?.acquire()?;
    /// head.extend_from_slice(b"GET / HTTP/1.1\r\n\r\nbody")?;
    /// let mut body = head.split_off(18)?;
    /// body.extend_from_slice(b", and more of it")?;
    /// assert_eq!((&head[..], &body[..]), (&b"GET / HTTP/1.1\r\n\r\n"[..], &b"body, and more of it"[..]));
    /// assert_eq!((head.capacity(), body.capacity()), (18, 1024 - 18));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn split_off(&mut self, at: usize) -> Result<PooledBuf, SplitError> {
        let len = self.len();
        if at > len {
            return Err(SplitError::TooShort { at, len });
        }
        if at == 0 {
            return Ok(mem::replace(self, PooledBuf::of_nothing()));
        }
        // Not above `len`, a `u32`, and so not above what is written, and the room.
        let at = at as u32;
        let room = self.room() - at;
        if room == 0 {
            return Ok(PooledBuf::of_nothing());
        }
        let header = self.share()?;
        let index = Slot::from_word(self.slot).index();
        let part = |data, room, lengths, dirty| {
            let slot = Slot::new(index, dirty);
            PooledBuf::of_words(Place::new(room, 0), lengths, Address::new(data), slot.word(), header)
        };
        let lengths = Lengths::new(self.lengths.len() - at, self.written() - at);
        // SAFETY: within the room.
        let second = unsafe { self.data().add(at as usize) };
        let back = part(second, room, lengths, self.dirty().saturating_sub(at));
        // All of it is written.
        let front = part(self.data(), at, Lengths::new(at, at), 0);
        // SAFETY: the guard's share, or what was the whole guard's, is now that of `front`; it is not released here.
        unsafe { ptr::write(self, front) };
        Ok(back)
    }

    /// Takes the whole buffer back, if all other parts of it have been [split](PooledBuf::split_to) off and dropped,
    /// and says whether it did: the room of these is the guard's again, and the headroom. True for a guard that was
    /// never split, too; then nothing changes.
    ///
    /// The data are moved to the buffer's first byte, as by [`compact`](PooledBuf::compact). What the other parts have
    /// written is hidden from the guard, as it would be from a later holder. False means that there is another part,
    /// or was a moment ago.
    ///
    /// *Cost.* A copy of the data; none where they are at the front, or none. Where the pool [wipes](crate::Wipe), a
    /// `memset` of what the other parts had written, too.
    ///
    /// ```
    /// use poolbuf::{BufferPool, Pool};
    ///
    /// let mut received = BufferPool::new(16, 1, 1)?.acquire()?;
    /// received.extend_from_slice(b"first frame|2nd ")?;
    /// let first = received.split_to(12)?;
    /// assert_eq!((received.spare_len(), received.try_reclaim()), (0, false));
    /// drop(first);
    /// assert_eq!((received.try_reclaim(), received.spare_len()), (true, 12));
    /// received.extend_from_slice(b"frame|")?;
    /// assert_eq!(received, b"2nd frame|");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn try_reclaim(&mut self) -> bool {
        // SAFETY: `from_parts` was promised that the lender lives until the release.
        if !unsafe { self.header.as_ref() }.lends_parts() {
            return true;
        }
        // SAFETY: as above; and this guard is a part.
        let record = unsafe { Shared::of_part(self.header) };
        // SAFETY: it lives while this part does.
        let shared = unsafe { record.as_ref() };
        // Acquire: what other parts did happened before the last of them was dropped, which is a release.
        if shared.parts.load(Ordering::Acquire) != 1 {
            return false;
        }
        shared.note(self.data(), self.place, self.lengths, &Slot::from_word(self.slot));
        let ahead = shared.ahead_of(self.data());
        // SAFETY: this is the last part, and is the whole below.
        let whole = unsafe { Shared::take(record) };

        let len = self.lengths.len();
        // In the headroom they stay: there is nothing before them to gain.
        let (data, head) = if ahead < 0 && len > 0 {
            (self.data(), ahead as u32)
        } else {
            if ahead > 0 {
                // SAFETY: the data are within the buffer, at whose first byte there is room for them.
                unsafe { self.data().copy_to(whole.memory, len as usize) };
            }
            (whole.memory, 0)
        };
        let header = match self.header == record.cast() {
            true => whole.header,
            // SAFETY: the lender of the whole lives until the release, and both of its headers are the same memory.
            false => unsafe { ReleaseHeader::when_handed_out(whole.header) },
        };
        let place = Place::new(whole.size.wrapping_sub(head), head);
        // Behind the data nothing is the guard's own any more.
        let slot = Slot::new(whole.index, whole.dirty.max(whole.written));
        let all = PooledBuf::of_words(place, Lengths::new(len, len), Address::new(data), slot.word(), header);
        // SAFETY: the last part has become the whole, which is not released here.
        unsafe { ptr::write(self, all) };
        // So that it is wiped at the release.
        self.mark_dirty(whole.written.wrapping_sub(head));
        true
    }

    /// Makes one part more, or, of a whole guard, two parts, and returns what their headers are to be.
    fn share(&mut self) -> Result<NonNull<ReleaseHeader>, SplitError> {
        // SAFETY: `from_parts` was promised that the lender lives until the release.
        let lender = unsafe { self.header.as_ref() };
        if lender.lends_parts() {
            // SAFETY: as above; and this guard is a part.
            let shared = unsafe { Shared::of_part(self.header).as_ref() };
            // Relaxed: this part is there meanwhile. There are never more than a `u32` counts, since each began with
            // at least a byte that is no other's.
            shared.parts.fetch_add(1, Ordering::Relaxed);
            return Ok(self.header);
        }
        let slot = Slot::from_word(self.slot);
        let mut record = vec_for(1).map_err(|OutOfMemory { bytes }| SplitError::OutOfMemory { bytes })?;
        record.push(Shared {
            headers: ReleaseHeaders::of_parts(lender, release_part).waited_for(whole_is_wanted),
            parts: AtomicU32::new(2),
            written: AtomicU32::new(self.lengths.written_end(self.place)),
            dirty: AtomicU32::new(slot.dirty()),
            index: slot.index(),
            size: self.place.size(),
            memory: self.first_byte(),
            header: self.header,
            witness: Witness::new(0),
            _leak: LeakTracker::new(),
        });
        Ok(NonNull::from(Box::leak(record.into_boxed_slice())).cast())
    }
}

/// What the parts of a buffer share. The headers come first, so a part's pointer to them is one to the whole.
#[repr(C)]
struct Shared {
    headers: ReleaseHeaders,
    /// How many there are.
    parts: AtomicU32,
    /// How far into the buffer parts that are gone had written, or the whole before it was split. Each part but the
    /// one behind all others is written to its end, so there is no gap.
    written: AtomicU32,
    /// How far they made it dirty.
    dirty: AtomicU32,
    // What the guard was made from that was split first.
    index: u32,
    size: u32,
    memory: NonNull<u8>,
    /// The second of the lender's two if bytes were handed out when the guard was split: then all counts as written.
    header: NonNull<ReleaseHeader>,
    witness: Witness,
    _leak: LeakTracker,
}

impl Shared {
    /// What the part with that header shares.
    ///
    /// # Safety
    ///
    /// It is the header of a part that is not released.
    unsafe fn of_part(header: NonNull<ReleaseHeader>) -> NonNull<Shared> {
        // SAFETY: the headers of parts are those of a `Shared`, where they come first; it lives as long as the part.
        unsafe { ReleaseHeader::both(header) }.cast()
    }

    /// How many bytes a part's data lie behind the buffer's first byte: a negative number where they begin in the
    /// headroom.
    fn ahead_of(&self, data: NonNull<u8>) -> i64 {
        data.addr().get() as i64 - self.memory.addr().get() as i64
    }

    /// Notes what a part of these words has written, and how far it is dirty.
    fn note(&self, data: NonNull<u8>, place: Place, lengths: Lengths, slot: &Slot) {
        let first = self.ahead_of(data) - i64::from(place.head());
        // Relaxed: who counts the parts down to none, or finds none but its own, has them ordered.
        for (length, end) in [(&self.written, lengths.written_end(place)), (&self.dirty, slot.dirty())] {
            // Below the buffer's first byte where all of the part is in the headroom; else at most its size.
            let end = (first + i64::from(end)).max(0) as u32;
            if end > length.load(Ordering::Relaxed) {
                length.fetch_max(end, Ordering::Relaxed);
            }
        }
    }

    /// Frees the record, and returns what it knows of the buffer.
    ///
    /// # Safety
    ///
    /// No part but its caller's is there, which uses it no more; what the others did happened before.
    unsafe fn take(record: NonNull<Shared>) -> Whole {
        // SAFETY: `share` made it as a box of one, and nobody else has it now.
        let shared = *unsafe { Box::from_raw(record.as_ptr()) };
        shared.witness.holds_all();
        Whole {
            header: shared.header,
            memory: shared.memory,
            size: shared.size,
            index: shared.index,
            // Relaxed: as our caller says.
            written: shared.written.load(Ordering::Relaxed),
            dirty: shared.dirty.load(Ordering::Relaxed),
        }
    }
}

/// A buffer no part of which is left, as its lender knows it.
struct Whole {
    header: NonNull<ReleaseHeader>,
    memory: NonNull<u8>,
    size: u32,
    index: u32,
    written: u32,
    dirty: u32,
}

/// Takes a part back; with the last one, gives the buffer back to its lender.
///
/// # Safety
///
/// The values are those of a part, which has not been released before.
unsafe fn release_part(header: NonNull<ReleaseHeader>, data: NonNull<u8>, place: Place, lengths: Lengths, slot: Slot) {
    let record: NonNull<Shared> = header.cast();
    // SAFETY: it lives while this part is counted. What another part may free is not looked at after that.
    let parts = unsafe {
        let shared = record.as_ref();
        shared.note(data, place, lengths, &slot);
        shared.witness.is_used();
        &record.as_ref().parts
    };
    // Release: what this part's holder did happened before the buffer goes back. Acquire, for the last one: so did what
    // all others did.
    if parts.fetch_sub(1, Ordering::AcqRel) == 1 {
        // SAFETY: it was the last. The lender was promised to live until this call, the first and only one for the
        // buffer, and that it may come from any thread.
        unsafe {
            let whole = Shared::take(record);
            let (place, lengths) = (Place::new(whole.size, 0), Lengths::new(0, whole.written));
            let slot = Slot::new(whole.index, whole.dirty);
            (whole.header.as_ref().release)(whole.header, whole.memory, place, lengths, slot);
        }
    }
}

/// Whether requests wait that the whole buffer could serve.
///
/// # Safety
///
/// The header is the first of a record, one of whose parts is not released.
unsafe fn whole_is_wanted(header: NonNull<ReleaseHeader>) -> bool {
    // SAFETY: it lives while that part is counted, and so does the lender of the whole.
    unsafe { ReleaseHeader::is_wanted(header.cast::<Shared>().as_ref().header) }
}
