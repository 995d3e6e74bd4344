//! The tables, in Markdown.
#![forbid(unsafe_code)]

use std::fmt::Write;
use std::time::Duration;

use poolbuf_support::numbers::{millis, thousands};

use crate::measure::{IN_FLIGHT, Load, Run};
use crate::results::{CPU, Figure, Group, P50, P99, PER_SECOND, RESIDENT, Row, noise};
use crate::strategy::Strategy;
use crate::targets::{Kind, Target, targets};

/// Everything that was measured.
pub struct Report {
    pub groups: Vec<Group>,
    pub rounds: usize,
    pub duration: Duration,
    /// Of this machine.
    pub cores: usize,
    /// Whether server and players had one each.
    pub apart: bool,
}

impl Report {
    /// Connections that failed and answers that differed, in all runs.
    pub fn faults(&self) -> u64 {
        let rows = self.groups.iter().flat_map(|group| &group.rows);
        rows.map(Row::faults).sum()
    }

    /// The tables and what was wanted, for people to read.
    pub fn markdown(&self) -> String {
        let mut text = String::new();
        // Writing to a `String` cannot fail.
        let _ = self.write(&mut text);
        text
    }

    fn write(&self, text: &mut String) -> std::fmt::Result {
        let (usual, all_at_once): (Vec<&Group>, Vec<&Group>) =
            self.groups.iter().partition(|group| group.load == Load::Usual);
        writeln!(text, "{}", self.preface())?;
        let mut messages: Vec<usize> = usual.iter().map(|group| group.message).collect();
        messages.sort_unstable();
        messages.dedup();
        for message in messages {
            let of_it = usual.iter().filter(|group| group.message == message);
            writeln!(
                text,
                "\n**Messages of {} B, {IN_FLIGHT} out at any time**\n",
                thousands(message as u64)
            )?;
            table(text, of_it.copied())?;
        }
        writeln!(text, "\n**All players' messages out at once**\n")?;
        all_at_once_table(text, &all_at_once)?;
        self.write_targets(text)
    }

    fn preface(&self) -> String {
        format!(
            "{}, {}, {} cores, compio by {}; server and players are processes of one thread each{}; medians of \
             {} rounds of {} s; × and % are of (a), in the same round.",
            std::env::consts::OS,
            std::env::consts::ARCH,
            self.cores,
            self.driver(),
            if self.apart { ", on a core each" } else { "" },
            self.rounds,
            self.duration.as_secs_f64(),
        )
    }

    /// What does the I/O under compio; tokio has no choice.
    fn driver(&self) -> &str {
        let rows = self.groups.iter().flat_map(|group| &group.rows);
        let mut drivers = rows.flat_map(|row| &row.runs).map(|run| &*run.driver);
        drivers.find(|&driver| driver != "tokio").unwrap_or("–")
    }

    fn write_targets(&self, text: &mut String) -> std::fmt::Result {
        if self.rounds < 2 {
            return writeln!(
                text,
                "\nA single round says nothing of noise: no verdict on the targets."
            );
        }
        let targets = targets(&self.groups);
        let met = targets.iter().filter(|target| target.met).count();
        writeln!(
            text,
            "\nOf {} targets, {met} are met. Noise, which is how far a round's ratio lay from the median of \
             its rounds on average: {:.1} % in messages/s, {:.1} % in p50.",
            targets.len(),
            100.0 * noise(&self.groups, Load::Usual, PER_SECOND),
            100.0 * noise(&self.groups, Load::Usual, P50),
        )?;
        writeln!(text)?;
        for kind in Kind::ALL {
            let of_it: Vec<&Target> = targets.iter().filter(|it| it.kind == kind).collect();
            let met = of_it.iter().filter(|target| target.met).count();
            writeln!(text, "- {}: {met} of {}", kind.wish(), of_it.len())?;
            for missed in of_it.iter().filter(|target| !target.met) {
                writeln!(text, "  - missed: {}", missed.line)?;
            }
        }
        Ok(())
    }
}

fn table<'a>(text: &mut String, groups: impl Iterator<Item = &'a Group>) -> std::fmt::Result {
    writeln!(
        text,
        "| players | server | buffer | messages/s | × | p50 | × | p99 | server's CPU a message | × | resident | % |"
    )?;
    writeln!(text, "|--:|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|")?;
    for group in groups {
        for row in &group.rows {
            let times = |figure: Figure| ratio(group.ratio(row, Strategy::Held, figure));
            writeln!(
                text,
                "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
                thousands(group.connections as u64),
                group.runtime.name(),
                row.strategy.title(),
                shown(row.figure(PER_SECOND), whole),
                times(PER_SECOND),
                shown(row.figure(P50), time),
                times(P50),
                shown(row.figure(P99), time),
                shown(row.figure(CPU), micros),
                times(CPU),
                shown(row.figure(RESIDENT), mebibytes),
                shown(group.ratio(row, Strategy::Held, RESIDENT), percent),
            )?;
        }
    }
    Ok(())
}

fn all_at_once_table(text: &mut String, groups: &[&Group]) -> std::fmt::Result {
    const WAITS: Figure = |run: &Run| Some(run.waits as f64);
    const LENT: Figure = |run: &Run| Some(run.high_water as f64);
    writeln!(
        text,
        "| message | players | server | buffer | messages/s | % | p50 | p99 | resident | % | lent at once | waited | failed |"
    )?;
    writeln!(text, "|--:|--:|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|")?;
    for group in groups {
        for (index, row) in group.rows.iter().enumerate() {
            let pooled = row.strategy == Strategy::Pooled;
            let of_pool = |text: String| if pooled { text } else { "–".to_owned() };
            let buffer = if pooled {
                format!("{}, {} in all", row.strategy.title(), group.cell(index).buffers())
            } else {
                row.strategy.title().to_owned()
            };
            writeln!(
                text,
                "| {} B | {} | {} | {buffer} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
                thousands(group.message as u64),
                thousands(group.connections as u64),
                group.runtime.name(),
                shown(row.figure(PER_SECOND), whole),
                shown(group.ratio(row, Strategy::Held, PER_SECOND), percent),
                shown(row.figure(P50), time),
                shown(row.figure(P99), time),
                shown(row.figure(RESIDENT), mebibytes),
                shown(group.ratio(row, Strategy::Held, RESIDENT), percent),
                of_pool(shown(row.figure(LENT), whole)),
                of_pool(shown(row.figure(WAITS), whole)),
                row.faults(),
            )?;
        }
    }
    Ok(())
}

fn shown(figure: Option<f64>, format: fn(f64) -> String) -> String {
    figure.map_or_else(|| "–".to_owned(), format)
}

fn ratio(ratio: Option<f64>) -> String {
    shown(ratio, |ratio| format!("{ratio:.2}×"))
}

fn percent(ratio: f64) -> String {
    format!("{:.0} %", 100.0 * ratio)
}

fn whole(number: f64) -> String {
    thousands(number.round() as u64)
}

fn time(nanos: f64) -> String {
    millis(nanos as u64)
}

fn micros(nanos: f64) -> String {
    format!("{:.1} µs", nanos / 1e3)
}

fn mebibytes(bytes: f64) -> String {
    format!("{:.1} MiB", bytes / f64::from(1 << 20))
}
