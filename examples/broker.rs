//! A message broker on tokio: what one client sends goes to all of them, in the same order. A message is received once,
//! into a pooled buffer, which becomes `Bytes` and is sent to many without a copy; it goes back to the pool when the
//! last of them has it.
//!
//! ```text
//! cargo run --example broker                      clients of its own, for a moment
//! cargo run --example broker -- 127.0.0.1:7000    serves there until standard input ends
//! ```
//!
//! A message is a big-endian `u32`, its length, and so many bytes, at most 16 KiB. When clients read too slowly, their
//! queues fill up, then the pool empties, and then the broker waits instead of reading, so that those who send have to
//! wait too. A client that does not read, or does not finish a message, within 5 seconds is cut off.

#[path = "shared/tokio_accept.rs"]
mod tokio_accept;

use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes};
use poolbuf::frames::{CARRIED, Frames, LengthPrefix, ReceiveError};
use poolbuf::{AcquireError, MultiSizeConfig, MultiSizePool, Pool, PoolConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, mpsc};
use tokio::task::{JoinSet, yield_now};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_accept::accept;

const MAX_MESSAGE: usize = 16 * 1024;
/// Messages that wait for a client to read them.
const QUEUE: usize = 16;
const PATIENCE: Duration = Duration::from_secs(5);
const CLIENTS: usize = 8;
const MESSAGES: usize = 100;

/// The messages of a client: an async reader of frames over a pool.
struct Messages {
    socket: OwnedReadHalf,
    pool: MultiSizePool,
    frames: Frames<LengthPrefix>,
}

impl Messages {
    /// The next one; `None` when the client has gone.
    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        let mut deadline = None;
        loop {
            match self.frames.next_owned(&self.pool) {
                Ok(Some(message)) => return Ok(Some(message.freeze())),
                Ok(None) => {}
                // One of several short ones that came at once: carried without a buffer, so it can wait for one.
                Err(ReceiveError::Acquire(AcquireError::Exhausted { .. })) => {
                    let wait = self.pool.acquire_async(CARRIED);
                    let mut copy = wait.within(sleep(PATIENCE)).await?;
                    copy.extend_from_slice(self.frames.next_frame()?.unwrap_or_default())?;
                    return Ok(Some(copy.freeze()));
                }
                Err(error) => return Err(error.into()),
            }
            let (received, expected) = (self.frames.rest().len(), self.frames.expected());
            if received == 0 {
                self.socket.readable().await?; // for as long as it likes, and without a buffer
            } else {
                let deadline = *deadline.get_or_insert(Instant::now() + PATIENCE);
                timeout_at(deadline, self.socket.readable()).await??;
            }
            let buf = timeout(PATIENCE, self.frames.acquire_async(&self.pool)).await??;
            // No more than the message, so that nothing behind it has to be copied out of its buffer.
            let missing = expected.unwrap_or(CARRIED) - received;
            match self.socket.try_read_buf(&mut buf.limit(missing)) {
                Ok(0) if received == 0 => return Ok(None),
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                received => drop(received?),
            }
        }
    }
}

/// Sends what comes, each message with its length before it.
async fn write(mut socket: OwnedWriteHalf, mut queue: mpsc::Receiver<Bytes>) -> io::Result<()> {
    while let Some(message) = queue.recv().await {
        let header = (message.len() as u32).to_be_bytes();
        let mut frame = Buf::chain(&header[..], message);
        timeout(PATIENCE, socket.write_all_buf(&mut frame)).await??;
    }
    Ok(())
}

/// The queues of all clients. While a message is put into them no other one is, so all have the same order.
type Room = Arc<Mutex<Vec<mpsc::Sender<Bytes>>>>;

/// Sends everything that a client says to all, until it has gone.
async fn serve(socket: TcpStream, pool: MultiSizePool, room: Room) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let (socket, writer) = socket.into_split();
    let (sender, queue) = mpsc::channel(QUEUE);
    room.lock().await.push(sender.clone());
    let mut writing = tokio::spawn(write(writer, queue));
    let mut messages = Messages {
        frames: Frames::new(LengthPrefix::u32_be().max(MAX_MESSAGE)).first(CARRIED),
        socket,
        pool,
    };
    let done = async {
        while let Some(message) = messages.next().await? {
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

async fn listen(listener: TcpListener, pool: MultiSizePool) {
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
            let len = number * MAX_MESSAGE / MESSAGES;
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
            assert!(message.iter().all(|byte| *byte == message[0]));
            firsts.push(message[0]);
        }
    }
    sending.await??;
    Ok(firsts)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // For short messages, and for long ones: fewer than there are clients that send some.
    let (short, long) = (PoolConfig::new(128), PoolConfig::new(4 + MAX_MESSAGE));
    let config = MultiSizeConfig::new()
        .tier(short.max(256))
        .tier(long.max(4));
    let pool = MultiSizePool::with_config(config.name("messages"))?;
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
        let heard = JoinSet::from_iter(chats).join_all().await;
        let heard = heard.into_iter().collect::<io::Result<Vec<_>>>()?;
        assert!(heard.iter().all(|firsts| *firsts == heard[0]), "one order");
        println!("{} messages to each of {CLIENTS} clients", heard[0].len());
    }
    println!("{}", pool.stats());
    Ok(())
}
