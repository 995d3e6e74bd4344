//! The server on compio: io_uring where the system lets it, polling elsewhere.
//!
//! Every receive and send is given its buffer when it is posted. What waits until the socket is readable
//! posts nothing until then but that question, and the receive after it completes at once.
#![forbid(unsafe_code)]

use std::io;
use std::net::TcpListener as StdListener;
use std::sync::Arc;

use compio::BufResult;
use compio::buf::{IoBuf, IoBufMut};
use compio::driver::DriverType;
use compio::io::{AsyncReadExt, AsyncWriteExt};
use compio::net::{TcpListener, TcpStream};
use compio::runtime::{Runtime, spawn};
use poolbuf::Pool;

use super::{Shared, complain_of, pause};
use crate::strategy::{BUFFER, Strategy};

/// Serves for ever.
pub(super) fn serve(listener: StdListener, shared: Arc<Shared>, ready: impl FnOnce(&str)) -> io::Result<()> {
    let runtime = Runtime::new()?;
    let driver = match runtime.driver_type() {
        DriverType::IoUring => "io_uring",
        DriverType::IOCP => "IOCP",
        DriverType::Poll => "polling",
    };
    runtime.block_on(async {
        let listener = TcpListener::from_std(listener)?;
        ready(driver);
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let shared = Arc::clone(&shared);
            match shared.config.strategy {
                Strategy::Held => spawn(held(stream, shared)).detach(),
                Strategy::PerRead => spawn(per_read(stream, shared)).detach(),
                Strategy::WhenReadable => spawn(when_readable(stream, shared)).detach(),
                Strategy::Pooled => spawn(pooled(stream, shared)).detach(),
            }
        }
    })
}

// An error of the socket means that the player left.

async fn held(stream: TcpStream, shared: Arc<Shared>) -> Option<()> {
    let mut buf = vec![0; BUFFER];
    loop {
        buf.clear();
        buf = receive(&stream, buf, shared.config.message).await?;
        pause(shared.config.pause).await;
        buf = send(&stream, buf).await?;
    }
}

async fn per_read(stream: TcpStream, shared: Arc<Shared>) -> Option<()> {
    loop {
        let buf = Vec::with_capacity(BUFFER);
        let buf = receive(&stream, buf, shared.config.message).await?;
        pause(shared.config.pause).await;
        send(&stream, buf).await?;
    }
}

async fn when_readable(stream: TcpStream, shared: Arc<Shared>) -> Option<()> {
    let readiness = stream.to_poll_fd().ok()?;
    loop {
        readiness.read_ready().await.ok()?;
        let buf = Vec::with_capacity(BUFFER);
        let buf = receive(&stream, buf, shared.config.message).await?;
        pause(shared.config.pause).await;
        send(&stream, buf).await?;
    }
}

async fn pooled(stream: TcpStream, shared: Arc<Shared>) -> Option<()> {
    let readiness = stream.to_poll_fd().ok()?;
    loop {
        readiness.read_ready().await.ok()?;
        let buf = match shared.pool.acquire_async(BUFFER).await {
            Ok(buf) => buf,
            Err(error) => {
                complain_of(&error);
                return None;
            }
        };
        let buf = receive(&stream, buf, shared.config.message).await?;
        pause(shared.config.pause).await;
        send(&stream, buf).await?;
    }
}

/// Receives until `buf` holds so many bytes.
async fn receive<B: IoBufMut>(mut stream: &TcpStream, mut buf: B, message: usize) -> Option<B> {
    while buf.buf_len() < message {
        let before = buf.buf_len();
        let BufResult(result, back) = stream.append(buf).await;
        result.ok()?;
        buf = back;
        if buf.buf_len() == before {
            return None;
        }
    }
    Some(buf)
}

/// Sends all of `buf`.
async fn send<B: IoBuf>(mut stream: &TcpStream, buf: B) -> Option<B> {
    let BufResult(result, buf) = stream.write_all(buf).await;
    result.ok()?;
    Some(buf)
}
