//! Chains against a model: one vector of bytes, and the number of buffers that are out.

use std::collections::VecDeque;
use std::io::{self, BufRead, IoSlice, IoSliceMut, Read, Write};

use bytes::{Buf, BufMut};
use poolbuf::{AcquireError, BufferPool, MultiSizeConfig, MultiSizePool, Pool, PoolConfig};
use poolbuf::{PooledBuf, PooledChain};
use proptest::prelude::*;

/// Bytes a buffer.
const SIZE: usize = 8;
/// Buffers of the pool: more than any sequence of steps takes.
const MAX: usize = 64;

#[derive(Clone, Debug)]
enum Step {
    Extend(usize),
    PutSome(usize),
    WriteAll(usize),
    /// From a reader that has so many bytes, and gives them out in calls of at most so many.
    ReadFrom(usize, usize),
    /// Through `BufMut`, so many bytes at a time.
    Put(usize, usize),
    /// To a writer that takes so many.
    WriteTo(usize),
    Consume(usize),
    /// Through `Read`.
    Read(usize),
    /// Through `BufRead`.
    ReadLine,
    /// Through `Buf`.
    CopyToBytes(usize),
    Truncate(usize),
    Clear,
    /// A buffer with so many bytes, of which so many are consumed.
    Push(usize, usize),
    PopFront,
    /// And puts the two halves together again, or leaves one.
    SplitOff(usize, Keep),
}

#[derive(Clone, Copy, Debug)]
enum Keep {
    First,
    Rest,
    Both,
}

