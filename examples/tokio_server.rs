//! A server on tokio that rents a buffer when its socket is readable, and not before: the recommended way. More
//! clients than buffers are connected; one that finds no buffer waits its turn.
//!
//! ```text
//! cargo run --example tokio_server                      clients of its own, for a moment
//! cargo run --example tokio_server -- 127.0.0.1:7000    serves there until standard input ends
//! ```

#[path = "shared/tokio_accept.rs"]
mod tokio_accept;

use std::error::Error;
use std::io;
use std::time::Duration;

use poolbuf::{BufferPool, Pool, PoolConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;
use tokio::task::yield_now;
use tokio::time::{sleep, timeout};
use tokio_accept::accept;

/// Most buffers lent at once; fewer than there are clients.
const BUFFERS: usize = 16;
const CLIENTS: usize = 32;
const ROUNDS: usize = 100;
/// How long a client may have to wait for a buffer, and how long it may take to accept an answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Echoes until the client is gone. While it is silent, its connection holds a socket and a task, and no buffer.
async fn serve(mut socket: TcpStream, pool: BufferPool) -> io::Result<()> {
    socket.set_nodelay(true)?;
    loop {
        socket.readable().await?;
        // With the pool's own limit, which it counts.
        let waiting = pool.acquire_async(pool.max_len());
        let mut buf = waiting.within(sleep(PATIENCE)).await?;
        match socket.try_read_buf(&mut buf) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            // Nothing was there after all.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(error) => return Err(error),
        }
        timeout(PATIENCE, socket.write_all(&buf)).await??;
        drop(buf); // back before the next wait
        // A client that has sent many requests in advance would otherwise keep this thread to itself.
        yield_now().await;
    }
}

async fn listen(listener: TcpListener, pool: BufferPool) {
    loop {
        let (socket, peer) = accept(&listener).await;
        let pool = pool.clone();
        tokio::spawn(async move {
            if let Err(error) = serve(socket, pool).await {
                eprintln!("{peer}: {error}");
            }
        });
    }
}

/// Sends messages, and checks that each comes back as it was.
async fn play(address: std::net::SocketAddr, id: usize) -> io::Result<()> {
    let mut socket = TcpStream::connect(address).await?;
    for round in 0..ROUNDS {
        let sent = format!("player {id}, round {round}");
        socket.write_all(sent.as_bytes()).await?;
        let mut answer = vec![0; sent.len()];
        socket.read_exact(&mut answer).await?;
        if answer != sent.as_bytes() {
            return Err(io::Error::other("another answer than was sent"));
        }
    }
    Ok(())
}

/// Serves at `address`; answers each line on standard input with the pool's figures, until that ends.
async fn serve_at(address: &str, pool: BufferPool) -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    println!("serving on {address}, until standard input ends");
    tokio::spawn(listen(listener, pool.clone()));
    let answer_lines = move || {
        for _ in io::stdin().lines().map_while(Result::ok) {
            let stats = pool.stats();
            println!(
                "in use {}, max {}, high water {}, acquired {}",
                stats.in_use, stats.max, stats.high_water, stats.acquired
            );
        }
    };
    Ok(tokio::task::spawn_blocking(answer_lines).await?)
}

/// Serves clients of its own until they have played all rounds.
async fn serve_players(pool: BufferPool) -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(listen(listener, pool));
    let clients: Vec<_> = (0..CLIENTS).map(|id| tokio::spawn(play(address, id))).collect();
    for client in clients {
        client.await??;
    }
    let messages = CLIENTS * ROUNDS;
    println!("{CLIENTS} clients, {messages} messages, {BUFFERS} buffers");
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let config = PoolConfig::new(8192).max(BUFFERS).name("echo");
    let pool = BufferPool::with_config(config)?;
    let runtime = Builder::new_current_thread().enable_all().build()?;
    match std::env::args().nth(1) {
        Some(address) => runtime.block_on(serve_at(&address, pool.clone()))?,
        None => runtime.block_on(serve_players(pool.clone()))?,
    }
    // This ends all connections, and so releases their buffers.
    drop(runtime);
    let stats = pool.stats();
    println!("{stats}");
    match stats.in_use {
        0 => Ok(()),
        lost => Err(format!("{lost} buffers did not come back").into()),
    }
}
