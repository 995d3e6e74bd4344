//! The players: each sends a frame of the chapter's mix, waits for the answer, and checks every byte of it.

use std::cell::RefCell;
use std::io;
use std::net::{SocketAddr, TcpStream as StdStream};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use compio::BufResult;
use compio::io::{AsyncReadExt, AsyncWriteExt};
use compio::net::TcpStream;
use compio::runtime::Runtime;
use compio::time::timeout;
use fastrand::Rng;
use poolbuf_support::numbers::thousands;

use crate::server::Log;
use crate::server::frame::{self, HEADER, MAX_PAYLOAD, PAYLOADS};
use crate::times::Times;

/// Of a hundred frames, how many have each of the payloads of [`PAYLOADS`].
const MIX: [u32; PAYLOADS.len()] = [50, 25, 15, 8, 2];

/// How long a player waits for an answer that is still out when the time is over.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) struct PlayersConfig {
    pub(crate) server: SocketAddr,
    pub(crate) players: usize,
    pub(crate) threads: usize,
    pub(crate) duration: Duration,
    pub(crate) log: Log,
    /// Ends the game early.
    pub(crate) stop: Arc<AtomicBool>,
}

/// What the players saw.
pub(crate) struct Played {
    /// Frames that came back.
    pub(crate) messages: u64,
    /// Bytes that came back as they were sent.
    pub(crate) verified: u64,
    /// Frames that came back with a wrong byte.
    pub(crate) differences: u64,
    /// Players whose connection failed, or who still waited for an answer at the end.
    pub(crate) failures: u64,
    /// Of each answer: from before the send of its frame to its last byte received.
    pub(crate) responses: Times,
    pub(crate) elapsed: Duration,
}

impl Played {
    pub(crate) fn nothing() -> Self {
        Played {
            messages: 0,
            verified: 0,
            differences: 0,
            failures: 0,
            responses: Times::new(),
            elapsed: Duration::ZERO,
        }
    }

    fn add(&mut self, other: &Played) {
        self.messages += other.messages;
        self.verified += other.verified;
        self.differences += other.differences;
        self.failures += other.failures;
        self.responses += &other.responses;
    }
}

/// Connects all players, lets them play, and returns what they saw; the error is a line for the user.
pub(crate) fn play(config: &PlayersConfig) -> Result<Played, String> {
    let threads = config.threads.max(1);
    let mut groups: Vec<Vec<(u64, StdStream)>> = (0..threads).map(|_| Vec::new()).collect();
    // One after the other: a crowd would overrun the listener's queue of connections to be accepted.
    for player in 0..config.players {
        let stream = StdStream::connect_timeout(&config.server, PATIENCE)
            .and_then(|stream| stream.set_nodelay(true).map(|()| stream))
            .map_err(|error| format!("player {player} cannot connect to {}: {error}", config.server))?;
        groups[player % threads].push((player as u64, stream));
    }

    let table: Arc<[u8]> = random_bytes(OFFSETS + MAX_PAYLOAD).into();
    let start = Instant::now();
    let end = start + config.duration;
    let mut played = Played::nothing();
    thread::scope(|scope| {
        let threads: Vec<_> = groups
            .into_iter()
            .map(|group| {
                let table = Arc::clone(&table);
                scope.spawn(move || play_group(config, group, table, end))
            })
            .collect();
        for thread in threads {
            match thread.join() {
                Ok(Ok(its)) => played.add(&its),
                Ok(Err(error)) => {
                    return Err(format!("cannot start completion-based I/O: {error}"));
                }
                Err(_) => return Err("a thread of players panicked".to_owned()),
            }
        }
        Ok(())
    })?;
    played.elapsed = start.elapsed();
    Ok(played)
}

/// The players of one thread.
fn play_group(
    config: &PlayersConfig,
    group: Vec<(u64, StdStream)>,
    table: Arc<[u8]>,
    end: Instant,
) -> io::Result<Played> {
    let runtime = Runtime::new()?;
    let played = Rc::new(RefCell::new(Played::nothing()));
    runtime.block_on(async {
        let mut tasks = Vec::new();
        for (id, stream) in group {
            let player = Player {
                id,
                stream: TcpStream::from_std(stream)?,
                table: Arc::clone(&table),
                played: Rc::clone(&played),
                log: Arc::clone(&config.log),
                stop: Arc::clone(&config.stop),
            };
            tasks.push(compio::runtime::spawn(player.play(end)));
        }
        let mut playing = tasks.len();
        let all = async {
            for task in tasks {
                if task.await.is_err() {
                    played.borrow_mut().failures += 1;
                }
                playing -= 1;
            }
        };
        let wait = end.saturating_duration_since(Instant::now()) + PATIENCE;
        if timeout(wait, all).await.is_err() {
            played.borrow_mut().failures += playing as u64;
            (config.log)(format!("{playing} players are still waiting for an answer"));
        }
        Ok::<(), io::Error>(())
    })?;
    Ok(played.replace(Played::nothing()))
}

struct Player {
    id: u64,
    stream: TcpStream,
    table: Arc<[u8]>,
    played: Rc<RefCell<Played>>,
    log: Log,
    stop: Arc<AtomicBool>,
}

impl Player {
    async fn play(mut self, end: Instant) {
        let mut random = Rng::with_seed(self.id);
        let mut message = 0;
        while Instant::now() < end && !self.stop.load(Ordering::Relaxed) {
            let payload = pick(&mut random);
            if let Err(reason) = self.exchange(message, payload).await {
                (self.log)(format!("player {} gives up at message {message}: {reason}", self.id));
                return;
            }
            message += 1;
        }
    }

