//! Measures in rounds: in each, every candidate of a workload once, each time beginning with another. What
//! disturbs the machine for a while then disturbs all of them alike, and the median over the rounds leaves
//! it out.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use criterion::{BenchmarkId, Criterion, SamplingMode};
use serde_json::Value;

use crate::Set;
use crate::figures::{self, Figures};
use crate::options::Options;
use crate::workloads::latency::PERCENTILES;
use crate::workloads::{self, Candidate, Workload, burst, latency};

/// Of the operations whose latency is taken, by each thread in each round.
const LATENCIES: u64 = 50_000;
/// Set, to the name of a candidate, in the environment of the process that has a burst of it.
const BURST: &str = "POOLBUF_PEERS_BURST";
const BURST_ID: &str = "burst";
const LATENCY_ID: &str = "latency";
/// How many candidates further each round begins; shares no divisor with any number of candidates, so that
/// each round of a run begins with another.
const STEP: usize = 11;
const MEBIBYTE: f64 = 1024.0 * 1024.0;

/// Lets this process have its burst, if it is one of those that are made for that.
pub(crate) fn was_burst(set: Set) -> bool {
    let Some(wanted) = std::env::var_os(BURST) else {
        return false;
    };
    for candidate in burst::candidates(set) {
        if wanted == candidate.id {
            let figures = (candidate.measure)();
            println!("{}", figures.map_or("null".into(), |f| format!("{f:?}")));
        }
    }
    true
}

/// Everything, or what the options leave of it.
pub(crate) fn all(binary: &str, set: Set, options: &Options) -> Figures {
    let mut figures = Figures {
        binary: binary.into(),
        busy: options.busy,
        rounds: options.rounds(),
        ..Figures::default()
    };
    warm_heap();
    with_criterion(set, options, &mut figures);
    latencies(set, options, &mut figures);
    bursts(set, options, &mut figures);
    figures
}

/// Brings glibc's heap into the state that it reaches sooner or later in most processes, now, so that it does
/// not depend on what ran before: the first free of a large mapped block (such as the memory of a pool)
/// raises, for good, how much free memory the heap keeps before it gives any back. Thereafter it hardly gives
/// any back, which makes `Vec` faster.
fn warm_heap() {
    drop(std::hint::black_box(vec![1_u8; 31 << 20]));
}

/// The candidates, each round beginning with another.
fn rotated<F>(candidates: &[Candidate<F>], round: usize) -> impl Iterator<Item = &Candidate<F>> {
    let (last, first) = candidates.split_at(round * STEP % candidates.len().max(1));
    first.iter().chain(last)
}

fn with_criterion(set: Set, options: &Options, figures: &mut Figures) {
    let directory = figures::directory().join(format!("criterion-{}", figures.binary));
    let began = SystemTime::now();
    // Short, since there are many, and more rounds say more than more samples.
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(50))
        .measurement_time(Duration::from_millis(120))
        .nresamples(1_000)
        .without_plots()
        .output_directory(&directory)
        .configure_from_args();
    for workload in workloads::all(set) {
        let Workload { id, candidates, .. } = &workload;
        for round in 0..options.rounds() {
            let mut group = criterion.benchmark_group(id);
            // As many operations in each sample: with few of them threads hardly overlap.
            group.sampling_mode(SamplingMode::Flat);
            for candidate in rotated(candidates, round) {
                let name = format!("{id}/{}/{round}", candidate.id);
                if !options.wants(&name) {
                    continue; // or its pool would be made for nothing
                }
                let benchmark = BenchmarkId::new(candidate.id, round);
                (candidate.measure)(&mut group, benchmark, workload.threads);
                let median = criterions_median(&directory.join(name), began);
                if let Some(median) = median {
                    let nanoseconds = median / workload.operations as f64;
                    figures.add(id, candidate.id, candidate.label, nanoseconds);
                }
            }
            group.finish();
        }
    }
    criterion.final_summary();
}

/// Nanoseconds an iteration, unless an earlier run wrote them.
fn criterions_median(directory: &Path, began: SystemTime) -> Option<f64> {
    let estimates = directory.join("new/estimates.json");
    let written = fs::metadata(&estimates).and_then(|data| data.modified()).ok()?;
    if written < began {
        return None;
    }
    let estimates: Value = serde_json::from_slice(&fs::read(estimates).ok()?).ok()?;
    estimates["median"]["point_estimate"].as_f64()
}

fn latencies(set: Set, options: &Options, figures: &mut Figures) {
    let operations = if options.test { 100 } else { LATENCIES };
    let candidates = latency::candidates(set);
    for round in 0..options.rounds() {
        for candidate in rotated(&candidates, round) {
            let name = format!("{LATENCY_ID}/{}/{round}", candidate.id);
            if !options.wants(&name) {
                continue;
            }
            let histogram = (candidate.measure)(operations);
            println!("{name}");
            if options.test {
                continue;
            }
            for (id, share) in PERCENTILES {
                let nanoseconds = histogram.value_at_quantile(share) as f64;
                figures.add(id, candidate.id, candidate.label, nanoseconds);
            }
        }
    }
}

fn bursts(set: Set, options: &Options, figures: &mut Figures) {
    let candidates = burst::candidates(set);
    for round in 0..options.rounds() {
        for candidate in rotated(&candidates, round) {
            let name = format!("{BURST_ID}/{}/{round}", candidate.id);
            if !options.wants(&name) {
                continue;
            }
            println!("{name}");
            let moments = in_own_process(candidate.id);
            if options.test {
                continue;
            }
            for (id, bytes) in burst::MOMENTS.iter().zip(moments.into_iter().flatten()) {
                figures.add(id, candidate.id, candidate.label, bytes as f64 / MEBIBYTE);
            }
        }
    }
}

fn in_own_process(candidate: &str) -> Option<[u64; 4]> {
    let output = std::env::current_exe().and_then(|executable| Command::new(executable).env(BURST, candidate).output());
    match output {
        Ok(output) if output.status.success() => serde_json::from_slice(&output.stdout).ok()?,
        _ => {
            eprintln!("no figures for {candidate}: this program could not run itself again");
            None
        }
    }
}
