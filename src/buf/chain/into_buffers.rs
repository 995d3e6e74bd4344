//! The buffers of a chain, one by one.
#![forbid(unsafe_code)]

use std::collections::vec_deque;

use crate::buf::guard::PooledBuf;

/// The buffers of a [`PooledChain`](crate::PooledChain), from the first to the last: what its `into_iter` returns. What
/// is not taken goes back to its pool when it is dropped.
///
/// ```
/// use poolbuf::{BufferPool, Pool};
///
/// let mut chain = BufferPool::new(8, 0, 2)?.acquire_chain(16)?;
/// chain.extend_from_slice(b"hello, world")?;
/// let bufs: Vec<_> = chain.into_iter().collect();
/// assert_eq!(bufs, [b"hello, w", &b"orld"[..]]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct IntoBuffers(pub(super) vec_deque::IntoIter<PooledBuf>);

impl Iterator for IntoBuffers {
    type Item = PooledBuf;

    fn next(&mut self) -> Option<PooledBuf> {
        self.0.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl DoubleEndedIterator for IntoBuffers {
    fn next_back(&mut self) -> Option<PooledBuf> {
        self.0.next_back()
    }
}

impl ExactSizeIterator for IntoBuffers {}
