//! Markdown tables of ratios, from the medians that criterion wrote in this very run. A whole run puts them into
//! docs/BENCHMARKS.md.
//!
//! A ratio is taken between strategies of one criterion group, which ran one right after another. What was
//! not measured, because of a filter or of `--test`, is left out.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, SystemTime};

use criterion::Criterion;
use serde_json::Value;

use crate::common::page;

/// Of each bench, unless the command line says otherwise.
const SAMPLES: usize = 25;

/// One run of a bench binary.
pub(crate) struct Report {
    began: SystemTime,
    /// Where criterion writes its estimates.
    directory: PathBuf,
}

impl Report {
    /// The report of the run that begins now, and the criterion to run it with.
    pub(crate) fn begin() -> (Report, Criterion) {
        // Where criterion would write anyway, but known here: CARGO_TARGET_TMPDIR is a folder of the
        // target directory, whichever that is.
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent();
        let directory = match (env::var_os("CRITERION_HOME"), target) {
            (Some(home), _) => home.into(),
            (None, Some(target)) => target.join("criterion"),
            (None, None) => "criterion".into(),
        };
        // Short: hundreds of measurements in a few minutes. Medians of that many samples repeat to within
        // some percent on a quiet machine, which is all that the tables claim.
        let criterion = Criterion::default()
            .sample_size(SAMPLES)
            .warm_up_time(Duration::from_millis(200))
            .measurement_time(Duration::from_millis(800))
            .nresamples(10_000)
            .without_plots()
            .output_directory(&directory)
            .configure_from_args();
        let report = Report {
            began: SystemTime::now(),
            directory,
        };
        (report, criterion)
    }

    /// Prints `tables`, and how far they can be trusted. A run without arguments, which has measured all there is,
    /// also writes them to section `bench` of docs/BENCHMARKS.md. Nothing when nothing was measured.
    pub(crate) fn publish(&self, bench: &str, tables: &str) {
        let Some(spread) = self.spread() else {
            return;
        };
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let (os, arch) = (env::consts::OS, env::consts::ARCH);
        let made = format!("`cargo bench --bench {bench}`, {os}, {arch}, {cores} cores.");
        let section = format!("{made}\n{tables}\n{spread}\n");
        println!("{section}");
        // Cargo adds this one.
        if env::args().skip(1).all(|argument| argument == "--bench") {
            if let Err(error) = page::write("docs/BENCHMARKS.md", bench, &section) {
                eprintln!("docs/BENCHMARKS.md was not written: {error}");
            }
        }
    }

    /// Nanoseconds an iteration, or `None` when this run did not measure it.
    pub(crate) fn median(&self, group: &str, id: &str) -> Option<f64> {
        let estimates = self.estimates(&self.directory.join(group).join(id))?;
        estimates["median"]["point_estimate"].as_f64()
    }

    /// What criterion wrote about one bench in this run.
    fn estimates(&self, bench: &Path) -> Option<Value> {
        let path = bench.join("new/estimates.json");
        let written = fs::metadata(&path).and_then(|data| data.modified()).ok()?;
        if written < self.began {
            return None; // by an earlier run
        }
        serde_json::from_slice(&fs::read(path).ok()?).ok()
    }

    /// How far the samples of this run lay apart: the median absolute deviation as a share of the median,
    /// that of the bench in the middle and that of the worst. `None` when nothing was measured.
    fn spread(&self) -> Option<String> {
        let folders = |path: &Path| {
            let entries = fs::read_dir(path).into_iter().flatten().flatten();
            entries.map(|entry| entry.path()).collect::<Vec<_>>()
        };
        let groups = folders(&self.directory);
        let mut spreads: Vec<f64> = groups
            .iter()
            .flat_map(|group| folders(group))
            .filter_map(|bench| {
                let estimates = self.estimates(&bench)?;
                let deviation = estimates["median_abs_dev"]["point_estimate"].as_f64()?;
                Some(deviation / estimates["median"]["point_estimate"].as_f64()?)
            })
            .collect();
        spreads.sort_by(f64::total_cmp);
        let typical = spreads.get(spreads.len() / 2)? * 100.0;
        let worst = spreads.last()? * 100.0;
        Some(format!(
            "Each time is the median of {SAMPLES} samples, which lay ±{typical:.0} % apart in the typical bench and \
             ±{worst:.0} % in the worst (median absolute deviation)."
        ))
    }

    /// The time of `id` as a multiple of that of `baseline`, such as `0.31×`.
    pub(crate) fn ratio(&self, group: &str, id: &str, baseline: &str) -> Option<String> {
        let ratio = self.median(group, id)? / self.median(group, baseline)?;
        Some(format!("{ratio:.2}×"))
    }
}

/// A Markdown table, row by row; a row whose cells are all unknown is left out.
pub(crate) struct Table {
    title: String,
    header: Vec<String>,
    rows: Vec<(String, Vec<Option<String>>)>,
}

impl Table {
    pub(crate) fn new(title: impl Into<String>, header: impl IntoIterator<Item = String>) -> Table {
        Table {
            title: title.into(),
            header: header.into_iter().collect(),
            rows: Vec::new(),
        }
    }

    pub(crate) fn row(&mut self, label: impl Into<String>, cells: impl IntoIterator<Item = Option<String>>) {
        let cells: Vec<_> = cells.into_iter().collect();
        if cells.iter().any(Option::is_some) {
            self.rows.push((label.into(), cells));
        }
    }

    /// The table under its title, after an empty line; nothing where no row is left.
    pub(crate) fn render(&self) -> String {
        if self.rows.is_empty() {
            return String::new();
        }
        let mut text = format!("\n**{}**\n\n", self.title);
        text.push_str(&format!("| | {} |\n", self.header.join(" | ")));
        text.push_str(&format!("|---|{}\n", "--:|".repeat(self.header.len())));
        for (label, cells) in &self.rows {
            let cells: Vec<_> = cells.iter().map(|cell| cell.as_deref().unwrap_or("–")).collect();
            text.push_str(&format!("| {label} | {} |\n", cells.join(" | ")));
        }
        text
    }
}
