//! The example `game_server`, in this process and over real sockets: what it answers, whom it turns away
//! and why, that nobody else suffers, and that every buffer comes back.

#[path = "../examples/game_server/connection.rs"]
mod connection;
#[path = "../examples/game_server/frame.rs"]
mod frame;
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
#[path = "../examples/game_server/report.rs"]
mod report;
#[path = "../examples/game_server/server.rs"]
mod server;

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use poolbuf::{Pool, PoolStats};

use frame::{HEADER, MAX_FRAME, MAX_PAYLOAD, PAYLOADS};
use options::{Mode, Options};
use players::{PlayersConfig, play};
use pools::{PoolKind, Pools};
use program::{Event, check_descriptors, run};
use report::{Report, Verdict};
use server::{Log, Server, ServerConfig, histogram};

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
    running.wait_for(|recv| recv.refused > 0);
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
    let reason =
        "closed: no buffer from the recv pool within 0.5 s: all buffers are in use (2 of 2)";
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
    assert_eq!(names.len(), 7);
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
    let cases: [(&[&str], &str, &str); 15] = [
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
