//! The tests of what is more than one file, and what tests share.

mod program;
mod server;

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use crate::report::live::Snapshot;
use crate::server::Log;
use crate::server::cut_off::CutOff;
use crate::server::pools::{PoolKind, Pools};
use crate::times::Times;

/// Ends a test that hangs; no test waits that long when it passes.
pub(crate) const HANGS: Duration = Duration::from_secs(60);

pub(crate) fn localhost() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
}

pub(crate) fn logger() -> (Log, mpsc::Receiver<String>) {
    let (sender, lines) = mpsc::channel();
    let log = Arc::new(move |line| {
        // The test may be over.
        let _ = sender.send(line);
    });
    (log, lines)
}

/// A frame whose payload tells its length and its positions apart.
pub(crate) fn frame_of(payload: usize) -> Vec<u8> {
    let mut frame = (payload as u32).to_le_bytes().to_vec();
    frame.extend((0..payload).map(|i| (i * 7 + i / 251 + payload) as u8));
    frame
}

pub(crate) fn receive(stream: &mut TcpStream, bytes: usize) -> Vec<u8> {
    let mut received = vec![0; bytes];
    stream.read_exact(&mut received).expect("an answer");
    received
}

pub(crate) fn echo(stream: &mut TcpStream, payload: usize) {
    let frame = frame_of(payload);
    stream.write_all(&frame).expect("send");
    assert!(receive(stream, frame.len()) == frame, "{payload} bytes");
}

/// Says that there is nothing more to come, and waits until the server closes in turn: then it has counted
/// all its answers.
pub(crate) fn leave(mut stream: TcpStream) {
    stream.shutdown(Shutdown::Write).expect("shutdown");
    assert_eq!(stream.read(&mut [0; 1]).expect("the end"), 0);
}

pub(crate) fn gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted | io::ErrorKind::BrokenPipe
    )
}

/// Sends `request` to a metrics server and returns its answer, empty where it just closes.
pub(crate) fn ask(address: SocketAddr, request: &[u8]) -> String {
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

/// The samples of Prometheus text, each as name with labels, and value. Asserts that each is of a family
/// that was announced, once, with help and type.
pub(crate) fn samples(text: &str) -> Vec<(String, f64)> {
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

/// A file of this test process, removed in the end with what is beside it.
pub(crate) struct Scratch(pub(crate) PathBuf);

impl Scratch {
    pub(crate) fn new(name: &str) -> Scratch {
        let name = format!("game-server-{}-{name}.csv", std::process::id());
        Scratch(std::env::temp_dir().join(name))
    }

    pub(crate) fn read(&self, extension: &str) -> String {
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

/// A snapshot whose every figure is another.
pub(crate) fn a_snapshot() -> Snapshot {
    let small = Pools::new(PoolKind::MultiSize, 100, 1).expect("pools");
    let mut recv = small.recv.stats();
    (recv.in_use, recv.max, recv.high_water) = (1_230, 4_000, 1_777);
    (recv.refused, recv.waiting, recv.waits) = (7, 17, 40);
    recv.waited = Duration::from_millis(100);
    (recv.acquired, recv.timed_out, recv.abandoned) = (990, 2, 1);
    (recv.tiers[0].in_use, recv.tiers[0].high_water) = (80, 99);
    let large = Pools::new(PoolKind::Buffer, 3000, 1).expect("pools");
    let mut send = large.send.stats();
    (send.in_use, send.total, send.available) = (600, 700, 100);
    let mut headers = small.headers.stats();
    headers.in_use = 900;
    let mut server_times = Times::new();
    for (count, nanos) in [(980, 110_000), (15, 2_220_000), (5, 33_330_000)] {
        for _ in 0..count {
            server_times.record(Duration::from_nanos(nanos));
        }
    }
    Snapshot {
        at: Duration::from_secs(61),
        pools: vec![recv, send, headers],
        messages: 123_456,
        messages_per_second: 54_321.5,
        server_times,
        cut_off: CutOff::of([1, 2, 0]),
        resident: Some(5 << 20),
    }
}
