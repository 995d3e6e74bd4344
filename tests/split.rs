//! Guards that are split in two over one buffer, and take the whole back.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::slice;
use std::sync::{Arc, Mutex};
use std::thread;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use compio::buf::IoBufMut;
use poolbuf::{
    AlignedPool, Budget, BufferPool, LockFreePool, MemoryRegion, MultiSizeConfig, MultiSizePool, POISON, Pool,
    PoolConfig, PooledBuf, PooledChain, Recycle, Recycler, SplitError, Wipe,
};
use proptest::prelude::*;

/// Bytes a buffer, and before each.
const SIZE: usize = 64;
const HEADROOM: usize = 8;

/// The system's allocator, which counts what each thread allocates.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: all is done by the system's.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // A thread at its end has no count any more.
        let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
        // SAFETY: as our caller says.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: as our caller says.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// How often `run` allocates.
fn allocations<T>(run: impl FnOnce() -> T) -> (usize, T) {
    let before = ALLOCATIONS.get();
    let done = run();
    (ALLOCATIONS.get() - before, done)
}

fn config(wipe: Wipe) -> PoolConfig {
    PoolConfig::new(SIZE).headroom(HEADROOM).wipe(wipe)
}

/// A guard that holds `bytes`, of a pool of its own.
fn holding(bytes: &[u8]) -> PooledBuf {
    let pool = BufferPool::with_config(config(Wipe::OnRelease).max(1)).unwrap();
    let mut buf = pool.acquire().unwrap();
    buf.extend_from_slice(bytes).unwrap();
    buf
}

/// The bytes of a region, as they lie there.
fn raw(region: &MemoryRegion) -> Vec<u8> {
    // SAFETY: it is initialised, and nobody writes to it now.
    unsafe { slice::from_raw_parts(region.as_ptr(), region.len()) }.to_vec()
}

#[test]
fn the_first_split_of_a_buffer_allocates_once_and_later_ones_do_not() {
    let mut rest = holding(&[7; SIZE]);
    let (first, mut parts) = allocations(|| rest.split_to(8).unwrap());
    assert_eq!(first, 1);
    let (later, _held) = allocations(|| {
        (
            parts.split_off(4).unwrap(),
            rest.split_to(20).unwrap(),
            rest.split_off(3),
        )
    });
    assert_eq!(later, 0);
}

#[test]
fn a_split_moves_nothing_and_each_byte_is_that_of_one_part() {
    let mut front = holding(b"hello, world");
    front.consume(2);
    let start = front.as_ptr() as usize;
    let mut back = front.split_off(5).unwrap();
    assert_eq!((&front[..], &back[..]), (&b"llo, "[..], &b"world"[..]));
    assert_eq!((front.as_ptr() as usize, back.as_ptr() as usize), (start, start + 5));
    assert_eq!((front.capacity(), front.spare_len(), front.headroom()), (5, 0, 0));
    assert_eq!(
        (back.capacity(), back.spare_len(), back.headroom()),
        (SIZE - 7, SIZE - 12, 0)
    );
    assert_eq!(front.slot(), back.slot());

    let middle = back.split_to(2).unwrap();
    assert_eq!(
        (&middle[..], &back[..], middle.spare_len()),
        (&b"wo"[..], &b"rld"[..], 0)
    );
}

#[test]
fn what_is_beyond_the_length_is_refused_and_nothing_changes() {
    let mut buf = holding(b"hello");
    for at in [6, SIZE, usize::MAX] {
        let error = SplitError::TooShort { at, len: 5 };
        assert_eq!(buf.split_to(at).unwrap_err(), error);
        assert_eq!(buf.split_off(at).unwrap_err(), error);
    }
    assert_eq!(
        (&buf[..], buf.spare_len(), buf.headroom()),
        (&b"hello"[..], SIZE - 5, HEADROOM)
    );
    let error = std::io::Error::from(SplitError::TooShort { at: 2, len: 1 });
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
    assert_eq!(
        error.to_string(),
        "a split at byte 2 requested, but there is 1 byte: ask for that at most"
    );
}

