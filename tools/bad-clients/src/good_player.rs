//! A player that does all as it should, and checks every byte of every answer. It may have to wait while others attack
//! the server, or be turned away and come back; the answers that it gets must be right.
#![forbid(unsafe_code)]

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use poolbuf_support::random::Random;

/// How long it waits for a connection, or an answer, before it tries again.
const PATIENCE: Duration = Duration::from_secs(6);

/// The payloads of its messages, in bytes.
const PAYLOADS: [usize; 5] = [64, 512, 2048, 8192, 32_768];

/// What it saw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Played {
    pub answers: u64,
    /// From when it first tried to send a message until its answer was there.
    pub longest_wait: Duration,
    /// How often it had to connect again.
    pub turned_away: u64,
    /// Answers with a wrong byte.
    pub wrong: u64,
}

pub struct GoodPlayer {
    server: SocketAddr,
    random: Random,
    stream: Option<TcpStream>,
    pub played: Played,
}

impl GoodPlayer {
    pub fn new(server: SocketAddr, seed: u64) -> GoodPlayer {
        GoodPlayer {
            server,
            random: Random(seed),
            stream: None,
            played: Played::default(),
        }
    }

    /// Sends messages of all sizes until `over`, each until its answer is there; `tell` learns of every one.
    pub fn play(&mut self, over: &dyn Fn() -> bool, tell: &dyn Fn(Played)) {
        while !over() {
            let payload = self.random.choose(&PAYLOADS);
            self.play_message(payload, over);
            tell(self.played);
        }
    }

    /// One message of every size; the error says which was not answered within `limit`, or how.
    pub fn try_all_sizes(&mut self, limit: Duration) -> Result<(), String> {
        let mut sizes = PAYLOADS.into_iter().chain([1]);
        sizes.try_for_each(|payload| self.try_size(payload, limit))
    }

    /// One message.
    pub fn try_size(&mut self, payload: usize, limit: Duration) -> Result<(), String> {
        let deadline = Instant::now() + limit;
        let before = self.played;
        self.play_message(payload, &|| Instant::now() >= deadline);
        if self.played.wrong > before.wrong {
            return Err(format!("a message of {payload} bytes is answered wrongly"));
        }
        if self.played.answers == before.answers {
            return Err(format!("a message of {payload} bytes is not answered"));
        }
        Ok(())
    }

    fn play_message(&mut self, payload: usize, over: &dyn Fn() -> bool) {
        // No two messages are alike, so that an answer which is another's is seen.
        let header = (payload as u32).to_le_bytes();
        let message = [&header[..], &self.random.bytes(payload)].concat();

        let start = Instant::now();
        loop {
            match self.exchange(&message) {
                Ok(right) => {
                    self.played.answers += 1;
                    self.played.wrong += u64::from(!right);
                    break;
                }
                Err(_) => {
                    self.stream = None;
                    if over() {
                        break;
                    }
                    self.played.turned_away += 1;
                    thread::sleep(Duration::from_millis(1));
                }
            }
        }
        self.played.longest_wait = self.played.longest_wait.max(start.elapsed());
    }

    /// Sends a message, and says whether its answer is right.
    fn exchange(&mut self, message: &[u8]) -> io::Result<bool> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => {
                let stream = TcpStream::connect_timeout(&self.server, PATIENCE)?;
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_write_timeout(Some(PATIENCE))?;
                stream
            }
        };
        stream.write_all(message)?;
        let mut expected = message;
        let mut received = vec![0; message.len()];
        while !expected.is_empty() {
            let bytes = match stream.read(&mut received[..expected.len()])? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                bytes => bytes,
            };
            match expected.strip_prefix(&received[..bytes]) {
                Some(rest) => expected = rest,
                None => return Ok(false),
            }
        }
        self.stream = Some(stream);
        Ok(true)
    }
}
