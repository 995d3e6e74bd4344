//! Arbitrary sequences of operations on all four pools, against a model simple enough to be right.

use std::io::Write;
use std::ops::Range;

use poolbuf::{
    AcquireError, AlignedPool, BufferPool, LockFreePool, MultiSizeConfig, MultiSizePool, Overflow, Pool, PoolConfig,
    PooledBuf, Wipe,
};
use proptest::prelude::*;

/// What a user can do. Numbers that are too large for the state are taken modulo what there is.
#[derive(Clone, Debug)]
enum Step {
    Acquire { len: usize },
    Release { which: usize },
    Extend { which: usize, byte: u8, len: usize },
    FillSpare { which: usize, byte: u8, len: usize },
    PutSome { which: usize, byte: u8, len: usize },
    Resize { which: usize, byte: u8, len: usize },
    Commit { which: usize, len: usize },
    Truncate { which: usize, len: usize },
    Consume { which: usize, len: usize },
    Prepend { which: usize, byte: u8, len: usize },
    Compact { which: usize },
    Clear { which: usize },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let which = 0..8_usize;
    let len = prop_oneof![0..130_usize, Just(usize::MAX)];
    let step = prop_oneof![
        4 => len.clone().prop_map(|len| Step::Acquire { len }),
        3 => which.clone().prop_map(|which| Step::Release { which }),
        4 => (which.clone(), any::<u8>(), 0..130_usize)
            .prop_map(|(which, byte, len)| Step::Extend { which, byte, len }),
        2 => (which.clone(), any::<u8>(), 0..130_usize)
            .prop_map(|(which, byte, len)| Step::FillSpare { which, byte, len }),
        1 => (which.clone(), any::<u8>(), 0..130_usize)
            .prop_map(|(which, byte, len)| Step::PutSome { which, byte, len }),
        1 => (which.clone(), any::<u8>(), len.clone())
            .prop_map(|(which, byte, len)| Step::Resize { which, byte, len }),
        2 => (which.clone(), len.clone()).prop_map(|(which, len)| Step::Commit { which, len }),
        1 => (which.clone(), len.clone())
            .prop_map(|(which, len)| Step::Truncate { which, len }),
        2 => (which.clone(), len).prop_map(|(which, len)| Step::Consume { which, len }),
        2 => (which.clone(), any::<u8>(), 0..40_usize)
            .prop_map(|(which, byte, len)| Step::Prepend { which, byte, len }),
        1 => which.clone().prop_map(|which| Step::Compact { which }),
        1 => which.prop_map(|which| Step::Clear { which }),
    ];
    prop::collection::vec(step, 1..120)
}

/// One size of buffer: a pool of equal buffers is a single one.
#[derive(Clone, Copy, Debug)]
struct Tier {
    size: usize,
    headroom: usize,
    initial: usize,
    max: usize,
}

/// What a pool should be like.
struct Model {
    tiers: Vec<Tier>,
    overflow: Overflow,
    in_use: Vec<usize>,
    high_water: Vec<usize>,
    acquired: u64,
    refused: u64,
}

impl Model {
    fn new(tiers: Vec<Tier>, overflow: Overflow) -> Self {
        let none = vec![0; tiers.len()];
        Model {
            tiers,
            overflow,
            in_use: none.clone(),
            high_water: none,
            acquired: 0,
            refused: 0,
        }
    }

