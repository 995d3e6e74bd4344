//! The game server as a process: what it prints, what it says about wrong options, and with which status it ends. What
//! is inside it is tested there.
#![forbid(unsafe_code)]

use std::net::{Shutdown, TcpListener};
use std::process::{Command, Output};
use std::thread;

fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_poolbuf-game-server"))
}

fn run(arguments: &[&str]) -> Output {
    let output = program().args(arguments).output();
    output.expect("the example runs")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("text")
}

#[test]
fn a_good_run_ends_with_a_report_and_status_0() {
    let output = run(&["--players", "20", "--seconds", "1.5", "--pool=multi-size"]);
    assert_eq!(text(&output.stderr), "");
    assert!(output.status.success(), "{}", output.status);
    let (live, report) = text(&output.stdout).split_once("\n\n").expect("a report");
    let title = "20 players, multi-size pool, ";
    assert!(live.starts_with(title), "{live}");
    let mut every_second = live.lines().skip(1);
    let pools = ["recv pool: ", "send pool: ", "header pool: "];
    assert!(every_second.all(|line| pools.iter().any(|pool| line.starts_with(pool))));

    assert!(report.starts_with(title), "{report}");
    let labels = report.lines().skip(1).map(|line| line[..11].trim_end());
    let mut labels: Vec<_> = labels.collect();
    // Of advice there may be more than one line.
    labels.dedup();
    let expected = [
        "messages",
        "response",
        "verified",
        "server time",
        "cut off",
        "recv pool",
        "send pool",
        "header pool",
        "advice",
        "memory",
    ];
    assert_eq!(labels, expected, "{report}");
    assert!(
        report.contains("\ncut off     0 clients by the time limit of 5 s\n"),
        "{report}"
    );
}

#[test]
fn help_is_printed_with_every_option() {
    let output = run(&["--players", "3", "--help"]);
    assert!(output.status.success());
    assert_eq!(text(&output.stderr), "");
    let help = text(&output.stdout);
    assert!(help.starts_with("A game server on completion-based I/O"));
    assert!(help.contains("\n  --pool KIND ") && help.contains("\nExit status: "));
}

#[test]
fn what_cannot_start_says_why_in_a_line_and_ends_with_status_2() {
    let busy = TcpListener::bind("127.0.0.1:0").expect("listen");
    let busy = busy.local_addr().expect("address").to_string();
    let listening = format!("cannot listen on {busy}: ");
    let metrics = format!("cannot serve metrics on {busy}: ");
    let cases: [(&[&str], &str); 10] = [
        (&["--player", "3"], "invalid option '--player': see --help"),
        (&["3"], "unexpected argument \"3\": see --help"),
        (&["--players"], "missing argument for option '--players': see --help"),
        (
            &["--players", "0"],
            "--players \"0\": a whole number from 1 to 25,000 is allowed",
        ),
        (
            &["--pool", "big"],
            "--pool \"big\": one of buffer, aligned, lock-free, multi-size is",
        ),
        (&["--watch", "--watch"], "--watch is given twice"),
        (&["--watch"], "--watch needs a terminal, and standard output is none"),
        (
            &["--history", "/no/such/folder/x.csv"],
            "cannot write /no/such/folder/x.csv: ",
        ),
        (&["--serve", &busy], &listening),
        (&["--metrics", &busy, "--players", "1"], &metrics),
    ];
    for (arguments, start) in cases {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let error = text(&output.stderr);
        assert!(error.starts_with(start), "{arguments:?}: {error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
}

#[test]
fn a_connection_that_fails_ends_with_status_1() {
    let impostor = TcpListener::bind("127.0.0.1:0").expect("listen");
    let address = impostor.local_addr().expect("address").to_string();
    let closing = thread::spawn(move || {
        let (client, _) = impostor.accept().expect("a player");
        client.shutdown(Shutdown::Both).expect("shutdown");
    });
    let output = run(&["--connect", &address, "--players", "1", "--seconds", "5"]);
    closing.join().expect("the impostor");
    assert_eq!(output.status.code(), Some(1));
    let errors: Vec<_> = text(&output.stderr).lines().collect();
    assert!(errors[0].starts_with("player 0 gives up at message 0: "), "{errors:?}");
    assert_eq!(errors[1..], ["1 connections failed", "no message was answered"]);
    let report = text(&output.stdout);
    assert!(report.contains("\nverified    0 bytes; 0 answers differed, 1 connections failed\n"));
    // What only a server knows.
    assert!(!report.contains("server time") && !report.contains("cut off"));
}

/// A process that ends with its test.
#[cfg(unix)]
struct Ends(std::process::Child);

#[cfg(unix)]
impl Drop for Ends {
    fn drop(&mut self) {
        // An error means that it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Server and players are two processes, and the server is ended as from the keyboard.
#[cfg(unix)]
#[test]
fn a_server_counts_the_clients_that_it_cuts_off_and_ends_with_ctrl_c() {
    use std::io::{BufRead, BufReader, Read, Write};
    use std::net::TcpStream;
    use std::process::Stdio;

    let server = program()
        .args(["--serve", "127.0.0.1:0", "--players", "10", "--timeout", "2"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut server = Ends(server.expect("a server"));
    let mut printed = BufReader::new(server.0.stdout.take().expect("a pipe"));
    let mut line = String::new();
    printed.read_line(&mut line).expect("a line");
    let address = line.strip_prefix("serving on ").and_then(|line| line.split(',').next());
    let address = address.expect("an address").to_owned();

    let players = run(&["--connect", &address, "--players", "5", "--seconds", "0.5"]);
    assert!(players.status.success(), "{}", text(&players.stderr));
    assert!(text(&players.stdout).contains("seen by players"));
    // Half a header, and no more: the server closes the connection when the time is over.
    let mut slow = TcpStream::connect(&address).expect("connect");
    slow.write_all(&[64, 0]).expect("send");
    assert_eq!(slow.read(&mut [0]).expect("the end"), 0);

    let pid = server.0.id().to_string();
    let interrupted = Command::new("kill").args(["-INT", &pid]).status();
    assert!(interrupted.expect("kill").success());
    let (mut rest, mut log) = (String::new(), String::new());
    printed.read_to_string(&mut rest).expect("text");
    let mut errors = server.0.stderr.take().expect("a pipe");
    errors.read_to_string(&mut log).expect("text");
    assert!(server.0.wait().expect("a status").success(), "{log}");
    assert!(
        log.ends_with("closed: frame incomplete after 2 s (2 of 4 header bytes)\n"),
        "{log}"
    );
    assert_eq!(log.lines().count(), 1, "{log}");
    let (_, report) = rest.split_once("\n\n").expect("a report");
    assert!(report.contains("\nserver time p50 "), "{report}");
    assert!(
        report.contains("\ncut off     1 client by the time limit of 2 s: frame not finished by 1\n"),
        "{report}"
    );
    assert!(!report.contains("seen by players"), "{report}");
}
