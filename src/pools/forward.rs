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
                $crate::core::PoolHandle::new(config).map(|handle| Self { handle })
            }

            /// Bytes that each buffer holds.
            pub fn buffer_size(&self) -> usize {
                self.handle.buffer_size()
            }

            /// Buffers that can be lent at most, as it is now.
            pub fn max(&self) -> usize {
                self.handle.max()
            }

            /// Every buffer starts at a multiple of this many bytes.
            pub fn alignment(&self) -> usize {
                self.handle.alignment()
            }

            /// Where all its buffers lie, side by side: for registering them with the kernel at once, as a single
            /// `iovec` of io_uring (then `buf_index` is 0 and the address a guard's own).
            pub fn region(&self) -> $crate::memory::region::MemoryRegion {
                self.handle.region()
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

            /// Gives the memory of free buffers back to the operating system, and returns how many bytes of pages
            /// that were. What is lent is not touched, and what is lent later takes up memory again when it is
            /// written, page by page.
            ///
            /// A page goes if all of its bytes belong to free buffers (so what buffers of 64 bytes give back depends
            /// on how they lie), and not a second time before one of these has been lent again; whether it was in
            /// memory is not asked. On Linux and Android that is `madvise(MADV_DONTNEED)`, on Windows
            /// `DiscardVirtualMemory`; elsewhere nothing is given back. Returns 0 as well when the pool is closed, and
            /// when another thread is trimming it.
            ///
            /// Not for a pool whose memory is registered with the kernel, as fixed buffers of io_uring are: the kernel
            /// would go on to use the pages that were given back. Nor where the global allocator
            /// takes its memory from hugetlbfs, whose pages are larger than those reckoned with here.
            ///
            /// *Cost.* A sort of the free buffers, and a system call for each row of free ones side by side: for 256 MiB
            /// in memory 15 to 20 ms where it was measured (Linux), and 40 ms if these are 4 million buffers of 64
            /// bytes. Buffers at the hand of other threads are taken back first, so they go without for a while, as
            /// after a request that found nothing.
            #[doc = $crate::pools::forward::trim_meanwhile!($($n)?)]
            ///
            /// ```
            /// use poolbuf::{Pool, PoolConfig};
            ///
            #[doc = $crate::pools::forward::trim_example!($pool $(, $n)?)]
            /// let held: Vec<_> = (0..64).map(|_| pool.acquire()).collect::<Result<_, _>>()?;
            /// let before = pool.stats().resident_bytes;
            /// drop(held);
            /// let given_back = pool.trim();
            /// assert_eq!(pool.stats().resident_bytes, before - given_back);
            /// # Ok::<(), Box<dyn std::error::Error>>(())
            /// ```
            pub fn trim(&self) -> usize {
                self.handle.trim()
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

            fn acquire_async(&self, len: usize) -> $crate::waiting::acquire::Acquire<'_> {
                if len > self.handle.buffer_size() {
                    return $crate::waiting::acquire::Acquire::ready(Err(
                        $crate::error::AcquireError::TooLarge {
                            requested: len,
                            max: self.handle.buffer_size(),
                        },
                    ));
                }
                $crate::waiting::acquire::Acquire::new(&self.handle, None)
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

/// What `trim` means for those who acquire at the same time: with a constant, for the lock-free pool.
macro_rules! trim_meanwhile {
    () => {
        "Meanwhile others acquire and release as ever; at the free-stack they may have to wait for a MiB of it, or for \
         one buffer if that is larger."
    };
    ($n:ident) => {
        "Meanwhile others acquire and release as ever, but the free buffers of one of the up to eight stacks, \
         one stack after the other, count as in use when it comes to refusing a request."
    };
}

macro_rules! trim_example {
    ($pool:ty) => {
        concat!(
            "let pool = poolbuf::",
            stringify!($pool),
            "::with_config(PoolConfig::new(16_384).max(64))?;"
        )
    };
    ($pool:ty, $n:ident) => {
        "let pool = poolbuf::LockFreePool::<64>::new(16_384)?;"
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
            /// [trimmed](Self::trim). Lowering takes back what rests at the hand of other threads, which
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
            /// assert_eq!(pool.acquire().unwrap_err(), AcquireError::Exhausted { in_use: 2, max: 1, held_by: None });
            /// held.pop();
            /// assert_eq!(pool.acquire().unwrap_err(), AcquireError::Exhausted { in_use: 1, max: 1, held_by: None });
            /// assert_eq!(pool.grow(9)?, 10);
            /// held.push(pool.acquire()?);
            /// # Ok::<(), Box<dyn std::error::Error>>(())
            /// ```
            pub fn set_max(&self, max: usize) -> Result<usize, $crate::error::ResizeError> {
                self.handle.set_max(max)
            }

            /// Raises [`max`](Self::max) by so many buffers, and returns what it is then. What several threads add at
            /// the same time adds up.
            ///
            /// # Errors
            ///
            /// [`ResizeError::AboveReserve`](crate::ResizeError::AboveReserve) when that is above the reserve;
            /// then nothing changes.
            pub fn grow(&self, by: usize) -> Result<usize, $crate::error::ResizeError> {
                self.handle.grow(by)
            }

            /// Lowers [`max`](Self::max) by so many buffers, as [`set_max`](Self::set_max) does, and returns what it
            /// is then.
            ///
            /// # Errors
            ///
            /// [`ResizeError::NoneLeft`](crate::ResizeError::NoneLeft) when no buffer would be left; then nothing
            /// changes.
            pub fn shrink(&self, by: usize) -> Result<usize, $crate::error::ResizeError> {
                self.handle.shrink(by)
            }

            /// Buffers that [`max`](Self::max) can be raised to.
            pub fn reserve(&self) -> usize {
                self.handle.reserve()
            }
        }
    };
}

pub(crate) use {public_pool, resizable_pool, trim_example, trim_meanwhile};
