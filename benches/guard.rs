//! What a loan costs where its guard lives in memory, as a multiple of one whose guard stays in registers.
//!
//! A guard that is read in other pieces than it was written in costs a wait for the cache each time: see
//! `src/buf/guard/layout.rs`. That changes no count of instructions, so it shows in a time alone. A ratio of two times
//! that are taken in turns, in one process, repeats well enough to be checked.
//!
//! `cargo bench --bench guard` prints the ratios. With `-- --check` it fails when one is above its limit in each of
//! three attempts. The limits lie about half-way between what was measured with guards as they are now and as they were
//! before, when their fields were of 32 bits and written one by one.

use std::env;
use std::hint::black_box;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use poolbuf::{AcquireError, BufferPool, Pool, PooledBuf};

const SIZE: usize = 8192;
/// Loans in one round.
const LOANS: u32 = 20_000;
/// In each round, every row once.
const ROUNDS: usize = 41;
const ATTEMPTS: usize = 3;

/// Where the guard is, and how many times as long as in registers a loan may take then.
const ROWS: [(&str, f64); 7] = [
    ("in registers", 1.0),
    ("by reference", 2.2),
    ("returned by a function", 3.4),
    ("returned in a `Result` of the caller's, with `?`", 7.0),
    ("`dyn Pool`", 3.6),
    ("written, then moved", 3.0),
    ("in a field of a struct", 3.6),
];

fn write_inlined(buf: &mut PooledBuf) {
    buf.extend_from_slice(&[1]).expect("one byte fits");
    black_box(buf.as_ptr());
}

#[inline(never)]
fn write(buf: &mut PooledBuf) {
    write_inlined(buf);
}

#[inline(never)]
fn acquire(pool: &BufferPool) -> Result<PooledBuf, AcquireError> {
    pool.acquire_for(SIZE)
}

/// An error of the caller's, as programs have them.
enum Failed {
    Pool(#[allow(dead_code)] AcquireError),
}

impl From<AcquireError> for Failed {
    fn from(error: AcquireError) -> Self {
        Failed::Pool(error)
    }
}

#[inline(never)]
fn acquire_and_write(pool: &BufferPool) -> Result<PooledBuf, Failed> {
    let mut buf = acquire(pool)?;
    write(&mut buf);
    Ok(buf)
}

#[inline(never)]
fn release(buf: PooledBuf) {
    black_box(&buf);
}

struct Connection {
    buf: Option<PooledBuf>,
}

impl Connection {
    #[inline(never)]
    fn begin(&mut self, pool: &BufferPool) {
        self.buf = pool.acquire_for(SIZE).ok();
    }

    #[inline(never)]
    fn receive(&mut self) {
        self.buf.iter_mut().for_each(write_inlined);
    }

    #[inline(never)]
    fn end(&mut self) {
        self.buf = None;
    }
}

/// Nanoseconds for each call of `loan`.
fn time(loans: u32, mut loan: impl FnMut()) -> f64 {
    let start = Instant::now();
    for _ in 0..loans {
        loan();
    }
    start.elapsed().as_nanos() as f64 / f64::from(loans)
}

/// The time of a loan, for each of the rows.
fn round(pool: &BufferPool, dynamic: &Arc<dyn Pool>, loans: u32) -> [f64; ROWS.len()] {
    let free = "one is free";
    let mut connection = Connection { buf: None };
    [
        time(loans, || {
            write_inlined(&mut pool.acquire_for(SIZE).expect(free))
        }),
        time(loans, || write(&mut pool.acquire_for(SIZE).expect(free))),
        time(loans, || write(&mut acquire(pool).expect(free))),
        time(loans, || {
            write(&mut acquire_and_write(pool).ok().expect(free))
        }),
        time(loans, || {
            write(&mut black_box(dynamic).acquire_for(SIZE).expect(free))
        }),
        time(loans, || {
            let mut buf = pool.acquire_for(SIZE).expect(free);
            write(&mut buf);
            release(buf);
        }),
        time(loans, || {
            connection.begin(pool);
            connection.receive();
            connection.end();
        }),
    ]
}

/// The lower quartiles of all rounds.
fn measure(pool: &BufferPool, dynamic: &Arc<dyn Pool>) -> [f64; ROWS.len()] {
    let rounds: Vec<_> = (0..ROUNDS).map(|_| round(pool, dynamic, LOANS)).collect();
    std::array::from_fn(|row| {
        let mut times: Vec<_> = rounds.iter().map(|round| round[row]).collect();
        times.sort_by(f64::total_cmp);
        times[ROUNDS / 4]
    })
}

/// Measures and prints; whether all ratios are within their limits.
fn are_within_limits(pool: &BufferPool, dynamic: &Arc<dyn Pool>) -> bool {
    let times = measure(pool, dynamic);
    println!("| the guard is | ns | × in registers | at most |\n|---|--:|--:|--:|");
    let mut within = true;
    for ((name, limit), time) in ROWS.iter().zip(times) {
        let ratio = time / times[0];
        println!("| {name} | {time:.1} | {ratio:.2} | {limit:.2} |");
        within &= ratio <= *limit;
    }
    println!();
    within
}

fn main() -> ExitCode {
    let pool = BufferPool::new(SIZE, 64, 64).expect("the pool's memory can be reserved");
    let dynamic: Arc<dyn Pool> = Arc::new(pool.clone());
    let has = |flag: &str| env::args().any(|argument| argument == flag);
    if has("--test") {
        round(&pool, &dynamic, 1);
        return ExitCode::SUCCESS;
    }
    if !has("--check") {
        are_within_limits(&pool, &dynamic);
        return ExitCode::SUCCESS;
    }
    // Elsewhere the limits are not known.
    let within = (0..ATTEMPTS).any(|_| are_within_limits(&pool, &dynamic));
    match within || !cfg!(target_arch = "x86_64") {
        true => ExitCode::SUCCESS,
        false => {
            eprintln!(
                "a guard in memory costs more than it should: a read spans several younger writes?"
            );
            ExitCode::FAILURE
        }
    }
}
