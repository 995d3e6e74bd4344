//! The example `game_server`, in this process and over real sockets: what it answers, whom it turns away
//! and why, that nobody else suffers, and that every buffer comes back.

#[path = "../examples/game_server/chart.rs"]
mod chart;
#[path = "../examples/game_server/connection.rs"]
mod connection;
#[path = "../examples/game_server/frame.rs"]
mod frame;
#[path = "../examples/game_server/history.rs"]
mod history;
#[path = "../examples/game_server/metrics.rs"]
mod metrics;
#[path = "../examples/game_server/metrics_server.rs"]
mod metrics_server;
#[path = "../examples/game_server/numbers.rs"]
mod numbers;
#[path = "../examples/game_server/options.rs"]
mod options;
#[path = "../examples/game_server/players.rs"]
mod players;
#[path = "../examples/game_server/pools.rs"]
mod pools;
#[path = "../examples/game_server/program.rs"]
mod program;
// The soak uses more of it.
#[allow(dead_code)]
#[path = "../examples/game_server/random.rs"]
mod random;
#[path = "../examples/game_server/report.rs"]
mod report;
#[path = "../examples/game_server/screen.rs"]
mod screen;
#[path = "../examples/game_server/server.rs"]
mod server;
#[path = "../examples/game_server/snapshot.rs"]
mod snapshot;
#[path = "../examples/game_server/watch.rs"]
mod watch;

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use poolbuf::{Pool, PoolStats};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use frame::{HEADER, MAX_FRAME, MAX_PAYLOAD, PAYLOADS};
use history::History;
use metrics_server::MetricsServer;
use options::{Mode, Options};
use players::{PlayersConfig, play};
use pools::{PoolKind, Pools};
use program::{Event, check_descriptors, run};
use report::{Report, Verdict};
use server::{Answers, Log, Server, ServerConfig, histogram};
use snapshot::{Percentiles, Snapshot};

/// Ends a test that hangs; no test waits that long when it passes.
const HANGS: Duration = Duration::from_secs(60);
/// The time limit of a server whose clients should run into it.
const SHORT: Duration = Duration::from_millis(500);

/// A server on a port of its own, its pools, and what it logs.
struct Running {
    server: Server,
    pools: Pools,
    lines: mpsc::Receiver<String>,
}

impl Running {
    fn start(kind: PoolKind, max: usize, time_limit: Duration) -> Running {
        let pools = Pools::new(kind, max, 1).expect("pools");
        let (log, lines) = logger();
        let config = ServerConfig {
            address: localhost(),
            workers: 2,
            time_limit,
            log,
        };
        let server = Server::start(config, pools.clone()).expect("server");
        Running {
            server,
            pools,
            lines,
        }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.server.address()).expect("connect");
        stream.set_nodelay(true).expect("nodelay");
        stream.set_read_timeout(Some(HANGS)).expect("timeout");
        stream.set_write_timeout(Some(HANGS)).expect("timeout");
        stream
    }

    /// The log line about the connection whose other end is `peer`.
    fn line_about(&self, peer: SocketAddr) -> String {
        let line = self.lines.recv_timeout(HANGS).expect("a line in the log");
        assert!(line.starts_with(&format!("{peer} closed: ")), "{line}");
        line
    }

    /// Lets `witness` play on until no more than its own buffer is lent.
    fn wait_for_buffers(&self, witness: &mut TcpStream) {
        let deadline = Instant::now() + HANGS;
        while self.pools.in_use() > 1 {
            assert!(Instant::now() < deadline, "{:?}", self.pools.recv.stats());
            echo(witness, 64);
        }
    }

    /// Waits until the receive pool's figures are such.
    fn wait_for(&self, such: impl Fn(&PoolStats) -> bool) {
        let deadline = Instant::now() + HANGS;
        while !such(&self.pools.recv.stats()) {
            assert!(Instant::now() < deadline, "{:?}", self.pools.recv.stats());
            thread::yield_now();
        }
    }

    /// Stops the server: every buffer is back, nothing else was logged; returns how many it answered.
    fn stop(self) -> u64 {
        let answers = self.server.stop().len();
        let (recv, send) = (self.pools.recv.stats(), self.pools.send.stats());
        assert_eq!((recv.in_use, send.in_use), (0, 0));
        assert_eq!(recv.available, recv.total);
        assert_eq!(send.available, send.total);
        assert_eq!(self.lines.try_iter().collect::<Vec<_>>(), [""; 0]);
        answers
    }
}

fn localhost() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
}

fn logger() -> (Log, mpsc::Receiver<String>) {
    let (sender, lines) = mpsc::channel();
    let log = Arc::new(move |line| {
        // The test may be over.
        let _ = sender.send(line);
    });
    (log, lines)
}

