//! Which buffers are lent, as the models know it, and what they all do with a buffer.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use loom::thread::{self, JoinHandle};
use poolbuf::{AcquireError, Pool, PooledBuf};

use crate::explore::spawn_with;
use crate::pools::SIZE;

/// The buffers that are lent, kept outside the pool and outside loom.
#[derive(Clone, Default)]
pub(crate) struct Ledger(Arc<Mutex<HashSet<usize>>>);

impl Ledger {
    /// Enters a buffer; fails if it is lent already, or not empty.
    pub(crate) fn enter(&self, buf: &PooledBuf) {
        assert!(buf.is_empty());
        let lent_once = self.0.lock().unwrap().insert(buf.as_ptr() as usize);
        assert!(lent_once, "a buffer is lent twice");
    }

    /// Enters a buffer, fills it, lets others run, finds what it wrote, and gives it back.
    pub(crate) fn use_up(&self, mut buf: PooledBuf, id: u8) {
        self.enter(&buf);
        buf.extend_from_slice(&[id; SIZE]).unwrap();
        thread::yield_now();
        assert_eq!(buf[..], [id; SIZE], "another holder wrote here");
        self.give_back(buf);
    }

    /// `use_up`, of all of them at once.
    pub(crate) fn use_up_many(&self, mut bufs: Vec<PooledBuf>, id: u8) {
        for buf in &mut bufs {
            self.enter(buf);
            buf.extend_from_slice(&[id; SIZE]).unwrap();
        }
        thread::yield_now();
        for buf in bufs {
            assert_eq!(buf[..], [id; SIZE], "another holder wrote here");
            self.give_back(buf);
        }
    }

    pub(crate) fn give_back(&self, buf: PooledBuf) {
        self.0.lock().unwrap().remove(&(buf.as_ptr() as usize));
        drop(buf);
    }
}

/// Acquires and gives back, or is refused for the right reason.
pub(crate) fn one_round(pool: &impl Pool, ledger: &Ledger, id: u8) {
    match pool.acquire_for(SIZE) {
        Ok(buf) => ledger.use_up(buf, id),
        Err(AcquireError::Exhausted { .. }) => {}
        Err(error) => panic!("{error}"),
    }
}

/// `one_round` on a thread of its own.
pub(crate) fn round_elsewhere<P: Pool + Clone + 'static>(pool: &P, ledger: &Ledger, id: u8) -> JoinHandle<()> {
    spawn_with((pool.clone(), ledger.clone()), move |(pool, ledger)| {
        one_round(&pool, &ledger, id);
    })
}

/// All `max` buffers are free, all different, and there is no other.
pub(crate) fn assert_whole(pool: &impl Pool, max: usize) {
    let stats = pool.stats();
    assert_eq!(stats.in_use, 0);
    assert!(stats.high_water <= max && stats.total <= max);
    let ledger = Ledger::default();
    let held: Vec<_> = (0..max).map(|_| pool.acquire_for(SIZE).unwrap()).collect();
    held.iter().for_each(|buf| ledger.enter(buf));
    assert!(matches!(pool.acquire_for(SIZE), Err(AcquireError::Exhausted { .. })));
}
