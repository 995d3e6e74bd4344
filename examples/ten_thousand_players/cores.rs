//! A core for the server and another for the players: left to itself, Linux may put two processes that talk
//! to each other on the same one, and then does so in one run and not in the next.
#![forbid(unsafe_code)]

use std::collections::HashSet;
use std::fs;

use compio::runtime::Runtime;

/// Which of the two processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Server,
    Players,
}

/// Keeps this thread, and those that it will start, on the core of that side. Without effect where this
/// process may use one core only, or the system does not say which.
pub(crate) fn keep_to(side: Side) {
    if let Some(core) = core_of(side) {
        // To set that for the thread which makes it is all that is wanted of this runtime; an error leaves
        // the thread where it is.
        let _ = Runtime::builder()
            .thread_affinity(HashSet::from([core]))
            .build();
    }
}

/// Whether server and players have a core each.
pub(crate) fn apart() -> bool {
    core_of(Side::Server).is_some()
}

fn core_of(side: Side) -> Option<usize> {
    let (first, last) = first_and_last(&fs::read_to_string("/proc/self/status").ok()?)?;
    (first != last).then_some(match side {
        Side::Server => first,
        Side::Players => last,
    })
}

/// Of the cores that the `status` of a process allows it, such as `0-3,8`.
pub(crate) fn first_and_last(status: &str) -> Option<(usize, usize)> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
    let mut numbers = line.trim().split([',', '-']);
    let first = numbers.next()?.parse().ok()?;
    let last = numbers
        .next_back()
        .map_or(Some(first), |last| last.parse().ok())?;
    Some((first, last))
}
