//! A log of fixed-size records, written and read without the page cache (`O_DIRECT`): the disk reads from and writes to
//! the buffers of an `AlignedPool` themselves. One thread fills buffers, another writes them, and the pool is the queue
//! between them: when the disk falls behind, no buffer is free. Elsewhere than on Linux, and where a file system
//! refuses direct I/O, it goes through the cache.
//!
//! ```text
//! cargo run --example direct_io                 a temporary file, which is removed
//! cargo run --example direct_io -- measured.log     leaves the file there
//! ```
//!
//! A buffer's bytes are seen as records, and written as such, without a copy, by `bytemuck`: they lie on a 4,096-byte
//! boundary, so on that of a record too.
#![forbid(unsafe_code)]

use std::error::Error;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use bytemuck::{Pod, Zeroable};
use poolbuf::{AlignedPool, Pool, PoolConfig, PooledBuf};

/// What direct I/O wants addresses, lengths and positions to be multiples of: 4,096 is enough for any disk.
const BLOCK: usize = 4096;
/// Bytes of a buffer.
const SIZE: usize = 16 * BLOCK;
const BUFFERS: usize = 8;
const RECORDS: u64 = 1_000_000;
/// The disk is at fault if no buffer is written for longer.
const PATIENCE: Duration = Duration::from_secs(30);

/// A measured value, in the byte order of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
struct Record {
    number: u64,
    value: f64,
}

impl Record {
    fn new(number: u64) -> Record {
        let value = (number as f64).sqrt();
        Record { number, value }
    }
}

/// Opens `path` for direct I/O, if the system has it and lets us; `true` if so.
fn open(path: &Path, options: &OpenOptions) -> io::Result<(File, bool)> {
    #[cfg(target_os = "linux")]
    {
        use std::os::unix::fs::OpenOptionsExt;

        let direct = options.clone().custom_flags(libc::O_DIRECT).open(path);
        match direct {
            Ok(file) => return Ok((file, true)),
            // The file system can't.
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {}
            Err(error) => return Err(error),
        }
    }
    Ok((options.open(path)?, false))
}

/// Fills buffers with records and hands them on to be written.
fn measure(pool: &AlignedPool, full: &mpsc::Sender<PooledBuf>) -> Result<(), Box<dyn Error>> {
    let mut next = 0;
    while next < RECORDS {
        let mut buf = pool.acquire_timeout(SIZE, PATIENCE)?;
        let left = usize::try_from(RECORDS - next)?;
        let count = left.min(SIZE / size_of::<Record>());
        buf.resize(count * size_of::<Record>(), 0)?;
        for record in bytemuck::cast_slice_mut(buf.as_mut_slice()) {
            *record = Record::new(next);
            next += 1;
        }
        full.send(buf)?;
    }
    Ok(())
}

/// Writes what comes, in whole blocks, and cuts the file to its length in the end. Each buffer goes back when it is
/// written, on this thread.
fn write(mut file: &File, full: &Receiver<PooledBuf>) -> io::Result<u64> {
    let mut len = 0;
    for mut buf in full {
        len += buf.len() as u64;
        let padded = buf.len().next_multiple_of(BLOCK);
        buf.resize(padded, 0)?;
        file.write_all(&buf)?;
    }
    file.set_len(len)?;
    file.sync_all()?;
    Ok(len)
}

/// Reads the file and compares all of it; returns how many records there are.
fn check(mut file: &File, pool: &AlignedPool) -> Result<u64, Box<dyn Error>> {
    let mut next = 0;
    loop {
        let mut buf = pool.acquire()?;
        // Into an empty buffer each time, so that it begins on a block. Short at the file's end only.
        if buf.read_from(&mut file)? == 0 {
            return Ok(next);
        }
        let records = bytemuck::try_cast_slice::<u8, Record>(&buf);
        for record in records.map_err(|error| error.to_string())? {
            if *record != Record::new(next) {
                return Err(format!("{record:?} where record {next} should be").into());
            }
            next += 1;
        }
    }
}

/// A file that is removed in the end.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        // An error means that it is gone already.
        let _ = std::fs::remove_file(&self.0);
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let (path, _scratch) = match std::env::args_os().nth(1) {
        Some(path) => (PathBuf::from(path), None),
        None => {
            // Where the program is: what is there for temporary files is often kept in memory.
            let name = format!("direct-io-{}.log", std::process::id());
            let path = std::env::current_exe()?.with_file_name(name);
            (path.clone(), Some(Scratch(path)))
        }
    };
    let config = PoolConfig::new(SIZE).max(BUFFERS).alignment(BLOCK);
    let pool = AlignedPool::with_config(config.name("blocks"))?;

    let (file, direct) = open(&path, OpenOptions::new().write(true).create(true).truncate(true))?;
    let (sender, full) = mpsc::channel();
    let bytes = thread::scope(|scope| -> Result<u64, Box<dyn Error>> {
        let writer = scope.spawn(|| {
            let full = full; // dropped if writing fails, which ends the measuring
            write(&file, &full)
        });
        let measured = measure(&pool, &sender);
        drop(sender);
        // Why nothing more was written, if so, says more than that it could not be handed on.
        let bytes = writer.join().expect("the writer does not panic")?;
        measured.map(|()| bytes)
    })?;
    drop(file);

    let (file, _) = open(&path, OpenOptions::new().read(true))?;
    assert_eq!(check(&file, &pool)?, RECORDS);
    let way = if direct { "directly" } else { "through the page cache" };
    println!("{RECORDS} records, {bytes} bytes, {way}, by {BUFFERS} buffers");
    println!("{}", pool.stats());
    assert_eq!(pool.stats().in_use, 0);
    Ok(())
}
