//! Data that do not begin at the buffer's first byte: what was consumed before them, and what is prepended to them.

use std::io::{ErrorKind, Write};
use std::slice;
use std::sync::{Arc, Mutex};

use bytes::{Buf, BufMut};
use compio::buf::IoBufMut;
use poolbuf::{
    AlignedPool, BufferPool, CapacityError, ConfigProblem, LockFreePool, MemoryRegion, MultiSizeConfig, MultiSizePool,
    Pool, PoolConfig, PooledBuf, Recycle, Recycler, Wipe,
};

/// Bytes a buffer, and before each.
const SIZE: usize = 200;
const HEADROOM: usize = 24;
const SECRET: u8 = 0x5E;

/// Every pool that says where its memory lies, with two buffers that each have headroom.
fn pools(wipe: Wipe) -> Vec<(Arc<dyn Pool>, MemoryRegion)> {
    let config = || PoolConfig::new(SIZE).headroom(HEADROOM).wipe(wipe);
    let lock_free = LockFreePool::<2>::with_config(config()).unwrap();
    let buffer = BufferPool::with_config(config().max(2)).unwrap();
    let aligned = AlignedPool::with_config(config().max(2)).unwrap();
    vec![
        (Arc::new(lock_free.clone()), lock_free.region()),
        (Arc::new(buffer.clone()), buffer.region()),
        (Arc::new(aligned.clone()), aligned.region()),
    ]
}

fn holding(bytes: &[u8]) -> PooledBuf {
    let pool = BufferPool::new(SIZE, 0, 1).unwrap();
    let mut buf = pool.acquire().unwrap();
    buf.extend_from_slice(bytes).unwrap();
    buf
}

fn numbers(error: CapacityError) -> [usize; 4] {
    [error.requested, error.spare, error.consumed, error.capacity]
}

/// Whatever is taken off the front, and however, the rest stays at its address: so nothing is copied, and a large
/// message costs as much for each piece as a small one.
#[test]
fn taking_off_the_front_moves_none_of_the_rest() {
    const LEN: usize = 63 * 1024;
    let pool = BufferPool::new(LEN, 0, 1).unwrap();
    let mut buf = pool.acquire().unwrap();
    let bytes: Vec<u8> = (0..LEN).map(|at| at as u8).collect();
    buf.extend_from_slice(&bytes).unwrap();
    let start = buf.as_ptr() as usize;
    let mut taken = 0;
    while taken + 100 < LEN {
        match taken % 5 {
            0 => assert_eq!(buf.get_u8(), bytes[taken]),
            1 => assert_eq!(buf.get_u16(), u16::from_be_bytes([bytes[taken], bytes[taken + 1]])),
            2 => buf.advance(3),
            3 => buf.copy_to_slice(&mut [0; 9]),
            _ => buf.consume(2),
        }
        taken += [1, 2, 3, 9, 2][taken % 5];
        assert_eq!(buf.as_ptr() as usize - start, taken);
        assert_eq!((buf.len(), buf.spare_len()), (LEN - taken, 0));
    }
    assert_eq!(buf[..], bytes[taken..]);
}

#[test]
fn what_is_behind_needs_room_there_and_compacting_gives_it_back() {
    let mut buf = holding(&[1; SIZE]);
    buf.consume(150);
    let error = buf.extend_from_slice(&[2; 3]).unwrap_err();
    assert_eq!(numbers(error), [3, 0, 150, SIZE]);
    assert_eq!(
        error.to_string(),
        "3 bytes do not fit: the buffer has room for 0 of its 200 behind its data, \
         and for 150 before them: compact it"
    );
    assert_eq!(buf.resize(53, 0), Err(error));
    assert_eq!(buf.commit(3), Err(error));
    assert_eq!(buf.spare_mut_for(3).unwrap_err(), error);
    assert_eq!((buf.write(&[2; 3]).unwrap(), buf.remaining_mut()), (0, 0));
    let full = buf.read_from(&mut &[2; 3][..]).unwrap_err();
    assert_eq!(full.kind(), ErrorKind::WriteZero);
    assert_eq!((buf.len(), buf.capacity()), (50, SIZE));

    buf.compact();
    assert_eq!((buf.spare_len(), buf.headroom()), (150, 0));
    buf.extend_from_slice(&[2; 150]).unwrap();
    assert_eq!(buf[..50], [1; 50]);
    assert_eq!(buf[50..], [2; 150]);
    let start = buf.as_ptr();
    buf.compact();
    assert_eq!(buf.as_ptr(), start, "there was nothing to move");
}

