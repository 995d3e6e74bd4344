//! Frames of a stream: how they are told apart, which buffers are held meanwhile, and what is never waited for. That
//! cuts make no difference is a property in `models/state-machine`.
#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::collections::VecDeque;
use std::error::Error;
use std::fmt;
use std::future::{self, Future};
use std::io::{self, ErrorKind, Write};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use poolbuf::frames::{CARRIED, Extent, FrameError, Frames, Framing, LengthPrefix, Lines, ReceiveError};
use poolbuf::{
    AcquireError, Budget, BufferPool, ConfigError, ConfigProblem, MultiSizeConfig, MultiSizePool, Pool, PoolConfig,
    PooledBuf,
};

fn pool(max: usize) -> BufferPool {
    BufferPool::new(1024, 0, max).unwrap()
}

/// A tier of `max` buffers for each of the sizes.
fn tiers(sizes: &[usize], max: usize) -> MultiSizePool {
    let tier = |config: MultiSizeConfig, size: &usize| config.tier(PoolConfig::new(*size).max(max));
    let config = sizes.iter().fold(MultiSizeConfig::new(), tier);
    MultiSizePool::with_config(config).unwrap()
}

/// Receives `bytes`, all of which fit.
fn receive<F: Framing>(frames: &mut Frames<F>, pool: &dyn Pool, bytes: &[u8]) {
    let buf = frames.acquire(pool).unwrap();
    buf.extend_from_slice(bytes).unwrap();
}

fn poll<T>(future: impl Future<Output = T>) -> Poll<T> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// What is ready at its first poll.
fn now<T>(future: impl Future<Output = T>) -> T {
    match poll(future) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("it waits"),
    }
}

#[test]
fn a_length_is_read_as_it_is_written() {
    let framings: [(LengthPrefix, &[u8], usize); 5] = [
        (LengthPrefix::u8(), &[0xF1], 0xF1),
        (LengthPrefix::u16_be(), &[0xF1, 0xF2], 0xF1F2),
        (LengthPrefix::u16_le(), &[0xF1, 0xF2], 0xF2F1),
        (LengthPrefix::u32_be(), &[0, 1, 2, 3], 0x01_0203),
        (LengthPrefix::u32_le(), &[1, 2, 3, 0], 0x03_0201),
    ];
    for (framing, bytes, payload) in framings {
        let header = bytes.len();
        let extent = |payload| Extent::new(header, payload, 0);
        for cut in 1..header {
            assert_eq!(framing.locate(&bytes[..cut], 0), Ok(None));
        }
        assert_eq!(framing.locate(bytes, 0), Ok(Some(extent(payload))));
        let inclusive = framing.including_itself();
        let without = extent(payload - header);
        assert_eq!(inclusive.locate(bytes, 0), Ok(Some(without)));

        assert_eq!(framing.max(payload).locate(bytes, 0), Ok(Some(extent(payload))));
        let max = payload - 1;
        let too_long = Err(FrameError::TooLong { payload, max });
        assert_eq!(framing.max(max).locate(bytes, 0), too_long);

        let zero = vec![0; header];
        assert_eq!(framing.locate(&zero, 0), Ok(Some(extent(0))));
        assert_eq!(framing.refuse_empty().locate(&zero, 0), Err(FrameError::Empty));
        let shorter = Err(FrameError::ShorterThanHeader { length: 0, header });
        assert_eq!(inclusive.locate(&zero, 0), shorter);
    }
    // Of a header alone, included in its length, nothing is left.
    let inclusive = LengthPrefix::u8().including_itself().refuse_empty();
    assert_eq!(inclusive.locate(&[1], 0), Err(FrameError::Empty));
    let longest = LengthPrefix::u32_be().locate(&[255; 4], 0).unwrap().unwrap();
    assert_eq!(longest.payload, u32::MAX as usize);
}