/// A frame whose payload tells its length and its positions apart.
fn frame_of(payload: usize) -> Vec<u8> {
    let mut frame = (payload as u32).to_le_bytes().to_vec();
    frame.extend((0..payload).map(|i| (i * 7 + i / 251 + payload) as u8));
    frame
}

fn receive(stream: &mut TcpStream, bytes: usize) -> Vec<u8> {
    let mut received = vec![0; bytes];
    stream.read_exact(&mut received).expect("an answer");
    received
}

fn echo(stream: &mut TcpStream, payload: usize) {
    let frame = frame_of(payload);
    stream.write_all(&frame).expect("send");
    assert!(receive(stream, frame.len()) == frame, "{payload} bytes");
}

/// Says that there is nothing more to come, and waits until the server closes in turn: then it has counted
/// all its answers.
fn leave(mut stream: TcpStream) {
    stream.shutdown(Shutdown::Write).expect("shutdown");
    assert_eq!(stream.read(&mut [0; 1]).expect("the end"), 0);
}

/// Whether the server has closed `stream`, after whatever else it still had to say.
fn is_closed(stream: &mut TcpStream) -> bool {
    loop {
        match stream.read(&mut [0; MAX_FRAME]) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return gone(&error),
        }
    }
}

fn gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
    )
}

#[test]
fn every_size_comes_back_from_every_pool() {
    for kind in PoolKind::ALL {
        let running = Running::start(kind, 8, HANGS);
        let mut client = running.connect();
        let sizes = [1, 63, 511, 513, MAX_PAYLOAD - 1];
        for payload in PAYLOADS.into_iter().chain(sizes) {
            echo(&mut client, payload);
        }
        leave(client);
        let messages = (PAYLOADS.len() + sizes.len()) as u64;
        assert_eq!(running.pools.send.stats().acquired, messages, "{kind:?}");
        assert_eq!(running.stop(), messages, "{kind:?}");
    }
}

#[test]
fn frames_sent_without_waiting_are_answered_in_order() {
    for kind in PoolKind::ALL {
        let running = Running::start(kind, 8, HANGS);
        let mut client = running.connect();
        let frames: Vec<_> = (0..40)
            .map(|i| frame_of(PAYLOADS[i % PAYLOADS.len()] - i))
            .collect();
        let all = frames.concat();
        let mut writer = client.try_clone().expect("clone");
        let sent = all.clone();
        let writer = thread::spawn(move || writer.write_all(&sent).expect("send"));
        assert!(receive(&mut client, all.len()) == all, "{kind:?}");
        writer.join().expect("writer");
        leave(client);
        assert_eq!(running.stop(), frames.len() as u64, "{kind:?}");
    }
}

#[test]
fn a_frame_in_single_bytes_is_a_frame() {
    for kind in PoolKind::ALL {
        let running = Running::start(kind, 8, HANGS);
        let mut client = running.connect();
        // Longer than the buffer that a multi-size pool lends for the first bytes.
        let frame = frame_of(600);
        for byte in &frame {
            client.write_all(&[*byte]).expect("send");
        }
        assert!(receive(&mut client, frame.len()) == frame, "{kind:?}");
        leave(client);
        assert_eq!(running.stop(), 1);
    }
}

/// One client misbehaves; another is served before, meanwhile and afterwards. The log says why the first was
/// closed, and its buffers come back while the server runs on.
fn only_that_connection_suffers(
    time_limit: Duration,
    misbehave: impl Fn(&mut TcpStream, &mut TcpStream) -> Ending,
    reason: &str,
) {
    for kind in PoolKind::ALL {
        let running = Running::start(kind, 8, time_limit);
        let mut witness = running.connect();
        echo(&mut witness, 64);

        let mut client = running.connect();
        let peer = client.local_addr().expect("address");
        match misbehave(&mut client, &mut witness) {
            Ending::ClosedByServer => assert!(is_closed(&mut client), "{kind:?}"),
            Ending::Leaves => drop(client),
        }
        let line = running.line_about(peer);
        assert!(line.contains(reason), "{kind:?}: {line}");

        echo(&mut witness, 512);
        running.wait_for_buffers(&mut witness);
        leave(witness);
        running.stop();
    }
}

enum Ending {
    ClosedByServer,
    Leaves,
}

/// Sends `bytes` and waits for what the server says to that.
fn sends(bytes: &[u8]) -> impl Fn(&mut TcpStream, &mut TcpStream) -> Ending {
    move |client, _| {
        client.write_all(bytes).expect("send");
        Ending::ClosedByServer
    }
}

/// Sends `bytes` and leaves.
fn sends_and_leaves(bytes: &[u8]) -> impl Fn(&mut TcpStream, &mut TcpStream) -> Ending {
    move |client, _| {
        client.write_all(bytes).expect("send");
        Ending::Leaves
    }
}

#[test]
fn a_frame_of_length_0_closes_that_connection() {
    only_that_connection_suffers(
        HANGS,
        sends(&[0; 4]),
        "closed: frame of length 0 (1 to 32,768",
    );
}

