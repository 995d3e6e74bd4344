//! The figures as Prometheus text (exposition format 0.0.4). Names follow HikariCP's and OpenTelemetry's
//! conventions for pools.

use std::fmt::{Display, Write};

use hdrhistogram::Histogram;
use poolbuf::PoolStats;

use crate::server::Answers;

/// What a scrape gets: of each pool, and of the server's answers so far, whose `responses` are in
/// nanoseconds.
pub(crate) fn text(stats: &[PoolStats], answers: Answers, responses: &Histogram<u64>) -> String {
    let mut text = Text::default();
    pools(&mut text, stats);

    let name = "game_server_messages_total";
    text.family(name, "counter", "Messages answered.");
    text.sample(name, &[], answers.count);
    let name = "game_server_response_seconds";
    let help = "From a whole frame received to its answer sent; quantiles since the start.";
    text.family(name, "summary", help);
    for (quantile, label) in [(0.5, "0.5"), (0.99, "0.99"), (0.999, "0.999")] {
        // Without an answer there is no quantile.
        let value = match responses.len() {
            0 => f64::NAN,
            _ => seconds(responses.value_at_quantile(quantile)),
        };
        text.sample(name, &[("quantile", label)], value);
    }
    text.sample(&format!("{name}_sum"), &[], seconds(answers.nanos));
    text.sample(&format!("{name}_count"), &[], answers.count);
    text.0
}

/// One of a pool's figures.
type Figure = fn(&PoolStats) -> usize;

fn pools(text: &mut Text, stats: &[PoolStats]) {
    let gauges: [(&str, &str, Figure); 6] = [
        ("poolbuf_buffers_in_use", "Buffers that are lent.", |pool| {
            pool.in_use
        }),
        (
            "poolbuf_buffers_idle",
            "Buffers that exist and are free.",
            |pool| pool.available,
        ),
        (
            "poolbuf_buffers_max",
            "Buffers that can exist at most.",
            |pool| pool.max,
        ),
        (
            "poolbuf_buffers_peak",
            "Buffers that were ever lent, each counted once.",
            |pool| pool.high_water,
        ),
        (
            "poolbuf_requests_pending",
            "Requests that wait for a buffer.",
            |pool| pool.waiting,
        ),
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
