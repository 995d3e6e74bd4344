//! Small messages into large buffers: 64 bytes come over TCP, from this thread to itself, and are received into a
//! buffer of a pool, beside a `Vec` that is kept and so costs nothing but the receive. Each pool's buffers were filled
//! to their ends before, so whatever a receive has to do about what earlier holders left, it has to do here.
//!
//! `cargo bench --bench received`; with `-- --test` for a moment only.

#[path = "common/page.rs"]
mod page;

use std::hint::black_box;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};
use std::{env, thread};

use compio::BufResult;
use compio::io::AsyncRead;
use poolbuf::{BufferPool, Pool, PoolConfig, PooledBuf, Wipe};

/// Bytes of a message.
const MESSAGE: [u8; 64] = [7; 64];
/// Bytes of the buffers.
const SIZES: [usize; 3] = [8 << 10, 64 << 10, 256 << 10];
const BUFFERS: usize = 16;
const ROUNDS: usize = 101;
/// Messages in a round, of each way.
const MESSAGES: usize = 500;
/// Most that a pool's receive may take, as a multiple of that into a `Vec` that is kept.
const TARGET: f64 = 1.05;

/// A way to receive: its name in the table, whether the target is for it, and what receives so many messages.
struct Way<'a> {
    label: &'static str,
    has_target: bool,
    receive: Box<dyn FnMut(usize) -> Duration + 'a>,
}

fn way<'a>(label: &'static str, has_target: bool, receive: impl FnMut(usize) -> Duration + 'a) -> Way<'a> {
    Way {
        label,
        has_target,
        receive: Box::new(receive),
    }
}

/// A pool, each of whose buffers was filled once.
fn pool(size: usize, wipe: Wipe) -> BufferPool {
    let config = PoolConfig::new(size).initial(BUFFERS).max(BUFFERS).wipe(wipe);
    let pool = BufferPool::with_config(config).expect("the pool's memory can be reserved");
    let filled = |_| {
        let mut buf = pool.acquire().expect("one is free");
        buf.resize(size, 1).expect("it is as large");
        buf
    };
    let filled: Vec<_> = (0..BUFFERS).map(filled).collect();
    drop(filled);
    pool
}

fn acquire(pool: &BufferPool) -> PooledBuf {
    pool.acquire().expect("one is free")
}

/// Two ends of a connection.
fn connected() -> io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let client = TcpStream::connect(listener.local_addr()?)?;
    client.set_nodelay(true)?;
    Ok((client, listener.accept()?.0))
}

/// How long `receive` takes for so many messages, each of which is sent before.
fn timed(client: &TcpStream, messages: usize, mut receive: impl FnMut()) -> Duration {
    let mut client = client;
    let start = Instant::now();
    for _ in 0..messages {
        client.write_all(&MESSAGE).expect("the other end is open");
        receive();
    }
    start.elapsed()
}

/// The same, of a receive that waits.
async fn timed_async(client: &TcpStream, messages: usize, mut receive: impl AsyncFnMut()) -> Duration {
    let mut client = client;
    let start = Instant::now();
    for _ in 0..messages {
        client.write_all(&MESSAGE).expect("the other end is open");
        receive().await;
    }
    start.elapsed()
}

fn with_std(size: usize, rounds: usize) -> io::Result<Figures> {
    let (client, socket) = &connected()?;
    let (never, wiped, any) = (
        pool(size, Wipe::Never),
        pool(size, Wipe::OnRelease),
        pool(size, Wipe::Never),
    );
    let mut kept = vec![0; size];
    let read = |vec: &mut [u8]| {
        let mut socket = socket;
        let bytes = socket.read(vec).expect("a message was sent");
        black_box(&vec[..bytes]);
    };
    let read_from = |pool: &BufferPool| {
        let mut buf = acquire(pool);
        let mut socket = socket;
        buf.read_from(&mut socket).expect("a message was sent");
        black_box(&buf[..]);
    };
    measure(
        rounds,
        [
            way("`Vec`, kept", false, |n| timed(client, n, || read(&mut kept))),
            way("`read_from`", true, |n| timed(client, n, || read_from(&never))),
            way("`read_from`, `Wipe::OnRelease`", true, |n| {
                timed(client, n, || read_from(&wiped))
            }),
            way("`read_from_any`", false, |n| {
                timed(client, n, || {
                    let mut buf = acquire(&any);
                    let mut socket = socket;
                    buf.read_from_any(&mut socket).expect("a message was sent");
                    black_box(&buf[..]);
                })
            }),
            way("`vec![0; n]`, each time anew", false, |n| {
                timed(client, n, || read(&mut vec![0; size]))
            }),
        ],
    )
}

