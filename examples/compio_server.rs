//! A server on compio (IOCP on Windows, io_uring on Linux, polling elsewhere), both ways:
//!
//! - *before*: the buffer is rented before the receive is posted, as completion-based I/O wants it. Simple, and every
//!   connection holds a buffer while its client is silent.
//! - *ready*: the connection waits until there is something to read, and rents then: as many buffers as there are
//!   requests being served. On Windows, where readiness is not to be had, use the first way with small buffers.
//!
//! ```text
//! cargo run --example compio_server
//! ```

#[path = "shared/accept.rs"]
mod accept;
#[path = "shared/give_way.rs"]
mod give_way;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use accept::pause_after;
use compio::BufResult;
use compio::io::{AsyncReadExt, AsyncWriteExt};
use compio::net::{TcpListener, TcpStream};
use compio::runtime::{Runtime, spawn};
use compio::time::{sleep, timeout};
use give_way::give_way;
use poolbuf::{BufferPool, Pool, PoolConfig};

const CLIENTS: usize = 32;
const ROUNDS: usize = 20;
/// How long a client may have to wait for a buffer, and how long he may take to accept an answer.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, Debug)]
enum Rent {
    Before,
    #[cfg(unix)]
    Ready,
}

async fn serve(mut socket: TcpStream, pool: BufferPool, rent: Rent) -> io::Result<()> {
    loop {
        #[cfg(unix)]
        if let Rent::Ready = rent {
            readable(&socket).await?;
        }
        #[cfg(not(unix))]
        let Rent::Before = rent;
        let buf = timeout(PATIENCE, pool.acquire_async(pool.max_len()))
            .await
            .map_err(|_| io::ErrorKind::TimedOut)??;
        let BufResult(received, buf) = socket.append(buf).await;
        if received? == 0 {
            return Ok(());
        }
        // The buffer goes into the write by value, and back to its pool after it.
        let BufResult(sent, _buf) = timeout(PATIENCE, socket.write_all(buf))
            .await
            .map_err(|_| io::ErrorKind::TimedOut)?;
        sent?;
        give_way().await;
    }
}

/// Waits until there is something to read, without a buffer.
#[cfg(unix)]
async fn readable(socket: &TcpStream) -> io::Result<()> {
    use compio::runtime::fd::PollFd;
    PollFd::new(socket.clone())?.read_ready().await
}

async fn play(address: SocketAddr, id: usize) -> io::Result<()> {
    let mut socket = TcpStream::connect(address).await?;
    for round in 0..ROUNDS {
        let sent = format!("player {id}, round {round}");
        let BufResult(result, sent) = socket.write_all(sent.into_bytes()).await;
        result?;
        let answer = Vec::with_capacity(sent.len());
        let BufResult(result, answer) = socket.read_exact(answer).await;
        result?;
        if answer != sent {
            return Err(io::Error::other("another answer than was sent"));
        }
    }
    Ok(())
}

async fn run(rent: Rent, buffers: usize) -> Result<(), Box<dyn std::error::Error>> {
    let config = PoolConfig::new(8192).max(buffers).name(format!("{rent:?}"));
    let pool = BufferPool::with_config(config)?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let serving = pool.clone();
    let server = spawn(async move {
        loop {
            let (socket, peer) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    eprintln!("cannot accept: {error}");
                    sleep(pause_after(&error)).await;
                    continue;
                }
            };
            let pool = serving.clone();
            let connection = async move {
                if let Err(error) = serve(socket, pool, rent).await {
                    eprintln!("{peer}: {error}");
                }
            };
            spawn(connection).detach();
        }
    });
    let players: Vec<_> = (0..CLIENTS).map(|id| spawn(play(address, id))).collect();
    for player in players {
        player.await.map_err(|_| "a player panicked")??;
    }
    drop(server);
    println!("{}", pool.stats());
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    Runtime::new()?.block_on(async {
        // A buffer for each client …
        run(Rent::Before, CLIENTS).await?;
        // … or for each request.
        #[cfg(unix)]
        run(Rent::Ready, 4).await?;
        Ok(())
    })
}
