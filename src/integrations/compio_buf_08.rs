//! The buffer traits of compio-buf 0.8 (compio 0.19): a `PooledBuf` goes into a completion-based read or
//! write by value and comes back with the result.
//!
//! `read` overwrites from the first byte, `append` (of `AsyncReadExt`) adds behind the bytes written so far.
//! Appending to a full guard reads 0 bytes, which looks like the end: ask `spare_len` first.
//!
//! A read that is dropped before it has completed gives its buffer back when the driver has seen the
//! cancellation through. A runtime that is dropped in mid-read may never do so.

use std::mem::MaybeUninit;

use compio_buf_08::{IoBuf, IoBufMut, SetLen};

use crate::pooled_buf::PooledBuf;

impl IoBuf for PooledBuf {
    #[inline]
    fn as_init(&self) -> &[u8] {
        self
    }
}

impl SetLen for PooledBuf {
    #[inline]
    unsafe fn set_len(&mut self, len: usize) {
        // SAFETY: the trait asks the same of its caller.
        unsafe { PooledBuf::set_len(self, len) };
    }
}

impl IoBufMut for PooledBuf {
    /// The whole buffer, as it is: for the operating system to write to, not for reading. All of it counts
    /// as exposed when the guard is wiped.
    #[inline]
    fn as_uninit(&mut self) -> &mut [MaybeUninit<u8>] {
        // SAFETY: that its user writes bytes only, never `MaybeUninit::uninit`, is what compio relies on
        // for every buffer that implements this trait, `Vec<u8>` included.
        unsafe { self.uninit_mut() }
    }
}