    /// The tier that a request is served from.
    fn acquire(&mut self, pool: &dyn Pool, len: usize) -> Result<usize, AcquireError> {
        let Some(home) = self.tiers.iter().position(|tier| tier.size >= len) else {
            return Err(AcquireError::TooLarge {
                pool: pool.name().into(),
                requested: len,
                max: self.tiers.last().unwrap().size,
            });
        };
        let reach = match self.overflow {
            Overflow::NextTier => 2,
            _ => 1,
        };
        let allowed = home..(home + reach).min(self.tiers.len());
        for tier in allowed.clone() {
            if self.in_use[tier] < self.tiers[tier].max {
                self.in_use[tier] += 1;
                self.high_water[tier] = self.high_water[tier].max(self.in_use[tier]);
                self.acquired += 1;
                return Ok(tier);
            }
        }
        self.refused += 1;
        let stats = pool.stats();
        let names = allowed
            .clone()
            .map(|tier| &*stats.tiers.get(tier).unwrap_or(&stats).name);
        let names: Vec<_> = names.collect();
        Err(AcquireError::Exhausted {
            pool: names.join(" and ").into(),
            in_use: allowed.clone().map(|tier| self.in_use[tier]).sum(),
            max: allowed.map(|tier| self.tiers[tier].max).sum(),
            first_wants: 0,
            held_by: None,
        })
    }
}

/// A guard, and what it should be like.
struct Held {
    buf: PooledBuf,
    tier: usize,
    /// The buffer with its headroom, as far as its bytes are this holder's own, which it may find again.
    memory: Vec<Option<u8>>,
    headroom: usize,
    /// The bytes that count as written.
    data: Range<usize>,
    /// Address of the first byte behind the headroom.
    address: usize,
}

impl Held {
    fn new(mut buf: PooledBuf, tier: usize, Tier { size, headroom, .. }: Tier) -> Self {
        Held {
            tier,
            memory: vec![None; headroom + size],
            headroom,
            data: headroom..headroom,
            address: buf.spare_mut_for(0).unwrap().as_ptr() as usize,
            buf,
        }
    }

    fn len(&self) -> usize {
        self.data.len()
    }

    /// What can be written behind the data.
    fn spare(&mut self) -> &mut [Option<u8>] {
        &mut self.memory[self.data.end..]
    }

    fn write(&mut self, byte: u8, len: usize) {
        self.spare()[..len].fill(Some(byte));
        self.data.end += len;
    }

    fn prepend(&mut self, byte: u8, len: usize) {
        self.data.start -= len;
        self.memory[self.data.start..][..len].fill(Some(byte));
    }

    /// Counts `len` more bytes as written, where the model knows what they are; it does not where they were
    /// never written, so there it looks.
    fn commit(&mut self, len: usize) {
        let from = self.len();
        self.data.end += len;
        let data = &mut self.memory[self.data.clone()];
        for (known, shown) in data.iter_mut().zip(&self.buf[..]).skip(from) {
            known.get_or_insert(*shown);
        }
    }

    fn consume(&mut self, len: usize) {
        self.data.start += len.min(self.len());
        self.begin_again_if_empty();
    }

    fn truncate(&mut self, len: usize) {
        self.data.end -= self.len().saturating_sub(len);
        self.begin_again_if_empty();
    }

    fn begin_again_if_empty(&mut self) {
        if self.data.is_empty() {
            self.data = self.headroom..self.headroom;
        }
    }

    fn compact(&mut self) {
        if self.data.start > self.headroom {
            self.memory.copy_within(self.data.clone(), self.headroom);
            self.data = self.headroom..self.headroom + self.len();
        }
    }

    /// Whether the guard is as it should be, and nothing but `compact` has moved its bytes.
    fn agrees(&self) -> Result<(), TestCaseError> {
        let Held { buf, memory, data, .. } = self;
        let bytes: Vec<_> = memory[data.clone()].iter().map(|byte| byte.unwrap()).collect();
        prop_assert_eq!(&buf[..], &bytes[..]);
        prop_assert_eq!(buf.as_ptr() as usize + self.headroom, self.address + data.start);
        // Of the headroom, what the data begin in counts.
        prop_assert_eq!(buf.capacity(), memory.len() - self.headroom.min(data.start));
        prop_assert_eq!((buf.headroom(), buf.spare_len()), (data.start, memory.len() - data.end));
        Ok(())
    }
}

