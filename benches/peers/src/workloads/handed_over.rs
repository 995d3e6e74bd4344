//! Buffers acquired on one thread and released on another, through a channel of rtrb's, whose own cost is a
//! row of its own. Guards that cannot leave their thread are left out.

use std::hint::{self, black_box};
use std::thread;
use std::time::{Duration, Instant};

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId};
use poolbuf::{BufferPool, LockFreePool, PooledBuf};
use rtrb::{PushError, RingBuffer};

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
use crate::strategy::{BUFFERS, MESSAGE, Strategy, acquire_and_write};

pub(crate) const HANDED_OVER: &str = "handed-over";
/// The row that shows what the channel alone costs.
pub(crate) const CHANNEL: &str = "channel-alone";

const OPERATIONS: u64 = 50_000;
/// Before anything is measured, on both threads.
const WARM_UP: u64 = 2_000;
/// Places of the channel.
const IN_FLIGHT: usize = 128;

/// The wall time of `count` values made here and used on another thread.
///
/// Neither thread sleeps, since what that costs would hide all else.
fn through_channel<T: Send>(count: u64, make: impl Fn() -> T, take: impl Fn(T) + Send) -> Duration {
    let (mut sender, mut receiver) = RingBuffer::new(IN_FLIGHT);
    thread::scope(|scope| {
        let other = scope.spawn(move || {
            for _ in 0..WARM_UP + count {
                take(insist(|| receiver.pop().ok()));
            }
            Instant::now()
        });
        let mut send = || {
            let mut unsent = Some(make());
            insist(|| match sender.push(unsent.take()?) {
                Ok(()) => Some(()),
                Err(PushError::Full(value)) => {
                    unsent = Some(value);
                    None
                }
            });
        };
        for _ in 0..WARM_UP {
            send();
        }
        let start = Instant::now();
        for _ in 0..count {
            send();
        }
        let end = other.join().expect("the other thread does not panic");
        end - start
    })
}

/// Tries until there is something, with short pauses, and lets others run now and then.
fn insist<T>(mut attempt: impl FnMut() -> Option<T>) -> T {
    loop {
        for _ in 0..64 {
            if let Some(value) = attempt() {
                return value;
            }
            for _ in 0..32 {
                hint::spin_loop();
            }
        }
        thread::yield_now();
    }
}

fn measure<S: Strategy + Sync>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    id: BenchmarkId,
    _threads: usize,
) where
    for<'a> S::Guard<'a>: Send,
{
    let strategy = S::new(BUFFERS);
    group.bench_function(id, |bencher| {
        bencher.iter_custom(|iterations| {
            through_channel(
                iterations * OPERATIONS,
                || acquire_and_write(&strategy, MESSAGE),
                drop,
            )
        });
    });
}

fn measure_channel(group: &mut BenchmarkGroup<'_, WallTime>, id: BenchmarkId, _threads: usize) {
    const GUARD: [u8; size_of::<PooledBuf>()] = [0; size_of::<PooledBuf>()];
    group.bench_function(id, |bencher| {
        bencher.iter_custom(|iterations| {
            through_channel(
                iterations * OPERATIONS,
                || black_box(GUARD),
                |guard| {
                    black_box(guard);
                },
            )
        });
    });
}

pub(super) fn workload(set: Set) -> Workload {
    let mut candidates: Vec<Candidate<Measure>> = match set {
        Set::Allocator => candidates!(
            measure as Measure:
            BufferPool,
            LockFreePool<BUFFERS>,
            FreshVector,
        ),
        Set::Peers => candidates!(
            measure as Measure:
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
        measure: measure_channel,
    });
    Workload {
        id: HANDED_OVER.into(),
        operations: OPERATIONS,
        threads: 2,
        candidates,
    }
}
