//! The example `bad_clients`: what it sends is what it says, the examples' servers withstand it, and a server
//! with a fault is found out.
//!
//! The servers are processes of their own: this program once more, which then runs only
//! [`the_server_that_is_attacked`].

// What only its `main.rs` uses.
#![allow(dead_code)]

#[path = "../examples/bad_clients/aborts.rs"]
mod aborts;
#[path = "../examples/bad_clients/attacker.rs"]
mod attacker;
#[path = "../examples/bad_clients/checks.rs"]
mod checks;
#[path = "../examples/bad_clients/corpus.rs"]
mod corpus;
#[path = "../examples/bad_clients/figures.rs"]
mod figures;
#[path = "../examples/bad_clients/floods.rs"]
mod floods;
#[path = "../examples/bad_clients/good_player.rs"]
mod good_player;
#[path = "../examples/bad_clients/kind.rs"]
mod kind;
#[path = "../examples/bad_clients/malformed.rs"]
mod malformed;
#[path = "../examples/bad_clients/mutation.rs"]
mod mutation;
#[path = "../examples/game_server/numbers.rs"]
mod numbers;
#[path = "../examples/bad_clients/options.rs"]
mod options;
#[path = "../examples/ten_thousand_players/process.rs"]
mod process;
#[path = "../examples/bad_clients/program.rs"]
mod program;
// The soak uses more of it.
#[allow(dead_code)]
#[path = "../examples/game_server/random.rs"]
mod random;
#[path = "../examples/bad_clients/report.rs"]
mod report;
#[path = "../examples/game_server/server/mod.rs"]
mod server;
#[path = "../examples/bad_clients/serving.rs"]
mod serving;
#[path = "../examples/bad_clients/siege.rs"]
mod siege;
#[path = "../examples/bad_clients/slow.rs"]
mod slow;
#[path = "../examples/bad_clients/strategy.rs"]
mod strategy;
#[path = "../examples/bad_clients/tally.rs"]
mod tally;
#[path = "../examples/bad_clients/target.rs"]
mod target;
#[path = "../examples/game_server/times.rs"]
mod times;
#[path = "../examples/tokio_server.rs"]
mod tokio_server;
#[path = "../examples/ten_thousand_players/usage.rs"]
mod usage;

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use poolbuf::{BufferPool, Pool};

use checks::{Observed, State, faults, resident_allowed};
use corpus::Case;
use figures::Figures;
use good_player::Played;
use kind::Kind;
use malformed::{Ending, answered};
use options::{Options, Role};
use program::{Attack, check_descriptors};
use random::Random;
use report::Report;
use server::frame::{FrameError, frame_len};
use server::pools::{PoolKind, Pools};
use server::{Server, ServerConfig};
use strategy::Strategy;
use tally::Tally;
use target::Heard;

/// Ends a test that hangs; no test waits that long when it passes.
const HANGS: Duration = Duration::from_secs(60);

/// In the environment of a server: which one it is.
const ROLE: &str = "BAD_CLIENTS_ROLE";

/// No test, but the process of each server here.
#[test]
fn the_server_that_is_attacked() {
    let Ok(role) = std::env::var(ROLE) else {
        return;
    };
    let figures = match Kind::ALL.into_iter().find(|kind| kind.name() == role) {
        Some(kind) => serving::serve_as_process(kind).expect("a server"),
        None => {
            let fault = FAULTS.into_iter().find(|fault| fault.name() == role);
            serve_with(fault.expect("a known fault"))
        }
    };
    println!("{figures}");
    assert_eq!(figures.lost(), 0);
}

fn server_process(role: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command
        // With one thread, the test's name would stand in front of its first line.
        .args([
            "the_server_that_is_attacked",
            "--exact",
            "--nocapture",
            "--test-threads=2",
        ])
        .env(ROLE, role);
    command
}

fn attacked(attack: &Attack, kind: Kind, role: &str) -> Report {
    program::raise_descriptors(attack).expect("descriptors");
    program::run(attack, kind, server_process(role), &|_| {}).expect("a report")
}

