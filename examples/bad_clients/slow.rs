//! Clients that are slow: those that ask much and hardly read, and those that never come to the end of a frame.
//! Each holds a buffer of the server for as long as it is let.
#![forbid(unsafe_code)]

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use crate::attacker::{Attacker, answers_rightly, reset};
use crate::mutation::frame;
use crate::strategy::Strategy;

/// Clients at a time.
const GROUP: usize = 8;
/// Bytes that a reader asks to be sent back: more than the kernel has room for when nobody reads.
const REQUESTS: usize = 16 * 1024 * 1024;
/// Bytes of a reader's receive buffer in the kernel.
const RECEIVE: usize = 4096;
/// How long a group goes on, most of the time …
const SHORT: Duration = Duration::from_secs(1);
/// … and once in a while: longer than a server may put up with it.
const LONG: Duration = Duration::from_secs(7);
/// Between two bytes.
const PAUSE: Duration = Duration::from_millis(5);

/// Clients that send requests for as long as the server takes them, and then read a byte at a time or not at all.
pub(crate) fn readers(attacker: &mut Attacker) {
    let strategy = Strategy::SlowReaders;
    let request = frame(&mut attacker.random);
    let mut clients = Vec::new();
    for _ in 0..GROUP {
        if let Some(stream) = attacker.connect_with(strategy, Some(RECEIVE)) {
            attacker.count_input(strategy);
            send_what_fits(&stream, &request);
            clients.push((stream, 0_usize));
        }
    }
    let reads = attacker.below(2) == 0;
    let end = hold(attacker);
    while !attacker.is_over() && Instant::now() < end && !clients.is_empty() {
        if reads {
            clients.retain_mut(|(stream, read)| {
                let mut byte = [0];
                match stream.read(&mut byte) {
                    Ok(1) => {
                        let right = byte[0] == request[*read % request.len()];
                        if !right {
                            attacker.count_wrong(strategy);
                        }
                        *read += 1;
                        right
                    }
                    Ok(_) => false,
                    Err(error) => error.kind() == ErrorKind::WouldBlock,
                }
            });
        }
        thread::sleep(PAUSE);
    }
    clients.into_iter().for_each(|(stream, _)| reset(stream));
}

/// Sends `request` again and again, until the server does not take more.
fn send_what_fits(mut stream: &TcpStream, request: &[u8]) {
    // The rest of the client's life is a matter of bytes that are there or not.
    if stream.set_nonblocking(true).is_err() {
        return;
    }
    let mut requests = request.repeat(64 * 1024 / request.len() + 1);
    let mut sent = 0;
    while let (true, Ok(bytes @ 1..)) = (sent < REQUESTS, stream.write(&requests)) {
        sent += bytes;
        // The next write goes on where this one ended.
        requests.rotate_left(bytes % request.len());
    }
}

/// Clients that send a frame a byte at a time; half of them stop in the middle.
pub(crate) fn writers(attacker: &mut Attacker) {
    let strategy = Strategy::SlowWriters;
    let payload = 1 + attacker.below(60) as u8;
    let frame: Vec<u8> = [payload, 0, 0, 0].into_iter().chain(0..payload).collect();
    let mut clients = Vec::new();
    for _ in 0..GROUP {
        if let Some(stream) = attacker.connect(strategy) {
            attacker.count_input(strategy);
            let bytes = match attacker.below(2) {
                0 => frame.len(),
                _ => attacker.below(frame.len() as u64) as usize,
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
    for (mut stream, bytes) in clients {
        let _ = stream.shutdown(Shutdown::Write);
        let expected = attacker.kind.answer(&frame[..bytes]).to_vec();
        if !answers_rightly(&mut stream, &expected) {
            attacker.count_wrong(strategy);
        }
    }
}

/// When a group has had enough.
fn hold(attacker: &mut Attacker) -> Instant {
    match attacker.below(8) {
        0 => attacker.end.min(Instant::now() + LONG),
        _ => attacker.until(SHORT),
    }
}
