//! Chains: what is lent, what is refused, and what bad readers and writers can do. That they do what a vector would is
//! tested in `models/state-machine`.

use std::fs::{self, File};
use std::future::{Future, ready};
use std::io::{self, BufRead, ErrorKind, IoSlice, IoSliceMut, Read, Write};
use std::mem;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes};
use poolbuf::{
    AcquireError, Budget, BufferPool, LockFreePool, MultiSizeConfig, MultiSizePool, Pool, PoolConfig, PooledBuf,
    PooledChain, Recycle, Recycler, SplitError, TrustedRead,
};

/// Bytes a buffer.
const SIZE: usize = 8;

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

/// Were the rest of a smaller tier, then buffers of one tier would be taken before it is known that the other has one,
/// and others be refused meanwhile.
#[test]
fn a_chain_over_tiers_is_of_one_of_them_and_counts_what_it_lent() {
    let tier = |size| PoolConfig::new(size).max(4);
    let tiers = MultiSizeConfig::new().tier(tier(16)).tier(tier(100));
    let pool = MultiSizePool::with_config(tiers).unwrap();
    let capacities = |chain: PooledChain| {
        let bufs = chain.into_iter();
        bufs.map(|buf| buf.capacity()).collect::<Vec<_>>()
    };
    for (len, expected) in [
        (0, &[16][..]),
        (16, &[16]),
        (17, &[100]),
        (100, &[100]),
        (201, &[100; 3]),
    ] {
        assert_eq!(capacities(pool.acquire_chain(len).unwrap()), expected);
        let waits = pool.acquire_chain_async(len).wait_timeout(Duration::MAX).unwrap();
        assert_eq!(capacities(waits), expected);
    }
    let _large = pool.acquire_many(2, 100).unwrap();
    let before = pool.stats();
    let refused = pool.acquire_chain(210).unwrap_err();
    assert!(matches!(refused, AcquireError::Exhausted { max: 4, .. }));
    let since = pool.stats().since(&before);
    assert_eq!((since.acquired, since.waits, since.refused), (0, 0, 1));
}

/// Each wants more than half of what there is. One that held a part while it waits for the rest would wait for ever.
#[test]
fn threads_that_wait_for_chains_do_not_wait_for_each_other() {
    let budget = Budget::new(5 * 100 + 2 * 16);
    let tier = |size, max| PoolConfig::new(size).max(max).budget(&budget);
    let tiers = MultiSizeConfig::new().tier(tier(16, 2)).tier(tier(100, 5));
    let pools: [Box<dyn Pool>; 3] = [
        Box::new(BufferPool::new(100, 0, 5).unwrap()),
        Box::new(LockFreePool::<5>::new(100).unwrap()),
        Box::new(MultiSizePool::with_config(tiers).unwrap()),
    ];
    for pool in &pools {
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for round in 0..200 {
                        let len = 201 + round % 150;
                        let mut chain = pool.acquire_chain_async(len).wait_timeout(Duration::MAX).unwrap();
                        chain.extend_from_slice(&vec![7; len]).unwrap();
                    }
                });
            }
        });
        assert_eq!((pool.stats().in_use, pool.stats().timed_out), (0, 0));
    }
    assert_eq!(budget.lent(), 0);
}

#[test]
fn a_chain_that_is_waited_for_can_be_left_and_is_late() {
    let pool: Arc<dyn Pool> = Arc::new(BufferPool::new(SIZE, 0, 4).unwrap());
    let held = pool.acquire_chain(3 * SIZE).unwrap();
    let mut waiting = Box::pin(pool.acquire_chain_async(2 * SIZE));
    let mut context = Context::from_waker(Waker::noop());
    assert!(waiting.as_mut().poll(&mut context).is_pending());
    drop(waiting);
    assert_eq!((pool.stats().in_use, pool.stats().waiting), (3, 0));
    let late = pool.acquire_chain_async(2 * SIZE).wait_timeout(Duration::ZERO);
    assert!(matches!(late, Err(AcquireError::TimedOut { .. })));
    let mut late = pool.acquire_chain_async(2 * SIZE).within(ready(()));
    let Poll::Ready(Err(AcquireError::TimedOut { .. })) = Pin::new(&mut late).poll(&mut context) else {
        panic!("the time is up");
    };
    assert_eq!((pool.stats().timed_out, pool.stats().abandoned), (2, 1));
    let mut waiting = Box::pin(pool.acquire_chain_async(2 * SIZE));
    assert!(waiting.as_mut().poll(&mut context).is_pending());
    drop(held);
    let Poll::Ready(Ok(chain)) = waiting.as_mut().poll(&mut context) else {
        panic!("all buffers have come back");
    };
    assert_eq!(chain.buffers(), 2);
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
    let error = chain.read_from_any(&mut liar).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    let error = chain.read_from_any(&mut liar).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    assert_eq!(chain, b"kept");
    // What they wrote there is not what is read later.
    chain.extend_from_slice(&[9]).unwrap();
    assert_eq!(chain.to_vec()[..5], *b"kept\x09");
}

