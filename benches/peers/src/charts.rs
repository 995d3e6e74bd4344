//! Bar charts as SVG, written by hand: horizontal bars, ours in blue, on a white ground of their own so that
//! they can be read on light and dark pages.

use std::fmt::Write;
use std::path::Path;
use std::{fs, io};

use crate::comparison::{Comparison, Kind};
use crate::figures::median;
use crate::workloads::{
    THREADS, handed_over::HANDED_OVER, held::HELD, near_exhaustion::NEAR_EXHAUSTION, one_at_a_time::ONE_AT_A_TIME,
    ring, threaded,
};

const WIDTH: f64 = 860.0;
/// Where labels end and bars begin.
const LEFT: f64 = 280.0;
/// The length of the longest bar; its number stands behind it.
const LONGEST: f64 = 470.0;
const TOP: f64 = 72.0;
const BAR: f64 = 18.0;
const GAP: f64 = 6.0;
/// Bars of one candidate, where it has several.
const THIN_BAR: f64 = 11.0;
const THIN_GAP: f64 = 1.0;

const OURS: &str = "#1d4ed8";
const LOCK_FREE: &str = "#60a5fa";
const PEER: &str = "#e0a458";
const REFERENCE: &str = "#9ca3af";

/// One candidate of a chart: a bar for each of the chart's series.
struct Group {
    label: String,
    kind: Kind,
    bars: Vec<Option<f64>>,
}

/// Writes all charts that there are figures for. Returns each one's title and file name.
pub(crate) fn write(comparison: &Comparison, directory: &Path) -> io::Result<Vec<(&'static str, String)>> {
    let single = |workload: &str| (vec![String::new()], vec![workload.to_owned()]);
    let threads = |id: fn(usize) -> String| {
        (
            THREADS.map(|threads| threads.to_string()).to_vec(),
            THREADS.map(id).to_vec(),
        )
    };
    let charts = [
        (
            "One at a time",
            "one-at-a-time",
            "nanoseconds, one thread, guards passed by reference",
            single(ONE_AT_A_TIME),
        ),
        (
            "64 held at once",
            HELD,
            "nanoseconds for each buffer, one thread",
            single(HELD),
        ),
        (
            "Threads on one pool",
            "threads",
            "nanoseconds an operation, all of 1, 2, 4, 8 threads together",
            threads(threaded::id),
        ),
        (
            "Threads that hold 16",
            "ring",
            "nanoseconds an operation, all of 1, 2, 4, 8 threads together",
            threads(ring::id),
        ),
        (
            "Released on another thread",
            HANDED_OVER,
            "nanoseconds for each buffer, with the channel",
            single(HANDED_OVER),
        ),
        (
            "Near exhaustion",
            NEAR_EXHAUSTION,
            "nanoseconds a pair; 8 threads on 16 buffers",
            single(NEAR_EXHAUSTION),
        ),
    ];
    fs::create_dir_all(directory)?;
    let mut written = Vec::new();
    for (title, file, unit, (series, workloads)) in charts {
        let groups = groups(comparison, &workloads);
        if groups.is_empty() {
            continue;
        }
        let file = format!("{file}.svg");
        fs::write(directory.join(&file), draw(title, unit, &series, &groups))?;
        written.push((title, file));
    }
    Ok(written)
}

/// In the order of the second series, or of the only one.
fn groups(comparison: &Comparison, workloads: &[String]) -> Vec<Group> {
    let order = workloads.get(1).or(workloads.first());
    let ranked = order.map_or(Vec::new(), |workload| comparison.ranked(workload));
    let group = ranked.into_iter().map(|entrant| Group {
        label: order.map_or(String::new(), |workload| {
            comparison.label(entrant, workload).replace('`', "")
        }),
        kind: entrant.kind,
        bars: workloads
            .iter()
            .map(|workload| comparison.figure(entrant, workload))
            .collect(),
    });
    group.collect()
}