fn step() -> impl Strategy<Value = Step> {
    let bytes = || 0..5 * SIZE;
    prop_oneof![
        bytes().prop_map(Step::Extend),
        bytes().prop_map(Step::PutSome),
        bytes().prop_map(Step::WriteAll),
        (bytes(), 1..3 * SIZE).prop_map(|(has, at_once)| Step::ReadFrom(has, at_once)),
        (bytes(), 1..SIZE).prop_map(|(bytes, at_once)| Step::Put(bytes, at_once)),
        bytes().prop_map(Step::WriteTo),
        bytes().prop_map(Step::Consume),
        bytes().prop_map(Step::Read),
        Just(Step::ReadLine),
        bytes().prop_map(Step::CopyToBytes),
        bytes().prop_map(Step::Truncate),
        Just(Step::Clear),
        (0..=SIZE, 0..=SIZE).prop_map(|(len, consumed)| Step::Push(len, consumed)),
        Just(Step::PopFront),
        (
            0..6_usize,
            prop_oneof![Just(Keep::First), Just(Keep::Rest), Just(Keep::Both)]
        )
            .prop_map(|(buffers, keep)| Step::SplitOff(buffers, keep)),
    ]
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
fn apply(
    step: Step,
    pool: &BufferPool,
    source: &mut Source,
    chain: &mut PooledChain,
    model: &mut VecDeque<u8>,
) {
    let spare = chain.spare_len();
    match step {
        Step::Extend(count) => {
            let bytes = source.bytes(count);
            match chain.extend_from_slice(&bytes) {
                Ok(()) => model.extend(bytes),
                Err(error) => assert_eq!((error.requested, error.spare), (count, spare)),
            }
            assert_eq!(model.len(), chain.len());
        }
        Step::PutSome(count) => {
            let bytes = source.bytes(count);
            let taken = chain.put_some(&bytes);
            assert_eq!(taken, count.min(spare));
            model.extend(&bytes[..taken]);
        }
        Step::WriteAll(count) => {
            let bytes = source.bytes(count);
            let result = chain.write_all(&bytes);
            assert_eq!(result.is_ok(), count <= spare);
            if result.is_ok() {
                model.extend(bytes);
            }
        }
        Step::ReadFrom(has, at_once) => {
            let bytes = source.bytes(has);
            let mut reader = Pieces {
                bytes: &bytes,
                at_once,
            };
            match chain.read_from(&mut reader) {
                Ok(read) => {
                    assert!(read > 0 || has == 0);
                    assert_eq!(reader.bytes.len(), has - read);
                    model.extend(&bytes[..read]);
                }
                Err(error) => assert_eq!((error.kind(), spare), (io::ErrorKind::WriteZero, 0)),
            }
        }
        Step::Put(count, at_once) => {
            let bytes = source.bytes(count.min(spare));
            for piece in bytes.chunks(at_once) {
                chain.put_slice(piece);
            }
            model.extend(bytes);
        }
        Step::WriteTo(room) => {
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
            chain.consume(count);
            take_front(model, count);
        }
        Step::Read(count) => {
            let mut target = vec![0; count];
            let read = chain.read(&mut target).unwrap();
            assert_eq!(target[..read], take_front(model, count));
        }
        Step::ReadLine => {
            let mut line = Vec::new();
            chain.read_until(b'\n', &mut line).unwrap();
            let end = model.iter().position(|&byte| byte == b'\n');
            assert_eq!(
                line,
                take_front(model, end.map_or(usize::MAX, |end| end + 1))
            );
        }
        Step::CopyToBytes(count) => {
            let count = count.min(model.len());
            assert_eq!(chain.copy_to_bytes(count), take_front(model, count));
        }
        Step::Truncate(len) => {
            chain.truncate(len);
            model.truncate(len);
        }
        Step::Clear => {
            chain.clear();
            model.clear();
        }
        Step::Push(len, consumed) => {
            let mut buf = pool.acquire().unwrap();
            buf.extend_from_slice(&source.bytes(len)).unwrap();
            buf.consume(consumed);
            model.extend(&buf[..]);
            chain.push(buf);
        }
        Step::PopFront => {
            let buf = chain.pop_front();
            let bytes = buf.as_deref().unwrap_or_default();
            assert_eq!(bytes, take_front(model, bytes.len()));
        }
        Step::SplitOff(buffers, keep) => {
            let before = chain.buffers();
            let rest = chain.split_off(buffers);
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
    assert_eq!(
        (chain.len(), chain.is_empty()),
        (bytes.len(), bytes.is_empty())
    );
    assert_eq!(pool.stats().in_use, chain.buffers());
    assert_eq!(chain.capacity(), chain.buffers() * SIZE);
    assert!(chain.len() + chain.spare_len() <= chain.capacity());
    assert!(chain.chunks().all(|chunk| !chunk.is_empty()));
    assert_eq!(chain.chunk().is_empty(), chain.is_empty());
    let mut slices = [IoSlice::new(&[]); 3];
    let filled = chain.chunks_vectored(&mut slices);
    assert!(
        slices[..filled]
            .iter()
            .map(|slice| &**slice)
            .eq(chain.chunks().take(3))
    );
}

proptest! {
    #[test]
    fn a_chain_does_what_a_vector_would(
        len in 0..4 * SIZE,
        steps in prop::collection::vec(step(), 1..40),
    ) {
        let pool = BufferPool::new(SIZE, 0, MAX).unwrap();
        let mut chain = pool.acquire_chain(len).unwrap();
        prop_assert_eq!(chain.buffers(), len.div_ceil(SIZE).max(1));
        let mut source = Source(0);
        let mut model = VecDeque::new();
        for step in steps {
            apply(step, &pool, &mut source, &mut chain, &mut model);
            check(&pool, &chain, &model);
        }
        // What it says that it has to spare, it has.
        let spare = chain.spare_len();
        let bytes = source.bytes(spare + 1);
        chain.extend_from_slice(&bytes).unwrap_err();
        chain.extend_from_slice(&bytes[..spare]).unwrap();
        model.extend(&bytes[..spare]);
        check(&pool, &chain, &model);
        // And what was never handed in, or was handed out, is never shown: all bytes went through the model.
        let frozen = chain.freeze().concat();
        prop_assert_eq!(frozen, Vec::from(model));
        prop_assert_eq!(pool.stats().in_use, 0);
    }
}

#[test]
fn a_chain_takes_all_of_its_buffers_or_none() {
    let pool = BufferPool::new(SIZE, 0, 4).unwrap();
    let held = pool.acquire().unwrap();
    let refused = pool.acquire_chain(4 * SIZE).unwrap_err();
    assert!(matches!(refused, AcquireError::Exhausted { max: 4, .. }));
    assert_eq!(pool.stats().in_use, 1);
    drop(held);
    let chain = pool.acquire_chain(4 * SIZE).unwrap();
    assert_eq!(pool.stats().in_use, 4);
    drop(chain);
    assert_eq!(pool.stats().in_use, 0);
}

#[test]
fn the_rest_takes_the_smallest_tier_that_holds_it() {
    let tier = |size| PoolConfig::new(size).max(4);
    let tiers = MultiSizeConfig::new().tier(tier(16)).tier(tier(100));
    let pool = MultiSizePool::with_config(tiers).unwrap();
    let capacities = |len| {
        let chain = pool.acquire_chain(len).unwrap();
        chain
            .into_iter()
            .map(|buf| buf.capacity())
            .collect::<Vec<_>>()
    };
    assert_eq!(capacities(0), [16]);
    assert_eq!(capacities(100), [100]);
    assert_eq!(capacities(210), [100, 100, 16]);
    assert_eq!(capacities(217), [100, 100, 100]);
}

/// A reader that claims more than it was given room for, and one that fails, add nothing.
#[test]
fn readers_that_lie_or_fail_add_nothing() {
    struct Liar(io::Result<usize>);
    impl Read for Liar {
        fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
            target.fill(1);
            std::mem::replace(&mut self.0, Err(io::ErrorKind::BrokenPipe.into()))
        }
    }
    let pool = BufferPool::new(SIZE, 0, 2).unwrap();
    let mut chain = pool.acquire_chain(2 * SIZE).unwrap();
    chain.extend_from_slice(b"kept").unwrap();
    let mut liar = Liar(Ok(2 * SIZE - 3));
    let error = chain.read_from(&mut liar).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    let error = chain.read_from(&mut liar).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    assert_eq!(chain, b"kept");
    // What they wrote there is not what is read later.
    chain.put_some(&[9; 2 * SIZE]);
    assert_eq!(chain.to_vec()[..5], *b"kept\x09");
}

#[test]
fn buffers_that_can_hold_nothing_are_not_in_the_way() {
    let pool = BufferPool::new(SIZE, 0, 2).unwrap();
    let nothing = || PooledBuf::try_from(Vec::new()).unwrap();
    let mut chain = PooledChain::from(nothing());
    assert_eq!((chain.buffers(), chain.spare_len()), (0, 0));
    assert_eq!(chain.put_some(b"x"), 0);
    chain.push(pool.acquire().unwrap());
    chain.push(nothing());
    chain.push(pool.acquire().unwrap());
    chain.extend_from_slice(b"hello, world").unwrap();
    assert_eq!(chain, b"hello, world");
}

#[test]
fn errors_say_the_numbers() {
    let pool = BufferPool::new(SIZE, 0, 2).unwrap();
    let mut chain = pool.acquire_chain(2 * SIZE).unwrap();
    chain.extend_from_slice(b"hello").unwrap();
    let error = chain.extend_from_slice(&[0; 12]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "12 bytes do not fit: 11 of the buffer's 16 are free"
    );
    let error = chain.write_to(&mut &mut [0; 2][..]).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::WriteZero);
    assert_eq!(
        error.to_string(),
        "3 bytes are left that the writer does not take"
    );
    assert_eq!(chain, b"llo");
    assert_eq!(
        format!("{chain:?}"),
        "PooledChain { len: 3, buffers: 2, capacity: 16, .. }"
    );
}