#[test]
fn an_emptied_guard_has_all_its_room_again() {
    let empty: [fn(&mut PooledBuf); 6] = [
        |buf| buf.consume(usize::MAX),
        |buf| buf.advance(buf.remaining()),
        |buf| {
            while buf.has_remaining() {
                buf.get_u8();
            }
        },
        |buf| buf.clear(),
        |buf| buf.truncate(0),
        |buf| buf.resize(0, 1).unwrap(),
    ];
    for (pool, _) in pools(Wipe::Never) {
        for empty in empty {
            let mut buf = pool.acquire().unwrap();
            let start = buf.spare_mut().as_ptr();
            // More than the buffer holds, in all.
            for round in 0..4 {
                buf.extend_from_slice(&[round; SIZE - 10]).unwrap();
                if round % 2 == 0 {
                    buf.prepend(&[round; HEADROOM]).unwrap();
                }
                buf.consume(7 * usize::from(round));
                empty(&mut buf);
                assert_eq!((buf.spare_len(), buf.headroom()), (SIZE, HEADROOM));
                assert_eq!(buf.spare_mut().as_ptr(), start);
            }
        }
    }
}

#[test]
fn what_is_prepended_stands_before_the_data_which_stay() {
    for (pool, _) in pools(Wipe::Never) {
        let mut buf = pool.acquire().unwrap();
        assert_eq!((buf.capacity(), buf.headroom()), (SIZE, HEADROOM));
        buf.extend_from_slice(&[1; SIZE]).unwrap();
        let start = buf.as_ptr() as usize;
        buf.prepend(&[2; 20]).unwrap();
        let error = buf.prepend(&[3; 5]).unwrap_err();
        assert_eq!(numbers(error), [5, 4, 0, SIZE + 20]);
        assert_eq!(error.to_string(), "5 bytes do not fit in front: there is room for 4");
        buf.prepend(&[3; 4]).unwrap();
        buf.prepend(&[]).unwrap();
        let whole = SIZE + HEADROOM;
        assert_eq!(numbers(buf.prepend(&[4]).unwrap_err()), [1, 0, 0, whole]);
        assert_eq!(buf[..], [&[3; 4][..], &[2; 20], &[1; SIZE]].concat());
        assert_eq!((buf.len(), buf.capacity()), (whole, whole));
        assert_eq!(start - buf.as_ptr() as usize, HEADROOM);
        // In the headroom, so nothing is to be won.
        buf.compact();
        assert_eq!(start - buf.as_ptr() as usize, HEADROOM);
        assert_eq!(numbers(buf.extend_from_slice(&[0]).unwrap_err()), [1, 0, 0, whole]);
        assert_eq!(buf.freeze()[..5], [3, 3, 3, 3, 2]);
    }
}

#[test]
fn without_headroom_what_was_consumed_is_room_in_front() {
    let mut buf = holding(b"GET / HTTP/1.1");
    assert_eq!(numbers(buf.prepend(b"!").unwrap_err()), [1, 0, 0, SIZE]);
    buf.consume(4);
    assert_eq!(numbers(buf.prepend(b"HEAD ").unwrap_err()), [5, 4, 0, SIZE]);
    buf.prepend(b"PUT ").unwrap();
    assert_eq!((&buf[..], buf.headroom()), (&b"PUT / HTTP/1.1"[..], 0));
}

