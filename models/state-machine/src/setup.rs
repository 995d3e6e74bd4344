//! Which pools there are, and how they are configured: chosen by arbitrary bytes, and always valid.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use arbitrary::Arbitrary;
use poolbuf::{
    AlignedPool, Budget, BufferPool, LockFreePool, MultiSizeConfig, MultiSizePool, Overflow, PoolConfig, Wipe,
};

use crate::any_pool::AnyPool;

/// Three pools, whose tiers may share budgets.
#[derive(Arbitrary, Clone, Debug)]
pub(crate) struct Setup {
    pools: [PoolSetup; 3],
    /// Bytes beyond those of the largest buffer, of each budget that there is.
    budgets: [Option<u16>; 2],
    /// In the end, the handles of the pools go before the guards.
    pub(crate) handles_go_first: bool,
}

#[derive(Arbitrary, Clone, Debug)]
struct PoolSetup {
    kind: Kind,
    /// Of which all but the multi-size pool have the first only.
    tiers: [TierSetup; 3],
    wipe: WipeSetup,
    magazine: Magazine,
    track_holders: bool,
    decay: bool,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Kind {
    Buffer,
    Aligned { shift: u8 },
    LockFree { buffers: Buffers },
    MultiSize { climb: bool, reserve: u8 },
}

/// How many buffers a lock-free pool has: what is a constant there.
#[derive(Arbitrary, Clone, Copy, Debug)]
enum Buffers {
    One,
    Five,
    /// In two shards.
    Sixteen,
    /// In eight.
    SixtyFour,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
struct TierSetup {
    size: u8,
    initial: u8,
    max: u8,
    reserve: u8,
    budget: BudgetChoice,
    waiting: Waiting,
}

/// Mostly the same for all, so that it is shared.
#[derive(Arbitrary, Clone, Copy, Debug)]
struct BudgetChoice(u8);

/// How many requests may wait: mostly any number; few; none, since the pool is not made to be waited for.
#[derive(Arbitrary, Clone, Copy, Debug)]
struct Waiting(u8);

#[derive(Arbitrary, Clone, Copy, Debug)]
enum WipeSetup {
    Never,
    OnRelease,
    Secure,
    Poison,
}

/// None; so small that they are always empty or full; and what the pool decides.
#[derive(Arbitrary, Clone, Copy, Debug)]
enum Magazine {
    None,
    One,
    Two,
    Any,
}

/// Buffers of one size: a pool of equal buffers is a single tier.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tier {
    pub(crate) size: usize,
    pub(crate) initial: usize,
    pub(crate) max: usize,
    /// What `max` can be raised to; `None` if it can't be changed.
    pub(crate) reserve: Option<usize>,
    pub(crate) wipe: Wipe,
    pub(crate) alignment: usize,
    pub(crate) track_holders: bool,
    /// The number of the budget that it is charged to.
    pub(crate) budget: Option<usize>,
    /// Requests that may wait at most; `None` if it is not waited for.
    pub(crate) waiting: Option<usize>,
}

impl Setup {
    /// Few buffers, and budgets that are soon used up; two of the pools have several sizes, of which a request may take
    /// the next.
    pub(crate) fn contended(mut self) -> Self {
        for pool in &mut self.pools[1..] {
            pool.kind = Kind::MultiSize {
                climb: true,
                reserve: 4,
            };
        }
        for tier in self.pools.iter_mut().flat_map(|pool| &mut pool.tiers) {
            tier.max %= 3;
            // So that several fit, and a few of them are all.
            tier.size = 20 + tier.size % 40;
        }
        for budget in &mut self.budgets {
            *budget = Some(budget.unwrap_or(0) % 200);
        }
        self
    }

    /// The budgets that the tiers share.
    pub(crate) fn budgets(&self) -> Vec<Budget> {
        let tiers = self.tiers().into_iter().flatten();
        let largest = tiers.map(|tier| tier.size).max().unwrap();
        let limit = |more: &u16| largest + usize::from(*more) % (3 * largest);
        let budgets = self.budgets.iter().flatten().map(limit);
        budgets.map(Budget::new).collect()
    }

    /// The tiers of each pool, smallest first.
    pub(crate) fn tiers(&self) -> Vec<Vec<Tier>> {
        let budgets = self.budgets.iter().flatten().count();
        let tiers = |pool: &PoolSetup| pool.tiers(budgets);
        self.pools.iter().map(tiers).collect()
    }

    /// Whether a request that finds its tier of the pool empty may be served by the next.
    pub(crate) fn climbs(&self, pool: usize) -> bool {
        matches!(self.pools[pool].kind, Kind::MultiSize { climb: true, .. })
    }

    /// What the pool is called, by default; the name of a tier begins with it.
    pub(crate) fn name(&self, pool: usize) -> &'static str {
        match self.pools[pool].kind {
            Kind::Buffer => "buffer pool",
            Kind::Aligned { .. } => "aligned pool",
            Kind::LockFree { .. } => "lock-free pool",
            Kind::MultiSize { .. } => "multi-size pool",
        }
    }

    /// The pools themselves.
    pub(crate) fn build(&self, budgets: &[Budget]) -> Vec<Box<dyn AnyPool>> {
        self.pools.iter().map(|pool| pool.build(budgets)).collect()
    }
}

impl fmt::Display for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "handles go first: {}", self.handles_go_first)?;
        for (number, budget) in self.budgets().iter().enumerate() {
            writeln!(f, "budget {number}: {}", budget.stats().limit)?;
        }
        for (number, tiers) in self.tiers().into_iter().enumerate() {
            let pool = &self.pools[number];
            let (kind, magazine, decay) = (pool.kind, pool.magazine, pool.decay);
            writeln!(f, "pool {number}: {kind:?}, magazine: {magazine:?}, decay: {decay}")?;
            for tier in tiers {
                writeln!(f, "  {tier:?}")?;
            }
        }
        Ok(())
    }
}

