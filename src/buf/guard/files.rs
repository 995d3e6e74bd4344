//! Reading files from a position.

use std::fs::File;
use std::io;

use crate::buf::guard::PooledBuf;

impl PooledBuf {
    /// Reads once from `file`, from byte `offset` on, behind the bytes written so far, as much as comes and fits.
    /// Returns how many bytes came; 0 means that the file ends there, since a full buffer is an error instead. An
    /// interrupted read is tried again. On Unix and Windows; on Windows, it moves the file's cursor, as `seek_read`
    /// does.
    ///
    /// *Cost.* What the read costs, whatever the capacity: see [`read_from`](PooledBuf::read_from).
    ///
    /// # Errors
    ///
    /// What the file returns; a [`CapacityError`](crate::CapacityError), as an [`io::Error`] of the kind
    /// [`WriteZero`](io::ErrorKind::WriteZero), when nothing more fits. In each case nothing counts as written.
    ///
    /// ```
    /// use poolbuf::{BufferPool, Pool};
    /// use std::fs::File;
    ///
    /// let manifest = File::open(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))?;
    /// let mut buf = BufferPool::new(1024, 1, 16)?.acquire()?;
    /// buf.read_at(&manifest, 1)?;
    /// assert!(buf.starts_with(b"package]\n"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn read_at(&mut self, file: &File, offset: u64) -> io::Result<usize> {
        #[cfg(unix)]
        use std::os::unix::fs::FileExt;
        #[cfg(windows)]
        use std::os::windows::fs::FileExt;

        #[cfg(unix)]
        let read = |spare: &mut [u8]| file.read_at(spare, offset);
        #[cfg(windows)]
        let read = |spare: &mut [u8]| file.seek_read(spare, offset);
        // SAFETY: hands the bytes to a system call, which does what `TrustedRead for File` says.
        unsafe { self.receive_bytes(read) }
    }
}
