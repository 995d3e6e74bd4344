//! A pool's figures for the crate [`metrics`](https://docs.rs/metrics), and through it for Prometheus, StatsD and
//! others. With the feature `metrics`.
//!
//! Call [`describe`] once, after the recorder was installed, and [`publish`] for each pool whenever the recorder is
//! scraped or at an interval: both take what a call of [`Pool::stats`] takes, and acquire and release nothing at all.
//!
//! | name | kind | unit | what | HikariCP | OpenTelemetry |
//! |---|---|---|---|---|---|
//! | `poolbuf_buffers_in_use` | gauge | buffers | lent now | `hikaricp_connections_active` | `db.client.connection.count{state="used"}` |
//! | `poolbuf_buffers_idle` | gauge | buffers | that exist and are free | `hikaricp_connections_idle` | `db.client.connection.count{state="idle"}` |
//! | `poolbuf_buffers_max` | gauge | buffers | that can exist | `hikaricp_connections_max` | `db.client.connection.max` |
//! | `poolbuf_buffers_peak` | gauge | buffers | ever lent at once ([`PoolStats::high_water`]) | – | – |
//! | `poolbuf_requests_pending` | gauge | requests | that wait now | `hikaricp_connections_pending` | `db.client.connection.pending_requests` |
//! | `poolbuf_acquires_total` | counter | requests | by `outcome`, see below | – | – |
//! | `poolbuf_waits_total` | counter | requests | that had to wait | `hikaricp_connections_acquire_seconds_count` | `db.client.connection.wait_time` (count) |
//! | `poolbuf_wait_microseconds_total` | counter | microseconds | that they waited together | `hikaricp_connections_acquire_seconds_sum` | `db.client.connection.wait_time` (sum) |
//! | `poolbuf_resident_bytes` | gauge | bytes | of buffers that take up memory | – | – |
//!
//! Each has the label `pool`, the pool's name; those of a multi-size pool are published for each tier, with the label
//! `tier`, its buffer size in bytes. `outcome` is `direct` (lent at once), `waited` (lent after waiting), `refused`, or
//! `timed_out`, which HikariCP counts as `hikaricp_connections_timeout_total` and OpenTelemetry as
//! `db.client.connection.timeouts`.
//!
//! ```
//! use metrics_util::debugging::DebuggingRecorder;
//! use poolbuf::{BufferPool, Pool, PoolConfig};
//!
//! let recorder = DebuggingRecorder::new(); // or a Prometheus exporter
//! let snapshotter = recorder.snapshotter();
//! let pool = BufferPool::with_config(PoolConfig::new(8192).max(100).name("recv"))?;
//! let _held = pool.acquire()?;
//! metrics::with_local_recorder(&recorder, || {
//!     poolbuf::metrics::describe();
//!     poolbuf::metrics::publish(&pool);
//! });
//! assert!(snapshotter.snapshot().into_vec().len() > 5);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

use metrics::{Label, Unit, counter, describe_counter, describe_gauge, gauge};

use crate::pool::Pool;
use crate::stats::PoolStats;

/// Tells the recorder what the figures mean.
pub fn describe() {
    describe_gauge!("poolbuf_buffers_in_use", Unit::Count, "Buffers lent now.");
    describe_gauge!(
        "poolbuf_buffers_idle",
        Unit::Count,
        "Buffers that exist and are free."
    );
    describe_gauge!(
        "poolbuf_buffers_max",
        Unit::Count,
        "Buffers that can exist at most."
    );
    describe_gauge!(
        "poolbuf_buffers_peak",
        Unit::Count,
        "Most buffers ever lent at once."
    );
    describe_gauge!(
        "poolbuf_requests_pending",
        Unit::Count,
        "Requests that wait for a buffer now."
    );
    describe_counter!(
        "poolbuf_acquires_total",
        Unit::Count,
        "Requests for a buffer, by outcome."
    );
    describe_counter!(
        "poolbuf_waits_total",
        Unit::Count,
        "Requests that had to wait for a buffer."
    );
    describe_counter!(
        "poolbuf_wait_microseconds_total",
        Unit::Microseconds,
        "Time that requests waited for a buffer."
    );
    describe_gauge!(
        "poolbuf_resident_bytes",
        Unit::Bytes,
        "Bytes of buffers that take up memory."
    );
}

/// Publishes the figures of `pool` at this moment.
pub fn publish(pool: &(impl Pool + ?Sized)) {
    let stats = pool.stats();
    let name = Label::new("pool", stats.name.to_string());
    if stats.tiers.is_empty() {
        publish_one(&stats, vec![name]);
    } else {
        for tier in &stats.tiers {
            let size = Label::new("tier", tier.buffer_size.to_string());
            publish_one(tier, vec![name.clone(), size]);
        }
    }
}

fn publish_one(stats: &PoolStats, labels: Vec<Label>) {
    // Figures of a pool are far below 2^53, up to which a gauge is exact.
    let gauges = [
        ("poolbuf_buffers_in_use", stats.in_use),
        ("poolbuf_buffers_idle", stats.available),
        ("poolbuf_buffers_max", stats.max),
        ("poolbuf_buffers_peak", stats.high_water),
        ("poolbuf_requests_pending", stats.waiting),
        ("poolbuf_resident_bytes", stats.resident_bytes),
    ];
    for (name, value) in gauges {
        gauge!(name, labels.clone()).set(value as f64);
    }
    let outcomes = [
        ("direct", stats.acquired.saturating_sub(stats.handed_over)),
        ("waited", stats.handed_over),
        ("refused", stats.refused),
        ("timed_out", stats.timed_out),
    ];
    for (outcome, value) in outcomes {
        let mut labels = labels.clone();
        labels.push(Label::new("outcome", outcome));
        counter!("poolbuf_acquires_total", labels).absolute(value);
    }
    let microseconds = u64::try_from(stats.waited.as_micros()).unwrap_or(u64::MAX);
    counter!("poolbuf_waits_total", labels.clone()).absolute(stats.waits);
    counter!("poolbuf_wait_microseconds_total", labels).absolute(microseconds);
}
