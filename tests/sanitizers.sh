#!/usr/bin/env bash
# Runs the tests, the examples and the soak under the compiler's sanitizers. Needs Linux and a nightly toolchain
# (`rustup toolchain install nightly`); the thread sanitizer also needs the standard library's source
# (`rustup component add --toolchain nightly rust-src`), and prints names where `llvm-symbolizer` is on the PATH
# (Debian and Ubuntu: package llvm).
#
#   tests/sanitizers.sh              both
#   tests/sanitizers.sh address      reads and writes out of bounds, use after free, double free, leaks
#   tests/sanitizers.sh thread       data races
set -euo pipefail
cd "$(dirname "$0")/.."

host=$(rustc +nightly -vV | sed -n 's/^host: //p')
# The loom models are left out: loom runs its threads as coroutines, which neither sanitizer follows.
# A test asks for more memory than there is, and expects an error. What the address sanitizer keeps of memory that was
# freed would look like growth to the soak, if there were more of it.
export ASAN_OPTIONS="allocator_may_return_null=1:quarantine_size_mb=16"
tests=(-p poolbuf -p poolbuf-state-machine --lib --test contract --test threads --test waiting --test budget --test holders
    --test resize --test trim --test traps --test state_machine --example game_server --target "$host")

# Each runs by itself for a moment. The kernel shares memory with io_uring_registered, which no sanitizer sees.
examples=(quick_start game_loop udp_game_loop direct_io own_pool tokio_server compio_server hyper_bodies http_upload broker
    prometheus)

run_examples() {
    for example in "${examples[@]}"; do
        echo "example: $example"
        cargo +nightly run --quiet --target "$host" --target-dir "$1" --example "$example" >/dev/null
    done
    cargo +nightly run --quiet --target "$host" --target-dir "$1" -p poolbuf-soak -- --seconds 10
}

address() {
    # tests/memory.rs reads the resident size, to which this sanitizer adds its own memory.
    export RUSTFLAGS="-Zsanitizer=address" RUSTDOCFLAGS="-Zsanitizer=address"
    cargo +nightly test --target-dir target/address-sanitizer "${tests[@]}" --test model
    run_examples target/address-sanitizer
    # The examples of the documentation; on nightly, also that what must not compile fails for the right reason.
    cargo +nightly test --target-dir target/address-sanitizer -p poolbuf --doc --target "$host"
}

thread() {
    # The sanitizer sees only what was compiled for it, so the standard library is too. In the one that comes compiled,
    # an `Arc` is dropped with a fence, which the sanitizer does not know: with it, the memory of a pool that several
    # threads used through an `Arc` would seem to be freed while one of them still reads it.
    source=$(rustc +nightly --print sysroot)/lib/rustlib/src/rust/library
    [ -f "$source/Cargo.lock" ] || {
        echo "the thread sanitizer needs the standard library: rustup component add --toolchain nightly rust-src" >&2
        exit 1
    }
    # tests/model.rs is left out: each of its tests is a single thread.
    export TSAN_OPTIONS="allocator_may_return_null=1" CARGO_UNSTABLE_BUILD_STD="std,panic_unwind,test" \
        RUSTFLAGS="-Zsanitizer=thread -Cunsafe-allow-abi-mismatch=sanitizer"
    cargo +nightly test --target-dir target/thread-sanitizer "${tests[@]}"
    run_examples target/thread-sanitizer
}

case "${1:-both}" in
    address) address ;;
    thread) thread ;;
    both) (address) && thread ;;
    *)
        echo "unknown sanitizer '$1': address or thread" >&2
        exit 2
        ;;
esac