impl PoolSetup {
    /// Where there are so many budgets.
    fn tiers(&self, budgets: usize) -> Vec<Tier> {
        let plain = |setup: &TierSetup, reserve: Option<usize>| {
            let max = 1 + usize::from(setup.max) % 6;
            let reserve = reserve.unwrap_or(usize::from(setup.reserve) % 12);
            Tier {
                size: size(setup.size),
                initial: usize::from(setup.initial) % (max + 1),
                max,
                reserve: Some(max.max(reserve)),
                wipe: self.wipe(),
                alignment: 16,
                track_holders: self.track_holders,
                budget: setup.budget.of(budgets),
                waiting: setup.waiting.at_most(),
            }
        };
        let single = plain(&self.tiers[0], None);
        match self.kind {
            Kind::Buffer => vec![single],
            Kind::Aligned { shift } => vec![Tier {
                alignment: alignment(shift).max(64),
                ..single
            }],
            Kind::LockFree { buffers } => {
                let max = match buffers {
                    Buffers::One => 1,
                    Buffers::Five => 5,
                    Buffers::Sixteen => 16,
                    Buffers::SixtyFour => 64,
                };
                vec![Tier {
                    initial: usize::from(self.tiers[0].initial) % (max + 1),
                    max,
                    reserve: None,
                    // Else it lends fewer at once.
                    waiting: single.waiting.or(Some(0)),
                    ..single
                }]
            }
            Kind::MultiSize { reserve, .. } => {
                let reserve = usize::from(reserve) % 12;
                let tiers = self.tiers.iter().map(|setup| plain(setup, Some(reserve)));
                // Of two with the same size the later one stays.
                let by_size: BTreeMap<usize, Tier> = tiers.map(|tier| (tier.size, tier)).collect();
                by_size.into_values().collect()
            }
        }
    }

    fn wipe(&self) -> Wipe {
        match self.wipe {
            WipeSetup::Never => Wipe::Never,
            WipeSetup::OnRelease => Wipe::OnRelease,
            WipeSetup::Secure => Wipe::Secure,
            WipeSetup::Poison => Wipe::Poison,
        }
    }

    fn build(&self, budgets: &[Budget]) -> Box<dyn AnyPool> {
        let magazine = match self.magazine {
            Magazine::None => 0,
            Magazine::One => 1,
            Magazine::Two => 2,
            Magazine::Any => usize::MAX,
        };
        let config = |tier: &Tier| {
            let mut config = PoolConfig::new(tier.size)
                .initial(tier.initial)
                .max(tier.max)
                .reserve(tier.reserve.unwrap_or(tier.max))
                .wipe(tier.wipe)
                .magazine(magazine)
                .track_holders(tier.track_holders)
                .waiting(tier.waiting.is_some());
            if let Some(most) = tier.waiting {
                config = config.max_waiting(most);
            }
            if let Some(budget) = tier.budget {
                config = config.budget(&budgets[budget]);
            }
            if self.decay {
                // So short that a generation has ended whenever the pool looks.
                config = config.decay(Duration::from_nanos(1));
            }
            config
        };
        let tiers = self.tiers(budgets.len());
        if let Kind::MultiSize { climb, .. } = self.kind {
            let overflow = match climb {
                true => Overflow::NextTier,
                false => Overflow::Refuse,
            };
            // The largest first: the order is the pool's own affair.
            let tiers = tiers.iter().rev().map(config);
            let config = tiers.fold(MultiSizeConfig::new(), MultiSizeConfig::tier);
            return Box::new(MultiSizePool::with_config(config.overflow(overflow)).unwrap());
        }
        let config = config(&tiers[0]);
        match self.kind {
            Kind::Buffer | Kind::MultiSize { .. } => Box::new(BufferPool::with_config(config).unwrap()),
            Kind::Aligned { shift } => {
                let config = config.alignment(alignment(shift));
                Box::new(AlignedPool::with_config(config).unwrap())
            }
            Kind::LockFree { buffers } => match buffers {
                Buffers::One => Box::new(LockFreePool::<1>::with_config(config).unwrap()),
                Buffers::Five => Box::new(LockFreePool::<5>::with_config(config).unwrap()),
                Buffers::Sixteen => Box::new(LockFreePool::<16>::with_config(config).unwrap()),
                Buffers::SixtyFour => Box::new(LockFreePool::<64>::with_config(config).unwrap()),
            },
        }
    }
}

impl BudgetChoice {
    /// One of `budgets`, if there are any; often the first, now and then none.
    fn of(self, budgets: usize) -> Option<usize> {
        match self.0 {
            0..=159 => Some(0),
            160..=223 => Some(1),
            224..=255 => None,
        }
        .filter(|budget| *budget < budgets)
    }
}

impl Waiting {
    fn at_most(self) -> Option<usize> {
        match self.0 {
            0..=191 => Some(usize::MAX),
            few @ 192..=239 => Some(usize::from(few) % 6),
            240..=255 => None,
        }
    }
}

/// Mostly small buffers, which fill up; some that take up pages, which trimming gives back.
fn size(choice: u8) -> usize {
    match choice {
        small @ 0..=229 => 1 + usize::from(small),
        230..=239 => 2048,
        240..=247 => 4096,
        248..=255 => 5000,
    }
}

fn alignment(shift: u8) -> usize {
    1 << (shift % 14)
}
