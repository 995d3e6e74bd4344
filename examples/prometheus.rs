//! The figures of two pools for Prometheus: `GET /metrics` publishes them and renders what the recorder has, so that
//! they cost something only when they are scraped.
//!
//! ```text
//! cargo run --example prometheus                      # scrapes itself once
//! cargo run --example prometheus -- --serve 127.0.0.1:9100
//! ```

#[path = "shared/accept.rs"]
mod accept;

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use accept::pause_after;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use poolbuf::{BufferPool, MultiSizeConfig, MultiSizePool, Pool, PoolConfig, PooledBuf};

/// A scraper that is slower than this is let go.
const PATIENCE: Duration = Duration::from_secs(2);

/// Answers one request; the request, too, is read into a pooled buffer.
fn answer(mut socket: TcpStream, pools: &[Arc<dyn Pool>], prometheus: &PrometheusHandle) -> io::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    socket.set_write_timeout(Some(PATIENCE))?;
    let mut request: PooledBuf = pools[0].acquire()?;
    // A request that does not fit the buffer ends here with an error.
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        socket.set_read_timeout(Some(left))?;
        if request.read_from(&mut socket)? == 0 {
            return Ok(());
        }
    }
    let (status, body) = if request.starts_with(b"GET /metrics ") {
        for pool in pools {
            poolbuf::metrics::publish(pool);
        }
        ("200 OK", prometheus.render())
    } else {
        ("404 Not Found", "try /metrics\n".to_owned())
    };
    write!(
        socket,
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{body}",
        body.len()
    )
}

fn scrape(listener: &TcpListener, path: &str) -> io::Result<String> {
    let mut socket = TcpStream::connect(listener.local_addr()?)?;
    write!(socket, "GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer)?;
    Ok(answer)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let serve = match &arguments[..] {
        [] => None,
        [option, address] if option == "--serve" => Some(address.clone()),
        _ => return Err("usage: prometheus [--serve IP:PORT]".into()),
    };
    let prometheus = PrometheusBuilder::new().install_recorder()?;
    poolbuf::metrics::describe();

    let frames = MultiSizeConfig::new()
        .tier(PoolConfig::new(512).max(100))
        .tier(PoolConfig::new(8192).max(10))
        .name("frames");
    let pools: Arc<[Arc<dyn Pool>]> = Arc::new([
        Arc::new(BufferPool::with_config(PoolConfig::new(8192).max(16).name("requests"))?),
        Arc::new(MultiSizePool::with_config(frames)?),
    ]);
    let _held = pools[1].acquire_for(100)?;

    let listener = TcpListener::bind(serve.as_deref().unwrap_or("127.0.0.1:0"))?;
    println!("http://{}/metrics", listener.local_addr()?);
    let own = listener.try_clone()?;
    let server = {
        let (listener, pools) = (listener, Arc::clone(&pools));
        thread::spawn(move || {
            for socket in listener.incoming() {
                match socket {
                    Ok(socket) => {
                        if let Err(error) = answer(socket, &pools, &prometheus) {
                            eprintln!("{error}");
                        }
                    }
                    Err(error) => {
                        eprintln!("cannot accept: {error}");
                        thread::sleep(pause_after(&error));
                    }
                }
            }
        })
    };
    if serve.is_some() {
        return server.join().map_err(|_| "the server panicked".into());
    }

    let page = scrape(&own, "/metrics")?;
    println!("{page}");
    assert!(
        page.contains("poolbuf_buffers_in_use{pool=\"requests\"} 1"),
        "the one of this request"
    );
    assert!(page.contains("poolbuf_buffers_in_use{pool=\"frames\",tier=\"512\"} 1"));
    assert!(scrape(&own, "/")?.starts_with("HTTP/1.1 404 "));
    Ok(())
}
