//! What must hold of a server that was attacked.
#![forbid(unsafe_code)]

use std::process::ExitStatus;
use std::time::Duration;

use poolbuf_support::numbers::{mebibytes, thousands};

use crate::figures::Figures;
use crate::good_player::Played;
use crate::tally::Tally;
use crate::target::Heard;

/// What was seen of a server.
pub struct Observed {
    /// What the attackers did, and what they got.
    pub tally: Tally,
    /// What the good player saw meanwhile.
    pub played: Played,
    /// How long it waited while as many slow clients as there are buffers were there, if that was tried.
    pub siege: Option<Result<Duration, String>>,
    /// Whether it was served as it should when it was alone, before the attack and after it.
    pub alone: [Result<(), String>; 2],
    /// With no client: before any attack, after a first one, and after the last.
    pub fresh: State,
    pub warm: State,
    pub after: State,
    pub heard: Heard,
    /// How it ended before it was told to.
    pub died: Option<ExitStatus>,
    /// How it ended when it was told to; not with success if a buffer was not back then.
    pub status: Option<ExitStatus>,
}

/// A server at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub struct State {
    /// `None` when it did not answer.
    pub figures: Option<Figures>,
    /// `None` where the system does not say.
    pub descriptors: Option<usize>,
    pub resident: Option<u64>,
}

/// The most bytes that may be resident after an attack, when there were `warm` after a first one: what an allocator
/// keeps for later differs a little from time to time, and what is lost grows with the connections.
pub fn resident_allowed(warm: u64) -> u64 {
    warm + warm / 4 + (16 << 20)
}

/// What does not hold: a line each; empty after a good run.
pub fn faults(seen: &Observed) -> Vec<String> {
    let mut faults = Vec::new();
    let last = seen.heard.last.as_deref().unwrap_or_default();
    if let Some(status) = &seen.died {
        faults.push(format!("the server died ({status}); it said last: {last}"));
    }
    if let Some(panic) = &seen.heard.panic {
        faults.push(format!("a panic in the server: {panic}"));
    }
    for (alone, when) in seen.alone.iter().zip(["before", "after"]) {
        if let Err(error) = alone {
            faults.push(format!("{when} the attack, with no other client: {error}"));
        }
    }
    if let Some(Err(error)) = &seen.siege {
        faults.push(format!("while slow clients hold what they can: {error}"));
    }
    if seen.played.answers == 0 {
        faults.push("the good player was not served during the attack".to_owned());
    }
    if seen.played.wrong > 0 {
        let wrong = thousands(seen.played.wrong);
        faults.push(format!("{wrong} wrong answers to the good player"));
    }
    for (strategy, count) in seen.tally.counts().filter(|(_, count)| count.wrong > 0) {
        let (wrong, name) = (thousands(count.wrong), strategy.name());
        faults.push(format!("{wrong} wrong answers to bad clients ({name})"));
    }
    if let Some(first) = &seen.tally.first_wrong {
        faults.push(format!("the first of them to this ({first})"));
    }
    match seen.after.figures.map(|figures| figures.in_use) {
        Some(0) => {}
        Some(lost) => faults.push(format!("{lost} buffers are not back when all clients are gone")),
        None => faults.push("no word of the buffers when all clients are gone".to_owned()),
    }
    if let (Some(fresh), Some(after)) = (seen.fresh.descriptors, seen.after.descriptors) {
        if after > fresh {
            faults.push(format!(
                "{after} descriptors are open when all clients are gone, and there were {fresh} before any came"
            ));
        }
    }
    if let (Some(warm), Some(after)) = (seen.warm.resident, seen.after.resident) {
        let allowed = resident_allowed(warm);
        if after > allowed {
            faults.push(format!(
                "{} are resident after the attack, and {} were after a first one ({} are allowed)",
                mebibytes(after),
                mebibytes(warm),
                mebibytes(allowed),
            ));
        }
    }
    match seen.status {
        Some(status) if status.success() => {}
        // Said already.
        Some(_) if seen.died.is_some() => {}
        Some(status) => faults.push(format!("the server ended with {status}; it said last: {last}")),
        None => faults.push("the server does not end when it is told to".to_owned()),
    }
    faults
}
