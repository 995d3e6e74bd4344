//! A guard, and what its bytes should be.

use std::io::{self, ErrorKind, Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use bytes::{Buf, BufMut};
use poolbuf::{CapacityError, POISON, PooledBuf, SplitError, TrustedRead};

use crate::operation::{BufferOperation, End, Length};

/// A guard beside what is known of it.
pub(crate) struct Held {
    pub(crate) buf: PooledBuf,
    capacity: usize,
    /// What was consumed before the data, which the buffer still holds.
    before: Vec<u8>,
    len: usize,
    /// What the buffer holds from the data's start, as far as that is this holder's own: what it wrote, and what it was
    /// shown. At least `len` bytes.
    own: Vec<u8>,
    /// Whether bytes were handed out as they are, and it was never said how many were written.
    unreported: bool,
    /// How many bytes, from the first, an earlier holder may have written, or safe code without a word for this one.
    stale: usize,
    unwritten: Unwritten,
}

/// What bytes show, and hold, that no holder wrote, or none since the last wipe.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unwritten {
    pub(crate) poison: bool,
    /// In memory, as it is, there may be anything.
    pub(crate) memory_is_wiped: bool,
}

impl Unwritten {
    fn may_be(self, byte: u8) -> bool {
        byte == 0 || self.poison && byte == POISON
    }
}

/// Bytes that tell which write made them, and are never what unwritten bytes are.
pub(crate) struct Stamps(u8);

impl Stamps {
    pub(crate) fn new() -> Self {
        Stamps(0)
    }

    fn next(&mut self) -> u8 {
        self.0 = self.0 % 199 + 1;
        self.0
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.next()).collect()
    }
}

/// Reads as a bad reader might: writes more than it claims, or claims more than there is room for.
struct Reader {
    interrupted: bool,
    bytes: Vec<u8>,
    claimed: usize,
    /// What the bytes were that it was given.
    shown: Vec<u8>,
}

impl Read for Reader {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        if std::mem::take(&mut self.interrupted) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        self.shown = bytes.to_vec();
        bytes[..self.bytes.len()].copy_from_slice(&self.bytes);
        Ok(self.claimed)
    }
}

/// Ends as it is told to: the receive of something that is marked.
struct Marked<'a> {
    bytes: &'a [u8],
    end: End,
}

impl Read for Marked<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let kind = match self.end {
            End::Well | End::WellWrapped => None,
            End::Interrupted => {
                self.end = End::Well;
                Some(ErrorKind::Interrupted)
            }
            End::WouldBlock => Some(ErrorKind::WouldBlock),
            End::Broken => Some(ErrorKind::Other),
            End::Panic | End::ClaimsTooMuch => None,
        };
        match kind {
            Some(kind @ (ErrorKind::Interrupted | ErrorKind::WouldBlock)) => Err(kind.into()),
            kind => {
                bytes[..self.bytes.len()].copy_from_slice(self.bytes);
                match (kind, self.end) {
                    (Some(kind), _) => Err(kind.into()),
                    (None, End::Panic) => resume_unwind(Box::new(())),
                    (None, End::ClaimsTooMuch) => Ok(bytes.len() + 1),
                    (None, _) => Ok(self.bytes.len()),
                }
            }
        }
    }
}

// SAFETY: writes as many bytes as it returns, and no others, but where it fails in a way that allows for that. That it
// claims too many is what is tried here.
unsafe impl TrustedRead for Marked<'_> {}

impl Held {
    /// A guard that has just been lent, of a buffer of which earlier holders may have written the first `stale` bytes.
    pub(crate) fn new(buf: PooledBuf, capacity: usize, stale: usize, unwritten: Unwritten) -> Self {
        let held = Held {
            buf,
            capacity,
            before: Vec::new(),
            len: 0,
            own: Vec::new(),
            unreported: false,
            stale,
            unwritten,
        };
        held.check();
        held
    }

