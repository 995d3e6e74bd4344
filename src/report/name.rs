//! What a pool is called.
#![forbid(unsafe_code)]

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// What a pool, or a [`Budget`](crate::Budget), is called: a `str` that is cheap to clone. Part of errors and figures.
///
/// ```
/// use poolbuf::{AcquireError, BufferPool, Pool, PoolConfig};
///
/// let pool = BufferPool::with_config(PoolConfig::new(1024).max(1).name("recv"))?;
/// let _only = pool.acquire()?;
/// match pool.acquire() {
///     Err(AcquireError::Exhausted { pool, .. }) => assert_eq!(pool, "recv"),
///     other => panic!("{other:?}"),
/// }
/// assert!(pool.stats().name.starts_with("re"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Arc<str>);

impl Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for Name {
    fn as_ref(&self) -> &str {
        self
    }
}

impl From<&str> for Name {
    fn from(name: &str) -> Name {
        Name(name.into())
    }
}

impl From<String> for Name {
    fn from(name: String) -> Name {
        Name(name.into())
    }
}

impl PartialEq<str> for Name {
    fn eq(&self, other: &str) -> bool {
        **self == *other
    }
}

impl PartialEq<&str> for Name {
    fn eq(&self, other: &&str) -> bool {
        **self == **other
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}
