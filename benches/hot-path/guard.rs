//! What a loan costs where its guard lives in memory, as a multiple of one whose guard stays in registers.
//!
//! A guard that is read in other pieces than it was written in costs a wait for the cache each time: see
//! `src/buf/guard/layout.rs`. That changes no count of instructions, so it shows in a time alone. A ratio of two times
//! that are taken in turns, in one process, repeats well enough to be checked.
//!
//! `cargo bench --bench guard` prints the ratios. With `-- --check` it fails when one is above its limit in each of
//! three attempts. The limits lie about half-way between what was measured with guards as they are now and as they were
//! before, when their fields were of 32 bits and written one by one.
//!
//! Then what bounds a `LockFreePool`: a loan beside two compare-and-swaps of one word, one to take a buffer and one to
//! put it back, which a stack behind one word can't do without. The second waits for the first.

use std::env;
use std::hint::black_box;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use poolbuf::{AcquireError, BufferPool, LockFreePool, Pool, PooledBuf};

const SIZE: usize = 8192;
/// Loans in one round.
const LOANS: u32 = 20_000;
/// In each round, every row once.
const ROUNDS: usize = 41;
const ATTEMPTS: usize = 3;

/// Where the guard is, and how many times as long as in registers a loan may take then.
const ROWS: [(&str, f64); 8] = [
    ("in registers", 1.0),
    ("by reference", 2.2),
    ("returned by a function", 3.4),
    ("returned in a `Result` of the caller's, with `?`", 7.0),
    ("`dyn Pool`", 3.6),
    ("written, then moved", 3.0),
    ("in a field of a struct", 3.6),
    // Printed and not checked: a write that lies across two pages is dear by itself. One place in 256 is such.
    ("in a field, across two pages", f64::INFINITY),
];

/// How many times as long as two compare-and-swaps of one word a loan of a lock-free pool may take.
const LOCK_FREE_LIMIT: f64 = 1.6;

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

/// At the start of a page, so that none of its pairs of words lies across two.
#[repr(C, align(4096))]
struct InOnePage(Connection);

/// The first pair begins 8 bytes before the end of a page.
#[repr(C, align(4096))]
struct AcrossTwoPages([u64; 511], Connection);

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

    fn serve(&mut self, pool: &BufferPool) {
        self.begin(pool);
        self.receive();
        self.end();
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
    let mut in_one = InOnePage(Connection { buf: None });
    let mut across_two = AcrossTwoPages([0; 511], Connection { buf: None });
    [
        time(loans, || write_inlined(&mut pool.acquire_for(SIZE).expect(free))),
        time(loans, || write(&mut pool.acquire_for(SIZE).expect(free))),
        time(loans, || write(&mut acquire(pool).expect(free))),
        time(loans, || write(&mut acquire_and_write(pool).ok().expect(free))),
        time(loans, || write(&mut black_box(dynamic).acquire_for(SIZE).expect(free))),
        time(loans, || {
            let mut buf = pool.acquire_for(SIZE).expect(free);
            write(&mut buf);
            release(buf);
        }),
        time(loans, || in_one.0.serve(pool)),
        time(loans, || across_two.1.serve(pool)),
    ]
}

#[inline(never)]
fn count_up(word: &AtomicU64) {
    let before = word.load(Ordering::Acquire);
    // Nobody else counts.
    let _ = word.compare_exchange(before, before + 1, Ordering::Release, Ordering::Acquire);
}

/// The times of a loan of a lock-free pool, by reference, and of two compare-and-swaps of one word.
fn lock_free_round(pool: &LockFreePool<64>, word: &AtomicU64, loans: u32) -> [f64; 2] {
    [
        time(loans, || write(&mut pool.acquire_for(SIZE).expect("one is free"))),
        time(loans, || {
            count_up(word);
            count_up(word);
        }),
    ]
}

/// The lower quartiles of all rounds.
fn measure<const N: usize>(round: impl Fn() -> [f64; N]) -> [f64; N] {
    let rounds: Vec<_> = (0..ROUNDS).map(|_| round()).collect();
    std::array::from_fn(|row| {
        let mut times: Vec<_> = rounds.iter().map(|round| round[row]).collect();
        times.sort_by(f64::total_cmp);
        times[ROUNDS / 4]
    })
}

/// Measures and prints; whether all ratios are within their limits.
fn are_within_limits(pool: &BufferPool, dynamic: &Arc<dyn Pool>) -> bool {
    let times = measure(|| round(pool, dynamic, LOANS));
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

/// As `are_within_limits`, of a lock-free pool.
fn is_near_its_bound(pool: &LockFreePool<64>) -> bool {
    let word = AtomicU64::new(0);
    let [loan, two] = measure(|| lock_free_round(pool, &word, LOANS));
    let ratio = loan / two;
    println!(
        "| `LockFreePool`, by reference | two compare-and-swaps of one word | × | at most |\n|--:|--:|--:|--:|\n\
         | {loan:.1} ns | {two:.1} ns | {ratio:.2} | {LOCK_FREE_LIMIT:.2} |\n"
    );
    ratio <= LOCK_FREE_LIMIT
}

fn main() -> ExitCode {
    let pool = BufferPool::new(SIZE, 64, 64).expect("the pool's memory can be reserved");
    let dynamic: Arc<dyn Pool> = Arc::new(pool.clone());
    let lock_free = LockFreePool::<64>::new(SIZE).expect("the pool's memory can be reserved");
    let has = |flag: &str| env::args().any(|argument| argument == flag);
    if has("--test") {
        round(&pool, &dynamic, 1);
        lock_free_round(&lock_free, &AtomicU64::new(0), 1);
        return ExitCode::SUCCESS;
    }
    if !has("--check") {
        are_within_limits(&pool, &dynamic);
        is_near_its_bound(&lock_free);
        return ExitCode::SUCCESS;
    }
    // Elsewhere the limits are not known.
    let within = (0..ATTEMPTS).any(|_| are_within_limits(&pool, &dynamic))
        && (0..ATTEMPTS).any(|_| is_near_its_bound(&lock_free));
    match within || !cfg!(target_arch = "x86_64") {
        true => ExitCode::SUCCESS,
        false => {
            eprintln!(
                "a guard in memory costs more than it should: a read spans several younger writes? Or the lock-free \
                 pool's fast path does more than it must"
            );
            ExitCode::FAILURE
        }
    }
}
