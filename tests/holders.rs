//! Who holds what: the lines that acquired, on every pool and by every way to acquire.

use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use poolbuf::{
    AcquireError, AlignedPool, Budget, BufferPool, Holders, LockFreePool, MultiSizeConfig, MultiSizePool, Overflow,
    Pool, PoolConfig,
};

#[path = "shared/poll.rs"]
mod poll;

use poll::poll;

const SIZE: usize = 64;
const MAX: usize = 4;

fn pools(track: bool) -> Vec<Arc<dyn Pool>> {
    let config = || PoolConfig::new(SIZE).track_holders(track);
    let tiers = MultiSizeConfig::new()
        .tier(config().max(3))
        .tier(config().buffer_size(2 * SIZE).max(1));
    let tiers = tiers.overflow(Overflow::NextTier);
    vec![
        Arc::new(BufferPool::with_config(config().max(MAX)).unwrap()),
        Arc::new(AlignedPool::with_config(config().max(MAX)).unwrap()),
        Arc::new(LockFreePool::<MAX>::with_config(config()).unwrap()),
        Arc::new(MultiSizePool::with_config(tiers).unwrap()),
    ]
}

/// The lines that hold buffers, and how many each.
fn lines(holders: &Holders) -> Vec<(u32, usize)> {
    let here = holders.lines().iter().map(|line| {
        let location = line.location();
        assert_eq!(location.file(), file!());
        (location.line(), line.buffers())
    });
    here.collect()
}

#[test]
fn lines_are_named_the_one_that_holds_most_first() {
    for pool in pools(true) {
        assert_eq!(pool.holders().outstanding(), 0);
        let (one, first) = (pool.acquire_for(SIZE).unwrap(), line!());
        let acquire = || pool.acquire_for(SIZE).unwrap();
        let second = line!() - 1;
        let two = [acquire(), acquire()];
        assert_eq!(lines(&pool.holders()), [(second, 2), (first, 1)]);
        assert_eq!(pool.holders().outstanding(), 3);
        drop(two);
        assert_eq!(lines(&pool.holders()), [(first, 1)]);
        drop(one);
        assert!(pool.holders().lines().is_empty());
    }
}

#[test]
fn the_age_of_a_line_is_that_of_its_oldest_buffer() {
    for pool in pools(true) {
        let before = Instant::now();
        let acquire = || pool.acquire_for(SIZE).unwrap();
        let oldest = acquire();
        let after = Instant::now();
        let younger = acquire();
        let at_least = after.elapsed();
        let age = pool.holders().lines()[0].age();
        assert!(at_least <= age && age <= before.elapsed());
        drop(oldest);
        assert!(pool.holders().lines()[0].age() <= after.elapsed());
        drop(younger);
    }
}

#[test]
fn the_error_names_the_line_that_holds_most_and_the_oldest() {
    for pool in pools(true) {
        let (_oldest, first) = (pool.acquire_for(SIZE).unwrap(), line!());
        std::thread::sleep(Duration::from_millis(2));
        let most = line!() + 1;
        let _many: Vec<_> = (1..MAX).map(|_| pool.acquire_for(SIZE).unwrap()).collect();
        let late = pool.acquire_timeout(SIZE, Duration::ZERO).unwrap_err();
        let named = late.to_string();
        assert!(named.contains(&format!("{}:{most}:", file!())), "{named}");
        let error = pool.acquire_for(SIZE).unwrap_err();
        let text = error.to_string();
        match error {
            AcquireError::Exhausted {
                held_by: Some(held_by), ..
            } => {
                // Of tiers, those that were asked.
                assert!(held_by.most().buffers() >= MAX - 2);
                assert_eq!(held_by.most().location().line(), most);
                assert_eq!(held_by.oldest().location().line(), first);
                assert!(held_by.oldest().age() >= Duration::from_millis(2));
            }
            other => panic!("{other}"),
        }
        assert!(text.contains(&format!("{}:{most}:", file!())), "{text}");
    }
}

#[test]
fn a_line_that_holds_most_and_the_oldest_is_named_once() {
    let config = PoolConfig::new(SIZE).max(2).track_holders(true);
    let pool = BufferPool::with_config(config).unwrap();
    let _both: Vec<_> = (0..2).map(|_| pool.acquire().unwrap()).collect();
    let text = pool.acquire().unwrap_err().to_string();
    assert_eq!(text.matches(file!()).count(), 1, "{text}");
    assert!(text.contains("; 2 of them acquired at "), "{text}");
}

#[test]
fn every_way_to_acquire_names_its_caller() {
    for pool in pools(true) {
        let start = line!();
        let _held = [
            pool.acquire_for(SIZE).unwrap(),
            pool.acquire_timeout(SIZE, Duration::MAX).unwrap(),
            block_on(pool.acquire_async(SIZE)).unwrap(),
        ];
        let mut named: Vec<_> = lines(&pool.holders()).iter().map(|line| line.0).collect();
        named.sort_unstable();
        assert_eq!(named, [start + 2, start + 3, start + 4]);
    }
    // However the pool is wrapped.
    let pools = pools(true);
    let pool: Box<&dyn Pool> = Box::new(&*pools[0]);
    let (_held, line) = (pool.acquire().unwrap(), line!());
    assert_eq!(lines(&pool.holders()), [(line, 1)]);
}

