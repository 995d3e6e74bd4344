//! The program as it is run from the command line, but for its terminal.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::{Scratch, ask, echo, leave, localhost, logger, samples};
use crate::options::{Mode, Options};
use crate::program::{Event, run};
use crate::report::summary::Report;
use crate::server::pools::PoolKind;

/// The whole program, as from the command line.
fn program(options: &Options) -> (Result<Report, String>, Vec<String>, Vec<String>) {
    let (log, lines) = logger();
    let mut printed = Vec::new();
    let report = run(options, mpsc::channel(), &log, &mut |line| printed.push(line));
    (report, printed, lines.try_iter().collect())
}

#[test]
fn a_run_of_the_program_is_without_fault_on_every_pool() {
    let faultless = |pool| {
        let options = Options {
            players: 20,
            duration: Duration::from_millis(1500),
            pool,
            ..Options::default()
        };
        let (report, printed, logged) = program(&options);
        let report = report.expect("a report");
        assert_eq!(report.problems(), [""; 0]);
        assert_eq!(logged, [""; 0]);

        let players = report.players.as_ref().expect("players played");
        assert!(players.messages >= 20 && players.verified > 20 * 64);
        assert_eq!(players.responses.count(), players.messages);
        let figures = &report.server.as_ref().expect("a server").figures;
        assert_eq!(figures.server_times.count(), players.messages);
        assert_eq!(figures.cut_off.total(), 0);
        for (pool, name) in figures.pools.iter().zip(["recv pool", "send pool", "header pool"]) {
            assert!(pool.high_water > 0 && pool.high_water <= pool.max);
            assert_eq!((&*pool.name, pool.in_use, pool.refused), (name, 0, 0));
            let line = printed.iter().find(|line| line.starts_with(name));
            let line = line.expect("a line after a second");
            assert!(line.contains("% of ") && line.contains(" in use | 100.00% served | "));
            assert!(line.ends_with(" ms avg server time | normal"), "{line}");
        }
        let text = report.to_string();
        for part in [
            "messages ",
            "response ",
            "server time ",
            "verified ",
            "cut off ",
            "0 not returned",
            "memory ",
            "advice ",
        ] {
            assert!(text.contains(part), "{text}");
        }
    };
    thread::scope(|scope| {
        for pool in PoolKind::ALL {
            scope.spawn(move || faultless(pool));
        }
    });
}

#[test]
fn an_interrupted_run_ends_with_its_report() {
    let options = Options {
        players: 5,
        duration: Duration::from_secs(3600),
        ..Options::default()
    };
    let (sender, events) = mpsc::channel();
    sender.send(Event::Interrupted).expect("an open channel");
    let report = run(&options, (sender, events), &logger().0, &mut |_| {});
    assert!(report.expect("a report").elapsed < Duration::from_secs(3600));
}

#[test]
fn a_server_alone_reports_what_it_answered() {
    let options = Options {
        mode: Mode::Serve(localhost()),
        players: 5,
        ..Options::default()
    };
    let (sender, events) = mpsc::channel();
    let interrupt = sender.clone();
    let mut clients = Vec::new();
    let mut print = |line: String| {
        // "serving on ADDRESS, until Ctrl-C"
        if let Some(address) = line.split([' ', ',']).nth(2) {
            if let Ok(address) = address.parse::<SocketAddr>() {
                let interrupt = interrupt.clone();
                clients.push(thread::spawn(move || {
                    let mut client = TcpStream::connect(address).expect("connect");
                    echo(&mut client, 64);
                    echo(&mut client, 8192);
                    leave(client);
                    interrupt.send(Event::Interrupted).expect("still running");
                }));
            }
        }
    };
    let report = run(&options, (sender, events), &logger().0, &mut print).expect("a report");
    for client in clients {
        client.join().expect("client");
    }
    assert_eq!(report.messages(), 2);
    assert_eq!(report.problems(), [""; 0]);
    let text = report.to_string();
    assert!(text.contains("server time ") && !text.contains("seen by players"));
}

#[test]
fn players_without_a_server_say_so() {
    let free = TcpListener::bind(localhost()).expect("listen");
    let nobody = free.local_addr().expect("address");
    drop(free);
    let options = Options {
        mode: Mode::Connect(nobody),
        players: 3,
        ..Options::default()
    };
    let error = program(&options).0.err().expect("nobody to play with");
    let start = format!("player 0 cannot connect to {nobody}: ");
    assert!(error.starts_with(&start), "{error}");
}

#[test]
fn a_history_that_cannot_be_written_is_an_error_before_the_run() {
    let options = Options {
        history: Some("/no/such/directory/x.csv".into()),
        ..Options::default()
    };
    let (report, printed, _) = program(&options);
    let error = report.err().expect("no file");
    assert!(error.starts_with("cannot write /no/such/directory/x.csv: "), "{error}");
    assert_eq!(printed, [""; 0]);
}

#[test]
fn a_run_serves_its_metrics_and_writes_its_history() {
    let scratch = Scratch::new("run");
    let options = Options {
        mode: Mode::Serve(localhost()),
        players: 5,
        metrics: Some(localhost()),
        history: Some(scratch.0.clone()),
        ..Options::default()
    };
    let (sender, events) = mpsc::channel();
    let interrupt = sender.clone();
    let mut server = None;
    let mut scraped = String::new();
    let mut print = |line: String| {
        if let Some(address) = line.strip_prefix("serving on ") {
            let address = address.split(',').next().expect("an address");
            server = Some(address.parse::<SocketAddr>().expect("an address"));
        } else if let Some(url) = line.strip_prefix("metrics at http://") {
            let address = url.strip_suffix("/metrics").expect("a path");
            let mut client = TcpStream::connect(server.expect("serving")).expect("connect");
            echo(&mut client, 64);
            leave(client);
            let address = address.parse().expect("an address");
            scraped = ask(address, b"GET /metrics HTTP/1.1\r\n\r\n");
            interrupt.send(Event::Interrupted).expect("still running");
        }
    };
    let report = run(&options, (sender, events), &logger().0, &mut print).expect("a report");
    assert_eq!(report.problems(), [""; 0]);
    let (_, body) = scraped.split_once("\r\n\r\n").expect("an answer");
    let samples = samples(body);
    for (name, expected) in [
        ("game_server_messages_total", 1.0),
        ("game_server_server_time_seconds_count", 1.0),
        ("poolbuf_acquires_total{pool=\"send pool\",outcome=\"direct\"}", 1.0),
        ("poolbuf_buffers_max{pool=\"recv pool\"}", 15.0),
    ] {
        let found = samples.iter().find(|(sample, _)| sample == name);
        assert_eq!(found.map(|(_, value)| *value), Some(expected), "{name}");
    }
    assert!(scratch.read("csv").lines().count() >= 2);
    assert!(scratch.read("svg").ends_with("</svg>\n"));
}

#[test]
fn a_busy_port_for_metrics_is_named() {
    let listener = TcpListener::bind(localhost()).expect("listen");
    let address = listener.local_addr().expect("address");
    let options = Options {
        metrics: Some(address),
        players: 1,
        ..Options::default()
    };
    let error = program(&options).0.err().expect("a busy port");
    assert!(
        error.starts_with(&format!("cannot serve metrics on {address}: ")),
        "{error}"
    );
}
