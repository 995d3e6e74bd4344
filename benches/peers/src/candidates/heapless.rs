//! heapless's object pool, whose objects keep their bytes; its box pool would copy 8 KiB into each. Pools of
//! heapless are `static`, each a type of its own, so there is one for each number of buffers that is wanted.

use std::marker::PhantomData;
use std::sync::OnceLock;

use heapless::object_pool;
use heapless::pool::object::{Object, ObjectBlock, ObjectPool};

use super::write_start;
use crate::strategy::{BUFFER_SIZE, Bounded, Strategy};

type Bytes = [u8; BUFFER_SIZE];

/// A pool, and whether it has been given its buffers.
pub(crate) trait StaticPool: ObjectPool<Data = Bytes> + Sync + 'static {
    fn filled() -> &'static OnceLock<usize>;
}

macro_rules! static_pool {
    ($name:ident) => {
        object_pool!($name: Bytes);

        impl StaticPool for $name {
            fn filled() -> &'static OnceLock<usize> {
                static FILLED: OnceLock<usize> = OnceLock::new();
                &FILLED
            }
        }
    };
}

static_pool!(First);
static_pool!(Second);
static_pool!(NearlyExhausted);

pub(crate) struct Heapless<P>(PhantomData<P>);

impl<P: StaticPool> Strategy for Heapless<P> {
    type Guard<'a> = Object<P>;

    const ID: &'static str = "heapless";
    const LABEL: &'static str = "heapless, object pool";

    fn new(buffers: usize) -> Self {
        let filled = P::filled().get_or_init(|| {
            for _ in 0..buffers {
                P::manage(Box::leak(Box::new(ObjectBlock::new([1; BUFFER_SIZE]))));
            }
            buffers
        });
        assert_eq!(*filled, buffers, "each pool is used with one number of buffers");
        Heapless(PhantomData)
    }

    #[inline(always)]
    fn acquire(&self) -> Object<P> {
        P::request().expect("a buffer is free")
    }

    #[inline(always)]
    fn write(guard: &mut Object<P>, message: &[u8]) -> *const u8 {
        write_start(&mut guard[..], message)
    }
}

impl<P: StaticPool> Bounded for Heapless<P> {
    #[inline(always)]
    fn try_acquire(&self) -> Option<Object<P>> {
        P::request()
    }
}
