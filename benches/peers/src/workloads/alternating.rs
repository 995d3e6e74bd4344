//! Two pools in turn on one thread: a buffer of the one, then a buffer of the other.

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId};
use poolbuf::{BufferPool, LockFreePool};

use super::{Candidate, Measure, Workload};
use crate::Set;
use crate::candidates::allocator::FreshVector;
use crate::candidates::array_queue::QueuePool;
use crate::candidates::bytesbuf::Bytesbuf;
use crate::candidates::cloudflare::Cloudflare;
use crate::candidates::floor::LocalVector;
use crate::candidates::heapless::{First, Heapless, Second};
use crate::candidates::lockfree_object_pool::{Linear, Mutexed};
use crate::candidates::mutex::MutexPool;
use crate::candidates::object_pool::ObjectPool;
use crate::candidates::opool::Opool;
use crate::candidates::sharded_slab::Slab;
use crate::candidates::zeropool::{Uninitialised, Zeroed};
use crate::strategy::{BUFFERS, MESSAGE, Strategy, acquire_write_release};

pub(crate) const ALTERNATING: &str = "alternating";

/// Where a pool is `static`, the two are of different types.
fn measure<A: Strategy, B: Strategy>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    id: BenchmarkId,
    _threads: usize,
) {
    let (first, second) = (A::new(BUFFERS), B::new(BUFFERS));
    group.bench_function(id, |bencher| {
        bencher.iter(|| {
            acquire_write_release(&first, MESSAGE);
            acquire_write_release(&second, MESSAGE);
        });
    });
}

fn two<S: Strategy>() -> Candidate<Measure> {
    Candidate::of::<S>(measure::<S, S>)
}

pub(super) fn workload(set: Set) -> Workload {
    let mut candidates = vec![
        two::<BufferPool>(),
        two::<LockFreePool<BUFFERS>>(),
        two::<FreshVector>(),
        two::<LocalVector>(),
    ];
    if set == Set::Peers {
        candidates.extend([
            two::<Uninitialised>(),
            two::<Zeroed>(),
            two::<Opool>(),
            two::<ObjectPool>(),
            two::<Linear>(),
            two::<Mutexed>(),
            two::<Slab>(),
            two::<Bytesbuf>(),
            two::<QueuePool>(),
            two::<MutexPool>(),
            Candidate::of::<Cloudflare<0>>(measure::<Cloudflare<0>, Cloudflare<1>>),
            Candidate::of::<Heapless<First>>(measure::<Heapless<First>, Heapless<Second>>),
        ]);
    }
    Workload {
        id: ALTERNATING.into(),
        operations: 2,
        threads: 1,
        candidates,
    }
}
