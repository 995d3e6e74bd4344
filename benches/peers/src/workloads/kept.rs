//! Where programs keep a guard: behind a `dyn Pool`, in the state of a future, in a field, in a `Vec`, in a channel. On
//! one thread; the guard is passed by reference to what writes.

use std::future::Future;
use std::hint::black_box;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId};
use poolbuf::{BufferPool, LockFreePool, MultiSizePool, Pool, PooledBuf};
use rtrb::RingBuffer;

use super::{Candidate, Measure, Workload, shared_candidates};
use crate::Set;
use crate::candidates::floor::LocalVector;
use crate::candidates::ours::{LOCK_FREE, MULTI_SIZE, OURS};
use crate::strategy::{BUFFER_SIZE, BUFFERS, Body, ByReference, MESSAGE, Strategy, write_by_reference};

pub(crate) const DYNAMIC: &str = "kept-behind-dyn";
pub(crate) const FUTURE: &str = "kept-in-a-future";
pub(crate) const FIELD: &str = "kept-in-a-field";
pub(crate) const VECTOR: &str = "kept-in-a-vec";
pub(crate) const CHANNEL: &str = "kept-in-a-channel";
/// Guards in the `Vec`.
const COUNT: usize = 16;

/// A candidate whose type is not known where it is used.
trait Acquire<S: Strategy> {
    fn acquire(&self) -> S::Guard<'_>;
}

impl<S: Strategy> Acquire<S> for S {
    fn acquire(&self) -> S::Guard<'_> {
        Strategy::acquire(self)
    }
}

fn measure_dynamic<S: Strategy>(group: &mut BenchmarkGroup<'_, WallTime>, id: BenchmarkId, _threads: usize) {
    let strategy: Box<dyn Acquire<S>> = Box::new(S::new(BUFFERS));
    group.bench_function(id, |bencher| {
        bencher.iter(|| {
            let mut guard = black_box(&strategy).acquire();
            write_by_reference::<S>(&mut guard, MESSAGE);
        });
    });
}

/// Ours, as its guide has it.
fn measure_dyn_pool<P: Pool + for<'a> Strategy<Guard<'a> = PooledBuf>>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    id: BenchmarkId,
    _threads: usize,
) {
    let pool: Arc<dyn Pool> = Arc::new(P::new(BUFFERS));
    group.bench_function(id, |bencher| {
        bencher.iter(|| {
            let guard = black_box(&pool).acquire_for(BUFFER_SIZE);
            write_by_reference::<P>(&mut guard.expect("a buffer is free"), MESSAGE);
        });
    });
}

/// Ready when it is polled again.
struct Once(bool);

impl Future for Once {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        match std::mem::replace(&mut self.0, true) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }
}

async fn hold_and_wait<S: Strategy>(strategy: &S) {
    let mut guard = ByReference::acquire_and_write(strategy, MESSAGE);
    Once(false).await;
    black_box(&mut guard);
}

#[inline(never)]
fn poll(future: Pin<&mut impl Future>, context: &mut Context<'_>) {
    let _ = future.poll(context);
}

fn measure_future<S: Strategy>(group: &mut BenchmarkGroup<'_, WallTime>, id: BenchmarkId, _threads: usize) {
    let strategy = S::new(BUFFERS);
    let mut context = Context::from_waker(Waker::noop());
    group.bench_function(id, |bencher| {
        bencher.iter(|| {
            let mut future = pin!(hold_and_wait(&strategy));
            poll(future.as_mut(), &mut context);
            poll(future.as_mut(), &mut context);
        });
    });
}

/// What a server has for each client.
struct Connection<'a, S: Strategy> {
    guard: Option<S::Guard<'a>>,
}

impl<'a, S: Strategy> Connection<'a, S> {
    #[inline(never)]
    fn begin(&mut self, strategy: &'a S) {
        self.guard = Some(strategy.acquire());
    }

    #[inline(never)]
    fn receive(&mut self) {
        if let Some(guard) = &mut self.guard {
            black_box(S::write(guard, MESSAGE));
        }
    }

    #[inline(never)]
    fn end(&mut self) {
        self.guard = None;
    }
}

fn measure_field<S: Strategy>(group: &mut BenchmarkGroup<'_, WallTime>, id: BenchmarkId, _threads: usize) {
    let strategy = S::new(BUFFERS);
    let mut connection = Connection::<S> { guard: None };
    group.bench_function(id, |bencher| {
        bencher.iter(|| {
            connection.begin(&strategy);
            connection.receive();
            connection.end();
        });
    });
}

fn measure_vector<S: Strategy>(group: &mut BenchmarkGroup<'_, WallTime>, id: BenchmarkId, _threads: usize) {
    let strategy = S::new(BUFFERS);
    let mut kept = Vec::with_capacity(COUNT);
    group.bench_function(id, |bencher| {
        bencher.iter(|| {
            kept.extend((0..COUNT).map(|_| strategy.acquire()));
            for guard in &mut kept {
                write_by_reference::<S>(guard, MESSAGE);
            }
            kept.clear();
        });
    });
}

fn measure_channel<S: Strategy>(group: &mut BenchmarkGroup<'_, WallTime>, id: BenchmarkId, _threads: usize) {
    let strategy = S::new(BUFFERS);
    let (mut sender, mut receiver) = RingBuffer::new(COUNT);
    group.bench_function(id, |bencher| {
        bencher.iter(|| {
            let sent = sender.push(ByReference::acquire_and_write(&strategy, MESSAGE));
            assert!(sent.is_ok(), "it is empty");
            drop(receiver.pop().expect("it was sent"));
        });
    });
}

pub(super) fn workloads(set: Set) -> [Workload; 5] {
    let workload = |id: &str, operations, candidates| Workload {
        id: id.into(),
        operations,
        threads: 1,
        candidates,
    };
    /// With the floor.
    macro_rules! candidates_of {
        ($measure:ident) => {{
            let mut candidates = shared_candidates!(set, $measure as Measure);
            candidates.push(Candidate::of::<LocalVector>($measure::<LocalVector>));
            candidates
        }};
    }
    let mut dynamic = candidates_of!(measure_dynamic);
    for candidate in &mut dynamic {
        candidate.measure = match candidate.id {
            OURS => measure_dyn_pool::<BufferPool>,
            MULTI_SIZE => measure_dyn_pool::<MultiSizePool>,
            LOCK_FREE => measure_dyn_pool::<LockFreePool<BUFFERS>>,
            _ => candidate.measure,
        };
    }
    [
        workload(DYNAMIC, 1, dynamic),
        workload(FUTURE, 1, candidates_of!(measure_future)),
        workload(FIELD, 1, candidates_of!(measure_field)),
        workload(VECTOR, COUNT as u64, candidates_of!(measure_vector)),
        workload(CHANNEL, 1, candidates_of!(measure_channel)),
    ]
}
