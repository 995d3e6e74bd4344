//! A UDP game server: a receive thread takes datagrams, each into a pooled buffer of its own, and hands them to a tick
//! thread, which plays all that came since the last tick and releases their buffers. On Linux one call of `recvmmsg`
//! takes up to 32 datagrams. When the game falls behind, no buffer is free and the receive thread waits; what the
//! kernel then has no room for is lost, as it is with UDP, and its player sends it again.
//!
//! ```text
//! cargo run --example udp_game_loop                      players of its own, for a moment
//! cargo run --example udp_game_loop -- 127.0.0.1:7000    serves there until standard input ends
//! ```
//!
//! A move is a little-endian `u64`: its number in the upper half, steps in the lower. The answer, once a tick to each
//! player who has moved, is another: how many of his moves were played, and where he stands.

#[path = "shared/datagrams.rs"]
mod datagrams;

use std::collections::HashMap;
use std::error::Error;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender, TryRecvError};
use std::thread;
use std::time::{Duration, Instant};

use datagrams::{BATCH, receive};
use poolbuf::{BufferPool, Pool, PoolConfig, PooledBuf};

/// Bytes of a buffer: of a longer datagram the rest is lost, and what is left is no move.
const DATAGRAM: usize = 64;
const BUFFERS: usize = 256;
const TICK: Duration = Duration::from_millis(10);
/// The game is at fault if it keeps all buffers for longer.
const PATIENCE: Duration = Duration::from_secs(5);
/// More are not let in: whoever sends datagrams can make up addresses that they come from.
const MAX_PLAYERS: usize = 1000;

const PLAYERS: u64 = 8;
const MOVES: u64 = 400;
/// Moves that a player sends before he waits for an answer.
const AHEAD: u64 = 16;

type Received = (SocketAddr, PooledBuf);

/// Receives until it is told to stop, and hands every datagram on.
fn receive_all(socket: &UdpSocket, pool: &BufferPool, inbox: &Sender<Received>, stop: &AtomicBool) -> io::Result<()> {
    // Empty ones: those that the last call left over, and as many as it used.
    let mut bufs: Vec<PooledBuf> = Vec::with_capacity(BATCH);
    while !stop.load(Ordering::Relaxed) {
        let missing = BATCH - bufs.len();
        bufs.extend(pool.acquire_many_async(missing, DATAGRAM).wait_timeout(PATIENCE)?);
        let peers = match receive(socket, &mut bufs) {
            Ok(peers) => peers,
            Err(error) => match error.kind() {
                // Nothing came for a while. On Windows also: an answer did not reach a player who is gone.
                ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::ConnectionReset => {
                    continue;
                }
                ErrorKind::Interrupted => continue,
                _ => return Err(error),
            },
        };
        for received in peers.iter().copied().zip(bufs.drain(..peers.len())) {
            inbox.send(received).map_err(|_| ErrorKind::BrokenPipe)?;
        }
    }
    Ok(())
}

/// Plays what has come, tick by tick, until nothing more can come; returns how many ticks that were.
fn play(socket: &UdpSocket, inbox: &Receiver<Received>) -> u64 {
    // How many moves of each player were played, and where he stands.
    let mut players: HashMap<SocketAddr, (u64, u64)> = HashMap::new();
    let mut moved = Vec::new();
    for tick in 1.. {
        thread::sleep(TICK);
        // No more than there are buffers: a flood must not keep the tick from its end.
        for _ in 0..BUFFERS {
            let (peer, message) = match inbox.try_recv() {
                Ok(received) => received,
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => return tick,
            };
            let is_in = players.len() < MAX_PLAYERS || players.contains_key(&peer);
            let Some((number, steps)) = halves(&message).filter(|_| is_in) else {
                continue;
            };
            let (moves, position) = players.entry(peer).or_default();
            // Else one before it was lost, or it has come twice.
            if number == *moves {
                *moves += 1;
                *position += steps;
            }
            moved.push(peer);
        } // each buffer goes back here, on this thread
        moved.sort_unstable();
        moved.dedup();
        for peer in moved.drain(..) {
            let (moves, position) = players[&peer];
            // Lost, if it can't be sent now.
            let _ = socket.send_to(&(moves << 32 | position).to_le_bytes(), peer);
        }
    }
    unreachable!("a server has an end")
}

fn halves(message: &[u8]) -> Option<(u64, u64)> {
    let word = u64::from_le_bytes(message.try_into().ok()?);
    Some((word >> 32, word & u64::from(u32::MAX)))
}

/// Makes all moves, and again those that were lost; returns where they have led.
fn walk(server: SocketAddr, steps: u64) -> io::Result<u64> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.connect(server)?;
    socket.set_read_timeout(Some(Duration::from_millis(100)))?;
    let (deadline, mut played) = (Instant::now() + Duration::from_secs(60), 0);
    while Instant::now() < deadline {
        for number in played..(played + AHEAD).min(MOVES) {
            socket.send(&(number << 32 | steps).to_le_bytes())?;
        }
        let mut answer = [0; 8];
        let received = socket.recv(&mut answer).unwrap_or(0);
        match halves(&answer[..received]) {
            Some((MOVES, position)) => return Ok(position),
            Some((moves, _)) => played = moves.max(played),
            None => {} // it was lost
        }
    }
    Err(ErrorKind::TimedOut.into())
}

/// Lets all players walk, each at his own pace, and looks where they have arrived.
fn walk_all(server: SocketAddr) -> io::Result<()> {
    thread::scope(|scope| {
        let players = (1..=PLAYERS).map(|steps| (steps, scope.spawn(move || walk(server, steps))));
        for (steps, player) in players.collect::<Vec<_>>() {
            let position = player.join().expect("a player does not panic")?;
            assert_eq!(position, steps * MOVES);
        }
        Ok(())
    })
}

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1);
    let config = PoolConfig::new(DATAGRAM).max(BUFFERS).name("datagrams");
    let pool = BufferPool::with_config(config)?;
    let socket = UdpSocket::bind(address.as_deref().unwrap_or("127.0.0.1:0"))?;
    if !socket.local_addr()?.is_ipv4() {
        return Err("an IPv4 address is needed".into());
    }
    // So often the receive thread looks whether to stop.
    socket.set_read_timeout(Some(Duration::from_millis(50)))?;
    let (server, stop) = (socket.local_addr()?, AtomicBool::new(false));
    thread::scope(|scope| {
        let (sender, inbox) = mpsc::channel();
        // The sender is dropped with the receive thread, and that ends the game.
        let receiver = scope.spawn(|| {
            let sender = sender;
            receive_all(&socket, &pool, &sender, &stop)
        });
        let game = scope.spawn(|| {
            let inbox = inbox;
            play(&socket, &inbox)
        });
        let done = match address {
            Some(_) => {
                println!("serving on {server}, until standard input ends");
                io::copy(&mut io::stdin(), &mut io::sink()).map(drop)
            }
            None => walk_all(server),
        };
        stop.store(true, Ordering::Relaxed);
        receiver.join().expect("the receive thread does not panic")?;
        println!("{} ticks", game.join().expect("the game does not panic"));
        done
    })?;
    println!("{}", pool.stats());
    assert_eq!(pool.stats().in_use, 0);
    Ok(())
}
