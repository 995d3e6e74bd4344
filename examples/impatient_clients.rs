//! Clients that give up while their requests wait for a buffer. To a server that rents late they look alive, since
//! their requests lie unread in their sockets, and each would be served in turn before whoever comes now. So when its
//! turn has come, a request is looked at once more: has its client hung up, no work is done for it.
//!
//! ```text
//! cargo run --example impatient_clients
//! ```

use std::cell::Cell;
use std::error::Error;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use poolbuf::{BufferPool, Pool};
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;
use tokio::task::{LocalSet, spawn_local, yield_now};
use tokio::time::sleep;

const GIVE_UP: usize = 200;
const PATIENCE: Duration = Duration::from_secs(10);

/// Whether the client has closed its side. Not for protocols whose clients may end what they send and go on reading.
async fn has_hung_up(client: &TcpStream) -> io::Result<bool> {
    // At once: there is something to read, if only the end.
    Ok(client.ready(Interest::READABLE).await?.is_read_closed())
}

/// Answers one request.
async fn serve(mut client: TcpStream, pool: BufferPool, answered: Rc<Cell<usize>>) -> io::Result<()> {
    client.readable().await?;
    let waiting = pool.acquire_async(pool.max_len());
    let mut buf = waiting.within(sleep(PATIENCE)).await?;
    if has_hung_up(&client).await? {
        return Ok(());
    }
    client.read_buf(&mut buf).await?;
    // What a request costs, with its buffer held.
    sleep(Duration::from_millis(5)).await;
    answered.set(answered.get() + 1);
    client.write_all(&buf).await
}

async fn run() -> Result<(), Box<dyn Error>> {
    let pool = BufferPool::new(1024, 1, 1)?;
    let answered = Rc::new(Cell::new(0));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let only = pool.acquire()?;
    let request = async || {
        let mut client = TcpStream::connect(listener.local_addr()?).await?;
        client.write_all(b"request").await?;
        let (socket, _) = listener.accept().await?;
        spawn_local(serve(socket, pool.clone(), Rc::clone(&answered)));
        Ok::<_, io::Error>(client)
    };
    for _ in 0..GIVE_UP {
        // This hangs up.
        drop(request().await?);
    }
    let mut client = request().await?;
    while pool.stats().waiting <= GIVE_UP {
        yield_now().await;
    }
    drop(only);
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).await?;
    println!(
        "{GIVE_UP} had hung up; answered: {}, {} bytes",
        answered.get(),
        answer.len()
    );
    match (answered.get(), &answer[..]) {
        (1, b"request") => Ok(()),
        _ => Err("work was done for clients that had gone".into()),
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, run())
}