#[test]
fn a_line_is_as_long_as_is_allowed_and_no_longer() {
    let lines = Lines::new(3);
    let line = |payload, trailer| Ok(Some(Extent::new(0, payload, trailer)));
    let too_long = Err(FrameError::LineTooLong { max: 3 });
    let cases: [(&[u8], _); 12] = [
        (b"\n", line(0, 1)),
        (b"\r\n", line(0, 2)),
        (b"abc\n", line(3, 1)),
        (b"abc\r\nabcdef", line(3, 2)),
        (b"a\rb\n", line(3, 1)),
        (b"a\r\r\n", line(2, 2)),
        (b"abc", Ok(None)),
        // Perhaps the first half of its end.
        (b"abc\r", Ok(None)),
        (b"abc\rd", too_long),
        (b"abcd", too_long),
        (b"abcd\n", too_long),
        (b"abc\r\r\n", too_long),
    ];
    for (bytes, expected) in cases {
        assert_eq!(lines.locate(bytes, 0), expected, "{bytes:?}");
        for seen in 0..bytes.len() {
            let seen_no_end = !bytes[..seen].contains(&b'\n');
            if seen_no_end && lines.locate(&bytes[..seen], 0).is_ok() {
                assert_eq!(lines.locate(bytes, seen), expected, "{bytes:?} from {seen}");
            }
        }
    }
}

#[test]
fn a_client_that_sends_a_byte_and_waits_holds_no_buffer() {
    let pool = pool(1);
    let framing = LengthPrefix::u16_be().max(1000);
    let mut slow: Vec<_> = (0..300).map(|_| Frames::new(&framing)).collect();
    for frames in &mut slow {
        receive(frames, &pool, &[0]);
        assert_eq!(frames.next_frame().unwrap(), None);
        assert_eq!((frames.rest(), frames.expected()), (&[0][..], None));
    }
    assert_eq!(pool.stats().in_use, 0);
    let mut good = Frames::new(&framing);
    receive(&mut good, &pool, b"\0\x04good");
    assert_eq!(good.next_frame().unwrap(), Some(&b"good"[..]));
    assert_eq!(good.next_frame().unwrap(), None);
    for frames in &mut slow {
        receive(frames, &pool, b"\x04slow");
        assert_eq!(frames.next_frame().unwrap(), Some(&b"slow"[..]));
        assert_eq!(frames.next_frame().unwrap(), None);
    }
    assert_eq!(pool.stats().high_water, 1);
}

#[test]
fn what_is_kept_in_the_buffer_stays_there_until_its_frame_is_whole() {
    let pool = pool(2);
    let mut frames = Frames::new(LengthPrefix::u8()).in_buffer();
    receive(&mut frames, &pool, b"\x02ok\x05");
    let first = frames.next_frame().unwrap().unwrap().as_ptr();
    assert_eq!((frames.next_frame().unwrap(), pool.stats().in_use), (None, 1));
    // The same buffer, compacted.
    receive(&mut frames, &pool, b"hello");
    let second = frames.next_frame().unwrap().unwrap().as_ptr();
    assert_eq!((first, pool.stats().acquired), (second, 1));
    assert_eq!((frames.next_frame().unwrap(), pool.stats().in_use), (None, 0));
}

#[test]
fn a_frame_gets_a_buffer_of_its_size() {
    let pool = tiers(&[16, 64, 1024], 1);
    let mut frames = Frames::new(LengthPrefix::u16_be()).first(4);
    let buf = frames.acquire(&pool).unwrap();
    assert_eq!(buf.capacity(), 16);
    buf.extend_from_slice(b"\0\x14hello").unwrap();
    assert_eq!(frames.next_frame().unwrap(), None);
    assert_eq!((frames.rest(), frames.expected()), (&b"\0\x14hello"[..], Some(22)));
    let buf = frames.acquire(&pool).unwrap();
    assert_eq!((&buf[..], buf.capacity()), (&b"\0\x14hello"[..], 64));
    // Nothing is known of what follows: as at first.
    buf.extend_from_slice(b", world, and mo\0").unwrap();
    let frame = frames.next_frame().unwrap().unwrap();
    assert_eq!(frame, b"hello, world, and mo");
    assert_eq!(frames.next_frame().unwrap(), None);
    let buf = frames.acquire(&pool).unwrap();
    assert_eq!((&buf[..], buf.capacity()), (&b"\0"[..], 16));
}

#[test]
fn a_frame_longer_than_any_buffer_is_refused_with_the_numbers() {
    let pool = BufferPool::with_config(PoolConfig::new(1024).max(1).name("recv")).unwrap();
    let mut frames = Frames::new(LengthPrefix::u16_be());
    receive(&mut frames, &pool, b"\x04\x00hello");
    assert_eq!(frames.next_frame().unwrap(), None);
    let error = frames.acquire(&pool).unwrap_err();
    let too_large = AcquireError::TooLarge {
        pool: "recv".into(),
        requested: 1026,
        max: 1024,
    };
    assert_eq!(error, too_large);
    assert_eq!(frames.rest(), b"\x04\x00hello");

    // A line that has filled its buffer.
    let mut lines = Frames::new(Lines::new(10_000));
    receive(&mut lines, &pool, &[b'x'; 1024]);
    assert_eq!(lines.next_frame().unwrap(), None);
    let error = lines.acquire_timeout(&pool, Duration::MAX).unwrap_err();
    assert!(matches!(
        error,
        AcquireError::TooLarge {
            requested: 1025,
            max: 1024,
            ..
        }
    ));
    assert_eq!(lines.rest().len(), 1024);
}

