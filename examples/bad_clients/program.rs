//! The program: a server, a first attack to warm it up, the attack that counts, and what is looked at in between.
#![forbid(unsafe_code)]

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::attacker::Attacker;
use crate::checks::{self, Observed, State};
use crate::corpus::{self, Case};
use crate::good_player::{GoodPlayer, Played};
use crate::kind::Kind;
use crate::numbers::thousands;
use crate::random::Random;
use crate::report::{self, Report};
use crate::siege;
use crate::tally::Tally;
use crate::target::{LOOK, Target};

/// Descriptors that this process needs beside those of floods.
const DESCRIPTORS: u64 = 200;

/// How a server is attacked.
#[derive(Clone, Debug)]
pub(crate) struct Attack {
    /// In all; a quarter of it is the warm-up.
    pub(crate) duration: Duration,
    pub(crate) attackers: usize,
    /// The most connections of one attacker's flood.
    pub(crate) flood: usize,
    pub(crate) seed: u64,
    /// How long a server has for what it does without a hurry: to see that clients are gone, to answer when nobody
    /// else is there, to stop.
    pub(crate) patience: Duration,
    /// How long slow clients, as many as there are buffers, may keep the good player waiting after the attack; `None`
    /// leaves them out.
    pub(crate) siege: Option<Duration>,
}

impl Attack {
    pub(crate) fn for_seconds(duration: Duration) -> Attack {
        Attack {
            duration,
            attackers: 6,
            flood: 400,
            seed: 1,
            patience: Duration::from_secs(15),
            siege: Some(Duration::from_secs(15)),
        }
    }
}

/// Attacks the server of `command`, which is of that kind, and returns what was seen; `tell` gets lines on how far
/// it is. The error is a line for the user.
pub(crate) fn run(
    attack: &Attack,
    kind: Kind,
    command: Command,
    tell: &dyn Fn(&str),
) -> Result<Report, String> {
    let mut target = Target::start(command)?;
    let mut seeds = Random(attack.seed);

    let alone_before = alone(&target, attack, &mut seeds);
    let fresh = quiet(&mut target, attack, None);

    let warm_up = attack.duration / 4;
    assault(
        attack,
        kind,
        warm_up,
        &mut target,
        &mut seeds,
        &|second, tally, played, now| {
            let title = format!("{}, warm-up", kind.title());
            tell(&report::line(&title, second, tally, played, now));
        },
    );
    let warm = quiet(&mut target, attack, fresh.descriptors);

    let rest = attack.duration - warm_up;
    let (tally, played) = assault(
        attack,
        kind,
        rest,
        &mut target,
        &mut seeds,
        &|second, tally, played, now| {
            tell(&report::line(kind.title(), second, tally, played, now));
        },
    );
    let siege = attack.siege.map(|limit| {
        let clients = fresh.figures.map_or(0, |figures| figures.max);
        siege::waits(target.address(), clients, limit, &mut seeds)
    });
    let alone_after = alone(&target, attack, &mut seeds);
    let after = quiet(&mut target, attack, fresh.descriptors);

    let died = target.ended();
    let (last, status) = target.stop(attack.patience);
    let seen = Observed {
        tally,
        played,
        siege,
        alone: [alone_before, alone_after],
        fresh,
        warm,
        after,
        heard: target.heard(),
        died,
        last,
        status,
    };
    let faults = checks::faults(&seen);
    let title = format!(
        "{}, attacked for {:.1} s after a warm-up of {:.1} s, --seed {}",
        kind.title(),
        rest.as_secs_f64(),
        warm_up.as_secs_f64(),
        attack.seed
    );
    Ok(Report {
        title,
        seen,
        faults,
    })
}

/// Whether a good player is served who has the server for himself.
fn alone(target: &Target, attack: &Attack, seeds: &mut Random) -> Result<(), String> {
    let mut player = GoodPlayer::new(target.address(), seeds.next());
    player.try_all_sizes(attack.patience)
}

/// The server when it has seen that all clients are gone, or has had its time to: at most so many descriptors are
/// open then, and all buffers are back.
fn quiet(target: &mut Target, attack: &Attack, descriptors: Option<usize>) -> State {
    let deadline = Instant::now() + attack.patience;
    loop {
        let state = State {
            figures: target.figures(attack.patience),
            descriptors: target.descriptors(),
            resident: target.resident(),
        };
        let back = state.figures.is_some_and(|figures| figures.lost() == 0);
        let closed = match (descriptors, state.descriptors) {
            (Some(allowed), Some(open)) => open <= allowed,
            _ => true,
        };
        if (back && closed) || Instant::now() >= deadline || target.ended().is_some() {
            return state;
        }
        thread::sleep(LOOK);
    }
}

/// The attackers and the good player at once, for that long; `tell` is called every second.
fn assault(
    attack: &Attack,
    kind: Kind,
    duration: Duration,
    target: &mut Target,
    seeds: &mut Random,
    tell: &dyn Fn(u64, &Tally, Played, State),
) -> (Tally, Played) {
    let start = Instant::now();
    let end = start + duration;
    let stop = Arc::new(AtomicBool::new(false));
    let tally = Arc::new(Mutex::new(Tally::default()));
    let played = Mutex::new(Played::default());
    let corpus: Arc<[Case]> = corpus::cases().into();
    thread::scope(|scope| {
        for _ in 0..attack.attackers {
            let attacker = Attacker {
                server: target.address(),
                kind,
                random: Random(seeds.next()),
                end,
                stop: Arc::clone(&stop),
                flood: attack.flood,
                corpus: Arc::clone(&corpus),
                tally: Arc::clone(&tally),
            };
            scope.spawn(|| attacker.attack());
        }
        let mut player = GoodPlayer::new(target.address(), seeds.next());
        let (over, played) = (&stop, &played);
        scope.spawn(move || {
            let over = || Instant::now() >= end || over.load(Ordering::Relaxed);
            player.play(&over, &|so_far| *played.lock() = so_far);
        });

        let mut told = 0;
        while Instant::now() < end {
            if target.ended().is_some() {
                // Nothing is left to be attacked.
                stop.store(true, Ordering::Relaxed);
                return;
            }
            let second = start.elapsed().as_secs();
            if second > told {
                told = second;
                let now = State {
                    figures: None,
                    descriptors: target.descriptors(),
                    resident: target.resident(),
                };
                tell(second, &tally.lock().clone(), *played.lock(), now);
            }
            thread::sleep(LOOK);
        }
    });
    let tally = tally.lock().clone();
    (tally, played.into_inner())
}

/// Makes sure that this process may have the connections of all floods at once; the error is a line for the user.
pub(crate) fn raise_descriptors(attack: &Attack) -> Result<(), String> {
    let needed = (attack.attackers * attack.flood) as u64 + DESCRIPTORS;
    let limit = rlimit::increase_nofile_limit(needed)
        .map_err(|error| format!("cannot raise the limit of file descriptors: {error}"))?;
    check_descriptors(needed, limit)
}

/// Whether a limit of so many file descriptors will do.
pub(crate) fn check_descriptors(needed: u64, limit: u64) -> Result<(), String> {
    if limit >= needed {
        return Ok(());
    }
    Err(format!(
        "floods need {} file descriptors, and this process may have {} at most: raise the limit (ulimit -n {needed})",
        thousands(needed),
        thousands(limit),
    ))
}
