//! Frames awaited from a socket, on whatever runtime.
#![forbid(unsafe_code)]

use std::future::Future;
use std::io::{self, ErrorKind};
use std::panic::Location;

use super::error::ReceiveError;
use super::framing::Framing;
use super::stream::Frames;
use crate::{Pool, PooledBuf};

impl<F: Framing> Frames<F> {
    /// Receives until the next frame is whole, and returns it; `None` at the stream's end. For sockets that say when
    /// there is something to read, of whatever runtime.
    ///
    /// `readable` waits for that, and `read` then reads behind what the guard holds, and returns how many bytes that
    /// were: 0 for the stream's end, [`WouldBlock`](ErrorKind::WouldBlock) if there was nothing after all.
    ///
    /// A buffer is acquired only when there is something to read, and waited for if all are lent, with nothing held.
    /// Meanwhile nothing is read from the socket, so that the client has to wait too. The time limit is left to the
    /// runtime's own timers: the future can be dropped at any moment, and what has been received stays.
    ///
    /// A pool that [tracks its holders](crate::PoolConfig::track_holders) names the line that calls this; of a buffer
    /// that was taken because the one before was too small for its frame, a line in here.
    ///
    /// # Errors
    ///
    /// [`ReceiveError`]: whatever can go wrong.
    ///
    /// ```
    /// use poolbuf::BufferPool;
    /// use poolbuf::frames::{Frames, LengthPrefix};
    /// use std::io::Write;
    /// use tokio::net::TcpStream;
    ///
    /// # let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    /// # runtime.block_on(async {
    /// let pool = BufferPool::new(1024, 1, 16)?;
    /// let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// let mut client = std::net::TcpStream::connect(listener.local_addr()?)?;
    /// client.write_all(b"\0\x05hello\0\x05wor")?;
    /// client.write_all(b"ld")?;
    /// drop(client);
    /// let (socket, _) = listener.accept()?;
    /// socket.set_nonblocking(true)?;
    /// let socket = TcpStream::from_std(socket)?;
    ///
    /// let mut frames = Frames::new(LengthPrefix::u16_be().max(1000));
    /// let mut got = Vec::new();
    /// while let Some(frame) = frames
    ///     .receive(&pool, || socket.readable(), |buf| socket.try_read_buf(buf))
    ///     .await?
    /// {
    ///     got.push(frame.to_vec());
    /// }
    /// assert_eq!(got, [b"hello", b"world"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn receive<'a, P, R>(
        &'a mut self,
        pool: &'a P,
        readable: impl FnMut() -> R,
        read: impl FnMut(&mut PooledBuf) -> io::Result<usize>,
    ) -> impl Future<Output = Result<Option<&'a [u8]>, ReceiveError<F::Error>>>
    where
        P: Pool + ?Sized,
        R: Future<Output = io::Result<()>>,
    {
        self.receive_for(Location::caller(), pool, readable, read)
    }

    async fn receive_for<P, R>(
        &mut self,
        caller: &'static Location<'static>,
        pool: &P,
        mut readable: impl FnMut() -> R,
        mut read: impl FnMut(&mut PooledBuf) -> io::Result<usize>,
    ) -> Result<Option<&[u8]>, ReceiveError<F::Error>>
    where
        P: Pool + ?Sized,
        R: Future<Output = io::Result<()>>,
    {
        loop {
            if let Some(payload) = self.locate().map_err(ReceiveError::Frame)? {
                return Ok(Some(self.given(payload)));
            }
            readable().await?;
            let acquired = self.ask(pool, caller)?.acquired().await?;
            match read(self.hold(acquired, pool)?) {
                Ok(0) => {
                    self.end()?;
                    return Ok(None);
                }
                Ok(_) => {}
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock | ErrorKind::Interrupted => {}
                    _ => return Err(error.into()),
                },
            }
        }
    }
}