fn withstands(kind: Kind) {
    let attack = Attack {
        attackers: 3,
        flood: 250,
        // It takes as long as the servers are patient.
        siege: None,
        ..Attack::for_seconds(Duration::from_millis(1200))
    };
    let report = attacked(&attack, kind, kind.name());
    assert_eq!(report.faults, [""; 0], "{report}");
    let total = report.seen.tally.total();
    assert!(
        total.inputs > 100 && report.seen.played.answers > 0,
        "{report}"
    );
    let figures = report.seen.after.figures.expect("figures");
    assert!(
        figures.acquired > 0 && figures.high_water <= figures.max,
        "{report}"
    );
}

#[test]
fn the_game_server_withstands_bad_clients() {
    withstands(Kind::Game);
}

#[test]
fn the_tokio_server_withstands_bad_clients() {
    withstands(Kind::Tokio);
}

/// What is wrong with a server that sends all bytes back otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Nothing,
    LosesBuffers,
    AnswersWrongly,
    ShowsOthersBytes,
    KeepsMemory,
    KeepsConnections,
    WaitsForSlowReaders,
    Panics,
    Dies,
    DoesNotStop,
}

const FAULTS: [Fault; 10] = [
    Fault::Nothing,
    Fault::LosesBuffers,
    Fault::AnswersWrongly,
    Fault::ShowsOthersBytes,
    Fault::KeepsMemory,
    Fault::KeepsConnections,
    Fault::WaitsForSlowReaders,
    Fault::Panics,
    Fault::Dies,
    Fault::DoesNotStop,
];

impl Fault {
    fn name(self) -> String {
        format!("{self:?}")
    }

    /// Whether it shows on every connection, and not on every tenth only.
    fn shows_always(self) -> bool {
        matches!(
            self,
            Fault::AnswersWrongly
                | Fault::ShowsOthersBytes
                | Fault::KeepsMemory
                | Fault::WaitsForSlowReaders
        )
    }

    /// What must be among the lines of the report.
    fn is_reported_as(self) -> &'static str {
        match self {
            Fault::Nothing => "",
            Fault::LosesBuffers => "buffers are not back when all clients are gone",
            Fault::AnswersWrongly => "wrong answers to the good player",
            Fault::ShowsOthersBytes => "wrong answers to bad clients",
            Fault::KeepsMemory => "are resident after the attack",
            Fault::KeepsConnections => "descriptors are open when all clients are gone",
            Fault::WaitsForSlowReaders => "while slow clients hold what they can: a message of 64",
            Fault::Panics => "a panic in the server: ",
            Fault::Dies => "the server died (",
            Fault::DoesNotStop => "does not end when it is told to",
        }
    }
}

/// A server with a thread for each connection, and a fault.
fn serve_with(fault: Fault) -> Figures {
    serving::limit_descriptors().expect("a limit");
    let pool = BufferPool::new(8192, 0, 16).expect("a pool");
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("listen");
    let address = listener.local_addr().expect("address");
    let of_server = pool.clone();
    thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let (Ok(stream), pool) = (stream, of_server.clone()) else {
                continue;
            };
            let shows = number % 10 == 9 || fault.shows_always();
            let fault = if shows { fault } else { Fault::Nothing };
            // What ends it is the client's business.
            thread::spawn(move || drop(echo(stream, &pool, fault)));
        }
    });
    serving::obey(address, || Figures::of(&[pool.stats()]));
    if fault == Fault::DoesNotStop {
        // Until it is killed.
        thread::sleep(HANGS);
    }
    Figures::of(&[pool.stats()])
}