/// Programs at random beside a model that knows where the data begin and end: what a guard says of its bytes and its
/// room is always that, and adds up to its capacity.
#[test]
fn the_figures_say_where_the_data_begin_and_end() {
    for (pool, _) in pools(Wipe::Never) {
        for seed in 0..1000 {
            let mut random = fastrand::Rng::with_seed(seed);
            let mut buf = pool.acquire().unwrap();
            // Where the data begin, counted from the buffer's first byte.
            let (mut start, mut bytes) = (0_isize, Vec::new());
            for step in 0..50 {
                let some = vec![step; random.usize(..SIZE / 2)];
                let len = random.usize(..SIZE / 2);
                match random.u8(..8) {
                    0 => {
                        let fits = buf.write(&some).unwrap();
                        bytes.extend(&some[..fits]);
                    }
                    1 => {
                        let read = buf.read_from(&mut &some[..]).unwrap_or(0);
                        bytes.extend(&some[..read]);
                    }
                    2 => {
                        let some = &some[..some.len() % HEADROOM];
                        if buf.prepend(some).is_ok() {
                            start -= some.len() as isize;
                            bytes.splice(..0, some.iter().copied());
                        }
                    }
                    3 => {
                        buf.truncate(len);
                        bytes.truncate(len);
                    }
                    4 => {
                        buf.consume(len);
                        start += len as isize;
                        bytes.drain(..len.min(bytes.len()));
                    }
                    5 => {
                        let fits = buf.resize(len, step);
                        bytes.resize(fits.map_or(bytes.len(), |()| len), step);
                    }
                    6 => {
                        buf.compact();
                        start = start.min(0);
                    }
                    _ if step % 8 == 0 => {
                        buf.clear();
                        bytes.clear();
                    }
                    _ => {}
                }
                // A guard that was emptied begins at the first byte again; one to which nothing was added, too.
                if bytes.is_empty() {
                    start = 0;
                }
                assert_eq!(buf, bytes);
                let end = start + bytes.len() as isize;
                assert_eq!(buf.spare_len() as isize, SIZE as isize - end, "seed {seed}");
                assert_eq!(buf.headroom() as isize, HEADROOM as isize + start);
                let consumed = start.max(0) as usize;
                assert_eq!(buf.len() + buf.spare_len() + consumed, buf.capacity());
                assert_eq!(buf.capacity() as isize, SIZE as isize - start.min(0));
            }
        }
    }
}

/// A holder that leaves as many bytes as it can, in the headroom too; and another that looks wherever safe code can.
#[test]
fn no_new_way_shows_an_earlier_holders_bytes() {
    type Look = fn(&mut PooledBuf);
    let unseen = |bytes: &[u8]| assert!(!bytes.contains(&SECRET), "{bytes:?}");
    let looks: [Look; 8] = [
        |buf| {
            buf.prepend(&[1; 8]).unwrap();
        },
        |buf| {
            buf.prepend(&[1; 8]).unwrap();
            buf.truncate(4);
            buf.commit(100).unwrap();
        },
        |buf| {
            buf.prepend(&[1; 8]).unwrap();
            buf.consume(8);
            buf.prepend(&[2; HEADROOM]).unwrap();
            buf.compact();
        },
        |buf| {
            buf.extend_from_slice(&[1; 60]).unwrap();
            buf.consume(50);
            buf.commit(20).unwrap();
            buf.compact();
            buf.commit(buf.spare_len()).unwrap();
        },
        |buf| {
            buf.spare_mut_for(30).unwrap();
            buf.commit(10).unwrap();
            buf.consume(9);
            buf.prepend(&[1; HEADROOM + 9]).unwrap();
            buf.truncate(3);
            buf.compact();
        },
        |buf| {
            buf.put_slice(&[1; 60]);
            buf.advance(55);
            // SAFETY: no byte more than was written.
            unsafe { buf.set_len(0) };
            buf.compact();
        },
        |buf| {
            buf.put_slice(&[1; 60]);
            buf.advance(40);
            let uninit = buf.as_uninit();
            uninit[0] = uninit[SIZE - 41];
            IoBufMut::copy_within(buf, 100..120, 0);
        },
        |buf| {
            buf.prepend(&[1; 60][..HEADROOM]).unwrap();
            let uninit = buf.as_uninit();
            uninit[0] = uninit[SIZE + HEADROOM - 1];
        },
    ];
    for look in looks {
        for (pool, _) in pools(Wipe::Never) {
            for lent in 0..2 {
                let mut before = pool.acquire().unwrap();
                match lent {
                    0 => before.extend_from_slice(&[SECRET; SIZE]).unwrap(),
                    _ => before.spare_mut().fill(SECRET),
                }
                before.prepend(&[SECRET; HEADROOM]).unwrap();
                before.consume(3);
                drop(before);
                let mut buf = pool.acquire().unwrap();
                look(&mut buf);
                unseen(&buf);
                unseen(buf.spare_mut());
                buf.compact();
                buf.commit(buf.spare_len()).unwrap();
                unseen(&buf);
                unseen(&buf.freeze());
            }
        }
    }
}