    /// Sends a message and checks its answer.
    async fn exchange(&mut self, message: u64, payload: usize) -> Result<(), String> {
        let table = Arc::clone(&self.table);
        let offset = offset(self.id, message);
        let payload = &table[offset..offset + payload];
        let mut sent = Vec::with_capacity(HEADER + payload.len());
        sent.extend_from_slice(&frame::header(payload.len()));
        sent.extend_from_slice(payload);

        let start = Instant::now();
        let answer = self.answer_to(sent).await.map_err(|error| {
            self.played.borrow_mut().failures += 1;
            error.to_string()
        })?;
        let response = start.elapsed();

        let mut played = self.played.borrow_mut();
        played.messages += 1;
        played.responses.record(response);
        let expected = frame::header(payload.len()).into_iter().chain(payload.iter().copied());
        let difference = (0..).zip(answer.iter().zip(expected));
        for (position, (&got, expected)) in difference {
            if got != expected {
                played.differences += 1;
                return Err(format!(
                    "byte {} of its answer differs: expected {expected:#04x}, got {got:#04x}",
                    thousands(position),
                ));
            }
        }
        played.verified += answer.len() as u64;
        Ok(())
    }

    /// Sends `frame` and receives as many bytes.
    async fn answer_to(&mut self, frame: Vec<u8>) -> io::Result<Vec<u8>> {
        let len = frame.len();
        let BufResult(result, mut buf) = self.stream.write_all(frame).await;
        result?;
        buf.clear();
        while buf.len() < len {
            let (result, back) = self.stream.append(buf).await.into();
            buf = back;
            if result? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(buf)
    }
}

/// Where in the table payloads may start; a prime, so that multiples of other numbers spread over it.
const OFFSETS: usize = 65_521;

/// Where in the table a message's payload starts. Neighbours in player and message are far apart, so an
/// answer that is another player's, or an older one, is seen.
fn offset(player: u64, message: u64) -> usize {
    ((player * 7919 + message * 104_729) % OFFSETS as u64) as usize
}

/// One of [`PAYLOADS`], by [`MIX`].
fn pick(random: &mut Rng) -> usize {
    let mut ticket = random.u32(..MIX.iter().sum::<u32>());
    for (payload, share) in PAYLOADS.into_iter().zip(MIX) {
        if ticket < share {
            return payload;
        }
        ticket -= share;
    }
    unreachable!("a ticket is less than the sum of all shares")
}

/// The same for the same count.
fn random_bytes(count: usize) -> Vec<u8> {
    let mut random = Rng::with_seed(1);
    (0..count).map(|_| random.u8(..)).collect()
}

#[cfg(test)]
mod tests {
    use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;
    use std::thread;
    use std::time::Duration;

    use std::io::Write;

    use super::{MIX, PlayersConfig, pick, play};
    use crate::server::Log;
    use crate::server::frame::{HEADER, PAYLOADS};
    use crate::tests::{HANGS, localhost, logger, receive};

    /// A server that answers each of its connections with `answer`.
    fn impostor(answer: fn(&mut TcpStream)) -> SocketAddr {
        let listener = TcpListener::bind(localhost()).expect("listen");
        let address = listener.local_addr().expect("address");
        thread::spawn(move || {
            while let Ok((mut stream, _)) = listener.accept() {
                answer(&mut stream);
            }
        });
        address
    }

    fn player_of(server: SocketAddr, log: Log) -> PlayersConfig {
        PlayersConfig {
            server,
            players: 1,
            threads: 1,
            duration: Duration::from_secs(2),
            log,
            stop: Arc::new(AtomicBool::new(false)),
        }
    }

    #[test]
    fn a_byte_that_differs_is_counted() {
        let server = impostor(|stream| {
            let header = receive(stream, HEADER);
            let payload = u32::from_le_bytes(header[..].try_into().expect("4 bytes"));
            let mut frame = [header, receive(stream, payload as usize)].concat();
            // The last byte of the first answer.
            *frame.last_mut().expect("not empty") ^= 1;
            stream.write_all(&frame).expect("send");
        });
        let (log, lines) = logger();
        let played = play(&player_of(server, log)).expect("players that played");
        assert_eq!((played.differences, played.failures), (1, 0));
        assert_eq!((played.messages, played.verified), (1, 0));
        let line = lines.recv_timeout(HANGS).expect("a line");
        assert!(line.starts_with("player 0 gives up at message 0: byte "));
        assert!(line.contains(" of its answer differs: expected 0x"));
    }

    #[test]
    fn a_connection_that_fails_in_mid_run_is_counted() {
        let server = impostor(|stream| drop(stream.shutdown(Shutdown::Both)));
        let (log, lines) = logger();
        let played = play(&player_of(server, log)).expect("players that played");
        assert_eq!((played.failures, played.messages), (1, 0));
        let line = lines.recv_timeout(HANGS).expect("a line");
        assert!(line.starts_with("player 0 gives up at message 0: "));
    }

    #[test]
    fn payloads_are_picked_by_their_shares() {
        let mut random = fastrand::Rng::with_seed(7);
        let mut counts = [0_u32; PAYLOADS.len()];
        for _ in 0..100_000 {
            let payload = pick(&mut random);
            let index = PAYLOADS.iter().position(|known| *known == payload);
            counts[index.expect("a payload")] += 1;
        }
        for (count, share) in counts.into_iter().zip(MIX) {
            assert!(count.abs_diff(share * 1000) < 1000, "{counts:?}");
        }
    }
}
