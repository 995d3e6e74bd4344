//! What is seen of a run. While it goes on: `live.rs` takes a snapshot a second, printed as lines or drawn by
//! `screen.rs` on the terminal that `watch.rs` has taken; `history.rs` keeps them in a file, with the charts
//! of `chart.rs`, and `metrics_server.rs` serves the page that `metrics.rs` writes. At the end: `summary.rs`,
//! with the advice of `advice.rs`.

pub(crate) mod advice;
mod chart;
pub(crate) mod history;
pub(crate) mod live;
pub(crate) mod metrics;
pub(crate) mod metrics_server;
mod screen;
pub(crate) mod summary;
pub(crate) mod watch;
