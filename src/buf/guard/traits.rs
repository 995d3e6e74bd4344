//! What a guard is beside its bytes: compared, ordered, hashed, iterated and shown.
#![forbid(unsafe_code)]

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::slice;

use crate::buf::equality::equal_to_bytes;
use crate::buf::guard::PooledBuf;

impl AsRef<[u8]> for PooledBuf {
    #[inline]
    fn as_ref(&self) -> &[u8] {
        self
    }
}

/// Lawful, since a guard is compared, ordered and hashed as its bytes are: a map with guards as keys is searched with a
/// slice.
///
/// ```
/// use poolbuf::{BufferPool, Pool};
/// use std::collections::HashMap;
///
/// let mut token = BufferPool::new(64, 1, 1)?.acquire()?;
/// token.extend_from_slice(b"4711")?;
/// let sessions = HashMap::from([(token, "Ada")]);
/// assert_eq!(sessions.get(&b"4711"[..]), Some(&"Ada"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
impl Borrow<[u8]> for PooledBuf {
    #[inline]
    fn borrow(&self) -> &[u8] {
        self
    }
}

impl<'a> IntoIterator for &'a PooledBuf {
    type Item = &'a u8;
    type IntoIter = slice::Iter<'a, u8>;

    #[inline]
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<'a> IntoIterator for &'a mut PooledBuf {
    type Item = &'a mut u8;
    type IntoIter = slice::IterMut<'a, u8>;

    #[inline]
    fn into_iter(self) -> Self::IntoIter {
        self.as_mut_slice().iter_mut()
    }
}

/// Of the bytes written so far, whatever the capacity. Stops at the first difference, so not for secrets.
impl PartialEq for PooledBuf {
    #[inline]
    fn eq(&self, other: &PooledBuf) -> bool {
        **self == **other
    }
}

impl Eq for PooledBuf {}

impl PartialOrd for PooledBuf {
    #[inline]
    fn partial_cmp(&self, other: &PooledBuf) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for PooledBuf {
    #[inline]
    fn cmp(&self, other: &PooledBuf) -> Ordering {
        (**self).cmp(&**other)
    }
}

impl Hash for PooledBuf {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

equal_to_bytes!(PooledBuf, |own, bytes| **own == *bytes);

/// A copy of the bytes written so far; the buffer goes back to its pool. Costs an allocation.
///
/// ```
/// use poolbuf::{BufferPool, Pool};
///
/// let pool = BufferPool::new(64, 1, 1)?;
/// let mut buf = pool.acquire()?;
/// buf.extend_from_slice(b"kept for long")?;
/// let kept = Vec::from(buf);
/// assert_eq!((&kept[..], pool.stats().in_use), (&b"kept for long"[..], 0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
impl From<PooledBuf> for Vec<u8> {
    fn from(buf: PooledBuf) -> Vec<u8> {
        buf.to_vec()
    }
}

/// Length and capacity; never the bytes, which may be secret.
impl fmt::Debug for PooledBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PooledBuf")
            .field("len", &self.len())
            .field("capacity", &self.capacity())
            .finish_non_exhaustive()
    }
}
