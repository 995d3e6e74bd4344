//! Arbitrary operations on a chain of buffers, compared with a queue of bytes after each.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| poolbuf_state_machine::chains::run(data));
