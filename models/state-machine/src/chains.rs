//! Arbitrary operations on a chain, against a model: a queue of bytes.

use std::collections::VecDeque;
use std::io::{self, BufRead, IoSlice, IoSliceMut, Read, Write};

use arbitrary::{Arbitrary, Unstructured};
use bytes::{Buf, BufMut};
use poolbuf::{BufferPool, Pool, PooledChain, TrustedRead};

/// Bytes a buffer.
const SIZE: usize = 8;
/// Buffers of the pool; when a chain has all of them, no more are added.
const MAX: usize = 64;
/// Most steps of a run.
const STEPS: usize = 200;

/// A number of bytes: up to a few buffers.
#[derive(Arbitrary, Clone, Copy, Debug)]
struct Count(u8);

impl Count {
    fn get(self) -> usize {
        usize::from(self.0) % (5 * SIZE)
    }

    /// At least one, and at most `most`.
    fn up_to(self, most: usize) -> usize {
        usize::from(self.0) % most + 1
    }
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Step {
    Extend(Count),
    PutSome(Count),
    WriteAll(Count),
    /// From a reader that has so many bytes, and gives them out in calls of at most so many.
    ReadFrom(Count, Count),
    /// From one that has so many, but no more than so many.
    ReadAtMost(Count, Count),
    /// From one of which nothing is known.
    ReadFromAny(Count, Count),
    /// Through `BufMut`, so many bytes at a time, by its calls in turn.
    Put(Count, Count),
    /// To a writer that takes so many.
    WriteTo(Count),
    Consume(Count),
    /// Through `Read`.
    Read(Count),
    /// Through `BufRead`.
    ReadLine,
    /// Through `Buf`.
    CopyToBytes(Count),
    Truncate(Count),
    Clear,
    /// A buffer with so many bytes, of which so many are consumed.
    Push(Count, Count),
    PopFront,
    /// And puts the two halves together again, or leaves one.
    SplitOff(Count, Keep),
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Keep {
    First,
    Rest,
    Both,
}

/// Runs what `data` says. Panics if a chain is not as the model.
pub fn run(data: &[u8]) {
    let mut data = Unstructured::new(data);
    let Ok(len) = Count::arbitrary(&mut data) else {
        return;
    };
    let pool = BufferPool::new(SIZE, 0, MAX).unwrap();
    let mut chain = pool.acquire_chain(len.get()).unwrap();
    assert_eq!(chain.buffers(), len.get().div_ceil(SIZE).max(1));
    let mut source = Source(0);
    let mut model = VecDeque::new();
    for _ in 0..STEPS {
        let Ok(step) = Step::arbitrary(&mut data) else {
            break;
        };
        apply(step, &pool, &mut source, &mut chain, &mut model);
        check(&pool, &chain, &model);
        if data.is_empty() {
            break;
        }
    }
    // What it says that it has to spare, it has.
    let spare = chain.spare_len();
    let bytes = source.bytes(spare + 1);
    chain.extend_from_slice(&bytes).unwrap_err();
    chain.extend_from_slice(&bytes[..spare]).unwrap();
    model.extend(&bytes[..spare]);
    check(&pool, &chain, &model);
    assert_eq!(chain.freeze().concat(), Vec::from(model));
    assert_eq!(pool.stats().in_use, 0);
}

/// Bytes that differ from their neighbours, with a line's end now and then.
struct Source(u8);

impl Source {
    fn bytes(&mut self, count: usize) -> Vec<u8> {
        let next = || {
            self.0 = self.0.wrapping_add(1);
            if self.0 % 11 == 0 { b'\n' } else { self.0 }
        };
        std::iter::repeat_with(next).take(count).collect()
    }
}

/// Gives out its bytes in calls of at most `at_once`, over as many slices as it is given.
struct Pieces<'a> {
    bytes: &'a [u8],
    at_once: usize,
}

impl Read for Pieces<'_> {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        self.read_vectored(&mut [IoSliceMut::new(target)])
    }

    fn read_vectored(&mut self, slices: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        let mut read = 0;
        for slice in slices {
            let left = (self.at_once - read).min(self.bytes.len());
            let here = left.min(slice.len());
            slice[..here].copy_from_slice(&self.bytes[..here]);
            self.bytes = &self.bytes[here..];
            read += here;
        }
        Ok(read)
    }
}

// SAFETY: copies into the slices, in turn, and returns how much that was.
unsafe impl TrustedRead for Pieces<'_> {}

/// Takes `room` bytes, and then would block; an interrupted call comes between.
struct Narrow {
    taken: Vec<u8>,
    room: usize,
    interrupted: bool,
}

