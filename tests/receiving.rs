//! What a receive costs and exposes: what was received.

use std::collections::VecDeque;
use std::io::{self, BufReader, Cursor, ErrorKind, IoSliceMut, Read, Seek, Write};
use std::mem::MaybeUninit;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Mutex;
use std::{slice, thread};

use bytes::BufMut;
use poolbuf::{
    AlignedPool, BufferPool, LockFreePool, MemoryRegion, MultiSizeConfig, MultiSizePool, Pool, PoolConfig, PooledBuf,
    PooledChain, Recycle, Recycler, TrustedRead, TrustedRecv, Wipe,
};

/// What compio calls, by names of its own: its traits have methods that others have too.
mod driver {
    use std::mem::MaybeUninit;

    use compio::buf::{IoBufMut, SetLen};
    use poolbuf::PooledBuf;

    pub(super) fn uninit(buf: &mut PooledBuf) -> &mut [MaybeUninit<u8>] {
        buf.as_uninit()
    }

    pub(super) fn write(buf: &mut PooledBuf, at: usize, bytes: &[u8]) {
        for (place, byte) in buf.as_uninit()[at..].iter_mut().zip(bytes) {
            place.write(*byte);
        }
    }

    /// That the first `len` bytes are written, as they must be.
    pub(super) fn set_len(buf: &mut PooledBuf, len: usize) {
        // SAFETY: as the callers promise, which are all in this file.
        unsafe { SetLen::set_len(buf, len) };
    }

    /// The same, as a read does.
    pub(super) fn advance_to(buf: &mut PooledBuf, len: usize) {
        // SAFETY: as above.
        unsafe { buf.advance_to(len) };
    }
}

const SIZE: usize = 1000;
const HEADROOM: usize = 16;
/// What earlier holders left.
const STALE: u8 = 0x5E;

/// Keeps what came back, and how much of it counted as dirty.
#[derive(Default)]
struct Back(Mutex<Vec<(Box<[u8]>, usize)>>);

impl Recycle for Back {
    fn recycle(&self, memory: Box<[u8]>, dirty: usize) {
        self.0.lock().unwrap().push((memory, dirty));
    }
}

/// Lends memory full of `STALE`, of which the first `stale` bytes count as dirty, to `holder`; returns the memory,
/// and what counts afterwards.
fn lent(stale: usize, holder: impl FnOnce(&mut PooledBuf)) -> (Box<[u8]>, usize) {
    let recycler = Recycler::new(Back::default());
    let mut buf = recycler.lend(vec![STALE; SIZE].into(), stale).unwrap();
    // A holder may panic with `()`, and its guard is dropped by that.
    match catch_unwind(AssertUnwindSafe(move || holder(&mut buf))) {
        Err(panic) if !panic.is::<()>() => resume_unwind(panic),
        _ => {}
    }
    let mut back = recycler.get_ref().0.lock().unwrap();
    back.pop().expect("it has come back")
}

fn dirty_by(holder: impl FnOnce(&mut PooledBuf)) -> usize {
    lent(0, holder).1
}

type Ends = fn(&[u8]) -> io::Result<usize>;

/// Writes `writes` bytes, and then does what `ends` says.
struct Scripted {
    writes: usize,
    ends: Ends,
}

impl Read for Scripted {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        buf[..self.writes].fill(7);
        (self.ends)(buf)
    }
}

// SAFETY: it writes 40 bytes, and says so, or fails in a way that allows for them; or it writes none.
unsafe impl TrustedRead for Scripted {}

type Receive = fn(&mut PooledBuf, Scripted) -> io::Result<usize>;

