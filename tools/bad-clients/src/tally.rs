//! What the attackers did, by strategy.
#![forbid(unsafe_code)]

use crate::attacks::strategy::Strategy;

/// What came of one strategy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Bad inputs: what one client sent, or left out.
    pub inputs: u64,
    /// Connections that were made.
    pub connections: u64,
    /// Connections that could not be made: the server's queue was full, or there was no port left.
    pub not_connected: u64,
    /// Connections with a wrong answer.
    pub wrong: u64,
}

/// A count for each strategy.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    counts: [Count; Strategy::ALL.len()],
    /// What was sent when something wrong came back for the first time.
    pub first_wrong: Option<String>,
}

/// Bytes of an input that are shown.
const SHOWN: usize = 48;

impl Tally {
    pub fn of(&mut self, strategy: Strategy) -> &mut Count {
        &mut self.counts[strategy as usize]
    }

    /// Counts that something wrong came back to a client that sent `sent`.
    pub fn wrong(&mut self, strategy: Strategy, sent: &[u8]) {
        self.of(strategy).wrong += 1;
        self.first_wrong.get_or_insert_with(|| {
            let shown = &sent[..sent.len().min(SHOWN)];
            let shown: String = shown.iter().map(|byte| format!(" {byte:02x}")).collect();
            format!("{}, {} bytes:{shown}", strategy.name(), sent.len())
        });
    }

    pub fn counts(&self) -> impl Iterator<Item = (Strategy, Count)> + '_ {
        Strategy::ALL.into_iter().zip(self.counts)
    }

    pub fn total(&self) -> Count {
        let mut total = Count::default();
        for count in self.counts {
            total.inputs += count.inputs;
            total.connections += count.connections;
            total.not_connected += count.not_connected;
            total.wrong += count.wrong;
        }
        total
    }
}
