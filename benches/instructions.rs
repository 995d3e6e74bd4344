//! How many instructions one acquire, one written byte and one drop take, counted by valgrind's callgrind.
//! Times on a shared machine are noise; counts repeat exactly, so a regression of the hot path shows here
//! first. They say nothing about how fast one pool is beside another: an instruction may take a quarter of a
//! cycle or, like a compare-and-swap, twenty.
//!
//! `cargo bench --bench instructions` prints the counts, if there is a valgrind. With `-- --check` it fails when
//! one is more than 15 % off what is expected here. After a change that is meant, or with another compiler, put
//! in the new numbers.

use std::env;
use std::hint::black_box;
use std::process::{Command, ExitCode};

use poolbuf::{
    AlignedPool, BufferPool, LockFreePool, MultiSizeConfig, MultiSizePool, Pool, PoolConfig, Wipe,
};

/// Instructions for one operation on x86-64, with Rust 1.95.
const EXPECTED: [(&str, f64); 5] = [
    ("BufferPool", 50.0),
    ("BufferPool without magazines", 280.0),
    ("AlignedPool", 51.0),
    ("LockFreePool", 128.0),
    ("MultiSizePool", 95.0),
];
/// How far a count may be off, as a share of what is expected.
const TOLERANCE: f64 = 0.15;
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

/// Does that many operations on the pool of that name.
fn work_on(name: &str, operations: u64) {
    let config = || PoolConfig::new(SIZE).max(BUFFERS).wipe(Wipe::Never);
    let made = "the pool's memory can be reserved";
    match name {
        "BufferPool" => work(&BufferPool::with_config(config()).expect(made), operations),
        "BufferPool without magazines" => work(
            &BufferPool::with_config(config().magazine(0)).expect(made),
            operations,
        ),
        "AlignedPool" => work(&AlignedPool::with_config(config()).expect(made), operations),
        "LockFreePool" => work(
            &LockFreePool::<BUFFERS>::with_config(config()).expect(made),
            operations,
        ),
        "MultiSizePool" => {
            let tier = |size| PoolConfig::new(size).max(BUFFERS).wipe(Wipe::Never);
            let tiers = [64, 512, 2048, SIZE, 32_768].map(tier).into_iter();
            let tiers = tiers.fold(MultiSizeConfig::new(), MultiSizeConfig::tier);
            work(&MultiSizePool::with_config(tiers).expect(made), operations);
        }
        other => unreachable!("no pool is called {other}"),
    }
}

/// Instructions that a process needs which does that many operations.
fn count(name: &str, operations: u64) -> Result<u64, String> {
    let program = env::current_exe().map_err(|error| error.to_string())?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
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
        EXPECTED.iter().for_each(|(name, _)| work_on(name, 1));
        return ExitCode::SUCCESS;
    }
    let check = env::args().any(|argument| argument == "--check");
    let mut off = false;
    println!("| pool | instructions for acquire, write, drop | expected |\n|---|--:|--:|");
    for (name, expected) in EXPECTED {
        let counts = OPERATIONS.map(|operations| count(name, operations));
        let [fewer, more] = match counts {
            [Ok(fewer), Ok(more)] => [fewer, more],
            [Err(error), _] | [_, Err(error)] => {
                eprintln!("{error}");
                return if check {
                    ExitCode::FAILURE
                } else {
                    ExitCode::SUCCESS
                };
            }
        };
        let counted = (more - fewer) as f64 / (OPERATIONS[1] - OPERATIONS[0]) as f64;
        println!("| `{name}` | {counted:.1} | {expected:.1} |");
        off |= (counted / expected - 1.0).abs() > TOLERANCE;
    }
    if off {
        eprintln!("a count is more than {:.0} % off", TOLERANCE * 100.0);
        if check && cfg!(target_arch = "x86_64") {
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
