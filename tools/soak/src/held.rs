//! A buffer on loan with the stamp that its holder wrote, as a guard or frozen into [`Bytes`].
#![forbid(unsafe_code)]

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::{AcqRel, Relaxed};

use bytes::{BufMut, Bytes};
use poolbuf::{AcquireError, PooledBuf};

use crate::ledger::{Ledger, Loan, Request};
use crate::stamp::{Stamp, verify_clean};
use poolbuf_support::random::Random;

/// Something that keeps a buffer from its pool. Verified and released when it is dropped.
pub(crate) enum Held {
    Guard(Guard),
    Frozen(Frozen),
}

/// See the module.
pub(crate) struct Guard {
    /// `None` once it is frozen.
    buf: Option<(PooledBuf, Loan)>,
    stamp: Stamp,
}

/// A clone or a slice of a frozen guard.
pub(crate) struct Frozen {
    /// `None` only while it is dropped.
    bytes: Option<Bytes>,
    /// Where in the stamp they begin.
    from: usize,
    whole: Arc<Whole>,
}

/// What all clones and slices of a frozen guard share.
struct Whole {
    loan: Loan,
    stamp: Stamp,
    /// Pieces that there are.
    pieces: AtomicUsize,
    /// Pieces whose drop has not ended.
    undropped: AtomicUsize,
}

impl Guard {
    /// Ends a request, and writes into what it got.
    pub(crate) fn of_request(
        ledger: &Arc<Ledger>,
        request: &Request,
        result: Result<PooledBuf, AcquireError>,
        random: &mut Random,
    ) -> Option<Guard> {
        let (buf, loan) = ledger.end(request, result)?;
        Some(Guard::new(buf, loan, random))
    }

    /// As `of_request`, of a request for many.
    pub(crate) fn of_many(
        ledger: &Arc<Ledger>,
        request: &Request,
        result: Result<Vec<PooledBuf>, AcquireError>,
        random: &mut Random,
    ) -> Vec<Guard> {
        let ended = ledger.end_many(request, result).into_iter();
        ended.map(|(buf, loan)| Guard::new(buf, loan, random)).collect()
    }

    fn new(mut buf: PooledBuf, loan: Loan, random: &mut Random) -> Guard {
        let stamp = Stamp::new(random.next());
        write_first(&mut buf, stamp, loan.ledger(), random);
        Guard {
            buf: Some((buf, loan)),
            stamp,
        }
    }

    /// Fails if another wrote into the buffer.
    pub(crate) fn verify(&self) {
        if let Some((buf, loan)) = &self.buf {
            self.stamp.verify(0, buf, loan.ledger().name());
        }
    }

    /// Where the buffer lies, and how many bytes it holds.
    pub(crate) fn place(&self) -> (usize, usize) {
        let buf = self.buf.as_ref().map(|(buf, _)| buf);
        buf.map_or((0, 0), |buf| (buf.as_ptr() as usize, buf.capacity()))
    }

    /// Writes another stamp over what was written so far, or behind a part of it.
    pub(crate) fn rewrite(&mut self, random: &mut Random) {
        self.verify();
        let Some((buf, _)) = &mut self.buf else {
            return;
        };
        match random.below(4) {
            0 => buf.truncate(random.between(0, buf.len())),
            1 => {
                let kept = random.between(0, buf.len());
                buf.truncate(kept);
                let more = random.between(0, buf.spare_len().min(100));
                write(buf, self.stamp, kept, more, random);
            }
            2 => {
                // What is left begins in the middle of the stamp, so it gets one of its own.
                let consumed = random.between(0, buf.len());
                let rest = self.stamp.bytes(consumed, buf.len() - consumed);
                buf.consume(consumed);
                assert_eq!(**buf, *rest, "consume left something else");
                if random.below(2) == 0 {
                    buf.compact();
                    assert_eq!(**buf, *rest, "compact left something else");
                }
                self.stamp = Stamp::new(random.next());
                self.stamp.fill(0, buf.as_mut_slice());
            }
            _ => {
                self.stamp = Stamp::new(random.next());
                buf.clear();
                let len = length(buf.capacity(), random);
                write(buf, self.stamp, 0, len, random);
            }
        }
        self.verify();
    }

