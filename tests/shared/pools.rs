//! Every pool of this crate, for what all of them promise.
#![forbid(unsafe_code)]

use std::sync::Arc;

use poolbuf::{AlignedPool, BufferPool, LockFreePool, MultiSizeConfig, MultiSizePool, Pool, PoolConfig};

/// Every pool as `config` says, with `MAX` buffers each; those with magazines once for each length of these in
/// `magazines`, where `usize::MAX` stands for what the pool decides.
pub(crate) fn every_pool<const MAX: usize>(config: &PoolConfig, magazines: &[usize]) -> Vec<Arc<dyn Pool>> {
    let config = config.clone().max(MAX);
    let lock_free = LockFreePool::<MAX>::with_config(config.clone());
    let mut pools: Vec<Arc<dyn Pool>> = vec![Arc::new(lock_free.unwrap())];
    for &magazine in magazines {
        let config = config.clone().magazine(magazine);
        let tiers = MultiSizeConfig::new().tier(config.clone());
        pools.push(Arc::new(BufferPool::with_config(config.clone()).unwrap()));
        pools.push(Arc::new(AlignedPool::with_config(config).unwrap()));
        pools.push(Arc::new(MultiSizePool::with_config(tiers).unwrap()));
    }
    pools
}
