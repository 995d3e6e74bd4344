//! What a server does when it cannot accept.
#![forbid(unsafe_code)]

use std::io;
use std::time::Duration;

/// Out of descriptors, or of memory.
#[cfg(unix)]
const LACKS: [i32; 4] = [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM];
/// `WSAEMFILE` and `WSAENOBUFS`.
#[cfg(windows)]
const LACKS: [i32; 2] = [10024, 10055];

/// How long to wait before the next `accept` after this error of one. Not at all, for most of them are about one
/// client, which was gone before it was accepted. But what lacks descriptors or memory fails again at once, and keeps
/// a core busy with that, until a connection is closed.
pub(crate) fn pause_after(error: &io::Error) -> Duration {
    match error.raw_os_error() {
        Some(code) if LACKS.contains(&code) => Duration::from_millis(50),
        _ => Duration::ZERO,
    }
}
