//! The server: the same on either runtime, on one thread, so that the players have the other cores.
//!
//! It answers every message, of a size that is known, with its bytes, and sends nothing before it has all
//! of them.
#![forbid(unsafe_code)]

mod compio;
mod tokio;

use std::future::{Future, poll_fn};
use std::io::{self, Read};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::{process, thread};

use poolbuf::{BufferPool, Pool};
use poolbuf_support::output::{complain, print};

use crate::strategy::{BUFFER, Runtime, Strategy};

/// One server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerConfig {
    pub runtime: Runtime,
    pub strategy: Strategy,
    /// Bytes of every message: at most [`BUFFER`].
    pub message: usize,
    /// Connections that it must have descriptors for.
    pub connections: usize,
    /// Buffers of its pool.
    pub buffers: usize,
    /// Whether a message waits a turn between its receive and its answer, as it does in a server that asks
    /// something else first: its buffer is held meanwhile.
    pub pause: bool,
}

/// What the connections of a server share.
struct Shared {
    config: ServerConfig,
    pool: BufferPool,
}

/// Serves as a process of its own until standard input ends: says on standard output where it listens, and
/// at the end how many requests waited for a buffer. The error is a line for the user.
pub fn serve_as_process(config: ServerConfig) -> Result<(), String> {
    let listener = listen().map_err(|error| format!("cannot listen: {error}"))?;
    let address = listener
        .local_addr()
        .map_err(|error| format!("cannot listen: {error}"))?;
    let pool = pool(&config)?;
    let counted = pool.clone();
    let ready = move |driver: &str| print(&format!("{address} {driver}"));
    thread::spawn(move || {
        // Until the process that started this one closes it, or has ended.
        let _ = io::stdin().read_to_end(&mut Vec::new());
        let stats = counted.stats();
        print(&format!("{} {}", stats.waits, stats.high_water));
        process::exit(0);
    });
    serve(listener, config, pool, ready)
}

/// Serves on `listener` for ever; calls `ready` with what does the I/O once it does. The error is a line for
/// the user.
pub fn serve(
    listener: TcpListener,
    config: ServerConfig,
    pool: BufferPool,
    ready: impl FnOnce(&str),
) -> Result<(), String> {
    let runtime = config.runtime;
    let shared = Arc::new(Shared { config, pool });
    let result = match runtime {
        Runtime::Tokio => tokio::serve(listener, shared, ready),
        Runtime::Compio => compio::serve(listener, shared, ready),
    };
    result.map_err(|error| format!("cannot serve on {}: {error}", runtime.name()))
}

/// The pool of a server with that configuration. One that rents nothing has it too: it costs nothing then.
pub fn pool(config: &ServerConfig) -> Result<BufferPool, String> {
    BufferPool::new(BUFFER, 0, config.buffers).map_err(|error| format!("cannot make the pool: {error}"))
}

/// A port of this machine, with a queue for connections that wait to be accepted which is longer than std's:
/// a client that finds it full tries again only after a second.
pub fn listen() -> io::Result<TcpListener> {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    socket.listen(4096)?;
    Ok(socket.into())
}

/// Lets all other tasks that could go on do so first, where `pause` says so.
async fn pause(pause: bool) {
    let mut waited = !pause;
    poll_fn(|context| {
        if std::mem::replace(&mut waited, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// What `future` gives at once, if it does.
async fn at_once<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

/// Says why a connection ended, where it is worth a line: that a client left is not.
fn complain_of(error: &poolbuf::AcquireError) {
    complain(&format!("server: connection closed: {error}"));
}
