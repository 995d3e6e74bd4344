//! The server: a thread that accepts, and one worker thread a core, each with its own compio runtime.

mod connection;
pub(crate) mod cut_off;
pub(crate) mod frame;
pub(crate) mod pools;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use compio::driver::DriverType;
use compio::runtime::Runtime;
use compio::time::sleep;
use futures_channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
use parking_lot::Mutex;
use poolbuf::PoolStats;

use crate::accept::pause_after;
use crate::times::Times;
use connection::Connection;
use cut_off::{Counters, CutOff};
use pools::Pools;

/// Where log lines go.
pub(crate) type Log = Arc<dyn Fn(String) + Send + Sync>;

/// How long a stopping server waits for its buffers.
const STOP_LIMIT: Duration = Duration::from_secs(5);

pub(crate) struct ServerConfig {
    pub(crate) address: SocketAddr,
    pub(crate) workers: usize,
    /// For a frame to be whole after its first byte, for an answer to be sent, and for a buffer to be had.
    pub(crate) time_limit: Duration,
    pub(crate) log: Log,
}

/// A running server.
pub(crate) struct Server {
    /// Where it listens: with the port that the system chose where port 0 was asked for.
    pub(crate) address: SocketAddr,
    /// What completes the I/O.
    pub(crate) driver: &'static str,
    shared: Arc<Shared>,
    acceptor: JoinHandle<()>,
    workers: Vec<(HandOver, JoinHandle<()>)>,
}

/// Accepted sockets on their way to a worker.
type HandOver = UnboundedSender<(TcpStream, SocketAddr)>;

/// What all threads of a server share.
struct Shared {
    config: ServerConfig,
    pools: Pools,
    stopping: AtomicBool,
    /// Clients whose connection was closed because of the time limit.
    cut_off: Counters,
    /// Each worker's server times. It alone adds to them; others look once in a while.
    server_times: Box<[Mutex<Times>]>,
}

/// A server's figures at one moment.
pub(crate) struct Figures {
    /// Of the receive pool, the send pool and the pool for headers.
    pub(crate) pools: Vec<PoolStats>,
    /// Of each answer so far: from its whole frame received to its last byte sent.
    pub(crate) server_times: Times,
    /// Clients cut off by the time limit so far.
    pub(crate) cut_off: CutOff,
}

impl Server {
    /// Listens and serves; the error is a line for the user.
    pub(crate) fn start(config: ServerConfig, pools: Pools) -> Result<Server, String> {
        let cannot_listen = |error| format!("cannot listen on {}: {error}", config.address);
        let listener = listen(config.address).map_err(cannot_listen)?;
        let address = listener.local_addr().map_err(cannot_listen)?;
        let count = config.workers.max(1);
        let shared = Arc::new(Shared {
            config,
            pools,
            stopping: AtomicBool::new(false),
            cut_off: Counters::default(),
            server_times: (0..count).map(|_| Mutex::new(Times::new())).collect(),
        });

        let (ready, drivers) = mpsc::channel();
        let start_worker = |index| {
            let (hand_over, accepted) = unbounded();
            let (shared, ready) = (Arc::clone(&shared), ready.clone());
            let thread = thread::spawn(move || work(index, &shared, accepted, &ready));
            (hand_over, thread)
        };
        let workers: Vec<_> = (0..count).map(start_worker).collect();
        // Each worker says how it does I/O, or why it can't; the latter ends the others as well, whose
        // senders are dropped.
        let drivers: io::Result<Vec<_>> = drivers.iter().take(count).collect();
        let driver = match drivers.as_deref() {
            Ok([DriverType::IoUring, ..]) => "io_uring",
            Ok([DriverType::IOCP, ..]) => "IOCP",
            Ok([DriverType::Poll, ..]) => "polling",
            Ok([]) => return Err("no worker thread started".to_owned()),
            Err(error) => return Err(format!("cannot start completion-based I/O: {error}")),
        };
        let acceptor = {
            let shared = Arc::clone(&shared);
            let workers: Vec<_> = workers.iter().map(|(worker, _)| worker.clone()).collect();
            thread::spawn(move || accept(&listener, &shared, &workers))
        };
        Ok(Server {
            address,
            driver,
            shared,
            acceptor,
            workers,
        })
    }

    /// A look at the server's figures, from any thread and even when the server has stopped.
    pub(crate) fn figures(&self) -> impl Fn() -> Figures + Send + use<> {
        let shared = Arc::clone(&self.shared);
        move || {
            let mut server_times = Times::new();
            for times in &shared.server_times {
                server_times += &*times.lock();
            }
            Figures {
                pools: shared.pools.stats(),
                server_times,
                cut_off: shared.cut_off.now(),
            }
        }
    }

    /// Closes all connections, waits until every buffer is back (5 seconds at most) and returns the last
    /// figures.
    pub(crate) fn stop(self) -> Figures {
        let (figures, log) = (self.figures(), &self.shared.config.log);
        self.shared.stopping.store(true, Ordering::SeqCst);
        for (hand_over, _) in &self.workers {
            hand_over.close_channel();
        }
        for (_, worker) in self.workers {
            if worker.join().is_err() {
                log("a worker failed".to_owned());
            }
        }
        // The acceptor sits in `accept`: a connection wakes it.
        match TcpStream::connect_timeout(&reachable(self.address), STOP_LIMIT) {
            Ok(_) => drop(self.acceptor.join()),
            Err(error) => log(format!("the acceptor goes on: {error}")),
        }
        figures()
    }
}

/// As `TcpListener::bind`, but with a longer queue of connections to be accepted: std's 128 are too few for
/// a thousand players that come at once, and one that finds it full tries again only after a second.
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

/// Where a listener on `address`, which may be all addresses, is reached from this machine.
pub(crate) fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    SocketAddr::new(ip, address.port())
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
                thread::sleep(pause_after(&error));
            }
        }
    }
}

/// A worker thread: serves what it is handed until the server stops.
fn work(
    index: usize,
    shared: &Arc<Shared>,
    mut accepted: UnboundedReceiver<(TcpStream, SocketAddr)>,
    ready: &mpsc::Sender<io::Result<DriverType>>,
) {
    let runtime = match Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return drop(ready.send(Err(error))),
    };
    let _ = ready.send(Ok(runtime.driver_type()));
    runtime.block_on(async {
        let mut connections = Vec::new();
        let mut tidy_at = 64;
        while let Ok((stream, peer)) = accepted.recv().await {
            match Connection::new(stream, peer, Arc::clone(shared), index) {
                Ok(connection) => connections.push(compio::runtime::spawn(connection.serve())),
                Err(error) => (shared.config.log)(format!("{peer} closed: {error}")),
            }
            if connections.len() >= tidy_at {
                connections.retain(|connection| !connection.is_finished());
                tidy_at = 2 * connections.len() + 64;
            }
        }
        // Dropping a task drops its connection, and cancels what that waits for. The buffers come back
        // when the runtime has seen the cancellations through, so it runs on until they are all there.
        drop(connections);
        let deadline = Instant::now() + STOP_LIMIT;
        while shared.pools.any_in_use() && Instant::now() < deadline {
            sleep(Duration::from_millis(1)).await;
        }
    });
}
