//! The figures as Prometheus text (exposition format 0.0.4). Names follow HikariCP's and OpenTelemetry's
//! conventions for pools.

use std::fmt::{Display, Write};

use poolbuf::PoolStats;

use crate::server::Figures;
use crate::server::cut_off::Limit;

/// What a scrape gets.
pub(crate) fn text(figures: &Figures) -> String {
    let mut text = Text::default();
    pools(&mut text, &figures.pools);

    let times = &figures.server_times;
    let name = "game_server_messages_total";
    text.family(name, "counter", "Messages answered.");
    text.sample(name, &[], times.count());
    let name = "game_server_clients_cut_off_total";
    let help = "Clients cut off by the time limit, by what took too long.";
    text.family(name, "counter", help);
    for limit in Limit::ALL {
        let count = figures.cut_off.by(limit);
        text.sample(name, &[("reason", limit.name())], count);
    }
    let name = "game_server_server_time_seconds";
    let help = "From a whole frame received to its answer sent; quantiles since the start.";
    text.family(name, "summary", help);
    for (quantile, label) in [(0.5, "0.5"), (0.99, "0.99"), (0.999, "0.999")] {
        // Without an answer there is no quantile.
        let value = match times.count() {
            0 => f64::NAN,
            _ => seconds(times.quantile(quantile)),
        };
        text.sample(name, &[("quantile", label)], value);
    }
    text.sample(&format!("{name}_sum"), &[], seconds(times.sum()));
    text.sample(&format!("{name}_count"), &[], times.count());
    text.0
}

/// One of a pool's figures.
type Figure = fn(&PoolStats) -> usize;

fn pools(text: &mut Text, stats: &[PoolStats]) {
    let gauges: [(&str, &str, Figure); 6] = [
        ("poolbuf_buffers_in_use", "Buffers that are lent.", |pool| pool.in_use),
        ("poolbuf_buffers_idle", "Buffers that exist and are free.", |pool| {
            pool.available
        }),
        ("poolbuf_buffers_max", "Buffers that can exist at most.", |pool| {
            pool.max
        }),
        (
            "poolbuf_buffers_peak",
            "Buffers that were ever lent, each counted once.",
            |pool| pool.high_water,
        ),
        ("poolbuf_requests_pending", "Requests that wait for a buffer.", |pool| {
            pool.waiting
        }),
        (
            "poolbuf_resident_bytes",
            "Bytes of buffers that take up memory.",
            |pool| pool.resident_bytes,
        ),
    ];
    for (name, help, value) in gauges {
        text.family(name, "gauge", help);
        for pool in stats {
            text.sample(name, &[("pool", &pool.name)], value(pool));
        }
    }
    let name = "poolbuf_acquires_total";
    text.family(name, "counter", "Requests for a buffer, by how they ended.");
    for pool in stats {
        let waited = pool.handed_over;
        for (outcome, count) in [
            ("direct", pool.acquired.saturating_sub(waited)),
            ("waited", waited),
            ("refused", pool.refused),
            ("timed_out", pool.timed_out),
            ("abandoned", pool.abandoned),
        ] {
            text.sample(name, &[("pool", &pool.name), ("outcome", outcome)], count);
        }
    }
    let name = "poolbuf_wait_seconds_total";
    text.family(name, "counter", "How long all requests together waited.");
    for pool in stats {
        let waited = pool.waited.as_secs_f64();
        text.sample(name, &[("pool", &pool.name)], waited);
    }
}

fn seconds(nanos: u64) -> f64 {
    nanos as f64 / 1e9
}

#[derive(Default)]
struct Text(String);

impl Text {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.0 += &format!("# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.0 += name;
        for (index, (label, value)) in labels.iter().enumerate() {
            let open = if index == 0 { '{' } else { ',' };
            let value = escaped(value);
            let _ = write!(self.0, "{open}{label}=\"{value}\"");
        }
        let close = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.0, "{close} {value}");
    }
}

/// A label's value, as the format wants it.
fn escaped(value: &str) -> String {
    let mut text = String::new();
    for character in value.chars() {
        match character {
            '\\' => text += "\\\\",
            '"' => text += "\\\"",
            '\n' => text += "\\n",
            other => text.push(other),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::text;
    use crate::server::Figures;
    use crate::server::cut_off::CutOff;
    use crate::tests::{a_snapshot, samples};
    use crate::times::Times;

    #[test]
    fn metrics_are_valid_prometheus_text_with_every_figure() {
        let mut pools = a_snapshot().pools;
        let recv = &mut pools[0];
        recv.name = "odd \"name\\\n".into();
        (recv.acquired, recv.waits, recv.handed_over) = (1000, 42, 36);
        (recv.timed_out, recv.abandoned) = (4, 2);
        let mut server_times = Times::new();
        for time in [1500, 2000, 1_000_500] {
            server_times.record(Duration::from_micros(time));
        }
        let figures = Figures {
            pools,
            server_times,
            cut_off: CutOff::of([5, 6, 7]),
        };
        let samples = samples(&text(&figures));
        let cut_off = |reason| format!("game_server_clients_cut_off_total{{reason=\"{reason}\"}}");
        let odd = r#"pool="odd \"name\\\n""#;
        for (name, expected) in [
            (format!("poolbuf_buffers_in_use{{{odd}}}"), 1230.0),
            ("poolbuf_buffers_in_use{pool=\"send pool\"}".into(), 600.0),
            ("poolbuf_buffers_idle{pool=\"send pool\"}".into(), 100.0),
            ("poolbuf_buffers_max{pool=\"send pool\"}".into(), 3000.0),
            (format!("poolbuf_buffers_peak{{{odd}}}"), 1777.0),
            (format!("poolbuf_requests_pending{{{odd}}}"), 17.0),
            (format!("poolbuf_acquires_total{{{odd},outcome=\"direct\"}}"), 964.0),
            (format!("poolbuf_acquires_total{{{odd},outcome=\"waited\"}}"), 36.0),
            (format!("poolbuf_acquires_total{{{odd},outcome=\"refused\"}}"), 7.0),
            (format!("poolbuf_acquires_total{{{odd},outcome=\"timed_out\"}}"), 4.0),
            (format!("poolbuf_acquires_total{{{odd},outcome=\"abandoned\"}}"), 2.0),
            (format!("poolbuf_wait_seconds_total{{{odd}}}"), 0.1),
            ("game_server_messages_total".into(), 3.0),
            (cut_off("no_buffer"), 5.0),
            (cut_off("frame_incomplete"), 6.0),
            (cut_off("answer_unread"), 7.0),
            ("game_server_server_time_seconds_sum".into(), 1.004),
            ("game_server_server_time_seconds_count".into(), 3.0),
        ] {
            let found = samples.iter().find(|(sample, _)| *sample == name);
            assert_eq!(found.map(|(_, value)| *value), Some(expected), "{name}");
        }
        let median = "game_server_server_time_seconds{quantile=\"0.5\"}";
        let found = samples.iter().find(|(sample, _)| sample == median);
        let (_, seconds) = found.expect("a median");
        assert!((0.001_99..0.002_01).contains(seconds), "{seconds}");
    }

    #[test]
    fn without_an_answer_there_is_no_quantile() {
        let figures = Figures {
            pools: Vec::new(),
            server_times: Times::new(),
            cut_off: CutOff::default(),
        };
        let samples = samples(&text(&figures));
        let quantiles = samples.iter().filter(|(name, _)| name.contains("quantile"));
        let values: Vec<_> = quantiles.map(|(_, value)| value.is_nan()).collect();
        assert_eq!(values, [true; 3]);
    }
}
