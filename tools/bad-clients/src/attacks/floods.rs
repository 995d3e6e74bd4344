//! Connections in hundreds: more than the server has buffers, and more than it may have descriptors.
#![forbid(unsafe_code)]

use std::io::Write;
use std::thread;
use std::time::{Duration, Instant};

use super::strategy::Strategy;
use super::{Attacker, reset};
use crate::inputs::mutation;

/// How long all of them stay, most of the time …
const STAY: Duration = Duration::from_millis(300);
/// … and once in a while.
const LONG_STAY: Duration = Duration::from_secs(2);
/// A flood ends after so many connections in a row that could not be made.
const MOST_FAILED: usize = 3;

/// A flood of connections that say nothing or, each for itself, something good or bad.
pub(crate) fn flood(attacker: &mut Attacker, strategy: Strategy) {
    let size = attacker.random.between(attacker.flood / 2, attacker.flood);
    let mut streams = Vec::new();
    let mut failed = 0;
    for _ in 0..size {
        let Some(mut stream) = attacker.connect(strategy) else {
            failed += 1;
            if failed == MOST_FAILED || attacker.is_over() {
                break;
            }
            continue;
        };
        failed = 0;
        attacker.count_input(strategy);
        if strategy == Strategy::SendingFlood {
            let writes = mutation::input(&mut attacker.random);
            // An error means that the server has refused it already.
            let _ = writes.iter().try_for_each(|write| stream.write_all(write));
        }
        streams.push(stream);
    }
    let stay = match attacker.random.once_in(8) {
        true => LONG_STAY,
        false => STAY,
    };
    let end = attacker.until(stay);
    while Instant::now() < end && !attacker.is_over() {
        thread::sleep(Duration::from_millis(5));
    }
    match attacker.random.once_in(2) {
        true => streams.into_iter().for_each(reset),
        false => drop(streams),
    }
}
