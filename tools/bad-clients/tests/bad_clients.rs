//! What the bad clients send is what they say, the examples' servers withstand it, and a server with a fault is found
//! out.
//!
//! The servers are processes of their own: the examples, and `faulty_server` of this package.
#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use poolbuf_bad_clients::checks::{Observed, State, faults, resident_allowed};
use poolbuf_bad_clients::faults::Fault;
use poolbuf_bad_clients::figures::{Figures, NoFigures};
use poolbuf_bad_clients::good_player::Played;
use poolbuf_bad_clients::inputs::expected::{Ending, answered};
use poolbuf_bad_clients::inputs::{corpus, mutation};
use poolbuf_bad_clients::options::Options;
use poolbuf_bad_clients::program::{self, Attack};
use poolbuf_bad_clients::servers::{Kind, with_few_descriptors};
use poolbuf_bad_clients::tally::Tally;
use poolbuf_bad_clients::target::{Heard, address_after};
use poolbuf_bad_clients::{Report, Strategy};
use poolbuf_support::descriptors;
use poolbuf_support::options::OptionError;
use poolbuf_support::process::Process;
use poolbuf_support::random::Random;

/// Ends a test that hangs; no test waits that long when it passes.
const HANGS: Duration = Duration::from_secs(60);

fn attacked(attack: &Attack, kind: Kind, command: Command) -> Report {
    descriptors::raise(attack.descriptors()).expect("descriptors");
    program::run(attack, kind, command, &|_| {}).expect("a report")
}

fn withstands(kind: Kind) {
    let attack = Attack {
        attackers: 3,
        flood: 250,
        // It takes as long as the servers are patient.
        siege: None,
        ..Attack::for_seconds(Duration::from_millis(1200))
    };
    let report = attacked(&attack, kind, kind.command().expect("the example"));
    assert_eq!(report.faults, [""; 0], "{report}");
    let total = report.seen.tally.total();
    assert!(total.inputs > 100 && report.seen.played.answers > 0, "{report}");
    let figures = report.seen.after.figures.expect("figures");
    assert!(figures.acquired > 0 && figures.high_water <= figures.max, "{report}");
}

#[test]
fn the_game_server_withstands_bad_clients() {
    withstands(Kind::Game);
}

#[test]
fn the_tokio_server_withstands_bad_clients() {
    withstands(Kind::Tokio);
}

#[test]
fn every_fault_of_a_server_is_reported() {
    let attack = Attack {
        attackers: 1,
        flood: 60,
        patience: Duration::from_millis(500),
        siege: None,
        ..Attack::for_seconds(Duration::from_millis(800))
    };
    thread::scope(|scope| {
        for fault in Fault::ALL {
            let mut attack = attack.clone();
            if fault == Fault::WaitsForSlowReaders {
                attack.siege = Some(Duration::from_millis(500));
            }
            scope.spawn(move || {
                let program = Path::new(env!("CARGO_BIN_EXE_faulty_server"));
                let mut command = with_few_descriptors(program);
                command.arg(fault.name());
                let report = attacked(&attack, Kind::Tokio, command);
                let reported = fault.is_reported_as();
                let found = report.faults.iter().any(|line| line.contains(reported));
                match fault {
                    Fault::Nothing => assert_eq!(report.faults, [""; 0], "{report}"),
                    _ => assert!(found, "{fault:?}: {:?}\n{report}", report.faults),
                }
            });
        }
    });
}

/// A running game server: where it listens, and the lines of its log.
struct GameServer {
    _process: Process,
    address: SocketAddr,
    log: Receiver<String>,
}

impl GameServer {
    fn start() -> GameServer {
        let command = Kind::Game.command().expect("the example");
        let (sender, log) = mpsc::channel();
        let hear = move |line| drop(sender.send(line));
        let process = Process::start_and_hear(command, hear).expect("a server");
        GameServer {
            address: address_after(&process, "serving on ").expect("an address"),
            _process: process,
            log,
        }
    }

    /// Sends `writes`, and checks the answer and what the log says of the end of the connection.
    fn does_what_it_should(&self, writes: &[Vec<u8>], what: &str) {
        let sent = writes.concat();
        let (bytes, ending) = answered(&sent);
        let (answer, client) = answer_to(writes, self.address);
        let came = answer.len();
        assert!(answer == sent[..bytes], "{what}: {came} bytes came back, not {bytes}");
        let reason = match ending {
            // Of such a client it says nothing: what it says next is of the next one.
            Ending::Whole => return,
            Ending::Cut => "connection cut in mid-frame".to_owned(),
            Ending::Refused { length } => format!("frame of length {length} ("),
        };
        let line = self.log.recv_timeout(HANGS).expect("a line in the log");
        // Numbers may have separators.
        let line = line.replace(',', "");
        let start = format!("{client} closed: {reason}");
        assert!(line.starts_with(&start), "{what}: {line}");
    }
}

