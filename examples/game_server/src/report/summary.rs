//! The report at the end of a run.

use std::fmt;
use std::time::Duration;

use poolbuf_support::numbers::{mebibytes, millis, thousands};

use super::advice::Finding;
use super::live::{clients, unserved};
use crate::players::Played;
use crate::server::Figures;
use crate::times::Times;

pub(crate) struct Report {
    pub(crate) title: String,
    pub(crate) elapsed: Duration,
    /// `None` where the server is another process.
    pub(crate) server: Option<Served>,
    /// `None` where the players are other processes.
    pub(crate) players: Option<Played>,
    /// Bytes, while connections were open; `None` where the system does not say.
    pub(crate) resident: Option<u64>,
    /// Whose memory that is.
    pub(crate) resident_of: &'static str,
    /// What else went wrong: a line each.
    pub(crate) faults: Vec<String>,
}

/// What the server saw.
pub(crate) struct Served {
    /// When all connections were closed.
    pub(crate) figures: Figures,
    pub(crate) time_limit: Duration,
    pub(crate) advice: Vec<Finding>,
}

impl Report {
    /// Answers, as the players counted them where they are in this process.
    pub(crate) fn messages(&self) -> u64 {
        match (&self.players, &self.server) {
            (Some(players), _) => players.messages,
            (None, Some(server)) => server.figures.server_times.count(),
            (None, None) => 0,
        }
    }

    /// What went wrong; empty after a good run.
    pub(crate) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if let Some(players) = &self.players {
            if players.differences > 0 {
                problems.push(format!("{} answers differed", players.differences));
            }
            if players.failures > 0 {
                problems.push(format!("{} connections failed", players.failures));
            }
            if players.messages == 0 {
                problems.push("no message was answered".to_owned());
            }
        }
        let pools = self.server.iter().flat_map(|server| &server.figures.pools);
        for pool in pools.filter(|pool| pool.in_use > 0) {
            problems.push(format!(
                "{} buffers of the {} did not come back",
                pool.in_use, pool.name
            ));
        }
        problems.extend(self.faults.iter().cloned());
        problems
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.elapsed.as_secs_f64();
        writeln!(f, "{}, {seconds:.1} s", self.title)?;
        writeln!(
            f,
            "messages    {} ({}/s)",
            thousands(self.messages()),
            thousands((self.messages() as f64 / seconds) as u64),
        )?;
        if let Some(players) = &self.players {
            let times = &players.responses;
            write_times(f, "response", times, "seen by players: send to last byte")?;
            writeln!(
                f,
                "verified    {} bytes; {} answers differed, {} connections failed",
                thousands(players.verified),
                thousands(players.differences),
                thousands(players.failures),
            )?;
        }
        if let Some(server) = &self.server {
            server.fmt(f)?;
        }
        match self.resident {
            Some(bytes) => {
                write!(f, "memory      {} resident ({})", mebibytes(bytes), self.resident_of)
            }
            None => write!(f, "memory      not known on this system"),
        }
    }
}

impl fmt::Display for Served {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Figures {
            pools,
            server_times,
            cut_off,
        } = &self.figures;
        write_times(f, "server time", server_times, "frame whole to answer sent")?;
        let (count, limit) = (clients(cut_off.total()), self.time_limit.as_secs_f64());
        write!(f, "cut off     {count} by the time limit of {limit} s")?;
        match cut_off.total() {
            0 => writeln!(f)?,
            _ => writeln!(f, ": {cut_off}")?,
        }
        for pool in pools {
            writeln!(
                f,
                "{:11} peak use {} of {} buffers, {} requests not served, {} not returned",
                pool.name,
                thousands(pool.high_water as u64),
                thousands(pool.max as u64),
                thousands(unserved(pool)),
                thousands(pool.in_use as u64),
            )?;
        }
        if self.advice.is_empty() {
            writeln!(f, "advice      nothing to change")?;
        }
        for finding in &self.advice {
            writeln!(f, "advice      {finding}")?;
        }
        Ok(())
    }
}