/// Frames that have more in the smaller of two buffers than is carried, of one that needs the larger.
fn outgrowing(pool: &dyn Pool) -> Frames<LengthPrefix> {
    let mut frames = Frames::new(LengthPrefix::u16_be()).first(200);
    receive(&mut frames, pool, b"\x03\x00");
    let buf = frames.acquire(pool).unwrap();
    assert_eq!(buf.capacity(), 200);
    buf.resize(CARRIED + 1, b'x').unwrap();
    assert_eq!(frames.next_frame().unwrap(), None);
    assert_eq!(frames.expected(), Some(770));
    frames
}

#[test]
fn no_buffer_is_waited_for_while_one_is_held() {
    let pool = tiers(&[200, 1024], 1);
    let large = pool.acquire().unwrap();
    let mut frames = outgrowing(&pool);
    let refused = |error| assert!(matches!(error, AcquireError::Exhausted { in_use: 1, max: 1, .. }));
    refused(frames.acquire(&pool).unwrap_err());
    refused(frames.acquire_timeout(&pool, Duration::MAX).unwrap_err());
    refused(now(frames.acquire_async(&pool)).unwrap_err());
    assert_eq!((pool.stats().waits, frames.rest().len()), (0, CARRIED + 1));

    drop(large);
    assert_eq!(now(frames.acquire_async(&pool)).unwrap().capacity(), 1024);
    receive(&mut frames, &pool, &[b'y'; 770]);
    let frame = frames.next_frame().unwrap().unwrap();
    let xs = frame.iter().take_while(|&&byte| byte == b'x').count();
    assert_eq!((frame.len(), xs), (768, CARRIED - 1));
    assert_eq!(frames.rest().len(), CARRIED + 1);
}

#[test]
fn no_bytes_of_a_budget_are_waited_for_while_some_are_held() {
    let budget = Budget::new(1200);
    let tier = |size| PoolConfig::new(size).max(4).budget(&budget);
    let config = MultiSizeConfig::new().tier(tier(200)).tier(tier(1024));
    let pool = MultiSizePool::with_config(config).unwrap();
    let mut frames = outgrowing(&pool);
    let error = frames.acquire_timeout(&pool, Duration::MAX).unwrap_err();
    assert!(matches!(error, AcquireError::OverBudget { lent: 200, .. }), "{error}");
}

#[test]
fn a_request_that_is_dropped_loses_nothing() {
    let pool = pool(1);
    let mut frames = Frames::new(LengthPrefix::u8());
    receive(&mut frames, &pool, b"\x05he");
    assert_eq!(frames.next_frame().unwrap(), None);

    let only = pool.acquire().unwrap();
    {
        let mut request = pin!(frames.acquire_async(&pool));
        let mut context = Context::from_waker(Waker::noop());
        assert!(request.as_mut().poll(&mut context).is_pending());
        assert_eq!(pool.stats().waiting, 1);
        // Handed over, and not fetched.
        drop(only);
    }
    assert_eq!((frames.rest(), pool.stats().in_use), (&b"\x05he"[..], 0));
    let only = pool.acquire().unwrap();
    {
        let mut request = pin!(frames.acquire_async(&pool));
        let mut context = Context::from_waker(Waker::noop());
        assert!(request.as_mut().poll(&mut context).is_pending());
        drop(only);
        let Poll::Ready(buf) = request.as_mut().poll(&mut context) else {
            panic!("it was handed over");
        };
        buf.unwrap().extend_from_slice(b"llo").unwrap();
    }
    assert_eq!(frames.next_frame().unwrap(), Some(&b"hello"[..]));

    // Never polled.
    receive(&mut frames, &pool, b"\x02o");
    drop(frames.acquire_async(&pool));
    receive(&mut frames, &pool, b"k");
    assert_eq!(frames.next_frame().unwrap(), Some(&b"ok"[..]));
}