#[test]
fn a_chain_too_long_for_the_pool_is_refused_with_the_numbers_and_not_waited_for() {
    let tier = |size| PoolConfig::new(size).max(3);
    let tiers = MultiSizeConfig::new().tier(tier(2)).tier(tier(SIZE));
    let pools: [Box<dyn Pool>; 3] = [
        Box::new(BufferPool::new(SIZE, 0, 3).unwrap()),
        Box::new(LockFreePool::<3>::new(SIZE).unwrap()),
        Box::new(MultiSizePool::with_config(tiers).unwrap()),
    ];
    let mut context = Context::from_waker(Waker::noop());
    for pool in &pools {
        let mut waiting = Box::pin(pool.acquire_chain_async(3 * SIZE + 1));
        let Poll::Ready(waited_for) = waiting.as_mut().poll(&mut context) else {
            panic!("it will never be there");
        };
        let results = [
            pool.acquire_chain(3 * SIZE + 1),
            pool.acquire_chain_async(3 * SIZE + 1).wait_timeout(Duration::MAX),
            waited_for,
        ];
        for result in results {
            let error = result.unwrap_err();
            assert!(
                matches!(
                    error,
                    AcquireError::TooMany {
                        requested: 4,
                        max: 3,
                        ..
                    }
                ),
                "{error:?}"
            );
        }
        assert_eq!((pool.stats().in_use, pool.stats().waits), (0, 0));
        assert_eq!(pool.acquire_chain(3 * SIZE).unwrap().spare_len(), 3 * SIZE);
    }
}

#[test]
fn what_does_not_fit_is_refused_and_a_full_chain_is_not_the_end_of_a_stream() {
    let pool = BufferPool::new(SIZE, 0, 2).unwrap();
    let mut chain = pool.acquire_chain(2 * SIZE).unwrap();
    chain.put_slice(b"hello, w");
    let error = chain.extend_from_slice(&[0; SIZE + 1]).unwrap_err();
    assert_eq!((error.requested, error.spare), (SIZE + 1, SIZE));
    let put = catch_unwind(AssertUnwindSafe(|| chain.put_slice(&[0; SIZE + 1])));
    assert!(put.is_err());
    // SAFETY: not reached beyond the check.
    let told = catch_unwind(AssertUnwindSafe(|| unsafe { chain.advance_mut(SIZE + 1) }));
    assert!(told.is_err());
    assert!(catch_unwind(AssertUnwindSafe(|| chain.advance(SIZE + 1))).is_err());
    assert_eq!(chain, b"hello, w");
    let error = chain.write_all(b"orld, and more").unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::WriteZero);
    assert_eq!(chain, b"hello, world, an");
    assert_eq!(chain.write(b"d").unwrap(), 0);
    for error in [
        chain.read_from(&mut &b"d"[..]).unwrap_err(),
        chain.read_from_any(&mut &b"d"[..]).unwrap_err(),
    ] {
        assert_eq!(error.kind(), io::ErrorKind::WriteZero);
    }
    assert!(chain.chunk_mut().len() == 0 && !chain.has_remaining_mut());
}

/// Bytes of a message that takes 64 buffers of 16 KiB.
const LARGE: usize = 1 << 20;

/// Both ends of a connection.
fn connection() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (client, listener.accept().unwrap().0)
}

