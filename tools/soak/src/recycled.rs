//! A pool on a [`Recycler`]: boxes of its own, which it lends as guards.
#![forbid(unsafe_code)]

use parking_lot::Mutex;
use poolbuf::{AcquireError, Holders, Name, Pool, PoolStats, PooledBuf, Recycle, Recycler};

/// See the module. It does not wait.
#[derive(Clone, Debug)]
pub(crate) struct RecycledPool {
    recycler: Recycler<Store>,
}

struct Store {
    name: Name,
    size: usize,
    max: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Each with how many of its bytes may be an earlier holder's.
    free: Vec<(Box<[u8]>, usize)>,
    in_use: usize,
    acquired: u64,
    refused: u64,
    closed: bool,
}

impl Recycle for Store {
    fn recycle(&self, memory: Box<[u8]>, dirty: usize) {
        assert_eq!(memory.len(), self.size, "memory of another size came back");
        assert!(dirty <= self.size);
        let mut state = self.state.lock();
        state.in_use -= 1;
        state.free.push((memory, dirty));
    }
}

impl RecycledPool {
    pub(crate) fn new(size: usize, max: usize) -> Self {
        RecycledPool {
            recycler: Recycler::new(Store {
                name: "recycled pool".into(),
                size,
                max,
                state: Mutex::default(),
            }),
        }
    }

    pub(crate) fn max(&self) -> usize {
        self.recycler.get_ref().max
    }
}

impl Pool for RecycledPool {
    fn acquire_for(&self, len: usize) -> Result<PooledBuf, AcquireError> {
        let store = self.recycler.get_ref();
        let pool = store.name.clone();
        if len > store.size {
            return Err(AcquireError::TooLarge {
                pool,
                requested: len,
                max: store.size,
            });
        }
        let mut state = store.state.lock();
        if state.closed {
            return Err(AcquireError::Closed { pool });
        }
        if state.in_use == store.max {
            state.refused += 1;
            return Err(AcquireError::Exhausted {
                pool,
                in_use: state.in_use,
                max: store.max,
                first_wants: 0,
                held_by: None,
            });
        }
        state.in_use += 1;
        state.acquired += 1;
        let free = state.free.pop();
        drop(state);
        let (memory, dirty) = free.unwrap_or_else(|| (vec![0; store.size].into(), 0));
        let lent = self.recycler.lend(memory, dirty);
        Ok(lent.expect("far below the 4 GiB that a guard can hold"))
    }

    fn name(&self) -> &str {
        &self.recycler.get_ref().name
    }

    fn close(&self) -> Holders {
        self.recycler.get_ref().state.lock().closed = true;
        self.holders()
    }

    fn trim(&self) -> usize {
        let free = std::mem::take(&mut self.recycler.get_ref().state.lock().free);
        free.iter().map(|(memory, _)| memory.len()).sum()
    }

    fn max_len(&self) -> usize {
        self.recycler.get_ref().size
    }

    fn stats(&self) -> PoolStats {
        let store = self.recycler.get_ref();
        let state = store.state.lock();
        let mut stats = PoolStats::default();
        stats.name = store.name.clone();
        stats.buffer_size = store.size;
        stats.max = store.max;
        stats.in_use = state.in_use;
        stats.available = state.free.len();
        stats.total = state.free.len() + state.in_use;
        stats.acquired = state.acquired;
        stats.refused = state.refused;
        stats
    }
}
