//! `Vec` under jemalloc beside our pools, with the workloads of `peers.rs`.
//!
//! `cargo bench -p poolbuf-peers --bench jemalloc`

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() {
    poolbuf_peers::run("jemalloc", poolbuf_peers::Set::Allocator);
}
