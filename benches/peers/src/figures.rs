//! What one binary measured, and the file that it is kept in.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use std::{fs, io};

use serde::{Deserialize, Serialize};

use crate::candidates::floor::FLOOR;
use crate::candidates::ours::OURS;

/// The binaries of a whole run. The name of each but the first is that of its allocator.
pub(crate) const BINARIES: [&str; 4] = ["peers", "mimalloc", "jemalloc", "snmalloc"];
/// Figures that were stored longer ago than this are of another run.
const WINDOW: Duration = Duration::from_secs(12 * 60 * 60);

#[derive(Debug, Default, Deserialize, Serialize)]
pub(crate) struct Figures {
    pub(crate) binary: String,
    /// Measured with one busy neighbour.
    #[serde(default)]
    pub(crate) busy: bool,
    /// Seconds since the epoch at which it was done.
    pub(crate) made: u64,
    /// Seconds that it took.
    pub(crate) seconds: u64,
    pub(crate) rounds: usize,
    /// By workload, then by candidate.
    pub(crate) workloads: BTreeMap<String, BTreeMap<String, Series>>,
}

/// One candidate's figures of one workload: a figure for each round, in nanoseconds an operation (or MiB).
#[derive(Debug, Default, Deserialize, Serialize)]
pub(crate) struct Series {
    pub(crate) label: String,
    pub(crate) rounds: Vec<f64>,
}

impl Series {
    pub(crate) fn median(&self) -> Option<f64> {
        median(self.rounds.iter().copied())
    }

    /// How far the rounds lay apart: the median absolute deviation as a share of the median.
    pub(crate) fn spread(&self) -> Option<f64> {
        let middle = self.median()?;
        let deviation = median(self.rounds.iter().map(|round| (round - middle).abs()))?;
        (self.rounds.len() > 1).then_some(deviation / middle)
    }
}

pub(crate) fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = *values.get(middle)?;
    if values.len() % 2 == 1 {
        return Some(upper);
    }
    Some((values[middle - 1] + upper) / 2.0)
}

impl Figures {
    pub(crate) fn add(&mut self, workload: &str, candidate: &str, label: &str, figure: f64) {
        let workload = self.workloads.entry(workload.into()).or_default();
        let series = workload.entry(candidate.into()).or_default();
        series.label = label.into();
        series.rounds.push(figure);
    }

    pub(crate) fn median(&self, workload: &str, candidate: &str) -> Option<f64> {
        self.workloads.get(workload)?.get(candidate)?.median()
    }

    /// A candidate's time as a multiple of ours.
    pub(crate) fn to_ours(&self, workload: &str, candidate: &str) -> Option<f64> {
        Some(self.median(workload, candidate)? / self.median(workload, OURS)?)
    }

    /// A candidate's time as a multiple of the floor's.
    pub(crate) fn to_floor(&self, workload: &str, candidate: &str) -> Option<f64> {
        Some(self.median(workload, candidate)? / self.median(workload, FLOOR)?)
    }

    pub(crate) fn minutes_ago(&self) -> u64 {
        seconds_since(UNIX_EPOCH).saturating_sub(self.made) / 60
    }

    /// Notes when they were made, and in how long.
    pub(crate) fn done(&mut self, began: SystemTime) {
        self.made = seconds_since(UNIX_EPOCH);
        self.seconds = seconds_since(began);
    }

    pub(crate) fn store(&self) -> io::Result<()> {
        fs::create_dir_all(directory())?;
        fs::write(file(&self.binary, self.busy), serde_json::to_vec_pretty(&self)?)
    }
}

/// What the binaries of this run have stored, in the order of [`BINARIES`], quiet or with one busy neighbour.
pub(crate) fn stored(busy: bool) -> Vec<Figures> {
    let now = seconds_since(UNIX_EPOCH);
    let stored = BINARIES.iter().filter_map(|binary| {
        let figures = fs::read(file(binary, busy)).ok()?;
        let figures: Figures = serde_json::from_slice(&figures).ok()?;
        let age = now.saturating_sub(figures.made);
        (age < WINDOW.as_secs()).then_some(figures)
    });
    stored.collect()
}

/// Where figures are kept and criterion writes: a folder of the target directory, whichever that is.
pub(crate) fn directory() -> PathBuf {
    let executable = std::env::current_exe().unwrap_or_default();
    // target/release/deps/<binary>
    let target = executable.ancestors().nth(3).unwrap_or(Path::new("target"));
    target.join("poolbuf-peers")
}

fn file(binary: &str, busy: bool) -> PathBuf {
    let state = if busy { "-busy" } else { "" };
    directory().join(format!("{binary}{state}.json"))
}

fn seconds_since(time: SystemTime) -> u64 {
    time.elapsed().unwrap_or_default().as_secs()
}