fn receives() -> [(&'static str, Receive); 3] {
    [
        ("read_from", |buf, mut reader| buf.read_from(&mut reader)),
        ("a wrapper", |buf, mut reader| {
            buf.read_from(&mut Box::new((&mut reader).take(u64::MAX)))
        }),
        // SAFETY: the reader is marked, so does what is asked for; the memory is initialised.
        ("fill_with", |buf, mut reader| unsafe {
            buf.fill_with(|spare| {
                let start = spare.as_mut_ptr().cast();
                reader.read(slice::from_raw_parts_mut(start, spare.len()))
            })
        }),
    ]
}

#[test]
fn a_receive_zeroes_nothing_and_exposes_what_came() {
    for (name, receive) in receives() {
        let (memory, dirty) = lent(SIZE, |buf| {
            let reader = Scripted {
                writes: 40,
                ends: |_| Ok(40),
            };
            assert_eq!(receive(buf, reader).unwrap(), 40);
            assert_eq!(buf[..], [7; 40]);
        });
        assert!(memory[40..].iter().all(|byte| *byte == STALE), "{name}");
        assert_eq!(dirty, SIZE, "what earlier holders left still counts");
        let ends: [(usize, Ends, usize); 9] = [
            (40, |_| Ok(40), 40),
            (0, |_| Ok(0), 0),
            (0, |_| Err(ErrorKind::WouldBlock.into()), 0),
            (0, |_| Err(ErrorKind::ConnectionReset.into()), 0),
            // Any byte may have been written.
            (40, |_| Err(ErrorKind::Other.into()), SIZE),
            (40, |_| Err(ErrorKind::TimedOut.into()), SIZE),
            (40, |_| Err(io::Error::from_raw_os_error(5)), SIZE),
            (40, |_| resume_unwind(Box::new(())), SIZE),
            (40, |buf| Ok(buf.len() + 1), SIZE),
        ];
        for (number, (writes, ends, expected)) in ends.into_iter().enumerate() {
            let dirty = dirty_by(|buf| {
                let _ = receive(buf, Scripted { writes, ends });
                assert!(expected != SIZE || buf.is_empty());
            });
            assert_eq!(dirty, expected, "{name}, {number}");
            // What was received before and afterwards counts besides.
            let dirty = dirty_by(|buf| {
                buf.extend_from_slice(b"abc").unwrap();
                let caught = catch_unwind(AssertUnwindSafe(|| receive(buf, Scripted { writes, ends })));
                drop(caught);
                buf.extend_from_slice(b"de").unwrap();
                assert!(buf.starts_with(b"abc") && buf.ends_with(b"de"));
            });
            let more = if expected == SIZE { 0 } else { 5 };
            assert_eq!(dirty, expected + more, "{name}, {number}");
        }
    }
}

/// Bytes in calls that fill several slices, or a failure.
struct Scattered(io::Result<&'static [u8]>);

impl Read for Scattered {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.read_vectored(&mut [IoSliceMut::new(buf)])
    }

    fn read_vectored(&mut self, slices: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        match &mut self.0 {
            Ok(bytes) => bytes.read_vectored(slices),
            Err(error) => Err(error.kind().into()),
        }
    }
}

// SAFETY: copies what it returns from a slice, or writes none.
unsafe impl TrustedRead for Scattered {}

#[test]
fn a_chain_is_received_into_as_one_guard_is() {
    static BYTES: [u8; 2 * SIZE] = [7; 2 * SIZE];
    let some = |bytes| Scattered(Ok(&BYTES[..bytes]));
    let fails = |kind: ErrorKind| Scattered(Err(kind.into()));
    // How many bytes of each of three buffers count afterwards, of which the first had three bytes.
    let cases = [
        (some(0), [3, 0, 0]),
        (some(40), [43, 0, 0]),
        (some(SIZE - 3), [SIZE, 0, 0]),
        (some(SIZE + 2), [SIZE, 5, 0]),
        (some(2 * SIZE), [SIZE, SIZE, 3]),
        (fails(ErrorKind::WouldBlock), [3, 0, 0]),
        (fails(ErrorKind::Other), [SIZE; 3]),
    ];
    for (mut reader, expected) in cases {
        let recycler = Recycler::new(Back::default());
        let lend = |_| recycler.lend(vec![STALE; SIZE].into(), 0).unwrap();
        let mut chain: PooledChain = (0..3).map(lend).collect();
        chain.extend_from_slice(b"abc").unwrap();
        let received = chain.read_from(&mut reader).unwrap_or(0);
        assert_eq!(
            (chain.len(), chain.spare_len()),
            (3 + received, 3 * SIZE - 3 - received)
        );
        assert_eq!(chain.to_vec()[3..], BYTES[..received]);
        chain.extend_from_slice(b"d").unwrap();
        assert_eq!(chain.to_vec().last(), Some(&b'd'));
        chain.truncate(3 + received);
        let into: Vec<_> = chain.into_iter().collect();
        for buf in into {
            drop(buf);
        }
        let back = recycler.get_ref().0.lock().unwrap();
        let mut written = 3 + received + 1;
        for ((memory, dirty), expected) in back.iter().zip(expected) {
            let here = written.min(SIZE);
            written -= here;
            assert_eq!(*dirty, expected.max(here), "after {received}");
            assert!(memory[here..].iter().all(|byte| *byte == STALE));
        }
    }
}

#[test]
fn what_is_claimed_beyond_the_room_is_an_error() {
    for (name, receive) in receives() {
        lent(0, |buf| {
            buf.extend_from_slice(b"abc").unwrap();
            for claimed in [SIZE - 2, usize::MAX] {
                // A function pointer takes nothing along.
                let ends: fn(&[u8]) -> _ = match claimed {
                    usize::MAX => |_| Ok(usize::MAX),
                    _ => |_| Ok(SIZE - 2),
                };
                let error = receive(buf, Scripted { writes: 0, ends }).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::InvalidData, "{name}");
                assert_eq!(buf, b"abc");
            }
        });
    }
}

#[test]
fn a_full_buffer_is_an_error_and_the_reader_is_not_asked() {
    for (name, receive) in receives() {
        lent(0, |buf| {
            buf.resize(SIZE, 1).unwrap();
            let untouched = Scripted {
                writes: 0,
                ends: |_| unreachable!("the buffer is full"),
            };
            let error = receive(buf, untouched).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::WriteZero, "{name}");
            buf.consume(30);
            let untouched = Scripted {
                writes: 0,
                ends: |_| unreachable!("the buffer is full"),
            };
            assert!(receive(buf, untouched).is_err());
            buf.compact();
            let reader = Scripted {
                writes: 30,
                ends: |buf| Ok(buf.len()),
            };
            assert_eq!(receive(buf, reader).unwrap(), 30);
            assert!(buf.ends_with(&[7; 30]));
        });
    }
}

#[test]
fn an_interrupted_read_is_tried_again_and_a_system_call_of_ones_own_is_not() {
    struct Interrupted(u32);
    impl Read for Interrupted {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            if self.0 > 0 {
                self.0 -= 1;
                return Err(ErrorKind::Interrupted.into());
            }
            buf[0] = 7;
            Ok(1)
        }
    }
    // SAFETY: writes the byte that it reports, or none.
    unsafe impl TrustedRead for Interrupted {}

    let dirty = dirty_by(|buf| {
        assert_eq!(buf.read_from(&mut Interrupted(3)).unwrap(), 1);
        assert_eq!(buf.read_from_any(&mut &b"x"[..]).unwrap(), 1);
        // SAFETY: writes nothing.
        let error = unsafe { buf.fill_with(|_| Err(ErrorKind::Interrupted.into())) };
        assert_eq!(error.unwrap_err().kind(), ErrorKind::Interrupted);
        assert_eq!(buf, b"\x07x");
    });
    assert_eq!(dirty, SIZE, "any reader is handed all");
    assert_eq!(dirty_by(|buf| drop(buf.read_from(&mut Interrupted(3)))), 1);
}

