//! One connection of the server: a rented buffer for every receive and every send.
//!
//! The receive buffer is rented before the receive is posted, as completion-based I/O wants it, so a
//! connection holds one even while its client is silent. A multi-size pool keeps that one small.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use compio::BufResult;
use compio::io::{AsyncReadExt, AsyncWriteExt};
use compio::net::TcpStream;
use compio::time::{timeout, timeout_at};
use poolbuf::{Pool, PooledBuf};

use super::Shared;
use super::frame::{HEADER, frame_len};
use crate::give_way::give_way;
use crate::numbers::thousands;

/// Bytes that a connection rents a buffer for before it knows what will come: three in four frames of the
/// players' mix fit. Only a multi-size pool then lends less than a whole frame's buffer.
const FIRST_RECEIVE: usize = HEADER + 512;

/// A client that is being served. Dropping it closes the connection.
pub(super) struct Connection {
    stream: TcpStream,
    peer: SocketAddr,
    shared: Arc<Shared>,
    /// The index of the worker that serves it.
    worker: usize,
}

impl Connection {
    pub(super) fn new(
        stream: std::net::TcpStream,
        peer: SocketAddr,
        shared: Arc<Shared>,
        worker: usize,
    ) -> io::Result<Self> {
        // An answer is sent in one piece: nothing to gain from waiting for more.
        stream.set_nodelay(true)?;
        Ok(Connection {
            stream: TcpStream::from_std(stream)?,
            peer,
            shared,
            worker,
        })
    }

    /// Answers frames until the client is gone or must go; the log says why.
    pub(super) async fn serve(self) {
        let reason = match self.answer_frames().await {
            Ok(()) => return,
            Err(Closed::Fault(reason)) => reason,
            Err(Closed::TimeLimit(reason)) => {
                self.shared.cut_off.fetch_add(1, Ordering::Relaxed);
                reason
            }
        };
        (self.shared.config.log)(format!("{} closed: {reason}", self.peer));
    }

    async fn answer_frames(&self) -> Result<(), Closed> {
        let pools = &self.shared.pools;
        // What came behind the last frame: the start of the next.
        let mut rest: Option<PooledBuf> = None;
        loop {
            let start = match rest.take() {
                Some(rest) => rest,
                None => {
                    let buf = self.rent(&*pools.recv, FIRST_RECEIVE).await?;
                    // A client may be silent for as long as it likes between two frames.
                    self.receive(buf).await?
                }
            };
            if start.is_empty() {
                return Ok(());
            }
            let (mut received, len) = self.receive_frame(start).await?;

            let whole = Instant::now();
            let mut answer = self.rent(&*pools.send, len).await?;
            answer.extend_from_slice(&received[..len])?;
            // The receive buffer goes back before the send is posted, unless there is more in it.
            received.consume(len);
            rest = (!received.is_empty()).then_some(received);
            self.send(answer).await?;
            self.shared.server_times[self.worker]
                .lock()
                .record(whole.elapsed());
            // A client that has sent many frames in advance would otherwise keep this worker to itself.
            give_way().await;
        }
    }

    /// A buffer for `len` bytes, waited for until the time limit if all are in use.
    async fn rent(&self, pool: &dyn Pool, len: usize) -> Result<PooledBuf, Closed> {
        match timeout(self.limit(), pool.acquire_async(len)).await {
            // An error can't happen while the server runs: its pools are open, and a frame fits.
            Ok(rented) => Ok(rented?),
            // With its future the place in the queue is given up.
            Err(_) => {
                let (pool, limit) = (pool.stats(), self.limit().as_secs_f64());
                let (in_use, max) = (thousands(pool.in_use as u64), thousands(pool.max as u64));
                Err(Closed::TimeLimit(format!(
                    "no buffer from the {} within {limit} s: {in_use} of {max} are in use",
                    pool.name
                )))
            }
        }
    }

    /// Receives once, behind the bytes that `buf` holds. Nothing is added when the client has closed.
    async fn receive(&self, mut buf: PooledBuf) -> io::Result<PooledBuf> {
        // The start of a frame, behind those that were answered: at most 32 KiB, moved in less time than a system call.
        buf.compact();
        // A receive into a full buffer would add nothing either, and look like a closed connection.
        debug_assert!(buf.spare_len() > 0);
        // The receive owns the buffer until the completion gives it back.
        let BufResult(result, buf) = (&self.stream).append(buf).await;
        result.map(|_| buf)
    }

    /// Receives what is missing of the frame that `buf` begins with, and returns it with its length.
    async fn receive_frame(&self, mut buf: PooledBuf) -> Result<(PooledBuf, usize), Closed> {
        let deadline = Instant::now() + self.limit();
        loop {
            let len = frame_len(&buf)?;
            match len {
                Some(len) if len <= buf.len() => return Ok((buf, len)),
                Some(len) if len > buf.capacity() => {
                    let mut larger = self.rent(&*self.shared.pools.recv, len).await?;
                    larger.extend_from_slice(&buf)?;
                    buf = larger;
                }
                _ => {}
            }
            let received = buf.len();
            let progress = || match len.map(|len| thousands(len as u64)) {
                Some(len) => format!("{} of {len} bytes", thousands(received as u64)),
                None => format!("{received} of {HEADER} header bytes"),
            };
            let cut = || Closed::Fault(format!("connection cut in mid-frame ({})", progress()));
            // On a timeout the receive is dropped, and with that cancelled; its buffer goes back to the
            // pool when the operating system has let go of it.
            buf = match timeout_at(deadline, self.receive(buf)).await {
                Ok(Ok(buf)) if buf.len() > received => buf,
                Ok(Ok(_nothing_more)) => return Err(cut()),
                Ok(Err(error)) if error.kind() == ErrorKind::ConnectionReset => return Err(cut()),
                Ok(Err(error)) => return Err(error.into()),
                Err(_) => {
                    let (limit, progress) = (self.limit().as_secs_f64(), progress());
                    let reason = format!("frame incomplete after {limit} s ({progress})");
                    return Err(Closed::TimeLimit(reason));
                }
            };
        }
    }

    /// Sends all of `answer`; the last completion gives it back to its pool.
    async fn send(&self, answer: PooledBuf) -> Result<(), Closed> {
        let bytes = answer.len();
        match timeout(self.limit(), (&self.stream).write_all(answer)).await {
            Ok(BufResult(result, _answer)) => Ok(result?),
            Err(_) => Err(Closed::TimeLimit(format!(
                "client did not read its answer of {} bytes within {} s",
                thousands(bytes as u64),
                self.limit().as_secs_f64(),
            ))),
        }
    }

    fn limit(&self) -> Duration {
        self.shared.config.time_limit
    }
}

/// Shuts the socket down, so that an operation which is still pending ends, and its buffer comes back,
/// even where its cancellation was lost: compio's io_uring driver drops it when the submission queue is
/// full.
impl Drop for Connection {
    fn drop(&mut self) {
        // An error means that the client was faster.
        let _ = socket2::SockRef::from(&self.stream).shutdown(std::net::Shutdown::Both);
    }
}

/// Why the server closed a connection, as the log says it.
enum Closed {
    /// The client did not go on within the time limit, or no buffer came back.
    TimeLimit(String),
    /// What came is no frame, or the connection failed.
    Fault(String),
}

impl<E: std::error::Error> From<E> for Closed {
    fn from(error: E) -> Self {
        Closed::Fault(error.to_string())
    }
}
