//! Builds the crate's sources as `RUSTFLAGS="--cfg poolbuf_shuttle"` would, for this package alone.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(poolbuf_loom, poolbuf_shuttle, poolbuf_faults)");
    println!("cargo::rustc-cfg=poolbuf_shuttle");
}
