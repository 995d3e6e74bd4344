//! The server on tokio.
#![forbid(unsafe_code)]

use std::future::poll_fn;
use std::io;
use std::net::TcpListener as StdListener;
use std::sync::Arc;

use poolbuf::Pool;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;

use super::{Shared, at_once, complain_of, pause};
use crate::strategy::{BUFFER, Strategy};

/// Serves for ever.
pub(super) fn serve(listener: StdListener, shared: Arc<Shared>, ready: impl FnOnce(&str)) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let runtime = Builder::new_current_thread().enable_io().build()?;
    runtime.block_on(async {
        let listener = TcpListener::from_std(listener)?;
        ready("tokio");
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let shared = Arc::clone(&shared);
            // A task for each, no larger than what its strategy needs.
            match shared.config.strategy {
                Strategy::Held => drop(tokio::spawn(held(stream, shared))),
                Strategy::PerRead => drop(tokio::spawn(per_read(stream, shared))),
                Strategy::WhenReadable => drop(tokio::spawn(when_readable(stream, shared))),
                Strategy::Pooled => drop(tokio::spawn(pooled(stream, shared))),
            }
        }
    })
}

// An error of the socket means that the player left.

async fn held(mut stream: TcpStream, shared: Arc<Shared>) -> Option<()> {
    let message = shared.config.message;
    let mut buf = vec![0; BUFFER];
    loop {
        let mut received = 0;
        while received < message {
            match stream.read(&mut buf[received..]).await.ok()? {
                0 => return None,
                bytes => received += bytes,
            }
        }
        pause(shared.config.pause).await;
        stream.write_all(&buf[..received]).await.ok()?;
    }
}

async fn per_read(mut stream: TcpStream, shared: Arc<Shared>) -> Option<()> {
    let message = shared.config.message;
    loop {
        let mut buf = Vec::with_capacity(BUFFER);
        while buf.len() < message {
            if stream.read_buf(&mut buf).await.ok()? == 0 {
                return None;
            }
        }
        pause(shared.config.pause).await;
        stream.write_all(&buf).await.ok()?;
    }
}

async fn when_readable(mut stream: TcpStream, shared: Arc<Shared>) -> Option<()> {
    let message = shared.config.message;
    'messages: loop {
        readable(&stream).await?;
        let mut buf = Vec::with_capacity(BUFFER);
        while buf.len() < message {
            match at_once(stream.read_buf(&mut buf)).await {
                Some(Ok(bytes)) if bytes > 0 => {}
                Some(_) => return None,
                None if buf.is_empty() => continue 'messages,
                None => readable(&stream).await?,
            }
        }
        pause(shared.config.pause).await;
        stream.write_all(&buf).await.ok()?;
    }
}

async fn pooled(mut stream: TcpStream, shared: Arc<Shared>) -> Option<()> {
    let message = shared.config.message;
    'messages: loop {
        readable(&stream).await?;
        let mut buf = match shared.pool.acquire_async(BUFFER).await {
            Ok(buf) => buf,
            Err(error) => {
                complain_of(&error);
                return None;
            }
        };
        while buf.len() < message {
            match at_once(stream.read(buf.spare_mut())).await {
                Some(Ok(bytes)) if bytes > 0 => buf.commit(bytes).ok()?,
                Some(_) => return None,
                // Nothing was there after all: it waits for more without a buffer.
                None if buf.is_empty() => continue 'messages,
                None => readable(&stream).await?,
            }
        }
        pause(shared.config.pause).await;
        stream.write_all(&buf).await.ok()?;
    }
}

/// Waits until there is something to read; `None` when there never will be. As `TcpStream::readable`, which
/// takes more room in a task.
async fn readable(stream: &TcpStream) -> Option<()> {
    poll_fn(|context| stream.poll_read_ready(context)).await.ok()
}
