//! Builds the crate's sources as `RUSTFLAGS="--cfg poolbuf_loom"` would, for this package alone.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(poolbuf_loom, poolbuf_shuttle, poolbuf_faults, poolbuf_windows_barrier)");
    // The crate's features, which the models need none of. As features of this package, `--all-features` would turn
    // them on without what they need.
    println!(r#"cargo::rustc-check-cfg=cfg(feature, values("bytes", "compio-buf-08", "metrics", "zeroize"))"#);
    println!("cargo::rustc-cfg=poolbuf_loom");
}
