//! The runs of all rounds, and what follows from them.
//!
//! A figure is the median of its rounds. A ratio is the median of the rounds' ratios, each of runs that
//! followed each other: so a machine that is slower for a while does not count.
#![forbid(unsafe_code)]

use crate::measure::{Cell, Load, Run};
use crate::strategy::{Runtime, Strategy};

/// A figure of a run, where there is one.
pub type Figure = fn(&Run) -> Option<f64>;

pub const PER_SECOND: Figure = |run| Some(run.per_second);
pub const P50: Figure = |run| Some(run.p50_nanos);
pub const P99: Figure = |run| Some(run.p99_nanos);
pub const CPU: Figure = |run| run.cpu_nanos;
pub const RESIDENT: Figure = |run| run.resident;

/// The same load on the same runtime, by strategy: what is compared.
pub struct Group {
    pub runtime: Runtime,
    pub message: usize,
    pub connections: usize,
    pub load: Load,
    pub rows: Vec<Row>,
}

/// The runs of one strategy, one for each round.
pub struct Row {
    pub strategy: Strategy,
    pub runs: Vec<Run>,
}

impl Group {
    pub fn new(runtime: Runtime, message: usize, connections: usize, load: Load, strategies: &[Strategy]) -> Group {
        let row = |&strategy| Row {
            strategy,
            runs: Vec::new(),
        };
        Group {
            runtime,
            message,
            connections,
            load,
            rows: strategies.iter().map(row).collect(),
        }
    }

    /// What is run for the row with that index.
    pub fn cell(&self, row: usize) -> Cell {
        Cell {
            runtime: self.runtime,
            strategy: self.rows[row].strategy,
            message: self.message,
            connections: self.connections,
            load: self.load,
        }
    }

    pub fn row(&self, strategy: Strategy) -> Option<&Row> {
        self.rows.iter().find(|row| row.strategy == strategy)
    }

    /// A figure of a row as a multiple of that of a strategy.
    pub fn ratio(&self, row: &Row, to: Strategy, figure: Figure) -> Option<f64> {
        median(&self.ratios(row, to, figure))
    }

    /// The same for each round.
    fn ratios(&self, row: &Row, to: Strategy, figure: Figure) -> Vec<f64> {
        let bases = self.row(to).into_iter().flat_map(|base| &base.runs);
        let pairs = row.runs.iter().zip(bases);
        pairs
            .filter_map(|(run, base)| Some(figure(run)? / figure(base)?))
            .collect()
    }
}

impl Row {
    pub fn figure(&self, figure: Figure) -> Option<f64> {
        median(&self.runs.iter().filter_map(figure).collect::<Vec<_>>())
    }

    /// Connections that failed, and answers that differed, in all rounds.
    pub fn faults(&self) -> u64 {
        let faults = |run: &Run| run.failures + run.differences;
        self.runs.iter().map(faults).sum()
    }
}

/// How far a round's ratio to (a) lies from the median of its row's, as a share of it, on average over that
/// load. What differs by less is as good as equal.
pub fn noise(groups: &[Group], load: Load, figure: Figure) -> f64 {
    let mut distances = Vec::new();
    for group in groups.iter().filter(|group| group.load == load) {
        for row in &group.rows {
            let ratios = group.ratios(row, Strategy::Held, figure);
            if let Some(median) = median(&ratios).filter(|_| row.strategy != Strategy::Held) {
                distances.extend(ratios.iter().map(|ratio| (ratio / median - 1.0).abs()));
            }
        }
    }
    distances.iter().sum::<f64>() / distances.len().max(1) as f64
}

/// The one in the middle, or the mean of the two; `None` of nothing.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    let lower = *values.get((values.len() - 1) / 2)?;
    Some((lower + upper) / 2.0)
}
