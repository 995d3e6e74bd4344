//! How many instructions one acquire, one written byte and one drop take, counted by valgrind's callgrind. And how
//! many it takes to acquire 32 buffers into a `Vec`, one by one and at once.
//! Times on a shared machine are noise; counts repeat exactly, so a regression of the hot path shows here
//! first. They say nothing about how fast one pool is beside another: an instruction may take a quarter of a
//! cycle or, like a compare-and-swap, twenty.
//!
//! `cargo bench --bench instructions` prints the counts, if there is a valgrind. With `-- --check` it fails when
//! one is more than 10 % off what is expected here. After a change that is meant, or with another compiler, put
//! in the new numbers.

use std::env;
use std::hint::black_box;
use std::process::{Command, ExitCode};

use poolbuf::{
    AlignedPool, BufferPool, LockFreePool, MultiSizeConfig, MultiSizePool, Pool, PoolConfig, PooledBuf, Wipe,
};

/// Instructions for one operation on x86-64, with Rust 1.95: with optimisation at link time, as `cargo bench` has it,
/// and without, as the gate has it to save time. Without it, a pool that is made within the crate, as a tier is, takes
/// and gives back by code that was compiled there, which finds what a thread has for it by a longer way.
const EXPECTED: [(&str, [f64; 2]); 5] = [
    ("BufferPool", [56.0, 59.0]),
    ("BufferPool without magazines", [276.0, 286.0]),
    ("AlignedPool", [56.0, 60.0]),
    ("LockFreePool", [126.0, 131.0]),
    ("MultiSizePool", [91.0, 106.0]),
];
/// As `EXPECTED`, for [`MANY`] buffers into a `Vec`, without their release.
const EXPECTED_OF_MANY: [(&str, [f64; 2]); 2] = [(ONE_BY_ONE, [1446.0, 1459.0]), (AT_ONCE, [673.0, 691.0])];
/// Which of the two numbers counts.
const UNLINKED: bool = option_env!("CARGO_PROFILE_BENCH_LTO").is_some();
const ONE_BY_ONE: &str = "32 of a BufferPool, one by one";
const AT_ONCE: &str = "32 of a BufferPool, at once";
/// How much of what they cost one by one they may cost at once.
const SHARE_AT_ONCE: f64 = 0.5;
/// How far a count may be off, as a share of what is expected.
const TOLERANCE: f64 = 0.1;
/// Set, to a pool's name and a number of operations, in the environment of the process that is counted.
const COUNTED: &str = "POOLBUF_COUNTED";
/// Operations of the two runs whose difference is taken: what a process does besides cancels out.
const OPERATIONS: [u64; 2] = [1_000, 101_000];

const SIZE: usize = 8192;
const BUFFERS: usize = 256;

fn work(pool: &impl Pool, operations: u64) {
    for _ in 0..operations {
        let mut buf = black_box(pool).acquire_for(SIZE).expect("one is free");
        buf.extend_from_slice(&[1]).expect("one byte fits");
        black_box(buf.as_ptr());
    }
}

/// Buffers that are acquired at once.
const MANY: usize = 32;

/// Acquires `MANY` buffers at once. Never inlined, so that what is counted can be told by its name.
#[inline(never)]
fn counted_at_once(pool: &BufferPool) -> Vec<PooledBuf> {
    pool.acquire_many(MANY, SIZE).expect("so many are free")
}

/// As `counted_at_once`, one after the other.
#[inline(never)]
fn counted_one_by_one(pool: &BufferPool) -> Vec<PooledBuf> {
    let mut bufs = Vec::with_capacity(MANY);
    for _ in 0..MANY {
        bufs.push(pool.acquire_for(SIZE).expect("one is free"));
    }
    bufs
}

fn work_on_many(pool: &BufferPool, operations: u64, acquire: fn(&BufferPool) -> Vec<PooledBuf>) {
    for _ in 0..operations {
        drop(acquire(black_box(pool)));
    }
}