fn write_times(f: &mut fmt::Formatter<'_>, name: &str, times: &Times, what: &str) -> fmt::Result {
    writeln!(
        f,
        "{name:11} p50 {}, p99 {}, max {} ({what})",
        millis(times.quantile(0.5)),
        millis(times.quantile(0.99)),
        millis(times.max()),
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Report, Served};
    use crate::players::Played;
    use crate::report::advice::{Advice, Finding};
    use crate::server::Figures;
    use crate::server::cut_off::CutOff;
    use crate::server::pools::{PoolKind, Pools};
    use crate::times::Times;

    fn played(messages: u64, differences: u64, failures: u64) -> Option<Played> {
        Some(Played {
            messages,
            differences,
            failures,
            ..Played::nothing()
        })
    }

    fn report(pools: &Pools, players: Option<Played>) -> Report {
        Report {
            title: "a run".to_owned(),
            elapsed: Duration::from_secs(1),
            server: Some(Served {
                figures: Figures {
                    pools: pools.stats(),
                    server_times: Times::new(),
                    cut_off: CutOff::default(),
                },
                time_limit: Duration::from_millis(2500),
                advice: Vec::new(),
            }),
            players,
            resident: None,
            resident_of: "",
            faults: Vec::new(),
        }
    }

    #[test]
    fn every_kind_of_fault_is_a_problem() {
        let pools = Pools::new(PoolKind::Buffer, 4, 0).expect("pools");
        let problems = |players| report(&pools, players).problems();
        assert_eq!(problems(played(1, 0, 0)), [""; 0]);
        assert_eq!(problems(None), [""; 0]);
        assert_eq!(problems(played(1, 2, 0)), ["2 answers differed"]);
        assert_eq!(problems(played(1, 0, 3)), ["3 connections failed"]);
        assert_eq!(problems(played(0, 0, 0)), ["no message was answered"]);
        let _lost = pools.send.acquire().expect("a buffer");
        assert_eq!(problems(None), ["1 buffers of the send pool did not come back"]);
        let mut unwritten = report(&pools, None);
        unwritten.faults.push("cannot write".to_owned());
        assert_eq!(unwritten.problems().last().expect("two"), "cannot write");
    }

    #[test]
    fn the_servers_time_and_what_players_see_are_told_apart() {
        let pools = Pools::new(PoolKind::Buffer, 4, 0).expect("pools");
        let mut report = report(&pools, played(7, 0, 0));
        let times = |millis| {
            let mut times = Times::new();
            times.record(Duration::from_millis(millis));
            times
        };
        let server = report.server.as_mut().expect("a server");
        server.figures.server_times = times(3);
        server.figures.cut_off = CutOff::of([1200, 30, 4]);
        report.players.as_mut().expect("players").responses = times(40);
        let text = report.to_string();
        for part in [
            "messages    7 (7/s)\n",
            "response    p50 40.0",
            "seen by players",
            "server time p50 3.00 ms, p99 3.00 ms, max 3.00 ms (frame whole to answer sent)\n",
            "cut off     1,234 clients by the time limit of 2.5 s: no buffer for 1,200, frame not finished by 30, answer not read by 4\n",
            "recv pool   peak use 0 of 4 buffers, 0 requests not served, 0 not returned\n",
            "advice      nothing to change\n",
        ] {
            assert!(text.contains(part), "{part:?} is not in\n{text}");
        }
    }

    #[test]
    fn each_advice_has_a_line_of_its_own() {
        let pools = Pools::new(PoolKind::Buffer, 4, 0).expect("pools");
        let mut report = report(&pools, None);
        let finding = |raise_max_to| Finding {
            pool: "recv pool".into(),
            advice: Advice::NearlyFull {
                percent_of_the_time: 60,
                raise_max_to,
            },
        };
        report.server.as_mut().expect("a server").advice = vec![finding(7), finding(8)];
        let text = report.to_string();
        let start = "advice      recv pool: at least 90% in use 60% of the time: raise max to ";
        let numbers = text.lines().filter_map(|line| line.strip_prefix(start));
        assert_eq!(numbers.collect::<Vec<_>>(), ["7", "8"]);
        assert!(!text.contains("nothing to change") && !text.ends_with('\n'));
    }
}