/// Or else a frame without a payload would keep the buffer.
#[test]
fn a_part_with_neither_bytes_nor_room_keeps_nothing() {
    let mut buf = holding(b"hello");
    let (count, nothing) = allocations(|| [buf.split_to(0).unwrap()]);
    assert_eq!((count, nothing[0].capacity(), nothing[0].slot()), (0, 0, None));
    assert_eq!((&buf[..], buf.headroom()), (&b"hello"[..], HEADROOM));

    let whole = buf.split_off(0).unwrap();
    assert_eq!((&buf[..], buf.capacity(), &whole[..]), (&b""[..], 0, &b"hello"[..]));

    let mut full = holding(&[7; SIZE]);
    let all = full.split_to(SIZE).unwrap();
    assert_eq!((all.len(), full.capacity(), all.headroom()), (SIZE, 0, HEADROOM));
    assert!(full.try_reclaim());
}

#[test]
fn neither_part_reaches_the_bytes_of_the_other() {
    let others = |buf: &mut PooledBuf| {
        buf.clear();
        buf.compact();
        assert!(buf.prepend(b"!").is_err());
        buf.spare_mut().fill(b'!');
        let room = buf.spare_len();
        buf.commit(room).unwrap();
        buf.consume(1);
        buf.prepend(b"?").unwrap();
        buf.compact();
        buf.clear();
        buf.put_bytes(b'.', buf.remaining_mut());
        buf.as_uninit().iter_mut().for_each(|byte| {
            byte.write(b':');
        });
        assert!(buf.extend_from_slice(b"!").is_err());
    };
    let mut front = holding(b"front and back");
    let mut back = front.split_off(5).unwrap();
    others(&mut front);
    assert_eq!(back, b" and back");
    others(&mut back);
    assert_eq!(front, b":::::");
    assert_eq!(back, &[b':'; SIZE - 5][..]);
}

/// And is wiped, refunded and untracked then, not before.
#[test]
fn the_buffer_goes_back_with_its_last_part_on_whatever_thread() {
    for last in [0, 1, 2] {
        let budget = Budget::new(SIZE);
        let config = config(Wipe::OnRelease).max(1).budget(&budget).track_holders(true);
        let pool = BufferPool::with_config(config).unwrap();
        let mut buf = pool.acquire().unwrap();
        buf.extend_from_slice(&[1; 20]).unwrap();
        buf.prepend(&[2; 3]).unwrap();
        let front = buf.split_to(2).unwrap();
        let middle = buf.split_to(10).unwrap();
        buf.extend_from_slice(&[3; 4]).unwrap();
        let mut parts = vec![front, middle, buf];
        let kept = parts.remove(last);
        thread::spawn(|| drop(parts)).join().unwrap();
        assert_eq!((pool.stats().in_use, budget.stats().lent), (1, SIZE));
        assert_eq!(pool.holders().lines().len(), 1);
        let written = raw(&pool.region()).iter().filter(|byte| **byte != 0).count();
        assert_eq!(written, 27, "a secret stays until then");

        thread::spawn(|| drop(kept)).join().unwrap();
        assert_eq!((pool.stats().in_use, budget.stats().lent), (0, 0));
        assert!(pool.holders().lines().is_empty());
        assert!(raw(&pool.region()).iter().all(|byte| *byte == 0), "not wiped");
    }
}