#[test]
fn a_frame_too_long_by_a_byte_closes_that_connection() {
    let header = (MAX_PAYLOAD as u32 + 1).to_le_bytes();
    only_that_connection_suffers(
        HANGS,
        sends(&header),
        "closed: frame of length 32,769 (1 to",
    );
}

#[test]
fn the_longest_length_that_can_be_said_closes_that_connection() {
    let reason = "closed: frame of length 4,294,967,295 (1 to";
    only_that_connection_suffers(HANGS, sends(&[0xFF; 4]), reason);
}

#[test]
fn bytes_that_are_no_frame_after_one_that_was_close_the_connection() {
    let mut bytes = frame_of(64);
    bytes.extend([0; 4]);
    only_that_connection_suffers(HANGS, sends(&bytes), "closed: frame of length 0");
}

#[test]
fn a_connection_cut_in_mid_header_is_closed() {
    let reason = "connection cut in mid-frame (2 of 4 header bytes)";
    only_that_connection_suffers(HANGS, sends_and_leaves(&[64, 0]), reason);
}

#[test]
fn a_connection_cut_in_mid_frame_is_closed() {
    let reason = "connection cut in mid-frame (17 of 8,196 bytes)";
    only_that_connection_suffers(HANGS, sends_and_leaves(&frame_of(8192)[..17]), reason);
}

#[test]
fn a_client_that_sends_a_byte_at_a_time_is_closed_at_the_limit() {
    let slow = |client: &mut TcpStream, witness: &mut TcpStream| {
        let pace = Some(Duration::from_millis(20));
        client.set_read_timeout(pace).expect("timeout");
        for byte in frame_of(8192) {
            if let Err(error) = client.write_all(&[byte]) {
                assert!(gone(&error), "{error}");
                return Ending::Leaves;
            }
            echo(witness, 64);
            match client.read(&mut [0; 1]) {
                Ok(answered) => {
                    assert_eq!(answered, 0, "an answer to an incomplete frame");
                    return Ending::Leaves;
                }
                Err(error) if gone(&error) => return Ending::Leaves,
                Err(_nothing_yet) => {}
            }
        }
        panic!("the server waited for the whole frame");
    };
    only_that_connection_suffers(SHORT, slow, "closed: frame incomplete after 0.5 s (");
}

#[test]
fn a_client_that_says_half_a_header_and_stays_is_closed_at_the_limit() {
    let reason = "closed: frame incomplete after 0.5 s (3 of 4 header bytes)";
    only_that_connection_suffers(SHORT, sends(&[64, 0, 0]), reason);
}

#[test]
fn a_client_that_never_reads_is_closed_at_the_limit() {
    let deaf = |client: &mut TcpStream, witness: &mut TcpStream| {
        let frame = frame_of(MAX_PAYLOAD);
        loop {
            // Blocks when both sockets are full, until the server closes.
            if let Err(error) = client.write_all(&frame) {
                assert!(gone(&error), "{error}");
                return Ending::Leaves;
            }
            echo(witness, 64);
        }
    };
    let reason = "closed: client did not read its answer of 32,772 bytes within 0.5 s";
    only_that_connection_suffers(SHORT, deaf, reason);
}

#[test]
fn a_silent_client_is_not_closed() {
    let running = Running::start(PoolKind::Buffer, 8, SHORT);
    let mut silent = running.connect();
    echo(&mut silent, 64);
    // Another is closed at the limit, one that began later: the silent one has been silent for longer.
    let mut late = running.connect();
    late.write_all(&[64]).expect("send");
    assert!(is_closed(&mut late));
    running.line_about(late.local_addr().expect("address"));
    echo(&mut silent, 64);
    leave(silent);
    assert_eq!(running.stop(), 2);
}

#[test]
fn clients_take_turns_when_there_are_fewer_buffers() {
    let running = Running::start(PoolKind::Buffer, 2, HANGS);
    let clients: Vec<_> = (0..12).map(|_| running.connect()).collect();
    // The first two hold the buffers until their clients have played and left.
    running.wait_for(|recv| recv.waiting > 0);
    thread::scope(|scope| {
        for mut client in clients {
            scope.spawn(move || {
                echo(&mut client, 2048);
                leave(client);
            });
        }
    });
    assert_eq!(running.pools.recv.stats().high_water, 2);
    assert_eq!(running.stop(), 12);
}

#[test]
fn a_client_that_no_buffer_is_left_for_is_told_by_the_end_of_its_connection() {
    let running = Running::start(PoolKind::Buffer, 2, SHORT);
    let mut first = running.connect();
    echo(&mut first, 64);
    let mut second = running.connect();
    echo(&mut second, 64);
    // Both have posted their next receive.
    running.wait_for(|recv| recv.in_use == 2);

    let mut third = running.connect();
    assert!(is_closed(&mut third));
    let line = running.line_about(third.local_addr().expect("address"));
    let reason = "closed: no buffer from the recv pool within 0.5 s: 2 of 2 are in use";
    assert!(line.contains(reason), "{line}");

    echo(&mut first, 64);
    leave(first);
    leave(second);
    let mut fourth = running.connect();
    echo(&mut fourth, 64);
    leave(fourth);
    assert_eq!(running.stop(), 4);
}

