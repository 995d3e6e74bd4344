//! A request that may wait, for one buffer or for many at once.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use poolbuf::{Acquire, AcquireError, AcquireMany, PooledBuf};

/// See the module.
pub(crate) enum Request<'p> {
    One(Acquire<'p>),
    Many(AcquireMany<'p>),
}

impl Request<'_> {
    pub(crate) fn poll(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<Vec<PooledBuf>, AcquireError>> {
        match self {
            Request::One(one) => Pin::new(one).poll(context).map_ok(|buf| vec![buf]),
            Request::Many(many) => Pin::new(many).poll(context),
        }
    }
}
