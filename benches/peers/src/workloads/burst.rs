//! Memory that a burst leaves behind: 4,096 buffers acquired, all their bytes written, all released. Each in a
//! process of its own, where nothing else takes memory.

use std::fs;
use std::hint::black_box;

use poolbuf::{BufferPool, LockFreePool};

use super::{Candidate, candidates};
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
use crate::candidates::sharded_slab::Slab;
use crate::candidates::zeropool::{Uninitialised, Zeroed};
use crate::strategy::{BUFFER_SIZE, Body, InRegisters, Strategy};

pub(crate) const BUFFERS: usize = 4096;
/// The names of the figures, in the order in which they are taken: before there is a pool, with all buffers
/// in use, with all released, and when the pool is gone too.
pub(crate) const MOMENTS: [&str; 4] = ["memory-before", "memory-peak", "memory-released", "memory-dropped"];

/// Resident memory at each of the moments, in bytes.
pub(crate) type Measure = fn() -> Option<[u64; 4]>;

fn measure<S: Strategy>() -> Option<[u64; 4]> {
    let message = vec![1; BUFFER_SIZE];
    let before = resident()?;
    let strategy = S::new(BUFFERS);
    let held: Vec<_> = (0..BUFFERS)
        .map(|_| InRegisters::acquire_and_write(&strategy, &message))
        .collect();
    black_box(&held);
    let peak = resident()?;
    drop(held);
    let released = resident()?;
    drop(strategy);
    Some([before, peak, released, resident()?])
}

/// Of this process, in bytes. `None` where the operating system does not say so in a file.
fn resident() -> Option<u64> {
    let sums = fs::read_to_string("/proc/self/smaps_rollup").ok()?;
    let line = sums.lines().find_map(|line| line.strip_prefix("Rss:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

pub(crate) fn candidates(set: Set) -> Vec<Candidate<Measure>> {
    match set {
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
            Slab,
            Cloudflare<0>,
            Heapless<First>,
            Bytesbuf,
            QueuePool,
            MutexPool,
        ),
    }
}