#[test]
fn a_frame_that_is_handed_on_is_copied_only_if_there_is_much_behind_it() {
    let pool = pool(2);
    let mut frames = Frames::new(LengthPrefix::u8());
    let begins = |frames: &mut Frames<LengthPrefix>, bytes: &[u8]| {
        let buf = frames.acquire(&pool).unwrap();
        buf.extend_from_slice(bytes).unwrap();
        buf.as_ptr()
    };

    // The last one in its buffer, and one with a short rest behind it.
    for stream in [&b"\x05hello"[..], b"\x05hello\x05wor"] {
        let start = begins(&mut frames, stream);
        let frame = frames.next_owned(&pool).unwrap().unwrap();
        assert_eq!((frame.as_ptr(), &frame[..]), (start.wrapping_add(1), &b"hello"[..]));
        assert_eq!(pool.stats().in_use, 1);
    }
    // What is carried is a frame by then.
    begins(&mut frames, b"ld");
    assert_eq!(frames.next_owned(&pool).unwrap().unwrap(), b"world");
    assert!(frames.next_owned(&pool).unwrap().is_none());

    // With a rest that is shorter: that moves. With one that is longer: the frame is copied.
    let mut stream = vec![200; 202];
    stream.resize(201 + 150, 200);
    let start = begins(&mut frames, &stream);
    let frame = frames.next_owned(&pool).unwrap().unwrap();
    assert_eq!((frame.as_ptr(), frame.len()), (start.wrapping_add(1), 200));
    drop(frame);
    receive(&mut frames, &pool, &[200; 51 + 201]);
    let frame = frames.next_owned(&pool).unwrap().unwrap();
    let rest = frames.rest().as_ptr();
    assert_eq!((frame.len(), frames.rest().len()), (200, 201));
    assert_ne!(frame.as_ptr(), rest.wrapping_sub(200));

    // Both are out: nothing is lost by that.
    let mut other = Frames::new(LengthPrefix::u8());
    drop(frame);
    receive(&mut other, &pool, &[200; 400]);
    let refused = other.next_owned(&pool).unwrap_err();
    assert!(matches!(refused, ReceiveError::Acquire(AcquireError::Exhausted { .. })));
    drop(frames);
    assert_eq!(other.next_owned(&pool).unwrap().unwrap(), [200; 200]);
    assert_eq!(other.rest(), [200; 199]);
}

#[test]
fn a_frame_that_is_carried_whole_is_handed_on_as_well() {
    let pool = pool(2);
    let mut frames = Frames::new(LengthPrefix::u8());
    receive(&mut frames, &pool, b"\x03one\x03two\x05three\x04fo");
    let one = frames.next_owned(&pool).unwrap().unwrap();
    assert_eq!((&one[..], pool.stats().in_use), (&b"one"[..], 1));
    let two = frames.next_owned(&pool).unwrap().unwrap();
    assert_eq!((&two[..], pool.stats().in_use), (&b"two"[..], 2));
    let refused = frames.next_owned(&pool).unwrap_err();
    assert!(matches!(refused, ReceiveError::Acquire(AcquireError::Exhausted { .. })));
    assert_eq!(frames.next_frame().unwrap(), Some(&b"three"[..]));
    assert!(frames.next_owned(&pool).unwrap().is_none());
    assert_eq!(frames.rest(), b"\x04fo");
}

#[test]
fn a_buffer_is_put_only_where_nothing_is_held() {
    let pool = pool(4);
    let holding = |bytes: &[u8]| {
        let mut buf = pool.acquire().unwrap();
        buf.extend_from_slice(bytes).unwrap();
        buf
    };
    let mut frames = Frames::new(LengthPrefix::u8());
    assert!(frames.take().is_none());
    frames.put(holding(b"\x01a\x01")).unwrap();
    assert_eq!(frames.put(holding(b"b")).unwrap_err(), b"b");
    assert_eq!(frames.next_frame().unwrap(), Some(&b"a"[..]));
    assert_eq!(frames.next_frame().unwrap(), None);
    // Carried: there is no buffer to be taken, and none to be put in its place.
    assert!(frames.take().is_none());
    assert_eq!(frames.put(holding(b"b")).unwrap_err(), b"b");
    frames.acquire(&pool).unwrap();
    let mut buf = frames.take().unwrap();
    assert_eq!((&buf[..], frames.rest()), (&[1][..], &b""[..]));
    buf.extend_from_slice(b"b").unwrap();
    frames.put(buf).unwrap();
    assert_eq!(frames.next_frame().unwrap(), Some(&b"b"[..]));
    // All of it is given out.
    assert_eq!(frames.take().unwrap(), b"");
    frames.put(holding(b"\x01c")).unwrap();
    assert_eq!(frames.next_frame().unwrap(), Some(&b"c"[..]));
}