/// Runs `steps` on `pool`; every buffer starts at a multiple of `alignment`.
fn agrees(pool: &dyn Pool, mut model: Model, alignment: usize, steps: Vec<Step>) -> Result<(), TestCaseError> {
    let mut held: Vec<Held> = Vec::new();
    for step in steps {
        let which = match step {
            Step::Acquire { len } => {
                let expected = model.acquire(pool, len);
                let got = pool.acquire_for(len);
                match (got, expected) {
                    (Ok(mut buf), Ok(tier)) => {
                        prop_assert_eq!(buf.capacity(), model.tiers[tier].size);
                        prop_assert!(buf.is_empty());
                        prop_assert_eq!(buf.spare_len(), buf.capacity());
                        prop_assert_eq!(buf.spare_mut_for(0).unwrap().as_ptr() as usize % alignment, 0);
                        held.push(Held::new(buf, tier, model.tiers[tier]));
                    }
                    (got, expected) => prop_assert_eq!(got.err(), expected.err()),
                }
                None
            }
            Step::Release { which } if !held.is_empty() => {
                let which = which % held.len();
                model.in_use[held[which].tier] -= 1;
                held.swap_remove(which);
                None
            }
            Step::Extend { which, .. }
            | Step::FillSpare { which, .. }
            | Step::PutSome { which, .. }
            | Step::Resize { which, .. }
            | Step::Commit { which, .. }
            | Step::Truncate { which, .. }
            | Step::Consume { which, .. }
            | Step::Prepend { which, .. }
            | Step::Compact { which }
            | Step::Clear { which }
                if !held.is_empty() =>
            {
                Some(which % held.len())
            }
            _ => None,
        };
        if let Some(which) = which {
            let one = &mut held[which];
            let spare = one.spare().len();
            match step {
                Step::Extend { byte, len, .. } => {
                    let extended = one.buf.extend_from_slice(&vec![byte; len]);
                    prop_assert_eq!(extended.is_ok(), len <= spare);
                    if len <= spare {
                        one.write(byte, len);
                    }
                }
                Step::FillSpare { byte, len, .. } => {
                    let filled = one.buf.spare_mut_for(len).map(|bytes| bytes.fill(byte));
                    prop_assert_eq!(filled.is_ok(), len <= spare);
                    if len <= spare {
                        one.spare()[..len].fill(Some(byte));
                    }
                }
                Step::PutSome { byte, len, .. } => {
                    let fits = len.min(spare);
                    prop_assert_eq!(one.buf.write(&vec![byte; len]).unwrap(), fits);
                    one.write(byte, fits);
                }
                Step::Resize { byte, len, .. } => {
                    let fits = len <= one.len() + spare;
                    prop_assert_eq!(one.buf.resize(len, byte).is_ok(), fits);
                    if fits {
                        let more = len.saturating_sub(one.len());
                        one.truncate(len);
                        one.write(byte, more);
                    }
                }
                Step::Commit { len, .. } => {
                    prop_assert_eq!(one.buf.commit(len).is_ok(), len <= spare);
                    if len <= spare {
                        one.commit(len);
                    }
                }
                Step::Truncate { len, .. } => {
                    one.buf.truncate(len);
                    one.truncate(len);
                }
                Step::Consume { len, .. } => {
                    one.buf.consume(len);
                    one.consume(len);
                }
                Step::Prepend { byte, len, .. } => {
                    let fits = len <= one.data.start;
                    prop_assert_eq!(one.buf.prepend(&vec![byte; len]).is_ok(), fits);
                    if fits {
                        one.prepend(byte, len);
                    }
                }
                Step::Compact { .. } => {
                    one.buf.compact();
                    one.compact();
                }
                Step::Clear { .. } => {
                    one.buf.clear();
                    one.truncate(0);
                }
                Step::Acquire { .. } | Step::Release { .. } => {}
            }
        }
        // All contents are intact, whatever happened to one of them.
        for one in &held {
            one.agrees()?;
        }
        let stats = pool.stats();
        prop_assert_eq!(stats.in_use, held.len());
        prop_assert_eq!(stats.available + stats.in_use, stats.total);
        prop_assert_eq!(stats.acquired, model.acquired);
        prop_assert_eq!(stats.refused, model.refused);
        prop_assert_eq!(stats.high_water, model.high_water.iter().sum::<usize>());
        let total = model.tiers.iter().zip(&model.high_water);
        let total = total.map(|(tier, &used)| tier.initial.max(used));
        prop_assert_eq!(stats.total, total.sum::<usize>());
    }
    held.clear();
    prop_assert_eq!(pool.stats().in_use, 0);
    Ok(())
}

