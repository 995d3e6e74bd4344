//! Buffers that are split in parts, which threads use and drop: each goes back once, with the last of them, when what
//! all have done has happened.

use loom::thread;
use poolbuf::{BufferPool, Pool, PoolConfig, PooledBuf, Wipe};

use crate::explore::{every_schedule, schedules_within};
use crate::ledger::assert_whole;
use crate::pools::{SIZE, buffer_pool, lock_free_pool};

/// A guard all of whose buffer is written.
fn full(pool: &impl Pool) -> PooledBuf {
    let mut buf = pool.acquire_for(SIZE).unwrap();
    buf.extend_from_slice(&[1; SIZE]).unwrap();
    buf
}

/// Both parts are used and dropped at once. Both touch what they share, and whoever is last frees it: loom reports it
/// if nothing orders the two, if it is freed twice, and if it is not.
fn both_at_once<P: Pool>(pool: P) {
    let mut back = full(&pool);
    let mut front = back.split_to(8).unwrap();
    let other = thread::spawn(move || front.as_mut_slice().fill(2));
    back.as_mut_slice().fill(3);
    drop(back);
    other.join().unwrap();
    assert_whole(&pool, 1);
}

#[test]
fn buffer_pool_parts_dropped_at_once() {
    every_schedule(|| both_at_once(buffer_pool(1)));
}

#[test]
fn lock_free_pool_parts_dropped_at_once() {
    every_schedule(|| both_at_once(lock_free_pool::<1>()));
}

/// What parts have written is wiped by whichever is last, on whatever thread: the part behind has written most.
fn wiped_by_the_last(pool: BufferPool) {
    let mut back = pool.acquire().unwrap();
    back.extend_from_slice(&[1; 8]).unwrap();
    let mut middle = back.split_to(6).unwrap();
    let front = middle.split_to(3).unwrap();
    let others = [
        thread::spawn(move || drop(front)),
        thread::spawn(move || {
            back.extend_from_slice(&[4; SIZE - 8]).unwrap();
        }),
    ];
    drop(middle);
    others.into_iter().for_each(|other| other.join().unwrap());
    let mut next = pool.acquire().unwrap();
    // SAFETY: nothing is written.
    let raw = unsafe { next.spare_capacity_mut() };
    // SAFETY: a pool's bytes are initialised.
    assert!(raw.iter().all(|byte| unsafe { byte.assume_init() } == 0), "not wiped");
}

#[test]
fn buffer_pool_what_parts_have_written_is_wiped_by_the_last() {
    schedules_within(3, || {
        let config = PoolConfig::new(SIZE).max(1).magazine(0).wipe(Wipe::OnRelease);
        wiped_by_the_last(BufferPool::with_config(config).unwrap());
    });
}

/// A part is split again, and takes the whole back, while another is dropped.
fn reclaimed_meanwhile<P: Pool>(pool: P) {
    let mut buf = full(&pool);
    let mut front = buf.split_to(8).unwrap();
    let other = thread::spawn(move || {
        front.as_mut_slice().fill(2);
        drop(front.split_to(4).unwrap());
    });
    if buf.try_reclaim() {
        assert_eq!((&buf[..], buf.capacity()), (&[1; SIZE - 8][..], SIZE));
        buf.commit(8).unwrap();
    }
    drop(buf);
    other.join().unwrap();
    assert_whole(&pool, 1);
}

#[test]
fn buffer_pool_part_is_reclaimed_while_another_is_dropped() {
    every_schedule(|| reclaimed_meanwhile(buffer_pool(1)));
}

/// The last handle goes while both parts are dropped: they keep the pool as the whole guard would.
#[test]
fn lock_free_pool_parts_dropped_beside_the_last_handle() {
    schedules_within(3, || {
        let pool = lock_free_pool::<1>();
        let mut back = full(&pool);
        let front = back.split_to(8).unwrap();
        let others = [thread::spawn(move || drop(front)), thread::spawn(move || drop(back))];
        drop(pool);
        others.into_iter().for_each(|other| other.join().unwrap());
    });
}
