//! The server: a thread that accepts, and one worker thread a core, each with its own compio runtime.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use compio::driver::DriverType;
use compio::runtime::Runtime;
use compio::time::sleep;
use futures_channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
use hdrhistogram::Histogram;
use parking_lot::Mutex;
use poolbuf::PoolStats;

use crate::connection::Connection;
use crate::numbers::nanos;
use crate::pools::Pools;

/// Where log lines go.
pub(crate) type Log = Arc<dyn Fn(String) + Send + Sync>;

/// How long a stopping server waits for its buffers.
const STOP_LIMIT: Duration = Duration::from_secs(5);

#[derive(Clone)]
pub(crate) struct ServerConfig {
    pub(crate) address: SocketAddr,
    pub(crate) workers: usize,
    /// For a frame to be whole after its first byte, for an answer to be sent, and for a buffer to be had.
    pub(crate) time_limit: Duration,
    pub(crate) log: Log,
}

/// A running server.
pub(crate) struct Server {
    address: SocketAddr,
    driver: DriverType,
    shared: Arc<Shared>,
    hand_over: Vec<HandOver>,
    acceptor: thread::JoinHandle<()>,
    workers: Vec<thread::JoinHandle<()>>,
}

/// Accepted sockets on their way to a worker.
type HandOver = UnboundedSender<(TcpStream, SocketAddr)>;

/// What all threads of a server share.
struct Shared {
    config: ServerConfig,
    pools: Pools,
    stopping: AtomicBool,
    answers: AtomicU64,
    response_nanos: AtomicU64,
    /// Each worker's response times in nanoseconds. It alone adds to them; others look once in a while.
    responses: Box<[Mutex<Histogram<u64>>]>,
}

/// What the connections of one worker share.
pub(crate) struct Worker {
    shared: Arc<Shared>,
    /// Which of the workers it is.
    index: usize,
}

/// A look at a server's figures from elsewhere, while it runs and after.
#[derive(Clone)]
pub(crate) struct Figures {
    shared: Arc<Shared>,
}

/// Answers so far, and the time from each whole frame to its answer sent, added up.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Answers {
    pub(crate) count: u64,
    pub(crate) nanos: u64,
}

impl std::ops::Sub for Answers {
    type Output = Answers;

    /// The answers since `earlier`.
    fn sub(self, earlier: Answers) -> Answers {
        Answers {
            count: self.count - earlier.count,
            nanos: self.nanos - earlier.nanos,
        }
    }
}

impl Server {
    /// Listens and serves; the error is a line for the user.
    pub(crate) fn start(config: ServerConfig, pools: Pools) -> Result<Server, String> {
        let cannot_listen = |error| format!("cannot listen on {}: {error}", config.address);
        let listener = listen(config.address).map_err(cannot_listen)?;
        let address = listener.local_addr().map_err(cannot_listen)?;
        let responses = (0..config.workers.max(1))
            .map(|_| Mutex::new(histogram()))
            .collect();
        let shared = Arc::new(Shared {
            config,
            pools,
            stopping: AtomicBool::new(false),
            answers: AtomicU64::new(0),
            response_nanos: AtomicU64::new(0),
            responses,
        });

        let (ready, drivers) = mpsc::channel();
        let mut hand_over = Vec::new();
        let mut workers = Vec::new();
        for index in 0..shared.responses.len() {
            let (sender, accepted) = unbounded();
            hand_over.push(sender);
            let worker = Worker {
                shared: Arc::clone(&shared),
                index,
            };
            let ready = ready.clone();
            workers.push(thread::spawn(move || work(worker, accepted, &ready)));
        }
        // Each worker says how it does I/O, or why it can't; the latter ends the others as well, whose
        // senders are dropped.
        let drivers: io::Result<Vec<_>> = drivers.iter().take(workers.len()).collect();
        let driver = match drivers.as_deref() {
            Ok([driver, ..]) => *driver,
            Ok([]) => return Err("no worker thread started".to_owned()),
            Err(error) => return Err(format!("cannot start completion-based I/O: {error}")),
        };
        let acceptor = {
            let (shared, hand_over) = (Arc::clone(&shared), hand_over.clone());
            thread::spawn(move || accept(&listener, &shared, &hand_over))
        };
        Ok(Server {
            address,
            driver,
            shared,
            hand_over,
            acceptor,
            workers,
        })
    }

    /// Where it listens: with the port that the system chose where port 0 was asked for.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// What completes the I/O.
    pub(crate) fn driver(&self) -> &'static str {
        match self.driver {
            DriverType::IoUring => "io_uring",
            DriverType::IOCP => "IOCP",
            DriverType::Poll => "polling",
        }
    }

    /// The server's figures, to be looked at from any thread.
    pub(crate) fn figures(&self) -> Figures {
        Figures {
            shared: Arc::clone(&self.shared),
        }
    }

    /// Closes all connections, waits until every buffer is back (5 seconds at most) and returns the times
    /// from whole frame to answer sent, in nanoseconds.
    pub(crate) fn stop(self) -> Histogram<u64> {
        self.shared.stopping.store(true, Ordering::SeqCst);
        for worker in &self.hand_over {
            worker.close_channel();
        }
        for worker in self.workers {
            if worker.join().is_err() {
                (self.shared.config.log)("a worker failed".to_owned());
            }
        }
        // The acceptor sits in `accept`: a connection wakes it.
        let wake = SocketAddr::new(loopback(self.address), self.address.port());
        match TcpStream::connect_timeout(&wake, STOP_LIMIT) {
            Ok(_) => drop(self.acceptor.join()),
            Err(error) => (self.shared.config.log)(format!("the acceptor goes on: {error}")),
        }
        self.shared.all_responses()
    }
}

