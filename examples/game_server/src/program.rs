//! The program: server, players or both, what is seen of them while they run, and the report.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use poolbuf_support::numbers::thousands;

use crate::options::{Mode, Options};
use crate::players::{Played, PlayersConfig, play};
use crate::report::history::History;
use crate::report::live::{Live, resident_memory};
use crate::report::metrics;
use crate::report::metrics_server::MetricsServer;
use crate::report::summary::{Report, Served};
use crate::report::watch::{Lines, Watch};
use crate::server::pools::Pools;
use crate::server::{Log, Server, ServerConfig};

/// What the program waits for.
pub(crate) enum Event {
    Interrupted,
    Played(Result<Played, String>),
}

/// Runs what `options` say and returns the report; the error is a line for the user. `events` is a channel
/// on which interruptions come; `print` gets the lines for standard output.
pub(crate) fn run(
    options: &Options,
    (sender, events): (Sender<Event>, Receiver<Event>),
    log: &Log,
    print: &mut dyn FnMut(String),
) -> Result<Report, String> {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    raise_descriptor_limit(options, cores)?;
    // What can't be had is told before anything runs.
    let history = options.history.as_deref().map(History::create);
    let history = history.transpose()?;
    // Log lines would break the screen up: it draws them itself, and they are told when it is gone.
    let (kept, user_log) = (Lines::default(), log);
    let log = match options.watch {
        true => &kept.log(),
        false => user_log,
    };

    let server = start_server(options, cores, log)?;
    let title = title(options, server.as_ref());
    let seconds = options.duration.as_secs_f64();
    // Where players of this process connect to, if there are any.
    let target = match (options.mode, &server) {
        (Mode::Connect(address), _) => Some(address),
        (Mode::Both, Some(server)) => Some(server.address),
        (Mode::Both | Mode::Serve(_), _) => None,
    };
    match (target, &server) {
        (Some(target), _) => print(format!("{title}, at {target} for {seconds} s")),
        (None, Some(server)) => print(format!("serving on {}, until Ctrl-C", server.address)),
        (None, None) => {}
    }
    let metrics = match (options.metrics, &server) {
        (Some(address), Some(server)) => {
            let figures = server.figures();
            let metrics = MetricsServer::start(address, move || metrics::text(&figures()))?;
            print(format!("metrics at http://{}/metrics", metrics.address));
            Some(metrics)
        }
        _ => None,
    };
    let watch = match options.watch {
        true => Some(Watch::start(sender.clone(), kept, Arc::clone(user_log))?),
        false => None,
    };
    let figures = server.as_ref().map(Server::figures);
    let mut live = figures.map(|figures| Live::start(figures, &title, watch, history));

    let start = Instant::now();
    let stop_players = Arc::new(AtomicBool::new(false));
    if let Some(server) = target {
        let config = PlayersConfig {
            server,
            players: options.players,
            threads: cores.min(2),
            duration: options.duration,
            log: Arc::clone(log),
            stop: Arc::clone(&stop_players),
        };
        thread::spawn(move || {
            // Not received only when the program is ending.
            let _ = sender.send(Event::Played(play(&config)));
        });
    }

    // Until the players are through, or the user is.
    let mut next_second = start;
    let mut resident = None;
    let players = loop {
        next_second += Duration::from_secs(1);
        match wait(&events, next_second) {
            Some(Event::Played(played)) => break Some(played?),
            Some(Event::Interrupted) if target.is_none() => break None,
            Some(Event::Interrupted) => stop_players.store(true, Ordering::Relaxed),
            None => {
                // While connections are open: they are what takes memory.
                resident = resident_memory();
                if let Some(live) = &mut live {
                    live.show(print);
                }
            }
        }
    };
    let (faults, advice) = live.map(Live::finish).unwrap_or_default();
    let elapsed = start.elapsed();
    let resident = resident.or_else(resident_memory);
    drop(metrics);
    Ok(Report {
        title,
        elapsed: players.as_ref().map_or(elapsed, |played| played.elapsed),
        server: server.map(|server| Served {
            figures: server.stop(),
            time_limit: options.time_limit,
            advice,
        }),
        players,
        resident,
        resident_of: match options.mode {
            Mode::Both => "server and players are one process",
            Mode::Serve(_) => "the server",
            Mode::Connect(_) => "the players",
        },
        faults,
    })
}

/// The server, unless it runs elsewhere.
fn start_server(options: &Options, workers: usize, log: &Log) -> Result<Option<Server>, String> {
    let address = match options.mode {
        Mode::Both => SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        Mode::Serve(address) => address,
        Mode::Connect(_) => return Ok(None),
    };
    let config = ServerConfig {
        address,
        workers,
        time_limit: options.time_limit,
        log: Arc::clone(log),
    };
    let pools = Pools::for_players(options.pool, options.players)?;
    Server::start(config, pools).map(Some)
}

/// What runs, for the screen, the charts and the report.
fn title(options: &Options, server: Option<&Server>) -> String {
    let players = thousands(options.players as u64);
    match server {
        Some(server) => {
            let pool = options.pool.name();
            format!("{players} players, {pool} pool, {}", server.driver)
        }
        None => format!("{players} players"),
    }
}

/// The next event, if it comes in time.
fn wait(events: &Receiver<Event>, until: Instant) -> Option<Event> {
    match events.recv_timeout(until.saturating_duration_since(Instant::now())) {
        Ok(event) => Some(event),
        Err(RecvTimeoutError::Timeout) => None,
        // Nothing is left that could end the run otherwise.
        Err(RecvTimeoutError::Disconnected) => Some(Event::Interrupted),
    }
}

fn raise_descriptor_limit(options: &Options, cores: usize) -> Result<(), String> {
    // A descriptor for each end of a connection that is in this process, and some for the rest.
    let ends = if options.mode == Mode::Both { 2 } else { 1 };
    let needed = (ends * options.players + 64 + 8 * cores) as u64;
    let limit = rlimit::increase_nofile_limit(needed)
        .map_err(|error| format!("cannot raise the limit of file descriptors: {error}"))?;
    check_descriptors(options.players, needed, limit)
}

/// Whether a limit of so many file descriptors will do.
fn check_descriptors(players: usize, needed: u64, limit: u64) -> Result<(), String> {
    if limit >= needed {
        return Ok(());
    }
    Err(format!(
        "{} players need {} file descriptors, and this process may have {} at most: raise the limit \
         (ulimit -n {needed}) or choose fewer --players",
        thousands(players as u64),
        thousands(needed),
        thousands(limit),
    ))
}

#[cfg(test)]
mod tests {
    use super::check_descriptors;

    #[test]
    fn too_few_file_descriptors_are_named_with_the_way_out() {
        assert_eq!(check_descriptors(1000, 2080, 2080), Ok(()));
        let error = check_descriptors(1000, 2080, 2079).expect_err("one too few");
        for part in ["1,000", "2,080", "2,079", "ulimit -n 2080", "--players"] {
            assert!(error.contains(part), "{error}");
        }
    }
}
