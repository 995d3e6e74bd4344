//! What is printed: a line a second, and a table at the end.
#![forbid(unsafe_code)]

use std::fmt;
use std::time::Duration;

use poolbuf_support::numbers::{mebibytes, thousands};

use crate::checks::{Observed, State, resident_allowed};
use crate::good_player::Played;
use crate::tally::Tally;

/// The report on one server.
pub struct Report {
    pub title: String,
    pub seen: Observed,
    /// What does not hold: a line each.
    pub faults: Vec<String>,
}

/// The line of one second.
pub(crate) fn line(title: &str, second: u64, tally: &Tally, played: Played, now: State) -> String {
    let total = tally.total();
    format!(
        "{title}, {second} s: {} bad inputs on {} connections; good player {} answers, longest wait {}; {} \
         descriptors, {} resident",
        thousands(total.inputs),
        thousands(total.connections),
        thousands(played.answers),
        seconds(played.longest_wait),
        known(now.descriptors),
        now.resident.map_or("?".to_owned(), mebibytes),
    )
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seen = &self.seen;
        writeln!(f, "{}", self.title)?;
        writeln!(
            f,
            "{:<18} {:>11} {:>11} {:>13} {:>13}",
            "strategy", "bad inputs", "connections", "not connected", "wrong answers"
        )?;
        let total = ("together", seen.tally.total());
        let counts = seen.tally.counts();
        for (name, count) in counts.map(|(strategy, count)| (strategy.name(), count)).chain([total]) {
            writeln!(
                f,
                "{name:<18} {:>11} {:>11} {:>13} {:>13}",
                thousands(count.inputs),
                thousands(count.connections),
                thousands(count.not_connected),
                thousands(count.wrong),
            )?;
        }
        let played = seen.played;
        writeln!(
            f,
            "good player   {} answers, {} wrong, longest wait {}, turned away {} times",
            thousands(played.answers),
            thousands(played.wrong),
            seconds(played.longest_wait),
            thousands(played.turned_away),
        )?;
        if let Some(Ok(wait)) = seen.siege {
            let wait = seconds(wait);
            writeln!(
                f,
                "siege         longest wait {wait} while slow clients held what they could",
            )?;
        }
        match seen.after.figures {
            Some(figures) => writeln!(
                f,
                "buffers       {} lost of {}, {} lent in all",
                figures.in_use,
                figures.max,
                thousands(figures.acquired),
            )?,
            None => writeln!(f, "buffers       not known: the server does not say")?,
        }
        writeln!(
            f,
            "descriptors   {} before, {} after",
            known(seen.fresh.descriptors),
            known(seen.after.descriptors),
        )?;
        match (seen.warm.resident, seen.after.resident) {
            (Some(warm), Some(after)) => writeln!(
                f,
                "resident      {} before, {} after ({} allowed)",
                mebibytes(warm),
                mebibytes(after),
                mebibytes(resident_allowed(warm)),
            )?,
            _ => writeln!(f, "resident      not known on this system")?,
        }
        let status = match (seen.died, seen.status) {
            (Some(status), _) => format!("died ({status})"),
            (None, Some(status)) => format!("ended when it was told to ({status})"),
            (None, None) => "did not end when it was told to".to_owned(),
        };
        write!(
            f,
            "server        {status}, {} lines in its log",
            thousands(seen.heard.lines)
        )
    }
}

fn seconds(duration: Duration) -> String {
    format!("{:.2} s", duration.as_secs_f64())
}

fn known(number: Option<usize>) -> String {
    number.map_or("?".to_owned(), |number| thousands(number as u64))
}