/// Does that many operations on the pool of that name.
fn work_on(name: &str, operations: u64) {
    let config = || PoolConfig::new(SIZE).max(BUFFERS).wipe(Wipe::Never);
    let made = "the pool's memory can be reserved";
    match name {
        "BufferPool" => work(&BufferPool::with_config(config()).expect(made), operations),
        "BufferPool without magazines" => work(&BufferPool::with_config(config().magazine(0)).expect(made), operations),
        ONE_BY_ONE | AT_ONCE => {
            let acquire = match name {
                AT_ONCE => counted_at_once,
                _ => counted_one_by_one,
            };
            let pool = BufferPool::with_config(config()).expect(made);
            work_on_many(&pool, operations, acquire);
        }
        "AlignedPool" => work(&AlignedPool::with_config(config()).expect(made), operations),
        "LockFreePool" => work(&LockFreePool::<BUFFERS>::with_config(config()).expect(made), operations),
        "MultiSizePool" => {
            let tier = |size| PoolConfig::new(size).max(BUFFERS).wipe(Wipe::Never);
            let tiers = [64, 512, 2048, SIZE, 32_768].map(tier).into_iter();
            let tiers = tiers.fold(MultiSizeConfig::new(), MultiSizeConfig::tier);
            work(&MultiSizePool::with_config(tiers).expect(made), operations);
        }
        other => unreachable!("no pool is called {other}"),
    }
}

/// Instructions that a process needs which does that many operations; of many buffers, those of the acquires alone.
fn count(name: &str, operations: u64) -> Result<u64, String> {
    let program = env::current_exe().map_err(|error| error.to_string())?;
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
    if EXPECTED_OF_MANY.iter().any(|(many, _)| *many == name) {
        command.arg("--toggle-collect=*counted_*");
    }
    let output = command
        .arg(program)
        .env(COUNTED, format!("{name}:{operations}"))
        .output()
        .map_err(|error| format!("valgrind can't be run ({error}); is it installed?"))?;
    let report = String::from_utf8_lossy(&output.stderr);
    let collected = report
        .lines()
        .find_map(|line| line.split_once("Collected : "))
        .ok_or_else(|| format!("valgrind counted nothing:\n{report}"))?;
    let number = collected.1.trim().parse();
    number.map_err(|error| format!("{}: {error}", collected.1))
}

fn main() -> ExitCode {
    if let Ok(counted) = env::var(COUNTED) {
        let (name, operations) = counted.split_once(':').expect("set by `count`");
        work_on(name, operations.parse().expect("set by `count`"));
        return ExitCode::SUCCESS;
    }
    // As criterion's benches do: `cargo bench -- --test` runs everything once and measures nothing.
    if env::args().any(|argument| argument == "--test") {
        let all = EXPECTED.iter().chain(&EXPECTED_OF_MANY);
        all.for_each(|(name, _)| work_on(name, 1));
        return ExitCode::SUCCESS;
    }
    let check = env::args().any(|argument| argument == "--check");
    match compare() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) if check && cfg!(target_arch = "x86_64") => ExitCode::FAILURE,
        Ok(false) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            match check {
                true => ExitCode::FAILURE,
                false => ExitCode::SUCCESS,
            }
        }
    }
}

/// Prints all counts; whether they are as expected.
fn compare() -> Result<bool, String> {
    println!("| pool | instructions for acquire, write, drop | expected |\n|---|--:|--:|");
    let mut off = false;
    for (name, expected) in EXPECTED {
        off |= is_off(name, expected)?.1;
    }
    println!("\n| many | instructions for the acquires | expected |\n|---|--:|--:|");
    let [(one_by_one, one_is_off), (at_once, other_is_off)] = {
        let [one, other] = EXPECTED_OF_MANY.map(|(name, expected)| is_off(name, expected));
        [one?, other?]
    };
    off |= one_is_off || other_is_off;
    if off {
        eprintln!("a count is more than {:.0} % off", TOLERANCE * 100.0);
    }
    let too_dear = at_once > SHARE_AT_ONCE * one_by_one;
    if too_dear {
        eprintln!("at once they cost more than {SHARE_AT_ONCE} of what they cost one by one");
    }
    Ok(!off && !too_dear)
}

/// Counts and prints one; and whether it is off.
fn is_off(name: &str, expected: [f64; 2]) -> Result<(f64, bool), String> {
    let expected = expected[usize::from(UNLINKED)];
    let [fewer, more] = OPERATIONS.map(|operations| count(name, operations));
    let counted = (more? - fewer?) as f64 / (OPERATIONS[1] - OPERATIONS[0]) as f64;
    println!("| `{name}` | {counted:.1} | {expected:.1} |");
    Ok((counted, (counted / expected - 1.0).abs() > TOLERANCE))
}
