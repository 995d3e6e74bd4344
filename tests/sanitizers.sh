#!/usr/bin/env bash
# Runs the tests, the examples and the soak under the compiler's sanitizers. Needs Linux and a nightly toolchain
# (`rustup toolchain install nightly`); the thread sanitizer also needs `llvm-symbolizer` on the PATH, to
# find its suppressions (Debian and Ubuntu: package llvm).
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
examples=(quick_start game_loop own_pool tokio_server compio_server hyper_bodies prometheus)

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
    command -v llvm-symbolizer >/dev/null || {
        echo "the thread sanitizer needs llvm-symbolizer on the PATH" >&2
        exit 1
    }
    # The standard library is not instrumented, and the sanitizer knows no fences: what std does between
    # threads, what it initialises once, the drop of what an `Arc` holds, the freeing of its memory (in the drop of
    # its implicit `Weak`) and of a thread's handle look like races. So would a std Mutex on which threads wait: tests and examples use parking_lot's.
    # tests/model.rs is left out: each of its tests is a single thread.
    suppressions=$(mktemp)
    trap 'rm -f "$suppressions"' EXIT
    printf 'race:%s\n' CompletedTest test::run_test std::thread::lifecycle::Packet std::thread::scoped \
        std::thread::thread::Inner std::sync::mpmc std::sync::once std::sync::lazy_lock alloc::sync::Weak \
        'alloc::sync::Arc<*>>::drop_slow' >"$suppressions"
    export TSAN_OPTIONS="suppressions=$suppressions allocator_may_return_null=1" \
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
