//! Builds the crate's sources as `RUSTFLAGS="--cfg loom"` would, for this package alone.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(loom, shuttle, poolbuf_faults)");
    println!("cargo::rustc-cfg=loom");
}
