//! The whole pool registered with io_uring as one fixed buffer (`IORING_REGISTER_BUFFERS` with a single iovec): the
//! kernel pins and maps it once, and every read and write names `buf_index` 0 and the address of a guard's own bytes.
//!
//! ```text
//! cargo run --example io_uring_registered
//! ```
//!
//! Where io_uring is not to be had, as in many containers, it says so and ends.

#[cfg(target_os = "linux")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    linux::main()
}

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("io_uring is Linux only");
}

#[cfg(target_os = "linux")]
mod linux {
    use std::io;
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;

    use io_uring::{IoUring, opcode, squeue, types};
    use poolbuf::{AlignedPool, Pool, PoolConfig, PooledBuf};

    const SIZE: usize = 4096;
    const BUFFERS: usize = 16;
    const ROUNDS: u32 = 1000;

    /// The ring comes before the pool: fields are dropped in this order, and the registration has to end before the
    /// memory goes.
    struct Server {
        ring: IoUring,
        pool: AlignedPool,
    }

    impl Server {
        fn new() -> Result<Server, Box<dyn std::error::Error>> {
            let config = PoolConfig::new(SIZE).max(BUFFERS).alignment(4096);
            let pool = AlignedPool::with_config(config.name("registered"))?;
            let region = pool.region();
            let ring = IoUring::new(8)?;
            let whole = [libc::iovec {
                iov_base: region.as_ptr().cast(),
                iov_len: region.len(),
            }];
            // SAFETY: the region lies at the same place for as long as the pool, which outlives the ring (see the
            // type), and nobody trims it.
            unsafe { ring.submitter().register_buffers(&whole)? };
            Ok(Server { ring, pool })
        }

        /// Reads once into a fresh buffer.
        fn receive(&mut self, socket: &UnixStream) -> Result<PooledBuf, Box<dyn std::error::Error>> {
            let mut buf = self.pool.acquire()?;
            // SAFETY: it goes to the kernel, which writes bytes.
            let spare = unsafe { buf.spare_capacity_mut() };
            let (start, len) = (spare.as_mut_ptr().cast(), spare.len() as u32);
            let read = opcode::ReadFixed::new(types::Fd(socket.as_raw_fd()), start, len, 0);
            // SAFETY: `start` and `len` are the guard's own bytes, inside the registered region, and the guard is
            // held until `complete` returns, when the kernel is done with them.
            let received = unsafe { self.complete(&read.build()) }?;
            // SAFETY: the kernel has written that many.
            unsafe { buf.set_len(received) };
            Ok(buf)
        }

        /// Writes what the buffer holds.
        fn send(&mut self, socket: &UnixStream, buf: &PooledBuf) -> io::Result<usize> {
            let (start, len) = (buf.as_ptr(), buf.len() as u32);
            let write = opcode::WriteFixed::new(types::Fd(socket.as_raw_fd()), start, len, 0);
            // SAFETY: as in `receive`.
            unsafe { self.complete(&write.build()) }
        }

        /// Submits one operation and waits for its result.
        ///
        /// # Safety
        ///
        /// What it refers to stays valid until this returns.
        unsafe fn complete(&mut self, entry: &squeue::Entry) -> io::Result<usize> {
            // SAFETY: passed on; nothing else is in flight, so there is room, and it is over when this returns.
            unsafe { self.ring.submission().push(entry) }.map_err(io::Error::other)?;
            loop {
                match self.ring.submit_and_wait(1) {
                    Ok(_) => break,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    // The kernel may still be at it: not even unwinding would be safe.
                    Err(_) => std::process::abort(),
                }
            }
            let result = self.ring.completion().next().map(|entry| entry.result());
            match result {
                Some(result) if result >= 0 => Ok(result as usize),
                Some(error) => Err(io::Error::from_raw_os_error(-error)),
                None => std::process::abort(),
            }
        }
    }

    pub(super) fn main() -> Result<(), Box<dyn std::error::Error>> {
        let mut server = match Server::new() {
            Ok(server) => server,
            Err(error) => {
                println!("io_uring, or registering memory with it, is not to be had here: {error}");
                return Ok(());
            }
        };
        let (client, socket) = UnixStream::pair()?;
        for round in 0..ROUNDS {
            let message = round.to_le_bytes();
            io::Write::write_all(&mut &client, &message)?;
            let buf = server.receive(&socket)?;
            assert_eq!(buf[..], message);
            assert_eq!(server.send(&socket, &buf)?, message.len());
            let mut answer = [0; 4];
            io::Read::read_exact(&mut &client, &mut answer)?;
            assert_eq!(answer, message);
        }
        println!("{ROUNDS} messages through registered buffers");
        println!("{}", server.pool.stats());
        Ok(())
    }
}
