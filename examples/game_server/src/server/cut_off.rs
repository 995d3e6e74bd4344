//! How many clients the time limit has cost their connection, by what it was that took too long.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use poolbuf_support::numbers::thousands;

/// What took longer than the time limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    /// A buffer was not to be had: the pool's fault.
    NoBuffer,
    /// A frame had begun, and did not become whole: the client's.
    FrameIncomplete,
    /// The client did not read its answer.
    AnswerUnread,
}

impl Limit {
    pub(crate) const ALL: [Limit; 3] = {
        use Limit::*;
        [NoBuffer, FrameIncomplete, AnswerUnread]
    };

    /// What the metrics call it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Limit::NoBuffer => "no_buffer",
            Limit::FrameIncomplete => "frame_incomplete",
            Limit::AnswerUnread => "answer_unread",
        }
    }
}

/// Clients that were cut off so far, of a running server.
#[derive(Default)]
pub(super) struct Counters([AtomicU64; 3]);

impl Counters {
    pub(super) fn count(&self, limit: Limit) {
        self.0[limit as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn now(&self) -> CutOff {
        CutOff(self.0.each_ref().map(|count| count.load(Ordering::Relaxed)))
    }
}

/// Clients that were cut off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CutOff([u64; 3]);

impl CutOff {
    #[cfg(test)]
    pub(crate) fn of(counts: [u64; 3]) -> CutOff {
        CutOff(counts)
    }

    pub(crate) fn by(self, limit: Limit) -> u64 {
        self.0[limit as usize]
    }

    pub(crate) fn total(self) -> u64 {
        self.0.iter().sum()
    }

    /// Those that were cut off after `earlier`, which is an older copy.
    pub(crate) fn since(self, earlier: CutOff) -> CutOff {
        CutOff(Limit::ALL.map(|limit| self.by(limit).saturating_sub(earlier.by(limit))))
    }
}

/// The reasons that there were: `no buffer for 2, frame not finished by 1`.
impl fmt::Display for CutOff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for limit in Limit::ALL {
            let count = match self.by(limit) {
                0 => continue,
                count => thousands(count),
            };
            let reason = match limit {
                Limit::NoBuffer => "no buffer for",
                Limit::FrameIncomplete => "frame not finished by",
                Limit::AnswerUnread => "answer not read by",
            };
            write!(f, "{separator}{reason} {count}")?;
            separator = ", ";
        }
        Ok(())
    }
}
