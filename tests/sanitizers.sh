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
# A test asks for more memory than there is, and expects an error.
export ASAN_OPTIONS="allocator_may_return_null=1"
tests=(-p poolbuf --lib --test contract --test threads --test waiting --test budget --test holders
    --test resize --test trim --test traps --test state_machine --test game_server --target "$host")

# Each runs by itself for a moment. The kernel shares memory with io_uring_registered, which no sanitizer sees.
examples=(quick_start game_loop own_pool tokio_server compio_server hyper_bodies prometheus)

run_examples() {
    for example in "${examples[@]}"; do
        echo "example: $example"
        cargo +nightly run --quiet --target "$host" --target-dir "$1" --example "$example" >/dev/null
    done
    cargo +nightly run --quiet --target "$host" --target-dir "$1" --example soak -- --seconds 10
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
    # threads, what it initialises once, the freeing of the memory of an `Arc` (in the drop of its implicit
    # `Weak`) or of a thread's handle, and the drop of the magazines' home by the `Arc` of a thread at its end,
    # look like races. So would a std Mutex on which threads wait: tests and examples use parking_lot's.
    # tests/model.rs is left out: each of its tests is a single thread.
    suppressions=$(mktemp)
    trap 'rm -f "$suppressions"' EXIT
    printf 'race:%s\n' CompletedTest test::run_test std::thread::lifecycle::Packet std::thread::scoped \
        std::thread::thread::Inner std::sync::mpmc std::sync::once std::sync::lazy_lock alloc::sync::Weak \
        'dyn poolbuf::free_list::thread_cache::Home>>::drop_slow' >"$suppressions"
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
