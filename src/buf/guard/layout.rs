//! The words of a guard, and how they are written and read.
//!
//! A guard lives in memory wherever programs do: passed by reference, returned in a `Result`, kept in a future or in a
//! `Vec`. It is written there, and read again a few instructions later. A processor hands such a read what it is about
//! to write (*store forwarding*), but only if one write covers all of the read. Where a read spans two younger writes
//! it waits until both have reached the cache: some 15 cycles, as long as all the rest of a loan. So what is read
//! together is written together:
//!
//! ```text
//! byte    0          8          16         24         32         40
//!         +----------+----------+----------+----------+----------+
//!         |  place   | lengths  |   data   |   slot   |  header  |
//!         +----------+----------+----------+----------+----------+
//! low     room       len                   index
//! high    head       written               dirty  
//!
//! made    <----- 16 bytes -----><----- 16 bytes -----><--- 8 --->
//! changed <----- 16 bytes ----->
//! dropped <--- 8 ---><--- 8 ---><--- 8 ---><--- 8 ---><--- 8 --->
//! moved   <----- 16 bytes -----><----- 16 bytes -----><--- 8 --->
//! ```
//!
//! - Numbers of 32 bits are the halves of a word, which is read and written whole.
//! - A move of 40 bytes is compiled to two reads of 16 bytes and one of 8. So a guard is made, and changed, by writes
//!   of 16 bytes at the same places. The compiler writes neighbouring words one by one, or in other pairs, unless it is
//!   told: by an instruction of SSE2 on x86-64, and of NEON on ARM64, which all such processors have.
//! - The header is the one word that is never 0: by that `Option` and `Result` tell which they are. It is looked at by
//!   itself before a move, and then the compiler copies what lies before it and what lies behind it apart. As it is the
//!   last, both pairs stay whole.
//!
//! Where that is not enough. A `Result` whose error is a single word ([`std::io::Error`]) shares the first word with
//! the error: where one is made from another, the compiler moves that word by itself and the other four as pairs,
//! across ours. And with `-C target-cpu=x86-64-v3` a move reads the first four words at once. (Tried: to write all four
//! at once too. The compiler cuts that in two again, unless it is kept from seeing the words, and then a guard that
//! could stay in registers does not.)
//!
//! And a write that lies across two pages is dear by itself. A guard is aligned to 8 bytes, so a pair of one in 256
//! places does, and a loan takes 35 ns there where it takes 8 elsewhere. Aligned to 16 bytes it never would, and be 48
//! bytes.
//!
//! On ARM64, left to itself, the compiler writes `data` alone and the two behind it by one `stp`, and moves the guard
//! by reads of 16 bytes, the second of which then spans two writes. So the pairs are written there too. That was read
//! in its code; how long its processors wait was not measured.

use std::ptr::NonNull;

pub(super) use words::unknown;

use crate::buf::guard::PooledBuf;
use crate::buf::guard::header::ReleaseHeader;
use crate::buf::guard::words::{Lengths, Place};

/// Where a guard's data begin. A number where guards are made by wide writes, which have no place for a pointer's
/// provenance: that is exposed when the number is made of the pointer, and taken up again when it is used. Elsewhere,
/// and under Miri, which follows provenance, the pointer.
#[derive(Clone, Copy)]
pub(super) struct Address(words::Data);

#[cfg(all(
    any(
        all(target_arch = "x86_64", target_feature = "sse2"),
        all(target_arch = "aarch64", target_feature = "neon", target_endian = "little")
    ),
    target_pointer_width = "64",
    not(miri)
))]
mod words {
    use std::arch::asm;
    use std::mem::{MaybeUninit, offset_of};
    use std::ptr;

    use super::*;

    pub(super) type Data = usize;

    impl Address {
        #[inline(always)]
        pub(in crate::buf::guard) fn new(data: NonNull<u8>) -> Address {
            Address(data.as_ptr().expose_provenance())
        }

        #[inline(always)]
        pub(in crate::buf::guard) fn get(self) -> NonNull<u8> {
            // SAFETY: made from a pointer that is not null.
            unsafe { NonNull::new_unchecked(ptr::with_exposed_provenance_mut(self.0)) }
        }
    }

