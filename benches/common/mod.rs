//! What the benches share: the strategies that are compared, one loop body for all of them, and the tables.
//!
//! It measures nothing by itself. Every strategy is called through [`Strategy`], with static dispatch, so
//! that the code around what is measured is the same for all.

mod page;
pub(crate) mod report;
pub(crate) mod threads;

use std::hint::black_box;

use poolbuf::{
    AlignedPool, BufferPool, LockFreePool, MultiSizeConfig, MultiSizePool, Pool, PoolConfig, PooledBuf, Wipe,
};

/// Buffers of each pool, all of them touched before anything is measured. More than any workload holds at
/// once, so no pool refuses: what is compared is the cost of success.
pub(crate) const BUFFERS: usize = 256;

/// Bytes of the buffers that are compared: the tiers of `MultiSizePool::new`.
pub(crate) const SIZES: [usize; 5] = [64, 512, 2048, 8192, 32_768];

/// A way to come by a buffer and to get rid of it again, which is dropping it.
pub(crate) trait Strategy: Sync {
    type Buf: Send;

    /// Its name on the command line and in criterion's directories.
    const ID: &'static str;
    /// Its name in the tables.
    const LABEL: &'static str;

    /// Made to serve buffers of `size` bytes.
    fn new(size: usize) -> Self;

    fn acquire(&self, size: usize) -> Self::Buf;

    /// Copies `message` to the start of a buffer that was just acquired.
    fn write(buf: &mut Self::Buf, message: &[u8]);

    fn bytes(buf: &Self::Buf) -> &[u8];
}

/// The body of every loop: a buffer with `message` in it.
#[inline]
pub(crate) fn acquire_and_fill<S: Strategy>(strategy: &S, size: usize, message: &[u8]) -> S::Buf {
    let mut buf = strategy.acquire(size);
    S::write(&mut buf, message);
    // The address escapes, or else the compiler could leave out the writing and even the allocation.
    black_box(S::bytes(&buf).as_ptr());
    buf
}

/// A fresh `Vec::with_capacity` each time: `new char[n]` and `delete[]`, nothing zeroed.
pub(crate) struct WithCapacity;

impl Strategy for WithCapacity {
    type Buf = Vec<u8>;

    const ID: &'static str = "vec-with-capacity";
    const LABEL: &'static str = "`Vec::with_capacity(n)`";

    fn new(_size: usize) -> Self {
        WithCapacity
    }

    #[inline]
    fn acquire(&self, size: usize) -> Vec<u8> {
        Vec::with_capacity(size)
    }

    #[inline]
    fn write(buf: &mut Vec<u8>, message: &[u8]) {
        buf.extend_from_slice(message);
    }

    #[inline]
    fn bytes(buf: &Vec<u8>) -> &[u8] {
        buf
    }
}

/// [`Wipe::Never`] in all pools: the default of a release build, said aloud.
fn config(size: usize) -> PoolConfig {
    PoolConfig::new(size).initial(BUFFERS).max(BUFFERS).wipe(Wipe::Never)
}

macro_rules! strategy_from_pool {
    ($pool:ty, $id:literal, $label:literal, $new:expr) => {
        impl Strategy for $pool {
            type Buf = PooledBuf;

            const ID: &'static str = $id;
            const LABEL: &'static str = $label;

            fn new(size: usize) -> Self {
                $new(size).expect("the pool's memory can be reserved")
            }

            #[inline]
            fn acquire(&self, size: usize) -> PooledBuf {
                self.acquire_for(size).expect("a buffer is free")
            }

            #[inline]
            fn write(buf: &mut PooledBuf, message: &[u8]) {
                buf.extend_from_slice(message).expect("the message fits");
            }

            #[inline]
            fn bytes(buf: &PooledBuf) -> &[u8] {
                buf
            }
        }
    };
}

strategy_from_pool!(BufferPool, "buffer-pool", "`BufferPool`", |size| {
    BufferPool::with_config(config(size))
});
strategy_from_pool!(AlignedPool, "aligned-pool", "`AlignedPool`", |size| {
    AlignedPool::with_config(config(size))
});
strategy_from_pool!(LockFreePool<BUFFERS>, "lock-free-pool", "`LockFreePool`", |size| {
    LockFreePool::with_config(config(size))
});
// All five tiers whatever the size, so that the search for the tier is measured too.
strategy_from_pool!(MultiSizePool, "multi-size-pool", "`MultiSizePool`", |_size| {
    let tiers = SIZES.map(config).into_iter();
    MultiSizePool::with_config(tiers.fold(MultiSizeConfig::new(), MultiSizeConfig::tier))
});