    pub(crate) fn check(&self) {
        let Held {
            buf,
            capacity,
            before,
            len,
            own,
            ..
        } = self;
        assert_eq!(buf[..], own[..*len], "a byte changed");
        assert_eq!((buf.len(), buf.is_empty()), (*len, *len == 0));
        assert_eq!((buf.capacity(), buf.spare_len()), (*capacity, self.spare()));
        assert_eq!((buf.remaining(), buf.remaining_mut()), (*len, self.spare()));
        assert_eq!(buf.headroom(), before.len());
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.own[..self.len]
    }

    /// How many bytes, from the first, count as dirty.
    pub(crate) fn dirty(&self) -> usize {
        match self.unreported {
            true => self.capacity,
            false => self.stale.max(self.before.len() + self.own.len()),
        }
    }

    /// Splits at `at`, by `split_to` if the part in `front` is the new one. Returns the two parts, the part in front
    /// first, or the guard alone where the other would be no part; or the guard as it was, if `at` is too large.
    pub(crate) fn split(mut self, at: Length, front: bool) -> (Held, Option<Held>) {
        let at = at.of(self.len);
        let room = self.capacity - self.before.len();
        let result = match front {
            true => self.buf.split_to(at),
            false => self.buf.split_off(at),
        };
        let new = match result {
            Ok(new) => new,
            Err(error) => {
                let len = self.len;
                assert!(
                    at > len && matches!(error, SplitError::TooShort { at: said, len: of } if (said, of) == (at, len))
                );
                self.check();
                return (self, None);
            }
        };
        assert!(at <= self.len);
        // Which of the two is left as it was, where the other would be no part.
        if at == 0 || at == room {
            let new_is_whole = front == (at == room);
            let nothing = match new_is_whole {
                true => std::mem::replace(&mut self.buf, new),
                false => new,
            };
            assert_eq!((nothing.len(), nothing.capacity()), (0, 0));
            self.check();
            return (self, None);
        }
        let Held {
            buf,
            len,
            mut own,
            unreported,
            unwritten,
            ..
        } = self;
        let (first, second) = if front { (new, buf) } else { (buf, new) };
        // Each part knows its own bytes alone, and none before them.
        let behind = own.split_off(at);
        let part = |buf, capacity, len, own| Held {
            buf,
            capacity,
            before: Vec::new(),
            len,
            own,
            unreported,
            stale: 0,
            unwritten,
        };
        let second = part(second, room - at, len - at, behind);
        let first = part(first, at, at, own);
        first.check();
        second.check();
        (first, Some(second))
    }

    /// Takes back the whole buffer of so many bytes, if the guard is the last of its parts.
    pub(crate) fn reclaim(&mut self, whole: Option<usize>, last: bool) {
        assert_eq!(self.buf.try_reclaim(), last);
        if let (Some(capacity), true) = (whole, last) {
            self.capacity = capacity;
            self.before.clear();
            // What the other parts wrote is behind the data, and hidden.
            self.own.truncate(self.len);
            self.unwritten.memory_is_wiped = false;
        }
        self.check();
    }

    fn spare(&self) -> usize {
        self.capacity - self.before.len() - self.len
    }

    fn assert_refused(&self, requested: usize, result: Result<(), CapacityError>) {
        let error = result.expect_err("there is no room for that");
        assert_eq!(
            (error.requested, error.spare, error.capacity),
            (requested, self.spare(), self.capacity)
        );
        assert_eq!(error.consumed, self.before.len());
    }

    /// Notes that the bytes from `at` on were overwritten.
    fn overwrite(&mut self, at: usize, bytes: &[u8]) {
        let end = at + bytes.len();
        if self.own.len() < end {
            self.own.resize(end, 0);
        }
        self.own[at..end].copy_from_slice(bytes);
    }

    /// Notes what the spare bytes, shown from the length on, are: this holder's own are as it left them, and the
    /// others show no holder's bytes.
    fn note_shown(len: usize, own: &mut Vec<u8>, unwritten: Unwritten, shown: &[u8]) {
        let known = (own.len() - len).min(shown.len());
        assert_eq!(shown[..known], own[len..len + known], "a spare byte changed");
        for &byte in &shown[known..] {
            assert!(unwritten.may_be(byte), "another holder's byte: {byte}");
            own.push(byte);
        }
    }

