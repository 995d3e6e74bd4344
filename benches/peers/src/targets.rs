//! What the pools are meant to reach, and whether they do in this run.

use std::thread;

use crate::candidates::mutex::NAIVE;
use crate::comparison::{Comparison, Entrant, Kind};
use crate::strategy::{Body, InRegisters, ThroughResult};
use crate::table::{Table, multiple};
use crate::workloads::{
    THREADS,
    alternating::ALTERNATING,
    handed_over::{CHANNEL, HANDED_OVER, HANDED_OVER_MANY},
    held::HELD,
    kept,
    near_exhaustion::NEAR_EXHAUSTION,
    one_at_a_time::ONE_AT_A_TIME,
    ring, threaded,
};

/// How much slower something may be and still count as level: what two runs of the same differ by.
const LEVEL: f64 = 1.05;

pub(crate) struct Target {
    pub(crate) what: String,
    /// What it is measured against.
    against: String,
    wanted: String,
    reached: f64,
    pub(crate) met: bool,
}

/// In both states of the machine; none where it was not measured.
#[derive(Default)]
pub(crate) struct Targets {
    pub(crate) quiet: Vec<Target>,
    pub(crate) busy: Vec<Target>,
}

/// Of all that was measured.
pub(crate) fn all(comparison: &Comparison) -> Vec<Target> {
    let mut targets = Vec::new();
    targets.extend(best_other(comparison, "by reference", ONE_AT_A_TIME, 1.4));
    let in_registers = id::<InRegisters>(ONE_AT_A_TIME);
    targets.extend(in_memory(
        comparison,
        "by reference",
        ONE_AT_A_TIME,
        "in registers",
        &in_registers,
    ));
    let through_result = id::<ThroughResult>(ONE_AT_A_TIME);
    targets.extend(best_other(comparison, "through a `Result`", &through_result, 2.0));
    targets.extend(in_memory(
        comparison,
        "`dyn Pool`",
        kept::DYNAMIC,
        "by reference",
        ONE_AT_A_TIME,
    ));
    for (what, workload) in [
        ("kept in a future", kept::FUTURE),
        ("kept in a field", kept::FIELD),
        ("kept in a `Vec`", kept::VECTOR),
        ("kept in a channel", kept::CHANNEL),
    ] {
        targets.extend(best_other(comparison, what, workload, 1.2));
    }
    targets.extend(floor(comparison, "in registers", &in_registers, 4.0));
    targets.extend(floor(comparison, "64 held at once", HELD, LEVEL));
    targets.extend(tiers(comparison));
    for threads in THREADS.into_iter().filter(|&threads| threads > 1) {
        let what = format!("{threads} threads");
        targets.extend(best_other(comparison, &what, &threaded::id(threads), 1.5));
    }
    targets.extend(best_other(comparison, "2 threads, 16 held by each", &ring::id(2), 1.5));
    for (what, workload) in [
        ("released on another thread", HANDED_OVER),
        ("released on another thread, 32 at once", HANDED_OVER_MANY),
    ] {
        targets.extend(without_channel(comparison, what, workload));
    }
    targets.extend(in_turn(comparison));
    targets.extend(best_other(
        comparison,
        "the slowest of 1,000 operations (99.9th percentile)",
        "latency-p99.9",
        1.0,
    ));
    targets.extend(near_exhaustion(comparison));
    targets
}

/// The best of what a user could take instead takes `wanted` times as long as ours.
fn best_other(comparison: &Comparison, what: &str, workload: &str, wanted: f64) -> Option<Target> {
    let (best, ratio) = comparison.best_peer(workload)?;
    Some(Target {
        what: format!("{what}: the best other"),
        against: best.label.clone(),
        wanted: format!("at least {wanted}×"),
        reached: ratio,
        met: ratio >= wanted,
    })
}

/// A workload's name in that body.
fn id<B: Body>(workload: &str) -> String {
    format!("{workload}{}", B::SUFFIX)
}

/// Ours takes at most `most` times as long as the floor.
fn floor(comparison: &Comparison, what: &str, workload: &str, most: f64) -> Option<Target> {
    let ours = kind(comparison, Kind::Ours)?;
    let ratio = comparison.to_floor(ours, workload)?;
    Some(Target {
        what: format!("{what}: ours"),
        against: "the floor".into(),
        wanted: format!("at most {most}×"),
        reached: ratio,
        met: ratio <= most,
    })
}

/// Ours takes at most twice as long as it does where its guards are at `home`.
fn in_memory(comparison: &Comparison, what: &str, workload: &str, against: &str, home: &str) -> Option<Target> {
    let ratio = comparison.ours(workload)? / comparison.ours(home)?;
    Some(Target {
        what: format!("{what}: ours"),
        against: against.into(),
        wanted: "at most 2×".into(),
        reached: ratio,
        met: ratio <= 2.0,
    })
}