#[test]
fn a_server_that_stops_gets_its_buffers_back_from_open_connections() {
    for kind in PoolKind::ALL {
        let running = Running::start(kind, 100, HANGS);
        let mut idle: Vec<_> = (0..50).map(|_| running.connect()).collect();
        for client in &mut idle {
            echo(client, 64);
        }
        let mut in_mid_frame = running.connect();
        let half = &frame_of(8192)[..4000];
        in_mid_frame.write_all(half).expect("send");
        // Fills both sockets: when it can't send any more, the server waits for it to read.
        let mut deaf = running.connect();
        let pause = Some(Duration::from_millis(100));
        deaf.set_write_timeout(pause).expect("timeout");
        let frame = frame_of(MAX_PAYLOAD);
        while deaf.write_all(&frame).is_ok() {}

        running.wait_for(|recv| recv.in_use > 50);
        running.stop();
        for mut client in idle {
            assert!(is_closed(&mut client), "{kind:?}");
        }
        assert!(is_closed(&mut in_mid_frame), "{kind:?}");
        assert!(is_closed(&mut deaf), "{kind:?}");
    }
}

#[test]
fn a_busy_port_is_named() {
    let running = Running::start(PoolKind::Buffer, 8, HANGS);
    let address = running.server.address();
    let config = ServerConfig {
        address,
        workers: 1,
        time_limit: HANGS,
        log: logger().0,
    };
    let error = Server::start(config, running.pools.clone()).err();
    let error = error.expect("a second server on the port");
    assert!(error.starts_with(&format!("cannot listen on {address}: ")));
    running.stop();
}

/// The whole program, as from the command line.
fn program(options: &Options) -> (Result<Report, String>, Vec<String>, Vec<String>) {
    let (log, lines) = logger();
    let mut printed = Vec::new();
    let report = run(options, mpsc::channel(), &log, &mut |line| {
        printed.push(line)
    });
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

        let verdict = report.verdict.as_ref().expect("players played");
        assert!(report.messages >= 20 && verdict.verified > 20 * 64);
        assert_eq!(report.responses.len(), report.messages);
        for (pool, name) in report.pools.iter().zip(["recv pool", "send pool"]) {
            assert!(pool.high_water > 0 && pool.high_water <= pool.max);
            assert_eq!((&*pool.name, pool.in_use, pool.refused), (name, 0, 0));
            let line = printed.iter().find(|line| line.starts_with(name));
            let line = line.expect("a line after a second");
            assert!(line.contains("% of ") && line.contains(" in use | 100.00% served | "));
            assert!(line.ends_with(" ms avg response | normal"), "{line}");
        }
        let text = report.to_string();
        for part in [
            "messages ",
            "p50 ",
            "verified ",
            "0 not returned",
            "memory ",
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
    assert_eq!(report.messages, 2);
    assert_eq!(report.problems(), [""; 0]);
    assert!(report.to_string().contains("frame whole to answer sent"));
}

/// A server that answers each of its connections with `answer`.
fn impostor(answer: fn(&mut TcpStream)) -> SocketAddr {
    let listener = TcpListener::bind(localhost()).expect("listen");
    let address = listener.local_addr().expect("address");
    thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            answer(&mut stream);
        }
    });
    address
}

fn players_of(server: SocketAddr, log: Log) -> PlayersConfig {
    PlayersConfig {
        server,
        players: 1,
        threads: 1,
        duration: Duration::from_secs(2),
        log,
        stop: Arc::new(AtomicBool::new(false)),
    }
}

#[test]
fn a_byte_that_differs_fails_the_run() {
    let server = impostor(|stream| {
        let header = receive(stream, HEADER);
        let payload = u32::from_le_bytes(header[..].try_into().expect("4 bytes"));
        let mut frame = [header, receive(stream, payload as usize)].concat();
        // The last byte of the first answer.
        *frame.last_mut().expect("not empty") ^= 1;
        stream.write_all(&frame).expect("send");
    });
    let (log, lines) = logger();
    let played = play(&players_of(server, log)).expect("players that played");
    assert_eq!((played.differences, played.failures), (1, 0));
    assert_eq!((played.messages, played.verified), (1, 0));
    let line = lines.recv_timeout(HANGS).expect("a line");
    assert!(line.starts_with("player 0 gives up at message 0: byte "));
    assert!(line.contains(" of its answer differs: expected 0x"));
}

