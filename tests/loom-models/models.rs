//! Runs the models of `../loom.rs` on the loom build of the crate; see that file.

extern crate poolbuf_loom as poolbuf;

#[path = "../loom.rs"]
mod models;
