//! A guard as what it is to its holder: a buffer of bytes, compared, hashed, written and read like one.

use std::borrow::Borrow;
use std::collections::{BTreeSet, HashMap};
use std::fmt::{self, Write as _};
use std::hash::{BuildHasher, RandomState};
use std::hint::black_box;
use std::io::{self, BufReader, ErrorKind, IoSlice, IoSliceMut, Read, Write};
use std::thread;

use poolbuf::{BufferPool, CapacityError, Pool, PoolConfig, PooledBuf, Wipe};

/// Bytes a buffer.
const SIZE: usize = 64;

fn pool() -> BufferPool {
    BufferPool::new(SIZE, 0, 16).unwrap()
}

fn holding(bytes: &[u8]) -> PooledBuf {
    let mut buf = pool().acquire().unwrap();
    buf.extend_from_slice(bytes).unwrap();
    buf
}

/// Whether the two are equal, which must be the same both ways.
fn equal<T: ?Sized + PartialEq<PooledBuf>>(buf: &PooledBuf, other: &T) -> bool
where
    PooledBuf: PartialEq<T>,
{
    let (one_way, back) = (buf == other, other == buf);
    assert_eq!((one_way, buf != other, other != buf), (back, !back, !back));
    one_way
}

#[test]
fn a_guard_equals_whatever_holds_the_same_bytes_both_ways() {
    let buf = holding(b"abc");
    let same = PooledBuf::try_from(b"abc".to_vec()).unwrap();
    assert_ne!(buf.capacity(), same.capacity());
    assert!(equal(&buf, &same));
    for other in ["abc", "abd", "ab", "abcd", ""] {
        let (bytes, same) = (other.as_bytes(), other == "abc");
        assert_eq!(equal(&buf, bytes), same);
        assert_eq!(equal(&buf, &bytes), same);
        assert_eq!(equal(&buf, &bytes.to_vec()), same);
        assert_eq!(equal(&buf, other), same);
        assert_eq!(equal(&buf, &other), same);
        assert_eq!(equal(&buf, &holding(bytes)), same);
    }
    assert!(equal(&buf, b"abc") && equal(&buf, &b"abc"));
    assert!(!equal(&buf, b"abd") && !equal(&buf, b"abcd") && !equal(&buf, &b"ab"));
    let mut longer = holding(b"abcdef");
    longer.truncate(3);
    assert_eq!(longer, buf, "what is behind the length does not count");
}

#[test]
fn guards_are_ordered_as_their_bytes_are() {
    let words = ["b", "", "ab", "a", "ba"];
    let sorted: BTreeSet<PooledBuf> = words.map(|word| holding(word.as_bytes())).into();
    assert!(sorted.iter().eq(["", "a", "ab", "b", "ba"]));
    assert!(sorted.contains(&b"ab"[..]) && !sorted.contains(&b"abc"[..]));
    for one in words {
        for other in words {
            let guards = (holding(one.as_bytes()), holding(other.as_bytes()));
            assert_eq!(guards.0.cmp(&guards.1), one.cmp(other));
            assert_eq!(guards.0.partial_cmp(&guards.1), one.partial_cmp(other));
        }
    }
}

#[test]
fn a_map_of_guards_is_searched_with_slices() {
    let state = RandomState::new();
    for bytes in [&b""[..], b"a", &[0; SIZE]] {
        let guard = holding(bytes);
        assert_eq!(state.hash_one(&guard), state.hash_one(bytes));
        let borrowed: &[u8] = guard.borrow();
        assert_eq!(borrowed, bytes);
    }
    let mut sessions = HashMap::new();
    sessions.insert(holding(b"key"), 7);
    assert_eq!(sessions.get(&b"key"[..]), Some(&7));
    assert_eq!(sessions.get(&b"kez"[..]), None);
}

