//! The server's figures at one moment: what the screen shows and the history keeps.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use poolbuf::PoolStats;

use crate::report::resident_memory;
use crate::server::{Answers, Figures, histogram};

/// Figures at one moment.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    /// Since the start.
    pub(crate) at: Duration,
    /// The receive pool and the send pool.
    pub(crate) pools: Vec<PoolStats>,
    /// Since the start.
    pub(crate) messages: u64,
    /// Since the snapshot before.
    pub(crate) last: Answers,
    pub(crate) messages_per_second: f64,
    /// Since the snapshot before, from whole frame to answer sent; 0 without an answer.
    pub(crate) responses: Percentiles,
    /// Bytes; `None` where the system does not say.
    pub(crate) resident: Option<u64>,
}

/// Response times in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Percentiles {
    pub(crate) p50: u64,
    pub(crate) p99: u64,
    pub(crate) p999: u64,
}

impl Percentiles {
    pub(crate) fn of(responses: &Histogram<u64>) -> Percentiles {
        Percentiles {
            p50: responses.value_at_quantile(0.5),
            p99: responses.value_at_quantile(0.99),
            p999: responses.value_at_quantile(0.999),
        }
    }
}

/// Takes snapshots of a server, and remembers the one before.
pub(crate) struct Sampler {
    figures: Figures,
    start: Instant,
    at: Duration,
    answers: Answers,
    responses: Histogram<u64>,
}

impl Sampler {
    pub(crate) fn new(figures: Figures) -> Sampler {
        Sampler {
            figures,
            start: Instant::now(),
            at: Duration::ZERO,
            answers: Answers::default(),
            responses: histogram(),
        }
    }

    /// Whether the last snapshot was taken so shortly ago that rates since would say little.
    pub(crate) fn is_recent(&self) -> bool {
        self.start.elapsed() - self.at < Duration::from_millis(100)
    }

    pub(crate) fn sample(&mut self) -> Snapshot {
        let at = self.start.elapsed();
        let answers = self.figures.answers();
        let responses = self.figures.responses();
        let seconds = (at - self.at).as_secs_f64();
        let last = answers - self.answers;
        let mut recent = responses.clone();
        // Counts only grow: there is never less than there was. Were there, all would stay in.
        let _ = recent.subtract(&self.responses);
        (self.at, self.answers, self.responses) = (at, answers, responses);
        Snapshot {
            at,
            pools: self.figures.pools(),
            messages: answers.count,
            last,
            messages_per_second: last.count as f64 / seconds.max(1e-9),
            responses: Percentiles::of(&recent),
            resident: resident_memory(),
        }
    }
}