    /// Notes that `bytes` were written behind the length, and nothing was said of them: looks at once, since where this
    /// holder had written nothing before, an earlier holder's are zeroed first.
    fn note_unreported(&mut self, bytes: &[u8]) {
        let len = self.len;
        let known = self.own.len();
        let overwritten = bytes.len().min(known - len);
        self.overwrite(len, &bytes[..overwritten]);
        let shown = self.buf.spare_mut();
        assert_eq!(shown[..known - len], self.own[len..], "a spare byte changed");
        for (at, &byte) in shown.iter().enumerate().skip(known - len) {
            let written = bytes.get(at) == Some(&byte);
            assert!(written || self.unwritten.may_be(byte), "another holder's byte: {byte}");
            self.own.push(byte);
        }
    }

    /// Does `operation` on the guard, and checks what that did.
    pub(crate) fn apply(&mut self, operation: BufferOperation, stamps: &mut Stamps) {
        let (len, spare) = (self.len, self.spare());
        match operation {
            BufferOperation::Extend(count) => {
                self.append(count, stamps, |buf, bytes| buf.extend_from_slice(bytes));
            }
            BufferOperation::Write(count) => {
                let count = count.of(spare).min(spare.saturating_add(40));
                let bytes = stamps.bytes(count);
                let fits = count.min(spare);
                self.buf.flush().unwrap();
                if count % 2 == 0 {
                    assert_eq!(self.buf.write(&bytes).unwrap(), fits);
                } else if let Err(error) = self.buf.write_all(&bytes) {
                    assert_eq!(error.kind(), io::ErrorKind::WriteZero);
                    let error = *error.get_ref().unwrap().downcast_ref().unwrap();
                    self.assert_refused(count, Err(error));
                } else {
                    assert_eq!(count, fits);
                }
                self.overwrite(len, &bytes[..fits]);
                self.len += fits;
            }
            BufferOperation::PutSlice(count) => {
                let count = count.of(spare).min(spare);
                let bytes = stamps.bytes(count);
                self.buf.put_slice(&bytes);
                self.overwrite(len, &bytes);
                self.len += count;
            }
            BufferOperation::FillSpare(count) => {
                let count = count.of(spare);
                match self.buf.spare_mut_for(count) {
                    Ok(shown) => {
                        assert_eq!(shown.len(), count);
                        Self::note_shown(len, &mut self.own, self.unwritten, shown);
                        let bytes = stamps.bytes(count);
                        shown.copy_from_slice(&bytes);
                        self.overwrite(len, &bytes);
                    }
                    Err(error) => {
                        assert!(count > spare);
                        self.assert_refused(count, Err(error));
                    }
                }
            }
            BufferOperation::LookAtSpare => {
                let shown = self.buf.spare_mut();
                assert_eq!(shown.len(), spare);
                Self::note_shown(len, &mut self.own, self.unwritten, shown);
            }
            BufferOperation::Commit(count) => {
                let count = count.of(spare);
                let result = self.buf.commit(count);
                if count > spare {
                    self.assert_refused(count, result);
                } else {
                    result.unwrap();
                    let shown = &self.buf[len..];
                    Self::note_shown(len, &mut self.own, self.unwritten, shown);
                    self.len += count;
                }
            }
            BufferOperation::Truncate(to) => {
                let to = to.of(len);
                self.buf.truncate(to);
                self.len = len.min(to);
                self.begin_again_if_empty();
            }
            BufferOperation::Consume(count) => {
                let count = count.of(len);
                self.buf.consume(count);
                self.consume(count.min(len));
            }
            BufferOperation::Clear => {
                self.buf.clear();
                self.len = 0;
                self.begin_again_if_empty();
            }
            BufferOperation::Rewrite => {
                let bytes = stamps.bytes(len);
                self.buf.as_mut_slice().copy_from_slice(&bytes);
                self.overwrite(0, &bytes);
            }
            BufferOperation::ReadFromAny {
                written,
                claimed,
                interrupted,
            } => {
                let bytes = stamps.bytes(written.of(spare).min(spare));
                self.read_from_any(bytes, claimed.of(spare), interrupted);
            }
            BufferOperation::ReadFrom { count, end } => {
                let bytes = stamps.bytes(count.of(spare).min(spare));
                self.receive(&bytes, end, |buf, mut reader| {
                    match end {
                        // The wrappers of std are marked if what they wrap is.
                        End::WellWrapped => buf.read_from(&mut Box::new(&mut reader).take(u64::MAX)),
                        _ => buf.read_from(&mut reader),
                    }
                });
            }
            BufferOperation::FillWith { count, end } => {
                let bytes = stamps.bytes(count.of(spare).min(spare));
                // It is not tried again.
                let end = match end {
                    End::Interrupted => End::WouldBlock,
                    end => end,
                };
                self.receive(&bytes, end, |buf, mut reader| {
                    // SAFETY: a pool's bytes are always initialised, and what is written is bytes. For the rest, as for
                    // the reader.
                    unsafe {
                        buf.fill_with(|spare| {
                            let start = spare.as_mut_ptr().cast();
                            reader.read(std::slice::from_raw_parts_mut(start, spare.len()))
                        })
                    }
                });
            }
            BufferOperation::WriteUnreported(count) => {
                let count = count.of(spare).min(spare);
                let bytes = stamps.bytes(count);
                // SAFETY: only bytes are written.
                let raw = unsafe { self.buf.spare_capacity_mut() };
                for (place, byte) in raw.iter_mut().zip(&bytes) {
                    place.write(*byte);
                }
                self.unreported = true;
                self.note_unreported(&bytes);
            }
            BufferOperation::WriteRaw { counted, more } => {
                let counted = counted.of(spare).min(spare);
                let written = spare.min(counted + usize::from(more));
                let bytes = stamps.bytes(written);
                // SAFETY: only bytes are written.
                let raw = unsafe { self.buf.spare_capacity_mut() };
                for (place, byte) in raw.iter_mut().zip(&bytes) {
                    place.write(*byte);
                }
                // SAFETY: within the capacity, and all bytes up to there have been written.
                unsafe {
                    self.buf.set_len(len + written);
                    self.buf.set_len(len + counted);
                }
                self.unreported = false;
                self.overwrite(len, &bytes);
                self.len += counted;
            }
            BufferOperation::FillChunk(count) => {
                let count = count.of(spare).min(spare);
                let bytes = stamps.bytes(count);
                let chunk = self.buf.chunk_mut();
                assert_eq!(chunk.len(), spare);
                chunk[..count].copy_from_slice(&bytes);
                // SAFETY: that many have just been written.
                unsafe { self.buf.advance_mut(count) };
                self.unreported = false;
                self.stale = self.capacity;
                self.overwrite(len, &bytes);
                self.len += count;
            }
            BufferOperation::LookAtMemory => {
                let known = self.own.len() - len;
                // SAFETY: nothing is written.
                let raw = unsafe { self.buf.spare_capacity_mut() };
                self.unreported = true;
                assert_eq!(raw.len(), spare);
                for (at, byte) in raw.iter().enumerate() {
                    // SAFETY: the pool's memory is initialised when it is reserved, and stays so.
                    let byte = unsafe { byte.assume_init() };
                    if at < known {
                        assert_eq!(byte, self.own[len + at], "a spare byte changed");
                    } else if self.unwritten.memory_is_wiped {
                        assert!(self.unwritten.may_be(byte), "not wiped: {byte}");
                    }
                }
            }
            BufferOperation::GetByte if len > 0 => {
                assert_eq!(self.buf.get_u8(), self.own[0]);
                self.consume(1);
            }
            BufferOperation::GetByte => assert!(!self.buf.has_remaining()),
            BufferOperation::CopyOut(count) => {
                let count = count.of(len).min(len);
                let mut copy = vec![0; count];
                self.buf.copy_to_slice(&mut copy);
                assert_eq!(copy, self.own[..count]);
                self.consume(count);
            }
            BufferOperation::Prepend(count) => {
                let free = self.before.len();
                let count = count.of(free).min(free + 40);
                let bytes = stamps.bytes(count);
                match self.buf.prepend(&bytes) {
                    Ok(()) => {
                        self.before.truncate(free - count);
                        self.own.splice(0..0, bytes);
                        self.len += count;
                    }
                    Err(error) => {
                        assert!(count > free);
                        assert_eq!((error.requested, error.spare), (count, free));
                    }
                }
            }
            BufferOperation::Compact => {
                self.buf.compact();
                let data = self.own[..self.len].to_vec();
                self.begin_again();
                self.overwrite(0, &data);
            }
        }
        self.check();
    }

