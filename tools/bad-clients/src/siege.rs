//! Whether a client can hold a buffer for ever: as many as the server has buffers try, and do not go away, until the
//! good player is served or has waited long enough.
//!
//! It cannot hold all that a server without time limits would lend: a kernel lets a little through, once in a while,
//! to a client that does not read, and an answer may so come to its end.
#![forbid(unsafe_code)]

use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use poolbuf_support::random::Random;

use crate::attacks::open;
use crate::attacks::slow::{PAUSE, RECEIVE, Reader};
use crate::good_player::GoodPlayer;
use crate::inputs::mutation::frame;

/// After so many looks at which none of them could send more, all buffers are held that will be.
const QUIET: usize = 60;
/// How long they have for that.
const PREPARE: Duration = Duration::from_secs(3);

/// Lets `clients` send requests whose answers they never read, and half as many begin a frame that never ends;
/// returns the longest that the good player waits for an answer meanwhile. The error says that it has none within
/// `limit` when all of them are there.
pub(crate) fn waits(
    server: SocketAddr,
    clients: usize,
    limit: Duration,
    random: &mut Random,
) -> Result<Duration, String> {
    let request = frame(random);
    let requests = request.repeat(64 * 1024 / request.len() + 1);
    // One that does not get through leaves the others.
    let mut readers: Vec<_> = (0..clients).filter_map(|_| come(server).ok()).collect();
    let mut writers: Vec<_> = (0..clients / 2).filter_map(|_| open(server, None).ok()).collect();
    for writer in &mut writers {
        // The header of a frame of 64 bytes, and one of them.
        let _ = writer.write_all(&[64, 0, 0, 0, 1]);
    }

    let over = AtomicBool::new(false);
    let complete = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let (start, mut quiet) = (Instant::now(), 0);
            while !over.load(Ordering::Relaxed) {
                let before: usize = readers.iter().map(|reader| reader.sent).sum();
                readers.retain_mut(|reader| {
                    if reader.send(&requests, request.len()).is_ok() {
                        return true;
                    }
                    // One that is turned away before it holds a buffer comes again, but not when all should be there.
                    let again = !complete.load(Ordering::Relaxed);
                    again && come(server).map(|new| *reader = new).is_ok()
                });
                let after: usize = readers.iter().map(|reader| reader.sent).sum();
                quiet = if after != before { 0 } else { quiet + 1 };
                if quiet >= QUIET || start.elapsed() >= PREPARE {
                    complete.store(true, Ordering::Relaxed);
                }
                thread::sleep(PAUSE);
            }
        });
        let mut player = GoodPlayer::new(server, random.next());
        player.play(&|| complete.load(Ordering::Relaxed), &|_| {});
        let served = player.try_size(64, limit);
        over.store(true, Ordering::Relaxed);
        served.map(|()| player.played.longest_wait)
    })
}

fn come(server: SocketAddr) -> io::Result<Reader> {
    let stream = open(server, Some(RECEIVE))?;
    stream.set_nonblocking(true)?;
    Ok(Reader::new(stream))
}