#[test]
fn what_is_handed_out_counts_until_it_is_reported() {
    type Holder = fn(&mut PooledBuf);
    fn written(buf: &mut PooledBuf, bytes: usize) {
        // SAFETY: bytes only.
        let spare = unsafe { buf.spare_capacity_mut() };
        spare[..bytes].fill(MaybeUninit::new(7));
    }
    fn report(buf: &mut PooledBuf, bytes: usize) {
        // SAFETY: the callers have written them.
        unsafe { buf.set_len(buf.len() + bytes) };
    }
    let holders: [(Holder, usize); 22] = [
        (|buf| written(buf, 0), SIZE),
        (|buf| written(buf, 40), SIZE),
        (
            |buf| {
                written(buf, 40);
                report(buf, 40);
            },
            40,
        ),
        (
            |buf| {
                written(buf, 40);
                report(buf, 40);
                written(buf, 20);
                report(buf, 20);
            },
            60,
        ),
        // The second one is not reported.
        (
            |buf| {
                written(buf, 40);
                report(buf, 40);
                written(buf, 20);
            },
            SIZE,
        ),
        // A receive that would have blocked, and one that came.
        (
            |buf| {
                written(buf, 0);
                written(buf, 40);
                report(buf, 40);
            },
            40,
        ),
        // More than is kept.
        (
            |buf| {
                written(buf, 40);
                report(buf, 40);
                buf.truncate(3);
            },
            40,
        ),
        (
            |buf| {
                buf.chunk_mut()[..40].copy_from_slice(&[7; 40]);
            },
            SIZE,
        ),
        // Safe code may have written more than is reported.
        (
            |buf| {
                buf.chunk_mut()[..40].copy_from_slice(&[7; 40]);
                // SAFETY: just written.
                unsafe { buf.advance_mut(40) };
            },
            SIZE,
        ),
        (
            |buf| {
                buf.chunk_mut();
                // SAFETY: none.
                unsafe { buf.advance_mut(0) };
            },
            SIZE,
        ),
        // None of these says anything of what was handed out.
        (
            |buf| {
                buf.chunk_mut()[30..40].copy_from_slice(&[7; 10]);
                buf.put_slice(b"a");
                buf.put_u32(7);
                buf.put_bytes(1, 3);
                buf.put(&b"xyz"[..]);
                assert!(buf.ends_with(b"a\0\0\0\x07\x01\x01\x01xyz"));
            },
            SIZE,
        ),
        (
            |buf| {
                buf.chunk_mut()[30..40].copy_from_slice(&[7; 10]);
                buf.read_from(&mut &b"abc"[..]).unwrap();
                // SAFETY: writes what it reports: nothing.
                unsafe { buf.fill_with(|_| Ok(0)).unwrap() };
            },
            SIZE,
        ),
        (
            |buf| {
                buf.chunk_mut()[30..40].copy_from_slice(&[7; 10]);
                buf.extend_from_slice(&[1; 20]).unwrap();
                buf.commit(3).unwrap();
                buf.consume(5);
                buf.prepend(b"ab").unwrap();
                buf.compact();
                buf.clear();
            },
            SIZE,
        ),
        // Bytes that the holder's own calls write do not count beyond what they are.
        (
            |buf| {
                buf.put_slice(&[1; 9]);
                buf.put_bytes(1, 1);
                buf.put(&b"xyz"[..]);
            },
            13,
        ),
        // The same for compio.
        (|buf| driver::write(buf, 40, &[7]), SIZE),
        (
            |buf| {
                driver::write(buf, 0, &[7; 40]);
                driver::set_len(buf, 40);
            },
            40,
        ),
        (
            |buf| {
                driver::uninit(buf);
                // So a read says that nothing came.
                driver::advance_to(buf, 0);
            },
            0,
        ),
        (
            |buf| {
                driver::write(buf, 40, &[7]);
                compio::buf::SetLen::clear(buf);
            },
            SIZE,
        ),
        (
            |buf| {
                driver::write(buf, 40, &[7]);
                compio::buf::IoBufMut::extend_from_slice(buf, b"abc").unwrap();
                assert!(compio::buf::IoBufMut::extend_from_slice(buf, &[0; SIZE]).is_err());
            },
            SIZE,
        ),
        (
            |buf| {
                let capacity = buf.len() + buf.spare_len();
                assert_eq!(compio::buf::IoBufMut::buf_capacity(buf), capacity);
            },
            0,
        ),
        (
            |buf| {
                let len = buf.len();
                assert_eq!(compio::buf::IoBufMut::as_mut_slice(buf).len(), len);
            },
            0,
        ),
        (
            |buf| {
                driver::uninit(buf);
                buf.read_from(&mut &b"abc"[..]).unwrap();
            },
            SIZE,
        ),
    ];
    for (number, (holder, expected)) in holders.into_iter().enumerate() {
        assert_eq!(dirty_by(holder), expected, "{number}");
        // Wherever the data begin, what counts is counted from the buffer's first byte.
        let dirty = dirty_by(|buf| {
            buf.extend_from_slice(&[1; 8]).unwrap();
            buf.consume(3);
            holder(buf);
        });
        let as_much = if expected == SIZE {
            SIZE..=SIZE
        } else {
            expected.max(8)..=expected + 8
        };
        assert!(as_much.contains(&dirty), "{number}: {dirty}");
    }
}

#[test]
fn frozen_bytes_go_back_with_what_was_dirty() {
    let recycler = Recycler::new(Back::default());
    for (reported, expected) in [(true, 3), (false, SIZE)] {
        let mut buf = recycler.lend(vec![0; SIZE].into(), 0).unwrap();
        buf.read_from(&mut &b"abc"[..]).unwrap();
        if !reported {
            buf.chunk_mut();
        }
        let bytes = buf.freeze();
        let part = bytes.slice(1..);
        drop(bytes);
        thread::spawn(move || drop(part)).join().unwrap();
        let (_, dirty) = recycler.get_ref().0.lock().unwrap().pop().unwrap();
        assert_eq!(dirty, expected);
    }
}