fn tiers(comparison: &Comparison) -> Option<Target> {
    let ratio = comparison.to_ours(kind(comparison, Kind::MultiSize)?, ONE_AT_A_TIME)?;
    Some(Target {
        what: "by reference: `MultiSizePool`".into(),
        against: "`BufferPool`".into(),
        wanted: "at most 1.5×".into(),
        reached: ratio,
        met: ratio <= 1.5,
    })
}

/// As `best_other`, of what is left when the channel's own time is taken off. Infinite where ours cannot be told from
/// the channel alone.
fn without_channel(comparison: &Comparison, what: &str, workload: &str) -> Option<Target> {
    let (best, _) = comparison.best_peer(workload)?;
    let channel = comparison.figure(with_id(comparison, CHANNEL)?, workload)?;
    let left = |nanoseconds: f64| (nanoseconds - channel).max(0.0);
    let ratio = left(comparison.figure(best, workload)?) / left(comparison.ours(workload)?);
    Some(Target {
        what: format!("{what}, the channel taken off: the best other"),
        against: best.label.clone(),
        wanted: "at least 2×".into(),
        reached: ratio,
        // Not met where neither can be told from the channel alone.
        met: ratio >= 2.0,
    })
}

fn in_turn(comparison: &Comparison) -> Option<Target> {
    let ratio = comparison.ours(ALTERNATING)? / comparison.ours(ONE_AT_A_TIME)?;
    Some(Target {
        what: "two pools in turn: ours, for each buffer".into(),
        against: "one pool".into(),
        wanted: format!("level (at most {LEVEL}×)"),
        reached: ratio,
        met: ratio <= LEVEL,
    })
}

fn near_exhaustion(comparison: &Comparison) -> Vec<Target> {
    let level = |what: &str, against: String, ratio: f64| Target {
        what: format!("near exhaustion: {what}"),
        against,
        wanted: format!("level (at least {:.2}×)", 1.0 / LEVEL),
        reached: ratio,
        met: ratio >= 1.0 / LEVEL,
    };
    let naive = with_id(comparison, NAIVE).and_then(|naive| {
        let ratio = comparison.to_ours(naive, NEAR_EXHAUSTION)?;
        Some(level("the naive pool", naive.label.clone(), ratio))
    });
    let best = comparison.best_peer(NEAR_EXHAUSTION);
    let best = best.map(|(best, ratio)| level("the best other", best.label.clone(), ratio));
    best.into_iter().chain(naive).collect()
}

fn with_id<'a>(comparison: &'a Comparison, id: &str) -> Option<&'a Entrant> {
    comparison.entrants.iter().find(|entrant| entrant.id == id)
}

fn kind(comparison: &Comparison, kind: Kind) -> Option<&Entrant> {
    comparison.entrants.iter().find(|entrant| entrant.kind == kind)
}

/// The share of a core's time that one operation takes, from the wall time for all.
pub(crate) fn per_core(nanoseconds: f64, threads: usize) -> f64 {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    nanoseconds * threads.min(cores) as f64
}

impl Targets {
    /// Of what was measured in one state.
    pub(crate) fn new(comparison: &Comparison, busy: bool) -> Self {
        let mut targets = Targets::default();
        let state = if busy { &mut targets.busy } else { &mut targets.quiet };
        *state = all(comparison);
        targets
    }

    /// One row for each; a state that was not measured is left open.
    pub(crate) fn table(&self) -> Option<String> {
        let mut table = Table::new(&["", "wanted", "quiet", "", "one busy neighbour", ""]);
        let rows = if self.quiet.is_empty() { &self.busy } else { &self.quiet };
        for row in rows {
            let mut cells = vec![Some(row.wanted.clone())];
            for state in [&self.quiet, &self.busy] {
                let target = state.iter().find(|target| target.what == row.what);
                cells.push(target.map(|it| format!("{} ({})", multiple(it.reached), it.against)));
                cells.push(target.map(|it| if it.met { "met" } else { "**missed**" }.into()));
            }
            table.row(&row.what, cells);
        }
        table.render()
    }

    /// A line for each state that was measured.
    pub(crate) fn summary(&self) -> String {
        let states = [("quiet", &self.quiet), ("with one busy neighbour", &self.busy)];
        let measured = states.into_iter().filter(|(_, targets)| !targets.is_empty());
        let lines: Vec<_> = measured.map(|(state, targets)| summary(state, targets)).collect();
        lines.join("\n\n")
    }
}

fn summary(state: &str, targets: &[Target]) -> String {
    let (met, missed): (Vec<_>, Vec<_>) = targets.iter().partition(|target| target.met);
    let text = format!("Of {} targets, {} are met {state}.", targets.len(), met.len());
    let missed: Vec<_> = missed
        .into_iter()
        .map(|target| {
            let Target {
                what,
                against,
                wanted,
                reached,
                ..
            } = target;
            format!("{what} ({against}) {}, wanted {wanted}", multiple(*reached))
        })
        .collect();
    if missed.is_empty() {
        return text;
    }
    format!("{text} Missed: {}.", missed.join("; "))
}
