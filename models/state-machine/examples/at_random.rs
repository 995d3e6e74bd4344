//! Runs the state machine on random bytes, for as many seconds as it is told:
//!
//!     cargo run --release -p poolbuf-state-machine --example at_random -- 60 [FIRST_SEED]
//!
//! What fails is made as short as it gets, and then run once more, so that it says what it did.

use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use poolbuf_state_machine::{one_thread, several_threads};

type Target = fn(&[u8]);

/// What is run in turn: that which makes requests wait more often than the others.
const TARGETS: [(&str, Target); 4] = [
    ("contended", one_thread::run_contended),
    ("contended", one_thread::run_contended),
    ("operations", one_thread::run),
    ("threads", several_threads::run),
];

fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut number = |otherwise| arguments.next().map_or(otherwise, |it| it.parse().unwrap());
    let seconds: u64 = number(60);
    let first: u64 = number(0);
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut seed = first;
    panic::set_hook(Box::new(|_| {}));
    poolbuf_state_machine::QUIET.store(true, Ordering::Relaxed);
    while Instant::now() < end {
        let data = bytes(seed);
        let (name, run) = TARGETS[seed as usize % TARGETS.len()];
        if !passes(run, &data) {
            let data = shortest(run, data);
            drop(panic::take_hook());
            poolbuf_state_machine::QUIET.store(false, Ordering::Relaxed);
            eprintln!("{name}, seed {seed}: {data:?}");
            run(&data);
        }
        seed += 1;
    }
    println!("{} runs, from seed {first} on", seed - first);
}

fn passes(run: Target, data: &[u8]) -> bool {
    catch_unwind(AssertUnwindSafe(|| run(data))).is_ok()
}

/// Up to some thousand. (SplitMix64)
fn bytes(seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut next = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    };
    let len = next() % 3000;
    (0..len).map(|_| next() as u8).collect()
}

/// Leaves out what need not be there for it to fail.
fn shortest(run: Target, mut data: Vec<u8>) -> Vec<u8> {
    let mut step = data.len().next_power_of_two();
    while step > 0 {
        let mut at = 0;
        while at < data.len() {
            let mut less = data.clone();
            less.drain(at..(at + step).min(data.len()));
            match passes(run, &less) {
                true => at += step,
                false => data = less,
            }
        }
        step /= 2;
    }
    data
}
