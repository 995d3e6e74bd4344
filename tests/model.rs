//! Arbitrary sequences of operations on all four pools, against a model simple enough to be right.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use poolbuf::{
    AcquireError, AlignedPool, BufferPool, LockFreePool, MultiSizeConfig, MultiSizePool, Overflow,
    Pool, PoolConfig, PooledBuf, Wipe,
};
use proptest::prelude::*;

/// What a user can do. Numbers that are too large for the state are taken modulo what there is.
#[derive(Clone, Debug)]
enum Step {
    Acquire {
        len: usize,
    },
    Release {
        which: usize,
    },
    Extend {
        which: usize,
        byte: u8,
        len: usize,
    },
    FillSpare {
        which: usize,
        byte: u8,
        len: usize,
    },
    PutSome {
        which: usize,
        byte: u8,
        len: usize,
    },
    Resize {
        which: usize,
        byte: u8,
        len: usize,
    },
    /// Of a writer that fails in the end, or panics, or does not.
    TryAppend {
        which: usize,
        byte: u8,
        len: usize,
        end: usize,
    },
    Commit {
        which: usize,
        len: usize,
    },
    Truncate {
        which: usize,
        len: usize,
    },
    Consume {
        which: usize,
        len: usize,
    },
    Clear {
        which: usize,
    },
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
        1 => (which.clone(), any::<u8>(), 0..130_usize, 0..3_usize)
            .prop_map(|(which, byte, len, end)| Step::TryAppend { which, byte, len, end }),
        2 => (which.clone(), len.clone()).prop_map(|(which, len)| Step::Commit { which, len }),
        1 => (which.clone(), len.clone())
            .prop_map(|(which, len)| Step::Truncate { which, len }),
        1 => (which.clone(), len).prop_map(|(which, len)| Step::Consume { which, len }),
        1 => which.prop_map(|which| Step::Clear { which }),
    ];
    prop::collection::vec(step, 1..120)
}

/// One size of buffer: a pool of equal buffers is a single one.
#[derive(Clone, Copy, Debug)]
struct Tier {
    size: usize,
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
        for tier in allowed {
            if self.in_use[tier] < self.tiers[tier].max {
                self.in_use[tier] += 1;
                self.high_water[tier] = self.high_water[tier].max(self.in_use[tier]);
                self.acquired += 1;
                return Ok(tier);
            }
        }
        self.refused += 1;
        let stats = pool.stats();
        Err(AcquireError::Exhausted {
            pool: stats.tiers.get(home).unwrap_or(&stats).name.clone(),
            in_use: self.in_use[home],
            max: self.tiers[home].max,
            held_by: None,
        })
    }
}

/// A guard, and what it should be like.
struct Held {
    buf: PooledBuf,
    tier: usize,
    /// The bytes that count as written.
    bytes: Vec<u8>,
    /// What the holder left behind them: its own bytes, which it may find again.
    behind: Vec<Option<u8>>,
}

impl Held {
    fn write(&mut self, byte: u8, len: usize) {
        self.bytes.extend(std::iter::repeat_n(byte, len));
        self.behind.drain(..len);
    }

    /// Counts `len` more bytes as written, where the model knows what they are; it does not where they were
    /// never written, so there it looks.
    fn commit(&mut self, len: usize) {
        let from = self.bytes.len();
        for (at, own) in (from..).zip(self.behind.drain(..len)) {
            self.bytes.push(own.unwrap_or(self.buf[at]));
        }
    }

    /// The rest moves to the front; behind it stays what was there.
    fn consume(&mut self, len: usize) {
        let rest = self.bytes.split_off(len.min(self.bytes.len()));
        let all = [std::mem::take(&mut self.bytes), rest.clone()].concat();
        let left_behind = all[rest.len()..].iter().map(|&byte| Some(byte));
        self.behind.splice(0..0, left_behind);
        self.bytes = rest;
    }

    fn truncate(&mut self, len: usize) {
        if len < self.bytes.len() {
            let cut = self.bytes.split_off(len);
            self.behind.splice(0..0, cut.into_iter().map(Some));
        }
    }
}