/// Reads and writes many buffers at once and in no other way, and remembers the most that it was given.
struct Vectored {
    socket: TcpStream,
    most: usize,
}

impl Vectored {
    fn new(socket: TcpStream) -> Vectored {
        Vectored { socket, most: 0 }
    }
}

impl Read for Vectored {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        panic!("read into one buffer");
    }

    fn read_vectored(&mut self, slices: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        self.most = self.most.max(slices.len());
        self.socket.read_vectored(slices)
    }
}

// SAFETY: hands on the bytes, and what the socket returns.
unsafe impl TrustedRead for Vectored {}

impl Write for Vectored {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        panic!("wrote one buffer");
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.most = self.most.max(slices.len());
        self.socket.write_vectored(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Receives a whole message, as long as a chain.
fn received(pool: &BufferPool, socket: TcpStream) -> PooledChain {
    let mut socket = Vectored::new(socket);
    let mut chain = pool.acquire_chain(LARGE).unwrap();
    while chain.spare_len() > 0 {
        assert!(chain.read_from(&mut socket).unwrap() > 0);
    }
    assert!(socket.most > 1, "received into one buffer at a time");
    chain
}

/// From a publisher to a broker, and from there to three subscribers: the broker copies nothing.
#[test]
fn a_message_of_many_buffers_is_received_fanned_out_and_parsed() {
    let pool = || BufferPool::new(16 << 10, 0, LARGE >> 14).unwrap();
    // A number of one byte and one of four: some lie across two buffers, since 16 KiB is no multiple of five.
    const NUMBERS: usize = LARGE / 5;

    let (to_broker, from_publisher) = connection();
    let publisher = thread::spawn(move || {
        let mut message = pool().acquire_chain(LARGE).unwrap();
        for number in 0..NUMBERS as u32 {
            message.put_u8(number as u8);
            message.put_u32(number);
        }
        message.put_bytes(0xee, LARGE % 5);
        assert_eq!((message.len(), message.spare_len()), (LARGE, 0));
        let mut socket = Vectored::new(to_broker);
        message.write_to(&mut socket).unwrap();
        assert!(socket.most > 1, "wrote one buffer at a time");
        assert!(message.is_empty());
    });

    let broker = pool();
    let message = received(&broker, from_publisher);
    publisher.join().unwrap();
    assert_eq!((message.buffers(), broker.stats().in_use), (64, 64));
    // Copied out with one call, without being consumed.
    let mut whole = vec![0; LARGE];
    assert_eq!(message.copy_to(&mut whole), LARGE);
    assert!(message == whole[..] && message.to_vec() == whole);

    let pieces: Vec<Bytes> = message.freeze();
    assert_eq!(pieces.len(), 64);
    thread::scope(|scope| {
        for _ in 0..3 {
            let (mut to_subscriber, from_broker) = connection();
            let pieces = pieces.clone();
            scope.spawn(move || {
                for piece in pieces {
                    to_subscriber.write_all(&piece).unwrap();
                }
                to_subscriber.shutdown(Shutdown::Write).unwrap();
            });
            scope.spawn(move || {
                let own = pool();
                let mut message = received(&own, from_broker);
                for number in 0..NUMBERS as u32 {
                    // Each buffer is back when all of it has been read.
                    assert_eq!(own.stats().in_use, 64 - 5 * number as usize / (16 << 10));
                    assert_eq!((message.get_u8(), message.get_u32()), (number as u8, number));
                }
                assert_eq!(message, [0xee; LARGE % 5]);
            });
        }
        // As long as one subscriber has not been sent a piece, its buffer is lent.
        drop(pieces);
    });
    assert_eq!(broker.stats().in_use, 0);
}

#[test]
fn buffers_that_can_hold_nothing_are_not_in_the_way() {
    let pool = BufferPool::new(SIZE, 0, 2).unwrap();
    let nothing = || PooledBuf::try_from(Vec::new()).unwrap();
    let mut chain = PooledChain::from(nothing());
    assert_eq!((chain.buffers(), chain.spare_len()), (0, 0));
    assert_eq!(chain.write(b"x").unwrap(), 0);
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
        "12 bytes do not fit: the buffer has room for 11 of its 16"
    );
    let error = chain.write_to(&mut &mut [0; 2][..]).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::WriteZero);
    assert_eq!(error.to_string(), "the writer takes no more; left are 3 bytes");
    assert_eq!(chain, b"llo");
    assert_eq!(
        format!("{chain:?}"),
        "PooledChain { len: 3, buffers: 2, capacity: 16, .. }"
    );
}