    // Two pairs, and nothing between them.
    const _: () = assert!(
        offset_of!(PooledBuf, place) == 0
            && offset_of!(PooledBuf, lengths) == 8
            && offset_of!(PooledBuf, data) == 16
            && offset_of!(PooledBuf, slot) == 24
    );

    impl PooledBuf {
        /// A guard of these words.
        #[inline(always)]
        pub(in crate::buf::guard) fn of_words(
            place: Place,
            lengths: Lengths,
            data: Address,
            slot: u64,
            header: NonNull<ReleaseHeader>,
        ) -> PooledBuf {
            let mut buf = MaybeUninit::<PooledBuf>::uninit();
            let start = buf.as_mut_ptr();
            // SAFETY: these are the fields, each of them once. All values of the first four are valid.
            unsafe {
                write_pair(start.cast(), place.0, lengths.0);
                write_pair((&raw mut (*start).data).cast(), data.0 as u64, slot);
                (&raw mut (*start).header).write(header);
                buf.assume_init()
            }
        }

        #[inline(always)]
        pub(in crate::buf::guard) fn set_lengths(&mut self, lengths: Lengths) {
            let place = unknown(self.place.0);
            // SAFETY: these are the first two fields, all of whose values are valid.
            unsafe { write_pair(ptr::from_mut(self).cast(), place, lengths.0) };
        }
    }

    /// The same word, of which the compiler knows nothing any more. What it knows to lie there already it would leave
    /// out, and write the other word of the pair alone.
    #[inline(always)]
    pub(in crate::buf::guard) fn unknown(mut word: u64) -> u64 {
        // SAFETY: a comment, which does nothing.
        unsafe { asm!("/* {0} */", inout(reg) word, options(pure, nomem, nostack, preserves_flags)) };
        word
    }

    /// Writes two words by one instruction.
    ///
    /// # Safety
    ///
    /// The 16 bytes at `to` can be written.
    #[inline(always)]
    unsafe fn write_pair(to: *mut u64, first: u64, second: u64) {
        #[cfg(target_arch = "x86_64")]
        use std::arch::x86_64::{_mm_set_epi64x, _mm_storeu_si128};
        // SAFETY: SSE2 is there, or this would not be compiled; it needs no alignment; and the bytes can be written, as
        // our caller says.
        #[cfg(target_arch = "x86_64")]
        unsafe {
            // The upper half comes first.
            let pair = _mm_set_epi64x(second as i64, first as i64);
            _mm_storeu_si128(to.cast(), pair);
        }

        #[cfg(target_arch = "aarch64")]
        use std::arch::aarch64::{vcombine_u64, vcreate_u64, vst1q_u64};
        // SAFETY: as above, of NEON.
        #[cfg(target_arch = "aarch64")]
        unsafe {
            vst1q_u64(to, vcombine_u64(vcreate_u64(first), vcreate_u64(second)));
        }
    }
}

#[cfg(not(all(
    any(
        all(target_arch = "x86_64", target_feature = "sse2"),
        all(target_arch = "aarch64", target_feature = "neon", target_endian = "little")
    ),
    target_pointer_width = "64",
    not(miri)
)))]
mod words {
    use super::*;

    pub(super) type Data = NonNull<u8>;

    impl Address {
        #[inline(always)]
        pub(in crate::buf::guard) fn new(data: NonNull<u8>) -> Address {
            Address(data)
        }

        #[inline(always)]
        pub(in crate::buf::guard) fn get(self) -> NonNull<u8> {
            self.0
        }
    }

    impl PooledBuf {
        /// A guard of these words.
        #[inline(always)]
        pub(in crate::buf::guard) fn of_words(
            place: Place,
            lengths: Lengths,
            data: Address,
            slot: u64,
            header: NonNull<ReleaseHeader>,
        ) -> PooledBuf {
            PooledBuf {
                place,
                lengths,
                data,
                slot,
                header,
            }
        }

        #[inline(always)]
        pub(in crate::buf::guard) fn set_lengths(&mut self, lengths: Lengths) {
            self.lengths = lengths;
        }
    }

    /// The same word.
    #[inline(always)]
    pub(in crate::buf::guard) fn unknown(word: u64) -> u64 {
        word
    }
}
