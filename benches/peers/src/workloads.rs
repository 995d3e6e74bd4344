//! What is measured: each workload with its candidates, and what runs it for one of them.

pub(crate) mod alternating;
pub(crate) mod burst;
pub(crate) mod handed_over;
pub(crate) mod held;
pub(crate) mod kept;
pub(crate) mod latency;
pub(crate) mod near_exhaustion;
pub(crate) mod one_at_a_time;
pub(crate) mod ring;
pub(crate) mod threaded;

use criterion::BenchmarkGroup;
use criterion::BenchmarkId;
use criterion::measurement::WallTime;

use crate::Set;
use crate::strategy::{Body, ByReference, InRegisters, Strategy, ThroughResult};

/// One of the workloads that criterion measures.
pub(crate) struct Workload {
    /// Its name on the command line and in the stored figures.
    pub(crate) id: String,
    /// Operations in one of criterion's iterations.
    pub(crate) operations: u64,
    pub(crate) threads: usize,
    pub(crate) candidates: Vec<Candidate<Measure>>,
}

/// Lets criterion measure one candidate: under which name, and on how many threads.
pub(crate) type Measure = fn(&mut BenchmarkGroup<'_, WallTime>, BenchmarkId, usize);

/// A candidate of a workload, and what measures it.
pub(crate) struct Candidate<F> {
    pub(crate) id: &'static str,
    pub(crate) label: &'static str,
    pub(crate) measure: F,
}

impl<F> Candidate<F> {
    fn of<S: Strategy>(measure: F) -> Self {
        Candidate {
            id: S::ID,
            label: S::LABEL,
            measure,
        }
    }
}

/// The workload of the chapter that has 8 threads.
pub(crate) const CHAPTER_THREADS: &str = "chapter-8-threads";
/// Bytes that the chapter's benchmarks fill.
pub(crate) const CHAPTER_MESSAGE: &[u8] = &[7; 64];

/// The thread counts of the workloads that have several.
pub(crate) const THREADS: [usize; 4] = [1, 2, 4, 8];

/// `function::<C>`, `function::<C, Body>` or `function::<C, Body, CONSTANT>`, for each candidate C.
macro_rules! candidates {
    ($function:ident as $measure:ty: $($candidate:ty),* $(,)?) => {
        vec![$($crate::workloads::Candidate::of::<$candidate>(
            $function::<$candidate> as $measure
        )),*]
    };
    ($function:ident, $body:ident as $measure:ty: $($candidate:ty),* $(,)?) => {
        vec![$($crate::workloads::Candidate::of::<$candidate>(
            $function::<$candidate, $body> as $measure
        )),*]
    };
    ($function:ident, $body:ident, $constant:ident as $measure:ty: $($candidate:ty),* $(,)?) => {
        vec![$($crate::workloads::Candidate::of::<$candidate>(
            $function::<$candidate, $body, $constant> as $measure
        )),*]
    };
}

/// `function::<C>` for each candidate C that any thread can use, and whose guards may be dropped on the
/// thread that acquired them.
macro_rules! shared_candidates {
    ($set:expr, $function:ident $(, $body:ident)? as $measure:ty) => {
        match $set {
            $crate::Set::Peers => $crate::workloads::candidates!(
                $function $(, $body)? as $measure:
                poolbuf::BufferPool,
                poolbuf::MultiSizePool,
                poolbuf::LockFreePool<{ $crate::strategy::BUFFERS }>,
                $crate::candidates::allocator::FreshVector,
                $crate::candidates::zeropool::Uninitialised,
                $crate::candidates::zeropool::Zeroed,
                $crate::candidates::opool::Opool,
                $crate::candidates::object_pool::ObjectPool,
                $crate::candidates::lockfree_object_pool::Linear,
                $crate::candidates::lockfree_object_pool::Mutexed,
                $crate::candidates::sharded_slab::Slab,
                $crate::candidates::cloudflare::Cloudflare<0>,
                $crate::candidates::heapless::Heapless<$crate::candidates::heapless::First>,
                $crate::candidates::bytesbuf::Bytesbuf,
                $crate::candidates::array_queue::QueuePool,
                $crate::candidates::mutex::MutexPool,
            ),
            $crate::Set::Allocator => $crate::workloads::candidates!(
                $function $(, $body)? as $measure:
                poolbuf::BufferPool,
                poolbuf::LockFreePool<{ $crate::strategy::BUFFERS }>,
                $crate::candidates::allocator::FreshVector,
            ),
        }
    };
}

pub(crate) use {candidates, shared_candidates};

/// All that criterion measures.
pub(crate) fn all(set: Set) -> Vec<Workload> {
    let mut workloads = with_body::<ByReference>(set);
    workloads.extend(with_body::<InRegisters>(set));
    workloads.extend(with_body::<ThroughResult>(set));
    workloads.extend(one_at_a_time::chapter(set));
    workloads.extend(kept::workloads(set));
    workloads
}

fn with_body<B: Body>(set: Set) -> Vec<Workload> {
    let mut workloads = vec![one_at_a_time::workload::<B>(set), held::workload::<B>(set)];
    workloads.extend(THREADS.map(|threads| threaded::workload::<B>(set, threads)));
    workloads.extend(THREADS.map(|threads| ring::workload::<B>(set, threads)));
    workloads.extend(handed_over::workloads::<B>(set));
    workloads.push(alternating::workload::<B>(set));
    workloads.extend(near_exhaustion::workload::<B>(set));
    for workload in &mut workloads {
        workload.id.push_str(B::SUFFIX);
    }
    workloads
}