/// One that says so would otherwise cost as many bytes that it never got.
#[test]
fn a_writer_that_claims_more_than_it_was_given_is_an_error_and_takes_nothing() {
    /// Claims so many bytes more than it was given.
    struct Liar(usize);
    impl Write for Liar {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            Ok(bytes.len() + self.0)
        }
        fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
            Ok(slices.iter().map(|slice| slice.len()).sum::<usize>() + self.0)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    // More buffers than a write is given at once.
    let bytes: Vec<u8> = (0..40 * SIZE).map(|at| at as u8).collect();
    let pool = BufferPool::new(SIZE, 0, 40).unwrap();
    let mut chain = pool.acquire_chain(bytes.len()).unwrap();
    chain.extend_from_slice(&bytes).unwrap();
    let error = chain.write_to(&mut Liar(1)).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    assert_eq!(
        error.to_string(),
        "the writer claims to have written 129 bytes, but was given 128"
    );
    assert_eq!(chain, bytes[..]);
    chain.write_to(&mut Liar(0)).unwrap();
    assert!(chain.is_empty());
}

/// What a chain says of itself is what its buffers say, one by one. Returns it made of them again.
fn checked(chain: PooledChain, bytes: &[u8]) -> PooledChain {
    assert_eq!(chain, *bytes);
    let (len, spare, capacity) = (chain.len(), chain.spare_len(), chain.capacity());
    assert!(len + spare <= capacity, "{len} + {spare} of {capacity}");
    let count = chain.buffers();
    let bufs: Vec<PooledBuf> = chain.into_iter().collect();
    let sum = |of: fn(&PooledBuf) -> usize| bufs.iter().map(of).sum::<usize>();
    let tail = bufs.iter().rposition(|buf| !buf.is_empty()).unwrap_or(0);
    let behind = bufs.iter().skip(tail).map(PooledBuf::spare_len);
    assert_eq!((bufs.len(), sum(|buf| buf.len())), (count, len));
    assert_eq!(spare, behind.sum::<usize>());
    assert_eq!(capacity, sum(PooledBuf::capacity));
    bufs.into_iter().collect()
}

/// Programs at random over buffers whose data begin anywhere, in their headroom too. Debug builds notice an overflow.
#[test]
fn the_figures_are_those_of_the_buffers_wherever_their_data_begin() {
    let config = PoolConfig::new(SIZE).headroom(5).max(12);
    let pool = BufferPool::with_config(config).unwrap();
    for seed in 0..3000 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut bytes = Vec::new();
        let mut chain = PooledChain::default();
        for step in 0..40 {
            let some: Vec<u8> = (0..random.usize(..20)).map(|_| step).collect();
            let cut = random.usize(..20);
            match random.u8(..10) {
                0 | 1 => {
                    let Ok(mut buf) = pool.acquire() else {
                        continue;
                    };
                    // What fits of it.
                    let _ = buf.write_all(&some);
                    let _ = buf.prepend(&[step; 5][random.usize(..5)..]);
                    buf.truncate(cut);
                    buf.consume(random.usize(..4));
                    bytes.extend_from_slice(&buf);
                    chain.push(buf);
                }
                2 => {
                    if chain.extend_from_slice(&some).is_ok() {
                        bytes.extend(some);
                    }
                }
                3 => {
                    let written = chain.write(&some).unwrap();
                    bytes.extend(&some[..written]);
                }
                4 => {
                    if let Ok(came) = chain.read_from(&mut &some[..]) {
                        bytes.extend(&some[..came]);
                    }
                }
                5 | 6 => {
                    chain.consume(cut);
                    bytes.drain(..cut.min(bytes.len()));
                }
                7 => {
                    chain.truncate(cut);
                    bytes.truncate(cut);
                }
                8 => {
                    if let Some(buf) = chain.pop_front() {
                        assert_eq!(buf, bytes[..buf.len()]);
                        bytes.drain(..buf.len());
                    }
                }
                _ => chain = checked(chain, &bytes),
            }
            assert_eq!(chain.len(), bytes.len(), "seed {seed}");
            assert!(chain.len() + chain.spare_len() <= chain.capacity());
        }
        checked(chain, &bytes);
    }
}

