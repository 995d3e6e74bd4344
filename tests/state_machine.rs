//! Arbitrary operations on arbitrary pools by one thread, compared with a model of them after each: beside what
//! `tests/model.rs` does, waiting in the order of arrival, budgets, changes of max, trimming, closing, handles that
//! go before their guards, and guards as `Bytes`. The fuzz targets run the same code.
//!
//! What is done is decoded from bytes. Some are chosen at random here; others are those that the fuzzer kept
//! because they reach code that no other reaches.

#[path = "state_machine/any_pool.rs"]
mod any_pool;
#[path = "state_machine/bell.rs"]
mod bell;
#[path = "state_machine/held.rs"]
mod held;
#[path = "state_machine/model.rs"]
mod model;
#[path = "state_machine/one_thread.rs"]
mod one_thread;
#[path = "state_machine/operation.rs"]
mod operation;
#[path = "state_machine/own_memory.rs"]
mod own_memory;
#[path = "state_machine/setup.rs"]
mod setup;
#[path = "state_machine/several_threads.rs"]
mod several_threads;

use std::fs;
use std::path::Path;

use proptest::prelude::*;

proptest! {
    #[test]
    fn pools_do_what_a_model_of_them_does(data in prop::collection::vec(any::<u8>(), 0..2000)) {
        one_thread::run(&data);
    }

    #[test]
    fn nothing_is_lost_among_threads(data in prop::collection::vec(any::<u8>(), 0..1500)) {
        several_threads::run(&data);
    }
}

/// Calls `run` with each input that the fuzzer kept for `target`.
fn replay(target: &str, run: impl Fn(&[u8])) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(target);
    // It is no part of the published package.
    let Ok(inputs) = fs::read_dir(corpus) else {
        return;
    };
    for input in inputs {
        let path = input.unwrap().path();
        println!("{}", path.display());
        run(&fs::read(path).unwrap());
    }
}

#[test]
fn pools_do_what_a_model_of_them_does_on_what_the_fuzzer_kept() {
    replay("operations", one_thread::run);
}

#[test]
fn nothing_is_lost_among_threads_on_what_the_fuzzer_kept() {
    replay("threads", several_threads::run);
}