    /// Adds stamped bytes by `add`, which says that they don't fit if they don't.
    fn append(
        &mut self,
        count: Length,
        stamps: &mut Stamps,
        add: impl FnOnce(&mut PooledBuf, &[u8]) -> Result<(), CapacityError>,
    ) {
        // A slice that is far too large would itself have no room.
        let count = count.of(self.spare()).min(2 * self.capacity + 2);
        let bytes = stamps.bytes(count);
        let result = add(&mut self.buf, &bytes);
        if count > self.spare() {
            self.assert_refused(count, result);
        } else {
            result.unwrap();
            self.overwrite(self.len, &bytes);
            self.len += count;
        }
    }

    /// Nothing moves.
    fn consume(&mut self, count: usize) {
        self.before.extend(self.own.drain(..count));
        self.len -= count;
        self.begin_again_if_empty();
    }

    fn begin_again_if_empty(&mut self) {
        if self.len == 0 {
            self.begin_again();
        }
    }

    /// What was before the data is behind their start.
    fn begin_again(&mut self) {
        self.own.splice(0..0, self.before.drain(..));
    }

    /// Lets `receive` receive `bytes`, as `end` says.
    fn receive(
        &mut self,
        bytes: &[u8],
        end: End,
        receive: impl FnOnce(&mut PooledBuf, Marked<'_>) -> io::Result<usize>,
    ) {
        let (len, full) = (self.len, self.spare() == 0);
        let reader = Marked { bytes, end };
        let result = catch_unwind(AssertUnwindSafe(|| receive(&mut self.buf, reader)));
        let kind = match &result {
            Ok(Ok(count)) => {
                assert_eq!(*count, bytes.len());
                self.overwrite(len, bytes);
                self.len += count;
                None
            }
            Ok(Err(error)) => Some(error.kind()),
            Err(_) => {
                assert!(matches!(end, End::Panic) && !full);
                None
            }
        };
        match (full, end) {
            (true, _) => assert_eq!(kind, Some(ErrorKind::WriteZero)),
            (_, End::Well | End::WellWrapped | End::Interrupted) => assert_eq!(kind, None),
            (_, End::WouldBlock) => assert_eq!(kind, Some(ErrorKind::WouldBlock)),
            (_, End::Broken | End::ClaimsTooMuch | End::Panic) => {
                let expected = match end {
                    End::Broken => Some(ErrorKind::Other),
                    End::ClaimsTooMuch => Some(ErrorKind::InvalidData),
                    _ => None,
                };
                assert_eq!(kind, expected);
                self.unreported = true;
                self.note_unreported(bytes);
            }
        }
    }

    fn read_from_any(&mut self, bytes: Vec<u8>, claimed: usize, interrupted: bool) {
        let (len, spare) = (self.len, self.spare());
        let mut reader = Reader {
            interrupted,
            bytes,
            claimed,
            shown: Vec::new(),
        };
        let result = self.buf.read_from_any(&mut reader);
        if spare == 0 {
            assert_eq!(result.unwrap_err().kind(), io::ErrorKind::WriteZero);
            return;
        }
        assert_eq!(reader.shown.len(), spare);
        Self::note_shown(len, &mut self.own, self.unwritten, &reader.shown);
        self.overwrite(len, &reader.bytes);
        match result {
            Ok(count) => {
                assert_eq!(count, reader.claimed);
                self.len += count;
            }
            Err(error) => {
                assert_eq!(error.kind(), io::ErrorKind::InvalidData);
                assert!(reader.claimed > spare);
            }
        }
    }
}