/// Counts what comes back, and panics at the first that does after it was told to.
#[derive(Clone, Default)]
struct PanicsOnce(Arc<(AtomicBool, AtomicUsize)>);

impl Recycle for PanicsOnce {
    fn recycle(&self, _: Box<[u8]>, _: usize) {
        let (told, back) = &*self.0;
        back.fetch_add(1, Ordering::Relaxed);
        assert!(!told.swap(false, Ordering::Relaxed), "told to");
    }
}

/// Whatever gives buffers back has then done all that it does, every buffer is back, and the chain goes on.
#[test]
fn a_recycler_that_panics_leaves_the_chain_as_if_it_had_not() {
    const BYTES: &[u8; 3 * SIZE] = b"0123456789abcdefghijklmn";
    // Each with the bytes that it takes off the front, and the buffers that it gives back.
    type Act = fn(&mut PooledChain);
    /// As `bytes` has it, one piece after the other: no more than what is left of the first buffer.
    const FIRST: usize = 0;
    let acts: [(Act, usize, usize); 16] = [
        (|chain| chain.consume(SIZE), SIZE, 1),
        (|chain| chain.consume(SIZE + 1), SIZE + 1, 1),
        (|chain| chain.consume(2 * SIZE), 2 * SIZE, 2),
        (|chain| chain.consume(usize::MAX), 3 * SIZE, 2),
        (|chain| BufRead::consume(chain, SIZE), SIZE, 1),
        (|chain| chain.advance(2 * SIZE + 2), 2 * SIZE + 2, 2),
        (|chain| assert_ne!(chain.get_u64(), 0), FIRST, 1),
        (|chain| drop(chain.copy_to_bytes(SIZE + 3)), FIRST, 1),
        (|chain| drop(chain.read(&mut [0; SIZE + 2])), SIZE + 2, 1),
        (|chain| drop(chain.write_to(&mut Vec::new())), 3 * SIZE, 2),
        (|chain| drop(chain.pop_front()), FIRST, 1),
        (|chain| drop(chain.split_off_buffers(0)), 3 * SIZE, 3),
        (|chain| drop(mem::take(chain)), 3 * SIZE, 3),
        (|chain| *chain = PooledChain::default(), 3 * SIZE, 3),
        (|chain| mem::take(chain).into_iter().for_each(drop), 3 * SIZE, 3),
        (|chain| drop(mem::take(chain).freeze()), 3 * SIZE, 3),
    ];
    for (number, (act, taken, back)) in acts.into_iter().enumerate() {
        // With some of the first buffer taken, and not.
        for before in [0, 3] {
            let panics = PanicsOnce::default();
            let recycler = Recycler::new(panics.clone());
            let mut chain = PooledChain::default();
            for piece in BYTES.chunks(SIZE) {
                let mut buf = recycler.lend(vec![0; SIZE].into(), 0).unwrap();
                buf.extend_from_slice(piece).unwrap();
                chain.push(buf);
            }
            chain.consume(before);
            let taken = match taken {
                FIRST => SIZE,
                _ => BYTES.len().min(before + taken),
            };
            panics.0.0.store(true, Ordering::Relaxed);
            catch_unwind(AssertUnwindSafe(|| act(&mut chain))).expect_err("told to");
            let mut chain = checked(chain, &BYTES[taken..]);
            let back_by_now = || panics.0.1.load(Ordering::Relaxed);
            assert!(back_by_now() >= back, "{number}: {} of {back}", back_by_now());
            let spare = chain.spare_len();
            chain.extend_from_slice(&vec![b'!'; spare]).unwrap();
            chain.consume(usize::MAX);
            drop(chain);
            assert_eq!(back_by_now(), 3, "{number}");
        }
    }
    // Nothing that only cuts or adds gives a buffer back.
    let panics = PanicsOnce::default();
    let recycler = Recycler::new(panics.clone());
    let lend = || recycler.lend(vec![0; SIZE].into(), 0).unwrap();
    let mut chain: PooledChain = (0..3).map(|_| lend()).collect();
    panics.0.0.store(true, Ordering::Relaxed);
    chain.extend_from_slice(BYTES).unwrap();
    chain.truncate(SIZE + 1);
    chain.read_from(&mut &b"more"[..]).unwrap();
    chain.push(lend());
    chain.clear();
    assert_eq!((chain.buffers(), panics.0.1.load(Ordering::Relaxed)), (4, 0));
    panics.0.0.store(false, Ordering::Relaxed);
}

