//! Our pools beside the crates that a user would pick instead, and beside `Vec` under the system's allocator.
//!
//! `cargo bench -p poolbuf-peers --bench peers`

fn main() {
    poolbuf_peers::run("peers", poolbuf_peers::Set::Peers);
}
