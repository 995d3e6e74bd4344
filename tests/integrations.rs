//! Guards and pools in the types and traits of other crates.

use std::io::{BufRead, Cursor, Seek, SeekFrom, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Waker};
use std::thread;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes};
use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use poolbuf::{Acquire, Budget, BufferPool, LockFreePool, MultiSizeConfig, MultiSizePool, Pool, PoolConfig, Wipe};

fn pool() -> BufferPool {
    BufferPool::new(64, 0, 2).unwrap()
}

fn block_on<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_io().build();
    runtime.unwrap().block_on(future)
}

#[test]
fn a_frozen_buffer_returns_with_the_last_slice_on_whatever_thread() {
    let pool = pool();
    let mut buf = pool.acquire().unwrap();
    buf.extend_from_slice(b"hello, world").unwrap();
    let address = buf.as_ptr();
    let whole: Bytes = buf.into();
    assert_eq!(whole.as_ptr(), address, "no copy");
    let (clone, slice) = (whole.clone(), whole.slice(7..));
    drop(whole);
    thread::spawn(move || drop(clone)).join().unwrap();
    assert_eq!(pool.stats().in_use, 1);
    let last = thread::spawn(move || {
        assert_eq!(&slice[..], b"world");
    });
    last.join().unwrap();
    assert_eq!(pool.stats().in_use, 0);
}

#[test]
fn a_frozen_buffer_outlives_its_pool() {
    let pool = pool();
    let mut buf = pool.acquire().unwrap();
    buf.extend_from_slice(b"late").unwrap();
    let bytes = buf.freeze();
    drop(pool);
    assert_eq!(&bytes[..], b"late");
}

#[test]
fn nothing_frozen_keeps_no_buffer() {
    let pool = pool();
    let empty = pool.acquire().unwrap().freeze();
    assert_eq!((empty.len(), pool.stats().in_use), (0, 0));
    let mut buf = pool.acquire().unwrap();
    buf.extend_from_slice(b"some").unwrap();
    let mut some = buf.freeze();
    some.truncate(0);
    let rest = some.split_off(0);
    drop(some);
    drop(rest);
    assert_eq!(pool.stats().in_use, 0);
}

#[test]
fn buf_mut_writes_behind_what_is_there_and_never_beyond_the_capacity() {
    let pool = pool();
    let mut buf = pool.acquire().unwrap();
    buf.extend_from_slice(b"ab").unwrap();
    assert_eq!(buf.remaining_mut(), 62);
    buf.put_u16(0x6364);
    buf.put_slice(b"ef");
    buf.put_bytes(b'g', 2);
    assert_eq!(&buf[..], b"abcdefgg");
    assert_eq!(buf.remaining_mut(), 56);
    let overflow = catch_unwind(AssertUnwindSafe(|| buf.put_slice(&[0; 57])));
    assert!(overflow.is_err());
    // SAFETY: not reached beyond the check.
    let advanced = catch_unwind(AssertUnwindSafe(|| unsafe { buf.advance_mut(57) }));
    assert!(advanced.is_err());
    assert_eq!((&buf[..], buf.capacity()), (&b"abcdefgg"[..], 64));
}

#[test]
fn what_was_handed_out_through_buf_mut_is_wiped() {
    let config = PoolConfig::new(64).max(1).wipe(Wipe::OnRelease);
    let pool = BufferPool::with_config(config).unwrap();
    let mut buf = pool.acquire().unwrap();
    // Written, and never counted as such.
    buf.chunk_mut()[40..46].copy_from_slice(b"secret");
    drop(buf);
    let mut next = pool.acquire().unwrap();
    // SAFETY: only read.
    let spare = unsafe { next.spare_capacity_mut() };
    // SAFETY: a pool's bytes are always initialised.
    assert!(spare.iter().all(|byte| unsafe { byte.assume_init() } == 0));
}

#[test]
fn buf_reads_from_the_front_and_takes_away_what_was_read() {
    let pool = pool();
    let mut buf = pool.acquire().unwrap();
    buf.extend_from_slice(b"\0\x03abcdef").unwrap();
    assert_eq!((buf.remaining(), buf.get_u16()), (8, 3));
    assert_eq!(buf.copy_to_bytes(3), &b"abc"[..]);
    assert_eq!((buf.chunk(), &buf[..]), (&b"def"[..], &b"def"[..]));
    assert!(catch_unwind(AssertUnwindSafe(|| buf.advance(4))).is_err());
    assert_eq!(buf, b"def");
    // Skips, as on any `Buf`: a guard has no `advance` of its own, which adds.
    buf.advance(2);
    assert_eq!(buf, b"f");
    buf.advance(1);
    assert!(!buf.has_remaining());
}