/// Whichever part it was, before the split or after it.
#[test]
fn what_was_handed_out_without_a_report_counts_as_written() {
    // SAFETY: only bytes are written.
    let write = |buf: &mut PooledBuf| unsafe {
        buf.spare_capacity_mut().iter_mut().for_each(|byte| {
            byte.write(9);
        });
    };
    for (before, reclaim) in [(true, false), (false, false), (true, true), (false, true)] {
        let pool = BufferPool::with_config(config(Wipe::OnRelease).max(1)).unwrap();
        let mut buf = pool.acquire().unwrap();
        buf.extend_from_slice(&[1; 20]).unwrap();
        if before {
            write(&mut buf);
        }
        let front = buf.split_to(10).unwrap();
        if !before {
            write(&mut buf);
        }
        drop(front);
        if reclaim {
            assert!(buf.try_reclaim());
        }
        drop(buf);
        assert!(raw(&pool.region()).iter().all(|byte| *byte == 0), "not wiped");
    }
}

#[test]
fn the_last_part_takes_the_whole_back_and_sees_nothing_of_the_others() {
    for wipe in [Wipe::Never, Wipe::OnRelease, Wipe::Secure, Wipe::Poison] {
        for keep_front in [false, true] {
            let pool = BufferPool::with_config(config(wipe).max(1)).unwrap();
            let mut kept = pool.acquire().unwrap();
            kept.extend_from_slice(&[1; 30]).unwrap();
            let mut other = match keep_front {
                true => kept.split_off(10).unwrap(),
                false => kept.split_to(10).unwrap(),
            };
            other.as_mut_slice().fill(2);
            assert!(!kept.try_reclaim() && !other.try_reclaim());
            kept.truncate(8);
            drop(other);
            assert!(kept.try_reclaim());
            assert_eq!(
                (&kept[..], kept.capacity(), kept.headroom()),
                (&[1; 8][..], SIZE, HEADROOM)
            );
            assert_eq!(kept.spare_len(), SIZE - 8);
            kept.commit(SIZE - 8).unwrap();
            assert!(
                kept[8..].iter().all(|byte| [0, POISON].contains(byte)),
                "{wipe:?}: {kept:?}"
            );
            assert!(kept.try_reclaim(), "it is whole");
            // And can be split again.
            drop(kept.split_to(5).unwrap());
            assert!(kept.try_reclaim());
            drop(kept);
            assert_eq!(pool.stats().in_use, 0);
            if wipe != Wipe::Never {
                assert!(
                    raw(&pool.region()).iter().all(|byte| [0, POISON].contains(byte)),
                    "{wipe:?}"
                );
            }
        }
    }
}

/// Data in the headroom have nothing to gain by being moved.
#[test]
fn a_part_in_the_headroom_takes_the_whole_back_where_it_lies() {
    let mut front = holding(b"payload");
    front.prepend(b"head").unwrap();
    let start = front.as_ptr();
    // All of it lies in the headroom.
    let back = front.split_off(2).unwrap();
    drop(back);
    assert!(front.try_reclaim());
    assert_eq!(
        (front.as_ptr(), &front[..], front.headroom()),
        (start, &b"he"[..], HEADROOM - 4)
    );
    assert_eq!(front.spare_len(), SIZE + 2);
    front.clear();
    assert_eq!((front.spare_len(), front.headroom()), (SIZE, HEADROOM));
}

#[test]
fn parts_are_chained_and_frozen_as_other_guards_are() {
    let pool = BufferPool::with_config(config(Wipe::OnRelease).max(1)).unwrap();
    let mut buf = pool.acquire().unwrap();
    buf.extend_from_slice(b"hello, world").unwrap();
    let hello = buf.split_to(5).unwrap();
    let mut chain = PooledChain::from(hello);
    chain.push(buf.split_off(2).unwrap());
    chain.extend_from_slice(b"!").unwrap();
    assert_eq!(chain, b"helloworld!");
    let frozen = buf.freeze();
    chain.consume(3);
    let pieces = chain.freeze();
    assert_eq!((&pieces[0][..], &pieces[1][..]), (&b"lo"[..], &b"world!"[..]));
    drop(pieces);
    assert_eq!((&frozen[..], pool.stats().in_use), (&b", "[..], 1));
    drop(frozen);
    assert_eq!(pool.stats().in_use, 0);
}

