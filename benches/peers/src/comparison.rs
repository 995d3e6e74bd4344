//! The figures of all binaries side by side. Ratios are always taken within one binary: the candidates of the
//! first are rows, and of each other binary `Vec` under its allocator is one.

use crate::candidates::allocator::ALLOCATOR;
use crate::candidates::floor::FLOOR;
use crate::candidates::ours::{LOCK_FREE, MULTI_SIZE, OURS};
use crate::figures::{BINARIES, Figures, Series, median};
use crate::workloads::handed_over::CHANNEL;
use crate::workloads::latency::CLOCK;

pub(crate) struct Comparison {
    figures: Vec<Figures>,
    pub(crate) entrants: Vec<Entrant>,
}

/// A row: a candidate of one binary.
#[derive(Clone, Debug)]
pub(crate) struct Entrant {
    binary: usize,
    pub(crate) id: String,
    pub(crate) label: String,
    pub(crate) kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `BufferPool`.
    Ours,
    /// `LockFreePool`.
    LockFree,
    /// `MultiSizePool`.
    MultiSize,
    /// What a user could take instead.
    Peer,
    /// What nobody could: the floor, and what a workload costs by itself.
    Reference,
}

impl Entrant {
    /// Whether it runs under the system's allocator.
    pub(crate) fn of_system(&self) -> bool {
        self.binary == 0
    }
}

impl Comparison {
    pub(crate) fn new(figures: Vec<Figures>) -> Self {
        let mut entrants: Vec<Entrant> = Vec::new();
        for (binary, own) in figures.iter().enumerate() {
            for (id, series) in own.workloads.values().flatten() {
                let known = |entrant: &Entrant| entrant.binary == binary && entrant.id == *id;
                if (binary > 0 && id != ALLOCATOR) || entrants.iter().any(known) {
                    continue;
                }
                entrants.push(Entrant {
                    binary,
                    id: id.clone(),
                    label: label(own, id, &series.label),
                    kind: match id.as_str() {
                        OURS => Kind::Ours,
                        LOCK_FREE => Kind::LockFree,
                        MULTI_SIZE => Kind::MultiSize,
                        FLOOR | CHANNEL | CLOCK => Kind::Reference,
                        _ => Kind::Peer,
                    },
                });
            }
        }
        Comparison { figures, entrants }
    }

    pub(crate) fn figures(&self) -> &[Figures] {
        &self.figures
    }

    /// Whether all binaries have stored what they measured.
    pub(crate) fn is_complete(&self) -> bool {
        self.figures.len() == BINARIES.len()
    }

    /// Nanoseconds an operation, or MiB.
    pub(crate) fn figure(&self, entrant: &Entrant, workload: &str) -> Option<f64> {
        self.figures[entrant.binary].median(workload, &entrant.id)
    }

    /// What a workload's table calls it: most have the same name everywhere.
    pub(crate) fn label(&self, entrant: &Entrant, workload: &str) -> String {
        let figures = &self.figures[entrant.binary];
        let series = figures.workloads.get(workload);
        let series = series.and_then(|workload| workload.get(&entrant.id));
        series.map_or(entrant.label.clone(), |series| {
            label(figures, &entrant.id, &series.label)
        })
    }

    /// As a multiple of ours.
    pub(crate) fn to_ours(&self, entrant: &Entrant, workload: &str) -> Option<f64> {
        self.figures[entrant.binary].to_ours(workload, &entrant.id)
    }

    /// As a multiple of the floor.
    pub(crate) fn to_floor(&self, entrant: &Entrant, workload: &str) -> Option<f64> {
        self.figures[entrant.binary].to_floor(workload, &entrant.id)
    }

    /// Those that a workload was measured for, from the fastest to the slowest.
    pub(crate) fn ranked(&self, workload: &str) -> Vec<&Entrant> {
        let mut ranked: Vec<_> = self
            .entrants
            .iter()
            .filter_map(|entrant| {
                let figure = self.figure(entrant, workload)?;
                Some((self.to_ours(entrant, workload).unwrap_or(figure), entrant))
            })
            .collect();
        ranked.sort_by(|a, b| a.0.total_cmp(&b.0));
        ranked.into_iter().map(|(_, entrant)| entrant).collect()
    }

    /// The fastest that a user could take instead of ours, and its time as a multiple of ours.
    pub(crate) fn best_peer(&self, workload: &str) -> Option<(&Entrant, f64)> {
        let mut ranked = self.ranked(workload).into_iter();
        let best = ranked.find(|entrant| entrant.kind == Kind::Peer)?;
        Some((best, self.to_ours(best, workload)?))
    }

    /// Our own figure, in the first binary.
    pub(crate) fn ours(&self, workload: &str) -> Option<f64> {
        self.figures.first()?.median(workload, OURS)
    }

    /// How far the rounds of a figure lay apart, in the typical one and in the worst, among the figures of
    /// the workloads that `wanted` picks.
    pub(crate) fn spread(&self, wanted: impl Fn(&str) -> bool) -> Option<(f64, f64)> {
        let workloads = self.figures.iter().flat_map(|own| &own.workloads);
        let spreads: Vec<_> = workloads
            .filter(|(id, _)| wanted(id))
            .flat_map(|(_, candidates)| candidates.values())
            .filter_map(Series::spread)
            .collect();
        let worst = spreads.iter().copied().max_by(f64::total_cmp)?;
        Some((median(spreads.into_iter())?, worst))
    }
}

/// What the tables call a candidate: `Vec` is told apart by its allocator.
fn label(figures: &Figures, id: &str, label: &str) -> String {
    if id != ALLOCATOR {
        return label.into();
    }
    let allocator = match figures.binary.as_str() {
        "peers" if cfg!(target_env = "gnu") => "glibc",
        "peers" => "system allocator",
        other => other,
    };
    format!("{label}, {allocator}")
}
