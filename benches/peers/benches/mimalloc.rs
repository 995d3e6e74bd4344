//! `Vec` under mimalloc beside our pools, with the workloads of `peers.rs`.
//!
//! `cargo bench -p poolbuf-peers --bench mimalloc`

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    poolbuf_peers::run("mimalloc", poolbuf_peers::Set::Allocator);
}