/// Only what earlier holders received is zeroed for compio, once, and what the kernel has written is not.
#[test]
fn compio_is_handed_bytes_that_cost_what_earlier_holders_received() {
    let (memory, dirty) = lent(40, |buf| {
        buf.extend_from_slice(b"abc").unwrap();
        driver::write(buf, 3, b"def");
        // A driver may ask again before it says how much came.
        driver::uninit(buf);
        driver::set_len(buf, 6);
        assert_eq!(buf, b"abcdef");
    });
    assert_eq!((&memory[..6], dirty), (&b"abcdef"[..], 6));
    assert!(memory[6..40].iter().all(|byte| *byte == 0));
    assert!(memory[40..].iter().all(|byte| *byte == STALE), "no holder's");
}

type Region = Box<dyn Fn() -> MemoryRegion>;

/// Of one buffer each.
fn pools(wipe: Wipe) -> Vec<(Box<dyn Pool>, Region)> {
    fn boxed<P: Pool + Clone + 'static>(pool: P, region: fn(&P) -> MemoryRegion) -> (Box<dyn Pool>, Region) {
        let other = pool.clone();
        (Box::new(pool), Box::new(move || region(&other)))
    }
    let config = || PoolConfig::new(SIZE).headroom(HEADROOM).max(1).wipe(wipe);
    let tiers = MultiSizeConfig::new().tier(config());
    vec![
        boxed(BufferPool::with_config(config()).unwrap(), BufferPool::region),
        boxed(
            AlignedPool::with_config(config().alignment(512)).unwrap(),
            AlignedPool::region,
        ),
        boxed(LockFreePool::<1>::with_config(config()).unwrap(), LockFreePool::region),
        boxed(MultiSizePool::with_config(tiers).unwrap(), |pool| {
            pool.tiers()[0].region()
        }),
    ]
}

/// What lies in the one buffer of a pool that is held and not used meanwhile.
fn memory(region: &Region, held: &PooledBuf) -> Vec<u8> {
    let region = region();
    assert!(held.is_empty() && region.len() >= HEADROOM + SIZE);
    // SAFETY: within the region, whose bytes are always initialised; its one buffer is held, and nothing uses it.
    unsafe { slice::from_raw_parts(region.as_ptr(), HEADROOM + SIZE) }.to_vec()
}

#[test]
fn a_wipe_costs_what_was_received_and_a_secure_one_what_was_handed_out() {
    // Writes to the end, and reports the first three: so it is seen what is wiped.
    let leave = |buf: &mut PooledBuf| {
        // SAFETY: bytes only. That not all of them are reported costs no more than what is looked at here.
        unsafe {
            buf.fill_with(|spare| {
                spare.fill(MaybeUninit::new(STALE));
                Ok(3)
            })
        }
        .unwrap();
    };
    for (wipe, wiped) in [(Wipe::OnRelease, 3), (Wipe::Secure, SIZE), (Wipe::Never, 0)] {
        for (pool, region) in pools(wipe) {
            let mut buf = pool.acquire().unwrap();
            leave(&mut buf);
            assert_eq!(buf[..], [STALE; 3]);
            drop(buf);
            let held = pool.acquire().unwrap();
            let memory = memory(&region, &held);
            let expected = (0..SIZE).map(|at| if at < wiped { 0 } else { STALE });
            assert!(memory[HEADROOM..].iter().copied().eq(expected), "{wipe:?}");
        }
    }
}

#[test]
fn a_receive_that_panics_or_breaks_is_wiped_to_its_end() {
    for ends in [
        |_: &[u8]| Err(ErrorKind::Other.into()),
        |_: &[u8]| resume_unwind(Box::new(())),
        |buf: &[u8]| Ok(buf.len() + 1),
    ] {
        for (pool, region) in pools(Wipe::OnRelease) {
            let mut buf = pool.acquire().unwrap();
            buf.extend_from_slice(&[STALE; 9]).unwrap();
            buf.consume(4);
            let failed = catch_unwind(AssertUnwindSafe(|| {
                buf.read_from(&mut Scripted { writes: SIZE - 9, ends })
            }));
            assert!(!matches!(failed, Ok(Ok(_))));
            // Not even a receive that goes well makes up for it.
            buf.read_from(&mut &b"abc"[..]).unwrap();
            drop(buf);
            let held = pool.acquire().unwrap();
            assert!(memory(&region, &held).iter().all(|byte| *byte == 0));
        }
    }
}

/// As UDP on Linux: copies a datagram, finds its checksum wrong, and goes on to the next one, of so many bytes, if
/// there is one.
struct Copies(Option<usize>);

// SAFETY: has written what it reports, and reads nothing.
unsafe impl TrustedRecv for Copies {
    type Address = ();

    const LARGEST: usize = 300;

    fn recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        assert!(buf.len() <= 300);
        buf.fill(STALE);
        self.0.ok_or_else(|| ErrorKind::WouldBlock.into())
    }

    fn recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, ())> {
        Ok((self.recv(buf)?, ()))
    }
}

/// By each way to say how much was written: nothing.
fn report_nothing(buf: &mut PooledBuf) {
    buf.chunk_mut();
    // SAFETY: none, in each.
    unsafe { buf.advance_mut(0) };
    // SAFETY: as above; bytes only.
    unsafe {
        buf.spare_capacity_mut();
        buf.set_len(buf.len());
    }
}

