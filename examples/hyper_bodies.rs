//! An HTTP server (hyper) whose response bodies are pooled buffers, sent without a copy: `PooledBuf::freeze` makes
//! `Bytes` of one, and the buffer goes back when hyper has sent the last of it.
//!
//! ```text
//! cargo run --example hyper_bodies
//! ```

#[path = "shared/tokio_accept.rs"]
mod tokio_accept;

use std::convert::Infallible;
use std::io::Write;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, server::conn::http1};
use hyper_util::rt::TokioIo;
use poolbuf::{BufferPool, CapacityError, Pool, PoolConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_accept::accept;

const BUFFERS: usize = 4;
const CLIENTS: usize = 16;
const REQUESTS: usize = 50;
/// How long a request waits for a buffer before it is told to come back later.
const PATIENCE: Duration = Duration::from_millis(500);
/// How long a connection may last: one whose client does not read his answers would hold a buffer for ever.
const CONNECTION: Duration = Duration::from_secs(60);

type Answer = Response<Full<Bytes>>;

fn with_status(status: StatusCode, body: Bytes) -> Answer {
    let mut answer = Response::new(Full::new(body));
    *answer.status_mut() = status;
    answer
}

/// The page is written into a pooled buffer, which becomes the body.
async fn page<B>(request: Request<B>, pool: BufferPool) -> Result<Answer, Infallible> {
    let Ok(Ok(mut buf)) = timeout(PATIENCE, pool.acquire_async(pool.max_len())).await else {
        let busy = Bytes::from_static(b"busy, try again\n");
        return Ok(with_status(StatusCode::SERVICE_UNAVAILABLE, busy));
    };
    let written = write!(buf, "<h1>{}</h1>", request.uri().path());
    Ok(match written {
        Ok(()) => with_status(StatusCode::OK, buf.freeze()),
        Err(error) if error.get_ref().is_some_and(|inner| inner.is::<CapacityError>()) => {
            with_status(StatusCode::URI_TOO_LONG, Bytes::new())
        }
        Err(_) => with_status(StatusCode::INTERNAL_SERVER_ERROR, Bytes::new()),
    })
}

async fn serve(listener: TcpListener, pool: BufferPool) {
    loop {
        let (socket, peer) = accept(&listener).await;
        let pool = pool.clone();
        tokio::spawn(async move {
            let service = service_fn(|request| page(request, pool.clone()));
            let connection = http1::Builder::new().serve_connection(TokioIo::new(socket), service);
            match timeout(CONNECTION, connection).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => eprintln!("{peer}: {error}"),
                Err(error) => eprintln!("{peer}: {error}"),
            }
        });
    }
}

/// Asks for pages on one connection, and checks them.
async fn browse(address: std::net::SocketAddr, id: usize) -> std::io::Result<()> {
    let mut socket = TcpStream::connect(address).await?;
    for number in 0..REQUESTS {
        let path = format!("/client/{id}/page/{number}");
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        socket.write_all(request.as_bytes()).await?;
        let expected = format!("\r\n\r\n<h1>{path}</h1>");
        let mut answer = Vec::new();
        while !answer.ends_with(expected.as_bytes()) {
            if socket.read_buf(&mut answer).await? == 0 || answer.len() > 1000 {
                return Err(std::io::Error::other("not the page that was asked for"));
            }
        }
    }
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let config = PoolConfig::new(4096).max(BUFFERS).name("bodies");
    let pool = BufferPool::with_config(config)?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let server = tokio::spawn(serve(listener, pool.clone()));
    let clients: Vec<_> = (0..CLIENTS).map(|id| tokio::spawn(browse(address, id))).collect();
    for client in clients {
        client.await??;
    }
    server.abort();
    println!(
        "{} pages to {CLIENTS} clients from {BUFFERS} buffers",
        CLIENTS * REQUESTS
    );
    println!("{}", pool.stats());
    Ok(())
}
