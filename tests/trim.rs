//! Trimming and decay: memory goes back to the operating system, seen by asking it which pages it holds, and what
//! is lent keeps its bytes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier, mpsc};
use std::thread;
use std::time::Duration;

use poolbuf::{
    AlignedPool, BufferPool, LockFreePool, MultiSizeConfig, MultiSizePool, Pool, PoolConfig, PooledBuf, Wipe,
};

/// In every pool here.
const BUFFERS: usize = 256;
/// Bytes; larger than the pages of any system.
const LARGE: usize = 70_000;

/// Every pool, with `BUFFERS` buffers of `size` bytes; those with magazines with all kinds of them.
fn pools(size: usize) -> Vec<Arc<dyn Pool>> {
    let config = PoolConfig::new(size).wipe(Wipe::Never);
    let lock_free = LockFreePool::<BUFFERS>::with_config(config.clone().initial(0));
    let mut pools: Vec<Arc<dyn Pool>> = vec![Arc::new(lock_free.unwrap())];
    for magazine in [0, 1, 2, usize::MAX] {
        let config = config.clone().max(BUFFERS).magazine(magazine);
        let pages = config.clone().alignment(4096);
        let tiers = MultiSizeConfig::new().tier(config.clone());
        pools.push(Arc::new(BufferPool::with_config(config).unwrap()));
        pools.push(Arc::new(AlignedPool::with_config(pages).unwrap()));
        pools.push(Arc::new(MultiSizePool::with_config(tiers).unwrap()));
    }
    pools
}

/// Writes every byte of a buffer.
fn fill(buf: &mut PooledBuf, byte: u8) {
    buf.clear();
    buf.spare_mut().fill(byte);
    buf.commit(buf.capacity()).unwrap();
}

fn all_of(pool: &(impl Pool + ?Sized)) -> Vec<PooledBuf> {
    (0..BUFFERS).map(|_| pool.acquire().unwrap()).collect()
}

/// All of them, filled with a byte that says which each is.
fn all_filled(pool: &(impl Pool + ?Sized)) -> Vec<PooledBuf> {
    let mut held = all_of(pool);
    for (number, buf) in held.iter_mut().enumerate() {
        fill(buf, number as u8);
    }
    held
}

fn assert_filled(held: &[(usize, PooledBuf)]) {
    for (number, buf) in held {
        assert!(buf.iter().all(|byte| *byte == *number as u8));
        assert_eq!(buf.len(), buf.capacity());
    }
}

/// Drops all but each `nth` one.
fn keep_each(nth: usize, held: Vec<PooledBuf>) -> Vec<(usize, PooledBuf)> {
    let numbered = held.into_iter().enumerate();
    numbered.filter(|(number, _)| number % nth == 0).collect()
}

/// Whether the system gives pages back at all.
fn gives_back() -> bool {
    cfg!(all(any(target_os = "linux", target_os = "android", windows), not(miri)))
}

/// Asks the system which pages of a buffer are in memory.
#[cfg(target_os = "linux")]
mod in_memory {
    use std::fs::File;
    use std::io::{Read, Seek, SeekFrom};

    use super::PooledBuf;

    /// Smaller ones count for nothing here.
    const PAGE: usize = 4096;

    /// Bytes of whole pages of these buffers that are in memory: `/proc/self/pagemap` has a word for each page,
    /// whose highest bit says so.
    pub(super) fn bytes<'a>(buffers: impl IntoIterator<Item = &'a PooledBuf>) -> usize {
        let mut map = File::open("/proc/self/pagemap").unwrap();
        let mut pages = 0;
        for buf in buffers {
            let address = buf.as_ptr() as usize;
            let (first, end) = (address.div_ceil(PAGE), (address + buf.capacity()) / PAGE);
            if first < end {
                let mut words = vec![0; (end - first) * 8];
                map.seek(SeekFrom::Start(first as u64 * 8)).unwrap();
                map.read_exact(&mut words).unwrap();
                pages += words.chunks(8).filter(|word| word[7] >> 7 == 1).count();
            }
        }
        pages * PAGE
    }
}

