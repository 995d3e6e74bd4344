//! lockfree-object-pool's linear pool, its fastest, and its mutex pool; filled by pulling and dropping as many
//! as are wanted, and with nothing to reset.

use lockfree_object_pool::{LinearObjectPool, LinearReusable, MutexObjectPool, MutexReusable};

use super::write_start;
use crate::strategy::{BUFFER_SIZE, Strategy};

type Buffer = Box<[u8]>;

fn buffer() -> Buffer {
    vec![1; BUFFER_SIZE].into_boxed_slice()
}

macro_rules! lockfree_object_pool {
    ($name:ident, $pool:ident, $guard:ident, $id:literal, $label:literal) => {
        pub(crate) struct $name($pool<Buffer>);

        impl Strategy for $name {
            type Guard<'a> = $guard<'a, Buffer>;

            const ID: &'static str = $id;
            const LABEL: &'static str = $label;

            fn new(buffers: usize) -> Self {
                let pool = $pool::new(buffer, |_| {});
                let pulled: Vec<_> = (0..buffers).map(|_| pool.pull()).collect();
                drop(pulled);
                $name(pool)
            }

            #[inline(always)]
            fn acquire(&self) -> Self::Guard<'_> {
                self.0.pull()
            }

            #[inline(always)]
            fn write(guard: &mut Self::Guard<'_>, message: &[u8]) -> *const u8 {
                write_start(guard, message)
            }
        }
    };
}

lockfree_object_pool!(
    Linear,
    LinearObjectPool,
    LinearReusable,
    "lockfree-object-pool-linear",
    "lockfree-object-pool, linear"
);
lockfree_object_pool!(
    Mutexed,
    MutexObjectPool,
    MutexReusable,
    "lockfree-object-pool-mutex",
    "lockfree-object-pool, mutex"
);
