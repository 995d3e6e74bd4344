//! `--history`: a line a second as CSV, and at the end the charts of it beside it.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::chart::{self, Chart, Series};
use super::live::Snapshot;

/// A history that is being written.
pub(crate) struct History {
    csv_path: PathBuf,
    svg_path: PathBuf,
    csv: File,
    svg: File,
    names: Vec<String>,
    points: Vec<Point>,
}

/// What the charts show of a snapshot.
struct Point {
    seconds: f64,
    in_use: Vec<usize>,
    messages_per_second: f64,
    resident: Option<u64>,
}

impl History {
    /// Makes both files, so that one which can't be written is known before the run.
    pub(crate) fn create(path: &Path) -> Result<History, String> {
        let create =
            |path: &Path| File::create(path).map_err(|error| format!("cannot write {}: {error}", path.display()));
        let svg_path = path.with_extension("svg");
        Ok(History {
            csv: create(path)?,
            svg: create(&svg_path)?,
            csv_path: path.to_owned(),
            svg_path,
            names: Vec::new(),
            points: Vec::new(),
        })
    }

    /// Adds a line; the error is a line for the user.
    pub(super) fn record(&mut self, snapshot: &Snapshot) -> Result<(), String> {
        let mut lines = String::new();
        if self.points.is_empty() {
            let pools = snapshot.pools.iter();
            self.names = pools.map(|pool| pool.name.to_string()).collect();
            lines = header(&self.names);
        }
        lines += &line(snapshot);
        self.points.push(Point {
            seconds: snapshot.at.as_secs_f64(),
            in_use: snapshot.pools.iter().map(|pool| pool.in_use).collect(),
            messages_per_second: snapshot.messages_per_second,
            resident: snapshot.resident,
        });
        let written = self.csv.write_all(lines.as_bytes());
        written.map_err(cannot_write(&self.csv_path))
    }

    /// Draws the charts; the error is a line for the user.
    pub(super) fn finish(mut self, title: &str) -> Result<(), String> {
        let svg = chart::draw(title, &self.charts());
        let written = self.svg.write_all(svg.as_bytes());
        written.map_err(cannot_write(&self.svg_path))
    }

    fn charts(&self) -> Vec<Chart> {
        let series = |label: &str, value: &dyn Fn(&Point) -> Option<f64>| Series {
            label: label.to_owned(),
            points: self
                .points
                .iter()
                .filter_map(|point| Some((point.seconds, value(point)?)))
                .collect(),
        };
        let uses = self.names.iter().enumerate();
        let uses = uses.map(|(index, name)| series(name, &|point| point.in_use.get(index).map(|used| *used as f64)));
        // The first point has no second before it.
        let rate = |point: &Point| (point.seconds > 0.5).then_some(point.messages_per_second);
        let mebibytes = |point: &Point| Some(point.resident? as f64 / f64::from(1 << 20));
        let charts = [
            ("Buffers in use", uses.collect()),
            ("Messages a second", vec![series("messages", &rate)]),
            ("Resident memory, MiB", vec![series("process", &mebibytes)]),
        ];
        charts.map(|(title, series)| Chart { title, series }).into()
    }
}

fn cannot_write(path: &Path) -> impl Fn(io::Error) -> String + '_ {
    move |error| format!("cannot write {}: {error}", path.display())
}

fn header(names: &[String]) -> String {
    let mut columns = vec!["seconds".to_owned()];
    for name in names {
        let name = name.replace(' ', "_");
        for figure in ["in_use", "total", "refused", "waits", "waiting"] {
            columns.push(format!("{name}_{figure}"));
        }
    }
    let rest = [
        "messages_per_second",
        "server_time_p50_ms",
        "server_time_p99_ms",
        "resident_bytes",
    ];
    columns.extend(rest.map(str::to_owned));
    columns.join(",") + "\n"
}

fn line(snapshot: &Snapshot) -> String {
    let mut line = format!("{:.3}", snapshot.at.as_secs_f64());
    for pool in &snapshot.pools {
        line += &format!(
            ",{},{},{},{},{}",
            pool.in_use, pool.total, pool.refused, pool.waits, pool.waiting
        );
    }
    let resident = snapshot.resident.map_or(String::new(), |bytes| bytes.to_string());
    let millis = |nanos: u64| nanos as f64 / 1e6;
    line += &format!(
        ",{:.1},{:.4},{:.4},{resident}\n",
        snapshot.messages_per_second,
        millis(snapshot.server_times.quantile(0.5)),
        millis(snapshot.server_times.quantile(0.99)),
    );
    line
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::History;
    use crate::tests::{Scratch, a_snapshot};

    #[test]
    fn the_history_has_a_line_for_each_snapshot_and_charts_of_them() {
        let scratch = Scratch::new("snapshots");
        let mut history = History::create(&scratch.0).expect("files");
        let mut snapshot = a_snapshot();
        for second in 0..5 {
            snapshot.at = Duration::from_secs(second);
            snapshot.pools[1].in_use = 600 + second as usize;
            history.record(&snapshot).expect("written");
        }
        history.finish("<20> players & more").expect("written");

        let csv = scratch.read("csv");
        let lines: Vec<&str> = csv.lines().collect();
        assert_eq!(lines.len(), 6);
        assert!(lines[0].starts_with("seconds,recv_pool_in_use,recv_pool_total,recv_pool_refused,"));
        let end = ",messages_per_second,server_time_p50_ms,server_time_p99_ms,resident_bytes";
        assert!(lines[0].ends_with(end));
        let columns = lines[0].split(',').count();
        assert!(lines.iter().all(|line| line.split(',').count() == columns));
        assert!(
            lines[5].starts_with("4.000,1230,5,7,40,17,604,700,0,0,0,"),
            "{}",
            lines[5]
        );
        assert!(lines[5].ends_with(",54321.5,0.1100,2.2200,5242880"), "{}", lines[5]);

        let svg = scratch.read("svg");
        assert!(svg.starts_with("<svg xmlns=") && svg.ends_with("</svg>\n"));
        for part in [
            "&lt;20&gt; players &amp; more",
            "Buffers in use",
            "recv pool",
            "send pool",
            "Messages a second",
            "Resident memory, MiB",
        ] {
            assert!(svg.contains(part), "{part:?} is not in\n{svg}");
        }
        // Three pools, messages, memory: of the messages the first second has no rate.
        let lines = svg.lines().filter(|line| line.starts_with("<polyline"));
        let points: Vec<_> = lines.map(|line| line.matches(',').count()).collect();
        assert_eq!(points, [5, 5, 5, 4, 5]);
        assert!(!svg.contains("NaN") && !svg.contains("inf"));
    }

    #[test]
    fn a_history_of_nothing_is_a_chart_all_the_same() {
        let scratch = Scratch::new("nothing");
        let history = History::create(&scratch.0).expect("files");
        history.finish("no run").expect("written");
        let svg = scratch.read("svg");
        assert!(svg.ends_with("</svg>\n") && !svg.contains("NaN") && !svg.contains("inf"));
    }
}
