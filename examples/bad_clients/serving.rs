//! A server as a process of its own. It says where it listens, answers each line on its standard input with its
//! figures, and stops when that ends.
#![forbid(unsafe_code)]

use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use poolbuf::{BufferPool, Pool};
use tokio::net::TcpListener;
use tokio::runtime::Builder;

use crate::figures::Figures;
use crate::kind::Kind;
use crate::server::pools::{PoolKind, Pools};
use crate::server::{Server, ServerConfig};
use crate::tokio_server;

/// Most buffers of each of the game server's pools, and of the tokio server's one: fewer than there are clients.
const GAME_BUFFERS: usize = 64;
const TOKIO_BUFFERS: usize = 16;

/// Descriptors that a server may have: fewer than there are clients in a flood, so that it runs out of them.
const DESCRIPTORS: u64 = 400;

/// The game server's time limit: so short that slow clients run into it.
const TIME_LIMIT: Duration = Duration::from_secs(1);

/// Serves until standard input ends, and returns the figures when the server has stopped. The error is a line for
/// the user.
pub(crate) fn serve_as_process(kind: Kind) -> Result<Figures, String> {
    limit_descriptors()?;
    match kind {
        Kind::Game => serve_game(),
        Kind::Tokio => serve_tokio(),
    }
}

fn serve_game() -> Result<Figures, String> {
    let pools = Pools::new(PoolKind::Buffer, GAME_BUFFERS, 0)?;
    let config = ServerConfig {
        address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        workers: 2,
        time_limit: TIME_LIMIT,
        log: Arc::new(|line| drop(writeln!(io::stderr(), "{line}"))),
    };
    let server = Server::start(config, pools.clone())?;
    let figures = || Figures::of(&[pools.recv.stats(), pools.send.stats()]);
    obey(server.address, figures);
    server.stop();
    Ok(figures())
}

fn serve_tokio() -> Result<Figures, String> {
    let pool = BufferPool::new(8192, 0, TOKIO_BUFFERS)
        .map_err(|error| format!("cannot make the pool: {error}"))?;
    let cannot = |error| format!("cannot serve: {error}");
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(cannot)?;
    let (of_server, of_control) = (pool.clone(), pool.clone());
    runtime
        .block_on(async move {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
            let address = listener.local_addr()?;
            tokio::spawn(tokio_server::listen(listener, of_server));
            let control = move || obey(address, || Figures::of(&[of_control.stats()]));
            Ok(tokio::task::spawn_blocking(control).await?)
        })
        .map_err(cannot)?;
    // All connections end with it.
    drop(runtime);
    Ok(Figures::of(&[pool.stats()]))
}

/// Says where the server listens, and its figures whenever asked, until standard input ends: until whoever started
/// this process closes it, or is gone.
pub(crate) fn obey(address: SocketAddr, figures: impl Fn() -> Figures) {
    let say = |line: String| drop(writeln!(io::stdout(), "{line}"));
    say(address.to_string());
    for _ in io::stdin().lines().map_while(Result::ok) {
        say(figures().to_string());
    }
}

/// Makes sure that a flood is one.
pub(crate) fn limit_descriptors() -> Result<(), String> {
    #[cfg(unix)]
    {
        use rlimit::Resource;
        let cannot = |error| format!("cannot lower the limit of file descriptors: {error}");
        let (soft, hard) = Resource::NOFILE.get().map_err(cannot)?;
        let lowered = Resource::NOFILE.set(soft.min(DESCRIPTORS), hard);
        lowered.map_err(cannot)?;
    }
    Ok(())
}
