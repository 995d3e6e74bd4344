//! A receive thread fills buffers and hands them to a game-loop thread, which releases them: acquired on one thread,
//! released on another. When the game loop falls behind, the receive thread waits for a buffer, and so do the clients:
//! that is the back-pressure.
//!
//! ```text
//! cargo run --example game_loop
//! ```

use std::io::{self, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Duration;

use poolbuf::{BufferPool, Pool, PoolConfig, PooledBuf};

const BUFFERS: usize = 8;
const MESSAGES: u64 = 20_000;
/// Bytes of each message: a number.
const MESSAGE: usize = 8;
/// The game loop is at fault if it keeps all buffers for longer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Reads messages, each into a buffer of its own, until the client is gone.
fn receive(mut socket: TcpStream, pool: &impl Pool, inbox: &Sender<PooledBuf>) -> io::Result<()> {
    loop {
        let mut buf = pool.acquire_timeout(MESSAGE, PATIENCE)?;
        while buf.len() < MESSAGE {
            if buf.read_from(&mut socket)? == 0 {
                return Ok(());
            }
        }
        if inbox.send(buf).is_err() {
            return Ok(()); // the game is over
        }
    }
}

/// Handles what has come, tick by tick; returns the sum of all numbers.
fn game_loop(inbox: &Receiver<PooledBuf>) -> io::Result<u64> {
    let mut sum = 0;
    // Blocks for the first message of a tick, and takes along what is there by then.
    while let Ok(first) = inbox.recv() {
        for message in std::iter::once(first).chain(inbox.try_iter()) {
            let number = message[..].try_into().map_err(io::Error::other)?;
            sum += u64::from_le_bytes(number);
        } // each buffer goes back here, on this thread
    }
    Ok(sum)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Exactly one message fits a buffer.
    let config = PoolConfig::new(MESSAGE).max(BUFFERS).name("recv");
    let pool = BufferPool::with_config(config)?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut client = TcpStream::connect(listener.local_addr()?)?;
    let (socket, _) = listener.accept()?;

    let sum = thread::scope(|scope| {
        let (sender, inbox) = mpsc::channel();
        let receiver = scope.spawn(|| {
            let sender = sender; // dropped when the client is gone, which ends the game
            receive(socket, &pool, &sender)
        });
        let game = scope.spawn(move || game_loop(&inbox));
        for number in 0..MESSAGES {
            client.write_all(&number.to_le_bytes())?;
        }
        client.shutdown(std::net::Shutdown::Write)?;
        receiver.join().expect("the receive thread does not panic")?;
        game.join().expect("the game loop does not panic")
    })?;

    assert_eq!(sum, MESSAGES * (MESSAGES - 1) / 2);
    let stats = pool.stats();
    assert_eq!(stats.in_use, 0);
    println!("{MESSAGES} messages through {BUFFERS} buffers");
    println!("{stats}");
    Ok(())
}
