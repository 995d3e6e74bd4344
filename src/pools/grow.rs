//! A chain that grows as bytes come.
#![forbid(unsafe_code)]

use crate::buf::chain::PooledChain;
use crate::pools::pool::{Pool, in_buffers_of};
use crate::report::error::acquire::AcquireError;

impl PooledChain {
    /// Adds buffers of `pool`, as many as it takes until `len` more bytes fit, if they are free. Nothing if they fit
    /// already.
    ///
    /// An announced length is a promise, not bytes: a chain that is as long as a client says lets one that sends
    /// nothing hold all of it. So begin with an empty chain, and let it grow as bytes come. Growth passes the requests
    /// that wait: see [`Pool::acquire_more`]. What it can't have is refused at once, since two who wait for each
    /// other's buffers would wait for ever; then end, answer "try again", or write what has come elsewhere, and the
    /// others can grow.
    ///
    /// # Errors
    ///
    /// Those of [`Pool::acquire_many`]; the chain is as it was.
    ///
    /// ```
    /// use poolbuf::{Budget, BufferPool, Pool, PooledChain, Share};
    ///
    /// let pool = BufferPool::new(1024, 0, 100)?;
    /// let client = Share::new(pool.clone(), &Budget::with_name(8 * 1024, "10.0.0.7"));
    ///
    /// let mut sent = &[7; 5000][..]; // what the client sends of the 100,000 bytes that it has announced
    /// let mut body = PooledChain::default();
    /// loop {
    ///     body.try_grow(&client, 1)?;
    ///     if body.read_from(&mut sent)? == 0 {
    ///         break;
    ///     }
    /// }
    /// assert_eq!((body.len(), body.buffers(), pool.stats().in_use), (5000, 5, 5));
    /// assert!(body.try_grow(&client, 100_000).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn try_grow<P: Pool + ?Sized>(&mut self, pool: &P, len: usize) -> Result<(), AcquireError> {
        let Some(missing) = len.checked_sub(self.spare_len()).filter(|missing| *missing > 0) else {
            return Ok(());
        };
        let (count, len) = in_buffers_of(pool.max_len(), missing);
        for buf in pool.acquire_more(count, len)? {
            self.push(buf);
        }
        Ok(())
    }
}