#[test]
fn a_guard_is_seen_and_changed_as_a_slice() {
    fn sum(bytes: impl AsRef<[u8]>) -> u32 {
        bytes.as_ref().iter().map(|byte| u32::from(*byte)).sum()
    }
    let mut buf = holding(&[1, 2, 3]);
    assert_eq!((sum(&buf), &buf[..]), (6, &[1, 2, 3][..]));
    for byte in &mut buf {
        *byte *= 2;
    }
    buf.as_mut_slice()[0] = 9;
    buf.as_mut_slice()[1] = 8;
    let bytes: Vec<_> = (&buf).into_iter().copied().collect();
    assert_eq!(bytes, [9, 8, 6]);
    let pool = pool();
    let mut empty = pool.acquire().unwrap();
    assert!(empty.is_empty() && empty.as_mut_slice().is_empty());
    assert_eq!((&mut empty).into_iter().count(), 0);
}

#[test]
fn a_vec_of_a_guard_is_a_copy_and_gives_the_buffer_back() {
    let pool = pool();
    let mut buf = pool.acquire().unwrap();
    buf.extend_from_slice(b"copied").unwrap();
    let copy = Vec::from(buf);
    assert_eq!((&copy[..], pool.stats().in_use), (&b"copied"[..], 0));
    let nothing: Vec<u8> = pool.acquire().unwrap().into();
    assert!(nothing.is_empty());
}

#[test]
fn write_takes_what_fits_and_says_how_much() {
    let mut buf = holding(&[1; SIZE - 3]);
    assert_eq!(buf.write(b"").unwrap(), 0);
    assert_eq!(buf.write(b"abcde").unwrap(), 3);
    assert!(buf.ends_with(&[1, b'a', b'b', b'c']));
    assert_eq!((buf.len(), buf.write(b"more").unwrap()), (SIZE, 0));
    buf.flush().unwrap();
}

#[test]
fn write_all_and_copy_write_what_fits_and_then_fail_with_the_numbers() {
    fn refused(error: &io::Error) -> CapacityError {
        assert_eq!(error.kind(), ErrorKind::WriteZero);
        *error.get_ref().unwrap().downcast_ref().unwrap()
    }
    let mut buf = holding(b"ab");
    let error = buf.write_all(&[7; SIZE]).unwrap_err();
    let error = refused(&error);
    assert_eq!((error.requested, error.spare), (SIZE, SIZE - 2));
    assert_eq!(buf, [&b"ab"[..], &[7; SIZE - 2]].concat());
    let mut two = PooledBuf::try_from(vec![0; 2]).unwrap();
    two.clear();
    two.extend_from_slice(&[1]).unwrap();
    let error = two.extend_from_slice(b"ab").unwrap_err();
    let expected = "2 bytes do not fit: the buffer has room for 1 of its 2";
    assert_eq!(error.to_string(), expected);
    let error = buf.write_all(b"x").unwrap_err();
    assert_eq!(error.to_string(), "the buffer is full: it holds 64 bytes");

    let mut buf = pool().acquire().unwrap();
    let mut source = &[5_u8; 100][..];
    let error = io::copy(&mut source, &mut buf).unwrap_err();
    assert_eq!(refused(&error).requested, 100);
    assert_eq!(buf, [5; SIZE], "what fits is not lost");

    let mut buf = pool().acquire().unwrap();
    let mut whole = BufReader::new(&[6_u8; SIZE][..]);
    assert_eq!(io::copy(&mut whole, &mut buf).unwrap(), SIZE as u64);
    buf.write_all(b"").unwrap();
    assert_eq!(buf, [6; SIZE]);
}

#[test]
fn text_is_added_piece_by_piece_each_whole() {
    let mut buf = pool().acquire().unwrap();
    buf.write_str("é").unwrap();
    buf.write_char('ü').unwrap();
    fmt::Write::write_fmt(&mut buf, format_args!(" {:>4}", 12)).unwrap();
    assert_eq!(buf, "éü   12");
    let mut buf = holding(&[b'-'; SIZE - 3]);
    // Numbers that the compiler does not write into one text.
    let (small, large) = (black_box(12), black_box(345));
    let written = fmt::Write::write_fmt(&mut buf, format_args!("{small}{large}"));
    assert!(written.is_err());
    assert!(buf.ends_with(b"-12"), "345 is not cut in two");
    assert!(buf.write_char('é').is_err() && buf.write_char('e').is_ok());
}

