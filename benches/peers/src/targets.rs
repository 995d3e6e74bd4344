//! What the pools are meant to reach, and whether they do in this run.

use std::thread;

use crate::candidates::allocator::ALLOCATOR;
use crate::candidates::mutex::NAIVE;
use crate::comparison::{Comparison, Entrant, Kind};
use crate::table::{Table, multiple};
use crate::workloads::{
    THREADS, alternating::ALTERNATING, handed_over::HANDED_OVER, held::HELD,
    near_exhaustion::NEAR_EXHAUSTION, one_at_a_time::ONE_AT_A_TIME, ring, threaded,
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

/// Of all that was measured.
pub(crate) fn all(comparison: &Comparison) -> Vec<Target> {
    let mut targets = Vec::new();
    targets.extend(twice(comparison, "one at a time", ONE_AT_A_TIME));
    targets.extend(twice(comparison, "64 held at once", HELD));
    let count = |threads| {
        if threads == 1 {
            "1 thread".into()
        } else {
            format!("{threads} threads")
        }
    };
    for threads in THREADS {
        let what = count(threads);
        targets.extend(twice(comparison, &what, &threaded::id(threads)));
    }
    for threads in THREADS {
        let what = format!("{}, 16 held by each", count(threads));
        targets.extend(twice(comparison, &what, &ring::id(threads)));
    }
    targets.extend(twice(comparison, "released on another thread", HANDED_OVER));
    targets.extend(twice(comparison, "two pools in turn", ALTERNATING));
    targets.extend(floor(comparison));
    targets.extend(scaling(comparison));
    targets.extend(glibc(comparison));
    targets.extend(tail(comparison));
    targets.extend(near_exhaustion(comparison));
    targets
}

/// The best of what a user could take instead takes twice as long as ours.
fn twice(comparison: &Comparison, what: &str, workload: &str) -> Option<Target> {
    let (best, ratio) = comparison.best_peer(workload)?;
    Some(Target {
        what: format!("{what}: the best other"),
        against: best.label.clone(),
        wanted: "at least 2×".into(),
        reached: ratio,
        met: ratio >= 2.0,
    })
}

fn floor(comparison: &Comparison) -> Option<Target> {
    let ours = kind(comparison, Kind::Ours)?;
    let ratio = comparison.to_floor(ours, ONE_AT_A_TIME)?;
    Some(Target {
        what: "one at a time: ours".into(),
        against: "the floor".into(),
        wanted: "at most 6×".into(),
        reached: ratio,
        met: ratio <= 6.0,
    })
}

fn scaling(comparison: &Comparison) -> Vec<Target> {
    let time = |threads| comparison.ours(&threaded::id(threads));
    let (Some(one), Some(two), Some(eight)) = (time(1), time(2), time(8)) else {
        return Vec::new();
    };
    let each = per_core(two, 2) / one;
    let total = eight / two;
    vec![
        Target {
            what: "2 threads: ours, for each operation and core".into(),
            against: "1 thread".into(),
            wanted: "at most 1.1×".into(),
            reached: each,
            met: each <= 1.1,
        },
        Target {
            what: "8 threads: ours, for each operation".into(),
            against: "2 threads".into(),
            wanted: format!("level (at most {LEVEL}×)"),
            reached: total,
            met: total <= LEVEL,
        },
    ]
}

fn glibc(comparison: &Comparison) -> Option<Target> {
    if !cfg!(target_env = "gnu") {
        return None;
    }
    let figures = comparison
        .figures()
        .iter()
        .find(|own| own.binary == "peers")?;
    let ratio = figures.to_ours(HELD, ALLOCATOR)?;
    Some(Target {
        what: "64 held at once: `Vec` under glibc".into(),
        against: "ours".into(),
        wanted: "at least 10×".into(),
        reached: ratio,
        met: ratio >= 10.0,
    })
}

fn tail(comparison: &Comparison) -> Option<Target> {
    let (best, ratio) = comparison.best_peer("latency-p99.9")?;
    Some(Target {
        what: "the slowest of 1,000 operations (99.9th percentile): the best other".into(),
        against: best.label.clone(),
        wanted: "at least 1×".into(),
        reached: ratio,
        met: ratio >= 1.0,
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
    let naive = comparison
        .entrants
        .iter()
        .find(|entrant| entrant.id == NAIVE);
    let naive = naive.and_then(|naive| {
        let ratio = comparison.to_ours(naive, NEAR_EXHAUSTION)?;
        Some(level("the naive pool", naive.label.clone(), ratio))
    });
    let best = comparison.best_peer(NEAR_EXHAUSTION);
    let best = best.map(|(best, ratio)| level("the best other", best.label.clone(), ratio));
    best.into_iter().chain(naive).collect()
}

fn kind(comparison: &Comparison, kind: Kind) -> Option<&Entrant> {
    comparison
        .entrants
        .iter()
        .find(|entrant| entrant.kind == kind)
}

/// The share of a core's time that one operation takes, from the wall time for all.
pub(crate) fn per_core(nanoseconds: f64, threads: usize) -> f64 {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    nanoseconds * threads.min(cores) as f64
}

/// One row for each.
pub(crate) fn table(targets: &[Target]) -> Option<String> {
    let mut table = Table::new(&["", "against", "wanted", "reached", ""]);
    for target in targets {
        let verdict = if target.met { "met" } else { "**missed**" };
        let cells = [
            &target.against,
            &target.wanted,
            &multiple(target.reached),
            verdict,
        ];
        table.row(&target.what, cells.map(|cell| Some(String::from(cell))));
    }
    table.render()
}

/// One line for all of them.
pub(crate) fn summary(targets: &[Target]) -> String {
    let met = targets.iter().filter(|target| target.met).count();
    let missed = targets.iter().filter(|target| !target.met);
    let missed: Vec<_> = missed
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
    let text = format!("Of {} targets, {met} are met.", targets.len());
    if missed.is_empty() {
        return text;
    }
    format!("{text} Missed: {}.", missed.join("; "))
}
