//! The figures of a server's pools, as the line in which its process tells them.
#![forbid(unsafe_code)]

use std::fmt;
use std::str::FromStr;

use poolbuf::PoolStats;

/// Of all pools of a server together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Figures {
    pub(crate) in_use: usize,
    pub(crate) available: usize,
    pub(crate) total: usize,
    pub(crate) max: usize,
    pub(crate) high_water: usize,
    pub(crate) acquired: u64,
}

impl Figures {
    pub(crate) fn of(pools: &[PoolStats]) -> Figures {
        Figures {
            in_use: pools.iter().map(|pool| pool.in_use).sum(),
            available: pools.iter().map(|pool| pool.available).sum(),
            total: pools.iter().map(|pool| pool.total).sum(),
            max: pools.iter().map(|pool| pool.max).sum(),
            high_water: pools.iter().map(|pool| pool.high_water).sum(),
            acquired: pools.iter().map(|pool| pool.acquired).sum(),
        }
    }

    /// Buffers that are not there when no client is.
    pub(crate) fn lost(&self) -> usize {
        self.in_use.max(self.total - self.available.min(self.total))
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {} {} {} {} {}",
            self.in_use, self.available, self.total, self.max, self.high_water, self.acquired
        )
    }
}

impl FromStr for Figures {
    type Err = String;

    fn from_str(line: &str) -> Result<Figures, String> {
        let numbers: Option<Vec<u64>> = line.split(' ').map(|word| word.parse().ok()).collect();
        match numbers.as_deref() {
            Some(&[in_use, available, total, max, high_water, acquired]) => Ok(Figures {
                in_use: in_use as usize,
                available: available as usize,
                total: total as usize,
                max: max as usize,
                high_water: high_water as usize,
                acquired,
            }),
            _ => Err(format!("{line:?} are no figures")),
        }
    }
}
