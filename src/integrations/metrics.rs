//! A pool's figures for the crate [`metrics`](https://docs.rs/metrics), and through it for Prometheus, StatsD and
//! others. With the feature `metrics`.
//!
//! Call [`describe`] once, after the recorder was installed, and [`publish`] for each pool, and [`publish_budget`] for
//! each budget, whenever the recorder is scraped or at an interval: they take what a call of [`Pool::stats`] takes, and
//! acquire and release nothing at all.
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
//! | `poolbuf_stalled_seconds` | gauge | seconds | for how long no buffer has come back while requests wait ([`PoolStats::stalled`]); rises from one publishing to the next | – | – |
//! | `poolbuf_resident_bytes` | gauge | bytes | of buffers that take up memory | – | – |
//! | `poolbuf_over_budget_total` | counter | requests | not served for want of a budget's bytes ([`PoolStats::over_budget`]); of pools with a budget | – | – |
//!
//! Each has the label `pool`, the pool's name; those of a multi-size pool are published for each tier, with the label
//! `tier`, its buffer size in bytes. `outcome` is `direct` (lent at once), `waited` (lent after waiting), `refused`,
//! `timed_out`, which HikariCP counts as `hikaricp_connections_timeout_total` and OpenTelemetry as
//! `db.client.connection.timeouts`, or `abandoned` (dropped while it waited, as a runtime's `timeout` does).
//!
//! Of a budget, with its name as the label `budget`; `outcome` is `waited` (granted after waiting), `refused`,
//! `timed_out` or `abandoned`, and what was granted at once is in the figures of the pools:
//!
//! | name | kind | unit | what |
//! |---|---|---|---|
//! | `poolbuf_budget_lent_bytes` | gauge | bytes | lent now |
//! | `poolbuf_budget_limit_bytes` | gauge | bytes | that can be lent |
//! | `poolbuf_budget_peak_bytes` | gauge | bytes | ever lent at once |
//! | `poolbuf_budget_requests_pending` | gauge | requests | that wait for bytes now |
//! | `poolbuf_budget_requests_total` | counter | requests | for which too little was left, by `outcome` |
//! | `poolbuf_budget_wait_microseconds_total` | counter | microseconds | that requests waited for bytes together |
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

use std::time::Duration;

use metrics::{Label, Unit, counter, describe_counter, describe_gauge, gauge};

use crate::{Budget, Pool, PoolStats};

/// Tells the recorder what the figures mean.
pub fn describe() {
    describe_gauge!("poolbuf_buffers_in_use", Unit::Count, "Buffers lent now.");
    describe_gauge!("poolbuf_buffers_idle", Unit::Count, "Buffers that exist and are free.");
    describe_gauge!("poolbuf_buffers_max", Unit::Count, "Buffers that can exist at most.");
    describe_gauge!("poolbuf_buffers_peak", Unit::Count, "Most buffers ever lent at once.");
    describe_gauge!(
        "poolbuf_requests_pending",
        Unit::Count,
        "Requests that wait now, for a buffer or for bytes."
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
        "poolbuf_stalled_seconds",
        Unit::Seconds,
        "For how long no buffer has come back while requests wait."
    );
    describe_gauge!(
        "poolbuf_resident_bytes",
        Unit::Bytes,
        "Bytes of buffers that take up memory."
    );
    describe_counter!(
        "poolbuf_over_budget_total",
        Unit::Count,
        "Requests not served for want of a budget's bytes."
    );
    describe_gauge!(
        "poolbuf_budget_lent_bytes",
        Unit::Bytes,
        "Bytes of the budget that are lent now."
    );
    describe_gauge!(
        "poolbuf_budget_limit_bytes",
        Unit::Bytes,
        "Bytes of the budget that can be lent at most."
    );
    describe_gauge!(
        "poolbuf_budget_peak_bytes",
        Unit::Bytes,
        "Most bytes of the budget ever lent at once."
    );
    describe_gauge!(
        "poolbuf_budget_requests_pending",
        Unit::Count,
        "Requests that wait for bytes of the budget now."
    );
    describe_counter!(
        "poolbuf_budget_requests_total",
        Unit::Count,
        "Requests for which too little of the budget was left, by outcome."
    );
    describe_counter!(
        "poolbuf_budget_wait_microseconds_total",
        Unit::Microseconds,
        "Time that requests waited for bytes of the budget."
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

/// Publishes the figures of `budget` at this moment. Budgets are told apart by the name that
/// [`Budget::with_name`] gives them.
pub fn publish_budget(budget: &Budget) {
    let stats = budget.stats();
    let labels = vec![Label::new("budget", stats.name.to_string())];
    let gauges = [
        ("poolbuf_budget_lent_bytes", stats.lent),
        ("poolbuf_budget_limit_bytes", stats.limit),
        ("poolbuf_budget_peak_bytes", stats.high_water),
        ("poolbuf_budget_requests_pending", stats.waiting),
    ];
    for (name, value) in gauges {
        gauge!(name, labels.clone()).set(value as f64);
    }
    let outcomes = [
        ("waited", stats.granted),
        ("refused", stats.refused),
        ("timed_out", stats.timed_out),
        ("abandoned", stats.abandoned),
    ];
    publish_outcomes("poolbuf_budget_requests_total", &labels, &outcomes);
    counter!("poolbuf_budget_wait_microseconds_total", labels).absolute(micros(stats.waited));
}

fn publish_outcomes(name: &'static str, labels: &[Label], outcomes: &[(&'static str, u64)]) {
    for &(outcome, value) in outcomes {
        let mut labels = labels.to_vec();
        labels.push(Label::new("outcome", outcome));
        counter!(name, labels).absolute(value);
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
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
    gauge!("poolbuf_stalled_seconds", labels.clone()).set(stats.stalled.as_secs_f64());
    let outcomes = [
        ("direct", stats.acquired.saturating_sub(stats.handed_over)),
        ("waited", stats.handed_over),
        ("refused", stats.refused),
        ("timed_out", stats.timed_out),
        ("abandoned", stats.abandoned),
    ];
    publish_outcomes("poolbuf_acquires_total", &labels, &outcomes);
    if stats.budget > 0 {
        counter!("poolbuf_over_budget_total", labels.clone()).absolute(stats.over_budget);
    }
    counter!("poolbuf_waits_total", labels.clone()).absolute(stats.waits);
    counter!("poolbuf_wait_microseconds_total", labels).absolute(micros(stats.waited));
}