#[test]
fn a_connection_that_fails_in_mid_run_fails_the_run() {
    let server = impostor(|stream| drop(stream.shutdown(Shutdown::Both)));
    let (log, lines) = logger();
    let played = play(&players_of(server, log)).expect("players that played");
    assert_eq!((played.failures, played.messages), (1, 0));
    let line = lines.recv_timeout(HANGS).expect("a line");
    assert!(line.starts_with("player 0 gives up at message 0: "));
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
fn every_kind_of_fault_is_a_problem_of_the_report() {
    let pools = Pools::new(PoolKind::Buffer, 4, 0).expect("pools");
    let report = |messages, verdict: Option<(u64, u64)>| Report {
        title: String::new(),
        elapsed: Duration::from_secs(1),
        messages,
        responses: histogram(),
        response_of: "",
        verdict: verdict.map(|(differences, failures)| Verdict {
            verified: 0,
            differences,
            failures,
        }),
        pools: vec![pools.recv.stats(), pools.send.stats()],
        resident: None,
        resident_of: "",
        faults: Vec::new(),
    };
    assert_eq!(report(1, Some((0, 0))).problems(), [""; 0]);
    assert_eq!(report(0, None).problems(), [""; 0]);
    assert_eq!(report(1, Some((2, 0))).problems(), ["2 answers differed"]);
    assert_eq!(report(1, Some((0, 3))).problems(), ["3 connections failed"]);
    assert_eq!(
        report(0, Some((0, 0))).problems(),
        ["no message was answered"]
    );
    let _lost = pools.send.acquire().expect("a buffer");
    assert_eq!(
        report(1, None).problems(),
        ["1 buffers of the send pool did not come back"]
    );
}

#[test]
fn a_lock_free_pool_says_how_many_players_it_serves() {
    assert!(Pools::for_players(PoolKind::LockFree, 10_240).is_ok());
    let error = Pools::for_players(PoolKind::LockFree, 10_241).err();
    assert!(error.expect("too many").contains("at most 10,240 players"));
}

#[test]
fn too_few_file_descriptors_are_named_with_the_way_out() {
    assert_eq!(check_descriptors(1000, 2080, 2080), Ok(()));
    let error = check_descriptors(1000, 2080, 2079).expect_err("one too few");
    for part in ["1,000", "2,080", "2,079", "ulimit -n 2080", "--players"] {
        assert!(error.contains(part), "{error}");
    }
}

fn parse(arguments: &[&str]) -> Result<Option<Options>, String> {
    Options::parse(arguments.iter().map(OsString::from))
}

#[test]
fn options_are_understood() {
    assert_eq!(parse(&[]), Ok(Some(Options::default())));
    assert_eq!(parse(&["--pool", "aligned", "--help"]), Ok(None));
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 7000));
    assert_eq!(
        parse(&["--players=7", "--timeout", "0.25", "--serve=127.0.0.1:7000"]),
        Ok(Some(Options {
            players: 7,
            time_limit: Duration::from_millis(250),
            mode: Mode::Serve(address),
            ..Options::default()
        }))
    );
    assert_eq!(
        parse(&["--watch", "--metrics=127.0.0.1:7000", "--history", "a.csv"]),
        Ok(Some(Options {
            watch: true,
            metrics: Some(address),
            history: Some("a.csv".into()),
            ..Options::default()
        }))
    );
    for kind in PoolKind::ALL {
        let options = parse(&["--pool", kind.name(), "--seconds", "3"]);
        let options = options.expect("valid").expect("no help");
        let seconds = Duration::from_secs(3);
        assert_eq!((options.pool, options.duration), (kind, seconds));
    }
}

#[test]
fn the_help_tells_of_no_option_that_is_unknown() {
    let lines = options::HELP.lines().map(str::trim_start);
    let names: Vec<_> = lines
        .filter(|line| line.starts_with("--"))
        .filter_map(|line| line.split(' ').next())
        .collect();
    assert_eq!(names.len(), 10);
    for name in names {
        let unknown = parse(&[name]).is_err_and(|error| error.contains("unknown"));
        assert!(!unknown, "{name}");
    }
}

