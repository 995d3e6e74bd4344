//! Accepting on tokio.
#![forbid(unsafe_code)]

#[path = "accept.rs"]
mod accept;

use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

/// The next client. That one was gone before it was accepted, or that there are too many of them for the descriptors
/// that a process may have, is no reason to turn all others away.
pub(crate) async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) => {
                eprintln!("cannot accept: {error}");
                sleep(accept::pause_after(&error)).await;
            }
        }
    }
}
