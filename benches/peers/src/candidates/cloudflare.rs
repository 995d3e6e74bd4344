//! Cloudflare's buffer-pool, the one of quiche. It takes a `static` pool, so there are two, for the workload
//! that wants two, and each is filled once. Its buffers are vectors, which it clears and never shrinks here;
//! its metrics are part of it and cannot be switched off.

use std::sync::Once;

use buffer_pool::{Pool, Pooled};

use super::write_vector;
use crate::strategy::{BUFFER_SIZE, Strategy};

/// As many as quiche uses.
const SHARDS: usize = 8;
/// More than any workload wants of it.
const LIMIT: usize = 8192;

static POOLS: [Pool<SHARDS, Vec<u8>>; 2] = [
    Pool::<SHARDS, _>::new(LIMIT, BUFFER_SIZE, "first"),
    Pool::<SHARDS, _>::new(LIMIT, BUFFER_SIZE, "second"),
];
static FILLED: [Once; 2] = [Once::new(), Once::new()];

/// The pool with that index.
pub(crate) struct Cloudflare<const POOL: usize>;

impl<const POOL: usize> Strategy for Cloudflare<POOL> {
    type Guard<'a> = Pooled<Vec<u8>>;

    const ID: &'static str = "cloudflare-buffer-pool";
    const LABEL: &'static str = "buffer-pool (Cloudflare)";

    fn new(buffers: usize) -> Self {
        FILLED[POOL].call_once(|| {
            let acquired: Vec<_> = (0..buffers).map(|_| Cloudflare::<POOL>.acquire()).collect();
            drop(acquired);
        });
        Cloudflare
    }

    #[inline(always)]
    fn acquire(&self) -> Pooled<Vec<u8>> {
        POOLS[POOL].get_with(|bytes| bytes.reserve(BUFFER_SIZE))
    }

    #[inline(always)]
    fn write(guard: &mut Pooled<Vec<u8>>, message: &[u8]) -> *const u8 {
        write_vector(guard, message)
    }
}
