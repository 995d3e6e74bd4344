//! Buffers acquired, released, handed to other threads, and left in the magazines of threads that end.

use poolbuf::AcquireError;
use shuttle::sync::mpsc::{Receiver, Sender, channel};
use shuttle::thread::{self, JoinHandle};

use crate::explore::{choose, join, pause};
use crate::ledger::{Held, Ledger, assert_whole};
use crate::pools::{AnyPool, SIZE, on_each_pool};

const THREADS: u8 = 5;
const ROUNDS: u8 = 4;

/// Acquires, releases, hands over and is handed, as the schedule chooses. What is left goes when the thread ends.
fn take_part(pool: &impl AnyPool, ledger: &Ledger, id: u8, inbox: &Receiver<Held>, next: &Sender<Held>) {
    let mut kept: Vec<Held> = Vec::new();
    for _ in 0..ROUNDS {
        kept.extend(inbox.try_recv().ok());
        if let Some(mut held) = ledger.enter(pool.acquire_for(SIZE)) {
            held.write(id);
            kept.push(held);
        }
        match choose(4) {
            0 => drop(kept.pop()),
            1 => kept.clear(),
            2 => {
                if let Some(mut held) = kept.pop() {
                    held.write(id);
                    // A thread that has ended drops it with its inbox.
                    let _ = next.send(held);
                }
            }
            _ => {}
        }
    }
    // Releases several at once, which fills a magazine, and ends.
    kept.clear();
}

/// Threads in a ring, each of which hands buffers to the next.
fn start_ring(pool: &impl AnyPool, ledger: &Ledger) -> Vec<JoinHandle<()>> {
    let (senders, inboxes): (Vec<_>, Vec<_>) = (0..THREADS).map(|_| channel()).unzip();
    let rings = inboxes.into_iter().enumerate();
    rings
        .map(|(id, inbox)| {
            let next = senders[(id + 1) % senders.len()].clone();
            let (pool, ledger) = (pool.clone(), ledger.clone());
            thread::spawn(move || take_part(&pool, &ledger, id as u8, &inbox, &next))
        })
        .collect()
}

/// Five threads, four buffers: everything comes back, also from threads that have ended.
fn threads_hand_on<P: AnyPool>(pool: P) {
    let ledger = Ledger::default();
    join(start_ring(&pool, &ledger));
    assert_whole(&pool, &ledger, 4);
}
on_each_pool!(threads_hand_on, 4);

/// As above, while the pool is closed at some time.
fn close_meanwhile<P: AnyPool>(pool: P) {
    let ledger = Ledger::default();
    let threads = start_ring(&pool, &ledger);
    let last = ledger.enter(pool.acquire_for(SIZE));
    pause(20);
    pool.close();
    assert!(matches!(pool.acquire(), Err(AcquireError::Closed { .. })));
    drop(last);
    join(threads);
    assert!(matches!(pool.acquire(), Err(AcquireError::Closed { .. })));
    let stats = pool.stats();
    assert_eq!((stats.in_use, stats.waiting), (0, 0), "{stats:?}");
    assert_eq!(stats.acquired, ledger.served(), "{stats:?}");
}
on_each_pool!(close_meanwhile, 4);

/// Half of the threads end with full magazines before the other half, which then needs all buffers, begins.
fn threads_end_and_others_begin<P: AnyPool>(pool: P) {
    let ledger = Ledger::default();
    let hoard = |id: u8| {
        let (pool, ledger) = (pool.clone(), ledger.clone());
        move || {
            let all: Vec<_> = (0..4).filter_map(|_| ledger.enter(pool.acquire_for(SIZE))).collect();
            pause(2);
            drop(all);
            let one = ledger.enter(pool.acquire_for(SIZE));
            if let Some(mut held) = one {
                held.write(id);
            }
        }
    };
    let first: Vec<_> = (0..3).map(|id| thread::spawn(hoard(id))).collect();
    pause(10);
    let second: Vec<_> = (3..6).map(|id| thread::spawn(hoard(id))).collect();
    join(first);
    hoard(6)();
    join(second);
    assert_whole(&pool, &ledger, 4);
}
on_each_pool!(threads_end_and_others_begin, 4);