#[test]
fn a_wipe_reaches_all_that_was_written_wherever_the_data_began() {
    let leaves: [fn(&mut PooledBuf); 6] = [
        |buf| buf.consume(SIZE - 1),
        |buf| buf.consume(SIZE),
        |buf| {
            buf.consume(SIZE / 2);
            buf.compact();
        },
        |buf| {
            buf.consume(SIZE / 2);
            buf.prepend(&[SECRET; SIZE / 2 + HEADROOM]).unwrap();
        },
        |buf| {
            buf.clear();
            buf.prepend(&[SECRET; HEADROOM]).unwrap();
            buf.truncate(1);
        },
        |buf| {
            buf.consume(SIZE - 10);
            buf.clear();
            // Written, and never counted as such.
            buf.chunk_mut()[..SIZE].fill_with_secret();
        },
    ];
    for leave in leaves {
        for (pool, region) in pools(Wipe::OnRelease) {
            let mut buf = pool.acquire().unwrap();
            buf.extend_from_slice(&[SECRET; SIZE]).unwrap();
            let first = buf.as_ptr() as usize - HEADROOM;
            leave(&mut buf);
            drop(buf);
            let held = [pool.acquire().unwrap(), pool.acquire().unwrap()];
            let offset = first - region.as_ptr() as usize;
            assert_eq!(offset % region.stride(), 0);
            // SAFETY: within the region, whose bytes are always initialised; both guards are held, and not used.
            let memory = unsafe { slice::from_raw_parts(region.as_ptr().add(offset), HEADROOM + SIZE) };
            assert!(memory.iter().all(|&byte| byte == 0), "{memory:?}");
            drop(held);
        }
    }
}

trait FillWithSecret {
    fn fill_with_secret(&mut self);
}

impl FillWithSecret for bytes::buf::UninitSlice {
    fn fill_with_secret(&mut self) {
        self.copy_from_slice(&vec![SECRET; self.len()]);
    }
}

/// Keeps what came back, and how much of it counted as dirty.
#[derive(Default)]
struct Back(Mutex<Vec<(Box<[u8]>, usize)>>);

impl Recycle for Back {
    fn recycle(&self, memory: Box<[u8]>, dirty: usize) {
        self.0.lock().unwrap().push((memory, dirty));
    }
}