#[test]
fn all_that_a_datagram_socket_was_given_is_wiped_and_no_more_was_given_than_a_datagram() {
    let count = |memory: &[u8]| memory.iter().filter(|byte| **byte == STALE).count();
    for wipe in [Wipe::OnRelease, Wipe::Secure, Wipe::Poison, Wipe::Never] {
        for next in [None, Some(5)] {
            for (pool, region) in pools(wipe) {
                // With bytes of an earlier holder there, and without.
                for earlier in [false, true] {
                    if earlier {
                        scratch(&mut pool.acquire().unwrap());
                    }
                    let mut buf = pool.acquire().unwrap();
                    buf.extend_from_slice(&[STALE; 9]).unwrap();
                    assert_eq!(buf.recv(&Copies(next)).ok(), next);
                    drop(buf);
                    let mut held = pool.acquire().unwrap();
                    let left = count(&memory(&region, &held)[HEADROOM..][..309]);
                    assert_eq!(left, if wipe == Wipe::Never { 309 } else { 0 }, "{wipe:?}");
                    assert_eq!(count(held.spare_mut()), 0);
                }
            }
        }
    }
    let dirty = dirty_by(|buf| {
        buf.extend_from_slice(&[1; 9]).unwrap();
        buf.recv(&Copies(Some(5))).unwrap();
    });
    assert_eq!(dirty, 309);
    let dirty = dirty_by(|buf| {
        // SAFETY: writes nothing.
        let received = unsafe { buf.recv_with(90, |spare| Ok(spare.len() + 1)) };
        assert_eq!(received.unwrap_err().kind(), ErrorKind::InvalidData);
        assert!(buf.is_empty());
    });
    assert_eq!(dirty, 90);
}

/// Writes more than it reports, all of it by safe code.
fn scratch(buf: &mut PooledBuf) {
    buf.chunk_mut()[..500].copy_from_slice(&[STALE; 500]);
    // SAFETY: just written.
    unsafe { buf.advance_mut(3) };
}

/// The same by the system itself. To make such a datagram needs a privilege, which a sender far away does not.
#[cfg(target_os = "linux")]
#[test]
fn a_datagram_with_a_wrong_checksum_is_shown_to_no_later_holder() {
    use socket2::{Domain, Protocol, Socket, Type};

    let raw = match Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::UDP)) {
        Ok(raw) => raw,
        Err(error) => return println!("skipped: no raw socket, which CAP_NET_RAW allows: {error}"),
    };
    let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    let to = receiver.local_addr().unwrap();
    sender.connect(to).unwrap();
    let mut wrong = Vec::new();
    for field in [4711, to.port(), 8 + 500, 0xdead] {
        wrong.extend_from_slice(&u16::to_be_bytes(field));
    }
    wrong.resize(8 + 500, STALE);
    type Receive = fn(&mut PooledBuf, &UdpSocket) -> io::Result<usize>;
    let receives: [Receive; 4] = [
        |buf, socket| buf.recv(socket),
        |buf, socket| Ok(buf.recv_from(socket)?.0),
        // SAFETY: `recv` of socket2 is that of the system, which has written what it reports.
        |buf, socket| unsafe { buf.recv_with(600, |spare| socket2::SockRef::from(socket).recv(spare)) },
        |buf, socket| {
            // SAFETY: as above. It is what tokio does.
            unsafe {
                let spare = buf.chunk_mut().as_uninit_slice_mut();
                let bytes = socket2::SockRef::from(socket).recv(spare)?;
                buf.advance_mut(bytes);
                Ok(bytes)
            }
        },
    ];
    let mut copied = 0;
    for wipe in [Wipe::Never, Wipe::OnRelease, Wipe::Poison, Wipe::Secure] {
        for receive in receives {
            for (pool, region) in pools(wipe) {
                raw.send_to(&wrong, &to.into()).unwrap();
                assert_eq!(sender.send(b"hello").unwrap(), 5);
                let mut buf = pool.acquire().unwrap();
                assert_eq!(receive(&mut buf, &receiver).unwrap(), 5);
                assert_eq!(buf, b"hello");
                drop(buf);
                let mut held = pool.acquire().unwrap();
                copied += usize::from(memory(&region, &held).contains(&STALE));
                assert!(!held.spare_mut().contains(&STALE), "{wipe:?}");
                drop(held);
                receiver.set_nonblocking(true).unwrap();
                let left = receiver.recv(&mut [0; 10]);
                assert!(left.is_err() || left.unwrap() == 5, "peeked at");
                receiver.set_nonblocking(false).unwrap();
            }
        }
    }
    if copied == 0 {
        println!("this system copied none of them");
    }
}

/// As a chain, of which only the first buffer is reported later.
#[test]
fn what_a_chain_was_left_with_by_a_read_that_breaks_off_is_shown_to_nobody() {
    struct BreaksOff(fn() -> io::Error);
    impl Read for BreaksOff {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            unreachable!("a chain reads into several")
        }

        fn read_vectored(&mut self, slices: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
            for slice in slices {
                slice.fill(STALE);
            }
            Err((self.0)())
        }
    }
    // SAFETY: fails with an error that allows for it, or panics.
    unsafe impl TrustedRead for BreaksOff {}

    for wipe in [Wipe::Never, Wipe::OnRelease, Wipe::Poison, Wipe::Secure] {
        for breaks_off in [
            || ErrorKind::Other.into(),
            || -> io::Error { resume_unwind(Box::new(())) },
        ] {
            let config = PoolConfig::new(SIZE).max(3).wipe(wipe);
            let pool = BufferPool::with_config(config).unwrap();
            let mut chain = pool.acquire_chain(3 * SIZE).unwrap();
            let read = catch_unwind(AssertUnwindSafe(|| chain.read_from(&mut BreaksOff(breaks_off))));
            assert!(!matches!(read, Ok(Ok(_))));
            chain.chunk_mut()[..2].copy_from_slice(b"hi");
            // SAFETY: just written.
            unsafe { chain.advance_mut(2) };
            assert_eq!(chain, b"hi");
            drop(chain);
            let mut held = pool.acquire_many(3, SIZE).unwrap();
            for buf in &mut held {
                assert!(!buf.spare_mut().contains(&STALE), "{wipe:?}");
            }
        }
    }
}