/// A chain of buffers that hold these pieces, each with a byte to spare.
fn of_pieces(pieces: &[&[u8]]) -> PooledChain {
    let pieces = pieces.iter().map(|piece| {
        let pool = BufferPool::new(piece.len() + 1, 0, 1).unwrap();
        let mut buf = pool.acquire().unwrap();
        buf.extend_from_slice(piece).unwrap();
        buf
    });
    pieces.collect()
}

#[test]
fn chains_are_equal_by_their_bytes_however_these_are_cut() {
    let cut = |pieces: &[&[u8]]| of_pieces(pieces);
    let all = [
        cut(&[b"hello, world"]),
        cut(&[b"hell", b"o, ", b"world"]),
        cut(&[b"h", b"ello, worl", b"d"]),
        {
            let mut consumed = cut(&[b"..", b"..hello", b", world"]);
            consumed.consume(4);
            consumed
        },
    ];
    let other = [
        cut(&[]),
        cut(&[b"hell", b"o, worl"]),
        cut(&[b"hell", b"o, world", b"!"]),
        cut(&[b"hell", b"o, xorld"]),
        cut(&[b"hello, worl", b"x"]),
    ];
    for chain in &all {
        all.iter().for_each(|same| assert_eq!(chain, same));
        for other in &other {
            assert_ne!(chain, other, "{:?}", other.to_vec());
            assert_ne!(other, chain);
            assert_ne!(*chain, other.to_vec());
            assert_ne!(other.to_vec(), *chain);
        }
        assert_eq!(chain, &b"hello, world".to_vec());
        assert_eq!(b"hello, world".to_vec(), *chain);
        assert!(*chain == "hello, world" && b"hello, world"[..] == *chain);
    }
    assert_eq!(cut(&[]), cut(&[]));
}

/// Each split of chains that are cut and consumed in each way, beside a vector, and what is written behind it.
#[test]
fn a_chain_splits_at_each_byte_and_keeps_what_it_had_to_spare() {
    for filled in 0..=3 * SIZE {
        for consumed in 0..=filled {
            for at in 0..=filled - consumed {
                let pool = BufferPool::new(SIZE, 0, 3).unwrap();
                let mut rest = pool.acquire_chain(3 * SIZE).unwrap();
                let mut model: Vec<u8> = (0..filled as u8).collect();
                rest.extend_from_slice(&model).unwrap();
                rest.consume(consumed);
                model.drain(..consumed);
                let spare = rest.spare_len();

                let first = rest.split_to(at).unwrap();
                let behind = model.split_off(at);
                let case = format!("{filled}, {consumed}, {at}");
                assert_eq!((first.len(), rest.len()), (at, behind.len()), "{case}");
                assert_eq!(first, model, "{case}");
                assert_eq!(rest, behind, "{case}");
                assert_eq!((first.spare_len(), rest.spare_len()), (0, spare), "{case}");
                assert!(first.chunks().chain(rest.chunks()).all(|chunk| !chunk.is_empty()));

                // What it had to spare can be written, and nothing of the first is changed by it.
                let more = vec![b'!'; spare];
                rest.extend_from_slice(&more).unwrap();
                assert!(rest.extend_from_slice(b"!").is_err());
                assert_eq!(rest, [behind, more].concat(), "{case}");
                assert_eq!(first, model, "{case}");
                drop(rest);
                assert_eq!(first, model, "{case}");
                drop(first);
                assert_eq!(pool.stats().in_use, 0);
            }
        }
    }
}

