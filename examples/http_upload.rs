//! An HTTP server (hyper) that takes uploads into chains of pooled buffers, which grow as the body comes, and sends
//! them back to the client as they are, without a copy. What a client announces is a promise: one that sends nothing
//! holds nothing, and one that stops is cut off. An upload waits for its first buffer, and is told to come again (503
//! with `Retry-After`) when that takes too long, or it can't get more. `GET /metrics` is for Prometheus.
//!
//! ```text
//! cargo run --example http_upload                      uploads of its own
//! cargo run --example http_upload -- 127.0.0.1:8000    serves there until standard input ends
//! curl --data-binary @FILE http://127.0.0.1:8000/
//! ```

#[path = "shared/tokio_accept.rs"]
mod tokio_accept;

use std::collections::VecDeque;
use std::convert::Infallible;
use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, server::conn::http1};
use hyper_util::rt::{TokioIo, TokioTimer};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use poolbuf::{AcquireError, BufferPool, Pool, PoolConfig, PooledChain};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_accept::accept;

const SIZE: usize = 16 * 1024;
const BUFFERS: usize = 64;
/// How long an upload waits for its first buffer: longer than others may hold theirs without going on.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long a client that has begun its body may send nothing more of it.
const PAUSE: Duration = Duration::from_secs(2);
/// How long a connection may last.
const CONNECTION: Duration = Duration::from_secs(60);

/// A body in pieces: of an upload, one for each buffer, which goes back when its piece has been sent.
struct Pieces(VecDeque<Bytes>);

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(|piece| Ok(Frame::data(piece))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.iter().map(|piece| piece.len() as u64).sum())
    }
}

/// What the server has.
#[derive(Clone)]
struct Server(BufferPool, PrometheusHandle);

impl Server {
    async fn answer(self, request: Request<Incoming>) -> Result<Response<Pieces>, Infallible> {
        let is_scrape = request.uri().path() == "/metrics";
        let answered = match (request.method(), request.uri().path()) {
            (&Method::GET, "/metrics") => {
                poolbuf::metrics::publish(&self.0);
                Ok([self.1.render().into()].into())
            }
            (&Method::POST | &Method::PUT, _) => self.upload(request.into_body()).await,
            _ => Err(StatusCode::METHOD_NOT_ALLOWED),
        };
        let status = answered.as_ref().err().copied().unwrap_or(StatusCode::OK);
        let mut response = Response::new(Pieces(answered.unwrap_or_default()));
        if status == StatusCode::SERVICE_UNAVAILABLE {
            let seconds = HeaderValue::from_static("1");
            response.headers_mut().insert(RETRY_AFTER, seconds);
        }
        if is_scrape {
            let text = HeaderValue::from_static("text/plain; version=0.0.4");
            response.headers_mut().insert(CONTENT_TYPE, text);
        }
        *response.status_mut() = status;
        Ok(response)
    }

    /// The body, received into pooled buffers; the error is what the client is told.
    async fn upload(&self, mut body: Incoming) -> Result<VecDeque<Bytes>, StatusCode> {
        let len = body.size_hint().exact().ok_or(StatusCode::LENGTH_REQUIRED)?;
        if len > (BUFFERS * SIZE) as u64 {
            return Err(StatusCode::PAYLOAD_TOO_LARGE);
        }
        let mut received = PooledChain::default();
        // Until its first byte it holds nothing, and may take its time.
        let mut next = body.frame().await;
        while let Some(frame) = next {
            let frame = frame.map_err(|_| StatusCode::BAD_REQUEST)?;
            // Trailers are of no interest here.
            let data = frame.into_data().unwrap_or_default();
            let grown = self.grow(&mut received, data.len()).await;
            grown.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
            let _ = received.extend_from_slice(&data); // there is room
            let in_time = timeout(PAUSE, body.frame()).await;
            next = in_time.map_err(|_| StatusCode::REQUEST_TIMEOUT)?;
        }
        Ok(received.freeze().into())
    }

