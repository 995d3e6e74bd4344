//! The three pools: one to receive into, one to send from, and one of small buffers, in which every frame begins.
//! Which kind the first two are is decided here, in one `match`; the rest of the server knows them as `dyn Pool`.

use std::sync::Arc;

use poolbuf::{
    AlignedPool, BufferPool, ConfigError, LockFreePool, MultiSizeConfig, MultiSizePool, Pool, PoolConfig, PoolStats,
};
use poolbuf_support::numbers::thousands;

use super::frame::{HEADER, MAX_FRAME, PAYLOADS};

/// The pools to choose from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PoolKind {
    Buffer,
    Aligned,
    LockFree,
    MultiSize,
}

impl PoolKind {
    pub(crate) const ALL: [PoolKind; 4] = {
        use PoolKind::*;
        [Buffer, Aligned, LockFree, MultiSize]
    };

    /// What the command line calls it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            PoolKind::Buffer => "buffer",
            PoolKind::Aligned => "aligned",
            PoolKind::LockFree => "lock-free",
            PoolKind::MultiSize => "multi-size",
        }
    }
}

/// Bytes that are received before it is known what comes: a header, and the payload of a control message.
pub(crate) const SMALL: usize = HEADER + PAYLOADS[0];

/// Most small buffers, and so connections: as many as a machine has ports. Address space only, as below.
const SMALL_BUFFERS: usize = 1 << 16;

/// The server's pools.
#[derive(Clone)]
pub(crate) struct Pools {
    /// For what every connection always has: a receive of the next frame's first bytes.
    pub(crate) headers: Arc<dyn Pool>,
    pub(crate) recv: Arc<dyn Pool>,
    pub(crate) send: Arc<dyn Pool>,
}

/// A `LockFreePool` has its size in its type, so there are two sizes of it: up to 1,024 players, and up
/// to 10,240.
const LOCK_FREE_SMALL: usize = 3 * 1024;
const LOCK_FREE_LARGE: usize = 3 * 10_240;

impl Pools {
    /// Pools for that many players, by the chapter's rule of at most 3 buffers a connection. Address space
    /// only: memory is taken up as buffers are first used, but for 64 that are there from the start.
    pub(crate) fn for_players(kind: PoolKind, players: usize) -> Result<Pools, String> {
        Pools::new(kind, 3 * players, 64)
    }

    /// Receive and send pools of at most `max` buffers each (multi-size: of each size), `initial` of them, if `max`
    /// allows so many, from the start. The error is a line for the user.
    pub(crate) fn new(kind: PoolKind, max: usize, initial: usize) -> Result<Pools, String> {
        let initial = initial.min(max);
        let small = PoolConfig::new(SMALL)
            .max(SMALL_BUFFERS)
            .initial(initial)
            .name("header pool");
        let headers = BufferPool::with_config(small).map_err(cannot_make("header pool"))?;
        Ok(Pools {
            headers: Arc::new(headers),
            recv: make(kind, "recv pool", max, initial)?,
            send: make(kind, "send pool", max, initial)?,
        })
    }

    pub(crate) fn stats(&self) -> Vec<PoolStats> {
        [&self.recv, &self.send, &self.headers].map(|pool| pool.stats()).into()
    }

    pub(crate) fn any_in_use(&self) -> bool {
        self.stats().iter().any(|pool| pool.in_use > 0)
    }
}

fn make(kind: PoolKind, name: &str, max: usize, initial: usize) -> Result<Arc<dyn Pool>, String> {
    // A buffer holds a whole frame, its header included.
    let config = PoolConfig::new(MAX_FRAME).initial(initial).name(name);
    let pool: Result<Arc<dyn Pool>, ConfigError> = match kind {
        PoolKind::Buffer => BufferPool::with_config(config.max(max)).map(shared),
        PoolKind::Aligned => AlignedPool::with_config(config.max(max)).map(shared),
        PoolKind::LockFree if max <= LOCK_FREE_SMALL => {
            LockFreePool::<LOCK_FREE_SMALL>::with_config(config).map(shared)
        }
        PoolKind::LockFree if max <= LOCK_FREE_LARGE => {
            LockFreePool::<LOCK_FREE_LARGE>::with_config(config).map(shared)
        }
        PoolKind::LockFree => {
            return Err(format!(
                "--pool lock-free serves at most {} players, since a LockFreePool's size is part of \
                 its type: choose fewer --players or another --pool",
                thousands(LOCK_FREE_LARGE as u64 / 3)
            ));
        }
        PoolKind::MultiSize => {
            let tiers = PAYLOADS.into_iter().fold(MultiSizeConfig::new(), |tiers, payload| {
                tiers.tier(PoolConfig::new(HEADER + payload).initial(initial).max(max))
            });
            MultiSizePool::with_config(tiers.name(name)).map(shared)
        }
    };
    pool.map_err(cannot_make(name))
}

fn cannot_make(name: &str) -> impl Fn(ConfigError) -> String + '_ {
    move |error| format!("cannot make the {name}: {error}")
}

fn shared(pool: impl Pool + 'static) -> Arc<dyn Pool> {
    Arc::new(pool)
}