#[test]
fn wrong_options_are_named_with_what_is_allowed() {
    let whole = "a whole number from 1 to 25,000 is allowed";
    let seconds = "seconds from 0.001 to 86400 are allowed";
    let address = "such as 127.0.0.1:7000";
    let cases: [(&[&str], &str, &str); 22] = [
        (&["--player", "3"], "\"--player\"", "--help"),
        (&["3"], "\"3\"", "--help"),
        (&["--players"], "--players", "needs a value"),
        (&["--players", "many"], "\"many\"", whole),
        (&["--players", "0"], "\"0\"", whole),
        (&["--players", "-1"], "\"-1\"", whole),
        (&["--players", "25001"], "\"25001\"", whole),
        (&["--seconds", "0"], "--seconds \"0\"", seconds),
        (&["--seconds", "NaN"], "--seconds \"NaN\"", seconds),
        (&["--timeout=inf"], "--timeout \"inf\"", seconds),
        (&["--pool", "big"], "\"big\"", "lock-free, multi-size is"),
        (&["--serve", "7000"], "--serve \"7000\"", address),
        (&["--connect", "a:b"], "--connect \"a:b\"", address),
        (&["--metrics", "9090"], "--metrics \"9090\"", address),
        (&["--history", "x.svg"], "\"x.svg\"", "ends in .csv"),
        (&["--watch=yes"], "--watch", "takes no value"),
        (&["--watch", "--watch"], "--watch", "is given twice"),
        (
            &["--watch", "--connect", "127.0.0.1:1"],
            "--watch",
            "does not go with --connect",
        ),
        (
            &["--connect", "127.0.0.1:1", "--metrics", "127.0.0.1:0"],
            "--metrics",
            "does not go with --connect",
        ),
        (
            &["--connect=127.0.0.1:1", "--history=x.csv"],
            "--history",
            "does not go with --connect",
        ),
        (
            &["--players", "1", "--players", "2"],
            "--players",
            "is given twice",
        ),
        (
            &["--serve", "127.0.0.1:1", "--connect", "127.0.0.1:1"],
            "--connect",
            "does not go with --serve",
        ),
    ];
    for (arguments, named, allowed) in cases {
        let error = parse(arguments).expect_err("a wrong option");
        assert!(error.contains(named), "{error}");
        assert!(error.contains(allowed), "{error}");
        assert_eq!(error.lines().count(), 1);
    }
}

/// A snapshot whose every figure is another.
fn a_snapshot() -> Snapshot {
    let small = Pools::new(PoolKind::MultiSize, 100, 1).expect("pools");
    let mut recv = small.recv.stats();
    (recv.in_use, recv.max, recv.high_water) = (1_230, 4_000, 1_777);
    (recv.refused, recv.waiting, recv.waits) = (7, 17, 40);
    recv.waited = Duration::from_millis(100);
    (recv.tiers[0].in_use, recv.tiers[0].high_water) = (80, 99);
    let mut send = Pools::new(PoolKind::Buffer, 3000, 1)
        .expect("pools")
        .send
        .stats();
    (send.in_use, send.total, send.available) = (600, 700, 100);
    Snapshot {
        at: Duration::from_secs(61),
        pools: vec![recv, send],
        messages: 123_456,
        last: Answers::default(),
        messages_per_second: 54_321.5,
        responses: Percentiles {
            p50: 110_000,
            p99: 2_220_000,
            p999: 33_330_000,
        },
        resident: Some(5 << 20),
    }
}

/// What a terminal of that size shows.
fn shown((width, height): (u16, u16), snapshot: &Snapshot, log: &[String]) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a terminal");
    let draw = |frame: &mut ratatui::Frame<'_>| screen::draw(frame, "20 players", snapshot, log);
    terminal.draw(draw).expect("drawn");
    terminal.backend().to_string()
}

#[test]
fn the_screen_shows_every_figure() {
    let log: Vec<_> = (0..50).map(|line| format!("line {line}.")).collect();
    let text = shown((100, 40), &a_snapshot(), &log);
    for part in [
        "20 players, 1:01",
        "54,321/s, 123,456 so far",
        "p50 0.11 ms, p99 2.22 ms, p99.9 33.33 ms",
        "5.0 MiB resident",
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
    assert!(shown((100, 40), &unknown, &[]).contains("memory    - resident"));
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

#[test]
fn q_and_ctrl_c_end_the_run_and_no_other_key() {
    let key = |code, modifiers| watch::ends_the_run(KeyEvent::new(code, modifiers));
    assert!(key(KeyCode::Char('q'), KeyModifiers::NONE));
    assert!(key(KeyCode::Char('c'), KeyModifiers::CONTROL));
    assert!(!key(KeyCode::Char('c'), KeyModifiers::NONE));
    assert!(!key(KeyCode::Enter, KeyModifiers::NONE));
}

#[test]
fn a_screen_without_a_terminal_is_refused() {
    assert_eq!(watch::check_terminal(true), Ok(()));
    let error = watch::check_terminal(false).expect_err("no terminal");
    assert!(error.starts_with("--watch needs a terminal"));
}

/// The samples of Prometheus text, each as name with labels, and value. Asserts that each is of a family
/// that was announced, once, with help and type.
fn samples(text: &str) -> Vec<(String, f64)> {
    let mut families: Vec<(&str, &str)> = Vec::new();
    let mut helped = "";
    let mut samples = Vec::new();
    assert!(text.ends_with('\n'));
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            helped = help.split_once(' ').expect("a help text").0;
        } else if let Some(family) = line.strip_prefix("# TYPE ") {
            let (name, kind) = family.split_once(' ').expect("a type");
            assert_eq!(name, helped);
            assert!(["counter", "gauge", "summary"].contains(&kind), "{line}");
            assert!(families.iter().all(|(known, _)| *known != name), "{line}");
            families.push((name, kind));
        } else {
            let (sample, value) = line.rsplit_once(' ').expect("a value");
            let (family, kind) = families.last().expect("a family");
            let name = sample.split('{').next().expect("a name");
            let rest = name.strip_prefix(family).expect("a sample of its family");
            assert!(rest.is_empty() || (*kind == "summary" && ["_sum", "_count"].contains(&rest)));
            assert_eq!(sample.contains('{'), sample.ends_with("\"}"), "{line}");
            let known = samples.iter().any(|(other, _)| other == sample);
            assert!(!known, "{line} is there twice");
            samples.push((sample.to_owned(), value.parse().expect("a number")));
        }
    }
    samples
}

