//! Changing the max of a pool, against what it should then be.
#![forbid(unsafe_code)]

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
    tier.resize(|max| {
        let wanted = random.between(0, tier.reserve + 1);
        let result = pool.set_max(wanted);
        let expected = match (1..=tier.reserve).contains(&wanted) {
            true => Ok(max),
            false => Err((wanted, tier.reserve)),
        };
        let result = result.map_err(|error| (error.requested, error.reserve));
        assert_eq!(result, expected, "{name} with a max of {max}");
        let after = if expected.is_ok() { wanted } else { max };
        assert_eq!(entry.pool.max(number), after, "{name}");
        after
    });
}
