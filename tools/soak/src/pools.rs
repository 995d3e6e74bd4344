//! Every pool, made at random: sizes, magazines, wiping and all else that can be set.
#![forbid(unsafe_code)]

use std::sync::Arc;
use std::time::Duration;

use poolbuf::{
    AlignedPool, BufferPool, ConfigError, LockFreePool, MultiSizeConfig, MultiSizePool, Overflow, PoolConfig, Wipe,
};

use crate::any_pool::AnyPool;
use crate::ledger::{Account, Features, Ledger};
use crate::recycled::RecycledPool;
use poolbuf_support::random::Random;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Buffer,
    Aligned,
    LockFree,
    MultiSize(Overflow),
    Recycled,
}

impl Kind {
    pub(crate) const ALL: [Kind; 6] = [
        Kind::Buffer,
        Kind::Aligned,
        Kind::LockFree,
        Kind::MultiSize(Overflow::Refuse),
        Kind::MultiSize(Overflow::NextTier),
        Kind::Recycled,
    ];
}

/// A pool, and what is known of it from outside.
pub(crate) struct Entry {
    pub(crate) pool: Arc<dyn AnyPool>,
    pub(crate) ledger: Arc<Ledger>,
}

/// Bytes a buffer: mostly few, since every one of them is written and looked at.
const SIZES: [usize; 8] = [1, 64, 64, 100, 512, 512, 2048, 10_000];
/// Bytes of the budget that pools share: not enough for all that they have.
pub(crate) const BUDGET: usize = 24_000;
/// Buffers of a roomy pool.
const ROOMY: usize = 64;
/// Most buffers that the max of any other pool can be raised to.
const TIGHT: usize = 12;
const WIPES: [Wipe; 4] = [Wipe::Never, Wipe::OnRelease, Wipe::Secure, Wipe::Poison];

/// What is chosen for a pool of any kind.
struct Choice {
    wipe: Wipe,
    magazine: Option<usize>,
    decay: Option<Duration>,
    tracked: bool,
    roomy: bool,
    max_waiting: Option<usize>,
    account: Option<Arc<Account>>,
}

impl Choice {
    fn new(account: &Arc<Account>, random: &mut Random) -> Choice {
        let roomy = random.once_in(4);
        let with_budget = !roomy && random.once_in(3);
        let decays = [Duration::ZERO, Duration::from_millis(1)];
        Choice {
            wipe: random.choose(&WIPES),
            magazine: random.choose(&[Some(0), Some(1), Some(2), None, None]),
            decay: random.once_in(4).then(|| random.choose(&decays)),
            tracked: random.once_in(4),
            roomy,
            max_waiting: (!roomy && random.once_in(4)).then(|| random.choose(&[0, 1, 3])),
            account: with_budget.then(|| Arc::clone(account)),
        }
    }

    /// Max and reserve.
    fn counts(&self, random: &mut Random) -> (usize, usize) {
        if self.roomy {
            return (ROOMY, ROOMY);
        }
        let max = random.between(1, TIGHT);
        (max, random.between(max, TIGHT))
    }

    fn config(&self, (size, max, reserve): (usize, usize, usize), initial: usize) -> PoolConfig {
        let mut config = PoolConfig::new(size)
            .max(max)
            .reserve(reserve)
            .initial(initial)
            .wipe(self.wipe)
            .track_holders(self.tracked);
        if let Some(magazine) = self.magazine {
            config = config.magazine(magazine);
        }
        if let Some(decay) = self.decay {
            config = config.decay(decay);
        }
        if let Some(most) = self.max_waiting {
            config = config.max_waiting(most);
        }
        if let Some(account) = &self.account {
            config = config.budget(&account.budget);
        }
        config
    }
}

