//! Once a second: a snapshot of the server's figures, printed or drawn, and kept for the history and the
//! advice.

use std::time::{Duration, Instant};

use poolbuf::PoolStats;
use poolbuf_support::numbers::{millis, thousands};

use super::advice::{Finding, Trends};
use super::history::History;
use super::watch::Watch;
use crate::server::Figures;
use crate::server::cut_off::CutOff;
use crate::times::Times;

/// A server's figures at one moment, and how they changed since the moment before.
#[derive(Clone)]
pub(crate) struct Snapshot {
    /// Since the start.
    pub(crate) at: Duration,
    /// The receive pool, the send pool and the pool for headers.
    pub(crate) pools: Vec<PoolStats>,
    /// Answered since the start.
    pub(crate) messages: u64,
    /// Answered since the snapshot before.
    pub(crate) messages_per_second: f64,
    /// Of what was answered since the snapshot before.
    pub(crate) server_times: Times,
    /// Clients cut off by the time limit since the start.
    pub(crate) cut_off: CutOff,
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
    cut_off: CutOff,
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
            cut_off: CutOff::default(),
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
        let cut_off = snapshot.cut_off.since(cut_off_before);
        if cut_off.total() > 0 {
            let clients = clients(cut_off.total());
            print(format!("{clients} cut off by the time limit: {cut_off}"));
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
    // Rounded down: 100.00% is all of them.
    let requests = pool.acquired + unserved(pool);
    let served = (pool.acquired * 10_000).checked_div(requests);
    let served = served.unwrap_or(10_000);
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

/// Requests that got no buffer, whether they waited for one or not.
pub(super) fn unserved(pool: &PoolStats) -> u64 {
    pool.refused + pool.timed_out + pool.abandoned
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

    use poolbuf::PoolStats;

    use super::{Live, pool_line};
    use crate::server::Figures;
    use crate::server::cut_off::CutOff;
    use crate::tests::a_snapshot;
    use crate::times::Times;

    #[test]
    fn each_second_has_a_line_for_each_pool_and_one_for_clients_that_were_cut_off() {
        let cut_off = Rc::new(Cell::new(CutOff::of([0, 2, 0])));
        let now = Rc::clone(&cut_off);
        let figures = move || Figures {
            pools: a_snapshot().pools,
            server_times: Times::new(),
            cut_off: now.get(),
        };
        let mut live = Live::start(figures, "", None, None);
        let mut lines_with = |counts| {
            cut_off.set(CutOff::of(counts));
            let mut lines = Vec::new();
            live.show(&mut |line| lines.push(line));
            lines
        };
        let lines = lines_with([0, 2, 0]);
        assert_eq!(lines.len(), 3);
        // 7 refused, 2 timed out and 1 given up, of 1,000.
        let start = "recv pool: 30% of 4000 in use | 99.00% served | ";
        assert!(lines[0].starts_with(start), "{}", lines[0]);
        let end = "send pool: 20% of 3000 in use | 100.00% served | 0.00 ms avg server time | normal";
        assert_eq!(lines[1], end);
        assert!(lines[2].starts_with("header pool: 1% of 65536 in use | "));
        let one = "1 client cut off by the time limit: answer not read by 1";
        assert_eq!(lines_with([0, 2, 1])[3..], [one]);
        let many = "1,235 clients cut off by the time limit: no buffer for 1,234, frame not finished by 1";
        assert_eq!(lines_with([1234, 3, 1])[3..], [many]);
        assert_eq!(lines_with([1234, 3, 1]).len(), 3);
    }

    #[test]
    fn a_request_in_ten_thousand_that_was_given_up_is_seen() {
        let mut pool = a_snapshot().pools.remove(1);
        let served = |pool: &PoolStats| {
            let line = pool_line(pool, &Times::new());
            line.split(" | ").nth(1).expect("a share").to_owned()
        };
        pool.acquired = 9_999_999;
        assert_eq!(served(&pool), "100.00% served");
        pool.abandoned = 1;
        assert_eq!(served(&pool), "99.99% served");
    }
}