fn wipe() -> impl Strategy<Value = Wipe> {
    prop_oneof![Just(Wipe::Never), Just(Wipe::OnRelease), Just(Wipe::Poison)]
}

/// None; so small that they are always empty or full; and what the pool decides.
fn magazine() -> impl Strategy<Value = usize> {
    prop_oneof![Just(0), Just(1), Just(2), Just(usize::MAX)]
}

/// None, or less or more than what is prepended at once.
fn headroom() -> impl Strategy<Value = usize> {
    prop_oneof![Just(0), 1..130_usize]
}

fn single(size: usize, headroom: usize, initial: usize, max: usize) -> Model {
    let tier = Tier {
        size,
        headroom,
        initial,
        max,
    };
    Model::new(vec![tier], Overflow::Refuse)
}

proptest! {
    #[test]
    fn buffer_pool(
        steps in steps(),
        wipe in wipe(),
        magazine in magazine(),
        size in 1..130_usize,
        headroom in headroom(),
        max in 1..16_usize,
        initial in 0..8_usize,
    ) {
        let initial = initial.min(max);
        let config = PoolConfig::new(size).headroom(headroom).initial(initial).max(max);
        let pool = BufferPool::with_config(config.wipe(wipe).magazine(magazine)).unwrap();
        agrees(&pool, single(size, headroom, initial, max), 16, steps)?;
    }

    #[test]
    fn aligned_pool(
        steps in steps(),
        size in 1..130_usize,
        headroom in headroom(),
        count in 1..8_usize,
        shift in 0..14_u32,
    ) {
        let alignment = 1 << shift;
        let config = PoolConfig::new(size).headroom(headroom).max(count).alignment(alignment);
        let pool = AlignedPool::with_config(config).unwrap();
        agrees(&pool, single(size, headroom, 0, count), alignment.max(64), steps)?;
    }

    #[test]
    fn lock_free_pool(
        steps in steps(),
        wipe in wipe(),
        size in 1..130_usize,
        headroom in headroom(),
    ) {
        let config = || PoolConfig::new(size).headroom(headroom).wipe(wipe);
        let one = LockFreePool::<1>::with_config(config()).unwrap();
        agrees(&one, single(size, headroom, 1, 1), 16, steps.clone())?;
        let five = LockFreePool::<5>::with_config(config().initial(2)).unwrap();
        agrees(&five, single(size, headroom, 2, 5), 16, steps.clone())?;
        // Several shards.
        let sixteen = LockFreePool::<16>::with_config(config()).unwrap();
        agrees(&sixteen, single(size, headroom, 16, 16), 16, steps)?;
    }

    #[test]
    fn multi_size_pool(
        steps in steps(),
        wipe in wipe(),
        magazine in magazine(),
        headroom in headroom(),
        tiers in prop::collection::btree_map(1..130_usize, (1..4_usize, 0..4_usize), 1..5),
        climb in any::<bool>(),
    ) {
        let overflow = if climb { Overflow::NextTier } else { Overflow::Refuse };
        let tiers: Vec<Tier> = tiers
            .into_iter()
            .map(|(size, (max, initial))| Tier { size, headroom, initial: initial.min(max), max })
            .collect();
        let config = MultiSizeConfig::new().overflow(overflow);
        let config = tiers
            .iter()
            .rev()
            .fold(config, |config, tier| {
                let Tier { size, headroom, initial, max } = *tier;
                let tier = PoolConfig::new(size).headroom(headroom).initial(initial).max(max);
                config.tier(tier.wipe(wipe).magazine(magazine))
            });
        let pool = MultiSizePool::with_config(config).unwrap();
        agrees(&pool, Model::new(tiers, overflow), 16, steps)?;
    }
}
