//! Our pools beside what a user would take instead: allocators, other crates, and pools that are written in
//! ten minutes. Each is used as its documentation says, in the fastest way that makes sense, with its buffers
//! made beforehand and none of them zeroed if that can be avoided.
//!
//! `cargo bench -p poolbuf-peers` measures for half an hour and writes docs/peers.md, docs/charts/, the section `peers`
//! of docs/BENCHMARKS.md and that of README.md. Each binary measures ours, the floor and its own candidates in turn,
//! and all ratios are taken within one binary. `cargo bench -p poolbuf-peers --bench peers -- --render` writes the
//! report again from the figures of the last twelve hours.
//!
//! Each workload runs in three bodies: the guard in registers, passed by reference, and returned in a `Result`. What
//! the overviews show is *by reference*.
//!
//! With `POOLBUF_PEERS_BUSY=1` in the environment one process spins beside all that is measured: the busy state of a
//! machine, which `--bench peers` is enough for. The targets are shown in both states.
//!
//! Left out: commonware-runtime's buffer pool, which needs some 350 crates. Left out of what needs it: whatever
//! has guards that cannot leave their thread (sharded-slab's plain ones), and whatever never refuses.

mod candidates;
mod charts;
mod comparison;
mod figures;
mod measure;
mod neighbour;
mod options;
mod overview;
#[path = "../../common/page.rs"]
mod page;
mod report;
mod results;
mod strategy;
mod summary;
mod table;
mod targets;
mod threads;
mod workloads;

use std::time::SystemTime;

use neighbour::Neighbour;
use options::Options;

/// Which candidates a binary measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Set {
    /// All of them, under the system's allocator.
    Peers,
    /// `Vec`, under the allocator of the binary, beside ours and the floor.
    Allocator,
}

/// The whole of a binary: measures, stores and reports.
pub fn run(binary: &str, set: Set) {
    neighbour::spin_if_it_is_one();
    if measure::was_burst(set) {
        return;
    }
    let options = Options::from_arguments();
    if options.render {
        report::write().expect("the package can be written");
        return;
    }
    let began = SystemTime::now();
    let neighbour = options.busy.then(Neighbour::start);
    let neighbour = neighbour.transpose().expect("this program can be run");
    let mut figures = measure::all(binary, set, &options);
    drop(neighbour);
    figures.done(began);
    if options.plain {
        figures
            .store()
            .and_then(|()| report::write())
            .expect("the target directory and the package can be written");
    } else {
        report::print(figures);
    }
}
