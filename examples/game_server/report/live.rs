//! Once a second: a snapshot of the server's figures, printed or drawn, and kept for the history and the
//! advice.

use std::time::{Duration, Instant};

use poolbuf::PoolStats;

use super::advice::{Finding, Trends};
use super::history::History;
use super::watch::Watch;
use crate::numbers::{millis, thousands};
use crate::server::Figures;
use crate::times::Times;

/// A server's figures at one moment, and how they changed since the moment before.
#[derive(Clone)]
pub(crate) struct Snapshot {
    /// Since the start.
    pub(crate) at: Duration,
    /// The receive pool and the send pool.
    pub(crate) pools: Vec<PoolStats>,
    /// Answered since the start.
    pub(crate) messages: u64,
    /// Answered since the snapshot before.
    pub(crate) messages_per_second: f64,
    /// Of what was answered since the snapshot before.
    pub(crate) server_times: Times,
    /// Clients cut off by the time limit since the start.
    pub(crate) cut_off: u64,
    /// Bytes; `None` where the system does not say.
    pub(crate) resident: Option<u64>,
}

/// Takes snapshots of a server and passes them on.
pub(crate) struct Live {
    figures: Box<dyn Fn() -> Figures>,
    title: String,
    start: Instant,
    /// The snapshot before: when it was, and what had been answered and cut off by then.
    at: Duration,
    server_times: Times,
    cut_off: u64,
    watch: Option<Watch>,
    history: Option<History>,
    trends: Trends,
    faults: Vec<String>,
}

impl Live {
    /// Begins with a snapshot, for the history, the advice and the screen.
    pub(crate) fn start(
        figures: impl Fn() -> Figures + 'static,
        title: &str,
        watch: Option<Watch>,
        history: Option<History>,
    ) -> Live {
        let mut live = Live {
            figures: Box::new(figures),
            title: title.to_owned(),
            start: Instant::now(),
            at: Duration::ZERO,
            server_times: Times::new(),
            cut_off: 0,
            watch,
            history,
            trends: Trends::default(),
            faults: Vec::new(),
        };
        let snapshot = live.snapshot();
        live.draw(&snapshot);
        live
    }

    /// Takes a snapshot and shows it: on the screen, or as a line for each pool.
    pub(crate) fn show(&mut self, print: &mut dyn FnMut(String)) {
        let cut_off_before = self.cut_off;
        let snapshot = self.snapshot();
        if self.draw(&snapshot) {
            return;
        }
        for pool in &snapshot.pools {
            print(pool_line(pool, &snapshot.server_times));
        }
        if snapshot.cut_off > cut_off_before {
            let cut_off = clients(snapshot.cut_off - cut_off_before);
            print(format!("{cut_off} cut off by the time limit"));
        }
    }

    /// Gives the terminal back, takes the last snapshot and draws the charts; returns what could not be
    /// written, each as a line for the user, and the advice.
    pub(crate) fn finish(mut self) -> (Vec<String>, Vec<Finding>) {
        drop(self.watch.take());
        // So shortly after the one before, rates would say little.
        if self.start.elapsed() - self.at >= Duration::from_millis(100) {
            self.snapshot();
        }
        if let Some(Err(error)) = self.history.map(|history| history.finish(&self.title)) {
            self.faults.push(error);
        }
        (self.faults, self.trends.advice())
    }

    fn snapshot(&mut self) -> Snapshot {
        let at = self.start.elapsed();
        let figures = (self.figures)();
        let server_times = figures.server_times.since(&self.server_times);
        let seconds = (at - self.at).as_secs_f64();
        let snapshot = Snapshot {
            at,
            pools: figures.pools,
            messages: figures.server_times.count(),
            messages_per_second: server_times.count() as f64 / seconds.max(1e-9),
            server_times,
            cut_off: figures.cut_off,
            resident: resident_memory(),
        };
        self.at = at;
        self.server_times = figures.server_times;
        self.cut_off = figures.cut_off;

        self.trends.record(at, &snapshot.pools);
        let history = self.history.as_mut();
        if let Some(Err(error)) = history.map(|history| history.record(&snapshot)) {
            // Once, and no more of it.
            self.history = None;
            self.faults.push(error);
        }
        snapshot
    }

    /// Whether there is a screen to draw on.
    fn draw(&mut self, snapshot: &Snapshot) -> bool {
        if let Some(watch) = &mut self.watch {
            watch.draw(&self.title, snapshot);
        }
        self.watch.is_some()
    }
}

/// A pool's line, in the chapter's format: use now, success rate since the start, the server's average time
/// for an answer in the last second, and the advice for this moment, which is the library's.
fn pool_line(pool: &PoolStats, last_second: &Times) -> String {
    let served = 10_000 - pool.refused_basis_points();
    format!(
        "{}: {}% of {} in use | {}.{:02}% served | {} avg server time | {}",
        pool.name,
        pool.used_percent(),
        pool.max,
        served / 100,
        served % 100,
        millis(last_second.average()),
        pool.health(),
    )
}

/// So many clients, in words.
pub(super) fn clients(count: u64) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{} client{plural}", thousands(count))
}

/// Resident memory of this process in bytes, where the system says so in `/proc`.
pub(crate) fn resident_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use super::Live;
    use crate::server::Figures;
    use crate::tests::a_snapshot;
    use crate::times::Times;

    #[test]
    fn each_second_has_a_line_for_each_pool_and_one_for_clients_that_were_cut_off() {
        let cut_off = Rc::new(Cell::new(2));
        let now = Rc::clone(&cut_off);
        let figures = move || Figures {
            pools: a_snapshot().pools,
            server_times: Times::new(),
            cut_off: now.get(),
        };
        let mut live = Live::start(figures, "", None, None);
        let mut lines_with = |clients| {
            cut_off.set(clients);
            let mut lines = Vec::new();
            live.show(&mut |line| lines.push(line));
            lines
        };
        let lines = lines_with(2);
        assert_eq!(lines.len(), 2);
        assert!(lines[0].starts_with("recv pool: 30% of 4000 in use | "));
        let end =
            "send pool: 20% of 3000 in use | 100.00% served | 0.00 ms avg server time | normal";
        assert_eq!(lines[1], end);
        assert_eq!(lines_with(3)[2..], ["1 client cut off by the time limit"]);
        let many = "1,234 clients cut off by the time limit";
        assert_eq!(lines_with(1237)[2..], [many]);
        assert_eq!(lines_with(1237).len(), 2);
    }
}