impl Write for Narrow {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.interrupted = !self.interrupted;
        if self.interrupted {
            return Err(io::ErrorKind::Interrupted.into());
        }
        if self.room == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let before = self.taken.len();
        for slice in slices {
            let here = slice.len().min(self.room);
            self.taken.extend_from_slice(&slice[..here]);
            self.room -= here;
        }
        Ok(self.taken.len() - before)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn take_front(model: &mut VecDeque<u8>, count: usize) -> Vec<u8> {
    let count = count.min(model.len());
    model.drain(..count).collect()
}

/// Does `step` to both, and compares what came out.
fn apply(step: Step, pool: &BufferPool, source: &mut Source, chain: &mut PooledChain, model: &mut VecDeque<u8>) {
    let spare = chain.spare_len();
    match step {
        Step::Extend(count) => {
            let count = count.get();
            let bytes = source.bytes(count);
            match chain.extend_from_slice(&bytes) {
                Ok(()) => model.extend(bytes),
                Err(error) => assert_eq!((error.requested, error.spare), (count, spare)),
            }
            assert_eq!(model.len(), chain.len());
        }
        Step::PutSome(count) => {
            let count = count.get();
            let bytes = source.bytes(count);
            let taken = chain.write(&bytes).expect("it never fails");
            assert_eq!(taken, count.min(spare));
            model.extend(&bytes[..taken]);
        }
        Step::WriteAll(count) => {
            let count = count.get();
            let bytes = source.bytes(count);
            let result = chain.write_all(&bytes);
            assert_eq!(result.is_ok(), count <= spare);
            model.extend(&bytes[..count.min(spare)]);
        }
        Step::ReadFrom(has, at_once) | Step::ReadAtMost(has, at_once) | Step::ReadFromAny(has, at_once) => {
            let (has, at_once) = (has.get(), at_once.up_to(3 * SIZE));
            let bytes = source.bytes(has);
            let mut reader = Pieces { bytes: &bytes, at_once };
            let read = match step {
                Step::ReadFrom(..) => chain.read_from(&mut reader),
                Step::ReadAtMost(..) => {
                    reader.at_once = usize::MAX;
                    let read = chain.read_at_most(&mut reader, at_once);
                    read.inspect(|&read| assert_eq!(read, has.min(at_once).min(spare)))
                }
                _ => chain.read_from_any(&mut reader),
            };
            match read {
                Ok(read) => {
                    assert!(read > 0 || has == 0);
                    assert_eq!(reader.bytes.len(), has - read);
                    model.extend(&bytes[..read]);
                }
                Err(error) => assert_eq!((error.kind(), spare), (io::ErrorKind::WriteZero, 0)),
            }
        }
        Step::Put(count, at_once) => {
            let bytes = source.bytes(count.get().min(spare));
            let pieces = bytes.chunks(at_once.up_to(2 * SIZE)).enumerate();
            for (number, mut piece) in pieces {
                match number % 3 {
                    0 => chain.put_slice(piece),
                    1 => chain.put(piece),
                    _ => {
                        while !piece.is_empty() {
                            let chunk = chain.chunk_mut();
                            let (here, behind) = piece.split_at(piece.len().min(chunk.len()));
                            chunk[..here.len()].copy_from_slice(here);
                            // SAFETY: they were written.
                            unsafe { chain.advance_mut(here.len()) };
                            piece = behind;
                        }
                    }
                }
            }
            model.extend(bytes);
        }
        Step::WriteTo(room) => {
            let room = room.get();
            let mut writer = Narrow {
                taken: Vec::new(),
                room,
                interrupted: false,
            };
            let result = chain.write_to(&mut writer);
            assert_eq!(result.is_ok(), room >= model.len());
            assert_eq!(writer.taken, take_front(model, room));
        }
        Step::Consume(count) => {
            let count = count.get();
            chain.consume(count);
            take_front(model, count);
        }
        Step::Read(count) => {
            let count = count.get();
            let mut target = vec![0; count];
            let read = chain.read(&mut target).unwrap();
            assert_eq!(target[..read], take_front(model, count));
        }
        Step::ReadLine => {
            let mut line = Vec::new();
            chain.read_until(b'\n', &mut line).unwrap();
            let end = model.iter().position(|&byte| byte == b'\n');
            assert_eq!(line, take_front(model, end.map_or(usize::MAX, |end| end + 1)));
        }
        Step::CopyToBytes(count) => {
            let count = count.get().min(model.len());
            assert_eq!(chain.copy_to_bytes(count), take_front(model, count));
        }
        Step::Truncate(len) => {
            let len = len.get();
            chain.truncate(len);
            model.truncate(len);
        }
        Step::Clear => {
            chain.clear();
            model.clear();
        }
        Step::Push(len, consumed) => {
            let Ok(mut buf) = pool.acquire() else {
                assert_eq!(chain.buffers(), MAX);
                return;
            };
            buf.extend_from_slice(&source.bytes(len.get() % (SIZE + 1))).unwrap();
            buf.consume(consumed.get());
            model.extend(&buf[..]);
            chain.push(buf);
        }
        Step::PopFront => {
            let buf = chain.pop_front();
            let bytes = buf.as_deref().unwrap_or_default();
            assert_eq!(bytes, take_front(model, bytes.len()));
        }
        Step::SplitOff(buffers, keep) => {
            let buffers = buffers.get();
            let before = chain.buffers();
            let rest = chain.split_off_buffers(buffers);
            assert_eq!(chain.buffers(), buffers.min(before));
            assert_eq!(chain.buffers() + rest.buffers(), before);
            assert_eq!(chain.len() + rest.len(), model.len());
            match keep {
                Keep::First => model.truncate(chain.len()),
                Keep::Rest => {
                    take_front(model, chain.len());
                    *chain = rest;
                }
                Keep::Both => chain.extend(rest),
            }
        }
    }
}

fn check(pool: &BufferPool, chain: &PooledChain, model: &VecDeque<u8>) {
    let bytes: Vec<u8> = model.iter().copied().collect();
    assert_eq!(chain, &bytes[..]);
    assert_eq!(chain.to_vec(), bytes);
    assert_eq!((chain.len(), chain.is_empty()), (bytes.len(), bytes.is_empty()));
    assert_eq!(pool.stats().in_use, chain.buffers());
    assert_eq!(chain.capacity(), chain.buffers() * SIZE);
    assert!(chain.len() + chain.spare_len() <= chain.capacity());
    assert!(chain.chunks().all(|chunk| !chunk.is_empty()));
    assert_eq!(chain.chunk().is_empty(), chain.is_empty());
    let mut slices = [IoSlice::new(&[]); 3];
    let filled = chain.chunks_vectored(&mut slices);
    assert!(slices[..filled].iter().map(|slice| &**slice).eq(chain.chunks().take(3)));
}
