//! Connections in hundreds: more than the server has buffers, and more than it may have descriptors.
#![forbid(unsafe_code)]

use std::io::Write;
use std::thread;
use std::time::{Duration, Instant};

use crate::attacker::{Attacker, reset};
use crate::mutation;
use crate::strategy::Strategy;

/// How long all of them stay, most of the time …
const STAY: Duration = Duration::from_millis(300);
/// … and once in a while.
const LONG_STAY: Duration = Duration::from_secs(2);
/// So many that could not be had one after the other are enough.
const IN_VAIN: usize = 3;

/// A flood of connections that say nothing or, each for itself, something good or bad.
pub(crate) fn flood(attacker: &mut Attacker, strategy: Strategy) {
    let size = attacker.flood as u64;
    let size = size / 2 + attacker.below(size / 2 + 1);
    let mut streams = Vec::new();
    let mut in_vain = 0;
    for _ in 0..size {
        let Some(mut stream) = attacker.connect(strategy) else {
            in_vain += 1;
            if in_vain == IN_VAIN || attacker.is_over() {
                break;
            }
            continue;
        };
        in_vain = 0;
        attacker.count_input(strategy);
        if strategy == Strategy::SendingFlood {
            let writes = mutation::input(&mut attacker.random);
            // An error means that the server has refused it already.
            let _ = writes.iter().try_for_each(|write| stream.write_all(write));
        }
        streams.push(stream);
    }
    let stay = match attacker.below(8) {
        0 => LONG_STAY,
        _ => STAY,
    };
    let end = attacker.until(stay);
    while Instant::now() < end && !attacker.is_over() {
        thread::sleep(Duration::from_millis(5));
    }
    match attacker.below(2) {
        0 => streams.into_iter().for_each(reset),
        _ => drop(streams),
    }
}