/// Keeps what came back.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<Memory>>>);

/// And how much of it is dirty.
type Memory = (Box<[u8]>, usize);

impl Recycle for Kept {
    fn recycle(&self, memory: Box<[u8]>, dirty: usize) {
        self.0.lock().unwrap().push((memory, dirty));
    }
}

#[test]
fn memory_of_ones_own_comes_back_whole() {
    let kept = Kept::default();
    let mut buf = Recycler::new(kept.clone()).lend(vec![0; SIZE].into(), 0).unwrap();
    buf.extend_from_slice(&[1; 10]).unwrap();
    buf.consume(2);
    let mut back = buf.split_off(3).unwrap();
    back.extend_from_slice(&[1; 10]).unwrap();
    back.truncate(1);
    drop(back);
    assert!(kept.0.lock().unwrap().is_empty());
    drop(buf);
    let came_back = kept.0.lock().unwrap().pop().unwrap();
    assert_eq!((came_back.0.len(), came_back.1), (SIZE, 20));
    assert_eq!(came_back.0[..20], [1; 20]);

    let mut vec = Vec::with_capacity(100);
    vec.extend_from_slice(b"hello");
    let mut front = PooledBuf::try_from(vec).unwrap();
    let capacity = front.capacity();
    let mut back = front.split_off(2).unwrap();
    // Of memory that is not initialised.
    back.spare_mut();
    assert_eq!(back.read_from(&mut &b", world"[..]).unwrap(), 7);
    assert_eq!((&front[..], &back[..]), (&b"he"[..], &b"llo, world"[..]));
    drop(front);
    assert!(back.try_reclaim());
    assert_eq!((&back[..], back.capacity()), (&b"llo, world"[..], capacity));
}

/// Where the guards of a random program come from.
enum Source {
    Pool(Box<dyn Pool>, Budget),
    Heap,
    Recycler(Recycler<Kept>, Kept),
}

impl Source {
    fn new(which: u8, wipe: Wipe) -> Source {
        let budget = Budget::new(2 * SIZE);
        let config = config(wipe).budget(&budget).track_holders(true);
        let pool: Box<dyn Pool> = match which {
            0 => Box::new(BufferPool::with_config(config.max(2)).unwrap()),
            1 => Box::new(AlignedPool::with_config(config.max(2)).unwrap()),
            2 => Box::new(LockFreePool::<2>::with_config(config).unwrap()),
            3 => {
                let tier = config.max(2);
                Box::new(MultiSizePool::with_config(MultiSizeConfig::new().tier(tier)).unwrap())
            }
            4 => return Source::Heap,
            _ => {
                let kept = Kept::default();
                return Source::Recycler(Recycler::new(kept.clone()), kept);
            }
        };
        Source::Pool(pool, budget)
    }

    fn acquire(&self) -> Option<PooledBuf> {
        match self {
            Source::Pool(pool, _) => pool.acquire_for(SIZE).ok(),
            Source::Heap => Some(PooledBuf::try_from(Vec::with_capacity(SIZE)).unwrap()),
            Source::Recycler(recycler, kept) => {
                let again = kept.0.lock().unwrap().pop();
                let (memory, dirty) = again.unwrap_or_else(|| (vec![0; SIZE].into(), 0));
                Some(recycler.lend(memory, dirty).unwrap())
            }
        }
    }

    /// With so many buffers out.
    fn check(&self, out: usize) {
        match self {
            Source::Pool(pool, budget) => {
                assert_eq!((pool.stats().in_use, budget.stats().lent), (out, out * SIZE));
                assert_eq!(pool.holders().outstanding(), out);
            }
            Source::Heap => {}
            Source::Recycler(_, kept) => {
                for (memory, dirty) in &*kept.0.lock().unwrap() {
                    assert_eq!(memory.len(), SIZE);
                    assert!(memory[*dirty..].iter().all(|byte| *byte == 0), "dirty beyond {dirty}");
                }
            }
        }
    }
}