/// What comes back to a client that sends `writes` and no more, and that client's address.
fn answer_to(writes: &[Vec<u8>], server: SocketAddr) -> (Vec<u8>, SocketAddr) {
    let mut stream = TcpStream::connect(server).expect("connect");
    stream.set_nodelay(true).expect("nodelay");
    stream.set_read_timeout(Some(HANGS)).expect("timeout");
    let client = stream.local_addr().expect("address");
    // The server may refuse it before it has all.
    let _ = writes.iter().try_for_each(|write| stream.write_all(write));
    let _ = stream.shutdown(Shutdown::Write);
    let mut answer = Vec::new();
    if let Err(error) = stream.read_to_end(&mut answer) {
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }
    (answer, client)
}

#[test]
fn the_corpus_says_what_must_come_back() {
    for case in corpus::cases() {
        let must = (case.answered, case.ending);
        assert_eq!(answered(&case.writes.concat()), must, "{}", case.name);
    }
}

#[test]
fn the_game_server_does_with_every_malformed_frame_what_it_should() {
    let server = GameServer::start();
    for case in corpus::cases() {
        server.does_what_it_should(&case.writes, case.name);
        // And with whatever there is of it so far.
        let sent = case.writes.concat();
        let lengths = (0..80).chain((80..600).step_by(13));
        for bytes in lengths.take_while(|bytes| *bytes < sent.len()) {
            let what = format!("{bytes} bytes of: {}", case.name);
            server.does_what_it_should(&[sent[..bytes].to_vec()], &what);
        }
    }
}

#[test]
fn the_game_server_does_with_every_mutated_frame_what_it_should() {
    let server = GameServer::start();
    let mut random = Random(1);
    let (mut refused, mut cut, mut whole) = (0, 0, 0);
    for number in 0..2000 {
        let writes = mutation::input(&mut random);
        match answered(&writes.concat()).1 {
            Ending::Refused { .. } => refused += 1,
            Ending::Cut => cut += 1,
            Ending::Whole => whole += 1,
        }
        server.does_what_it_should(&writes, &format!("mutated input {number}"));
    }
    assert!(refused > 100 && cut > 100 && whole > 100, "{refused}, {cut}, {whole}");
}

#[test]
fn the_same_seed_gives_the_same_inputs() {
    let inputs = |seed| {
        let mut random = Random(seed);
        (0..100).map(|_| mutation::input(&mut random)).collect::<Vec<_>>()
    };
    assert!(inputs(1) == inputs(1));
    assert!(inputs(1) != inputs(2));
}

/// A server that withstood, and what `change` makes of it.
fn seen(change: impl FnOnce(&mut Observed)) -> Observed {
    let state = State {
        figures: Some(Figures {
            in_use: 0,
            max: 10,
            high_water: 5,
            acquired: 1000,
        }),
        descriptors: Some(10),
        resident: Some(10 << 20),
    };
    let mut seen = Observed {
        tally: Tally::default(),
        played: Played {
            answers: 1,
            ..Played::default()
        },
        siege: Some(Ok(Duration::ZERO)),
        alone: [Ok(()), Ok(())],
        fresh: state,
        warm: state,
        after: state,
        heard: Heard::default(),
        died: None,
        status: Some(std::process::ExitStatus::default()),
    };
    change(&mut seen);
    seen
}

#[test]
fn a_server_that_withstood_has_no_faults() {
    assert_eq!(faults(&seen(|_| {})), [""; 0]);
    let less = seen(|seen| {
        seen.after.descriptors = Some(9);
        seen.after.resident = Some(resident_allowed(10 << 20));
    });
    assert_eq!(faults(&less), [""; 0]);
    // Where the system says nothing of a process, the rest is checked.
    let unknown = seen(|seen| {
        for state in [&mut seen.fresh, &mut seen.warm, &mut seen.after] {
            (state.descriptors, state.resident) = (None, None);
        }
    });
    assert_eq!(faults(&unknown), [""; 0]);
}

#[test]
fn every_check_can_fail() {
    type Change = fn(&mut Observed);
    let cases: [(Change, &str); 11] = [
        (
            |seen| seen.siege = Some(Err("it".to_owned())),
            "while slow clients hold what they can: it",
        ),
        (|seen| seen.played.answers = 0, "was not served during"),
        (|seen| seen.played.wrong = 2, "2 wrong answers to the good player"),
        (
            |seen| seen.alone[0] = Err("it".to_owned()),
            "before the attack, with no other client: it",
        ),
        (
            |seen| seen.alone[1] = Err("it".to_owned()),
            "after the attack, with no other client: it",
        ),
        (
            |seen| seen.heard.panic = Some("x".to_owned()),
            "a panic in the server: x",
        ),
        (
            |seen| seen.after.figures.as_mut().expect("figures").in_use = 1,
            "1 buffers are not back when all clients are gone",
        ),
        (
            |seen| seen.after.figures = None,
            "no word of the buffers when all clients are gone",
        ),
        (|seen| seen.after.descriptors = Some(11), "11 descriptors are open"),
        (
            |seen| seen.after.resident = Some(resident_allowed(10 << 20) + 1),
            "28.5 MiB are resident after the attack",
        ),
        (|seen| seen.status = None, "does not end when it is told to"),
    ];
    for (change, line) in cases {
        let faults = faults(&seen(change));
        assert!(
            matches!(&faults[..], [only] if only.contains(line)),
            "{line}: {faults:?}"
        );
    }
    let wrong = faults(&seen(|seen| seen.tally.wrong(Strategy::Resets, &[1, 255])));
    assert!(
        wrong[0].contains("1 wrong answers to bad clients (resets)"),
        "{wrong:?}"
    );
    assert!(wrong[1].contains("resets, 2 bytes: 01 ff"), "{wrong:?}");
}