#[test]
fn metrics_are_valid_prometheus_text_with_every_figure() {
    let mut snapshot = a_snapshot();
    let recv = &mut snapshot.pools[0];
    recv.name = "odd \"name\\\n".into();
    (recv.acquired, recv.waits, recv.handed_over, recv.timed_out) = (1000, 40, 36, 4);
    let mut responses = histogram();
    responses.record(2_000_000).expect("in range");
    let answers = Answers {
        count: 3,
        nanos: 4_500_000_000,
    };
    let samples = samples(&metrics::text(&snapshot.pools, answers, &responses));
    let odd = r#"pool="odd \"name\\\n""#;
    for (name, expected) in [
        (format!("poolbuf_buffers_in_use{{{odd}}}"), 1230.0),
        ("poolbuf_buffers_in_use{pool=\"send pool\"}".into(), 600.0),
        ("poolbuf_buffers_idle{pool=\"send pool\"}".into(), 100.0),
        ("poolbuf_buffers_max{pool=\"send pool\"}".into(), 3000.0),
        (format!("poolbuf_buffers_peak{{{odd}}}"), 1777.0),
        (format!("poolbuf_requests_pending{{{odd}}}"), 17.0),
        (
            format!("poolbuf_acquires_total{{{odd},outcome=\"direct\"}}"),
            964.0,
        ),
        (
            format!("poolbuf_acquires_total{{{odd},outcome=\"waited\"}}"),
            36.0,
        ),
        (
            format!("poolbuf_acquires_total{{{odd},outcome=\"refused\"}}"),
            7.0,
        ),
        (
            format!("poolbuf_acquires_total{{{odd},outcome=\"timed_out\"}}"),
            4.0,
        ),
        (format!("poolbuf_wait_seconds_total{{{odd}}}"), 0.1),
        ("game_server_messages_total".into(), 3.0),
        ("game_server_response_seconds_sum".into(), 4.5),
        ("game_server_response_seconds_count".into(), 3.0),
    ] {
        let found = samples.iter().find(|(sample, _)| *sample == name);
        assert_eq!(found.map(|(_, value)| *value), Some(expected), "{name}");
    }
    let median = "game_server_response_seconds{quantile=\"0.5\"}";
    let found = samples.iter().find(|(sample, _)| sample == median);
    let (_, seconds) = found.expect("a median");
    assert!((0.001_99..0.002_01).contains(seconds), "{seconds}");
}

/// Sends `request` to a metrics server and returns its answer, empty where it just closes.
fn ask(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).expect("connect");
    stream.set_read_timeout(Some(HANGS)).expect("timeout");
    // It may have heard enough before the end.
    let _ = stream.write_all(request);
    let _ = stream.shutdown(Shutdown::Write);
    let mut answer = Vec::new();
    if let Err(error) = stream.read_to_end(&mut answer) {
        assert!(gone(&error), "{error}");
    }
    String::from_utf8(answer).expect("text")
}

