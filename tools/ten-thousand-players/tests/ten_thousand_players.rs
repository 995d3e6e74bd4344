//! The measurement with fewer players: every server answers what it was sent, players notice what is wrong, and the
//! tables say what was measured.
#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use poolbuf::{BufferPool, Pool};
use poolbuf_support::options::OptionError;
use poolbuf_ten_thousand_players::figures::Figures;
use poolbuf_ten_thousand_players::measure::{Load, Run};
use poolbuf_ten_thousand_players::options::{Options, Role};
use poolbuf_ten_thousand_players::players::{Moment, PlayersConfig, play};
use poolbuf_ten_thousand_players::report::Report;
use poolbuf_ten_thousand_players::results::{self, Group};
use poolbuf_ten_thousand_players::servers::{self, ServerConfig};
use poolbuf_ten_thousand_players::strategy::{Runtime, Strategy};
use poolbuf_ten_thousand_players::{page, program, targets};

/// Ends a test that hangs; no test waits that long when it passes.
const HANGS: Duration = Duration::from_secs(60);

/// A server on a thread that goes on until the tests are over.
fn start(config: ServerConfig) -> (SocketAddr, BufferPool) {
    let listener = servers::listen().expect("listen");
    let address = listener.local_addr().expect("address");
    let pool = servers::pool(&config).expect("pool");
    let its = pool.clone();
    let (ready, is_ready) = mpsc::channel();
    thread::spawn(move || {
        let served = servers::serve(listener, config, its, |driver| {
            ready.send(driver.to_owned()).expect("the test waits");
        });
        panic!("{served:?}");
    });
    let driver = is_ready.recv_timeout(HANGS).expect("a server");
    assert!(["tokio", "io_uring", "IOCP", "polling"].contains(&&*driver));
    (address, pool)
}

fn players_of(server: SocketAddr, connections: usize, message: usize) -> PlayersConfig {
    PlayersConfig {
        server,
        connections,
        in_flight: connections,
        message,
        warm_up: Duration::from_millis(20),
        duration: Duration::from_millis(80),
    }
}

#[test]
fn every_server_answers_what_it_was_sent() {
    for runtime in Runtime::ALL {
        for strategy in Strategy::ALL {
            for (message, in_flight) in [(64, 8), (2048, 30), (8192, 3)] {
                let (address, pool) = start(ServerConfig {
                    runtime,
                    strategy,
                    message,
                    connections: 30,
                    buffers: 40,
                    pause: false,
                });
                let mut config = players_of(address, 30, message);
                config.in_flight = in_flight;
                let figures = play(&config, |_| {}).expect("figures");
                let title = format!("{runtime:?}, {strategy:?}, {message}: {figures}");
                assert_eq!((figures.failures, figures.differences), (0, 0), "{title}");
                assert!(figures.messages > 0, "{title}");
                assert!(figures.p50_nanos <= figures.p99_nanos, "{title}");
                let rented = pool.stats().acquired > 0;
                assert_eq!(rented, strategy == Strategy::Pooled, "{title}");
            }
        }
    }
}

#[test]
fn players_whose_messages_are_all_out_wait_for_few_buffers_and_none_fails() {
    for runtime in Runtime::ALL {
        let (address, pool) = start(ServerConfig {
            runtime,
            strategy: Strategy::Pooled,
            message: 64,
            connections: 60,
            buffers: 3,
            pause: true,
        });
        let figures = play(&players_of(address, 60, 64), |_| {}).expect("figures");
        assert_eq!((figures.failures, figures.differences), (0, 0), "{runtime:?}");
        assert!(figures.messages >= 60, "{runtime:?}: {figures}");

        // The server sees a moment later that they left.
        let deadline = Instant::now() + HANGS;
        while pool.stats().in_use > 0 {
            assert!(Instant::now() < deadline, "{runtime:?}: {}", pool.stats());
            thread::yield_now();
        }
        let stats = pool.stats();
        assert!(stats.waits > 0 && stats.waiting == 0, "{runtime:?}: {stats}");
        assert_eq!((stats.high_water, stats.timed_out), (3, 0), "{runtime:?}");
    }
}

/// A server that answers each of its connections with `answer`.
fn impostor(answer: fn(&mut TcpStream)) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("listen");
    let address = listener.local_addr().expect("address");
    thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            answer(&mut stream);
        }
    });
    address
}