#[cfg(unix)]
#[test]
fn a_server_that_does_not_end_well_is_reported_with_its_last_line() {
    use std::os::unix::process::ExitStatusExt;

    let faults = faults(&seen(|seen| {
        seen.status = Some(std::process::ExitStatus::from_raw(1 << 8));
        seen.heard.last = Some("3 buffers did not come back".to_owned());
    }));
    let line = "the server ended with exit status: 1; it said last: 3 buffers did not come back";
    assert_eq!(faults, [line]);
}

const FIGURES: Figures = Figures {
    in_use: 1,
    max: 4,
    high_water: 5,
    acquired: 6,
};

#[test]
fn figures_survive_their_line() {
    assert_eq!(FIGURES.to_string().parse(), Ok(FIGURES));
    for line in ["", "in use 1, max 4", "in use 1, max 4, high water 5, acquired x"] {
        assert_eq!(line.parse::<Figures>(), Err(NoFigures), "{line:?}");
    }
}

#[test]
fn figures_of_all_pools_are_added_up() {
    let metrics = "\
# TYPE poolbuf_buffers_in_use gauge
poolbuf_buffers_in_use{pool=\"recv pool\"} 1
poolbuf_buffers_in_use{pool=\"send pool\"} 0
poolbuf_buffers_max{pool=\"recv pool\"} 2
poolbuf_buffers_max{pool=\"send pool\"} 2
poolbuf_buffers_max{pool=\"header pool\"} 65536
poolbuf_buffers_peak{pool=\"recv pool\"} 2
poolbuf_buffers_peak{pool=\"send pool\"} 3
poolbuf_buffers_peak{pool=\"header pool\"} 500
poolbuf_acquires_total{pool=\"recv pool\",outcome=\"direct\"} 1
poolbuf_acquires_total{pool=\"recv pool\",outcome=\"waited\"} 2
poolbuf_acquires_total{pool=\"recv pool\",outcome=\"refused\"} 100
poolbuf_acquires_total{pool=\"send pool\",outcome=\"direct\"} 3
";
    assert_eq!(Figures::from_metrics(metrics), Ok(FIGURES));
    for name in ["in_use", "max", "peak"] {
        let without = metrics.replace(&format!("poolbuf_buffers_{name}{{"), "other{");
        assert_eq!(Figures::from_metrics(&without), Err(NoFigures), "{name}");
    }
}

fn parse(arguments: &[&str]) -> Result<Option<Options>, OptionError> {
    Options::parse(arguments.iter().map(OsString::from))
}

#[test]
fn options_are_understood() {
    let default = Options {
        duration: Duration::from_secs(20),
        kinds: Kind::ALL.to_vec(),
        seed: 5,
    };
    assert_eq!(parse(&["--seed", "5"]), Ok(Some(default)));
    let some = Options {
        duration: Duration::from_millis(2500),
        kinds: vec![Kind::Tokio],
        seed: u64::MAX,
    };
    let arguments = ["--seconds=2.5", "--server", "tokio", "--seed=18446744073709551615"];
    assert_eq!(parse(&arguments), Ok(Some(some)));
    assert_eq!(parse(&["--seed", "1", "--help"]), Ok(None));
}

#[test]
fn wrong_options_are_named_with_what_is_allowed() {
    let cases: [(&[&str], &str); 9] = [
        (&["--second"], "\"--second\""),
        (&["7"], "\"7\""),
        (&["--help=yes"], "--help takes no value"),
        (&["--seconds"], "--seconds needs a value"),
        (&["--seconds", "0"], "from 1 to 86400"),
        (&["--seconds", "NaN"], "from 1 to 86400"),
        (&["--server", "nginx"], "one of game, tokio, all"),
        (&["--seed", "-1"], "from 0 to 18446744073709551615"),
        (&["--seed", "1", "--seed", "1"], "given twice"),
    ];
    for (arguments, named) in cases {
        let error = parse(arguments).expect_err("a wrong option").to_string();
        assert!(error.contains(named), "{error}");
        assert_eq!(error.lines().count(), 1);
    }
}
