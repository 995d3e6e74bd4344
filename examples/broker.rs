//! A message broker on tokio: what one client sends goes to all of them, in the same order. A message is received once,
//! into a chain of as many pooled buffers as it needs, which become `Bytes` and are sent to many without a copy; each
//! buffer goes back to the pool when the last of them has it.
//!
//! ```text
//! cargo run --example broker                      clients of its own, for a moment
//! cargo run --example broker -- 127.0.0.1:7000    serves there until standard input ends
//! ```
//!
//! A message is a big-endian `u32`, its length, and so many bytes, at most 1 MiB. When clients read too slowly, their
//! queues fill up, then the pool empties, and then the broker waits instead of reading, so that those who send have to
//! wait too. A client that does not read, or does not finish a message, within 5 seconds is cut off.

#[path = "shared/tokio_accept.rs"]
mod tokio_accept;

use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes};
use poolbuf::{BufferPool, Pool, PoolConfig, PooledChain};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, mpsc};
use tokio::task::{JoinSet, yield_now};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_accept::accept;

const SIZE: usize = 16 * 1024;
/// Enough for four of the longest messages; there are more clients that send some.
const BUFFERS: usize = 256;
const MAX_MESSAGE: usize = 1 << 20;
/// Messages that wait for a client to read them.
const QUEUE: usize = 16;
const PATIENCE: Duration = Duration::from_secs(5);
const CLIENTS: usize = 8;
const MESSAGES: usize = 10;

/// The next message of a client; `None` when it has gone.
async fn receive(socket: &mut OwnedReadHalf, pool: &BufferPool) -> io::Result<Option<PooledChain>> {
    let mut header = [0; 4];
    // For as long as it likes, and without a buffer.
    let first = socket.read(&mut header).await?;
    if first == 0 {
        return Ok(None);
    }
    timeout(PATIENCE, socket.read_exact(&mut header[first..])).await??;
    let len = u32::from_be_bytes(header) as usize;
    if len > MAX_MESSAGE {
        let error = format!("a message of {len} bytes, more than {MAX_MESSAGE}");
        return Err(io::Error::new(ErrorKind::InvalidData, error));
    }
    // All buffers at once: messages that took them one by one could wait for each other for ever.
    let wait = pool.acquire_chain_async(len);
    let mut message = wait.within(sleep(PATIENCE)).await?;
    let deadline = Instant::now() + PATIENCE;
    while message.len() < len {
        // No more than the message: the last buffer may have room for what follows it.
        let missing = len - message.len();
        let mut missing = (&mut message).limit(missing);
        if timeout_at(deadline, socket.read_buf(&mut missing)).await?? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(Some(message))
}

/// The pieces of a message. Clones share them.
type Message = Arc<[Bytes]>;

/// Sends what comes, each message with its length before it, many pieces at once.
async fn write(mut socket: OwnedWriteHalf, mut queue: mpsc::Receiver<Message>) -> io::Result<()> {
    while let Some(message) = queue.recv().await {
        let len: usize = message.iter().map(Bytes::len).sum();
        let header = Bytes::from_owner((len as u32).to_be_bytes());
        let mut pieces: VecDeque<Bytes> = [header].into_iter().chain(message.to_vec()).collect();
        drop(message);
        let deadline = Instant::now() + PATIENCE;
        while !pieces.is_empty() {
            let slices: Vec<_> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
            let mut written = timeout_at(deadline, socket.write_vectored(&slices)).await??;
            while let Some(piece) = pieces.front_mut() {
                let here = written.min(piece.len());
                piece.advance(here);
                written -= here;
                if !piece.is_empty() {
                    break;
                }
                pieces.pop_front(); // its buffer goes back if no other client needs it
            }
        }
    }
    Ok(())
}

/// The queues of all clients. While a message is put into them no other one is, so all have the same order.
type Room = Arc<Mutex<Vec<mpsc::Sender<Message>>>>;

/// Sends everything that a client says to all, until it has gone.
async fn serve(socket: TcpStream, pool: BufferPool, room: Room) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let (mut socket, writer) = socket.into_split();
    let (sender, queue) = mpsc::channel(QUEUE);
    room.lock().await.push(sender.clone());
    let mut writing = tokio::spawn(write(writer, queue));
    let done = async {
        while let Some(message) = receive(&mut socket, &pool).await? {
            let message = Message::from(message.freeze());
            for queue in room.lock().await.iter() {
                // Waits while it is full, until its writer has given up at the latest: it is closed then.
                let _ = queue.send(message.clone()).await;
            }
            yield_now().await;
        }
        Ok(())
    };
    let done = tokio::select! {
        done = done => done,
        written = &mut writing => written?,
    };
    // Ends the writer, when it has sent what is in its queue.
    let mut room = room.lock().await;
    room.retain(|queue| !queue.same_channel(&sender));
    done
}

async fn listen(listener: TcpListener, pool: BufferPool) {
    let room = Room::default();
    loop {
        let (socket, peer) = accept(&listener).await;
        let serving = serve(socket, pool.clone(), Arc::clone(&room));
        tokio::spawn(async move {
            if let Err(error) = serving.await {
                eprintln!("{peer}: {error}");
            }
        });
    }
}

/// Sends messages of many lengths as fast as it can, and returns the first byte of each that it receives.
async fn chat(socket: TcpStream, id: u8) -> io::Result<Vec<u8>> {
    let (mut reader, mut writer) = socket.into_split();
    let sending = tokio::spawn(async move {
        for number in 1..=MESSAGES {
            let len = number.pow(3) * MAX_MESSAGE / MESSAGES.pow(3);
            writer.write_u32(len as u32).await?;
            writer.write_all(&vec![id; len]).await?;
        }
        io::Result::Ok(writer)
    });
    let mut firsts = Vec::new();
    while firsts.len() < CLIENTS * MESSAGES {
        let mut message = vec![0; reader.read_u32().await? as usize];
        reader.read_exact(&mut message).await?;
        if message.len() > 1 {
            assert!(message == vec![message[0]; message.len()]);
            firsts.push(message[0]);
        }
    }
    sending.await??;
    Ok(firsts)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let config = PoolConfig::new(SIZE).max(BUFFERS).name("messages");
    let pool = BufferPool::with_config(config)?;
    let address = std::env::args().nth(1);
    let listener = TcpListener::bind(address.as_deref().unwrap_or("127.0.0.1:0")).await?;
    let server = listener.local_addr()?;
    tokio::spawn(listen(listener, pool.clone()));
    if address.is_some() {
        println!("serving on {server}, until standard input ends");
        tokio::task::spawn_blocking(|| io::copy(&mut io::stdin(), &mut io::sink())).await??;
    } else {
        let mut chats = Vec::new();
        for id in 0..CLIENTS as u8 {
            let mut socket = TcpStream::connect(server).await?;
            // Whoever has a message of its own back is in the room.
            let (hello, mut answer) = ([0, 0, 0, 1, id], [0; 5]);
            socket.write_all(&hello).await?;
            socket.read_exact(&mut answer).await?;
            assert_eq!(answer, hello);
            chats.push(chat(socket, id));
        }
        // They begin when all are there.
        let (mut chats, mut heard) = (JoinSet::from_iter(chats), Vec::new());
        while let Some(chat) = chats.join_next().await {
            heard.push(chat??); // without it the others would wait for its messages
        }
        assert!(heard.iter().all(|firsts| *firsts == heard[0]), "one order");
        println!("{} messages to each of {CLIENTS} clients", heard[0].len());
    }
    println!("{}", pool.stats());
    Ok(())
}