    /// As [`Bytes`]; stays a guard if it is empty, since nothing would be left to hold.
    pub(crate) fn freeze(mut self) -> Held {
        match self.buf.take() {
            Some((buf, loan)) if !buf.is_empty() => Held::Frozen(Frozen {
                bytes: Some(buf.freeze()),
                from: 0,
                whole: Arc::new(Whole {
                    loan,
                    stamp: self.stamp,
                    pieces: AtomicUsize::new(1),
                    undropped: AtomicUsize::new(1),
                }),
            }),
            kept => {
                self.buf = kept;
                Held::Guard(self)
            }
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.verify();
        if let Some((buf, loan)) = self.buf.take() {
            loan.releasing();
            drop(buf);
            loan.released();
        }
    }
}

impl Frozen {
    fn verify(&self) {
        if let Some(bytes) = &self.bytes {
            let whole = &self.whole;
            whole.stamp.verify(self.from, bytes, whole.loan.ledger().name());
        }
    }

    /// A clone or a slice; `None` if that would be empty, and so hold nothing.
    pub(crate) fn piece(&self, random: &mut Random) -> Option<Frozen> {
        self.verify();
        let bytes = self.bytes.as_ref()?;
        let from = random.between(0, bytes.len());
        let to = random.between(from, bytes.len());
        let (from, part) = match random.once_in(2) {
            true => (0, bytes.clone()),
            false => (from, bytes.slice(from..to)),
        };
        if part.is_empty() {
            return None;
        }
        // Relaxed: this piece is counted, so that no other can be the last meanwhile.
        self.whole.pieces.fetch_add(1, Relaxed);
        self.whole.undropped.fetch_add(1, Relaxed);
        Some(Frozen {
            bytes: Some(part),
            from: self.from + from,
            whole: Arc::clone(&self.whole),
        })
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        self.verify();
        let whole = &self.whole;
        // The buffer can't go back before the last one of them has come here.
        if whole.pieces.fetch_sub(1, AcqRel) == 1 {
            whole.loan.releasing();
        }
        drop(self.bytes.take());
        if whole.undropped.fetch_sub(1, AcqRel) == 1 {
            whole.loan.released();
        }
    }
}

impl Held {
    pub(crate) fn verify(&self) {
        match self {
            Held::Guard(guard) => guard.verify(),
            Held::Frozen(frozen) => frozen.verify(),
        }
    }
}

/// How many bytes to write: mostly few, at times all.
fn length(capacity: usize, random: &mut Random) -> usize {
    let most = match random.below(8) {
        0 => return capacity,
        1 => capacity,
        _ => capacity.min(80),
    };
    random.between(0, most)
}

/// Looks at bytes of a fresh buffer, and writes the first ones.
fn write_first(buf: &mut PooledBuf, stamp: Stamp, ledger: &Ledger, random: &mut Random) {
    let (name, poisoned) = (ledger.name(), ledger.poisoned());
    let len = length(buf.capacity(), random);
    match random.below(6) {
        0 => verify_clean(buf.spare_mut(), poisoned, name),
        1 => {
            if let Ok(spare) = buf.spare_mut_for(len) {
                verify_clean(spare, poisoned, name);
            }
        }
        2 => {
            assert_eq!(buf.commit(len), Ok(()), "{name}");
            verify_clean(buf, poisoned, name);
            buf.clear();
        }
        _ => {}
    }
    write(buf, stamp, 0, len, random);
    stamp.verify(0, buf, name);
}

/// Writes `len` bytes of the stamp behind the `from` bytes that there are, in one of the ways to do that.
fn write(buf: &mut PooledBuf, stamp: Stamp, from: usize, len: usize, random: &mut Random) {
    match random.below(6) {
        0 => {
            stamp.fill(from, &mut buf.spare_mut()[..len]);
            assert_eq!(buf.commit(len), Ok(()));
        }
        1 => {
            if let Ok(spare) = buf.spare_mut_for(len) {
                stamp.fill(from, spare);
            }
            assert_eq!(buf.commit(len), Ok(()));
        }
        2 if len > 0 => {
            let bytes = stamp.bytes(from, len);
            assert!(matches!(buf.read_from(&mut &bytes[..]), Ok(read) if read == len));
        }
        3 => assert!(buf.write_all(&stamp.bytes(from, len)).is_ok()),
        4 => buf.put_slice(&stamp.bytes(from, len)),
        _ => assert_eq!(buf.extend_from_slice(&stamp.bytes(from, len)), Ok(())),
    }
    if random.once_in(50) {
        let too_much = vec![1; buf.spare_len() + 1];
        assert!(buf.extend_from_slice(&too_much).is_err());
    }
    assert_eq!(buf.len(), from + len);
}