#[test]
fn memory_of_ones_own_comes_back_whole_with_what_was_dirty_from_its_first_byte() {
    let recycler = Recycler::new(Back::default());
    let dirty_after = |stale: usize, by: fn(&mut PooledBuf)| {
        let memory = vec![0; SIZE].into_boxed_slice();
        let address = memory.as_ptr();
        let mut buf = recycler.lend(memory, stale).unwrap();
        by(&mut buf);
        assert_eq!((buf.capacity(), buf.slot()), (SIZE, None));
        drop(buf);
        let (memory, dirty) = recycler.get_ref().0.lock().unwrap().pop().unwrap();
        assert_eq!((memory.as_ptr(), memory.len()), (address, SIZE));
        dirty
    };
    let consumed = |buf: &mut PooledBuf| {
        buf.extend_from_slice(&[1; 40]).unwrap();
        buf.consume(30);
    };
    for stale in [0, 20, 40] {
        assert_eq!(dirty_after(stale, consumed), 40);
        assert_eq!(dirty_after(stale, |buf| buf.resize(40, 1).unwrap()), 40);
    }
    assert_eq!(dirty_after(70, consumed), 70);
    let more = |buf: &mut PooledBuf| {
        buf.extend_from_slice(&[1; 40]).unwrap();
        buf.consume(30);
        buf.extend_from_slice(&[1; 5]).unwrap();
        buf.prepend(&[1; 30]).unwrap();
    };
    assert_eq!(dirty_after(0, more), 45);
    let compacted = |buf: &mut PooledBuf| {
        buf.extend_from_slice(&[1; 40]).unwrap();
        buf.consume(30);
        buf.compact();
        buf.spare_mut_for(35).unwrap();
    };
    assert_eq!(dirty_after(0, compacted), 45);
    assert_eq!(dirty_after(41, compacted), 45);
    let handed_out = |buf: &mut PooledBuf| {
        buf.extend_from_slice(&[1; 40]).unwrap();
        buf.consume(30);
        buf.chunk_mut();
    };
    assert_eq!(dirty_after(0, handed_out), SIZE);
}

/// Freed as what it was, which the address sanitizer and Miri look at.
#[test]
fn memory_of_no_pool_is_consumed_prepended_to_and_freed() {
    let mut memory = Vec::with_capacity(100);
    memory.extend_from_slice(b"0123456789");
    let mut buf = PooledBuf::try_from(memory).unwrap();
    buf.consume(4);
    assert_eq!((&buf[..], buf.headroom()), (&b"456789"[..], 4));
    buf.prepend(b"ab").unwrap();
    buf.extend_from_slice(b"c").unwrap();
    assert_eq!(Vec::from(buf), b"ab456789c");
    let mut boxed = PooledBuf::try_from(Vec::from(*b"boxed").into_boxed_slice()).unwrap();
    boxed.consume(2);
    assert_eq!(boxed.len(), 3);
    boxed.compact();
    assert_eq!((&boxed[..], boxed.spare_len()), (&b"xed"[..], 2));
    let mut nothing = PooledBuf::try_from(Vec::new()).unwrap();
    nothing.consume(1);
    nothing.prepend(b"").unwrap();
    nothing.compact();
    assert!(nothing.is_empty() && nothing.prepend(b"x").is_err());
}

/// compio needs the bytes that it sees and those that it writes to begin at the same address, and counts from there.
#[test]
fn compio_sees_and_writes_from_the_same_byte_on() {
    use compio::buf::{IoBuf, SetLen};

    for (pool, _) in pools(Wipe::Never) {
        for consumed in [0, 5, 20, 20 + HEADROOM] {
            let mut buf = pool.acquire().unwrap();
            buf.resize(20 + HEADROOM + 1, 1).unwrap();
            buf.consume(20);
            buf.prepend(&[1; 20 + HEADROOM]).unwrap();
            buf.consume(consumed);
            let len = buf.len();
            let seen = buf.as_init().as_ptr().cast();
            assert_eq!(buf.as_uninit().as_ptr(), seen);
            assert_eq!(buf.buf_capacity(), len + buf.spare_len());
            buf.as_uninit()[len].write(7);
            // SAFETY: the one byte more was just written.
            unsafe { SetLen::set_len(&mut buf, len + 1) };
            assert_eq!((buf.as_init().len(), buf[len]), (len + 1, 7));
            assert_eq!(buf.as_init().as_ptr().cast(), seen);
            // SAFETY: fewer than were written. The data stay.
            unsafe { SetLen::set_len(&mut buf, 0) };
            assert_eq!(buf.as_init().as_ptr().cast(), seen);
        }
    }
}

