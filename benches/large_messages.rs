//! Messages that are larger than a buffer: a chain of buffers beside one large buffer and beside `BytesMut`; and a
//! message that is taken apart by `Buf` calls.
//!
//! `cargo bench --bench large_messages`

// Each bench uses its part of what they share.
#[allow(dead_code)]
mod common;

use std::hint::black_box;

use bytes::{Buf, BufMut, BytesMut};
use criterion::{BatchSize, Criterion};
use poolbuf::{BufferPool, Pool, PoolConfig, Wipe};

use common::report::{Report, Table};

/// Bytes of a message.
const MESSAGE: usize = 1 << 20;
/// Bytes of a chain's buffers.
const BUFFER: usize = 16 << 10;
/// What comes from a socket, or goes to it, at once.
const PIECE: usize = 64 << 10;
/// Bytes of the message that is taken apart.
const SMALL: usize = 63 << 10;

const CARRIED: &str = "large-carried";
const DECODED: &str = "large-decoded";

/// Each way to hold the message: its name in criterion's directories and in the table.
const WAYS: [(&str, &str); 4] = [
    ("chain", "`PooledChain` of 64 buffers of 16 KiB"),
    ("one-buffer", "`PooledBuf` of 1 MiB"),
    ("bytes-mut", "`BytesMut::with_capacity`, each time anew"),
    ("bytes-mut-kept", "`BytesMut`, kept and cleared"),
];
const DECODERS: [(&str, &str); 4] = [
    ("slice", "`&[u8]`"),
    ("guard", "`PooledBuf`"),
    ("chain", "`PooledChain` of 4 buffers of 16 KiB"),
    ("bytes", "`Bytes`"),
];

fn pool(size: usize, max: usize) -> BufferPool {
    let config = PoolConfig::new(size).initial(max).max(max);
    BufferPool::with_config(config.wipe(Wipe::Never)).expect("the pool's memory can be reserved")
}

/// Copied in and out piece by piece, as a socket does.
fn carry(mut message: impl Buf + BufMut, piece: &mut [u8]) {
    for _ in 0..MESSAGE / PIECE {
        message.put_slice(black_box(piece));
    }
    while message.has_remaining() {
        message.copy_to_slice(piece);
    }
}

/// As many fields as fit, each a number of four bytes and one of one byte.
fn decode(message: &mut impl Buf) -> u64 {
    let mut sum = 0;
    while message.remaining() >= 5 {
        sum += u64::from(message.get_u32()) + u64::from(message.get_u8());
    }
    sum
}

fn measure(criterion: &mut Criterion) {
    let mut piece = vec![7; PIECE];
    let mut group = criterion.benchmark_group(CARRIED);
    let small = pool(BUFFER, MESSAGE / BUFFER);
    group.bench_function("chain", |bencher| {
        bencher.iter(|| carry(small.acquire_chain(MESSAGE).expect("all are free"), &mut piece));
    });
    let large = pool(MESSAGE, 1);
    group.bench_function("one-buffer", |bencher| {
        bencher.iter(|| carry(large.acquire().expect("it is free"), &mut piece));
    });
    group.bench_function("bytes-mut", |bencher| {
        bencher.iter(|| carry(BytesMut::with_capacity(MESSAGE), &mut piece));
    });
    let mut kept = BytesMut::with_capacity(MESSAGE);
    group.bench_function("bytes-mut-kept", |bencher| {
        bencher.iter(|| {
            kept.clear();
            kept.reserve(MESSAGE);
            carry(&mut kept, &mut piece);
        });
    });
    group.finish();

    let message = vec![7; SMALL];
    let mut group = criterion.benchmark_group(DECODED);
    group.bench_function("slice", |bencher| {
        bencher.iter(|| decode(&mut black_box(&message[..])));
    });
    let whole = pool(SMALL, 2);
    let guard = || {
        let mut buf = whole.acquire().expect("one is free");
        buf.extend_from_slice(&message).expect("it is as large");
        buf
    };
    group.bench_function("guard", |bencher| {
        bencher.iter_batched_ref(guard, decode, BatchSize::PerIteration);
    });
    let chain = || {
        let mut chain = small.acquire_chain(SMALL).expect("all are free");
        chain.extend_from_slice(&message).expect("it is as large");
        chain
    };
    group.bench_function("chain", |bencher| {
        bencher.iter_batched_ref(chain, decode, BatchSize::PerIteration);
    });
    let frozen = guard().freeze();
    group.bench_function("bytes", |bencher| {
        bencher.iter_batched_ref(|| frozen.clone(), decode, BatchSize::PerIteration);
    });
    group.finish();
}

fn tables(report: &Report) -> String {
    let mut carried = Table::new(
        "A message of 1 MiB, acquired, copied in and out in pieces of 64 KiB, released: time as a multiple of the \
         chain's (lower is faster)",
        ["1 MiB".to_owned()],
    );
    for (id, label) in WAYS {
        carried.row(label, [report.ratio(CARRIED, id, "chain")]);
    }
    let absolute = report.median(CARRIED, "chain");
    carried.row("1.00× on this machine", [absolute.map(microseconds)]);
    let mut decoded = Table::new(
        "A message of 63 KiB, taken apart by `get_u32` and `get_u8` of `Buf`: time as a multiple of the slice's \
         (lower is faster)",
        ["63 KiB".to_owned()],
    );
    for (id, label) in DECODERS {
        decoded.row(label, [report.ratio(DECODED, id, "slice")]);
    }
    let absolute = report.median(DECODED, "slice");
    decoded.row("1.00× on this machine", [absolute.map(microseconds)]);
    format!("{}{}", carried.render(), decoded.render())
}

fn microseconds(nanoseconds: f64) -> String {
    format!("{:.1} µs", nanoseconds / 1000.0)
}

fn main() {
    let (report, mut criterion) = Report::begin();
    measure(&mut criterion);
    criterion.final_summary();
    report.publish("large_messages", &tables(&report));
}
