//! The program: a server, a first attack to warm it up, the attack that counts, and what is looked at in between.
#![forbid(unsafe_code)]

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use poolbuf_support::random::Random;

use crate::attacks::Attacker;
use crate::checks::{self, Observed, State};
use crate::good_player::{GoodPlayer, Played};
use crate::inputs::corpus::{self, Case};
use crate::report::{self, Report};
use crate::servers::Kind;
use crate::siege;
use crate::tally::Tally;
use crate::target::{LOOK, Target, TargetError};

/// Descriptors that this process needs beside those of floods.
const DESCRIPTORS: u64 = 200;

/// How a server is attacked.
#[derive(Clone, Debug)]
pub struct Attack {
    /// In all; a quarter of it is the warm-up.
    pub duration: Duration,
    pub attackers: usize,
    /// The most connections of one attacker's flood.
    pub flood: usize,
    pub seed: u64,
    /// How long a server has for what it does without a hurry: to see that clients are gone, to answer a client
    /// that is alone, to stop.
    pub patience: Duration,
    /// How long slow clients, as many as there are buffers, may keep the good player waiting after the attack; `None`
    /// leaves them out.
    pub siege: Option<Duration>,
}

impl Attack {
    pub fn for_seconds(duration: Duration) -> Attack {
        Attack {
            duration,
            attackers: 6,
            flood: 400,
            seed: 1,
            patience: Duration::from_secs(15),
            siege: Some(Duration::from_secs(15)),
        }
    }

    /// Descriptors that this process needs, with the connections of all floods at once.
    pub fn descriptors(&self) -> u64 {
        (self.attackers * self.flood) as u64 + DESCRIPTORS
    }
}

/// Attacks the server of `command`, which is of that kind, and returns what was seen; `tell` gets lines on how far
/// it is.
pub fn run(attack: &Attack, kind: Kind, command: Command, tell: &dyn Fn(&str)) -> Result<Report, TargetError> {
    let mut target = Target::start(kind, command)?;
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
        let clients = fresh.figures.map_or(0, |figures| figures.max as usize);
        siege::waits(target.address(), clients, limit, &mut seeds)
    });
    let alone_after = alone(&target, attack, &mut seeds);
    let after = quiet(&mut target, attack, fresh.descriptors);

    let died = target.ended();
    let status = target.stop(attack.patience);
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
    Ok(Report { title, seen, faults })
}

/// Whether a good player that is alone with the server is served.
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
        let back = state.figures.is_some_and(|figures| figures.in_use == 0);
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