#[test]
fn tokio_reads_into_a_guard() {
    use tokio::io::AsyncReadExt;

    block_on(async {
        let pool = pool();
        let mut buf = pool.acquire().unwrap();
        let mut source: &[u8] = &[7; 100];
        assert_eq!(source.read_buf(&mut buf).await.unwrap(), 64);
        assert_eq!(buf[..], [7; 64]);
        // Full: as documented, that looks like the end.
        assert_eq!(source.read_buf(&mut buf).await.unwrap(), 0);

        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        client.write_all(b"ping").unwrap();
        let (socket, _) = listener.accept().unwrap();
        socket.set_nonblocking(true).unwrap();
        let socket = tokio::net::TcpStream::from_std(socket).unwrap();
        let mut buf = pool.acquire().unwrap();
        while buf.len() < 4 {
            socket.readable().await.unwrap();
            let _ = socket.try_read_buf(&mut buf);
        }
        assert_eq!(&buf[..], b"ping");
    });
}

#[test]
fn a_guard_in_a_cursor_is_read_and_seek() {
    let pool = pool();
    let mut buf = pool.acquire().unwrap();
    writeln!(buf, "first\nsecond").unwrap();
    let mut cursor = Cursor::new(buf);
    let mut line = String::new();
    cursor.read_line(&mut line).unwrap();
    assert_eq!(line, "first\n");
    cursor.seek(SeekFrom::Start(2)).unwrap();
    let mut rest = String::new();
    std::io::Read::read_to_string(&mut cursor, &mut rest).unwrap();
    assert_eq!(rest, "rst\nsecond\n");
    drop(cursor);
    assert_eq!(pool.stats().in_use, 0);
}

/// The figures of a pool that a recorder has got.
fn published(pool: &dyn Pool) -> Vec<(String, f64)> {
    recorded(|| poolbuf::metrics::publish(pool))
}

/// The figures that a recorder has got, by name and labels.
fn recorded(publish: impl FnOnce()) -> Vec<(String, f64)> {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    metrics::with_local_recorder(&recorder, || {
        poolbuf::metrics::describe();
        publish();
    });
    let snapshot = snapshotter.snapshot().into_vec().into_iter();
    let figures = snapshot.map(|(key, unit, description, value)| {
        assert!(unit.is_some() && description.is_some(), "{key:?}");
        let key = key.key();
        let labels: Vec<_> = key
            .labels()
            .map(|label| format!("{}={}", label.key(), label.value()))
            .collect();
        let value = match value {
            DebugValue::Counter(value) => value as f64,
            DebugValue::Gauge(value) => value.into_inner(),
            DebugValue::Histogram(_) => panic!("there are none"),
        };
        (format!("{}{{{}}}", key.name(), labels.join(",")), value)
    });
    figures.collect()
}

#[test]
fn a_pools_figures_are_published_under_their_names() {
    let pool = BufferPool::with_config(PoolConfig::new(64).max(3).name("recv")).unwrap();
    let held: Vec<_> = (0..3).map(|_| pool.acquire().unwrap()).collect();
    assert!(pool.acquire().is_err());
    assert!(pool.acquire_timeout(1, Duration::ZERO).is_err());
    assert!(is_pending(pool.acquire_async(1)));
    let figures = published(&pool);
    for (name, value) in [
        ("poolbuf_buffers_in_use{pool=recv}", 3.0),
        ("poolbuf_buffers_idle{pool=recv}", 0.0),
        ("poolbuf_buffers_max{pool=recv}", 3.0),
        ("poolbuf_buffers_peak{pool=recv}", 3.0),
        ("poolbuf_requests_pending{pool=recv}", 0.0),
        ("poolbuf_acquires_total{pool=recv,outcome=direct}", 3.0),
        ("poolbuf_acquires_total{pool=recv,outcome=waited}", 0.0),
        ("poolbuf_acquires_total{pool=recv,outcome=refused}", 1.0),
        ("poolbuf_acquires_total{pool=recv,outcome=timed_out}", 1.0),
        ("poolbuf_acquires_total{pool=recv,outcome=abandoned}", 1.0),
        ("poolbuf_waits_total{pool=recv}", 2.0),
        ("poolbuf_stalled_seconds{pool=recv}", 0.0),
    ] {
        assert_figure(&figures, name, value);
    }
    assert_eq!(figures.len(), 14);
    let mut waiting = pool.acquire_async(1);
    let mut context = Context::from_waker(Waker::noop());
    assert!(Pin::new(&mut waiting).poll(&mut context).is_pending());
    // The first reading notes which request is the first; by the next, time has passed.
    let stalled = || {
        let figures = published(&pool).into_iter();
        let mut stalled = figures.filter(|figure| figure.0.starts_with("poolbuf_stalled_seconds"));
        stalled.next().unwrap().1
    };
    assert!((0..100_000).any(|_| stalled() > 0.0));
    drop((waiting, held));
    assert_eq!(stalled(), 0.0);
}

