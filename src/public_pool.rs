//! What every public pool of equal buffers forwards to the core: written once, for all of them.

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
                config: $crate::config::PoolConfig,
            ) -> Result<Self, $crate::error::ConfigError> {
                let config = config.check($crate::config::Defaults {
                    name: Self::NAME,
                    alignment: Self::ALIGNMENT,
                    fixed_max: Self::FIXED_MAX,
                })?;
                $crate::pool_core::PoolHandle::new(config).map(|handle| Self { handle })
            }

            /// Bytes that each buffer holds.
            pub fn buffer_size(&self) -> usize {
                self.handle.buffer_size()
            }

            /// Buffers that can exist at most.
            pub fn max(&self) -> usize {
                self.handle.max()
            }

            /// Every buffer starts at a multiple of this many bytes.
            pub fn alignment(&self) -> usize {
                self.handle.alignment()
            }

            /// What statistics call the pool.
            pub fn name(&self) -> &str {
                self.handle.name()
            }

            /// Lends no more, through whatever handle: from now on acquiring fails with
            /// [`AcquireError::Closed`](crate::AcquireError::Closed). Buffers that are out stay valid. The
            /// memory is freed when the last handle and the last guard are gone, whether the pool was
            /// closed or not.
            ///
            /// Returns the buffers that are out, and who holds them if the pool
            /// [tracks](crate::PoolConfig::track_holders) it.
            pub fn close(&self) -> $crate::holders::Holders {
                self.handle.close();
                self.handle.holders()
            }
        }

        impl $(<const $n: usize>)? $crate::pool::Pool for $pool {
            #[inline]
            fn acquire_for(
                &self,
                len: usize,
            ) -> Result<$crate::pooled_buf::PooledBuf, $crate::error::AcquireError> {
                self.handle.acquire_for(len, std::panic::Location::caller())
            }

            fn holders(&self) -> $crate::holders::Holders {
                self.handle.holders()
            }

            fn acquire_async(&self, len: usize) -> $crate::acquire::Acquire<'_> {
                if len > self.handle.buffer_size() {
                    return $crate::acquire::Acquire::ready(Err(
                        $crate::error::AcquireError::TooLarge {
                            requested: len,
                            max: self.handle.buffer_size(),
                        },
                    ));
                }
                $crate::acquire::Acquire::new(&self.handle, None)
            }

            #[inline]
            fn max_len(&self) -> usize {
                self.handle.buffer_size()
            }

            fn stats(&self) -> $crate::stats::PoolStats {
                self.handle.stats()
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
                f.debug_tuple(stringify!($pool))
                    .field(&self.handle.stats())
                    .finish()
            }
        }
    };
}

pub(crate) use public_pool;
