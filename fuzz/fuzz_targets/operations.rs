//! Arbitrary operations of one thread on arbitrary pools, compared with a model after each.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| poolbuf_state_machine::one_thread::run(data));
