//! One attacker: a thread that plays all strategies, in another order each time.
#![forbid(unsafe_code)]

mod aborts;
mod floods;
pub(crate) mod slow;
pub(crate) mod strategy;

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use poolbuf_support::random::Random;
use socket2::{Domain, SockRef, Socket, Type};

use crate::inputs::corpus::Case;
use crate::inputs::mutation;
use crate::servers::Kind;
use crate::tally::Tally;
use strategy::Strategy;

/// How long an attacker waits for a connection, for room to write and for an answer before it loses interest.
const PATIENCE: Duration = Duration::from_millis(500);

/// Inputs of one kind between two of others.
const BATCH: usize = 50;

pub(crate) struct Attacker {
    pub(crate) server: SocketAddr,
    pub(crate) kind: Kind,
    pub(crate) random: Random,
    pub(crate) end: Instant,
    /// Ends the attack early.
    pub(crate) stop: Arc<AtomicBool>,
    /// Connections of a flood, half of that at least.
    pub(crate) flood: usize,
    pub(crate) corpus: Arc<[Case]>,
    pub(crate) tally: Arc<Mutex<Tally>>,
}

impl Attacker {
    pub(crate) fn attack(mut self) {
        let mut strategies = Strategy::ALL;
        while !self.is_over() {
            for last in (1..strategies.len()).rev() {
                let other = self.random.between(0, last);
                strategies.swap(last, other);
            }
            for strategy in strategies {
                self.play(strategy);
            }
        }
    }

    fn play(&mut self, strategy: Strategy) {
        match strategy {
            Strategy::Malformed => {
                let corpus = Arc::clone(&self.corpus);
                for _ in 0..BATCH {
                    let case = &corpus[self.random.below(corpus.len())];
                    self.send(strategy, &case.writes);
                }
            }
            Strategy::Mutated => {
                for _ in 0..BATCH {
                    let writes = mutation::input(&mut self.random);
                    self.send(strategy, &writes);
                }
            }
            Strategy::SlowReaders => slow::readers(self),
            Strategy::SlowWriters => slow::writers(self),
            Strategy::IdleFlood | Strategy::SendingFlood => floods::flood(self, strategy),
            Strategy::Resets => aborts::resets(self, BATCH),
            Strategy::HalfCloses => aborts::half_closes(self, BATCH),
            Strategy::CutFrames => aborts::cut_frames(self, BATCH),
            Strategy::ConnectAndClose => aborts::connect_and_close(self, BATCH),
        }
    }

    pub(crate) fn is_over(&self) -> bool {
        Instant::now() >= self.end || self.stop.load(Ordering::Relaxed)
    }

    /// A time of up to `longest`, which ends with the attack.
    pub(crate) fn until(&mut self, longest: Duration) -> Instant {
        let millis = self.random.below(longest.as_millis() as usize) as u64;
        (Instant::now() + Duration::from_millis(millis)).min(self.end)
    }

    /// A connection, if the server takes one and the attack goes on.
    pub(crate) fn connect(&mut self, strategy: Strategy) -> Option<TcpStream> {
        self.connect_with(strategy, None)
    }

    /// The same, with a receive buffer in the kernel of about that many bytes.
    pub(crate) fn connect_with(&mut self, strategy: Strategy, receive: Option<usize>) -> Option<TcpStream> {
        if self.is_over() {
            return None;
        }
        match open(self.server, receive) {
            Ok(stream) => {
                self.tally.lock().of(strategy).connections += 1;
                Some(stream)
            }
            Err(_) => {
                self.tally.lock().of(strategy).not_connected += 1;
                // It would most likely fail again at once.
                thread::sleep(Duration::from_millis(1));
                None
            }
        }
    }

    pub(crate) fn count_input(&self, strategy: Strategy) {
        self.tally.lock().of(strategy).inputs += 1;
    }

    /// Compares what comes back to a client that has sent `sent`.
    pub(crate) fn compare(&self, strategy: Strategy, mut stream: TcpStream, sent: &[u8]) {
        if !answers_rightly(&mut stream, self.kind.answer(sent)) {
            self.tally.lock().wrong(strategy, sent);
        }
    }

    /// Sends an input on a connection of its own, says that there is no more to come, and compares what comes back.
    pub(crate) fn send(&mut self, strategy: Strategy, writes: &[Vec<u8>]) {
        let Some(mut stream) = self.connect(strategy) else {
            return;
        };
        self.count_input(strategy);
        // The server may have closed before it has all: it need not read on behind what it refuses.
        let _ = writes.iter().try_for_each(|write| stream.write_all(write));
        let _ = stream.shutdown(Shutdown::Write);
        self.compare(strategy, stream, &writes.concat());
    }
}

/// Whether all that comes from the server until it closes, or is silent for long, is what it must say. Less is
/// right too: it may have had no buffer, or the connection may have been reset under the answer.
fn answers_rightly(stream: &mut TcpStream, mut expected: &[u8]) -> bool {
    let mut received = [0; 16 * 1024];
    while let Ok(bytes @ 1..) = stream.read(&mut received) {
        match expected.strip_prefix(&received[..bytes]) {
            Some(rest) => expected = rest,
            None => return false,
        }
    }
    true
}

/// Closes a connection in such a way that the other side learns of it as an error.
pub(crate) fn reset(stream: TcpStream) {
    // An error means that the server was faster.
    let _ = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
}

/// A connection whose receive buffer in the kernel has about that many bytes.
pub(crate) fn open(server: SocketAddr, receive: Option<usize>) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(server), Type::STREAM, None)?;
    if let Some(bytes) = receive {
        // It counts from the start only when it is set before.
        socket.set_recv_buffer_size(bytes)?;
    }
    socket.connect_timeout(&server.into(), PATIENCE)?;
    let stream = TcpStream::from(socket);
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}
