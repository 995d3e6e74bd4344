#!/usr/bin/env bash
# Drives the examples with clients that are not of this project: curl, Python's standard library, cmp and od. Says what
# it leaves out where one is not installed.
set -euo pipefail
cd "$(dirname "$0")/.."

profile=${1:-release}
case "$profile" in
    release) cargo build --quiet --release --examples && built=target/release/examples ;;
    debug) cargo build --quiet --examples && built=target/debug/examples ;;
    *) echo "usage: tests/foreign_clients.sh [release|debug]" >&2 && exit 2 ;;
esac
scratch=$(mktemp -d)
server=
end() {
    [ -z "$server" ] || kill "$server" 2>/dev/null || true
    rm -rf "$scratch"
}
trap end EXIT

fail() {
    echo "FAILED: $*" >&2
    exit 1
}

# Waits until an example says where it listens.
wait_for_address() {
    for _ in {1..600}; do
        address=$(grep -oE -m 1 '127\.0\.0\.1:[0-9]+' "$scratch/$1.out" || true)
        [ -z "$address" ] || return 0
        sleep 0.05
    done
    fail "$1 does not say where it listens"
}

# Starts an example as a server that ends with its standard input.
start() {
    mkfifo "$scratch/$1.stdin"
    "$built/$1" "${@:2}" <"$scratch/$1.stdin" >"$scratch/$1.out" &
    server=$!
    exec 3>"$scratch/$1.stdin"
    wait_for_address "$1"
}

# Ends it, and looks whether all buffers came back.
stop() {
    exec 3>&-
    wait "$server" || fail "$1 ended with an error"
    server=
    tail -n 1 "$scratch/$1.out"
    tail -n 1 "$scratch/$1.out" | grep -qE ': 0% of |^in use 0, ' || fail "$1 did not get all buffers back"
}

if command -v curl >/dev/null; then
    echo "curl: http_upload"
    start http_upload 127.0.0.1:0
    head -c 1000000 /dev/urandom >"$scratch/file"
    for _ in 1 2 3; do
        curl --silent --show-error --fail -T "$scratch/file" "http://$address/file" -o "$scratch/answer"
        cmp "$scratch/file" "$scratch/answer"
    done
    # 8 at once are more than there are buffers for: some are told to come again, and curl does so.
    pids=()
    for i in {1..8}; do
        curl --silent --show-error --fail --retry 20 -T "$scratch/file" "http://$address/$i" -o "$scratch/answer.$i" &
        pids+=($!)
    done
    for pid in "${pids[@]}"; do wait "$pid"; done
    for i in {1..8}; do cmp "$scratch/file" "$scratch/answer.$i"; done
    head -c 2000000 /dev/zero >"$scratch/too-long"
    status=$(curl --silent -T "$scratch/too-long" "http://$address/" -o /dev/null -w '%{http_code}')
    [ "$status" = 413 ] || fail "an upload that is too long is answered by $status"
    curl --silent --fail "http://$address/metrics" | grep -q '^poolbuf_buffers_in_use{pool="uploads"} 0' ||
        fail "the metrics do not say that all buffers are back"
    stop http_upload

    echo "curl: prometheus"
    "$built/prometheus" --serve 127.0.0.1:0 >"$scratch/prometheus.out" &
    server=$!
    wait_for_address prometheus
    curl --silent --fail "http://$address/metrics" | grep -q '^poolbuf_buffers_in_use{pool="requests"} 1' ||
        fail "the request itself has a buffer"
    kill "$server"
    wait "$server" 2>/dev/null || true
    server=
else
    echo "left out: http_upload and prometheus (no curl)"
fi

if command -v python3 >/dev/null; then
    for example in broker udp_game_loop tokio_server; do
        echo "python3: $example"
        start "$example" 127.0.0.1:0
        timeout 60 python3 tests/foreign_clients.py "$example" "${address##*:}"
        if [ "$example" = tokio_server ]; then
            # It answers lines with its figures, and ends when there are no more.
            echo >&3
        fi
        stop "$example"
    done
    echo "python3: game_server"
    "$built/game_server" --serve 127.0.0.1:0 --players 10 >"$scratch/game_server.out" 2>"$scratch/game_server.log" &
    server=$!
    wait_for_address game_server
    timeout 60 python3 tests/foreign_clients.py game_server "${address##*:}"
    kill -INT "$server"
    wait "$server" || fail "game_server ended with an error"
    server=
    grep -E '^(cut off|recv pool  )' "$scratch/game_server.out" | tail -n 2
else
    echo "left out: broker, udp_game_loop, tokio_server and game_server (no python3)"
fi

if command -v od >/dev/null; then
    echo "od: direct_io"
    "$built/direct_io" "$scratch/records"
    # 16 bytes each: the number and its square root. Of the last one, and of one in between.
    for number in 999999 123456; do
        read -r found < <(od -A n -t u8 -j $((number * 16)) -N 8 "$scratch/records")
        [ "$found" = "$number" ] || fail "record $number says that it is $found"
    done
    [ "$(wc -c <"$scratch/records")" = 16000000 ] || fail "the file is not as long as its records"
else
    echo "left out: direct_io (no od)"
fi
