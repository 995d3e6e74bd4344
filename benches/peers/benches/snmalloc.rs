//! `Vec` under snmalloc beside our pools, with the workloads of `peers.rs`.
//!
//! `cargo bench -p poolbuf-peers --bench snmalloc`

#[global_allocator]
static ALLOCATOR: snmalloc_rs::SnMalloc = snmalloc_rs::SnMalloc;

fn main() {
    poolbuf_peers::run("snmalloc", poolbuf_peers::Set::Allocator);
}