#[test]
fn a_byte_that_differs_is_counted() {
    let server = impostor(|stream| {
        let mut message = [0; 64];
        while stream.read_exact(&mut message).is_ok() {
            message[63] ^= 1;
            if stream.write_all(&message).is_err() {
                return;
            }
        }
    });
    let figures = play(&players_of(server, 1, 64), |_| {}).expect("figures");
    assert_eq!((figures.differences, figures.failures), (1, 0));
}

#[test]
fn an_answer_that_is_too_long_differs() {
    let server = impostor(|stream| {
        let mut message = [0; 65];
        if stream.read_exact(&mut message[..64]).is_ok() {
            // In one piece, and then it waits for the players to leave.
            let _ = stream.write_all(&message);
            let _ = stream.read_to_end(&mut Vec::new());
        }
    });
    let figures = play(&players_of(server, 1, 64), |_| {}).expect("figures");
    assert_eq!((figures.differences, figures.failures), (1, 0));
}

#[test]
fn a_connection_that_fails_is_counted() {
    // Both of them close before they answer.
    let server = impostor(|stream| drop(stream.read_exact(&mut [0; 64])));
    let figures = play(&players_of(server, 2, 64), |_| {}).expect("figures");
    assert_eq!((figures.failures, figures.messages), (2, 0));
}

#[test]
fn players_without_a_server_say_so() {
    let free = TcpListener::bind("127.0.0.1:0").expect("listen");
    let nobody = free.local_addr().expect("address");
    drop(free);
    let error = play(&players_of(nobody, 3, 64), |_| {}).expect_err("nobody to play with");
    let start = format!("player 0 cannot connect to {nobody}: ");
    assert!(error.starts_with(&start), "{error}");
}

#[test]
fn players_tell_when_it_counts() {
    let (address, _) = start(ServerConfig {
        runtime: Runtime::Tokio,
        strategy: Strategy::Held,
        message: 64,
        connections: 2,
        buffers: 1,
        pause: false,
    });
    let (sender, moments) = mpsc::channel();
    let tell = move |moment| sender.send(moment).expect("the test listens");
    play(&players_of(address, 2, 64), tell).expect("figures");
    let moments: Vec<_> = moments.try_iter().collect();
    assert_eq!(moments, [Moment::Counting, Moment::Over]);
}

#[test]
fn figures_survive_their_line() {
    let figures = Figures {
        messages: 123_456,
        seconds: 0.75,
        failures: 1,
        differences: 2,
        p50_nanos: 3,
        p99_nanos: 4,
    };
    assert_eq!(figures.to_string().parse(), Ok(figures));
    for line in ["", "1 2 3 4 5", "1 2 3 4 5 6 7", "1 2 x 4 5 6"] {
        assert!(line.parse::<Figures>().is_err(), "{line:?}");
    }
}

fn parse(arguments: &[&str]) -> Result<Role, OptionError> {
    Role::parse(arguments.iter().map(OsString::from))
}

#[test]
fn options_are_understood() {
    assert_eq!(parse(&[]), Ok(Role::Table(Options::default())));
    assert_eq!(parse(&["--quick"]), Ok(Role::Table(Options::quick())));
    assert_eq!(parse(&["--rounds", "2", "--help"]), Ok(Role::Help));
    let write = Options {
        write: true,
        ..Options::default()
    };
    assert_eq!(parse(&["--write"]), Ok(Role::Table(write)));
    let some = Options {
        connections: vec![7, 300],
        rounds: 2,
        duration: Duration::from_millis(250),
        write: false,
    };
    let arguments = ["--connections=300,7,300", "--rounds", "2", "--seconds=0.25"];
    assert_eq!(parse(&arguments), Ok(Role::Table(some.clone())));
    assert_eq!(some.most_connections(), 300);
}