#[test]
fn the_metrics_server_outlives_whatever_it_is_sent() {
    let server = MetricsServer::start(localhost(), || "figures 1\n".to_owned()).expect("server");
    let address = server.address();
    let good = || {
        let answer = ask(address, b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        assert!(head.contains("Content-Type: text/plain; version=0.0.4"));
        assert!(head.contains("Content-Length: 10\r\n"));
        assert_eq!(body, "figures 1\n");
    };
    good();
    let cases: [(&[u8], &str); 9] = [
        (b"GET / HTTP/1.1\r\n\r\n", "404"),
        (b"GET /metricsx HTTP/1.1\r\n\r\n", "404"),
        (b"GET /metrics?a=b HTTP/1.0\r\n\r\n", "200"),
        (b"POST /metrics HTTP/1.1\r\n\r\n", "405"),
        (b"GET /metrics\r\n\r\n", "400"),
        (b"GET /metrics HTTP/9\r\n\r\n", "400"),
        (b"\r\n\r\n", "400"),
        (b"\xFF\xFE \x00 HTTP/1.1\r\n\r\n", "400"),
        (b" /metrics HTTP/1.1\r\n\r\n", "400"),
    ];
    for (request, status) in cases {
        let answer = ask(address, request);
        let start = format!("HTTP/1.1 {status} ");
        assert!(answer.starts_with(&start), "{request:?}: {answer}");
        good();
    }
    // Cut off, nothing at all, and more than is read: closed without an answer.
    for request in [&b"GET /met"[..], b"", &[b'a'; 1_000_000]] {
        let answer = ask(address, request);
        assert!(answer.is_empty() || answer.contains(" 431 "), "{answer}");
        good();
    }
    let answer = ask(address, &[b'a'; 8 * 1024]);
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    // A byte at a time: closed long before the 8 KiB are full, which would take minutes.
    let mut slow = TcpStream::connect(address).expect("connect");
    let pace = Some(Duration::from_millis(50));
    slow.set_read_timeout(pace).expect("timeout");
    let mut patience = 0..1000;
    while slow.write_all(b"a").is_ok() {
        match slow.read(&mut [0; 1]) {
            Ok(answered) => {
                assert_eq!(answered, 0);
                break;
            }
            Err(error) if gone(&error) => break,
            Err(_nothing_yet) => assert!(patience.next().is_some(), "it waits on"),
        }
    }
    good();
    // Says nothing and stays: the next one is served all the same.
    let mute = TcpStream::connect(address).expect("connect");
    good();
    drop(mute);

    drop(server);
    assert!(TcpStream::connect(address).is_err(), "it goes on");
}

/// A file of this test process, removed in the end with what is beside it.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        let name = format!("game-server-{}-{name}.csv", std::process::id());
        Scratch(std::env::temp_dir().join(name))
    }

    fn read(&self, extension: &str) -> String {
        std::fs::read_to_string(self.0.with_extension(extension)).expect("a file")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        for extension in ["csv", "svg"] {
            let _ = std::fs::remove_file(self.0.with_extension(extension));
        }
    }
}

#[test]
fn the_history_has_a_line_for_each_snapshot_and_charts_of_them() {
    let scratch = Scratch::new("snapshots");
    let mut history = History::create(&scratch.0).expect("files");
    let mut snapshot = a_snapshot();
    for second in 0..5 {
        snapshot.at = Duration::from_secs(second);
        snapshot.pools[1].in_use = 600 + second as usize;
        history.record(&snapshot).expect("written");
    }
    history.finish("<20> players & more").expect("written");

    let csv = scratch.read("csv");
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(lines.len(), 6);
    assert!(lines[0].starts_with("seconds,recv_pool_in_use,recv_pool_total,recv_pool_refused,"));
    assert!(lines[0].ends_with(",messages_per_second,p50_ms,p99_ms,resident_bytes"));
    let columns = lines[0].split(',').count();
    assert!(lines.iter().all(|line| line.split(',').count() == columns));
    assert!(
        lines[5].starts_with("4.000,1230,5,7,40,17,604,700,0,0,0,"),
        "{}",
        lines[5]
    );
    assert!(lines[5].ends_with(",54321.5,0.1100,2.2200,5242880"));

    let svg = scratch.read("svg");
    assert!(svg.starts_with("<svg xmlns=") && svg.ends_with("</svg>\n"));
    for part in [
        "&lt;20&gt; players &amp; more",
        "Buffers in use",
        "recv pool",
        "send pool",
        "Messages a second",
        "Resident memory, MiB",
    ] {
        assert!(svg.contains(part), "{part:?} is not in\n{svg}");
    }
    // Two pools, messages, memory: of the messages the first second has no rate.
    let lines = svg.lines().filter(|line| line.starts_with("<polyline"));
    let points: Vec<_> = lines.map(|line| line.matches(',').count()).collect();
    assert_eq!(points, [5, 5, 4, 5]);
    assert!(!svg.contains("NaN") && !svg.contains("inf"));
}

#[test]
fn a_history_of_nothing_is_a_chart_all_the_same() {
    let scratch = Scratch::new("nothing");
    let history = History::create(&scratch.0).expect("files");
    history.finish("no run").expect("written");
    let svg = scratch.read("svg");
    assert!(svg.ends_with("</svg>\n") && !svg.contains("NaN") && !svg.contains("inf"));
}

#[test]
fn a_history_that_cannot_be_written_is_an_error_before_the_run() {
    let options = Options {
        history: Some("/no/such/directory/x.csv".into()),
        ..Options::default()
    };
    let (report, printed, _) = program(&options);
    let error = report.err().expect("no file");
    assert!(
        error.starts_with("cannot write /no/such/directory/x.csv: "),
        "{error}"
    );
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
        ("game_server_response_seconds_count", 1.0),
        (
            "poolbuf_acquires_total{pool=\"send pool\",outcome=\"direct\"}",
            1.0,
        ),
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