/// The heart of the matter: the pages of free buffers go, those of buffers in use stay.
#[test]
#[cfg(all(target_os = "linux", not(miri)))]
fn memory_of_free_buffers_goes_back_and_no_other() {
    for pool in pools(LARGE) {
        let kept = keep_each(8, all_filled(&*pool));
        let lent = kept.len() * LARGE;
        let given_back = pool.trim();
        let free = (BUFFERS - kept.len()) * LARGE;
        assert!(given_back <= free + BUFFERS * 4096, "{given_back} of {free}");
        assert!(given_back >= free * 9 / 10, "{given_back} of {free}");
        assert_filled(&kept);
        let resident = in_memory::bytes(kept.iter().map(|(_, buf)| buf));
        assert!(resident >= lent * 9 / 10 && resident <= lent);
        // Acquired, but never written.
        let mut others: Vec<_> = (kept.len()..BUFFERS).map(|_| pool.acquire().unwrap()).collect();
        let resident = in_memory::bytes(&others);
        assert_eq!(resident, 0, "of {free} free bytes");
        assert_eq!(pool.stats().in_use, BUFFERS);
        for buf in &mut others {
            fill(buf, 7);
        }
        assert_filled(&kept);
    }
}

#[test]
fn figures_say_what_was_given_back() {
    for pool in pools(LARGE) {
        let held = all_filled(&*pool);
        let before = pool.stats();
        assert!(before.resident_bytes >= BUFFERS * LARGE);
        drop(held);
        let given_back = pool.trim();
        assert_eq!(given_back > 0, gives_back());
        let after = pool.stats();
        assert_eq!(after.resident_bytes, before.resident_bytes - given_back);
        assert_eq!(
            (after.acquired, after.high_water, after.total, after.in_use),
            (before.acquired, before.high_water, before.total, 0)
        );
        assert_eq!(pool.trim(), 0, "all of it is gone already");
        // A magazine may take a few more than are asked for.
        let held: Vec<_> = (0..BUFFERS / 2).map(|_| pool.acquire().unwrap()).collect();
        let (half, whole) = (pool.stats().resident_bytes, before.resident_bytes);
        if gives_back() {
            assert!(half >= whole * 49 / 100 && half < whole * 60 / 100, "{half} of {whole}");
        }
        let rest: Vec<_> = (0..BUFFERS / 2).map(|_| pool.acquire().unwrap()).collect();
        assert_eq!(pool.stats().resident_bytes, before.resident_bytes);
        drop((held, rest));
        assert_eq!(pool.trim(), given_back);
    }
}

/// Buffers much smaller than a page go with their neighbours, and not while one of them is in use.
#[test]
fn small_buffers_are_trimmed_with_their_neighbours() {
    // Of the lock-free pool, neither of two shards that share a page gives it back: all of these do.
    for pool in pools(64).into_iter().skip(1) {
        // From the highest to the lowest, so that no two neighbours lie side by side in the free-stack.
        let mut held = all_filled(&*pool);
        held.sort_by_key(|buf| (buf.as_ptr() as usize / 64) % 7);
        drop(held);
        let given_back = pool.trim();
        assert_eq!(given_back > 0, gives_back());
        assert!(given_back <= BUFFERS * 4096);

        let each_16th = keep_each(16, all_filled(&*pool));
        // With at least 4096 bytes a page, and at most 1024 from one of these to the next.
        let apart = each_16th
            .windows(2)
            .all(|pair| (pair[0].1.as_ptr() as usize).abs_diff(pair[1].1.as_ptr() as usize) <= 2048);
        let given_back = pool.trim();
        if apart {
            assert_eq!(given_back, 0, "there is one in each page");
        }
        assert_filled(&each_16th);
    }
}

#[test]
fn small_buffers_of_a_lock_free_pool_are_trimmed_a_shard_at_a_time() {
    const MANY: usize = 16_384;
    let pool = LockFreePool::<MANY>::new(64).unwrap();
    let mut held: Vec<_> = (0..MANY).map(|_| pool.acquire().unwrap()).collect();
    held.sort_by_key(|buf| (buf.as_ptr() as usize / 64) % 7);
    let one = held.pop();
    drop(held);
    let given_back = pool.trim();
    // Of each of eight shards, the first and the last page may be lost, and the page of the one that is held.
    assert!(!gives_back() || given_back >= MANY * 64 - 17 * 4096);
    assert!(given_back < MANY * 64);
    drop(one);
}