#[test]
fn a_chain_is_split_without_a_copy_and_whole_buffers_move() {
    let pool = BufferPool::new(SIZE, 0, 3).unwrap();
    let mut rest = pool.acquire_chain(3 * SIZE).unwrap();
    rest.extend_from_slice(b"hello, world").unwrap();
    let start = |chunk: &[u8]| chunk.as_ptr() as usize;
    let before: Vec<_> = rest.chunks().map(start).collect();
    let first = rest.split_to(SIZE + 2).unwrap();
    assert_eq!(first.chunks().map(start).collect::<Vec<_>>(), before);
    assert_eq!(rest.chunks().map(start).collect::<Vec<_>>(), [before[1] + 2]);
    drop(first);
    // The whole one is back.
    assert_eq!(pool.stats().in_use, 2);

    for at in [3, usize::MAX] {
        assert_eq!(rest.split_to(at).unwrap_err(), SplitError::TooShort { at, len: 2 });
    }
    assert_eq!(rest, b"ld");
    assert_eq!(rest.split_to(0).unwrap().buffers(), 0);
}

#[test]
fn slices_of_the_first_bytes_end_there() {
    let mut chain = of_pieces(&[b"..hell", b"o, ", b"world"]);
    chain.consume(2);
    let all = chain.to_vec();
    for most in 0..=all.len() + 1 {
        for at_once in 0..=4 {
            let mut slices = vec![IoSlice::new(&[]); at_once];
            let filled = chain.io_slices_at_most(most, &mut slices);
            assert!(slices[..filled].iter().all(|slice| !slice.is_empty()));
            let bytes: Vec<u8> = slices[..filled].iter().flat_map(|slice| slice.to_vec()).collect();
            let fits: usize = chain.chunks().take(at_once).map(<[u8]>::len).sum();
            assert_eq!(bytes, all[..most.min(fits)], "{most}, {at_once}");
        }
    }
}

#[test]
fn pieces_are_changed_in_place_and_none_that_was_consumed() {
    let mut chain = of_pieces(&[b"..HE", b"L", b"LO"]);
    chain.consume(2);
    let pieces: Vec<usize> = chain.chunks().map(<[u8]>::len).collect();
    assert_eq!(chain.chunks_mut().map(|chunk| chunk.len()).collect::<Vec<_>>(), pieces);
    chain.chunks_mut().for_each(<[u8]>::make_ascii_lowercase);
    assert_eq!(chain, b"hello");
    chain.clear();
    assert_eq!(chain.chunks_mut().count(), 0);
    assert_eq!(PooledChain::default().chunks_mut().count(), 0);
}

#[test]
fn what_is_prepended_comes_first_and_leaves_as_much_to_spare() {
    let pool = BufferPool::with_config(PoolConfig::new(SIZE).max(2).headroom(4)).unwrap();
    for filled in 0..=2 * SIZE {
        for consumed in 0..=filled {
            let mut chain = pool.acquire_chain(2 * SIZE).unwrap();
            let mut model = vec![7; filled];
            chain.extend_from_slice(&model).unwrap();
            chain.consume(consumed);
            model.drain(..consumed);
            let spare = chain.spare_len();
            let error = chain.prepend(&[1; 4 + SIZE + 1]).unwrap_err();
            assert_eq!(error.requested, 4 + SIZE + 1);
            assert_eq!((&chain.to_vec(), chain.spare_len()), (&model, spare));
            let free = error.spare;
            assert!(free >= 4, "the pool's headroom is there: {free}");
            chain.prepend(&vec![1; free]).unwrap();
            assert!(chain.prepend(b"!").is_err());
            model.splice(..0, vec![1; free]);
            assert_eq!(chain, model, "{filled}, {consumed}");
            assert_eq!(chain.spare_len(), spare, "{filled}, {consumed}");
            let more = vec![9; spare];
            chain.extend_from_slice(&more).unwrap();
            assert_eq!(chain, [model, more].concat());
            chain.consume(usize::MAX);
            assert!(chain.is_empty());
        }
    }
    let mut none = PooledChain::default();
    assert!(none.prepend(b"").is_ok() && none.prepend(b"x").is_err());
}