fn draw(title: &str, unit: &str, series: &[String], groups: &[Group]) -> String {
    let several = series.len() > 1;
    let (bar, gap) = if several { (THIN_BAR, THIN_GAP) } else { (BAR, 0.0) };
    let group_height = series.len() as f64 * (bar + gap) + GAP;
    let height = TOP + groups.len() as f64 * group_height + 40.0;
    let end = axis_end(groups);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
         height=\"{height}\" font-family=\"Helvetica, Arial, sans-serif\" role=\"img\">\n\
         <title>{title}</title>\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" rx=\"10\" fill=\"#ffffff\"/>\n"
    );
    text(&mut svg, 20.0, 30.0, "start", 17.0, "#111827", title);
    text(
        &mut svg,
        20.0,
        51.0,
        "start",
        12.0,
        "#4b5563",
        &format!("{unit}; shorter is better"),
    );
    for (index, group) in groups.iter().enumerate() {
        let top = TOP + index as f64 * group_height;
        let middle = top + (group_height - GAP) / 2.0;
        let label_right = if several { LEFT - 28.0 } else { LEFT - 10.0 };
        let ink = if group.kind == Kind::Ours { OURS } else { "#111827" };
        text(&mut svg, label_right, middle + 4.0, "end", 12.0, ink, &group.label);
        for (index, (name, value)) in series.iter().zip(&group.bars).enumerate() {
            let top = top + index as f64 * (bar + gap);
            if several {
                text(&mut svg, LEFT - 8.0, top + bar - 2.0, "end", 9.0, "#4b5563", name);
            }
            if let Some(value) = value {
                draw_bar(&mut svg, top, bar, *value, end, group.kind);
            }
        }
    }
    legend(&mut svg, height - 18.0, groups);
    svg.push_str("</svg>\n");
    svg
}

fn draw_bar(svg: &mut String, top: f64, height: f64, value: f64, end: f64, kind: Kind) {
    let fill = match kind {
        Kind::Ours => OURS,
        Kind::LockFree | Kind::MultiSize => LOCK_FREE,
        Kind::Peer => PEER,
        Kind::Reference => REFERENCE,
    };
    let length = (value / end).min(1.0) * LONGEST;
    element(
        svg,
        &format!(
            "<rect x=\"{LEFT}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{height}\" rx=\"2\" fill=\"{fill}\"/>",
            length.max(1.0)
        ),
    );
    if value > end {
        // The break: the bar would be longer.
        let x = LEFT + LONGEST - 26.0;
        let bottom = top + height;
        element(
            svg,
            &format!(
                "<polygon points=\"{:.1},{bottom:.1} {:.1},{top:.1} {:.1},{top:.1} {:.1},{bottom:.1}\" \
                 fill=\"#ffffff\"/>",
                x,
                x + 6.0,
                x + 12.0,
                x + 6.0
            ),
        );
    }
    let size = if height < BAR { 10.0 } else { 12.0 };
    let number = if value < 100.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.0}")
    };
    let baseline = top + height / 2.0 + size * 0.36;
    text(svg, LEFT + length + 6.0, baseline, "start", size, "#111827", &number);
}

/// What the longest bar stands for: everything, unless a few are so long that the rest could not be seen.
fn axis_end(groups: &[Group]) -> f64 {
    let values = || groups.iter().flat_map(|group| &group.bars).flatten().copied();
    let longest = values().fold(0.0, f64::max);
    let typical = median(values()).unwrap_or(longest);
    let end = typical * 4.0;
    if longest > end * 1.2 { end } else { longest }
}

fn legend(svg: &mut String, y: f64, groups: &[Group]) {
    let entries = [
        (Kind::Ours, OURS, "BufferPool"),
        (Kind::LockFree, LOCK_FREE, "other pools of ours"),
        (Kind::Peer, PEER, "what else there is"),
        (
            Kind::Reference,
            REFERENCE,
            "not a pool for use: the floor, or the channel alone",
        ),
    ];
    let mut x = 20.0;
    for (kind, fill, label) in entries {
        if groups.iter().all(|group| group.kind != kind) {
            continue;
        }
        let top = y - 9.0;
        element(
            svg,
            &format!("<rect x=\"{x:.1}\" y=\"{top:.1}\" width=\"11\" height=\"11\" rx=\"2\" fill=\"{fill}\"/>"),
        );
        text(svg, x + 17.0, y, "start", 11.0, "#4b5563", label);
        x += 17.0 + label.len() as f64 * 6.2 + 18.0;
    }
}

fn text(svg: &mut String, x: f64, y: f64, anchor: &str, size: f64, fill: &str, content: &str) {
    let content = content.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    element(
        svg,
        &format!(
            "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" font-size=\"{size}\" fill=\"{fill}\">\
             {content}</text>"
        ),
    );
}

fn element(svg: &mut String, element: &str) {
    writeln!(svg, "{element}").expect("a string takes everything");
}