/// What safe code writes into `chunk_mut` and does not report is hidden, and what is wiped is what was reported: so a
/// receive through `BufMut` costs no more than what came.
#[test]
fn scratch_that_is_not_reported_is_hidden_at_no_cost_to_who_receives() {
    for (wipe, wiped) in [(Wipe::OnRelease, 3), (Wipe::Never, 0), (Wipe::Secure, SIZE)] {
        for (pool, region) in pools(wipe) {
            scratch(&mut pool.acquire().unwrap());
            // Nor is it wiped for those in between that write little, in whatever way.
            drop(pool.acquire().unwrap());
            let held = pool.acquire().unwrap();
            let left = memory(&region, &held)[HEADROOM..]
                .iter()
                .filter(|byte| **byte == STALE)
                .count();
            assert_eq!(left, 500_usize.saturating_sub(wiped), "{wipe:?}");
            drop(held);
            pool.acquire().unwrap().extend_from_slice(&[1; 40]).unwrap();
            let mut buf = pool.acquire().unwrap();
            let whole = memory(&region, &buf);
            let left = whole.iter().filter(|byte| **byte == STALE).count();
            assert_eq!(left, if wiped == SIZE { 0 } else { 460 }, "{wipe:?}");
            assert!(!buf.spare_mut().contains(&STALE), "{wipe:?}");
        }
    }
}

/// A holder that receives, and leaves bytes in each way that a marked reader may; and another that looks wherever safe
/// code can.
#[test]
fn no_receive_shows_an_earlier_holders_bytes() {
    type Holder = fn(&mut PooledBuf);
    fn datagram(buf: &mut PooledBuf, next: Option<usize>) {
        let received = buf.recv(&Copies(next)).ok();
        assert_eq!(received, next);
    }
    let leaves: [Holder; 13] = [
        // compio's traits tell nothing of what was written behind, so its caller does.
        |buf| {
            driver::write(buf, 10, &[STALE; 90]);
            driver::advance_to(buf, 0);
            buf.spare_mut();
        },
        |buf| datagram(buf, None),
        |buf| datagram(buf, Some(5)),
        |buf| {
            buf.extend_from_slice(&[STALE; 30]).unwrap();
            buf.consume(20);
            assert_eq!(buf.recv_from(&Copies(Some(0))).unwrap(), (0, ()));
            // What says less later says nothing of this.
            buf.put_slice(&[1; 4]);
            buf.read_from(&mut &b"abc"[..]).unwrap();
        },
        // SAFETY: writes bytes only, and has written what it reports.
        |buf| unsafe {
            buf.recv_with(90, |spare| {
                spare.fill(MaybeUninit::new(STALE));
                Ok(3)
            })
            .unwrap();
        },
        // Breaks off, and says little later.
        |buf| {
            let ends = |_: &[u8]| Err(ErrorKind::Other.into());
            let writes = buf.spare_len();
            assert!(buf.read_from(&mut Scripted { writes, ends }).is_err());
            report_nothing(buf);
        },
        |buf| {
            buf.chunk_mut()[..90].copy_from_slice(&[STALE; 90]);
            report_nothing(buf);
        },
        |buf| drop(buf.read_from(&mut io::repeat(STALE))),
        |buf| {
            buf.read_from(&mut io::repeat(STALE).take(70)).unwrap();
            buf.consume(60);
            buf.read_from(&mut io::repeat(STALE).take(70)).unwrap();
            buf.prepend(&[STALE; 60]).unwrap();
        },
        |buf| {
            let ends = |_: &[u8]| Err(ErrorKind::Other.into());
            let mut reader = Scripted { writes: SIZE, ends };
            assert!(buf.read_from(&mut reader).is_err());
            buf.spare_mut().fill(STALE);
        },
        |buf| driver::write(buf, 0, &[STALE; SIZE]),
        |buf| {
            driver::write(buf, 0, &[STALE; 90]);
            driver::set_len(buf, 90);
        },
        |buf| {
            buf.chunk_mut()[..90].copy_from_slice(&[STALE; 90]);
            // SAFETY: just written.
            unsafe { buf.advance_mut(90) };
            buf.clear();
        },
    ];
    let looks: [Holder; 7] = [
        |buf| drop(buf.read_from(&mut &[1; 5][..])),
        |buf| {
            buf.read_from(&mut &[1; 5][..]).unwrap();
            buf.consume(3);
            buf.read_from(&mut &[1; 5][..]).unwrap();
            buf.prepend(&[2; 3 + HEADROOM]).unwrap();
            buf.commit(100).unwrap();
        },
        |buf| {
            buf.read_from(&mut &[1; 50][..]).unwrap();
            buf.truncate(2);
            buf.commit(100).unwrap();
            buf.compact();
        },
        // Claims what it has not written: so not marked.
        |buf| {
            struct Claims;
            impl Read for Claims {
                fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
                    assert!(!buf.contains(&STALE));
                    Ok(buf.len())
                }
            }
            buf.read_from_any(&mut Claims).unwrap();
        },
        |buf| {
            let would_block = |_: &[u8]| Err(ErrorKind::WouldBlock.into());
            let ends = would_block;
            assert!(buf.read_from(&mut Scripted { writes: 0, ends }).is_err());
        },
        |buf| {
            let uninit = driver::uninit(buf);
            uninit[0] = uninit[80];
            driver::set_len(buf, 1);
        },
        |buf| {
            buf.put_slice(&[1; 5]);
            buf.chunk_mut();
            // SAFETY: none.
            unsafe { buf.advance_mut(0) };
            bytes::Buf::advance(buf, 2);
        },
    ];
    let unseen = |bytes: &[u8]| assert!(!bytes.contains(&STALE), "{bytes:?}");
    for wipe in [Wipe::Never, Wipe::OnRelease, Wipe::Poison, Wipe::Secure] {
        for leave in leaves {
            for look in looks {
                for (pool, _) in pools(wipe) {
                    leave(&mut pool.acquire().unwrap());
                    // A holder in between that receives little hides nothing.
                    pool.acquire().unwrap().read_from(&mut &[1; 4][..]).unwrap();
                    let mut buf = pool.acquire().unwrap();
                    look(&mut buf);
                    unseen(&buf);
                    unseen(buf.spare_mut());
                    buf.commit(buf.spare_len()).unwrap();
                    unseen(&buf.freeze());
                }
            }
        }
    }
}

