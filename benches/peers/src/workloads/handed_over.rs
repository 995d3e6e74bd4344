//! Buffers acquired on one thread and released on another, through a channel of rtrb's, whose own cost is a
//! row of its own. Guards that cannot leave their thread are left out.

use std::array;
use std::hint::{self, black_box};
use std::thread;
use std::time::{Duration, Instant};

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId};
use poolbuf::{BufferPool, LockFreePool, PooledBuf};
use rtrb::RingBuffer;

use super::{Candidate, Measure, Workload, candidates};
use crate::Set;
use crate::candidates::allocator::FreshVector;
use crate::candidates::array_queue::QueuePool;
use crate::candidates::bytesbuf::Bytesbuf;
use crate::candidates::cloudflare::Cloudflare;
use crate::candidates::heapless::{First, Heapless};
use crate::candidates::lockfree_object_pool::{Linear, Mutexed};
use crate::candidates::mutex::MutexPool;
use crate::candidates::object_pool::ObjectPool;
use crate::candidates::opool::Opool;
use crate::candidates::sharded_slab::OwnedSlab;
use crate::candidates::zeropool::{Uninitialised, Zeroed};
use crate::strategy::{BUFFERS, Body, MESSAGE, Strategy};

pub(crate) const HANDED_OVER: &str = "handed-over";
pub(crate) const HANDED_OVER_MANY: &str = "handed-over-32-at-once";
/// The row that shows what the channel alone costs.
pub(crate) const CHANNEL: &str = "channel-alone";

/// A multiple of [`BATCH`].
const OPERATIONS: u64 = 51_200;
/// Before anything is measured, on both threads.
const WARM_UP: u64 = 2_048;
/// Places of the channel.
const IN_FLIGHT: usize = 128;

/// How many are sent at once where it is not each by itself: an I/O thread's harvest of a ring.
const BATCH: usize = 32;

/// The wall time of `count` values made here and used on another thread, of which `AT_ONCE` are made, then sent in one
/// step, and then used.
///
/// Neither thread sleeps, since what that costs would hide all else.
fn through_channel<T: Send, const AT_ONCE: usize>(
    count: u64,
    make: impl Fn() -> T,
    take: impl Fn(T) + Send,
) -> Duration {
    let (mut sender, mut receiver) = RingBuffer::new(IN_FLIGHT);
    let steps = |count: u64| count / AT_ONCE as u64;
    thread::scope(|scope| {
        let other = scope.spawn(move || {
            for _ in 0..steps(WARM_UP) + steps(count) {
                insist(|| receiver.slots() >= AT_ONCE);
                let values = receiver.read_chunk(AT_ONCE).expect("they are there");
                values.into_iter().for_each(&take);
            }
            Instant::now()
        });
        let mut send = || {
            let values: [T; AT_ONCE] = array::from_fn(|_| make());
            insist(|| sender.slots() >= AT_ONCE);
            let places = sender.write_chunk_uninit(AT_ONCE);
            places.expect("they are there").fill_from_iter(values);
        };
        for _ in 0..steps(WARM_UP) {
            send();
        }
        let start = Instant::now();
        for _ in 0..steps(count) {
            send();
        }
        let end = other.join().expect("the other thread does not panic");
        end - start
    })
}

/// Asks until it is so, with short pauses, and lets others run now and then.
fn insist(mut is_so: impl FnMut() -> bool) {
    loop {
        for _ in 0..64 {
            if is_so() {
                return;
            }
            for _ in 0..32 {
                hint::spin_loop();
            }
        }
        thread::yield_now();
    }
}

fn measure<S: Strategy + Sync, B: Body, const AT_ONCE: usize>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    id: BenchmarkId,
    _threads: usize,
) where
    for<'a> S::Guard<'a>: Send,
{
    let strategy = S::new(BUFFERS);
    group.bench_function(id, |bencher| {
        bencher.iter_custom(|iterations| {
            through_channel::<_, AT_ONCE>(
                iterations * OPERATIONS,
                || B::acquire_and_write(&strategy, MESSAGE),
                drop,
            )
        });
    });
}

fn measure_channel<const AT_ONCE: usize>(group: &mut BenchmarkGroup<'_, WallTime>, id: BenchmarkId, _threads: usize) {
    const GUARD: [u8; size_of::<PooledBuf>()] = [0; size_of::<PooledBuf>()];
    group.bench_function(id, |bencher| {
        bencher.iter_custom(|iterations| {
            through_channel::<_, AT_ONCE>(
                iterations * OPERATIONS,
                || black_box(GUARD),
                |guard| {
                    black_box(guard);
                },
            )
        });
    });
}

pub(super) fn workloads<B: Body>(set: Set) -> [Workload; 2] {
    [
        workload::<B, 1>(set, HANDED_OVER),
        workload::<B, BATCH>(set, HANDED_OVER_MANY),
    ]
}

fn workload<B: Body, const AT_ONCE: usize>(set: Set, id: &str) -> Workload {
    let mut candidates: Vec<Candidate<Measure>> = match set {
        Set::Allocator => candidates!(
            measure, B, AT_ONCE as Measure:
            BufferPool,
            LockFreePool<BUFFERS>,
            FreshVector,
        ),
        Set::Peers => candidates!(
            measure, B, AT_ONCE as Measure:
            BufferPool,
            LockFreePool<BUFFERS>,
            FreshVector,
            Uninitialised,
            Zeroed,
            Opool,
            ObjectPool,
            Linear,
            Mutexed,
            OwnedSlab,
            Cloudflare<0>,
            Heapless<First>,
            Bytesbuf,
            QueuePool,
            MutexPool,
        ),
    };
    candidates.push(Candidate {
        id: CHANNEL,
        label: "the channel alone",
        measure: measure_channel::<AT_ONCE>,
    });
    Workload {
        id: id.into(),
        operations: OPERATIONS,
        threads: 2,
        candidates,
    }
}