fn echo(mut stream: TcpStream, pool: &BufferPool, fault: Fault) -> io::Result<()> {
    stream.set_write_timeout(Some(Duration::from_millis(300)))?;
    match fault {
        Fault::WaitsForSlowReaders => stream.set_write_timeout(None)?,
        Fault::KeepsMemory => std::mem::forget(vec![1_u8; 1 << 20]),
        Fault::KeepsConnections => std::mem::forget(stream.try_clone()?),
        Fault::Panics => panic!("as planned"),
        Fault::Dies => std::process::exit(3),
        _ => {}
    }
    while stream.peek(&mut [0])? > 0 {
        let mut buf = pool.acquire_timeout(8192, Duration::from_secs(1))?;
        if buf.read_from(&mut stream)? == 0 {
            return Ok(());
        }
        match fault {
            Fault::LosesBuffers => {
                std::mem::forget(buf);
                return Ok(());
            }
            Fault::AnswersWrongly => {
                let wrong: Vec<u8> = buf.iter().map(|byte| byte ^ 1).collect();
                stream.write_all(&wrong)?;
                continue;
            }
            Fault::ShowsOthersBytes => stream.write_all(b"somebody else's")?,
            _ => {}
        }
        stream.write_all(&buf)?;
    }
    Ok(())
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
        for fault in FAULTS {
            let mut attack = attack.clone();
            if fault == Fault::WaitsForSlowReaders {
                attack.siege = Some(Duration::from_millis(500));
            }
            scope.spawn(move || {
                let report = attacked(&attack, Kind::Tokio, &fault.name());
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

/// What the game server's decoder makes of bytes, and then no more.
fn decoded(sent: &[u8]) -> (usize, Ending) {
    let mut answered = 0;
    loop {
        let rest = &sent[answered..];
        match frame_len(rest) {
            Ok(Some(len)) if len <= rest.len() => answered += len,
            Ok(None) if rest.is_empty() => return (answered, Ending::Whole),
            Ok(_) => return (answered, Ending::Cut),
            Err(FrameError { payload }) => {
                return (answered, Ending::Refused { length: payload });
            }
        }
    }
}

#[test]
fn the_decoder_does_with_every_malformed_frame_what_it_should() {
    for case in corpus::cases() {
        let sent = case.writes.concat();
        let must = (case.answered, case.ending);
        assert_eq!(decoded(&sent), must, "{}", case.name);
        assert_eq!(answered(&sent), must, "{}", case.name);
        // It says the same of whatever there is of it so far.
        for bytes in 0..sent.len().min(600) {
            assert_eq!(
                decoded(&sent[..bytes]),
                answered(&sent[..bytes]),
                "{}",
                case.name
            );
        }
    }
}

#[test]
fn the_decoder_does_with_every_mutated_frame_what_it_should() {
    let mut random = Random(1);
    let (mut refused, mut cut, mut whole) = (0, 0, 0);
    for _ in 0..2000 {
        let sent = mutation::input(&mut random).concat();
        assert_eq!(decoded(&sent), answered(&sent), "{sent:02x?}");
        match answered(&sent).1 {
            Ending::Refused { .. } => refused += 1,
            Ending::Cut => cut += 1,
            Ending::Whole => whole += 1,
        }
    }
    assert!(
        refused > 100 && cut > 100 && whole > 100,
        "{refused}, {cut}, {whole}"
    );
}

#[test]
fn the_game_server_does_with_every_malformed_frame_what_it_should() {
    let pools = Pools::new(PoolKind::Buffer, 8, 0).expect("pools");
    let (sender, lines) = mpsc::channel();
    let server = Server::start(
        ServerConfig {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            workers: 1,
            time_limit: HANGS,
            log: Arc::new(move |line| drop(sender.send(line))),
        },
        pools.clone(),
    )
    .expect("a server");
    for case in corpus::cases() {
        let (answer, peer) = answer_to(&case, server.address);
        assert!(
            answer == case.writes.concat()[..case.answered],
            "{}: {} bytes came back",
            case.name,
            answer.len()
        );
        let reason = match case.ending {
            Ending::Whole => continue,
            Ending::Cut => "connection cut in mid-frame".to_owned(),
            Ending::Refused { length } => {
                format!("frame of length {} (", numbers::thousands(length.into()))
            }
        };
        let line = lines.recv_timeout(HANGS).expect("a line in the log");
        let start = format!("{peer} closed: {reason}");
        assert!(line.starts_with(&start), "{}: {line}", case.name);
    }
    server.stop();
    assert!(!pools.any_in_use());
    assert_eq!(lines.try_iter().collect::<Vec<_>>(), [""; 0]);
}

fn answer_to(case: &Case, server: SocketAddr) -> (Vec<u8>, SocketAddr) {
    let mut stream = TcpStream::connect(server).expect("connect");
    stream.set_nodelay(true).expect("nodelay");
    stream.set_read_timeout(Some(HANGS)).expect("timeout");
    let peer = stream.local_addr().expect("address");
    // The server may refuse it before it has all.
    let _ = case
        .writes
        .iter()
        .try_for_each(|write| stream.write_all(write));
    let _ = stream.shutdown(Shutdown::Write);
    let mut answer = Vec::new();
    if let Err(error) = stream.read_to_end(&mut answer) {
        assert_eq!(
            error.kind(),
            io::ErrorKind::ConnectionReset,
            "{}",
            case.name
        );
    }
    (answer, peer)
}

#[test]
fn the_same_seed_gives_the_same_inputs() {
    let inputs = |seed| {
        let mut random = Random(seed);
        (0..100)
            .map(|_| mutation::input(&mut random))
            .collect::<Vec<_>>()
    };
    assert!(inputs(1) == inputs(1));
    assert!(inputs(1) != inputs(2));
}

/// A server that withstood, and what `change` makes of it.
fn seen(change: impl FnOnce(&mut Observed)) -> Observed {
    let state = State {
        figures: Some(Figures {
            in_use: 0,
            available: 5,
            total: 5,
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
        last: state.figures,
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
    let cases: [(Change, &str); 12] = [
        (
            |seen| seen.siege = Some(Err("it".to_owned())),
            "while slow clients hold what they can: it",
        ),
        (|seen| seen.played.answers = 0, "was not served during"),
        (
            |seen| seen.played.wrong = 2,
            "2 wrong answers to the good player",
        ),
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
            |seen| seen.after.figures.as_mut().expect("figures").available = 4,
            "1 buffers are not back when all clients are gone",
        ),
        (
            |seen| seen.after.figures = None,
            "no word of the buffers when all clients are gone",
        ),
        (
            |seen| seen.last.as_mut().expect("figures").in_use = 3,
            "3 buffers are not back when the server has stopped",
        ),
        (
            |seen| seen.after.descriptors = Some(11),
            "11 descriptors are open",
        ),
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

#[test]
fn figures_survive_their_line() {
    let figures = Figures {
        in_use: 1,
        available: 2,
        total: 3,
        max: 4,
        high_water: 5,
        acquired: 6,
    };
    assert_eq!(figures.to_string().parse(), Ok(figures));
    assert_eq!(figures.lost(), 1);
    for line in ["", "1 2 3 4 5", "1 2 3 4 5 6 7", "1 2 x 4 5 6"] {
        assert!(line.parse::<Figures>().is_err(), "{line:?}");
    }
}

fn parse(arguments: &[&str]) -> Result<Role, String> {
    Role::parse(arguments.iter().map(OsString::from))
}

#[test]
fn options_are_understood() {
    let default = Options {
        duration: Duration::from_secs(20),
        kinds: Kind::ALL.to_vec(),
        seed: 5,
    };
    assert_eq!(parse(&["--seed", "5"]), Ok(Role::Attack(default)));
    let some = Options {
        duration: Duration::from_millis(2500),
        kinds: vec![Kind::Tokio],
        seed: u64::MAX,
    };
    let arguments = [
        "--seconds=2.5",
        "--server",
        "tokio",
        "--seed=18446744073709551615",
    ];
    assert_eq!(parse(&arguments), Ok(Role::Attack(some)));
    assert_eq!(parse(&["--seed", "1", "--help"]), Ok(Role::Help));
    for kind in Kind::ALL {
        let arguments = kind.arguments();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        assert_eq!(parse(&arguments), Ok(Role::Server(kind)));
    }
}

#[test]
fn wrong_options_are_named_with_what_is_allowed() {
    let cases: [(&[&str], &str); 10] = [
        (&["--second"], "\"--second\""),
        (&["7"], "\"7\""),
        (&["--help=yes"], "\"--help=yes\""),
        (&["--seconds"], "--seconds needs a value"),
        (&["--seconds", "0"], "from 1 to 86400"),
        (&["--seconds", "NaN"], "from 1 to 86400"),
        (&["--server", "nginx"], "game, tokio or all"),
        (&["--seed", "-1"], "from 0 to 18446744073709551615"),
        (&["--seed", "1", "--seed", "1"], "given twice"),
        (&["as-server"], "for this program itself"),
    ];
    for (arguments, named) in cases {
        let error = parse(arguments).expect_err("a wrong option");
        assert!(error.contains(named), "{error}");
        assert_eq!(error.lines().count(), 1);
    }
}

#[test]
fn too_few_file_descriptors_are_named_with_the_way_out() {
    assert_eq!(check_descriptors(2200, 2200), Ok(()));
    let error = check_descriptors(2200, 1024).expect_err("too few");
    for part in ["2,200", "1,024", "ulimit -n 2200"] {
        assert!(error.contains(part), "{error}");
    }
}