#[test]
fn the_first_buffer_as_bytes_is_not_copied_and_a_few_bytes_keep_none() {
    let pool = BufferPool::new(SIZE, 0, 3).unwrap();
    let mut chain = pool.acquire_chain(3 * SIZE).unwrap();
    chain.extend_from_slice(b"01234567abcdefghABCD").unwrap();
    let address = chain.chunk().as_ptr();
    let first = chain.copy_to_bytes(SIZE);
    assert_eq!((first.as_ptr(), &first[..]), (address, &b"01234567"[..]));
    assert_eq!((chain.len(), chain.buffers(), pool.stats().in_use), (12, 2, 3));
    drop(first);
    assert_eq!(pool.stats().in_use, 2);

    // The last byte of a buffer is copied, or else it would keep it.
    chain.consume(SIZE - 1);
    let last = chain.copy_to_bytes(1);
    assert_eq!((&last[..], pool.stats().in_use), (&b"h"[..], 1));
    // And so is what is in the buffer that is written to, which stays.
    let rest = chain.copy_to_bytes(4);
    assert_eq!((&rest[..], chain.spare_len()), (&b"ABCD"[..], SIZE));
    assert!(catch_unwind(AssertUnwindSafe(|| chain.copy_to_bytes(1))).is_err());
}

#[test]
fn a_chain_reads_a_file_from_a_position_until_it_is_full_or_the_file_ends() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let (file, whole) = (File::open(path).unwrap(), fs::read(path).unwrap());
    let pool = BufferPool::new(SIZE, 0, 3).unwrap();
    let mut chain = pool.acquire_chain(3 * SIZE).unwrap();
    chain.extend_from_slice(b"kept").unwrap();
    for offset in [1, 5, 5 + SIZE as u64] {
        chain.read_at(&file, offset).unwrap();
    }
    assert_eq!(chain, [b"kept", &whole[1..3 * SIZE - 3]].concat());
    assert_eq!(chain.read_at(&file, 0).unwrap_err().kind(), io::ErrorKind::WriteZero);

    chain.clear();
    let end = whole.len() as u64;
    assert_eq!(chain.read_at(&file, end - 3).unwrap(), 3);
    assert_eq!(chain.read_at(&file, end).unwrap(), 0);
    assert_eq!(
        (&chain.to_vec()[..], chain.spare_len()),
        (&whole[whole.len() - 3..], 3 * SIZE - 3)
    );
}

#[test]
fn a_call_of_the_users_fills_all_buffers_at_once_and_is_held_to_what_it_reports() {
    let pool = BufferPool::with_config(PoolConfig::new(4).max(8).wipe(poolbuf::Wipe::Never)).unwrap();
    let stale: Vec<_> = (0..8).map(|_| pool.acquire().unwrap()).collect();
    for mut buf in stale {
        buf.resize(4, 7).unwrap();
    }
    for bytes in 0..=13 {
        let mut chain = pool.acquire_chain(12).unwrap();
        chain.extend_from_slice(b"x").unwrap();
        let mut given = 0;
        // SAFETY: it writes what it reports, from the first byte on.
        let filled = unsafe {
            chain.fill_with(|slices| {
                given = slices.iter().map(|slice| slice.len()).sum();
                let source: Vec<u8> = (1..=bytes).collect();
                let mut source = &source[..];
                assert_eq!(source.read_vectored(slices)?, bytes.min(11).into());
                Ok(bytes.into())
            })
        };
        assert_eq!(given, 11);
        if bytes > 11 {
            assert_eq!(filled.unwrap_err().kind(), ErrorKind::InvalidData);
            assert_eq!(chain, b"x");
            continue;
        }
        let expected: Vec<u8> = [b'x'].into_iter().chain(1..=bytes).collect();
        assert_eq!((filled.unwrap(), chain.len()), (bytes.into(), expected.len()));
        assert_eq!(chain, expected);
        // What it could have written and did not report is nobody's.
        chain.extend_from_slice(&vec![2; chain.spare_len()]).unwrap();
        assert!(chain.to_vec()[expected.len()..].iter().all(|byte| *byte == 2));
        // SAFETY: it is not called.
        let full = unsafe { chain.fill_with(|_| panic!("there is no room")) };
        assert_eq!(full.unwrap_err().kind(), ErrorKind::WriteZero);
    }
    assert_eq!(pool.stats().in_use, 0);
}
