//! What must hold when all threads are at rest: no buffer is lent, none is lost, and the figures are those that the
//! threads counted.
#![forbid(unsafe_code)]

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use poolbuf::{AcquireError, PoolStats};

use crate::held::Guard;
use crate::ledger::{How, Ledger};
use crate::pools::Entry;
use crate::requests::request;
use crate::shelf::{Retired, Shelf};
use poolbuf_support::output::complain;
use poolbuf_support::random::Random;

/// Looks at all pools. Returns how many buffers are lost.
pub(crate) fn check(shelf: &Shelf, random: &mut Random) -> usize {
    let mut lost = budget_is_whole(shelf);
    for entry in shelf.entries() {
        lost += nothing_is_out(&entry);
        lost += all_can_be_lent(&entry, random);
        // What the requests of this balance came to is in the ledger too.
        lost += nothing_is_out(&entry);
    }
    for retired in shelf.take_retired() {
        match retired {
            Retired::Dropped(ledger) => ledger_is_clear(&ledger),
            Retired::Closed(entry) => {
                lost += nothing_is_out(&entry);
                stays_closed(&entry, random);
            }
        }
    }
    lost + budget_is_whole(shelf)
}

/// Returns 1 if some bytes of the budget are still lent.
fn budget_is_whole(shelf: &Shelf) -> usize {
    let budget = &shelf.account.budget;
    let stats = budget.stats();
    assert_eq!(stats.waiting, 0, "a request waits for the budget: {stats}");
    let refused = shelf.account.refused.load(Relaxed);
    assert_eq!(stats.refused, refused, "refused by the budget: {stats}");
    let ended = stats.granted + stats.timed_out + stats.abandoned;
    assert!(ended <= stats.waits && stats.high_water <= stats.limit, "{stats:?}");
    if budget.lent() == 0 {
        return 0;
    }
    complain(&format!("{} bytes of the budget are lost", budget.lent()));
    1
}

/// By the ledger no buffer is lent. If one is, this program is wrong.
fn ledger_is_clear(ledger: &Ledger) {
    for tier in &ledger.tiers {
        assert_eq!((tier.lent(), tier.claims()), (0, 0), "{}", ledger.name());
    }
}

/// Returns how many buffers did not come back.
fn nothing_is_out(entry: &Entry) -> usize {
    ledger_is_clear(&entry.ledger);
    let name = entry.ledger.name();
    let stats = entry.pool.stats();
    assert_eq!(stats.waiting, 0, "a request waits at {name}: {stats:?}");
    assert_eq!(stats.available, stats.total - stats.in_use, "{name}: {stats:?}");
    let out = entry.pool.holders().outstanding();
    assert_eq!(out, stats.in_use, "holders of {name}: {stats:?}");
    figures_agree(&entry.ledger, &stats);
    if stats.in_use > 0 {
        complain(&format!("{name}: {} buffers are lost: {stats:?}", stats.in_use));
    }
    stats.in_use
}

/// The pool counts each request once, and as what it came to. One whose waker panicked may have been dropped before it
/// waited. What was granted to a request that was dropped counts as lent.
fn figures_agree(ledger: &Ledger, stats: &PoolStats) {
    let name = ledger.name();
    let counted = [
        (&ledger.refused, stats.refused, "refused"),
        (&ledger.timed_out, stats.timed_out, "late"),
    ];
    for (requests, figure, ending) in counted {
        let requests = requests.load(Relaxed);
        assert_eq!(requests, figure, "{ending} at {name}: {stats:?}");
    }
    let served = ledger.served.load(Relaxed);
    let perhaps = served + ledger.perhaps_granted.load(Relaxed);
    assert!(
        (served..=perhaps).contains(&stats.acquired),
        "{served} to {perhaps} were lent at {name}: {stats:?}"
    );
    let abandoned = ledger.abandoned.load(Relaxed);
    let perhaps = abandoned + ledger.perhaps_abandoned.load(Relaxed);
    assert!(
        (abandoned..=perhaps).contains(&stats.abandoned),
        "{abandoned} to {perhaps} were abandoned at {name}: {stats:?}"
    );
    let over_budget = ledger.over_budget.load(Relaxed);
    let most = match ledger.features.account {
        Some(_) => over_budget + stats.timed_out + stats.abandoned,
        None => 0,
    };
    assert!(
        (over_budget..=most).contains(&stats.over_budget),
        "{over_budget} were over budget at {name}: {stats:?}"
    );
    // The others were served, each with one buffer or many, or told that the pool is closed or never lends so many.
    let in_vain = stats.timed_out + stats.abandoned;
    assert!(in_vain <= stats.waits, "{name}: {stats:?}");
    assert!(in_vain < stats.waits || stats.handed_over == 0, "{name}: {stats:?}");
}

