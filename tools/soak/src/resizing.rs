//! Changing the max of a pool, against what it should then be.
#![forbid(unsafe_code)]

use std::sync::atomic::Ordering::Relaxed;

use poolbuf::ResizeError;

use crate::pools::Entry;
use poolbuf_support::random::Random;

/// Changes the max of one of the pool's sizes, if it can be and is meant to be.
pub(crate) fn resize(entry: &Entry, random: &mut Random) {
    let ledger = &entry.ledger;
    let number = random.below(ledger.tiers.len());
    let (tier, name) = (&ledger.tiers[number], ledger.name());
    let Some(pool) = entry.pool.resizable(number) else {
        return;
    };
    if ledger.features.roomy {
        return;
    }
    ledger.resized.store(true, Relaxed);
    tier.resize(|max| {
        let reserve = tier.reserve;
        let above = |requested| Err(ResizeError::AboveReserve { requested, reserve });
        let none_left = |shrink_by| Err(ResizeError::NoneLeft { max, shrink_by });
        let by = random.below(4);
        let (result, expected, after) = match random.below(3) {
            0 => {
                let wanted = random.between(0, reserve + 1);
                let expected = match wanted {
                    0 => none_left(max),
                    wanted if wanted > reserve => above(wanted),
                    _ => Ok(max),
                };
                (pool.set_max(wanted), expected, wanted)
            }
            1 => {
                let after = max + by;
                let expected = match after > reserve {
                    true => above(after),
                    false => Ok(after),
                };
                (pool.grow(by), expected, after)
            }
            _ => {
                let after = max.saturating_sub(by);
                let expected = match after {
                    0 => none_left(by),
                    after => Ok(after),
                };
                (pool.shrink(by), expected, after)
            }
        };
        assert_eq!(result, expected, "{name} with a max of {max}");
        let after = if expected.is_ok() { after } else { max };
        assert_eq!(entry.pool.max(number), after, "{name}");
        after
    });
}