/// Runs `steps` on `pool`; every buffer starts at a multiple of `alignment`.
fn agrees(
    pool: &dyn Pool,
    mut model: Model,
    alignment: usize,
    steps: Vec<Step>,
) -> Result<(), TestCaseError> {
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
                        prop_assert_eq!(
                            buf.spare_mut_for(0).unwrap().as_ptr() as usize % alignment,
                            0
                        );
                        let behind = vec![None; buf.capacity()];
                        held.push(Held {
                            buf,
                            tier,
                            bytes: Vec::new(),
                            behind,
                        });
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
            | Step::TryAppend { which, .. }
            | Step::Commit { which, .. }
            | Step::Truncate { which, .. }
            | Step::Consume { which, .. }
            | Step::Clear { which }
                if !held.is_empty() =>
            {
                Some(which % held.len())
            }
            _ => None,
        };
        if let Some(which) = which {
            let one = &mut held[which];
            let spare = one.behind.len();
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
                        one.behind[..len].fill(Some(byte));
                    }
                }
                Step::PutSome { byte, len, .. } => {
                    let fits = len.min(spare);
                    prop_assert_eq!(one.buf.put_some(&vec![byte; len]), fits);
                    one.write(byte, fits);
                }
                Step::Resize { byte, len, .. } => {
                    let fits = len <= one.buf.capacity();
                    prop_assert_eq!(one.buf.resize(len, byte).is_ok(), fits);
                    if fits {
                        let more = len.saturating_sub(one.bytes.len());
                        one.truncate(len);
                        one.write(byte, more);
                    }
                }
                Step::TryAppend { byte, len, end, .. } => {
                    let result = catch_unwind(AssertUnwindSafe(|| {
                        one.buf.try_append(|buf| {
                            buf.put_some(&vec![byte; len]);
                            match end {
                                0 => Ok(7),
                                1 => Err("fails"),
                                _ => resume_unwind(Box::new(())),
                            }
                        })
                    }));
                    prop_assert_eq!(result.ok(), [Some(Ok(7)), Some(Err("fails")), None][end]);
                    let before = one.bytes.len();
                    one.write(byte, len.min(spare));
                    if end > 0 {
                        one.truncate(before);
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
                Step::Clear { .. } => {
                    one.buf.clear();
                    one.truncate(0);
                }
                Step::Acquire { .. } | Step::Release { .. } => {}
            }
        }
        // All contents are intact, whatever happened to one of them.
        for one in &held {
            prop_assert_eq!(&one.buf[..], &one.bytes[..]);
            prop_assert_eq!(one.buf.spare_len(), one.behind.len());
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

fn single(size: usize, initial: usize, max: usize) -> Model {
    Model::new(vec![Tier { size, initial, max }], Overflow::Refuse)
}

proptest! {
    #[test]
    fn buffer_pool(
        steps in steps(),
        wipe in wipe(),
        magazine in magazine(),
        size in 1..130_usize,
        max in 1..16_usize,
        initial in 0..8_usize,
    ) {
        let initial = initial.min(max);
        let config = PoolConfig::new(size).initial(initial).max(max).wipe(wipe);
        let pool = BufferPool::with_config(config.magazine(magazine)).unwrap();
        agrees(&pool, single(size, initial, max), 16, steps)?;
    }

    #[test]
    fn aligned_pool(
        steps in steps(),
        size in 1..130_usize,
        count in 1..8_usize,
        shift in 0..14_u32,
    ) {
        let alignment = 1 << shift;
        let pool = AlignedPool::with_alignment(size, count, alignment).unwrap();
        agrees(&pool, single(size, count, count), alignment.max(64), steps)?;
    }

    #[test]
    fn lock_free_pool(steps in steps(), wipe in wipe(), size in 1..130_usize) {
        let config = || PoolConfig::new(size).wipe(wipe);
        let one = LockFreePool::<1>::with_config(config()).unwrap();
        agrees(&one, single(size, 1, 1), 16, steps.clone())?;
        let five = LockFreePool::<5>::with_config(config().initial(2)).unwrap();
        agrees(&five, single(size, 2, 5), 16, steps.clone())?;
        // Several shards.
        let sixteen = LockFreePool::<16>::with_config(config()).unwrap();
        agrees(&sixteen, single(size, 16, 16), 16, steps)?;
    }

    #[test]
    fn multi_size_pool(
        steps in steps(),
        wipe in wipe(),
        magazine in magazine(),
        tiers in prop::collection::btree_map(1..130_usize, (1..4_usize, 0..4_usize), 1..5),
        climb in any::<bool>(),
    ) {
        let overflow = if climb { Overflow::NextTier } else { Overflow::Refuse };
        let tiers: Vec<Tier> = tiers
            .into_iter()
            .map(|(size, (max, initial))| Tier { size, initial: initial.min(max), max })
            .collect();
        let config = MultiSizeConfig::new().overflow(overflow);
        let config = tiers
            .iter()
            .rev()
            .fold(config, |config, tier| {
                let Tier { size, initial, max } = *tier;
                let tier = PoolConfig::new(size).initial(initial).max(max);
                config.tier(tier.wipe(wipe).magazine(magazine))
            });
        let pool = MultiSizePool::with_config(config).unwrap();
        agrees(&pool, Model::new(tiers, overflow), 16, steps)?;
    }
}