fn with_tokio(size: usize, rounds: usize) -> io::Result<Figures> {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_io().build()?;
    let (client, socket) = connected()?;
    socket.set_nonblocking(true)?;
    let socket = {
        let _inside = runtime.enter();
        tokio::net::TcpStream::from_std(socket)?
    };
    let (runtime, client, socket) = (&runtime, &client, &socket);
    let (never, wiped) = (pool(size, Wipe::Never), pool(size, Wipe::OnRelease));
    let mut kept = Vec::with_capacity(size);
    let (readable, failed) = ("the socket is registered", "a message was sent");
    let pooled = |pool: &BufferPool, messages| {
        runtime.block_on(timed_async(client, messages, async || {
            loop {
                socket.readable().await.expect(readable);
                let mut buf = acquire(pool);
                match socket.try_read_buf(&mut buf) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                    received => received.expect(failed),
                };
                black_box(&buf[..]);
                return;
            }
        }))
    };
    let read = async |vec: &mut Vec<u8>| {
        loop {
            socket.readable().await.expect(readable);
            vec.clear();
            match socket.try_read_buf(vec) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                received => received.expect(failed),
            };
            black_box(&vec[..]);
            return;
        }
    };
    measure(
        rounds,
        [
            way("`Vec`, kept", false, |n| {
                runtime.block_on(timed_async(client, n, async || read(&mut kept).await))
            }),
            way("`try_read_buf`", true, |n| pooled(&never, n)),
            way("`try_read_buf`, `Wipe::OnRelease`", true, |n| pooled(&wiped, n)),
            way("`Vec::with_capacity(n)`, each time anew", false, |n| {
                let anew = async || read(&mut Vec::with_capacity(size)).await;
                runtime.block_on(timed_async(client, n, anew))
            }),
        ],
    )
}

fn with_compio(size: usize, rounds: usize) -> io::Result<Figures> {
    let runtime = compio::runtime::Runtime::new()?;
    let (client, socket) = connected()?;
    let socket = runtime.block_on(async { compio::net::TcpStream::from_std(socket) })?;
    let (runtime, client, socket) = (&runtime, &client, &socket);
    let (never, wiped) = (pool(size, Wipe::Never), pool(size, Wipe::OnRelease));
    let failed = "a message was sent";
    let pooled = |pool: &BufferPool, messages| {
        runtime.block_on(timed_async(client, messages, async || {
            let mut socket = socket;
            let BufResult(received, buf) = socket.read(acquire(pool)).await;
            received.expect(failed);
            black_box(&buf[..]);
        }))
    };
    let read = async |vec: Vec<u8>| {
        let mut socket = socket;
        let BufResult(received, vec) = socket.read(vec).await;
        received.expect(failed);
        black_box(&vec[..]);
        vec
    };
    let mut kept = Vec::with_capacity(size);
    measure(
        rounds,
        [
            way("`Vec`, kept", false, |n| {
                runtime.block_on(timed_async(client, n, async || {
                    let mut vec = std::mem::take(&mut kept);
                    vec.clear();
                    kept = read(vec).await;
                }))
            }),
            way("`read`", true, |n| pooled(&never, n)),
            way("`read`, `Wipe::OnRelease`", true, |n| pooled(&wiped, n)),
            way("`Vec::with_capacity(n)`, each time anew", false, |n| {
                let anew = async || drop(read(Vec::with_capacity(size)).await);
                runtime.block_on(timed_async(client, n, anew))
            }),
        ],
    )
}