/// Opens a pool of that kind, the `number`th of the run.
pub(crate) fn open(kind: Kind, number: u64, account: &Arc<Account>, random: &mut Random) -> Result<Entry, ConfigError> {
    let mut choice = Choice::new(account, random);
    let size = random.choose(&SIZES);
    let (max, reserve) = choice.counts(random);
    let initial = random.between(0, max);
    let mut tiers = vec![(size, max, reserve)];
    let mut alignment = 16;
    let pool: Arc<dyn AnyPool> = match kind {
        Kind::Buffer => Arc::new(BufferPool::with_config(choice.config(tiers[0], initial))?),
        Kind::Aligned => {
            alignment = random.choose(&[64, 64, 512, 4096]);
            let config = choice.config(tiers[0], initial).alignment(alignment);
            Arc::new(AlignedPool::with_config(config)?)
        }
        Kind::LockFree => {
            let max = match choice.roomy {
                true => ROOMY,
                false => random.choose(&[1, 3, 8]),
            };
            tiers[0] = (size, max, max);
            let config = choice.config(tiers[0], initial.min(max));
            // Its max is its type.
            match max {
                1 => Arc::new(LockFreePool::<1>::with_config(config)?),
                3 => Arc::new(LockFreePool::<3>::with_config(config)?),
                8 => Arc::new(LockFreePool::<8>::with_config(config)?),
                _ => Arc::new(LockFreePool::<ROOMY>::with_config(config)?),
            }
        }
        Kind::MultiSize(overflow) => {
            tiers = [size, 3 * size, 8 * size.min(500)]
                .into_iter()
                .map(|size| {
                    let (max, _) = choice.counts(random);
                    (size, max, max.max(reserve))
                })
                .collect();
            tiers.sort_unstable();
            tiers.dedup_by_key(|(size, ..)| *size);
            let largest = tiers.last().map_or(0, |(size, ..)| *size);
            if largest > BUDGET {
                choice.account = None;
            }
            let config = MultiSizeConfig::new().overflow(overflow);
            let config = tiers.iter().fold(config, |config, &(size, max, reserve)| {
                config.tier(choice.config((size, max, reserve), max / 2))
            });
            Arc::new(MultiSizePool::with_config(config)?)
        }
        Kind::Recycled => {
            // What it lends are boxes of bytes.
            alignment = 1;
            choice.wipe = Wipe::Never;
            choice.tracked = false;
            choice.max_waiting = None;
            choice.account = None;
            tiers[0] = (size, max, max);
            Arc::new(RecycledPool::new(size, max))
        }
    };
    let ledger = Arc::new(Ledger::new(Features {
        name: describe(kind, number, &choice, &tiers),
        tiers,
        next_tier: kind == Kind::MultiSize(Overflow::NextTier),
        alignment,
        wipe: choice.wipe,
        waits: kind != Kind::Recycled,
        numbered: kind != Kind::Recycled,
        roomy: choice.roomy,
        tracked: choice.tracked,
        max_waiting: choice.max_waiting,
        account: choice.account,
    }));
    Ok(Entry { pool, ledger })
}

/// What messages call the pool.
fn describe(kind: Kind, number: u64, choice: &Choice, tiers: &[(usize, usize, usize)]) -> String {
    let mut text = format!("{kind:?} pool {number} of");
    for (size, max, reserve) in tiers {
        text.push_str(&format!(" {max} (at most {reserve}) × {size} bytes"));
    }
    text.push_str(&format!(", {:?}", choice.wipe));
    if kind != Kind::LockFree && kind != Kind::Recycled {
        match choice.magazine {
            Some(magazine) => text.push_str(&format!(", magazines of {magazine}")),
            None => text.push_str(", magazines"),
        }
    }
    if let Some(most) = choice.max_waiting {
        text.push_str(&format!(", {most} wait at most"));
    }
    for (chosen, word) in [
        (choice.decay.is_some(), ", decay"),
        (choice.tracked, ", tracked"),
        (choice.account.is_some(), ", budget"),
        (choice.roomy, ", roomy"),
    ] {
        if chosen {
            text.push_str(word);
        }
    }
    text
}