#[test]
fn resize_adds_and_cuts_off() {
    let mut buf = pool().acquire().unwrap();
    let bytes: Vec<_> = (0..SIZE as u8).collect();
    buf.extend_from_slice(&bytes).unwrap();
    buf.resize(2, 9).unwrap();
    assert_eq!(buf, [0, 1]);
    buf.resize(2, 9).unwrap();
    buf.resize(5, 9).unwrap();
    assert_eq!(buf, [0, 1, 9, 9, 9], "not what lay behind");
    for len in [SIZE + 1, usize::MAX] {
        let error = buf.resize(len, 0).unwrap_err();
        assert_eq!((error.requested, error.spare), (len - 5, SIZE - 5));
    }
    assert_eq!(buf.len(), 5);
    buf.resize(SIZE, 3).unwrap();
    assert!(buf[5..].iter().all(|byte| *byte == 3));
    buf.resize(0, 3).unwrap();
    assert!(buf.is_empty());
}

#[test]
fn a_vec_or_a_box_becomes_a_guard_of_no_pool_without_a_copy() {
    let mut memory = Vec::with_capacity(100);
    memory.extend_from_slice(b"from the heap");
    let (address, capacity) = (memory.as_ptr(), memory.capacity());
    let mut buf = PooledBuf::try_from(memory).unwrap();
    assert_eq!((buf.as_ptr(), buf.capacity()), (address, capacity));
    assert_eq!((&buf[..], buf.slot()), (&b"from the heap"[..], None));
    buf.extend_from_slice(b", and on").unwrap();
    assert_eq!(buf, "from the heap, and on");
    assert!(buf.resize(capacity + 1, 0).is_err());
    // Released wherever it is dropped, as any other.
    thread::spawn(move || assert_eq!(buf.len(), 21)).join().unwrap();

    let boxed: Box<[u8]> = Box::from(*b"boxed");
    let address = boxed.as_ptr();
    let buf = PooledBuf::try_from(boxed).unwrap();
    assert_eq!((buf.as_ptr(), buf.spare_len()), (address, 0));
    assert_eq!(buf, b"boxed");

    for mut empty in [
        PooledBuf::try_from(Vec::new()).unwrap(),
        PooledBuf::try_from(Box::<[u8]>::default()).unwrap(),
    ] {
        assert_eq!((empty.len(), empty.capacity()), (0, 0));
        assert!(empty.spare_mut().is_empty() && empty.extend_from_slice(&[1]).is_err());
        let error = empty.read_from(&mut &b"x"[..]).unwrap_err();
        assert_eq!(error.to_string(), "the buffer is full: it holds 0 bytes");
    }
}

/// What a `Vec` has to spare may never have been written: it is zeroed before safe code sees it, and only as far.
#[test]
fn the_spare_bytes_of_a_vec_show_nothing_that_was_not_written() {
    type Look = fn(&mut PooledBuf);
    let looks: [Look; 5] = [
        |buf| assert!(buf.spare_mut().iter().all(|byte| *byte == 0)),
        |buf| assert_eq!(buf.spare_mut_for(10).unwrap(), [0; 10]),
        |buf| {
            buf.commit(buf.spare_len()).unwrap();
            assert!(buf[3..].iter().all(|byte| *byte == 0));
        },
        |buf| {
            // A reader that claims what it has not written.
            struct Claims;
            impl Read for Claims {
                fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
                    Ok(bytes.len())
                }
            }
            buf.read_from_any(&mut Claims).unwrap();
            assert!(buf[3..].iter().all(|byte| *byte == 0));
        },
        |buf| {
            buf.extend_from_slice(&[1; 20]).unwrap();
            buf.truncate(1);
            buf.commit(40).unwrap();
            assert_eq!(buf[1..3], *b"bc");
            assert_eq!(buf[3..23], [1; 20]);
            assert_eq!(buf[23..41], [0; 18]);
        },
    ];
    for look in looks {
        // What the allocator hands out next is likely this again.
        drop(vec![0x5E_u8; 4096]);
        let mut memory = Vec::with_capacity(4096);
        memory.extend_from_slice(b"abc");
        let mut buf = PooledBuf::try_from(memory).unwrap();
        look(&mut buf);
        assert!(buf.starts_with(b"a"));
    }
}