/// Of each way, in order.
struct Figures {
    ways: Vec<Figure>,
    /// Nanoseconds, of the first way's message.
    unit: f64,
}

struct Figure {
    label: &'static str,
    has_target: bool,
    /// As a multiple of the first way's time.
    ratio: f64,
}

/// All ways in turn, round by round; the median of the rounds' ratios.
fn measure<const N: usize>(rounds: usize, mut ways: [Way<'_>; N]) -> io::Result<Figures> {
    let mut ratios = vec![Vec::new(); N];
    let mut units = Vec::new();
    for round in 0..=rounds {
        let times = ways.each_mut().map(|way| (way.receive)(MESSAGES).as_secs_f64());
        if round == 0 {
            continue; // warms up
        }
        units.push(times[0] * 1e9 / MESSAGES as f64);
        for (ratios, time) in ratios.iter_mut().zip(times) {
            ratios.push(time / times[0]);
        }
    }
    let figure = |(way, ratios): (&Way<'_>, Vec<f64>)| Figure {
        label: way.label,
        has_target: way.has_target,
        ratio: median(ratios),
    };
    Ok(Figures {
        ways: ways.iter().zip(ratios).map(figure).collect(),
        unit: median(units),
    })
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

type Measure = fn(usize, usize) -> io::Result<Figures>;

const READERS: [(&str, Measure); 3] = [("std", with_std), ("tokio", with_tokio), ("compio", with_compio)];

/// One table, and the targets that were missed and the number of all.
fn table(reader: &str, figures: &[Figures]) -> (String, Vec<String>, usize) {
    let mut text = format!("\n**{reader}**\n\n|  |");
    for size in SIZES {
        text.push_str(&format!(" {} KiB |", size >> 10));
    }
    text.push_str("\n|---|--:|--:|--:|\n");
    let (mut missed, mut targets) = (Vec::new(), 0);
    for way in 0..figures[0].ways.len() {
        text.push_str(&format!("| {} |", figures[0].ways[way].label));
        for (figures, size) in figures.iter().zip(SIZES) {
            let Figure {
                label,
                has_target,
                ratio,
            } = figures.ways[way];
            text.push_str(&format!(" {ratio:.2}× |"));
            if has_target {
                targets += 1;
                if ratio > TARGET {
                    missed.push(format!("{reader}, {label}, {} KiB: {ratio:.3}×", size >> 10));
                }
            }
        }
        text.push('\n');
    }
    text.push_str("| 1.00× on this machine |");
    for figures in figures {
        text.push_str(&format!(" {:.1} µs |", figures.unit / 1000.0));
    }
    text.push('\n');
    (text, missed, targets)
}

fn main() -> io::Result<()> {
    let test = env::args().any(|argument| argument == "--test");
    let rounds = if test { 1 } else { ROUNDS };
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let (os, arch) = (env::consts::OS, env::consts::ARCH);
    let mut section = format!(
        "`cargo bench --bench received`, {os}, {arch}, {cores} cores; time as a multiple of that into a `Vec` that is \
         kept (lower is faster), the medians of {rounds} rounds of {MESSAGES} messages each, in turn.\n"
    );
    let (mut missed, mut targets) = (Vec::new(), 0);
    for (reader, measure) in READERS {
        let figures: io::Result<Vec<_>> = SIZES.iter().map(|&size| measure(size, rounds)).collect();
        let (text, misses, wanted) = table(reader, &figures?);
        section.push_str(&text);
        missed.extend(misses);
        targets += wanted;
    }
    section.push_str(&format!(
        "\nThe target of a pool's receive, wiped or not, is at most {TARGET}×; of {targets}, {} are met.",
        targets - missed.len()
    ));
    if !missed.is_empty() {
        section.push_str(&format!(" Missed: {}.", missed.join("; ")));
    }
    section.push('\n');
    println!("{section}");
    if !test {
        if let Err(error) = page::write("docs/BENCHMARKS.md", "received", &section) {
            eprintln!("docs/BENCHMARKS.md was not written: {error}");
        }
    }
    Ok(())
}
