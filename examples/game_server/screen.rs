//! The screen of `--watch`: a snapshot drawn, and nothing else.

use std::time::Duration;

use poolbuf::{Health, PoolStats};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Gauge, Paragraph};

use crate::numbers::{mebibytes, millis, thousands};
use crate::snapshot::Snapshot;

/// Columns of a tier's or a pool's name before its bar.
const NAME: u16 = 14;

/// Draws `snapshot` and the end of the log.
pub(crate) fn draw(frame: &mut Frame<'_>, title: &str, snapshot: &Snapshot, log: &[String]) {
    let mut heights = vec![Constraint::Length(4)];
    let pools = snapshot.pools.iter();
    heights.extend(pools.map(|pool| Constraint::Length(4 + pool.tiers.len() as u16)));
    heights.push(Constraint::Min(1));
    heights.push(Constraint::Length(1));
    let areas = Layout::vertical(heights).split(frame.area());
    let (server, rest) = (areas[0], &areas[1..]);

    frame.render_widget(server_lines(title, snapshot), server);
    for (pool, area) in snapshot.pools.iter().zip(rest) {
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
    let responses = snapshot.responses;
    let resident = snapshot.resident.map_or("-".to_owned(), mebibytes);
    let (minutes, seconds) = (snapshot.at.as_secs() / 60, snapshot.at.as_secs() % 60);
    Paragraph::new(vec![
        Line::from(format!(
            "messages  {}/s, {} so far",
            thousands(snapshot.messages_per_second as u64),
            thousands(snapshot.messages),
        )),
        Line::from(format!(
            "response  p50 {}, p99 {}, p99.9 {}",
            millis(responses.p50),
            millis(responses.p99),
            millis(responses.p999),
        )),
        Line::from(format!("memory    {resident} resident")),
    ])
    .block(headed().title(format!(" {title}, {minutes}:{seconds:02} ")))
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
    let average = pool.waited.checked_div(count_of_waits(pool));
    let figures_line = Line::from(format!(
        "refused {} | waiting {}, waits {}, {} on average | {} of buffers",
        thousands(pool.refused),
        thousands(pool.waiting as u64),
        thousands(pool.waits),
        millis(average.unwrap_or(Duration::ZERO).as_nanos() as u64),
        mebibytes(pool.resident_bytes as u64),
    ));
    frame.render_widget(figures_line, figures);
    let advice = match pool.health() {
        Health::Normal => Span::from("normal").green(),
        health => Span::from(health.to_string()).yellow(),
    };
    frame.render_widget(advice, rows[2 + pool.tiers.len()]);
}

/// `Duration` divides by a `u32`.
fn count_of_waits(pool: &PoolStats) -> u32 {
    u32::try_from(pool.waits).unwrap_or(u32::MAX)
}

fn draw_bar(frame: &mut Frame<'_>, row: Rect, name: &str, pool: &PoolStats) {
    let [left, right] =
        Layout::horizontal([Constraint::Length(NAME), Constraint::Min(1)]).areas(row);
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
