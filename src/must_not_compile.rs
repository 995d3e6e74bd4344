//! Misuse that the compiler refuses. Each case stands beside a twin that differs in the misuse alone and
//! does compile, so that a case can't be refused for another reason, a misspelt name for instance. The
//! error codes are checked where rustdoc can: on a nightly toolchain.
#![forbid(unsafe_code)]

/// Use after release.
///
/// ```
/// use poolbuf::{BufferPool, Pool};
/// let pool = BufferPool::new(64, 1, 1).unwrap();
/// let buf = pool.acquire().unwrap();
/// assert!(buf.is_empty());
/// drop(buf);
/// ```
///
/// ```compile_fail,E0382
/// use poolbuf::{BufferPool, Pool};
/// let pool = BufferPool::new(64, 1, 1).unwrap();
/// let buf = pool.acquire().unwrap();
/// drop(buf);
/// assert!(buf.is_empty());
/// ```
mod use_after_drop {}

/// Releasing twice.
///
/// ```
/// use poolbuf::{BufferPool, Pool};
/// let pool = BufferPool::new(64, 1, 1).unwrap();
/// let buf = pool.acquire().unwrap();
/// drop(buf);
/// ```
///
/// ```compile_fail,E0382
/// use poolbuf::{BufferPool, Pool};
/// let pool = BufferPool::new(64, 1, 1).unwrap();
/// let buf = pool.acquire().unwrap();
/// drop(buf);
/// drop(buf);
/// ```
///
/// A guard can't be copied either, which would come to the same.
///
/// ```compile_fail,E0599
/// use poolbuf::{BufferPool, Pool};
/// let pool = BufferPool::new(64, 1, 1).unwrap();
/// let buf = pool.acquire().unwrap();
/// drop(buf.clone());
/// ```
mod double_release {}

/// Releasing into another pool: a pool has nothing that takes a buffer.
///
/// ```
/// use poolbuf::{BufferPool, Pool};
/// let pool = BufferPool::new(64, 1, 1).unwrap();
/// let other = BufferPool::new(64, 1, 1).unwrap();
/// let buf = pool.acquire().unwrap();
/// other.close();
/// drop(buf);
/// ```
///
/// ```compile_fail,E0599
/// use poolbuf::{BufferPool, Pool};
/// let pool = BufferPool::new(64, 1, 1).unwrap();
/// let other = BufferPool::new(64, 1, 1).unwrap();
/// let buf = pool.acquire().unwrap();
/// other.release(buf);
/// ```
mod release_into_another_pool {}

/// Keeping a slice beyond its guard.
///
/// ```
/// use poolbuf::{BufferPool, Pool};
/// let pool = BufferPool::new(64, 1, 1).unwrap();
/// let mut buf = pool.acquire().unwrap();
/// buf.extend_from_slice(b"kept").unwrap();
/// let bytes: &[u8] = &buf;
/// assert_eq!(bytes, b"kept");
/// drop(buf);
/// ```
///
/// ```compile_fail,E0505
/// use poolbuf::{BufferPool, Pool};
/// let pool = BufferPool::new(64, 1, 1).unwrap();
/// let mut buf = pool.acquire().unwrap();
/// buf.extend_from_slice(b"kept").unwrap();
/// let bytes: &[u8] = &buf;
/// drop(buf);
/// assert_eq!(bytes, b"kept");
/// ```
///
/// Nor may the spare bytes be kept while the guard is used otherwise.
///
/// ```compile_fail,E0499
/// use poolbuf::{BufferPool, Pool};
/// let pool = BufferPool::new(64, 1, 1).unwrap();
/// let mut buf = pool.acquire().unwrap();
/// let spare = buf.spare_mut();
/// buf.commit(4).unwrap();
/// spare[0] = 1;
/// ```
mod slice_beyond_its_guard {}