/// A socket that does what it is told to.
struct Socket(RefCell<VecDeque<Told>>);

#[derive(Clone, Copy)]
enum Told {
    NotReady,
    Fails(ErrorKind),
    Brings(&'static [u8]),
}

impl Socket {
    fn of(told: &[Told]) -> Socket {
        Socket(RefCell::new(told.iter().copied().collect()))
    }

    /// Ready, or never.
    fn readable(&self) -> impl Future<Output = io::Result<()>> + use<> {
        let mut told = self.0.borrow_mut();
        let ready = !matches!(told.front(), Some(Told::NotReady));
        if !ready {
            told.pop_front();
        }
        future::poll_fn(move |_| if ready { Poll::Ready(Ok(())) } else { Poll::Pending })
    }

    fn read(&self, buf: &mut PooledBuf) -> io::Result<usize> {
        match self.0.borrow_mut().pop_front() {
            Some(Told::Brings(bytes)) => buf.write(bytes),
            Some(Told::Fails(kind)) => Err(kind.into()),
            Some(Told::NotReady) => Err(ErrorKind::WouldBlock.into()),
            None => Ok(0),
        }
    }

    /// What is received from it, if it need not be waited for.
    fn receive<'a>(
        &self,
        frames: &'a mut Frames<LengthPrefix>,
        pool: &'a dyn Pool,
    ) -> Poll<Result<Option<&'a [u8]>, ReceiveError<FrameError>>> {
        poll(frames.receive(pool, || self.readable(), |buf| self.read(buf)))
    }
}

#[test]
fn frames_are_received_as_they_come() {
    use Told::*;
    let pool = pool(1);
    let mut frames = Frames::new(LengthPrefix::u8());
    let socket = Socket::of(&[
        Brings(b"\x05he"),
        NotReady,
        Fails(ErrorKind::WouldBlock),
        Fails(ErrorKind::Interrupted),
        NotReady,
        Brings(b"llo\x03one\x03tw"),
        Fails(ErrorKind::ConnectionReset),
        Brings(b"o"),
    ]);
    // Dropped while it waits: no buffer is held, and nothing is lost.
    for _ in 0..2 {
        assert!(socket.receive(&mut frames, &pool).is_pending());
        assert_eq!((frames.rest(), pool.stats().in_use), (&b"\x05he"[..], 0));
    }
    for expected in ["hello", "one"] {
        let Poll::Ready(Ok(Some(frame))) = socket.receive(&mut frames, &pool) else {
            panic!("no frame");
        };
        assert_eq!(frame, expected.as_bytes());
    }
    let Poll::Ready(Err(ReceiveError::Io(error))) = socket.receive(&mut frames, &pool) else {
        panic!("no error");
    };
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    let Poll::Ready(Ok(Some(b"two"))) = socket.receive(&mut frames, &pool) else {
        panic!("no frame");
    };
    assert!(matches!(socket.receive(&mut frames, &pool), Poll::Ready(Ok(None))));
}

#[test]
fn all_that_ends_a_stream_is_an_error_of_its_own() {
    let pool = pool(1);
    let ends_with = |told: &[Told]| {
        let mut frames = Frames::new(LengthPrefix::u8().max(5));
        match Socket::of(told).receive(&mut frames, &pool) {
            Poll::Ready(Err(error)) => error,
            _ => panic!("no error"),
        }
    };
    let kind = |error| io::Error::from(error).kind();

    let error = ends_with(&[Told::Brings(b"\x05hell")]);
    assert_eq!(error.to_string(), "the stream ended in mid-frame, after 5 of 6 bytes");
    assert!(matches!(error, ReceiveError::Cut(cut) if cut.received == 5));
    assert_eq!(kind(error), ErrorKind::UnexpectedEof);

    let error = ends_with(&[Told::Brings(b"\x06")]);
    assert_eq!(error.to_string(), "a frame of 6 bytes, more than the limit of 5");
    assert_eq!(kind(error), ErrorKind::InvalidData);

    let error = ends_with(&[Told::Fails(ErrorKind::ConnectionReset)]);
    assert_eq!(kind(error), ErrorKind::ConnectionReset);

    pool.close();
    let error = ends_with(&[]);
    assert!(matches!(error, ReceiveError::Acquire(AcquireError::Closed { .. })));
}

