//! What was wanted of the pool, and whether it is so.
#![forbid(unsafe_code)]

use poolbuf_support::numbers::thousands;

use crate::measure::Load;
use crate::results::{Figure, Group, P50, PER_SECOND, RESIDENT, noise};
use crate::strategy::Strategy;

/// Of (a)'s resident memory, at the most players.
const MEMORY: f64 = 0.20;
/// Of (a)'s throughput, with all messages out at once.
const ALL_AT_ONCE: f64 = 0.95;

/// What is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Memory,
    Throughput,
    Response,
    AllAtOnce,
}

impl Kind {
    pub const ALL: [Kind; 4] = [Kind::Memory, Kind::Throughput, Kind::Response, Kind::AllAtOnce];

    /// In words.
    pub fn wish(self) -> &'static str {
        match self {
            Kind::Memory => {
                "resident memory with the most players at most 20 % of what it is when every connection \
                 holds a buffer (a)"
            }
            Kind::Throughput => "messages/s as good as the best other's or better, within noise",
            Kind::Response => "p50 as good as the best other's or better, within noise",
            Kind::AllAtOnce => "with all messages out at once at least 95 % of (a)'s messages/s, and none failed",
        }
    }
}

/// Something wanted of one load on one runtime.
pub struct Target {
    pub kind: Kind,
    pub met: bool,
    /// What came of it.
    pub line: String,
}

/// All targets, in the order of the tables.
pub fn targets(groups: &[Group]) -> Vec<Target> {
    let of = |load| groups.iter().filter(move |group| group.load == load);
    let most = of(Load::Usual).map(|group| group.connections).max();
    let largest = |group: &&Group| Some(group.connections) == most;
    let memory = of(Load::Usual).filter(largest).filter_map(memory);
    let throughput_noise = noise(groups, Load::Usual, PER_SECOND);
    let throughput = of(Load::Usual).filter_map(|group| {
        beside_the_best(group, Kind::Throughput, PER_SECOND, f64::min, |ratio| {
            ratio >= 1.0 - throughput_noise
        })
    });
    let p50_noise = noise(groups, Load::Usual, P50);
    let p50 = of(Load::Usual)
        .filter_map(|group| beside_the_best(group, Kind::Response, P50, f64::max, |ratio| ratio <= 1.0 + p50_noise));
    let waiting = of(Load::AllAtOnce).filter_map(waiting);
    memory.chain(throughput).chain(p50).chain(waiting).collect()
}

fn memory(group: &Group) -> Option<Target> {
    let ours = group.row(Strategy::Pooled)?;
    let ratio = group.ratio(ours, Strategy::Held, RESIDENT)?;
    Some(Target {
        kind: Kind::Memory,
        met: ratio <= MEMORY,
        line: format!("{}: resident memory {:.1} % of (a)'s", title(group), 100.0 * ratio),
    })
}

/// Ours as a multiple of the best of the others: the worst of its multiples of each.
fn beside_the_best(
    group: &Group,
    kind: Kind,
    figure: Figure,
    worse: fn(f64, f64) -> f64,
    met: impl Fn(f64) -> bool,
) -> Option<Target> {
    let ours = group.row(Strategy::Pooled)?;
    let others = group.rows.iter().map(|row| row.strategy);
    let others = others.filter(|&strategy| strategy != Strategy::Pooled);
    let ratios = others.filter_map(|strategy| group.ratio(ours, strategy, figure));
    let ratio = ratios.reduce(worse)?;
    let what = match kind {
        Kind::Response => "p50",
        _ => "messages/s",
    };
    Some(Target {
        kind,
        met: met(ratio),
        line: format!("{}: {what} {ratio:.2}× the best other's", title(group)),
    })
}

fn waiting(group: &Group) -> Option<Target> {
    let ours = group.row(Strategy::Pooled)?;
    let ratio = group.ratio(ours, Strategy::Held, PER_SECOND)?;
    let faults = ours.faults();
    Some(Target {
        kind: Kind::AllAtOnce,
        met: ratio >= ALL_AT_ONCE && faults == 0,
        line: format!(
            "{}: {:.1} % of (a)'s messages/s, and {faults} failed",
            title(group),
            100.0 * ratio
        ),
    })
}

/// Which load on which runtime.
pub fn title(group: &Group) -> String {
    let load = match group.load {
        Load::Usual => "",
        Load::AllAtOnce => ", all at once",
    };
    format!(
        "{}, {} B, {} players{load}",
        group.runtime.name(),
        thousands(group.message as u64),
        thousands(group.connections as u64),
    )
}