/// A guard beside the same bytes in a `BytesMut`, or both frozen.
struct Held {
    what: What,
    /// Which loan.
    loan: usize,
    /// What bytes this guard, and those it was split from, have written: each write has its own.
    own: Vec<u8>,
}

enum What {
    Guard(PooledBuf, BytesMut),
    Frozen(Bytes, Bytes),
}

/// What all parts of a buffer have in common.
#[derive(Clone)]
struct Loan {
    /// The buffer's first byte.
    address: usize,
    split: bool,
    /// Bytes were handed out that no report has been made of.
    unreported: bool,
}

fn guards_do_what_bytes_mut_does(source: &Source, steps: &[(u8, u8, u8)]) {
    let mut held: Vec<Held> = Vec::new();
    let mut loans: Vec<Loan> = Vec::new();
    let mut stamp = 0_u8;
    for &(step, which, n) in steps {
        stamp = stamp % 199 + 1;
        let n = usize::from(n);
        if step % 18 == 0 || held.is_empty() {
            if let Some(mut buf) = source.acquire() {
                loans.push(Loan {
                    address: buf.spare_mut_for(0).unwrap().as_ptr() as usize,
                    split: false,
                    unreported: false,
                });
                held.push(Held {
                    what: What::Guard(buf, BytesMut::with_capacity(SIZE)),
                    loan: loans.len() - 1,
                    own: Vec::new(),
                });
            }
            continue;
        }
        let which = usize::from(which) % held.len();
        let parts = held.iter().filter(|one| one.loan == held[which].loan).count();
        let Held { what, loan, own } = &mut held[which];
        let number = *loan;
        let loan = &mut loans[number];
        let What::Guard(buf, twin) = what else {
            match step % 3 {
                0 => {
                    let What::Frozen(bytes, twin) = what else {
                        unreachable!()
                    };
                    let at = n % (bytes.len() + 1);
                    let (bytes, twin) = (bytes.split_off(at), twin.split_off(at));
                    if !bytes.is_empty() {
                        let what = What::Frozen(bytes, twin);
                        held.push(Held {
                            what,
                            loan: number,
                            own: Vec::new(),
                        });
                    }
                }
                1 => drop(held.swap_remove(which)),
                _ => {}
            }
            // `Bytes` of no bytes may keep their owner, or not.
            held.retain(|one| !matches!(&one.what, What::Frozen(bytes, _) if bytes.is_empty()));
            continue;
        };
        let (len, spare) = (buf.len(), buf.spare_len());
        let bytes = vec![stamp; n % 20];
        match step % 18 {
            1 | 2 => {
                if buf.extend_from_slice(&bytes).is_ok() {
                    twin.extend_from_slice(&bytes);
                    own.push(stamp);
                } else {
                    assert!(bytes.len() > spare);
                }
            }
            3 if buf.prepend(&bytes).is_ok() => {
                *twin = [&bytes, &twin[..]].concat()[..].into();
                own.push(stamp);
            }
            4..=7 => {
                let at = n % (len + 2);
                let split = match step % 2 {
                    0 => buf.split_to(at),
                    _ => buf.split_off(at),
                };
                if at > len {
                    assert_eq!(split.unwrap_err(), SplitError::TooShort { at, len });
                } else {
                    let part = split.unwrap();
                    let other = match step % 2 {
                        0 => twin.split_to(at),
                        _ => twin.split_off(at),
                    };
                    assert!(part.capacity() + buf.capacity() >= len + spare);
                    loan.split |= at > 0 && len + spare > at;
                    let own = own.clone();
                    let what = What::Guard(part, other);
                    held.push(Held {
                        what,
                        loan: number,
                        own,
                    });
                    // A part of nothing is none.
                    held.retain(|one| !matches!(&one.what, What::Guard(buf, _) if buf.capacity() == 0));
                }
            }
            8 => {
                buf.consume(n % (len + 2));
                twin.advance((n % (len + 2)).min(len));
            }
            9 => {
                buf.truncate(n);
                twin.truncate(n);
            }
            10 => {
                buf.clear();
                twin.clear();
            }
            11 => buf.compact(),
            12 => {
                let whole = parts == 1;
                assert_eq!(buf.try_reclaim(), whole || !loan.split);
                if whole && loan.split {
                    loan.split = false;
                    let begins = (buf.as_ptr() as usize) as i64 - loan.address as i64;
                    assert!(begins == 0 || begins < 0 && len > 0);
                    assert_eq!(buf.spare_len() as i64, SIZE as i64 - begins - len as i64);
                }
            }
            13 => {
                let count = n % (spare + 1);
                let shown: Vec<u8> = match n % 2 {
                    0 => buf.spare_mut().to_vec(),
                    _ => {
                        buf.commit(count).unwrap();
                        twin.extend_from_slice(&buf[len..]);
                        buf[len..].to_vec()
                    }
                };
                for byte in shown {
                    assert!(
                        [0, POISON].contains(&byte) || own.contains(&byte),
                        "another holder's {byte}"
                    );
                }
            }
            14 => {
                // SAFETY: only bytes are written.
                let spare = unsafe { buf.spare_capacity_mut() };
                spare.iter_mut().take(n).for_each(|byte| {
                    byte.write(stamp);
                });
                own.push(stamp);
                loan.unreported = true;
            }
            15 if !loan.unreported => {
                let count = n % (spare + 1);
                let chunk = buf.chunk_mut();
                chunk[..count].copy_from_slice(&vec![stamp; count]);
                // SAFETY: so many were written.
                unsafe { buf.advance_mut(count) };
                twin.put_bytes(stamp, count);
                own.push(stamp);
            }
            16 if len > 0 => {
                let one = held.swap_remove(which);
                let What::Guard(buf, twin) = one.what else {
                    unreachable!()
                };
                let what = What::Frozen(buf.freeze(), twin.freeze());
                held.push(Held { what, ..one });
            }
            17 => {
                let one = held.swap_remove(which);
                match (n % 2, one.what) {
                    (0, What::Guard(buf, _)) => thread::spawn(|| drop(buf)).join().unwrap(),
                    (_, what) => drop(what),
                }
            }
            _ => {}
        }
        for one in &held {
            match &one.what {
                What::Guard(buf, twin) => assert_eq!(buf[..], twin[..]),
                What::Frozen(bytes, twin) => assert_eq!(bytes, twin),
            }
        }
        let mut out: Vec<_> = held.iter().map(|one| one.loan).collect();
        out.sort_unstable();
        out.dedup();
        source.check(out.len());
    }
    drop(held);
    source.check(0);
}

proptest! {
    #[test]
    fn parts_do_what_those_of_bytes_mut_do(
        which in 0..6_u8,
        wipe in prop::sample::select(vec![Wipe::Never, Wipe::OnRelease, Wipe::Secure, Wipe::Poison]),
        steps in prop::collection::vec(any::<(u8, u8, u8)>(), 1..150),
    ) {
        let source = Source::new(which, wipe);
        guards_do_what_bytes_mut_does(&source, &steps);
        let Source::Pool(pool, _) = &source else { return Ok(()) };
        let mut bufs = pool.acquire_many(2, SIZE).unwrap();
        for buf in &mut bufs {
            if wipe != Wipe::Never {
                // SAFETY: a pool's bytes are initialised, and nothing is written.
                let raw = unsafe { buf.spare_capacity_mut().iter().map(|byte| byte.assume_init()).collect::<Vec<u8>>() };
                prop_assert!(raw.iter().all(|byte| [0, POISON].contains(byte)), "not wiped: {raw:?}");
            }
            let shown = buf.spare_mut();
            prop_assert!(shown.iter().all(|byte| [0, POISON].contains(byte)), "an earlier holder's: {shown:?}");
        }
    }
}
