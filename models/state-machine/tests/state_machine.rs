//! Runs the state machine on bytes chosen at random, and on those that the fuzzer kept.

use poolbuf_state_machine::{chains, corpus, frames, one_thread, several_threads};
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
    for (number, input) in corpus::read(target).unwrap().iter().enumerate() {
        // Shown when it fails.
        println!("line {} of {}", number + 2, corpus::file(target).display());
        run(input);
    }
}

#[test]
fn a_corpus_that_is_cut_off_anywhere_is_an_error() {
    let inputs = [&[][..], &[7], &[0, 255]].map(<[u8]>::to_vec).to_vec();
    let text = corpus::print(inputs.clone());
    assert_eq!(corpus::parse(&text), Ok(inputs));
    for len in 0..text.len() {
        assert!(corpus::parse(&text[..len]).is_err(), "{:?}", &text[..len]);
    }
    for wrong in ["0 inputs\n", "1 inputs\n7\n", "1 inputs\nzz\n", "1 inputs\n07\n08\n"] {
        assert!(corpus::parse(wrong).is_err(), "{wrong:?}");
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

#[test]
fn a_chain_does_what_a_queue_of_bytes_would_on_what_the_fuzzer_kept() {
    replay("chains", chains::run);
}

#[test]
fn a_stream_cut_anywhere_has_the_frames_of_the_whole_on_what_the_fuzzer_kept() {
    replay("frames", frames::run);
}