/// Memory of no pool may not be initialised: Miri and the memory sanitizer look at that.
#[test]
fn memory_of_no_pool_is_received_into_and_shows_nothing_that_was_not_written() {
    for (name, receive) in receives().into_iter().take(2) {
        drop(vec![STALE; 4096]);
        let mut buf = PooledBuf::try_from(Vec::with_capacity(4096)).unwrap();
        for _ in 0..2 {
            let reader = Scripted {
                writes: 40,
                ends: |buf| {
                    // Which a marked reader does not do, and which must be no undefined behaviour.
                    assert!(buf[40..].iter().all(|byte| *byte == 0));
                    Ok(40)
                },
            };
            receive(&mut buf, reader).unwrap();
        }
        assert_eq!(buf[..], [7; 80], "{name}");
        buf.commit(buf.spare_len()).unwrap();
        assert!(buf[80..].iter().all(|byte| *byte == 0));
    }
    let mut buf = PooledBuf::try_from(Vec::with_capacity(4096)).unwrap();
    // SAFETY: writes what it reports.
    unsafe {
        buf.fill_with(|spare| {
            spare[..2].fill(MaybeUninit::new(7));
            Ok(2)
        })
        .unwrap();
    }
    assert_eq!(buf.spare_mut_for(100).unwrap(), [0; 100]);
    assert_eq!(buf, [7, 7]);
}

/// Each gives through a guard, by several receives, what it gives through std.
#[test]
fn what_std_wraps_readers_in_reads_the_same() {
    fn all(mut reader: impl TrustedRead) -> Vec<u8> {
        let pool = BufferPool::with_config(PoolConfig::new(SIZE).max(1).wipe(Wipe::Never)).unwrap();
        let mut all = Vec::new();
        loop {
            let mut buf = pool.acquire().unwrap();
            if buf.read_from(&mut reader).unwrap() == 0 {
                return all;
            }
            all.extend_from_slice(&buf);
        }
    }
    let bytes: Vec<u8> = (0..5000_u32).map(|at| at as u8 ^ (at >> 8) as u8).collect();
    let dynamic: Box<dyn TrustedRead> = Box::new(&bytes[..]);
    let deque: VecDeque<u8> = bytes.iter().copied().collect();
    assert_eq!(all(&bytes[..]), bytes);
    let mut slice = &bytes[..];
    assert_eq!(all(slice.by_ref()), bytes);
    assert!(slice.is_empty());
    assert_eq!(all(dynamic), bytes);
    assert_eq!(all(deque), bytes);
    assert_eq!(all(Cursor::new(bytes.clone())), bytes);
    assert_eq!(all((&bytes[..]).take(70)), bytes[..70]);
    assert_eq!(all(bytes[..70].chain(&bytes[70..])), bytes);
    assert_eq!(all(io::repeat(7).take(3000)), [7; 3000]);
    assert_eq!(all(io::empty()), []);
    // Smaller and larger than what is read at once.
    for capacity in [1, 100, SIZE, 4096, 10_000] {
        assert_eq!(all(BufReader::with_capacity(capacity, &bytes[..])), bytes);
        let cut = BufReader::with_capacity(capacity, (&bytes[..]).take(1234));
        assert_eq!(all(Box::new(cut).take(4000)), bytes[..1234]);
    }
}

#[test]
fn the_readers_of_std_are_marked_if_what_they_wrap_is() {
    fn marked<R: TrustedRead + ?Sized>() {}
    use std::fs::File;
    marked::<File>();
    marked::<&File>();
    marked::<std::sync::Arc<File>>();
    marked::<TcpStream>();
    marked::<&TcpStream>();
    marked::<io::Stdin>();
    marked::<&io::Stdin>();
    marked::<io::StdinLock<'_>>();
    marked::<std::process::ChildStdout>();
    marked::<std::process::ChildStderr>();
    marked::<&mut dyn TrustedRead>();
    marked::<BufReader<io::Take<io::Chain<Box<TcpStream>, &mut File>>>>();
    #[cfg(unix)]
    {
        use std::os::unix::net::UnixStream;
        marked::<UnixStream>();
        marked::<&UnixStream>();
    }
}

#[test]
fn sockets_are_received_from_as_they_deliver() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (server, _) = listener.accept().unwrap();
    server.set_nonblocking(true).unwrap();
    for (pool, _) in pools(Wipe::OnRelease) {
        let mut buf = pool.acquire().unwrap();
        let error = buf.read_from(&mut &server).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
        client.write_all(b"hello").unwrap();
        while buf.len() < 5 {
            match buf.read_from(&mut &server) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => thread::yield_now(),
                received => drop(received.unwrap()),
            }
        }
        assert_eq!(buf, b"hello");
    }
    let mut buf = BufferPool::new(64, 1, 1).unwrap().acquire().unwrap();
    drop(client);
    server.set_nonblocking(false).unwrap();
    assert_eq!(buf.read_from(&mut &server).unwrap(), 0);
}