    /// Room for `len` more bytes. Who holds some waits for none: two that waited for each other's would do so for ever.
    async fn grow(&self, received: &mut PooledChain, len: usize) -> Result<(), AcquireError> {
        if received.buffers() == 0 {
            *received = self.0.acquire_chain_async(len).within(sleep(PATIENCE)).await?;
        }
        received.try_grow(&self.0, len)
    }
}

async fn listen(listener: TcpListener, server: Server) {
    loop {
        let (socket, peer) = accept(&listener).await;
        let server = server.clone();
        tokio::spawn(async move {
            let service = service_fn(|request| server.clone().answer(request));
            let mut http = http1::Builder::new();
            // For its header a client has 30 seconds.
            http.timer(TokioTimer::new());
            match timeout(CONNECTION, http.serve_connection(TokioIo::new(socket), service)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => eprintln!("{peer}: {error}"),
                Err(error) => eprintln!("{peer}: {error}"),
            }
        });
    }
}

/// Sends one request, whose head begins like that; returns head and body of the answer.
async fn ask(server: SocketAddr, start: String, body: &[u8]) -> io::Result<(String, Vec<u8>)> {
    let mut socket = TcpStream::connect(server).await?;
    let head = format!("{start}\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    socket.write_all(&[head.as_bytes(), body].concat()).await?;
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).await?;
    let end = answer.windows(4).position(|end| end == b"\r\n\r\n");
    let body = answer.split_off(end.ok_or(io::ErrorKind::InvalidData)? + 4);
    Ok((String::from_utf8_lossy(&answer).into_owned(), body))
}

/// Uploads that fit, also beside clients that promise and do not send; one that has to come again, one that is too
/// long, and a look at the metrics.
async fn try_all(server: SocketAddr, pool: &BufferPool) -> Result<(), Box<dyn Error>> {
    let put = |len| format!("PUT / HTTP/1.1\r\nContent-Length: {len}");
    for len in [0, 1, SIZE, SIZE + 1, BUFFERS * SIZE] {
        let body: Vec<u8> = (0..len).map(|i| (i / 251 + i) as u8).collect();
        let (head, answer) = ask(server, put(len), &body).await?;
        assert!(head.starts_with("HTTP/1.1 200 ") && answer == body, "{head}");
    }
    let mut promises = Vec::new();
    for _ in 0..100 {
        let mut socket = TcpStream::connect(server).await?;
        let head = put(BUFFERS * SIZE) + "\r\nHost: localhost\r\n\r\n";
        socket.write_all(head.as_bytes()).await?;
        promises.push(socket);
    }
    let (head, answer) = ask(server, put(5), b"hello").await?;
    assert!(head.starts_with("HTTP/1.1 200 ") && answer == b"hello", "{head}");
    drop(promises);
    let held = pool.acquire_many(BUFFERS, SIZE)?;
    let (head, _) = ask(server, put(5), b"hello").await?;
    assert!(head.starts_with("HTTP/1.1 503 ") && head.contains("\r\nretry-after: 1\r\n"));
    drop(held);
    let (head, _) = ask(server, put(BUFFERS * SIZE + 1), b"").await?;
    assert!(head.starts_with("HTTP/1.1 413 "), "{head}");
    let (_, metrics) = ask(server, "GET /metrics HTTP/1.1".to_owned(), b"").await?;
    print!("{}", String::from_utf8(metrics)?);
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let pool = BufferPool::with_config(PoolConfig::new(SIZE).max(BUFFERS).name("uploads"))?;
    let prometheus = PrometheusBuilder::new().install_recorder()?;
    poolbuf::metrics::describe();
    let address = std::env::args().nth(1);
    let listener = TcpListener::bind(address.as_deref().unwrap_or("127.0.0.1:0")).await?;
    let server = listener.local_addr()?;
    tokio::spawn(listen(listener, Server(pool.clone(), prometheus)));
    if address.is_some() {
        println!("serving on {server}, until standard input ends");
        tokio::task::spawn_blocking(|| io::copy(&mut io::stdin(), &mut io::sink())).await??;
    } else {
        try_all(server, &pool).await?;
    }
    println!("{}", pool.stats());
    Ok(())
}