#[test]
fn initial_buffers_that_were_never_lent_go_too() {
    for magazine in [0, usize::MAX] {
        let config = PoolConfig::new(LARGE).initial(100).max(200).reserve(300);
        let pool = BufferPool::with_config(config.magazine(magazine)).unwrap();
        let one = pool.acquire().unwrap();
        let before = pool.stats().resident_bytes;
        let given_back = pool.trim();
        assert!(!gives_back() || given_back >= 98 * LARGE);
        assert!(given_back <= 99 * LARGE + 99 * 64 + 4096);
        assert_eq!(pool.stats().resident_bytes, before - given_back);
        assert_eq!(pool.trim(), 0);
        let held: Vec<_> = (1..100).map(|_| pool.acquire().unwrap()).collect();
        assert_eq!(pool.stats().resident_bytes, before);
        drop((one, held));
    }
}

/// What a thread has at hand is trimmed too, and the thread goes on.
#[test]
fn what_rests_in_magazines_of_other_threads_is_trimmed() {
    let pool = BufferPool::new(LARGE, 0, BUFFERS).unwrap();
    let (is_at_rest, at_rest) = mpsc::channel();
    let (go_on, may_go_on) = mpsc::channel::<()>();
    let pool = &pool;
    thread::scope(|scope| {
        let other = scope.spawn(move || {
            let mut held: Vec<_> = (0..4).map(|_| pool.acquire().unwrap()).collect();
            held.iter_mut().for_each(|buf| fill(buf, 1));
            drop(held);
            is_at_rest.send(()).unwrap();
            may_go_on.recv().unwrap();
            let mut held: Vec<_> = (0..4).map(|_| pool.acquire().unwrap()).collect();
            held.iter_mut().for_each(|buf| fill(buf, 2));
        });
        at_rest.recv().unwrap();
        let given_back = pool.trim();
        assert!(!gives_back() || given_back >= 3 * LARGE);
        go_on.send(()).unwrap();
        other.join().unwrap();
    });
    assert_eq!(pool.stats().in_use, 0);
}

#[test]
fn a_closed_pool_has_nothing_to_trim() {
    for pool in
        [0, usize::MAX].map(|magazine| BufferPool::with_config(PoolConfig::new(LARGE).magazine(magazine)).unwrap())
    {
        let mut held = pool.acquire().unwrap();
        drop(pool.acquire());
        fill(&mut held, 3);
        pool.close();
        assert_eq!(pool.trim(), 0);
        assert!(held.iter().all(|byte| *byte == 3));
    }
    let pool = LockFreePool::<8>::new(LARGE).unwrap();
    let _held = pool.acquire().unwrap();
    pool.close();
    let before = pool.stats();
    assert_eq!(pool.trim(), 0);
    assert_eq!((pool.stats(), before.high_water), (before, 1));
}

/// Threads that acquire, fill, check and release while another trims without end: nobody is refused where there
/// is a buffer for everybody, nobody loses a byte, and nothing is lost.
#[test]
fn others_go_on_meanwhile() {
    const THREADS: usize = 3;
    for size in [64, 10_000] {
        for pool in pools(size) {
            let (stop, start) = (AtomicBool::new(false), Barrier::new(THREADS + 1));
            thread::scope(|scope| {
                let workers: Vec<_> = (0..THREADS)
                    .map(|thread| {
                        let (pool, start) = (&pool, &start);
                        scope.spawn(move || {
                            start.wait();
                            let mut held = Vec::new();
                            for round in 0..500 {
                                // At most 42 are held by all, and 32 by the one that trims the lock-free pool.
                                let number = thread * 64 + round % 64;
                                let mut buf = pool.acquire().unwrap();
                                fill(&mut buf, number as u8);
                                held.push((number, buf));
                                if held.len() > 7 * (thread + 1) {
                                    assert_filled(&held);
                                    held.drain(..held.len() / 2);
                                }
                            }
                            assert_filled(&held);
                        })
                    })
                    .collect();
                let trimmer = scope.spawn(|| {
                    start.wait();
                    while !stop.load(Ordering::Relaxed) {
                        pool.trim();
                    }
                });
                let ends: Vec<_> = workers.into_iter().map(|worker| worker.join()).collect();
                stop.store(true, Ordering::Relaxed);
                trimmer.join().unwrap();
                assert!(ends.iter().all(Result::is_ok));
            });
            let stats = pool.stats();
            assert_eq!((stats.in_use, stats.refused), (0, 0));
            assert_eq!(stats.acquired, 500 * THREADS as u64);
            let mut held = all_of(&*pool);
            held.sort_by_key(|buf| buf.as_ptr());
            held.dedup_by_key(|buf| buf.as_ptr());
            assert_eq!(held.len(), BUFFERS);
            assert!(pool.acquire().is_err());
        }
    }
}

