//! Runs the state machine on bytes chosen at random, and on those that the fuzzer kept.

use std::fs;
use std::path::Path;

use poolbuf_state_machine::{chains, frames, one_thread, several_threads};
use proptest::prelude::*;

proptest! {
    #[test]
    fn pools_do_what_a_model_of_them_does(data in prop::collection::vec(any::<u8>(), 0..2000)) {
        one_thread::run(&data);
    }

    #[test]
    fn requests_that_wait_are_served_as_by_a_model(data in prop::collection::vec(any::<u8>(), 0..2000)) {
        one_thread::run_contended(&data);
    }

    #[test]
    fn a_chain_does_what_a_queue_of_bytes_would(data in prop::collection::vec(any::<u8>(), 0..600)) {
        chains::run(&data);
    }

    #[test]
    fn nothing_is_lost_among_threads(data in prop::collection::vec(any::<u8>(), 0..1500)) {
        several_threads::run(&data);
    }

    #[test]
    fn a_stream_cut_anywhere_has_the_frames_of_the_whole(data in prop::collection::vec(any::<u8>(), 0..1500)) {
        frames::run(&data);
    }
}

/// Calls `run` with each input that the fuzzer kept for `target`.
fn replay(target: &str, run: impl Fn(&[u8])) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fuzz/corpus")
        .join(target);
    let mut inputs = 0;
    for input in fs::read_dir(corpus).unwrap() {
        let path = input.unwrap().path();
        println!("{}", path.display());
        run(&fs::read(path).unwrap());
        inputs += 1;
    }
    assert!(inputs > 0, "there is nothing to replay");
}

#[test]
fn pools_do_what_a_model_of_them_does_on_what_the_fuzzer_kept() {
    replay("operations", one_thread::run);
}

#[test]
fn nothing_is_lost_among_threads_on_what_the_fuzzer_kept() {
    replay("threads", several_threads::run);
}

#[test]
fn a_chain_does_what_a_queue_of_bytes_would_on_what_the_fuzzer_kept() {
    replay("chains", chains::run);
}

#[test]
fn a_stream_cut_anywhere_has_the_frames_of_the_whole_on_what_the_fuzzer_kept() {
    replay("frames", frames::run);
}
