//! A request that may wait, for one buffer, for many at once, or for a chain of them.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use poolbuf::{Acquire, AcquireError, PooledBuf, PooledChain};

use crate::any_pool::AnyPool;

/// See the module.
pub(crate) enum Request<'p> {
    One(Acquire<'p>),
    Many(Acquire<'p, Vec<PooledBuf>>),
    Chain(Acquire<'p, PooledChain>),
}

impl<'p> Request<'p> {
    /// For one, which may keep a handle of the pool.
    pub(crate) fn one(pool: &'p dyn AnyPool, len: usize, owned: bool) -> Self {
        Request::One(match owned {
            true => pool.acquire_async(len).into_owned(),
            false => pool.acquire_async(len),
        })
    }

    /// For `count`, which may keep a handle of the pool. As a chain if that is of the same buffers.
    pub(crate) fn many(pool: &'p dyn AnyPool, count: usize, len: usize, owned: bool) -> Self {
        let bytes = count.checked_mul(pool.max_len());
        match (bytes.filter(|_| len == pool.max_len()), owned) {
            (Some(bytes), true) => Request::Chain(pool.acquire_chain_async(bytes).into_owned()),
            (Some(bytes), false) => Request::Chain(pool.acquire_chain_async(bytes)),
            (None, true) => Request::Many(pool.acquire_many_async(count, len).into_owned()),
            (None, false) => Request::Many(pool.acquire_many_async(count, len)),
        }
    }

    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<Vec<PooledBuf>, AcquireError>> {
        match self {
            Request::One(one) => Pin::new(one).poll(context).map_ok(|buf| vec![buf]),
            Request::Many(many) => Pin::new(many).poll(context),
            Request::Chain(chain) => {
                let polled = Pin::new(chain).poll(context);
                polled.map_ok(|chain| chain.into_iter().collect())
            }
        }
    }
}
