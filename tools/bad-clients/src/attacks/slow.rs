//! Clients that are slow: those that ask much and hardly read, and those that never come to the end of a frame.
//! Each holds a buffer of the server for as long as it is let.
#![forbid(unsafe_code)]

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use super::strategy::Strategy;
use super::{Attacker, reset};
use crate::inputs::mutation::frame;

/// Clients at a time.
const GROUP: usize = 8;
/// Bytes that a reader asks to be sent back: more than the kernel has room for while it reads nothing.
const REQUESTS: usize = 16 * 1024 * 1024;
/// Bytes of a reader's receive buffer in the kernel.
pub(crate) const RECEIVE: usize = 4096;
/// How long a group goes on, most of the time …
const SHORT: Duration = Duration::from_millis(600);
/// … and once in a while: longer than a server may put up with it.
const LONG: Duration = Duration::from_secs(7);
/// Between two bytes.
pub(crate) const PAUSE: Duration = Duration::from_millis(5);

/// A client that sends requests for as long as the server takes them.
pub(crate) struct Reader {
    stream: TcpStream,
    /// Bytes so far.
    pub(crate) sent: usize,
    read: usize,
}

/// Clients that send requests, and read a byte at a time or not at all.
pub(crate) fn readers(attacker: &mut Attacker) {
    let strategy = Strategy::SlowReaders;
    let request = frame(&mut attacker.random);
    let requests = request.repeat(64 * 1024 / request.len() + 1);
    let mut readers = Vec::new();
    for _ in 0..GROUP {
        let Some(stream) = attacker.connect_with(strategy, Some(RECEIVE)) else {
            continue;
        };
        attacker.count_input(strategy);
        // What they do is a matter of what the server takes and has said by now.
        if stream.set_nonblocking(true).is_ok() {
            readers.push(Reader::new(stream));
        }
    }
    let reads = attacker.random.once_in(2);
    let end = hold(attacker);
    while !attacker.is_over() && Instant::now() < end && !readers.is_empty() {
        readers.retain_mut(|reader| {
            let answer = match reader.send(&requests, request.len()) {
                Ok(()) if reads => reader.read_byte(&request),
                sent => sent.map(|()| true),
            };
            if let Ok(false) = answer {
                attacker.tally.lock().wrong(strategy, &request);
            }
            answer.unwrap_or(false)
        });
        thread::sleep(PAUSE);
    }
    readers.into_iter().for_each(|reader| reset(reader.stream));
}

impl Reader {
    /// Of a stream that does not block.
    pub(crate) fn new(stream: TcpStream) -> Reader {
        Reader {
            stream,
            sent: 0,
            read: 0,
        }
    }

    /// Sends what the server takes of `requests`, which are one of `len` bytes, repeated.
    pub(crate) fn send(&mut self, requests: &[u8], len: usize) -> io::Result<()> {
        while self.sent < REQUESTS {
            match self.stream.write(&requests[self.sent % len..]) {
                Ok(bytes) => self.sent += bytes,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads a byte if one is there, and says whether it is right.
    fn read_byte(&mut self, request: &[u8]) -> io::Result<bool> {
        let mut byte = [0];
        match self.stream.read(&mut byte) {
            Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
            Ok(_) => {
                let right = byte[0] == request[self.read % request.len()];
                self.read += 1;
                Ok(right)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(true),
            Err(error) => Err(error),
        }
    }
}

/// Clients that send a frame a byte at a time; half of them stop in the middle.
pub(crate) fn writers(attacker: &mut Attacker) {
    let strategy = Strategy::SlowWriters;
    let payload = attacker.random.between(1, 60) as u8;
    let frame: Vec<u8> = [payload, 0, 0, 0].into_iter().chain(0..payload).collect();
    let mut clients = Vec::new();
    for _ in 0..GROUP {
        if let Some(stream) = attacker.connect(strategy) {
            attacker.count_input(strategy);
            let bytes = match attacker.random.once_in(2) {
                true => frame.len(),
                false => attacker.random.below(frame.len()),
            };
            clients.push((stream, bytes));
        }
    }
    for (at, byte) in frame.iter().enumerate() {
        if attacker.is_over() {
            break;
        }
        for (stream, bytes) in &mut clients {
            if at < *bytes {
                // An error means that the server has lost its patience.
                let _ = stream.write_all(&[*byte]);
            }
        }
        thread::sleep(PAUSE);
    }
    let end = hold(attacker);
    while !attacker.is_over() && Instant::now() < end {
        thread::sleep(PAUSE);
    }
    for (stream, bytes) in clients {
        let _ = stream.shutdown(Shutdown::Write);
        attacker.compare(strategy, stream, &frame[..bytes]);
    }
}

/// When a group has had enough.
fn hold(attacker: &mut Attacker) -> Instant {
    match attacker.random.once_in(8) {
        true => attacker.end.min(Instant::now() + LONG),
        false => attacker.until(SHORT),
    }
}