#[cfg(target_pointer_width = "64")]
#[test]
fn a_vec_that_a_guard_cant_count_is_refused() {
    let limit = u32::MAX as usize;
    // Address space only: nothing touches it.
    let largest = PooledBuf::try_from(Vec::with_capacity(limit)).unwrap();
    assert_eq!(largest.capacity(), limit);
    drop(largest);
    let mut short = Vec::with_capacity(limit + 1);
    short.push(1);
    let error = PooledBuf::try_from(short).unwrap_err();
    assert_eq!((error.requested, error.capacity), (limit + 1, limit));
    let boxed = vec![0; limit + 1].into_boxed_slice();
    let error = PooledBuf::try_from(boxed).unwrap_err();
    assert_eq!((error.requested, error.capacity), (limit + 1, limit));
}

#[cfg(feature = "bytes")]
#[test]
fn a_guard_of_no_pool_is_frozen_as_any_other() {
    let buf = PooledBuf::try_from(b"hello, world".to_vec()).unwrap();
    let address = buf.as_ptr();
    let bytes = buf.freeze();
    assert_eq!(bytes.as_ptr(), address);
    let world = bytes.slice(7..);
    drop(bytes);
    assert_eq!(thread::spawn(move || world.to_vec()).join().unwrap(), b"world");
}

#[test]
fn new_ways_to_write_count_as_written_for_the_wipe() {
    let config = PoolConfig::new(SIZE).max(1).wipe(Wipe::OnRelease);
    let pool = BufferPool::with_config(config).unwrap();
    type Leave = fn(&mut PooledBuf);
    let leaves: [Leave; 3] = [
        |buf| buf.resize(30, 0x5E).unwrap(),
        |buf| assert_eq!(buf.write(&[0x5E; 2 * SIZE]).unwrap(), SIZE),
        |buf| {
            buf.resize(SIZE, 0x5E).unwrap();
            buf.truncate(0);
        },
    ];
    for leave in leaves {
        leave(&mut pool.acquire().unwrap());
        let mut next = pool.acquire().unwrap();
        // SAFETY: nothing is written.
        let memory = unsafe { next.spare_capacity_mut() };
        // SAFETY: a pool's bytes are always initialised.
        assert!(memory.iter().all(|byte| unsafe { byte.assume_init() } == 0));
    }
}

#[test]
fn many_slices_at_once_are_written_as_far_as_they_fit() {
    let pieces: [&[u8]; 5] = [b"a head", b"", b"a body", b"and a tail", b"more"];
    let slices = pieces.map(IoSlice::new);
    let all = pieces.concat();
    for room in 0..=all.len() + 1 {
        let fits = room.min(all.len());
        let mut buf = BufferPool::new(room.max(1), 0, 1).unwrap().acquire().unwrap();
        buf.resize(buf.capacity() - room, 0).unwrap();
        let before = buf.len();
        assert_eq!(buf.write_vectored(&slices).unwrap(), fits);
        assert_eq!(buf[before..], all[..fits]);

        let mut chain = BufferPool::new(4, 0, 8).unwrap().acquire_chain(32).unwrap();
        chain.extend_from_slice(&vec![0; 32 - room]).unwrap();
        assert_eq!(chain.write_vectored(&slices).unwrap(), fits);
        chain.consume(32 - room);
        let (mut first, mut second) = ([1; 5], [1; 40]);
        let targets = &mut [
            IoSliceMut::new(&mut first),
            IoSliceMut::new(&mut []),
            IoSliceMut::new(&mut second),
        ];
        assert_eq!(chain.read_vectored(targets).unwrap(), fits);
        assert!(chain.is_empty());
        let read = [&first[..], &second].concat();
        assert_eq!(read[..fits], all[..fits]);
        assert!(
            read[fits..].iter().all(|byte| *byte == 1),
            "beyond its bytes nothing is written"
        );
    }
}
