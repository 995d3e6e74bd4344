//! A core for the server and another for the players: left to itself, Linux may put two processes that talk to each
//! other on the same one, and then does so in one run and not in the next.
#![forbid(unsafe_code)]

/// Which of the two processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Server,
    Players,
}

/// Keeps this thread, and those that it will start, on the core of that side. Without effect where this process may
/// use one core only, or the system does not say which.
pub fn keep_to(side: Side) {
    if let Some(core) = core_of(side) {
        system::stay_on(core);
    }
}

/// Whether server and players have a core each.
pub fn apart() -> bool {
    core_of(Side::Server).is_some()
}

/// The first of the cores that this process may use for the server, the last for the players.
fn core_of(side: Side) -> Option<usize> {
    let (first, last) = system::first_and_last()?;
    (first != last).then_some(match side {
        Side::Server => first,
        Side::Players => last,
    })
}

#[cfg(any(target_os = "linux", target_os = "android"))]
mod system {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

    pub(super) fn first_and_last() -> Option<(usize, usize)> {
        let allowed = sched_getaffinity(None).ok()?;
        let mut cores = (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core));
        let first = cores.next()?;
        Some((first, cores.next_back().unwrap_or(first)))
    }

    pub(super) fn stay_on(core: usize) {
        let mut cores = CpuSet::new();
        cores.set(core);
        // An error leaves the thread where it is.
        let _ = sched_setaffinity(None, &cores);
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
mod system {
    pub(super) fn first_and_last() -> Option<(usize, usize)> {
        None
    }

    pub(super) fn stay_on(_core: usize) {}
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::thread;

    use super::{Side, core_of, keep_to, system};

    #[test]
    fn a_thread_stays_where_it_is_put() {
        let Some(core) = core_of(Side::Players) else {
            // This machine has one core only.
            return;
        };
        let put = thread::spawn(|| {
            keep_to(Side::Players);
            system::first_and_last()
        });
        assert_eq!(put.join().expect("no panic"), Some((core, core)));
    }
}