/// An earlier holder's bytes are no more shown after a trim than before.
#[test]
fn earlier_bytes_stay_hidden() {
    for pool in pools(1000) {
        drop(all_filled(&*pool));
        pool.trim();
        for mut buf in all_of(&*pool) {
            assert!(buf.spare_mut().iter().all(|byte| *byte == 0));
        }
    }
}

/// Nor what the system leaves in the pages that it took: of buffers that were hardly written, and never lent.
#[test]
fn what_a_trim_leaves_stays_hidden() {
    for pool in pools(1000) {
        for lent in [BUFFERS / 2, BUFFERS] {
            let mut held: Vec<_> = (0..lent).map(|_| pool.acquire().unwrap()).collect();
            held.iter_mut().for_each(|buf| buf.extend_from_slice(&[7]).unwrap());
            drop(held);
            pool.trim();
            for mut buf in all_of(&*pool) {
                assert!(buf.spare_mut().iter().all(|byte| *byte == 0));
            }
        }
    }
}

/// A pool whose generations are over as soon as anybody looks.
fn decaying(config: PoolConfig) -> BufferPool {
    BufferPool::with_config(config.magazine(0).decay(Duration::ZERO)).unwrap()
}

/// Looks at the figures until they say so few bytes; fails if they never do.
fn decays_to(pool: &BufferPool, most: usize) -> usize {
    for _ in 0..100_000 {
        let resident = pool.stats().resident_bytes;
        if resident <= most {
            return resident;
        }
    }
    panic!("still {}", pool.stats().resident_bytes);
}

#[test]
fn what_nobody_needs_decays_and_what_is_in_use_stays() {
    if !gives_back() {
        return;
    }
    let pool = decaying(PoolConfig::new(LARGE).max(BUFFERS));
    let held = keep_each(4, all_filled(&pool));
    let lent = held.len() * (LARGE + 128);
    let resident = decays_to(&pool, lent + BUFFERS * 4096);
    assert!(resident >= held.len() * LARGE);
    assert_filled(&held);
    drop(held);
    decays_to(&pool, BUFFERS * 4096);
    let held = all_filled(&pool);
    assert!(pool.stats().resident_bytes >= BUFFERS * LARGE);
    drop(held);
}

/// Nothing but visits to the depot is needed, and those of a program that uses few buffers trim the others.
#[test]
fn acquiring_and_releasing_drives_the_decay() {
    if !gives_back() {
        return;
    }
    let pool = decaying(PoolConfig::new(LARGE).max(BUFFERS));
    drop(all_filled(&pool));
    for _ in 0..100_000 {
        drop(pool.acquire().unwrap());
    }
    // Asking ends one more generation at most, which alone trims nothing.
    assert!(pool.stats().resident_bytes <= 2 * LARGE + BUFFERS * 4096);
}

#[test]
fn the_initial_buffers_do_not_decay() {
    if !gives_back() {
        return;
    }
    let pool = decaying(PoolConfig::new(LARGE).initial(100).max(BUFFERS));
    drop(all_filled(&pool));
    decays_to(&pool, 101 * (LARGE + 128) + BUFFERS * 4096);
    for _ in 0..1000 {
        assert!(pool.stats().resident_bytes >= 100 * LARGE);
    }
}

#[test]
fn nothing_decays_unless_asked_to() {
    let pool = BufferPool::new(LARGE, 0, BUFFERS).unwrap();
    drop(all_filled(&pool));
    for _ in 0..1000 {
        drop(pool.acquire().unwrap());
        assert!(pool.stats().resident_bytes >= BUFFERS * LARGE);
    }
}