/// Whether it has to wait. It is dropped then.
fn is_pending(mut waiting: Acquire<'_>) -> bool {
    let mut context = Context::from_waker(Waker::noop());
    Pin::new(&mut waiting).poll(&mut context).is_pending()
}

fn assert_figure(figures: &[(String, f64)], name: &str, value: f64) {
    let found = figures.iter().find(|figure| figure.0 == name);
    let found = found.map(|figure| figure.1);
    assert_eq!(found, Some(value), "{name} in {figures:?}");
}

#[test]
fn a_budgets_figures_are_published_under_their_names() {
    let budget = Budget::with_name(100, "all");
    let config = PoolConfig::new(64).max(3).budget(&budget).name("recv");
    let pool = BufferPool::with_config(config).unwrap();
    let held = pool.acquire().unwrap();
    assert!(pool.acquire().is_err());
    assert!(pool.acquire_timeout(1, Duration::ZERO).is_err());
    assert!(is_pending(pool.acquire_async(1)) && is_pending(pool.acquire_async(1)));
    let figures = recorded(|| poolbuf::metrics::publish_budget(&budget));
    for (name, value) in [
        ("poolbuf_budget_lent_bytes{budget=all}", 64.0),
        ("poolbuf_budget_limit_bytes{budget=all}", 100.0),
        ("poolbuf_budget_peak_bytes{budget=all}", 64.0),
        ("poolbuf_budget_requests_pending{budget=all}", 0.0),
        ("poolbuf_budget_requests_total{budget=all,outcome=waited}", 0.0),
        ("poolbuf_budget_requests_total{budget=all,outcome=refused}", 1.0),
        ("poolbuf_budget_requests_total{budget=all,outcome=timed_out}", 1.0),
        ("poolbuf_budget_requests_total{budget=all,outcome=abandoned}", 2.0),
    ] {
        assert_figure(&figures, name, value);
    }
    assert_eq!(figures.len(), 9);
    let figures = published(&pool);
    assert_figure(&figures, "poolbuf_over_budget_total{pool=recv}", 4.0);
    drop(held);
}

#[test]
fn each_tier_is_published_by_its_size() {
    let tiers = MultiSizeConfig::new()
        .tier(PoolConfig::new(64).max(1))
        .tier(PoolConfig::new(512).max(1));
    let pool = MultiSizePool::with_config(tiers.name("frames")).unwrap();
    let _held = pool.acquire_for(65).unwrap();
    let figures = published(&pool);
    assert_eq!(figures.len(), 28);
    for (tier, in_use) in [(64, 0.0), (512, 1.0)] {
        let name = format!("poolbuf_buffers_in_use{{pool=frames,tier={tier}}}");
        assert!(figures.contains(&(name, in_use)), "{figures:?}");
    }
}

#[test]
fn slots_say_where_buffers_lie_in_the_region() {
    let pool = LockFreePool::<5>::new(100).unwrap();
    let region = pool.region();
    let mut slots: Vec<_> = (0..5)
        .map(|_| {
            let buf = pool.acquire().unwrap();
            let offset = buf.as_ptr() as usize - region.as_ptr() as usize;
            let slot = buf.slot().unwrap();
            assert_eq!(offset, slot * region.stride());
            assert!(offset + buf.capacity() <= region.len());
            std::mem::forget(buf);
            slot
        })
        .collect();
    slots.sort_unstable();
    assert_eq!(slots, [0, 1, 2, 3, 4]);
    assert_eq!(region.buffers(), 5);
}

/// What compio hands out in safe code can be copied, within the buffer too; so it must hold nothing of an earlier
/// holder.
#[test]
fn what_compio_hands_out_holds_nothing_of_an_earlier_holder() {
    use compio::buf::{IoBuf, IoBufMut};

    let pool = BufferPool::with_config(PoolConfig::new(64).max(1).wipe(Wipe::Never)).unwrap();
    for round in 0..2 {
        let mut first = pool.acquire().unwrap();
        match round {
            0 => first.extend_from_slice(&[7; 64]).unwrap(),
            // Without a word about how many bytes that were.
            _ => first.as_uninit().iter_mut().for_each(|byte| {
                byte.write(7);
            }),
        }
        drop(first);
        let mut second = pool.acquire().unwrap();
        second.extend_from_slice(&[1; 16]).unwrap();
        second.copy_within(16..32, 0);
        assert_eq!(second.as_init()[..16], [0; 16]);
        let uninit = second.as_uninit();
        uninit[0] = uninit[63];
        assert_eq!(second.as_init()[0], 0);
    }
}