#[test]
fn buffers_with_headroom_are_aligned_apart_and_in_the_region() {
    for (alignment, headroom) in [(16, 1), (64, 2), (64, 64), (512, 100), (4096, 12), (4096, 5000)] {
        let config = PoolConfig::new(1000).headroom(headroom).alignment(alignment);
        let pool = AlignedPool::with_config(config.max(3)).unwrap();
        let region = pool.region();
        let mut held: Vec<_> = (0..3_u8).map(|_| pool.acquire().unwrap()).collect();
        for (mark, buf) in (0..).zip(&mut held) {
            assert_eq!(buf.spare_mut().as_ptr() as usize % alignment, 0);
            buf.resize(1000, mark).unwrap();
            buf.prepend(&vec![mark; headroom]).unwrap();
            let offset = buf.as_ptr() as usize - region.as_ptr() as usize;
            assert_eq!(offset, buf.slot().unwrap() * region.stride());
            assert!(offset + buf.len() <= region.len());
        }
        for (mark, buf) in (0..).zip(&held) {
            assert!(buf.iter().all(|&byte| byte == mark));
        }
    }
}

/// What is trimmed are whole buffers with their headroom, and none of a neighbour's.
#[test]
fn trimming_leaves_the_headroom_of_what_is_lent() {
    let config = PoolConfig::new(70_000).headroom(HEADROOM).max(16);
    let pool = BufferPool::with_config(config.wipe(Wipe::Never).magazine(0)).unwrap();
    let mut held: Vec<_> = (0..16).map(|_| pool.acquire().unwrap()).collect();
    for buf in &mut held {
        buf.resize(70_000, 9).unwrap();
        buf.prepend(&[9; HEADROOM]).unwrap();
    }
    let mut kept = true;
    held.retain(|_| {
        kept = !kept;
        kept
    });
    pool.trim();
    for buf in &held {
        assert!(buf.iter().all(|&byte| byte == 9));
    }
}

#[test]
fn each_tier_has_a_headroom_of_its_own() {
    let tier = |size, headroom| PoolConfig::new(size).headroom(headroom).max(1);
    let tiers = MultiSizeConfig::new().tier(tier(64, 0)).tier(tier(512, 8));
    let pool = MultiSizePool::with_config(tiers).unwrap();
    assert_eq!(pool.acquire_for(64).unwrap().headroom(), 0);
    assert_eq!(pool.acquire_for(512).unwrap().headroom(), 8);
}

#[test]
fn a_headroom_that_a_guard_cant_count_is_refused() {
    let limit = u32::MAX as usize;
    let error = BufferPool::with_config(PoolConfig::new(8).headroom(limit - 7)).unwrap_err();
    let expected = ConfigProblem::HeadroomTooLarge {
        headroom: limit - 7,
        buffer_size: 8,
        limit,
    };
    assert_eq!(error.problem, expected);
    assert_eq!(
        error.to_string(),
        "buffer pool: a headroom of 4294967288 bytes and buffers of 8 are more together \
         than the limit of 4294967295"
    );
    let error = BufferPool::with_config(PoolConfig::new(8).headroom(usize::MAX)).unwrap_err();
    assert!(matches!(error.problem, ConfigProblem::HeadroomTooLarge { .. }));
}

/// What was prepended and cut off, and then received over: the figures go below what they began with, and no further.
#[test]
fn what_was_prepended_and_cut_off_is_received_over_and_hidden() {
    for wipe in [Wipe::Never, Wipe::OnRelease] {
        for (pool, _) in pools(wipe) {
            let mut buf = pool.acquire().unwrap();
            buf.prepend(&[SECRET; HEADROOM]).unwrap();
            buf.truncate(1);
            let spare = buf.spare_len();
            assert_eq!(spare, SIZE + HEADROOM - 1);
            // SAFETY: it writes bytes only, and no more than it is given; what it reports is less.
            let received = unsafe {
                buf.recv_with(usize::MAX, |room| {
                    for byte in room.iter_mut() {
                        byte.write(SECRET);
                    }
                    Ok(3)
                })
            };
            assert!(matches!(received, Ok(3)));
            assert_eq!(buf, [SECRET; 4]);
            drop(buf);
            let mut both = [pool.acquire().unwrap(), pool.acquire().unwrap()];
            for buf in &mut both {
                assert!(!buf.spare_mut().contains(&SECRET), "{wipe:?}");
            }
        }
    }
}
