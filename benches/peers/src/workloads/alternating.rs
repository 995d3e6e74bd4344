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
use crate::candidates::heapless::{self, Heapless};
use crate::candidates::lockfree_object_pool::{Linear, Mutexed};
use crate::candidates::mutex::MutexPool;
use crate::candidates::object_pool::ObjectPool;
use crate::candidates::opool::Opool;
use crate::candidates::sharded_slab::Slab;
use crate::candidates::zeropool::{Uninitialised, Zeroed};
use crate::strategy::{BUFFERS, Body, MESSAGE, Strategy};

pub(crate) const ALTERNATING: &str = "alternating";

/// Where a pool is `static`, the two are of different types.
fn measure<First: Strategy, Second: Strategy, B: Body>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    id: BenchmarkId,
    _threads: usize,
) {
    let (first, second) = (First::new(BUFFERS), Second::new(BUFFERS));
    group.bench_function(id, |bencher| {
        bencher.iter(|| {
            B::acquire_write_release(&first, MESSAGE);
            B::acquire_write_release(&second, MESSAGE);
        });
    });
}

fn two<S: Strategy, B: Body>() -> Candidate<Measure> {
    Candidate::of::<S>(measure::<S, S, B>)
}

pub(super) fn workload<B: Body>(set: Set) -> Workload {
    let mut candidates = vec![
        two::<BufferPool, B>(),
        two::<LockFreePool<BUFFERS>, B>(),
        two::<FreshVector, B>(),
        two::<LocalVector, B>(),
    ];
    if set == Set::Peers {
        candidates.extend([
            two::<Uninitialised, B>(),
            two::<Zeroed, B>(),
            two::<Opool, B>(),
            two::<ObjectPool, B>(),
            two::<Linear, B>(),
            two::<Mutexed, B>(),
            two::<Slab, B>(),
            two::<Bytesbuf, B>(),
            two::<QueuePool, B>(),
            two::<MutexPool, B>(),
            Candidate::of::<Cloudflare<0>>(measure::<Cloudflare<0>, Cloudflare<1>, B>),
            Candidate::of::<Heapless<heapless::First>>(
                measure::<Heapless<heapless::First>, Heapless<heapless::Second>, B>,
            ),
        ]);
    }
    Workload {
        id: ALTERNATING.into(),
        operations: 2,
        threads: 1,
        candidates,
    }
}