impl Figures {
    pub(crate) fn answers(&self) -> Answers {
        Answers {
            count: self.shared.answers.load(Ordering::Relaxed),
            nanos: self.shared.response_nanos.load(Ordering::Relaxed),
        }
    }

    /// The times from whole frame to answer sent since the start, in nanoseconds.
    pub(crate) fn responses(&self) -> Histogram<u64> {
        self.shared.all_responses()
    }

    /// Of the receive pool and the send pool.
    pub(crate) fn pools(&self) -> Vec<PoolStats> {
        let pools = &self.shared.pools;
        vec![pools.recv.stats(), pools.send.stats()]
    }
}

impl Shared {
    fn all_responses(&self) -> Histogram<u64> {
        let mut all = histogram();
        for responses in &self.responses {
            all += &*responses.lock();
        }
        all
    }
}

impl Worker {
    pub(crate) fn pools(&self) -> &Pools {
        &self.shared.pools
    }

    pub(crate) fn time_limit(&self) -> Duration {
        self.shared.config.time_limit
    }

    pub(crate) fn log(&self, line: String) {
        (self.shared.config.log)(line);
    }

    /// Counts an answer that was sent so long after its frame was whole.
    pub(crate) fn answered(&self, response: Duration) {
        let response = nanos(response);
        let mut responses = self.shared.responses[self.index].lock();
        responses.saturating_record(response);
        drop(responses);
        self.shared.answers.fetch_add(1, Ordering::Relaxed);
        self.shared
            .response_nanos
            .fetch_add(response, Ordering::Relaxed);
    }
}

/// For times of up to a minute, in nanoseconds, to three digits.
pub(crate) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000_000, 3).expect("bounds and digits are valid")
}

/// As `TcpListener::bind`, but with a longer queue of connections to be accepted: std's 128 are too few for
/// a thousand players who come at once; whoever finds it full tries again only after a second.
fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let domain = socket2::Domain::for_address(address);
    let socket = socket2::Socket::new(domain, socket2::Type::STREAM, None)?;
    // Elsewhere than on Unix this would let two servers share a port.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(4096)?;
    Ok(socket.into())
}

/// An address of this machine to reach a listener on `address`.
fn loopback(address: SocketAddr) -> std::net::IpAddr {
    match address.ip() {
        ip if !ip.is_unspecified() => ip,
        std::net::IpAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
        std::net::IpAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
    }
}

/// The acceptor. Blocking, and with std sockets: a socket is bound to the runtime (Windows: to the
/// completion port) of the worker that serves it, so no runtime may have had it before.
fn accept(listener: &TcpListener, shared: &Shared, workers: &[HandOver]) {
    for worker in workers.iter().cycle() {
        let accepted = listener.accept();
        if shared.stopping.load(Ordering::SeqCst) {
            return;
        }
        match accepted {
            // A worker that is gone drops the socket, which closes it.
            Ok(accepted) => drop(worker.unbounded_send(accepted)),
            Err(error) => {
                (shared.config.log)(format!("cannot accept: {error}"));
                // Out of descriptors, most likely: it would fail again at once.
                thread::sleep(Duration::from_millis(50));
            }
        }
    }
}

/// A worker thread: serves what it is handed until the server stops.
fn work(
    worker: Worker,
    mut accepted: UnboundedReceiver<(TcpStream, SocketAddr)>,
    ready: &mpsc::Sender<io::Result<DriverType>>,
) {
    let runtime = match Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            let _ = ready.send(Err(error));
            return;
        }
    };
    let _ = ready.send(Ok(runtime.driver_type()));
    let worker = Rc::new(worker);
    runtime.block_on(async {
        let mut tasks = Vec::new();
        let mut tidy_at = 64;
        while let Ok((stream, peer)) = accepted.recv().await {
            match Connection::new(stream, peer, Rc::clone(&worker)) {
                Ok(connection) => tasks.push(compio::runtime::spawn(connection.serve())),
                Err(error) => worker.log(format!("{peer} closed: {error}")),
            }
            if tasks.len() >= tidy_at {
                tasks.retain(|task| !task.is_finished());
                tidy_at = 2 * tasks.len() + 64;
            }
        }
        // Dropping a task drops its connection, and cancels what that waits for. The buffers come back
        // when the runtime has seen the cancellations through, so it runs on until they are all there.
        drop(tasks);
        let deadline = Instant::now() + STOP_LIMIT;
        while worker.pools().in_use() > 0 && Instant::now() < deadline {
            sleep(Duration::from_millis(1)).await;
        }
    });
}
