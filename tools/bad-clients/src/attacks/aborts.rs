//! Connections that end as they should not: by a reset, by half, in the middle of a frame, or before anything was
//! said.
#![forbid(unsafe_code)]

use std::io::Write;
use std::net::Shutdown;

use super::strategy::Strategy;
use super::{Attacker, reset};
use crate::inputs::mutation::frame;

/// Frames, and then a reset: before the answer, in the middle of it or after.
pub(crate) fn resets(attacker: &mut Attacker, clients: usize) {
    let strategy = Strategy::Resets;
    for _ in 0..clients {
        let frames = frame(&mut attacker.random).repeat(attacker.random.between(1, 4));
        if let Some(mut stream) = attacker.connect(strategy) {
            attacker.count_input(strategy);
            let _ = stream.write_all(&frames);
            reset(stream);
        }
    }
}

/// A client that has said all, and waits for its answers; or one that wants none.
pub(crate) fn half_closes(attacker: &mut Attacker, clients: usize) {
    let strategy = Strategy::HalfCloses;
    for _ in 0..clients {
        let sent = frame(&mut attacker.random);
        let Some(mut stream) = attacker.connect(strategy) else {
            continue;
        };
        attacker.count_input(strategy);
        let _ = stream.write_all(&sent);
        if attacker.random.once_in(4) {
            let _ = stream.shutdown(Shutdown::Read);
            let _ = stream.write_all(&sent);
            continue;
        }
        let _ = stream.shutdown(Shutdown::Write);
        attacker.compare(strategy, stream, &sent);
    }
}

/// A part of a frame, and then the end.
pub(crate) fn cut_frames(attacker: &mut Attacker, clients: usize) {
    let strategy = Strategy::CutFrames;
    for _ in 0..clients {
        let frame = frame(&mut attacker.random);
        let bytes = attacker.random.between(1, frame.len() - 1);
        if let Some(mut stream) = attacker.connect(strategy) {
            attacker.count_input(strategy);
            let _ = stream.write_all(&frame[..bytes]);
        }
    }
}

/// Nothing at all.
pub(crate) fn connect_and_close(attacker: &mut Attacker, clients: usize) {
    let strategy = Strategy::ConnectAndClose;
    for _ in 0..clients {
        if let Some(stream) = attacker.connect(strategy) {
            attacker.count_input(strategy);
            if attacker.random.once_in(2) {
                reset(stream);
            }
        }
    }
}
