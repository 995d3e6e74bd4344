//! What the attackers did, by strategy.
#![forbid(unsafe_code)]

use crate::strategy::Strategy;

/// What came of one strategy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Count {
    /// Bad inputs: what one client sent, or left out.
    pub(crate) inputs: u64,
    /// Connections that were made.
    pub(crate) connections: u64,
    /// Connections that could not be had: the server's queue was full, or there was no port left.
    pub(crate) not_connected: u64,
    /// Connections on which something else came back than must.
    pub(crate) wrong: u64,
}

/// A count for each strategy.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally([Count; Strategy::ALL.len()]);

impl Tally {
    pub(crate) fn of(&mut self, strategy: Strategy) -> &mut Count {
        &mut self.0[strategy as usize]
    }

    pub(crate) fn counts(&self) -> impl Iterator<Item = (Strategy, Count)> + '_ {
        Strategy::ALL.into_iter().zip(self.0)
    }

    pub(crate) fn total(&self) -> Count {
        let mut total = Count::default();
        for count in self.0 {
            total.inputs += count.inputs;
            total.connections += count.connections;
            total.not_connected += count.not_connected;
            total.wrong += count.wrong;
        }
        total
    }
}
