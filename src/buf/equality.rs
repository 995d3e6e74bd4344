//! Equality with all that bytes are kept in.
#![forbid(unsafe_code)]

/// `PartialEq` with what `AsRef` makes bytes of, both ways; `$has` says whether a value of the type has those bytes.
macro_rules! equal_to_bytes {
    ($own:ty, $has:expr) => {
        $crate::buf::equality::equal_to_bytes! {
            $own, $has;
            [u8];
            &[u8];
            [u8; N], const N;
            &[u8; N], const N;
            Vec<u8>;
            str;
            &str;
        }
    };
    ($own:ty, $has:expr; $($other:ty $(, const $n:ident)?;)*) => {$(
        impl $(<const $n: usize>)? PartialEq<$other> for $own {
            #[inline]
            fn eq(&self, other: &$other) -> bool {
                let has: fn(&$own, &[u8]) -> bool = $has;
                has(self, other.as_ref())
            }
        }

        impl $(<const $n: usize>)? PartialEq<$own> for $other {
            #[inline]
            fn eq(&self, other: &$own) -> bool {
                other == self
            }
        }
    )*};
}

pub(crate) use equal_to_bytes;
