//! An arbitrary stream, cut anywhere: its frames are those of the whole.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| poolbuf_state_machine::frames::run(data));