#[test]
fn a_buffer_is_held_in_the_name_of_the_line_that_receives() {
    let config = PoolConfig::new(1024).max(1).track_holders(true);
    let pool = BufferPool::with_config(config).unwrap();
    // Each returns the line that acquires.
    let check = |acquire: &dyn Fn(&mut Frames<LengthPrefix>) -> u32| {
        let mut frames = Frames::new(LengthPrefix::u8());
        let line = acquire(&mut frames);
        let holders = pool.holders();
        let holder = holders.lines()[0].location();
        assert_eq!((holder.file(), holder.line()), (file!(), line));
    };
    check(&|frames| {
        frames.acquire(&pool).unwrap();
        line!() - 1
    });
    check(&|frames| {
        frames.acquire_timeout(&pool, Duration::MAX).unwrap();
        line!() - 1
    });
    check(&|frames| {
        let acquired = frames.acquire_async(&pool);
        now(acquired).unwrap();
        line!() - 2
    });
    check(&|frames| {
        let readable = || future::ready(Ok(()));
        let read = |buf: &mut PooledBuf| buf.write(b"\x01a\x01");
        let received = frames.receive(&pool, readable, read);
        assert_eq!(now(received).unwrap(), Some(&b"a"[..]));
        line!() - 2
    });
}

/// A task of any runtime can hold frames and await them.
#[test]
fn frames_cross_threads() {
    fn crosses<T: Send>(value: T) -> T {
        value
    }
    let pool: Box<dyn Pool> = Box::new(pool(1));
    let mut frames = crosses(Frames::new(LengthPrefix::u8()));
    drop(crosses(frames.acquire_async(&*pool)));
    let read = |_: &mut PooledBuf| Ok(0);
    let received = crosses(frames.receive(&*pool, || future::ready(Ok(())), read));
    assert_eq!(now(received).unwrap(), None);
    assert_eq!(format!("{frames:?}"), "Frames { rest: 0, expected: None, .. }");
}

/// As reporters print an error: its message, and those of its sources.
fn messages(error: &dyn Error) -> Vec<String> {
    let mut next = Some(error);
    let sources = std::iter::from_fn(|| {
        let error = next?;
        next = error.source();
        Some(error.to_string())
    });
    sources.collect()
}

/// An error of a socket that another one caused.
#[derive(Debug)]
struct Reset(io::Error);

impl fmt::Display for Reset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the session ended")
    }
}

impl Error for Reset {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

/// Whatever an error carries is either in its message or a source of it, and not both.
#[test]
fn a_report_of_an_error_and_its_sources_says_all_and_nothing_twice() {
    type Received = ReceiveError<FrameError>;
    let reset = || io::Error::other(Reset(ErrorKind::ConnectionReset.into()));
    let with_cause = ["the session ended", "connection reset"];
    assert_eq!(messages(&Received::Io(reset())), with_cause);
    let converted = io::Error::from(Received::Io(reset()));
    assert_eq!(messages(&converted), with_cause);

    let full = pool(1);
    let _held = full.acquire().unwrap();
    let exhausted = || full.acquire().unwrap_err();
    let late = || full.acquire_timeout(1, Duration::ZERO).unwrap_err();
    let cut = || {
        let mut frames = Frames::new(LengthPrefix::u8());
        let buf = frames.acquire(&pool(1)).unwrap();
        buf.extend_from_slice(b"\x05he").unwrap();
        frames.next_frame().unwrap();
        frames.end().unwrap_err()
    };
    let config = ConfigError::new("recv", ConfigProblem::NoTiers);
    let whole: [(Box<dyn Error>, &str); 9] = [
        (Box::new(Received::Acquire(exhausted())), "1 of 1"),
        (Box::new(Received::Acquire(late())), "1 of 1"),
        (Box::new(Received::Cut(cut())), "3 of 6 bytes"),
        (Box::new(Received::Frame(FrameError::Empty)), "0 bytes"),
        (Box::new(late()), "1 of 1"),
        (Box::new(io::Error::from(late())), "1 of 1"),
        (Box::new(cut()), "3 of 6 bytes"),
        (Box::new(config.problem), "no tier"),
        (Box::new(config), "recv: it has no tier"),
    ];
    for (error, says) in whole {
        let messages = messages(&*error);
        assert!(messages.len() == 1 && messages[0].contains(says), "{messages:?}");
    }
}
