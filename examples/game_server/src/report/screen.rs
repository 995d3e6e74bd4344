//! The screen of `--watch`: a snapshot drawn, and nothing else.

use poolbuf::{Health, PoolStats};
use poolbuf_support::numbers::{mebibytes, millis, thousands};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Gauge, Paragraph};

use super::live::{Snapshot, clients};
use crate::times::nanos;

/// Columns of a tier's or a pool's name before its bar.
const NAME: u16 = 14;

/// Draws `snapshot` and the end of the log.
pub(super) fn draw(frame: &mut Frame<'_>, title: &str, snapshot: &Snapshot, log: &[String]) {
    let mut heights = vec![Constraint::Length(4)];
    let heights_of_pools = pools(snapshot).iter();
    heights.extend(heights_of_pools.map(|pool| Constraint::Length(4 + pool.tiers.len() as u16)));
    heights.push(Constraint::Min(1));
    heights.push(Constraint::Length(1));
    let areas = Layout::vertical(heights).split(frame.area());
    let (server, rest) = (areas[0], &areas[1..]);

    frame.render_widget(server_lines(title, snapshot), server);
    for (pool, area) in pools(snapshot).iter().zip(rest) {
        draw_pool(frame, *area, pool);
    }
    let (log_area, foot) = (rest[rest.len() - 2], rest[rest.len() - 1]);
    draw_log(frame, log_area, log);
    frame.render_widget("q or Ctrl-C ends the run".dark_gray(), foot);
}

/// Only a line above: two multi-size pools fit on 24 lines.
fn headed() -> Block<'static> {
    Block::new().borders(Borders::TOP)
}

fn server_lines(title: &str, snapshot: &Snapshot) -> Paragraph<'static> {
    let times = &snapshot.server_times;
    let resident = snapshot.resident.map_or("-".to_owned(), mebibytes);
    let (minutes, seconds) = (snapshot.at.as_secs() / 60, snapshot.at.as_secs() % 60);
    Paragraph::new(vec![
        Line::from(format!(
            "messages     {}/s, {} so far, {} cut off",
            thousands(snapshot.messages_per_second as u64),
            thousands(snapshot.messages),
            clients(snapshot.cut_off.total()),
        )),
        Line::from(format!(
            "server time  p50 {}, p99 {}, p99.9 {}",
            millis(times.quantile(0.5)),
            millis(times.quantile(0.99)),
            millis(times.quantile(0.999)),
        )),
        Line::from(format!("memory       {resident} resident{}", headers(snapshot))),
    ])
    .block(headed().title(format!(" {title}, {minutes}:{seconds:02} ")))
}

/// The receive pool and the send pool.
fn pools(snapshot: &Snapshot) -> &[PoolStats] {
    &snapshot.pools[..snapshot.pools.len().min(2)]
}

/// The pool for headers, which every connection has a buffer of: nothing to look at for long.
fn headers(snapshot: &Snapshot) -> String {
    let headers = snapshot.pools.get(2);
    headers.map_or(String::new(), |pool| {
        let (in_use, max) = (thousands(pool.in_use as u64), thousands(pool.max as u64));
        format!(" | {}: {in_use} of {max} in use", pool.name)
    })
}

/// A bar for the pool, one for each of its tiers, and its figures.
fn draw_pool(frame: &mut Frame<'_>, area: Rect, pool: &PoolStats) {
    let block = headed().title(format!(" {} ", pool.name));
    let inner = block.inner(area);
    frame.render_widget(block, area);

    let mut heights = vec![Constraint::Length(1); 1 + pool.tiers.len()];
    heights.extend([Constraint::Length(1); 2]);
    let rows = Layout::vertical(heights).split(inner);
    draw_bar(frame, rows[0], "in use", pool);
    for (tier, row) in pool.tiers.iter().zip(&rows[1..]) {
        let name = format!("{} B", thousands(tier.buffer_size as u64));
        draw_bar(frame, *row, &name, tier);
    }
    let figures = rows[1 + pool.tiers.len()];
    let figures_line = Line::from(format!(
        "refused {} | waiting {}, waits {}, {} on average | {} of buffers",
        thousands(pool.refused),
        thousands(pool.waiting as u64),
        thousands(pool.waits),
        millis(nanos(pool.average_wait())),
        mebibytes(pool.resident_bytes as u64),
    ));
    frame.render_widget(figures_line, figures);
    let advice = match pool.health() {
        Health::Normal => Span::from("normal").green(),
        health => Span::from(health.to_string()).yellow(),
    };
    frame.render_widget(advice, rows[2 + pool.tiers.len()]);
}

