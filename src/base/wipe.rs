//! What happens to a buffer's bytes when it comes back.
#![forbid(unsafe_code)]

/// The byte that [`Wipe::Poison`] writes.
pub const POISON: u8 = 0xDB;

/// What a pool does with the bytes of a buffer that comes back.
///
/// Whatever is chosen, a holder's safe reads never show what an earlier holder wrote. Wiping costs in proportion to the
/// bytes that count as *dirty*: those that the holder wrote, or that were handed to what is not known to report all
/// that it writes. Not to the buffer's capacity: 40 bytes written by
/// [`extend_from_slice`](crate::PooledBuf::extend_from_slice) into an 8 KiB buffer cost a wipe of 40 bytes.
///
/// The default is [`Poison`](Wipe::Poison) where the crate is built with debug assertions and
/// [`Never`](Wipe::Never) elsewhere.
///
/// ```
/// use poolbuf::{BufferPool, PoolConfig, Wipe};
///
/// let pool = BufferPool::with_config(PoolConfig::new(4096).max(64).wipe(Wipe::OnRelease))?;
/// # Ok::<(), poolbuf::ConfigError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Wipe {
    /// Leave the bytes. The next holder's [`spare_mut`](crate::PooledBuf::spare_mut) zeroes those that
    /// an earlier holder may have written before it hands them out; until then they stay in memory.
    Never,
    /// Overwrite the bytes with 0.
    OnRelease,
    /// Overwrite the bytes with 0 in a way that the compiler may not optimise away (the `zeroize` crate).
    /// For keys and passwords. Needs the feature `zeroize`.
    #[cfg(feature = "zeroize")]
    Secure,
    /// Overwrite the bytes with [`POISON`], so that code that reads bytes which it did not write is seen
    /// to do so.
    Poison,
}

impl Default for Wipe {
    fn default() -> Self {
        if cfg!(debug_assertions) {
            Wipe::Poison
        } else {
            Wipe::Never
        }
    }
}

impl Wipe {
    /// Whether of the bytes that are handed out as they are, those count as dirty that are reported as written, and
    /// not all of them.
    pub(crate) const fn trusts_reports(self) -> bool {
        match self {
            #[cfg(feature = "zeroize")]
            Wipe::Secure => false,
            _ => true,
        }
    }

    /// Overwrites `dirty` as this policy says.
    pub(crate) fn overwrite(self, dirty: &mut [u8]) {
        match self {
            Wipe::Never => {}
            Wipe::OnRelease => dirty.fill(0),
            #[cfg(feature = "zeroize")]
            Wipe::Secure => zeroize::Zeroize::zeroize(dirty),
            Wipe::Poison => dirty.fill(POISON),
        }
    }
}