/// Lends all that there is. Returns how many buffers that should be there are not.
fn all_can_be_lent(entry: &Entry, random: &mut Random) -> usize {
    let ledger = &entry.ledger;
    let name = ledger.name();
    let mut held: Vec<Guard> = Vec::new();
    let mut lent_bytes = 0;
    let mut lost = 0;
    // The largest first: where these may serve in place of smaller ones, none is left to do so.
    for (number, tier) in ledger.tiers.iter().enumerate().rev() {
        let max = tier.max();
        assert_eq!(entry.pool.max(number), max, "{name}");
        let mut missing = 0;
        for _ in 0..max {
            let Some(request) = ledger.begin(tier.size, How::Now) else {
                panic!("{name} has more buffers than are asked for");
            };
            let result = entry.pool.acquire_for(tier.size);
            match &result {
                Err(AcquireError::Exhausted { .. }) => {
                    ledger.count(&result);
                    ledger.cancel(&request);
                    missing += 1;
                }
                Err(AcquireError::OverBudget { budget, .. }) => {
                    assert!(lent_bytes + tier.size > *budget, "{name}: {result:?}");
                    ledger.count(&result);
                    // Of the smaller ones another may fit.
                    break;
                }
                _ => {
                    held.extend(Guard::of_request(ledger, &request, result, random));
                    lent_bytes += tier.size;
                }
            }
        }
        if missing > 0 {
            complain(&format!("{name}: {missing} of {max} can't be lent: lost"));
            lost += missing;
        } else if tier.lent() == max {
            one_more_is_refused(entry, number, max);
        }
    }
    let stats = entry.pool.stats();
    assert_eq!(stats.in_use, held.len(), "{name}: {stats:?}");
    let holders = entry.pool.holders();
    assert_eq!(holders.outstanding(), held.len(), "{name}: {holders}");
    let tracked = ledger.features.tracked;
    assert_eq!(holders.lines().is_empty(), !tracked, "{name}: {holders}");
    if let Some(account) = &ledger.features.account {
        assert_eq!(account.budget.lent(), lent_bytes, "{name}");
    }
    let mut places: Vec<_> = held.iter().map(Guard::place).collect();
    places.sort_unstable();
    for pair in places.windows(2) {
        let ((first, size), (second, _)) = (pair[0], pair[1]);
        assert!(first + size <= second, "two buffers of {name} overlap");
    }
    held.iter().for_each(Guard::verify);
    lost
}

/// All `max` buffers of a size are lent.
fn one_more_is_refused(entry: &Entry, number: usize, max: usize) {
    let (ledger, name) = (&entry.ledger, entry.ledger.name());
    let size = ledger.tiers[number].size;
    let refused = entry.pool.acquire_for(size);
    ledger.count(&refused);
    match refused {
        Err(AcquireError::Exhausted {
            in_use,
            max: of,
            held_by,
            ..
        }) => {
            // Where the next size may serve too, both speak; of that one all are lent already, or all bytes.
            let next = ledger.tiers.get(number + 1);
            let both = next.map_or(max, |next| max + next.max());
            let expected = [max, both].contains(&of);
            let one_speaks = of == max || ledger.features.next_tier;
            assert!(in_use == of && expected && one_speaks, "{name}: {in_use} of {of}");
            assert_eq!(held_by.is_some(), ledger.features.tracked, "{name}");
        }
        // Where the budget lacks as well, that is what the request is told.
        Err(AcquireError::OverBudget { lent, budget, .. })
            if ledger.features.account.is_some() && lent + size > budget => {}
        other => panic!("{name} lends more than its max of {max}: {other:?}"),
    }
    if ledger.features.waits {
        let late = entry.pool.acquire_timeout(size, Duration::ZERO);
        ledger.count(&late);
        let expected = match ledger.features.max_waiting {
            Some(0) => matches!(late, Err(AcquireError::TooManyWaiting { waiting: 0, .. })),
            _ => matches!(late, Err(AcquireError::TimedOut { .. })),
        };
        assert!(expected, "{name}: {late:?}");
    }
}

/// Whatever it is asked, it says that it is closed; the ledger allows nothing else.
fn stays_closed(entry: &Arc<Entry>, random: &mut Random) {
    let size = entry.ledger.max_len();
    assert!(entry.ledger.is_closed());
    for how in [How::Now, How::Within(Duration::MAX), How::Polled] {
        let served = request(entry, size, how, random);
        assert!(served.is_none(), "{}", entry.ledger.name());
    }
}
