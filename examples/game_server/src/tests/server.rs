//! Over real sockets: what the server answers, which clients it turns away and why, that no other client
//! suffers, and that every buffer comes back.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use poolbuf::PoolStats;

use super::{HANGS, echo, frame_of, gone, leave, localhost, logger, receive};
use crate::server::cut_off::{CutOff, Limit};
use crate::server::frame::{MAX_FRAME, MAX_PAYLOAD, PAYLOADS};
use crate::server::pools::{PoolKind, Pools};
use crate::server::{Server, ServerConfig};

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
        Running::start_with(kind, max, time_limit, 2)
    }

    fn start_with(kind: PoolKind, max: usize, time_limit: Duration, workers: usize) -> Running {
        let pools = Pools::new(kind, max, 1).expect("pools");
        let (log, lines) = logger();
        let config = ServerConfig {
            address: localhost(),
            workers,
            time_limit,
            log,
        };
        let server = Server::start(config, pools.clone()).expect("server");
        Running { server, pools, lines }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.server.address).expect("connect");
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
        while self.pools.stats().iter().map(|pool| pool.in_use).sum::<usize>() > 1 {
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

    /// Waits until so many small buffers are lent.
    fn wait_for_headers(&self, in_use: usize) {
        let deadline = Instant::now() + HANGS;
        while self.pools.headers.stats().in_use != in_use {
            assert!(Instant::now() < deadline, "{}", self.pools.headers.stats());
            thread::yield_now();
        }
    }

    /// Waits until so many frames have been answered.
    fn wait_for_answers(&self, count: u64) {
        let deadline = Instant::now() + HANGS;
        let figures = self.server.figures();
        while figures().server_times.count() < count {
            assert!(Instant::now() < deadline, "too few answers");
            thread::yield_now();
        }
    }

    /// Stops the server, which has cut no client off; returns how many frames it answered.
    fn stop(self) -> u64 {
        self.stop_after(None)
    }

    /// Stops the server, which has cut off one client, for that reason, or none: every buffer is back, nothing else was
    /// logged.
    fn stop_after(self, cut_off: Option<Limit>) -> u64 {
        let figures = self.server.stop();
        let expected = Limit::ALL.map(|limit| u64::from(cut_off == Some(limit)));
        assert_eq!(figures.cut_off, CutOff::of(expected));
        for pool in self.pools.stats() {
            assert_eq!((pool.in_use, pool.available), (0, pool.total), "{pool}");
        }
        assert_eq!(self.lines.try_iter().collect::<Vec<_>>(), [""; 0]);
        figures.server_times.count()
    }
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
        let frames: Vec<_> = (0..40).map(|i| frame_of(PAYLOADS[i % PAYLOADS.len()] - i)).collect();
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
/// closed, and its buffers come back while the server runs on. With the limit [`SHORT`], that is why.
fn only_that_connection_suffers(
    time_limit: Duration,
    misbehave: impl Fn(&mut TcpStream, &mut TcpStream) -> Ending,
    reason: &str,
) {
    let limit = match reason {
        _ if time_limit == HANGS => None,
        reason if reason.contains("did not read") => Some(Limit::AnswerUnread),
        _ => Some(Limit::FrameIncomplete),
    };
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
        running.stop_after(limit);
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
    only_that_connection_suffers(HANGS, sends(&[0; 4]), "closed: frame of length 0 (1 to 32,768");
}

#[test]
fn a_frame_too_long_by_a_byte_closes_that_connection() {
    let header = (MAX_PAYLOAD as u32 + 1).to_le_bytes();
    only_that_connection_suffers(HANGS, sends(&header), "closed: frame of length 32,769 (1 to");
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
    assert_eq!(running.stop_after(Some(Limit::FrameIncomplete)), 2);
}

#[test]
fn clients_take_turns_when_there_are_fewer_buffers() {
    let running = Running::start(PoolKind::Buffer, 2, HANGS);
    let clients: Vec<_> = (0..12).map(|_| running.connect()).collect();
    let frame = frame_of(2048);
    let (start, rest) = frame.split_at(100);
    for mut client in &clients {
        client.write_all(start).expect("send");
    }
    // Two hold the buffers until their clients have played.
    running.wait_for(|recv| recv.waiting == 10);
    thread::scope(|scope| {
        for mut client in clients {
            let frame = &frame;
            scope.spawn(move || {
                client.write_all(rest).expect("send");
                assert!(receive(&mut client, frame.len()) == *frame);
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
    let held = [(); 2].map(|()| running.pools.recv.acquire().expect("a buffer"));
    // One whose frames are short needs none of them.
    let mut first = running.connect();
    echo(&mut first, 64);

    let mut second = running.connect();
    second.write_all(&frame_of(2048)).expect("send");
    assert!(is_closed(&mut second));
    let line = running.line_about(second.local_addr().expect("address"));
    let reason = "closed: no buffer from the recv pool within 0.5 s: 2 of 2 are in use";
    assert!(line.contains(reason), "{line}");

    drop(held);
    let mut third = running.connect();
    for client in [&mut first, &mut third] {
        echo(client, 2048);
    }
    leave(first);
    leave(third);
    assert_eq!(running.stop_after(Some(Limit::NoBuffer)), 3);
}

/// Three hundred clients send the start of a header and wait, and there are far fewer large buffers.
#[test]
fn clients_that_send_a_byte_and_wait_keep_nobody_from_being_served() {
    for kind in PoolKind::ALL {
        let running = Running::start(kind, 8, HANGS);
        let mut waiting: Vec<_> = (0..300).map(|_| running.connect()).collect();
        for client in &mut waiting {
            client.write_all(&frame_of(MAX_PAYLOAD)[..1]).expect("send");
        }
        // Each holds a small buffer, and nothing else.
        running.wait_for_headers(300);
        thread::scope(|scope| {
            for mut good in [(); 4].map(|()| running.connect()) {
                scope.spawn(move || {
                    for payload in PAYLOADS.repeat(5) {
                        echo(&mut good, payload);
                    }
                    leave(good);
                });
            }
        });
        let recv = running.pools.recv.stats();
        assert_eq!((recv.waits, recv.in_use), (0, 0), "{kind:?}");
        drop(waiting);
        running.wait_for_headers(0);
        // Each was cut in mid-frame.
        assert_eq!(running.lines.iter().take(300).count(), 300);
        assert_eq!(running.stop(), 4 * 5 * PAYLOADS.len() as u64, "{kind:?}");
    }
}

/// Two clients send short frames as fast as they can and read all answers, so that there is always something to do for
/// them. Another one, of the same worker, is answered all the same; and the server stops when it is told to.
#[test]
fn clients_that_send_without_a_pause_starve_no_other() {
    let running = Running::start_with(PoolKind::Buffer, 8, HANGS, 1);
    thread::scope(|scope| {
        for _ in 0..2 {
            let mut greedy = running.connect();
            let mut writer = greedy.try_clone().expect("clone");
            scope.spawn(move || {
                let frames = frame_of(1).repeat(1000);
                // Until the server closes.
                while writer.write_all(&frames).is_ok() {}
            });
            scope.spawn(move || assert!(is_closed(&mut greedy)));
        }
        // By then their sockets are full.
        running.wait_for_answers(1000);
        let mut other = running.connect();
        for _ in 0..20 {
            echo(&mut other, 64);
        }
        leave(other);
        running.stop();
    });
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

        running.wait_for(|recv| recv.in_use > 0);
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
    let address = running.server.address;
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

#[test]
fn a_lock_free_pool_says_how_many_players_it_serves() {
    assert!(Pools::for_players(PoolKind::LockFree, 10_240).is_ok());
    let error = Pools::for_players(PoolKind::LockFree, 10_241).err();
    assert!(error.expect("too many").contains("at most 10,240 players"));
}
