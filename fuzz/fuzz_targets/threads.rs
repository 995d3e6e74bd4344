//! Arbitrary operations of several threads on arbitrary pools.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| poolbuf_state_machine::several_threads::run(data));
