//! The program: server, players or both, a line a second, and the report.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use crate::history::History;
use crate::metrics;
use crate::metrics_server::MetricsServer;
use crate::numbers::thousands;
use crate::options::{Mode, Options};
use crate::players::{Played, PlayersConfig, play};
use crate::pools::Pools;
use crate::report::{Report, Verdict, pool_line, resident_memory};
use crate::server::{Log, Server, ServerConfig, histogram};
use crate::snapshot::{Sampler, Snapshot};
use crate::watch::{Lines, Watch};

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
    // A descriptor for each end of a connection that is in this process, and some for the rest.
    let ends = if options.mode == Mode::Both { 2 } else { 1 };
    let needed = (ends * options.players + 64 + 8 * cores) as u64;
    let limit = rlimit::increase_nofile_limit(needed)
        .map_err(|error| format!("cannot raise the limit of file descriptors: {error}"))?;
    check_descriptors(options.players, needed, limit)?;

    // What can't be had is told before anything runs.
    let mut history = options
        .history
        .as_deref()
        .map(History::create)
        .transpose()?;
    let lines = Lines::default();
    let (user_log, log) = match options.watch {
        true => (log, &lines.log()),
        false => (log, log),
    };

    let serve = |address| {
        let pools = Pools::for_players(options.pool, options.players)?;
        let config = ServerConfig {
            address,
            workers: cores,
            time_limit: options.time_limit,
            log: Arc::clone(log),
        };
        Server::start(config, pools.clone()).map(|server| (server, pools))
    };
    let server = match options.mode {
        Mode::Both => Some(serve(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?),
        Mode::Serve(address) => Some(serve(address)?),
        Mode::Connect(_) => None,
    };
    let players = format!("{} players", thousands(options.players as u64));
    let seconds = options.duration.as_secs_f64();
    let title = match &server {
        Some((server, _)) => {
            let pool = options.pool.name();
            format!("{players}, {pool} pool, {}", server.driver())
        }
        None => players,
    };
    // Where players of this process connect to, if there are any.
    let target = match (options.mode, &server) {
        (Mode::Connect(address), _) => Some(address),
        (Mode::Both, Some((server, _))) => Some(server.address()),
        (Mode::Both | Mode::Serve(_), _) => None,
    };
    match (target, &server) {
        (Some(target), _) => print(format!("{title}, at {target} for {seconds} s")),
        (None, Some((server, _))) => {
            print(format!("serving on {}, until Ctrl-C", server.address()))
        }
        (None, None) => {}
    }

    let metrics = match (options.metrics, &server) {
        (Some(address), Some((server, _))) => {
            let figures = server.figures();
            let server = MetricsServer::start(address, move || {
                metrics::text(&figures.pools(), figures.answers(), &figures.responses())
            })?;
            print(format!("metrics at http://{}/metrics", server.address()));
            Some(server)
        }
        _ => None,
    };
    let mut sampler = server
        .as_ref()
        .map(|(server, _)| Sampler::new(server.figures()));
    let mut faults = Vec::new();
    let mut record = |history: &mut Option<History>, snapshot: &Snapshot| {
        let recorded = history.as_mut().map(|history| history.record(snapshot));
        if let Some(Err(error)) = recorded {
            // Once, and no more of it.
            *history = None;
            faults.push(error);
        }
    };
    let mut watch = match options.watch {
        true => Some(Watch::start(sender.clone(), lines, Arc::clone(user_log))?),
        false => None,
    };

    if let Some(sampler) = &mut sampler {
        let snapshot = sampler.sample();
        record(&mut history, &snapshot);
        if let Some(watch) = &mut watch {
            watch.show(&title, &snapshot);
        }
    }

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
            // Nobody listens any more only when the program is ending.
            let _ = sender.send(Event::Played(play(&config)));
        });
    }

    // Until the players are through, or the user is.
    let start = Instant::now();
    let mut next_second = start;
    let mut resident = None;
    let played = loop {
        next_second += Duration::from_secs(1);
        match wait(&events, next_second) {
            Some(Event::Played(played)) => break Some(played?),
            Some(Event::Interrupted) if target.is_none() => break None,
            Some(Event::Interrupted) => stop_players.store(true, Ordering::Relaxed),
            None => {
                // While connections are open: they are what takes memory.
                resident = resident_memory();
                if let Some(sampler) = &mut sampler {
                    let snapshot = sampler.sample();
                    record(&mut history, &snapshot);
                    match &mut watch {
                        Some(watch) => watch.show(&title, &snapshot),
                        None => {
                            for pool in &snapshot.pools {
                                print(pool_line(pool, snapshot.last));
                            }
                        }
                    }
                }
            }
        }
    };
    // The terminal is as it was before the report is printed.
    drop(watch);
    if let Some(sampler) = sampler.as_mut().filter(|sampler| !sampler.is_recent()) {
        record(&mut history, &sampler.sample());
    }
    if let Some(history) = history {
        if let Err(error) = history.finish(&title) {
            faults.push(error);
        }
    }
    let elapsed = start.elapsed();

    let mut report = Report {
        title,
        elapsed,
        messages: 0,
        responses: histogram(),
        response_of: "frame whole to answer sent",
        verdict: None,
        pools: Vec::new(),
        resident: resident.or_else(resident_memory),
        resident_of: match options.mode {
            Mode::Both => "server and players are one process",
            Mode::Serve(_) => "the server",
            Mode::Connect(_) => "the players",
        },
        faults,
    };
    if let Some((server, pools)) = server {
        drop(metrics);
        report.responses = server.stop();
        report.messages = report.responses.len();
        report.pools = vec![pools.recv.stats(), pools.send.stats()];
    }
    // What players see says more than what the server sees.
    if let Some(played) = played {
        report.elapsed = played.elapsed;
        report.messages = played.messages;
        report.responses = played.responses;
        report.response_of = "first byte sent to last byte received";
        report.verdict = Some(Verdict {
            verified: played.verified,
            differences: played.differences,
            failures: played.failures,
        });
    }
    Ok(report)
}

/// The next event, if it comes in time.
fn wait(events: &Receiver<Event>, until: Instant) -> Option<Event> {
    match events.recv_timeout(until.saturating_duration_since(Instant::now())) {
        Ok(event) => Some(event),
        Err(RecvTimeoutError::Timeout) => None,
        // Nobody is left who could end the run otherwise.
        Err(RecvTimeoutError::Disconnected) => Some(Event::Interrupted),
    }
}

/// Whether a limit of so many file descriptors will do.
pub(crate) fn check_descriptors(players: usize, needed: u64, limit: u64) -> Result<(), String> {
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