fn draw_bar(frame: &mut Frame<'_>, row: Rect, name: &str, pool: &PoolStats) {
    let [left, right] = Layout::horizontal([Constraint::Length(NAME), Constraint::Min(1)]).areas(row);
    frame.render_widget(name, left);
    let used = pool.in_use as f64 / pool.max.max(1) as f64;
    let color = match pool.used_percent() {
        0..75 => Color::Blue,
        75..90 => Color::Yellow,
        _ => Color::Red,
    };
    let label = format!(
        "{} of {} ({}%), peak {}",
        thousands(pool.in_use as u64),
        thousands(pool.max as u64),
        pool.used_percent(),
        thousands(pool.high_water as u64),
    );
    let bar = Gauge::default()
        .gauge_style(Style::new().fg(color).bg(Color::DarkGray))
        .ratio(used.clamp(0.0, 1.0))
        .label(label);
    frame.render_widget(bar, right);
}

fn draw_log(frame: &mut Frame<'_>, area: Rect, log: &[String]) {
    let fit = usize::from(area.height.saturating_sub(1));
    let last = &log[log.len().saturating_sub(fit)..];
    let lines: Vec<Line<'_>> = last.iter().map(|line| Line::from(line.as_str())).collect();
    frame.render_widget(Paragraph::new(lines).block(headed().title(" log ")), area);
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::{Snapshot, draw};
    use crate::tests::a_snapshot;

    /// What a terminal of that size shows.
    fn shown((width, height): (u16, u16), snapshot: &Snapshot, log: &[String]) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a terminal");
        let drawn = terminal.draw(|frame| draw(frame, "20 players", snapshot, log));
        drawn.expect("a terminal");
        terminal.backend().to_string()
    }

    #[test]
    fn the_screen_shows_every_figure() {
        let log: Vec<_> = (0..50).map(|line| format!("line {line}.")).collect();
        let text = shown((100, 40), &a_snapshot(), &log);
        for part in [
            "20 players, 1:01",
            "54,321/s, 123,456 so far, 3 clients cut off",
            "server time  p50 0.11 ms, p99 2.22 ms, p99.9 33.34 ms",
            "memory       5.0 MiB resident | header pool: 900 of 65,536 in use",
            "recv pool",
            "1,230 of 4,000 (30%), peak 1,777",
            "80 of 100 (80%), peak 99",
            "32,772 B",
            "refused 7 | waiting 17, waits 40, 2.50 ms on average",
            "send pool",
            "600 of 3,000 (20%)",
            "normal",
            "line 49.",
            "q or Ctrl-C ends the run",
        ] {
            assert!(text.contains(part), "{part:?} is not in\n{text}");
        }
        assert!(!text.contains("line 1."), "the log's end, not its begin");

        // Two multi-size pools fit on the smallest usual terminal.
        let mut both = a_snapshot();
        let (mut send, name) = (both.pools[0].clone(), both.pools[1].name.clone());
        (send.name, send.in_use) = (name, 1_240);
        both.pools[1] = send;
        let text = shown((80, 24), &both, &log);
        for part in ["1,240 of 4,000", "2.50 ms on average", "q or Ctrl-C"] {
            assert!(text.contains(part), "{part:?} is not in\n{text}");
        }
        assert_eq!(text.matches("32,772 B ").count(), 2, "{text}");
        assert_eq!(text.matches("normal").count(), 2, "{text}");

        let unknown = Snapshot {
            resident: None,
            ..a_snapshot()
        };
        assert!(shown((100, 40), &unknown, &[]).contains("memory       - resident |"));
    }

    #[test]
    fn a_bar_is_as_long_as_its_pool_is_full() {
        let painted = |in_use| {
            let mut snapshot = a_snapshot();
            snapshot.pools[1].in_use = in_use;
            let text = shown((100, 40), &snapshot, &[]);
            // The bar begins at the same place, behind the name of the send pool's only row.
            let row = text.lines().skip_while(|line| !line.contains("send pool"));
            let row = row
                .skip(1)
                .find(|line| line.contains("in use"))
                .expect("a bar")
                .to_owned();
            row.matches('█').count()
        };
        assert_eq!(painted(0), 0);
        assert!(painted(600) < painted(1500) && painted(1500) < painted(3000));
        // More than there can be is drawn as full.
        assert!(painted(3001) >= painted(3000));
    }

    #[test]
    fn a_screen_that_is_too_small_is_drawn_all_the_same() {
        for size in [(1, 1), (10, 3), (20, 10), (300, 2)] {
            shown(size, &a_snapshot(), &["line".to_owned()]);
        }
    }
}