/// The obvious call of `std::io::Read` on a fresh guard would read 0 bytes: it does not compile, however it borrows the
/// guard. (`as_mut_slice` says by name that it gives what was written, and nothing of what is spare.)
///
/// ```
/// use poolbuf::{BufferPool, Pool};
/// use std::io::Read;
/// let mut socket: &[u8] = b"bytes";
/// let mut buf = BufferPool::new(64, 1, 1).unwrap().acquire().unwrap();
/// assert_eq!(buf.read_from(&mut socket).unwrap(), 5);
/// assert_eq!(socket.read(buf.spare_mut()).unwrap(), 0);
/// ```
///
/// ```compile_fail,E0596
/// use poolbuf::{BufferPool, Pool};
/// use std::io::Read;
/// let mut socket: &[u8] = b"bytes";
/// let mut buf = BufferPool::new(64, 1, 1).unwrap().acquire().unwrap();
/// socket.read(&mut buf).unwrap();
/// ```
///
/// ```compile_fail,E0596
/// use poolbuf::{BufferPool, Pool};
/// use std::io::Read;
/// let mut socket: &[u8] = b"bytes";
/// let mut buf = BufferPool::new(64, 1, 1).unwrap().acquire().unwrap();
/// socket.read(&mut buf[..]).unwrap();
/// ```
///
/// ```compile_fail,E0596
/// use poolbuf::{BufferPool, Pool};
/// use std::io::Read;
/// let mut socket: &[u8] = b"bytes";
/// let mut buf = BufferPool::new(64, 1, 1).unwrap().acquire().unwrap();
/// socket.read_exact(&mut buf).unwrap();
/// ```
///
/// ```compile_fail,E0596
/// use poolbuf::{BufferPool, Pool};
/// use std::io::Read;
/// let mut socket: &[u8] = b"bytes";
/// let mut buf = BufferPool::new(64, 1, 1).unwrap().acquire().unwrap();
/// socket.read(buf.as_mut()).unwrap();
/// ```
mod std_read_into_a_fresh_guard {}

/// A reader of which nothing is known gets no bytes of earlier holders.
///
/// ```
/// use poolbuf::{BufferPool, Pool};
/// use std::io::Read;
/// fn receive(reader: &mut dyn Read) -> usize {
///     let mut buf = BufferPool::new(64, 1, 1).unwrap().acquire().unwrap();
///     buf.read_from_any(reader).unwrap()
/// }
/// assert_eq!(receive(&mut &b"bytes"[..]), 5);
/// ```
///
/// ```compile_fail,E0277
/// use poolbuf::{BufferPool, Pool};
/// use std::io::Read;
/// fn receive(reader: &mut dyn Read) -> usize {
///     let mut buf = BufferPool::new(64, 1, 1).unwrap().acquire().unwrap();
///     buf.read_from(reader).unwrap()
/// }
/// assert_eq!(receive(&mut &b"bytes"[..]), 5);
/// ```
mod unknown_reader_of_stale_bytes {}

/// The same for tokio.
///
/// ```
/// use poolbuf::{BufferPool, Pool, PooledBuf};
/// use tokio::{io::AsyncReadExt, net::TcpStream};
/// async fn receive(socket: &mut TcpStream, buf: &mut PooledBuf) -> std::io::Result<()> {
///     let received = socket.read(buf.spare_mut()).await?;
///     Ok(buf.commit(received)?)
/// }
/// ```
///
/// ```compile_fail,E0596
/// use poolbuf::{BufferPool, Pool, PooledBuf};
/// use tokio::{io::AsyncReadExt, net::TcpStream};
/// async fn receive(socket: &mut TcpStream, buf: &mut PooledBuf) -> std::io::Result<()> {
///     let received = socket.read(buf).await?;
///     Ok(buf.commit(received)?)
/// }
/// ```
///
/// ```compile_fail,E0596
/// use poolbuf::{BufferPool, Pool, PooledBuf};
/// use tokio::{io::AsyncReadExt, net::TcpStream};
/// async fn receive(socket: &mut TcpStream, buf: &mut PooledBuf) -> std::io::Result<()> {
///     let received = socket.try_read(buf)?;
///     Ok(buf.commit(received)?)
/// }
/// ```
mod tokio_read_into_a_fresh_guard {}
