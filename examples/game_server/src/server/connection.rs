//! One connection of the server: a rented buffer for every receive and every send.
//!
//! A receive is posted with its buffer, as completion-based I/O wants it, so a connection holds one even while its
//! client is silent. It is a small one, for a frame's header and the whole of a short frame. A large one is rented when
//! the header has said that the frame is long: a client that says nothing, or half a header, never has one.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use compio::BufResult;
use compio::buf::{IntoInner, IoBuf};
use compio::io::{AsyncRead, AsyncWriteExt};
use compio::net::TcpStream;
use compio::time::{timeout, timeout_at};
use poolbuf::frames::Frames;
use poolbuf::{Pool, PooledBuf};
use poolbuf_support::numbers::thousands;

use super::Shared;
use super::cut_off::Limit;
use super::frame::{HEADER, Wire, header};
use super::pools::SMALL;
use crate::give_way::give_way;

/// A client that is being served. Dropping it closes the connection.
pub(super) struct Connection {
    stream: TcpStream,
    peer: SocketAddr,
    shared: Arc<Shared>,
    /// The index of the worker that serves it.
    worker: usize,
}

/// What a connection has received and not answered.
struct Received {
    frames: Frames<Wire>,
    /// When the frame that is not whole yet is to be so.
    deadline: Option<Instant>,
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
            Err(Closed::TimeLimit(limit, reason)) => {
                self.shared.cut_off.count(limit);
                reason
            }
        };
        (self.shared.config.log)(format!("{} closed: {reason}", self.peer));
    }

    async fn answer_frames(&self) -> Result<(), Closed> {
        let mut received = Received {
            frames: Frames::new(Wire).first(SMALL),
            deadline: None,
        };
        loop {
            let Some(payload) = received.frames.next_frame()? else {
                if self.receive(&mut received).await? {
                    continue;
                }
                return Ok(());
            };
            let whole = Instant::now();
            let send_pool = &*self.shared.pools.send;
            let rent = send_pool.acquire_async(HEADER + payload.len());
            let mut answer = match timeout(self.limit(), rent).await {
                // An error can't happen while the server runs: its pools are open, and a frame fits.
                Ok(rented) => rented?,
                Err(_) => return Err(self.no_buffer(send_pool)),
            };
            answer.extend_from_slice(&header(payload.len()))?;
            answer.extend_from_slice(payload)?;
            received.deadline = None;
            // The receive buffer goes back before the send is posted, unless there is more in it.
            if received.frames.rest().is_empty() {
                drop(received.frames.take());
            }
            self.send(answer).await?;
            self.shared.server_times[self.worker].lock().record(whole.elapsed());
            // A client that has sent many frames in advance would otherwise keep this worker to itself.
            give_way().await;
        }
    }

    /// Receives once, behind what there is of the next frame. `false` if the client has closed between two frames.
    async fn receive(&self, received: &mut Received) -> Result<bool, Closed> {
        let Received { frames, deadline } = received;
        let (len, expected) = (frames.rest().len(), frames.expected());
        // A client may be silent for as long as it likes between two frames, and no longer than that in one.
        if len > 0 && deadline.is_none() {
            *deadline = Some(Instant::now() + self.limit());
        }
        let pools = &self.shared.pools;
        let pool = match expected {
            Some(expected) if expected > SMALL => &*pools.recv,
            _ => &*pools.headers,
        };
        match timeout(self.limit(), frames.acquire_async(pool)).await {
            Ok(rented) => drop(rented?),
            Err(_) => return Err(self.no_buffer(pool)),
        }
        let buf = frames.take().expect("it was rented");

        // No more than the frame, so that a large buffer never holds the start of the next one.
        let end = expected.unwrap_or(SMALL).max(SMALL);
        // The receive owns the buffer until the completion gives it back. On a timeout it is dropped, and with that
        // cancelled; its buffer goes back to the pool when the operating system has let go of it.
        let mut stream = &self.stream;
        let receive = stream.read(buf.slice(len..end));
        let BufResult(result, buf) = match *deadline {
            None => receive.await,
            Some(deadline) => match timeout_at(deadline, receive).await {
                Ok(completed) => completed,
                Err(_) => {
                    let (limit, progress) = (self.limit().as_secs_f64(), progress(len, expected));
                    let reason = format!("frame incomplete after {limit} s ({progress})");
                    return Err(Closed::TimeLimit(Limit::FrameIncomplete, reason));
                }
            },
        };
        let cut = || {
            let progress = progress(len, expected);
            Closed::Fault(format!("connection cut in mid-frame ({progress})"))
        };
        match result {
            Ok(0) if len == 0 => return Ok(false),
            Ok(0) => return Err(cut()),
            Ok(_) => {}
            Err(error) if len > 0 && error.kind() == ErrorKind::ConnectionReset => {
                return Err(cut());
            }
            Err(error) => return Err(error.into()),
        }
        frames.put(buf.into_inner()).expect("it was taken");
        Ok(true)
    }

    /// None came back within the time limit.
    fn no_buffer(&self, pool: &dyn Pool) -> Closed {
        let (pool, limit) = (pool.stats(), self.limit().as_secs_f64());
        let (in_use, max) = (thousands(pool.in_use as u64), thousands(pool.max as u64));
        let reason = format!(
            "no buffer from the {} within {limit} s: {in_use} of {max} are in use",
            pool.name
        );
        Closed::TimeLimit(Limit::NoBuffer, reason)
    }

    /// Sends all of `answer`; the last completion gives it back to its pool.
    async fn send(&self, answer: PooledBuf) -> Result<(), Closed> {
        let bytes = answer.len();
        match timeout(self.limit(), (&self.stream).write_all(answer)).await {
            Ok(BufResult(result, _answer)) => Ok(result?),
            Err(_) => {
                let (bytes, limit) = (thousands(bytes as u64), self.limit().as_secs_f64());
                let reason = format!("client did not read its answer of {bytes} bytes within {limit} s");
                Err(Closed::TimeLimit(Limit::AnswerUnread, reason))
            }
        }
    }

    fn limit(&self) -> Duration {
        self.shared.config.time_limit
    }
}

/// How much has come of a frame.
fn progress(received: usize, expected: Option<usize>) -> String {
    match expected {
        Some(expected) => {
            let (received, expected) = (thousands(received as u64), thousands(expected as u64));
            format!("{received} of {expected} bytes")
        }
        None => format!("{received} of {HEADER} header bytes"),
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
    TimeLimit(Limit, String),
    /// What came is no frame, or the connection failed.
    Fault(String),
}

impl<E: std::error::Error> From<E> for Closed {
    fn from(error: E) -> Self {
        Closed::Fault(error.to_string())
    }
}
