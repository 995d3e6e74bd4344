//! The program: rounds in which all threads do what they like, and a balance after each.
#![forbid(unsafe_code)]

use std::process;
use std::thread;
use std::time::{Duration, Instant};

use crate::actions::{Action, Tally};
use crate::balance;
use crate::gate::Gate;
use crate::ledger::Account;
use crate::memory::Memory;
use crate::options::Options;
use crate::pools::{BUDGET, Kind};
use crate::shelf::Shelf;
use crate::watchdog::{Progress, Watchdog};
use crate::worker::{Common, Worker};
use poolbuf_support::numbers::{mebibytes, thousands};
use poolbuf_support::output::{complain, print};
use poolbuf_support::random::Random;
use poolbuf_support::usage::resident_bytes;

/// How long a round takes.
const ROUND: Duration = Duration::from_secs(1);

/// What came of it. A check that failed has ended the program before.
pub(crate) struct Outcome {
    pub(crate) rounds: u64,
    pub(crate) took: Duration,
    pub(crate) lost: usize,
    pub(crate) memory: Memory,
}

/// Runs as `options` say; `status` is what the program ends with when a thread makes no progress.
pub fn run(options: &Options, status: i32) -> bool {
    let (threads, seconds) = (options.threads, options.duration.as_secs());
    let seed = options.seed;
    print(&format!("{threads} threads, {seconds} s, seed {seed}"));
    let mut random = Random(seed);
    let common = Common {
        shelf: Shelf::new(Account::new(BUDGET), &mut random),
        gate: Gate::new(threads),
        tally: Tally::new(),
    };
    // One more for the one that begins rounds.
    let watchdog = Watchdog::new(threads + 1);
    let outcome = thread::scope(|scope| {
        let mut handles = vec![scope.spawn(|| watchdog.watch(seed, status))];
        for progress in &watchdog.threads[..threads] {
            let worker = Worker::new(&common, progress, random.fork());
            handles.push(scope.spawn(move || worker.run()));
        }
        let outcome = conduct(options, &common, &watchdog.threads[threads], &mut random);
        common.gate.end();
        watchdog.end();
        // The end of the scope is not seen by the thread sanitizer. A panic would have ended the program.
        for handle in handles {
            let _ = handle.join();
        }
        outcome
    });
    report(options, &common, &outcome)
}

fn conduct(options: &Options, common: &Common, progress: &Progress, random: &mut Random) -> Outcome {
    let start = Instant::now();
    let end = start + options.duration;
    let mut outcome = Outcome {
        rounds: 0,
        took: Duration::ZERO,
        lost: 0,
        memory: Memory::default(),
    };
    common.gate.wait_for_rest();
    while Instant::now() < end && outcome.lost == 0 {
        common.gate.begin(end.min(Instant::now() + ROUND));
        common.gate.wait_for_rest();
        progress.begin(Action::Look, None);
        outcome.rounds += 1;
        outcome.lost += balance::check(&common.shelf, random);
        // The others go on into the next round, with all their figures.
        for _ in 0..random.below(Kind::ALL.len()) {
            drop(common.shelf.replace(random));
        }
        let resident = resident_bytes(process::id());
        if let Some(resident) = resident {
            outcome.memory.sample(resident);
        }
        print(&format!(
            "round {}: {} operations, {} pools opened, {} buffers lost, {} resident",
            outcome.rounds,
            thousands(common.tally.total()),
            thousands(common.shelf.opened()),
            outcome.lost,
            resident.map_or_else(|| "?".to_owned(), mebibytes),
        ));
        progress.rest();
    }
    outcome.took = start.elapsed();
    outcome
}

/// Says how it went; whether it went well.
fn report(options: &Options, common: &Common, outcome: &Outcome) -> bool {
    print("");
    for (name, count) in common.tally.by_kind() {
        print(&format!("{:>16}  {name}", thousands(count)));
    }
    print("");
    print(&format!(
        "{} operations of {} threads in {} rounds, {:.1?}, seed {}",
        thousands(common.tally.total()),
        options.threads,
        outcome.rounds,
        outcome.took,
        options.seed,
    ));
    print(&format!(
        "{} pools opened, {} buffers lost",
        thousands(common.shelf.opened()),
        outcome.lost,
    ));
    if let Some((first, last)) = outcome.memory.first_and_last() {
        print(&format!(
            "resident {} at most after the first rounds, {} at least after the last",
            mebibytes(first),
            mebibytes(last),
        ));
    }
    let mut problems = Vec::new();
    if outcome.lost > 0 {
        problems.push(format!("{} buffers are lost", outcome.lost));
    }
    problems.extend(outcome.memory.problem(options.threads));
    for problem in &problems {
        complain(&format!("{problem} (seed {})", options.seed));
    }
    problems.is_empty()
}
