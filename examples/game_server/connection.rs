//! One connection of the server: a rented buffer for every receive and every send.
//!
//! The receive buffer is rented before the receive is posted, as completion-based I/O wants it, so a
//! connection holds one even while its client is silent. A multi-size pool keeps that one small.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{fmt, io};

use compio::BufResult;
use compio::io::{AsyncReadExt, AsyncWriteExt};
use compio::net::TcpStream;
use compio::time::{timeout, timeout_at};
use poolbuf::{AcquireError, CapacityError, Pool, PooledBuf};

use crate::frame::{self, FrameError, HEADER};
use crate::numbers::thousands;
use crate::server::Worker;

/// Bytes that a connection rents a buffer for before it knows what will come: three in four frames of the
/// players' mix fit. Only a multi-size pool then lends less than a whole frame's buffer.
const FIRST_RECEIVE: usize = HEADER + 512;

/// A client that is being served. Dropping it closes the connection.
pub(crate) struct Connection {
    stream: TcpStream,
    peer: SocketAddr,
    worker: Rc<Worker>,
}

/// Why the server closed a connection.
#[derive(Debug)]
pub(crate) enum Closed {
    Frame(FrameError),
    /// The client closed or aborted it in mid-frame.
    Cut(Progress),
    FrameTimeout(Progress, Duration),
    SendTimeout {
        bytes: usize,
        limit: Duration,
    },
    /// None came back within the time limit.
    NoBuffer {
        pool: Arc<str>,
        in_use: usize,
        max: usize,
        limit: Duration,
    },
    /// Cannot happen while the server runs: its pools are open, and a frame fits.
    Refused {
        pool: Arc<str>,
        error: AcquireError,
    },
    /// Cannot happen: every buffer is rented for what goes into it.
    Capacity(CapacityError),
    Io(io::Error),
}

/// How much of a frame is there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Progress {
    received: usize,
    /// The whole frame, once its header is there.
    of: Option<usize>,
}

impl Connection {
    pub(crate) fn new(
        stream: std::net::TcpStream,
        peer: SocketAddr,
        worker: Rc<Worker>,
    ) -> io::Result<Self> {
        // An answer is sent in one piece: nothing to gain from waiting for more.
        stream.set_nodelay(true)?;
        let stream = TcpStream::from_std(stream)?;
        Ok(Connection {
            stream,
            peer,
            worker,
        })
    }

    /// Answers frames until the client is gone or must go; the log says why.
    pub(crate) async fn serve(self) {
        if let Err(reason) = self.answer_frames().await {
            self.worker.log(format!("{} closed: {reason}", self.peer));
        }
    }

    async fn answer_frames(&self) -> Result<(), Closed> {
        let pools = self.worker.pools();
        // What came behind the last frame: the start of the next.
        let mut rest: Option<PooledBuf> = None;
        loop {
            let mut received = match rest.take() {
                Some(rest) => rest,
                None => {
                    let buf = self.rent(&*pools.recv, FIRST_RECEIVE).await?;
                    // A client may be silent for as long as it likes between two frames.
                    self.receive(buf).await?
                }
            };
            if received.is_empty() {
                return Ok(());
            }

            let deadline = Instant::now() + self.worker.time_limit();
            let len = loop {
                match frame::frame_len(&received)? {
                    Some(len) => break len,
                    None => received = self.receive_more(received, None, deadline).await?,
                }
            };
            if len > received.capacity() {
                let mut larger = self.rent(&*pools.recv, len).await?;
                larger.extend_from_slice(&received)?;
                received = larger;
            }
            while received.len() < len {
                received = self.receive_more(received, Some(len), deadline).await?;
            }

            let complete = Instant::now();
            let mut answer = self.rent(&*pools.send, len).await?;
            answer.extend_from_slice(&received[..len])?;
            // The receive buffer goes back before the send is posted, unless there is more in it. That is
            // then moved to the front: at most 32 KiB, which takes less time than a system call.
            received.consume(len);
            rest = (!received.is_empty()).then_some(received);
            self.send(answer).await?;
            self.worker.answered(complete.elapsed());
        }
    }

