//! What is printed: a line a second for each pool, and the report at the end.

use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;
use poolbuf::PoolStats;

use crate::numbers::{millis, thousands};
use crate::server::Answers;

/// A pool's line, in the chapter's format: use now, success rate since the start, the server's average
/// response (frame whole to answer sent) of the last second, and the advice, which is the library's.
pub(crate) fn pool_line(stats: &PoolStats, last_second: Answers) -> String {
    let served = 10_000 - stats.refused_basis_points();
    format!(
        "{}: {}% of {} in use | {}.{:02}% served | {} avg response | {}",
        stats.name,
        stats.used_percent(),
        stats.max,
        served / 100,
        served % 100,
        millis(last_second.nanos / last_second.count.max(1)),
        stats.health(),
    )
}

/// The report at the end of a run.
pub(crate) struct Report {
    pub(crate) title: String,
    pub(crate) elapsed: Duration,
    pub(crate) messages: u64,
    pub(crate) responses: Histogram<u64>,
    /// Between what the responses were measured.
    pub(crate) response_of: &'static str,
    /// What the players found, where they are in this process.
    pub(crate) verdict: Option<Verdict>,
    /// The server's pools, all connections closed; empty where the server is another process.
    pub(crate) pools: Vec<PoolStats>,
    /// Bytes, while connections were open; `None` where the system does not say.
    pub(crate) resident: Option<u64>,
    /// Whose memory that is.
    pub(crate) resident_of: &'static str,
    /// What else went wrong: a line each.
    pub(crate) faults: Vec<String>,
}

pub(crate) struct Verdict {
    pub(crate) verified: u64,
    pub(crate) differences: u64,
    pub(crate) failures: u64,
}

impl Report {
    /// What went wrong; empty after a good run.
    pub(crate) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if let Some(verdict) = &self.verdict {
            if verdict.differences > 0 {
                problems.push(format!("{} answers differed", verdict.differences));
            }
            if verdict.failures > 0 {
                problems.push(format!("{} connections failed", verdict.failures));
            }
            if self.messages == 0 {
                problems.push("no message was answered".to_owned());
            }
        }
        for pool in self.pools.iter().filter(|pool| pool.in_use > 0) {
            problems.push(format!(
                "{} buffers of the {} did not come back",
                pool.in_use, pool.name
            ));
        }
        problems.extend(self.faults.iter().cloned());
        problems
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.elapsed.as_secs_f64();
        writeln!(f, "{}, {seconds:.1} s", self.title)?;
        writeln!(
            f,
            "messages    {} ({}/s)",
            thousands(self.messages),
            thousands((self.messages as f64 / seconds) as u64),
        )?;
        writeln!(
            f,
            "response    p50 {}, p99 {}, max {} ({})",
            millis(self.responses.value_at_quantile(0.5)),
            millis(self.responses.value_at_quantile(0.99)),
            millis(self.responses.max()),
            self.response_of,
        )?;
        if let Some(verdict) = &self.verdict {
            writeln!(
                f,
                "verified    {} bytes; {} answers differed, {} connections failed",
                thousands(verdict.verified),
                thousands(verdict.differences),
                thousands(verdict.failures),
            )?;
        }
        for pool in &self.pools {
            writeln!(
                f,
                "{}   peak use {} of {} buffers, {} refusals, {} not returned",
                pool.name,
                thousands(pool.high_water as u64),
                thousands(pool.max as u64),
                thousands(pool.refused),
                thousands(pool.in_use as u64),
            )?;
        }
        match self.resident {
            Some(bytes) => write!(
                f,
                "memory      {:.1} MiB resident ({})",
                bytes as f64 / f64::from(1 << 20),
                self.resident_of
            ),
            None => write!(f, "memory      not known on this system"),
        }
    }
}

/// Resident memory of this process in bytes, where the system says so in `/proc`.
pub(crate) fn resident_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib * 1024)
}