fn block_on<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.unwrap().block_on(future)
}

#[test]
fn a_buffer_that_was_handed_over_is_its_new_holders() {
    for pool in pools(true) {
        let held: Vec<_> = (0..MAX).map(|_| pool.acquire_for(SIZE).unwrap()).collect();
        std::thread::scope(|scope| {
            let (buf, line) = (
                scope.spawn(|| pool.acquire_timeout(SIZE, Duration::MAX).unwrap()),
                line!() - 1,
            );
            drop(held);
            let buf = buf.join().unwrap();
            assert_eq!(lines(&pool.holders()), [(line, 1)]);
            drop(buf);
        });
        assert_eq!(pool.holders().outstanding(), 0);
    }
}

#[test]
fn without_tracking_only_the_number_is_known() {
    for pool in pools(false) {
        let held: Vec<_> = (0..MAX).map(|_| pool.acquire_for(SIZE).unwrap()).collect();
        let holders = pool.holders();
        assert_eq!((holders.outstanding(), holders.lines().len()), (MAX, 0));
        assert_eq!(holders.to_string(), "4 buffers are out");
        let error = pool.acquire_for(SIZE).unwrap_err();
        assert!(matches!(error, AcquireError::Exhausted { held_by: None, .. }));
        drop(held);
        let _one = pool.acquire_for(SIZE).unwrap();
        assert_eq!(pool.holders().to_string(), "1 buffer is out");
    }
}

#[test]
fn closing_says_who_still_holds_buffers() {
    let config = PoolConfig::new(SIZE).max(MAX).track_holders(true);
    let pool = BufferPool::with_config(config).unwrap();
    let (held, line) = (pool.acquire().unwrap(), line!());
    assert_eq!(lines(&pool.close()), [(line, 1)]);
    drop(held);
    assert_eq!(pool.holders().outstanding(), 0);

    let pool: Arc<dyn Pool> = Arc::new(LockFreePool::<MAX>::new(SIZE).unwrap());
    let _held = [pool.acquire().unwrap(), pool.acquire().unwrap()];
    assert_eq!(pool.close().outstanding(), 2);
}

/// Its task may wait for what its buffer is needed for: only the line where it waits tells of that.
#[test]
fn a_buffer_handed_to_a_request_that_is_not_polled_is_held_by_its_line() {
    let config = || PoolConfig::new(SIZE).max(1).track_holders(true);
    let budget = Budget::new(SIZE);
    let pools: [Arc<dyn Pool>; 5] = [
        Arc::new(BufferPool::with_config(config()).unwrap()),
        Arc::new(AlignedPool::with_config(config()).unwrap()),
        Arc::new(LockFreePool::<1>::with_config(config()).unwrap()),
        Arc::new(MultiSizePool::with_config(MultiSizeConfig::new().tier(config())).unwrap()),
        Arc::new(BufferPool::with_config(config().budget(&budget)).unwrap()),
    ];
    for pool in &pools {
        let only = pool.acquire().unwrap();
        let (mut waiting, line) = (pool.acquire_async(1), line!());
        assert!(poll(&mut waiting).is_pending());
        drop(only);
        assert_eq!(lines(&pool.holders()), [(line, 1)]);
        assert_eq!(pool.holders().outstanding(), 1);
        match pool.acquire().unwrap_err() {
            AcquireError::Exhausted {
                held_by: Some(held_by), ..
            } => assert_eq!((held_by.most().buffers(), held_by.most().location().line()), (1, line)),
            // The bytes are its, too.
            AcquireError::OverBudget { lent: SIZE, .. } => {}
            error => panic!("{error}"),
        }
        drop(waiting);
        assert_eq!(pool.holders().outstanding(), 0);
        drop(pool.acquire().unwrap());
    }
}

#[test]
fn a_request_that_waits_for_bytes_holds_nothing_until_it_has_them() {
    let budget = Budget::new(SIZE);
    let config = || PoolConfig::new(SIZE).track_holders(true).budget(&budget);
    let [pool, other] = [(); 2].map(|()| BufferPool::with_config(config()).unwrap());
    let held = other.acquire().unwrap();
    let (mut waiting, line) = (pool.acquire_async(1), line!());
    assert!(poll(&mut waiting).is_pending());
    assert_eq!(pool.holders().outstanding(), 0);
    drop(held);
    assert_eq!(lines(&pool.holders()), [(line, 1)]);
    let Poll::Ready(buf) = poll(&mut waiting) else {
        panic!("the bytes have come");
    };
    assert_eq!(lines(&pool.holders()), [(line, 1)]);
    drop(buf);
    assert_eq!(pool.holders().outstanding(), 0);
}