#[test]
fn wrong_options_are_named_with_what_is_allowed() {
    let cases: [(&[&str], &str); 12] = [
        (&["--player"], "\"--player\""),
        (&["7"], "\"7\""),
        (&["--rounds"], "--rounds needs a value"),
        (&["--rounds", "0"], "from 1 to 99"),
        (&["--seconds", "0"], "from 0.01 to 3600"),
        (&["--seconds", "NaN"], "from 0.01 to 3600"),
        (&["--connections", "0"], "from 1 to 25,000"),
        (&["--connections", "1,,2"], "from 1 to 25,000"),
        (&["--connections", "25001"], "from 1 to 25,000"),
        (&["--rounds", "1", "--rounds", "1"], "given twice"),
        (&["--quick", "--write"], "--write goes with no other"),
        (&["--quick=yes"], "--quick takes no value"),
    ];
    for (arguments, named) in cases {
        let error = parse(arguments).expect_err("a wrong option").to_string();
        assert!(error.contains(named), "{error}");
        assert_eq!(error.lines().count(), 1);
    }
}

#[test]
fn the_program_understands_how_it_starts_itself() {
    for (runtime, pause) in [(Runtime::Tokio, false), (Runtime::Compio, true)] {
        for strategy in Strategy::ALL {
            let config = ServerConfig {
                runtime,
                strategy,
                message: 64,
                connections: 10_000,
                buffers: 256,
                pause,
            };
            let arguments = config.arguments().into_iter().map(OsString::from);
            assert_eq!(Role::parse(arguments), Ok(Role::Server(config)));
        }
    }
    let config = PlayersConfig {
        warm_up: Duration::from_millis(250),
        ..players_of(SocketAddr::from(([127, 0, 0, 1], 7000)), 10_000, 2048)
    };
    let arguments = config.arguments().into_iter().map(OsString::from);
    assert_eq!(Role::parse(arguments), Ok(Role::Players(config)));
    for wrong in [
        &["as-server"][..],
        &["as-server", "tokio", "held", "8193", "1", "1", "false"],
        &["as-server", "tokio", "none", "64", "1", "1", "false"],
        &["as-players", "127.0.0.1", "1", "1", "1", "1", "1"],
    ] {
        assert!(parse(wrong).is_err(), "{wrong:?}");
    }
}

/// What `figure` makes of a run whose every figure is 1,000 or 0.
fn run(figure: impl FnOnce(&mut Run)) -> Run {
    let mut run = Run {
        per_second: 1000.0,
        p50_nanos: 1000.0,
        p99_nanos: 1000.0,
        cpu_nanos: Some(1000.0),
        resident: Some(1000.0),
        waits: 0,
        high_water: 0,
        failures: 0,
        differences: 0,
        driver: "tokio".to_owned(),
    };
    figure(&mut run);
    run
}

fn measured(rounds: usize, run: &dyn Fn(&Group, usize) -> Result<Run, String>) -> Report {
    let options = Options {
        rounds,
        connections: vec![10, 100],
        ..Options::default()
    };
    program::measure_with(&options, &|_| {}, run).expect("a report")
}

/// A pool that does as well as the others, and needs a tenth of the memory.
fn good(group: &Group, row: usize) -> Run {
    run(|run| {
        if group.rows[row].strategy == Strategy::Pooled {
            run.resident = Some(100.0);
        }
    })
}

/// The lines of the targets that are not met.
fn missed(report: &Report) -> Vec<String> {
    let missed = targets::targets(&report.groups).into_iter();
    missed.filter(|target| !target.met).map(|target| target.line).collect()
}

#[test]
fn a_report_has_a_row_for_all_that_was_run() {
    let report = measured(3, &|group, row| Ok(good(group, row)));
    let text = report.markdown();
    let rows = text.lines().filter(|line| line.contains(" 1,000 | "));
    // 2 messages × 2 runtimes × (2 numbers of players × 4 strategies + 2 with all messages out).
    assert_eq!(rows.count(), 40);
    assert!(text.contains("| 10 | tokio | (a) held by every connection | 1,000 | 1.00× | 0.00 ms"));
    assert!(text.contains("**rented when readable**, 13 in all"));
    assert!(text.contains("| 10 % |"));
    // 4 in memory, 2 × 8 beside the others, 4 with all messages out.
    assert!(text.contains("Of 24 targets, 24 are met."), "{text}");
    assert!(!text.contains("missed: "));
    assert_eq!(report.faults(), 0);
}

#[test]
fn one_round_gives_no_verdict() {
    let report = measured(1, &|group, row| Ok(good(group, row)));
    assert!(report.markdown().contains("no verdict on the targets"));
}

