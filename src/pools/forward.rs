//! What every public pool of equal buffers forwards to the core: written once, for all of them.
#![forbid(unsafe_code)]

/// The methods and traits that a public pool with a field `handle: PoolHandle<_>` and the constants `NAME`,
/// `ALIGNMENT` and `FIXED_MAX` has in common with the others.
macro_rules! public_pool {
    ($pool:ty $(, const $n:ident)?) => {
        impl $(<const $n: usize>)? $pool {
            /// A pool made from `config`: the builder, for all that `new` does not ask about.
            ///
            /// # Errors
            ///
            /// A [`ConfigError`](crate::ConfigError) that says, with the numbers, which value makes no
            /// pool, or that the memory can't be reserved.
            // Inlined, so that the function that guards call at their release is made in the crate that is
            // being built: in a program, unlike in a library, it finds thread-locals without a call.
            #[inline]
            pub fn with_config(
                config: $crate::engine::config::PoolConfig,
            ) -> Result<Self, $crate::report::error::config::ConfigError> {
                let config = config.check($crate::engine::config::Defaults {
                    name: Self::NAME,
                    alignment: Self::ALIGNMENT,
                    fixed_max: Self::FIXED_MAX,
                })?;
                let line = $crate::engine::line::Line::new();
                $crate::engine::handle::PoolHandle::new(config, &line).map(|handle| Self { handle })
            }

            /// Buffers that can be lent at most, as it is now.
            pub fn max(&self) -> usize {
                self.handle.max()
            }

            /// Where all its buffers lie, side by side: for registering them with the kernel at once, as a single
            /// `iovec` of io_uring (then `buf_index` is 0 and the address a guard's own).
            pub fn region(&self) -> $crate::memory::region::MemoryRegion {
                self.handle.region()
            }
        }

        use $crate::waiting::acquire::Acquire;

        impl $(<const $n: usize>)? $crate::pools::pool::Pool for $pool {
            #[inline]
            fn acquire_for(
                &self,
                len: usize,
            ) -> Result<$crate::buf::guard::PooledBuf, $crate::report::error::acquire::AcquireError> {
                self.handle.acquire_for(len, std::panic::Location::caller())
            }

            #[inline]
            fn max_len(&self) -> usize {
                self.handle.buffer_size()
            }

            fn stats(&self) -> $crate::report::stats::PoolStats {
                self.handle.stats()
            }

            fn name(&self) -> &str {
                self.handle.own_name()
            }

            fn close(&self) -> $crate::report::holders::Holders {
                self.handle.close();
                self.handle.holders()
            }

            fn acquire_async(&self, len: usize) -> Acquire<'_> {
                Acquire::new(&self.handle, 1, len)
            }

            #[inline]
            fn acquire_many(
                &self,
                count: usize,
                len: usize,
            ) -> Result<Vec<$crate::buf::guard::PooledBuf>, $crate::report::error::acquire::AcquireError> {
                let caller = std::panic::Location::caller();
                self.handle.acquire_many(count, len, caller)
            }

            fn acquire_more(
                &self,
                count: usize,
                len: usize,
            ) -> Result<Vec<$crate::buf::guard::PooledBuf>, $crate::report::error::acquire::AcquireError> {
                self.handle.acquire_more(count, len, std::panic::Location::caller())
            }

            fn acquire_many_async(
                &self,
                count: usize,
                len: usize,
            ) -> Acquire<'_, Vec<$crate::buf::guard::PooledBuf>> {
                match count {
                    0 => Acquire::ready(self.acquire_many(0, len)),
                    _ => Acquire::new(&self.handle, count, len),
                }
            }

            fn acquire_chain_async(
                &self,
                len: usize,
            ) -> Acquire<'_, $crate::buf::chain::PooledChain> {
                let (count, len) = $crate::pools::pool::in_buffers_of(self.max_len(), len);
                Acquire::new(&self.handle, count, len)
            }

            fn holders(&self) -> $crate::report::holders::Holders {
                self.handle.holders()
            }

            fn handle_for(&self, buf: &$crate::buf::guard::PooledBuf) -> Option<Box<dyn Send + Sync>> {
                self.handle.has_lent(buf).then(|| Box::new(self.clone()) as _)
            }

            fn trim(&self) -> usize {
                self.handle.trim()
            }
        }

        impl $(<const $n: usize>)? Clone for $pool {
            /// Another handle of the same pool; costs one atomic increment.
            fn clone(&self) -> Self {
                Self {
                    handle: self.handle.clone(),
                }
            }
        }

        impl $(<const $n: usize>)? std::fmt::Debug for $pool {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                // With the number that stands for a constant: `LockFreePool<256>`.
                let name = std::any::type_name::<Self>().rsplit("::").next();
                f.debug_tuple(name.unwrap_or(stringify!($pool)))
                    .field(&self.handle.stats())
                    .finish()
            }
        }
    };
}

/// What pools have in common whose max can be changed.
macro_rules! resizable_pool {
    ($pool:ty) => {
        impl $pool {
            /// Changes how many buffers can be lent at most, and returns how many it was before. Takes effect before
            /// it returns, also for other threads.
            ///
            /// Lowering it below what is lent takes nothing away: requests are refused until enough came back.
            /// The memory of buffers that are not needed any more stays with the pool until it is
            /// [trimmed](crate::Pool::trim). Lowering takes back what rests at the hand of other threads, which
            /// go without for a while, as after a request that found nothing.
            ///
            /// # Errors
            ///
            /// A [`ResizeError`](crate::ResizeError) when `max` is 0, or above
            /// [`PoolConfig::reserve`](crate::PoolConfig::reserve).
            ///
            /// ```
            /// use poolbuf::{AcquireError, Pool, PoolConfig};
            ///
            #[doc = concat!("let pool = poolbuf::", stringify!($pool), "::with_config(")]
            ///     PoolConfig::new(1024).max(2).reserve(10),
            /// )?;
            /// let mut held = vec![pool.acquire()?, pool.acquire()?];
            /// assert_eq!(pool.set_max(1)?, 2);
            /// assert!(matches!(pool.acquire(), Err(AcquireError::Exhausted { in_use: 2, max: 1, .. })));
            /// held.pop();
            /// assert!(matches!(pool.acquire(), Err(AcquireError::Exhausted { in_use: 1, max: 1, .. })));
            /// assert_eq!(pool.set_max(10)?, 1);
            /// held.push(pool.acquire()?);
            /// # Ok::<(), Box<dyn std::error::Error>>(())
            /// ```
            pub fn set_max(&self, max: usize) -> Result<usize, $crate::report::error::resize::ResizeError> {
                self.handle.set_max(max)
            }
        }
    };
}

pub(crate) use {public_pool, resizable_pool};
