//! Serves the metrics over HTTP: one request a connection, and one connection at a time. A client has a
//! second and 8 KiB for its request.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::accept::pause_after;
use crate::server::reachable;

const REQUEST_LIMIT: usize = 8 * 1024;
const TIME_LIMIT: Duration = Duration::from_secs(1);

/// A running metrics server. Dropping it ends it.
pub(crate) struct MetricsServer {
    /// Where it listens: with the port that the system chose where port 0 was asked for.
    pub(crate) address: SocketAddr,
    stopping: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl MetricsServer {
    /// Serves what `text` returns at the time of the request; the error is a line for the user.
    pub(crate) fn start(
        address: SocketAddr,
        text: impl Fn() -> String + Send + 'static,
    ) -> Result<MetricsServer, String> {
        let cannot = |error| format!("cannot serve metrics on {address}: {error}");
        let listener = TcpListener::bind(address).map_err(cannot)?;
        let address = listener.local_addr().map_err(cannot)?;
        let stopping = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&stopping);
        let thread = thread::spawn(move || serve(&listener, &stop, &text));
        Ok(MetricsServer {
            address,
            stopping,
            thread: Some(thread),
        })
    }
}

impl Drop for MetricsServer {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::SeqCst);
        // It sits in `accept`: a connection wakes it.
        if TcpStream::connect_timeout(&reachable(self.address), TIME_LIMIT).is_ok() {
            if let Some(thread) = self.thread.take() {
                let _ = thread.join();
            }
        }
    }
}

fn serve(listener: &TcpListener, stopping: &AtomicBool, text: &dyn Fn() -> String) {
    loop {
        let accepted = listener.accept();
        if stopping.load(Ordering::SeqCst) {
            return;
        }
        match accepted {
            // A client that breaks off has no answer, and the next one is served.
            Ok((stream, _)) => drop(answer(stream, text)),
            Err(error) => thread::sleep(pause_after(&error)),
        }
    }
}

fn answer(mut stream: TcpStream, text: &dyn Fn() -> String) -> io::Result<()> {
    stream.set_write_timeout(Some(TIME_LIMIT))?;
    let (status, body) = match read_head(&mut stream)? {
        Head::TooLong => ("431 Request Header Fields Too Large", String::new()),
        Head::Whole(head) => match request_line(&head) {
            Some(("GET", "/metrics")) => ("200 OK", text()),
            Some(("GET", _)) => ("404 Not Found", "metrics are at /metrics\n".to_owned()),
            Some(_) => ("405 Method Not Allowed", String::new()),
            None => ("400 Bad Request", String::new()),
        },
    };
    let head = format!(
        "HTTP/1.1 {status}\r\n\
         Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n\
         Content-Length: {}\r\n\
         {}Connection: close\r\n\r\n",
        body.len(),
        if status.starts_with("405") {
            "Allow: GET\r\n"
        } else {
            ""
        },
    );
    stream.write_all((head + &body).as_bytes())?;
    stream.shutdown(std::net::Shutdown::Write)
}

enum Head {
    Whole(Vec<u8>),
    TooLong,
}

/// Reads up to the empty line that ends a request's head, or as far as the limits allow.
fn read_head(stream: &mut TcpStream) -> io::Result<Head> {
    let deadline = Instant::now() + TIME_LIMIT;
    let mut head = Vec::new();
    let mut buf = [0; 1024];
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        if head.len() >= REQUEST_LIMIT {
            return Ok(Head::TooLong);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut buf)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            received => head.extend_from_slice(&buf[..received]),
        }
    }
    Ok(Head::Whole(head))
}

/// Method and path without its query, if this is the head of an HTTP/1 request.
fn request_line(head: &[u8]) -> Option<(&str, &str)> {
    let end = head.windows(2).position(|end| end == b"\r\n")?;
    let line = std::str::from_utf8(&head[..end]).ok()?;
    let mut parts = line.split(' ');
    let (method, target, version) = (parts.next()?, parts.next()?, parts.next()?);
    let known = matches!(version, "HTTP/1.1" | "HTTP/1.0") && parts.next().is_none();
    let path = target.split('?').next()?;
    (known && !method.is_empty() && path.starts_with('/')).then_some((method, path))
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;
    use std::time::Duration;

    use super::MetricsServer;
    use crate::tests::{ask, gone, localhost};

    #[test]
    fn the_metrics_server_outlives_whatever_it_is_sent() {
        let server = MetricsServer::start(localhost(), || "figures 1\n".to_owned()).expect("server");
        let address = server.address;
        let good = || {
            let answer = ask(address, b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n");
            let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
            assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
            assert!(head.contains("Content-Type: text/plain; version=0.0.4"));
            assert!(head.contains("Content-Length: 10\r\n"));
            assert_eq!(body, "figures 1\n");
        };
        good();
        let cases: [(&[u8], &str); 9] = [
            (b"GET / HTTP/1.1\r\n\r\n", "404"),
            (b"GET /metricsx HTTP/1.1\r\n\r\n", "404"),
            (b"GET /metrics?a=b HTTP/1.0\r\n\r\n", "200"),
            (b"POST /metrics HTTP/1.1\r\n\r\n", "405"),
            (b"GET /metrics\r\n\r\n", "400"),
            (b"GET /metrics HTTP/9\r\n\r\n", "400"),
            (b"\r\n\r\n", "400"),
            (b"\xFF\xFE \x00 HTTP/1.1\r\n\r\n", "400"),
            (b" /metrics HTTP/1.1\r\n\r\n", "400"),
        ];
        for (request, status) in cases {
            let answer = ask(address, request);
            let start = format!("HTTP/1.1 {status} ");
            assert!(answer.starts_with(&start), "{request:?}: {answer}");
            good();
        }
        // Cut off, nothing at all, and more than is read: closed without an answer.
        for request in [&b"GET /met"[..], b"", &[b'a'; 1_000_000]] {
            let answer = ask(address, request);
            assert!(answer.is_empty() || answer.contains(" 431 "), "{answer}");
            good();
        }
        let answer = ask(address, &[b'a'; 8 * 1024]);
        assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
        // A byte at a time: closed long before the 8 KiB are full, which would take minutes.
        let mut slow = TcpStream::connect(address).expect("connect");
        let pace = Some(Duration::from_millis(50));
        slow.set_read_timeout(pace).expect("timeout");
        let mut patience = 0..1000;
        while slow.write_all(b"a").is_ok() {
            match slow.read(&mut [0; 1]) {
                Ok(answered) => {
                    assert_eq!(answered, 0);
                    break;
                }
                Err(error) if gone(&error) => break,
                Err(_nothing_yet) => assert!(patience.next().is_some(), "it waits on"),
            }
        }
        good();
        // Says nothing and stays: the next one is served all the same.
        let mute = TcpStream::connect(address).expect("connect");
        good();
        drop(mute);

        drop(server);
        assert!(TcpStream::connect(address).is_err(), "it goes on");
    }
}