#[test]
fn every_target_can_be_missed() {
    let worse = |change: fn(&Group, &mut Run)| {
        measured(3, &move |group, row| {
            let mut run = good(group, row);
            if group.rows[row].strategy == Strategy::Pooled {
                change(group, &mut run);
            }
            Ok(run)
        })
    };
    let memory = worse(|_, run| run.resident = Some(210.0));
    // Only of the largest number of players.
    assert_eq!(missed(&memory).len(), 4);
    assert!(missed(&memory)[0].contains("100 players: resident memory 21.0 % of (a)'s"));

    let slower = worse(|_, run| run.per_second = 940.0);
    assert_eq!(missed(&slower).len(), 8 + 4);
    assert!(missed(&slower)[0].contains("messages/s 0.94× the best other's"));

    let later = worse(|_, run| run.p50_nanos = 1010.0);
    assert_eq!(missed(&later).len(), 8);
    assert!(missed(&later)[0].contains("p50 1.01× the best other's"));

    let failing = worse(|group, run| run.failures = u64::from(group.load == Load::AllAtOnce));
    assert_eq!(missed(&failing).len(), 4);
    assert!(missed(&failing)[0].contains("and 3 failed"));
    assert_eq!(failing.faults(), 12);
    let text = failing.markdown();
    assert!(text.contains("and none failed: 0 of 4\n  - missed: tokio, 64 B, "));
    assert!(text.contains("of what it is when every connection holds a buffer (a): 4 of 4\n- messages/s"));
}

#[test]
fn the_best_of_the_others_is_what_counts() {
    let report = measured(3, &|group, row| {
        let mut run = good(group, row);
        if group.rows[row].strategy == Strategy::WhenReadable {
            run.per_second = 1200.0;
        }
        Ok(run)
    });
    let missed = missed(&report);
    assert_eq!(missed.len(), 8);
    assert!(missed[0].contains("messages/s 0.83× the best other's"));
}

#[test]
fn what_differs_by_less_than_the_noise_is_equal() {
    let rounds = std::cell::Cell::new(0_u32);
    let report = measured(3, &|group, row| {
        let mut run = good(group, row);
        rounds.set(rounds.get() + 1);
        match group.rows[row].strategy {
            Strategy::Held => {}
            Strategy::Pooled => run.per_second = 990.0,
            // 10 % up or down, by round.
            _ => run.per_second = [900.0, 1000.0, 1100.0][rounds.get() as usize / 40 % 3],
        }
        Ok(run)
    });
    let noise = results::noise(&report.groups, Load::Usual, results::PER_SECOND);
    assert!((0.01..0.1).contains(&noise), "{noise}");
    let throughput = |line: &&String| line.contains("messages/s 0.");
    assert_eq!(missed(&report).iter().filter(throughput).count(), 0);
}

#[test]
fn a_run_that_fails_ends_the_measurement() {
    let refuse = |_: &Group, _: usize| Err("no server".to_owned());
    let result = program::measure_with(&Options::quick(), &|_| {}, &refuse);
    assert_eq!(result.err().as_deref(), Some("no server"));
}

#[test]
fn the_median_is_in_the_middle() {
    assert_eq!(results::median(&[]), None);
    assert_eq!(results::median(&[3.0, 1.0, 2.0]), Some(2.0));
    assert_eq!(results::median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
}

#[test]
fn the_page_keeps_what_is_not_between_the_marks() {
    let begin = "<!-- ten-thousand-players: begin -->";
    let end = "<!-- ten-thousand-players: end -->";
    let text = format!("before\n{begin}\nold\n{end}\nafter\n");
    let new = page::replaced(&text, "new\n").expect("marks");
    assert_eq!(new, format!("before\n{begin}\n\nnew\n\n{end}\nafter\n"));
    assert_eq!(page::replaced(&new, "new").as_deref(), Some(&*new));
    assert_eq!(page::replaced("before\n", "new"), None);
    assert_eq!(page::replaced(&format!("{end}{begin}"), "new"), None);
}

#[test]
fn the_projects_page_has_the_marks() {
    let page = include_str!("../../../docs/BENCHMARKS.md");
    assert!(page::replaced(page, "new").is_some());
}

#[cfg(unix)]
#[test]
fn too_few_file_descriptors_are_named_with_the_way_out() {
    let error = program::raise_descriptors(1 << 60).expect_err("no system has so many");
    for part in ["players: ", "ulimit -Hn ", "choose fewer --connections"] {
        assert!(error.contains(part), "{error}");
    }
}
