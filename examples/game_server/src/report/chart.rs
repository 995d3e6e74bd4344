//! Line charts over time as SVG, written by hand: one below the other, on a white ground of their own so
//! that they can be read on light and dark pages.

use std::fmt::Write;

use poolbuf_support::numbers::thousands;

const WIDTH: f64 = 860.0;
const LEFT: f64 = 90.0;
const RIGHT: f64 = 30.0;
/// Above the first chart: the title.
const TOP: f64 = 48.0;
const CHART: f64 = 200.0;
/// Of a chart: its title above the plot, the times below.
const ABOVE: f64 = 28.0;
const BELOW: f64 = 30.0;
/// More points than the width can show are left out.
const POINTS: usize = 1000;

const INK: &str = "#111827";
const PALE_INK: &str = "#4b5563";
const GRID: &str = "#e5e7eb";
const COLORS: [&str; 4] = ["#1d4ed8", "#e0a458", "#059669", "#9ca3af"];

/// A chart: its lines have one scale, which begins at 0.
pub(super) struct Chart {
    pub(super) title: &'static str,
    pub(super) series: Vec<Series>,
}

pub(super) struct Series {
    pub(super) label: String,
    /// Seconds since the start, and the value then.
    pub(super) points: Vec<(f64, f64)>,
}

pub(super) fn draw(title: &str, charts: &[Chart]) -> String {
    let height = TOP + charts.len() as f64 * CHART + 10.0;
    let points = || charts.iter().flat_map(|chart| &chart.series);
    let seconds = points().flat_map(|series| &series.points);
    let end = seconds.fold(0.001, |end, (second, _)| f64::max(end, *second));
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
         height=\"{height}\" font-family=\"Helvetica, Arial, sans-serif\" role=\"img\">\n\
         <title>{title}</title>\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" rx=\"10\" fill=\"#ffffff\"/>\n",
        title = escaped(title),
    );
    text(&mut svg, (20.0, 30.0), "start", 17.0, INK, title);
    for (index, chart) in charts.iter().enumerate() {
        draw_chart(&mut svg, TOP + index as f64 * CHART, end, chart);
    }
    svg += "</svg>\n";
    svg
}

fn draw_chart(svg: &mut String, top: f64, seconds: f64, chart: &Chart) {
    let (plot_top, plot_bottom) = (top + ABOVE, top + CHART - BELOW);
    let values = chart.series.iter().flat_map(|series| &series.points);
    let highest = round_up(values.fold(0.0, |highest, (_, value)| f64::max(highest, *value)));
    let x = |second: f64| LEFT + second / seconds * (WIDTH - LEFT - RIGHT);
    let y = |value: f64| plot_bottom - value / highest * (plot_bottom - plot_top);

    text(svg, (20.0, top + 14.0), "start", 13.0, INK, chart.title);
    for quarter in 0..=4 {
        let part = f64::from(quarter) / 4.0;
        let level = y(part * highest);
        let right = WIDTH - RIGHT;
        let _ = writeln!(
            svg,
            "<line x1=\"{LEFT}\" y1=\"{level:.1}\" x2=\"{right}\" y2=\"{level:.1}\" stroke=\"{GRID}\"/>"
        );
        let at = (LEFT - 8.0, level + 4.0);
        text(svg, at, "end", 11.0, PALE_INK, &number(part * highest));
        let at = (x(part * seconds), plot_bottom + 16.0);
        let label = format!("{:.1} s", part * seconds);
        text(svg, at, "middle", 11.0, PALE_INK, &label);
    }
    // From right to left, so that the first label is the leftmost one.
    let mut legend = WIDTH - RIGHT;
    for (index, series) in chart.series.iter().enumerate().rev() {
        let color = COLORS[index % COLORS.len()];
        draw_line(svg, &series.points, color, x, y);
        if chart.series.len() > 1 {
            text(svg, (legend, top + 14.0), "end", 11.0, PALE_INK, &series.label);
            legend -= series.label.chars().count() as f64 * 6.2 + 18.0;
            let _ = writeln!(
                svg,
                "<rect x=\"{legend:.1}\" y=\"{:.1}\" width=\"11\" height=\"11\" rx=\"2\" fill=\"{color}\"/>",
                top + 5.0
            );
            legend -= 18.0;
        }
    }
}

fn draw_line(svg: &mut String, points: &[(f64, f64)], color: &str, x: impl Fn(f64) -> f64, y: impl Fn(f64) -> f64) {
    let step = points.len().div_ceil(POINTS).max(1);
    let shown = points.iter().step_by(step);
    let places: Vec<String> = shown
        .map(|(second, value)| format!("{:.1},{:.1}", x(*second), y(*value)))
        .collect();
    let _ = match &places[..] {
        // A line of one point would not be seen.
        [place] => {
            let (x, y) = place.split_once(',').unwrap_or_default();
            writeln!(svg, "<circle cx=\"{x}\" cy=\"{y}\" r=\"3\" fill=\"{color}\"/>")
        }
        places => writeln!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"2\" \
             stroke-linejoin=\"round\"/>",
            places.join(" ")
        ),
    };
}

/// The end of a scale: the next of 1, 2, 4, 6, 8 and 10 times a power of ten.
fn round_up(value: f64) -> f64 {
    if value <= 0.0 {
        return 1.0;
    }
    let power = 10f64.powf(value.log10().floor());
    let factors = [1.0, 2.0, 4.0, 6.0, 8.0, 10.0];
    let enough = factors.map(|factor| factor * power);
    enough.into_iter().find(|end| *end >= value).unwrap_or(value)
}

fn number(value: f64) -> String {
    if value < 10.0 {
        let text = format!("{value:.2}");
        let text = text.trim_end_matches('0').trim_end_matches('.');
        return text.to_owned();
    }
    thousands(value.round() as u64)
}

fn text(svg: &mut String, at: (f64, f64), anchor: &str, size: f64, fill: &str, content: &str) {
    let (x, y) = at;
    let content = escaped(content);
    let _ = writeln!(
        svg,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" font-size=\"{size}\" fill=\"{fill}\">\
         {content}</text>"
    );
}

fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;");
    text.replace('<', "&lt;").replace('>', "&gt;")
}