    /// A buffer for `len` bytes, waited for until the time limit if all are in use.
    async fn rent(&self, pool: &dyn Pool, len: usize) -> Result<PooledBuf, Closed> {
        let limit = self.worker.time_limit();
        match timeout(limit, pool.acquire_async(len)).await {
            Ok(Ok(buf)) => Ok(buf),
            Ok(Err(error)) => Err(Closed::Refused {
                pool: pool.stats().name,
                error,
            }),
            // With its future the place in the queue is given up.
            Err(_) => {
                let stats = pool.stats();
                Err(Closed::NoBuffer {
                    pool: stats.name,
                    in_use: stats.in_use,
                    max: stats.max,
                    limit,
                })
            }
        }
    }

    /// Receives once, behind the bytes that `buf` holds. Nothing is added when the client has closed.
    async fn receive(&self, buf: PooledBuf) -> Result<PooledBuf, Closed> {
        // A receive into a full buffer would add nothing either, and look like a closed connection.
        debug_assert!(buf.spare_len() > 0);
        // The receive owns the buffer until the completion gives it back.
        let BufResult(result, buf) = (&self.stream).append(buf).await;
        result?;
        Ok(buf)
    }

    /// Receives at least one byte more of a frame that has begun.
    async fn receive_more(
        &self,
        buf: PooledBuf,
        frame: Option<usize>,
        deadline: Instant,
    ) -> Result<PooledBuf, Closed> {
        let progress = Progress {
            received: buf.len(),
            of: frame,
        };
        // On a timeout the receive is dropped, and with that cancelled; its buffer goes back to the pool
        // when the operating system has let go of it.
        match timeout_at(deadline, self.receive(buf)).await {
            Err(_) => Err(Closed::FrameTimeout(progress, self.worker.time_limit())),
            Ok(Err(Closed::Io(error))) if error.kind() == io::ErrorKind::ConnectionReset => {
                Err(Closed::Cut(progress))
            }
            Ok(Ok(buf)) if buf.len() == progress.received => Err(Closed::Cut(progress)),
            Ok(result) => result,
        }
    }

    /// Sends all of `answer`; the last completion gives it back to its pool.
    async fn send(&self, answer: PooledBuf) -> Result<(), Closed> {
        let bytes = answer.len();
        let limit = self.worker.time_limit();
        match timeout(limit, (&self.stream).write_all(answer)).await {
            Ok(BufResult(result, _answer)) => Ok(result?),
            Err(_) => Err(Closed::SendTimeout { bytes, limit }),
        }
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

impl From<FrameError> for Closed {
    fn from(error: FrameError) -> Self {
        Closed::Frame(error)
    }
}

impl From<CapacityError> for Closed {
    fn from(error: CapacityError) -> Self {
        Closed::Capacity(error)
    }
}

impl From<io::Error> for Closed {
    fn from(error: io::Error) -> Self {
        Closed::Io(error)
    }
}

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Closed::Frame(error) => write!(f, "{error}"),
            Closed::Cut(progress) => write!(f, "connection cut in mid-frame ({progress})"),
            Closed::FrameTimeout(progress, limit) => {
                let limit = limit.as_secs_f64();
                write!(f, "frame incomplete after {limit} s ({progress})")
            }
            Closed::SendTimeout { bytes, limit } => write!(
                f,
                "client did not read its answer of {} bytes within {} s",
                thousands(*bytes as u64),
                limit.as_secs_f64(),
            ),
            Closed::NoBuffer {
                pool,
                in_use,
                max,
                limit,
            } => write!(
                f,
                "no buffer from the {pool} within {} s: {} of {} are in use",
                limit.as_secs_f64(),
                thousands(*in_use as u64),
                thousands(*max as u64),
            ),
            Closed::Refused { pool, error } => write!(f, "no buffer from the {pool}: {error}"),
            Closed::Capacity(error) => write!(f, "{error}"),
            Closed::Io(error) => write!(f, "{error}"),
        }
    }
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.of {
            Some(len) => write!(
                f,
                "{} of {} bytes",
                thousands(self.received as u64),
                thousands(len as u64)
            ),
            None => write!(f, "{} of {HEADER} header bytes", self.received),
        }
    }
}