#[test]
fn datagrams_come_one_at_a_time_behind_what_is_there() {
    let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    sender.connect(receiver.local_addr().unwrap()).unwrap();
    let from = sender.local_addr().unwrap();
    let (memory, dirty) = lent(0, |buf| {
        for datagram in [&b"one"[..], b"two", b"", b"three", b"four"] {
            assert_eq!(sender.send(datagram).unwrap(), datagram.len());
        }
        assert_eq!(buf.recv(&receiver).unwrap(), 3);
        assert_eq!(buf.recv_from(&receiver).unwrap(), (3, from));
        assert_eq!(buf.recv(&receiver).unwrap(), 0, "an empty one");
        buf.consume(3);
        assert_eq!(buf.recv(&receiver).unwrap(), 5);
        assert_eq!(buf, "twothree");
    });
    assert_eq!(dirty, SIZE, "all that was handed out");
    assert!(memory[11..].iter().all(|byte| *byte == STALE));
    // The one that did not come yet; then none does.
    let dirty = dirty_by(|buf| {
        assert_eq!(buf.recv_from(&receiver).unwrap(), (4, from));
        receiver.set_nonblocking(true).unwrap();
        let error = buf.recv(&receiver).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
        buf.commit(buf.spare_len()).unwrap();
        let full = buf.recv(&receiver).unwrap_err();
        assert_eq!(full.kind(), ErrorKind::WriteZero);
    });
    assert_eq!(dirty, SIZE);
}

#[cfg(unix)]
#[test]
fn unix_datagrams_are_received_too() {
    use std::os::unix::net::UnixDatagram;
    let (sender, receiver) = UnixDatagram::pair().unwrap();
    let dirty = dirty_by(|buf| {
        sender.send(b"one").unwrap();
        sender.send(b"two").unwrap();
        assert_eq!(buf.recv(&receiver).unwrap(), 3);
        let (bytes, from) = buf.recv_from(&receiver).unwrap();
        assert!(bytes == 3 && from.is_unnamed());
        assert_eq!(buf, "onetwo");
    });
    assert_eq!(dirty, SIZE, "all that was handed out");
    // There is no largest one.
    let mut buf = BufferPool::new(100_000, 1, 1).unwrap().acquire().unwrap();
    sender.send(&[7; 70_000]).unwrap();
    assert_eq!(buf.recv(&receiver).unwrap(), 70_000);
}

#[test]
fn files_are_read_from_a_position() {
    let mut file = std::fs::File::open(concat!(env!("CARGO_MANIFEST_DIR"), "/LICENSE-MIT")).unwrap();
    let whole = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/LICENSE-MIT")).unwrap();
    let dirty = dirty_by(|buf| {
        buf.extend_from_slice(b"abc").unwrap();
        let end = whole.len() - 20;
        assert_eq!(buf.read_at(&file, end as u64).unwrap(), 20);
        assert_eq!(buf[3..], whole[end..]);
        assert_eq!(buf.read_at(&file, whole.len() as u64).unwrap(), 0, "the end");
    });
    assert_eq!(dirty, 23);
    let mut buf = BufferPool::new(SIZE, 1, 1).unwrap().acquire().unwrap();
    assert_eq!(buf.read_at(&file, 7).unwrap(), SIZE);
    assert_eq!(buf[..], whole[7..7 + SIZE]);
    assert_eq!(buf.read_at(&file, 0).unwrap_err().kind(), ErrorKind::WriteZero);
    buf.clear();
    file.rewind().unwrap();
    assert_eq!(buf.read_from(&mut file).unwrap(), SIZE);
    assert_eq!(buf[..], whole[..SIZE]);
}

/// What the pool has in memory after small messages in large buffers, as the system counts it.
#[cfg(target_os = "linux")]
#[test]
fn small_messages_make_at_most_two_pages_of_a_buffer_resident() {
    const LARGE: usize = 64 * 1024;
    const BUFFERS: usize = if cfg!(miri) { 8 } else { 1000 };

    /// Pages of the region that are in memory.
    fn resident(region: MemoryRegion) -> usize {
        // SAFETY: no memory.
        let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as usize;
        let start = region.as_ptr() as usize & !(page - 1);
        let pages = (region.as_ptr() as usize + region.len() - start).div_ceil(page);
        let mut in_memory = vec![0; pages];
        // SAFETY: pages of the region's mapping, and a byte for each.
        let asked = unsafe { libc::mincore(start as *mut _, pages * page, in_memory.as_mut_ptr()) };
        assert_eq!(asked, 0);
        in_memory.iter().filter(|it| *it & 1 == 1).count()
    }

    type Receive = fn(&mut PooledBuf, &mut &[u8]);
    let receives: [Receive; 4] = [
        |buf, socket| drop(buf.read_from(socket)),
        |buf, socket| {
            let length = socket.len();
            buf.chunk_mut()[..length].copy_from_slice(socket);
            // SAFETY: just written. It is what tokio does.
            unsafe { buf.advance_mut(length) };
        },
        |buf, socket| {
            driver::write(buf, 0, socket);
            driver::advance_to(buf, socket.len());
        },
        |buf, socket| {
            let length = socket.len();
            buf.spare_mut_for(length).unwrap().copy_from_slice(socket);
            buf.commit(length).unwrap();
        },
    ];
    for wipe in [Wipe::Never, Wipe::OnRelease, Wipe::Poison] {
        for receive in receives {
            let config = PoolConfig::new(LARGE).max(BUFFERS).wipe(wipe);
            let pool = BufferPool::with_config(config).unwrap();
            let region = pool.region();
            // Where the system has pages of 2 MiB, one byte would make one of them resident.
            // SAFETY: pages of the region's mapping; what they hold stays.
            unsafe {
                let start = region.as_ptr().map_addr(|address| address & !4095);
                libc::madvise(start.cast(), region.len(), libc::MADV_NOHUGEPAGE);
            }
            for message in [[STALE; 64], [7; 64]] {
                let mut held: Vec<_> = (0..BUFFERS).map(|_| pool.acquire().unwrap()).collect();
                for buf in &mut held {
                    receive(buf, &mut &message[..]);
                    assert_eq!(buf[..], message);
                }
            }
            let resident = resident(region);
            assert!((BUFFERS..=2 * BUFFERS).contains(&resident), "{resident}");
        }
    }
}
