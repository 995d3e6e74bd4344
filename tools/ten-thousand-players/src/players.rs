//! The players: each sends a message, waits for the answer and checks every byte of it, and then it is
//! another player's turn, so that a bounded number of messages is out at any time.
#![forbid(unsafe_code)]

use std::io;
use std::net::{SocketAddr, TcpStream as StdStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use parking_lot::Mutex;
use poolbuf_support::output::complain;
use poolbuf_support::random::Random;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio::time::{sleep_until, timeout_at};

use crate::figures::Figures;

/// How long a player waits for a connection, or for an answer that is still out when the time is over.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where in the table of bytes messages may start; a prime, so that multiples of other numbers spread over it.
const OFFSETS: usize = 65_521;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlayersConfig {
    pub server: SocketAddr,
    pub connections: usize,
    /// Messages that are out at any time.
    pub in_flight: usize,
    /// Bytes of every message.
    pub message: usize,
    /// How long they play before it counts.
    pub warm_up: Duration,
    pub duration: Duration,
}

/// What happens meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// What is played from here on counts.
    Counting,
    /// It doesn't any more.
    Over,
}

/// When it counts.
#[derive(Clone, Copy)]
struct Window {
    from: Instant,
    until: Instant,
}

/// What the players saw so far.
struct Seen {
    messages: u64,
    failures: u64,
    differences: u64,
    /// From before the send to the last byte of the answer, in nanoseconds.
    responses: Histogram<u64>,
}

/// Connects all players, lets them play on this thread, and returns what they saw; the error is a line for
/// the user.
pub fn play(config: &PlayersConfig, tell: impl Fn(Moment) + Send + 'static) -> Result<Figures, String> {
    let in_flight = config.in_flight.clamp(1, config.connections.max(1));
    let mut groups: Vec<Vec<(u64, StdStream)>> = (0..in_flight).map(|_| Vec::new()).collect();
    for player in 0..config.connections {
        let stream = connect(config.server)
            .map_err(|error| format!("player {player} cannot connect to {}: {error}", config.server))?;
        groups[player % in_flight].push((player as u64, stream));
    }

    let bytes: Arc<[u8]> = Random(1).bytes(OFFSETS + config.message).into();
    let seen = Arc::new(Mutex::new(Seen {
        messages: 0,
        failures: 0,
        differences: 0,
        responses: Histogram::new_with_bounds(1, 60_000_000_000, 3).expect("valid bounds"),
    }));
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("cannot start tokio: {error}"))?;
    let from = Instant::now() + config.warm_up;
    let until = from + config.duration;
    let failed = runtime.block_on(async {
        let teller = tokio::spawn(async move {
            sleep_until(from.into()).await;
            tell(Moment::Counting);
            sleep_until(until.into()).await;
            tell(Moment::Over);
        });
        let mut tasks = Vec::new();
        for group in groups {
            let group = Group {
                message: config.message,
                bytes: Arc::clone(&bytes),
                window: Window { from, until },
                seen: Arc::clone(&seen),
            }
            .play(group);
            tasks.push(tokio::spawn(group));
        }
        let patience = tokio::time::Instant::from(until + PATIENCE);
        let mut failed = 0;
        for task in tasks {
            match timeout_at(patience, task).await {
                Ok(Ok(Ok(()))) => {}
                Ok(Ok(Err(error))) => {
                    complain(&format!("players: a connection failed: {error}"));
                    failed += 1;
                }
                Ok(Err(error)) => {
                    complain(&format!("players: {error}"));
                    failed += 1;
                }
                Err(_) => {
                    complain("players: an answer did not come");
                    failed += 1;
                }
            }
        }
        // Players may be through a moment earlier.
        let _ = teller.await;
        failed
    });
    let seen = seen.lock();
    Ok(Figures {
        messages: seen.messages,
        seconds: config.duration.as_secs_f64(),
        failures: seen.failures + failed,
        differences: seen.differences,
        p50_nanos: seen.responses.value_at_quantile(0.5),
        p99_nanos: seen.responses.value_at_quantile(0.99),
    })
}

/// A connection that leaves nothing behind when it is closed: without this, its port could not be used again
/// for a minute, and a few runs would use up all of them.
fn connect(server: SocketAddr) -> io::Result<StdStream> {
    let stream = StdStream::connect_timeout(&server, PATIENCE)?;
    stream.set_nodelay(true)?;
    stream.set_nonblocking(true)?;
    socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
    Ok(stream)
}

/// Players that take turns.
struct Group {
    message: usize,
    bytes: Arc<[u8]>,
    window: Window,
    seen: Arc<Mutex<Seen>>,
}

impl Group {
    /// Until the time is over, or an answer differs: nothing that comes behind it would be in its place.
    async fn play(self, players: Vec<(u64, StdStream)>) -> io::Result<()> {
        let players: io::Result<Vec<(u64, TcpStream)>> = players
            .into_iter()
            .map(|(id, stream)| Ok((id, TcpStream::from_std(stream)?)))
            .collect();
        let mut players = players?;
        // A byte more than an answer has: tokio then sees that nothing is left, and needs not ask.
        let mut answer = vec![0; self.message + 1];
        for turn in 0.. {
            for (id, stream) in &mut players {
                let start = Instant::now();
                if start >= self.window.until {
                    return Ok(());
                }
                let message = self.message_of(*id, turn);
                stream.write_all(message).await?;
                let mut received = 0;
                while received < message.len() {
                    match stream.read(&mut answer[received..]).await? {
                        0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                        bytes => received += bytes,
                    }
                }
                let same = &answer[..received] == message;
                self.saw(start, same);
                if !same {
                    complain(&format!("players: player {id} got another answer than it should"));
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// The message that a player sends in a turn. Those of neighbours in either are far apart in the table, so
    /// that an answer which is another player's, or an older one, is seen.
    fn message_of(&self, player: u64, turn: u64) -> &[u8] {
        let offset = ((player * 7919 + turn * 104_729) % OFFSETS as u64) as usize;
        &self.bytes[offset..offset + self.message]
    }

    fn saw(&self, start: Instant, same: bool) {
        let now = Instant::now();
        let mut seen = self.seen.lock();
        if !same {
            seen.differences += 1;
        }
        if (self.window.from..self.window.until).contains(&now) {
            seen.messages += 1;
            seen.responses.saturating_record((now - start).as_nanos() as u64);
        }
    }
}
