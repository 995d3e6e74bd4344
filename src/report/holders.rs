//! What holds the buffers that are out: the line of code that acquired each of them, and when.
#![forbid(unsafe_code)]

use std::cmp::Reverse;
use std::collections::HashMap;
use std::fmt;
use std::panic::Location;
use std::time::Duration;

use crate::base::sync::{Instant, Mutex};
use crate::base::units::{Ago, Buffers};
use crate::memory::{OutOfMemory, vec_for};

/// The line of code that acquires.
pub(crate) type Caller = &'static Location<'static>;

/// What a pool with [`PoolConfig::track_holders`](crate::PoolConfig::track_holders) knows of the buffers that are
/// out, grouped by the line of code that acquired them, the line that holds most first: what
/// [`Pool::holders`](crate::Pool::holders) and closing a pool return.
///
/// `Display` is a table for a log:
///
/// ```
/// use poolbuf::{BufferPool, Pool, PoolConfig};
///
/// let pool = BufferPool::with_config(PoolConfig::new(64).max(10).track_holders(true))?;
/// let _many: Vec<_> = (0..3).map(|_| pool.acquire()).collect::<Result<_, _>>()?;
/// let _one = pool.acquire()?;
///
/// let holders = pool.holders();
/// assert_eq!(holders.outstanding(), 4);
/// assert_eq!(holders.lines()[0].buffers(), 3);
/// println!("{holders}"); // 3 acquired at src/main.rs:5:38, the oldest 1.2ms ago …
///
/// // At a dead end the error says where to look.
/// let _rest: Vec<_> = std::iter::from_fn(|| pool.acquire().ok()).collect();
/// assert!(pool.acquire().unwrap_err().to_string().contains("acquired at"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Holders {
    outstanding: usize,
    lines: Vec<Holder>,
}

/// The buffers that are out and were acquired by one line of code. Part of [`Holders`], where the example is, and of
/// [`HeldBy`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holder {
    location: &'static Location<'static>,
    buffers: usize,
    age: Duration,
}

impl Holders {
    /// Buffers that are out, in all: also where the pool does not track what holds them.
    #[must_use]
    pub fn outstanding(&self) -> usize {
        self.outstanding
    }

    /// The lines that hold them, the one that holds most first; empty where the pool does not track them.
    #[must_use]
    pub fn lines(&self) -> &[Holder] {
        &self.lines
    }

    /// Of a pool that tracks nothing.
    pub(crate) fn untracked(outstanding: usize) -> Self {
        Holders {
            outstanding,
            lines: Vec::new(),
        }
    }

    /// Those of several pools together.
    pub(crate) fn merge(parts: impl Iterator<Item = Holders>) -> Self {
        let mut outstanding = 0;
        let lines = parts.flat_map(|part| {
            outstanding += part.outstanding;
            part.lines
        });
        let lines = group(lines);
        Holders { outstanding, lines }
    }
}

/// One holder for each line of code, the one with most buffers first.
fn group(holders: impl Iterator<Item = Holder>) -> Vec<Holder> {
    let mut lines: HashMap<_, Holder> = HashMap::new();
    for holder in holders {
        let line = lines.entry(holder.location).or_insert(Holder { buffers: 0, ..holder });
        line.buffers += holder.buffers;
        line.age = line.age.max(holder.age);
    }
    let mut lines: Vec<_> = lines.into_values().collect();
    lines.sort_by_key(|line| (Reverse((line.buffers, line.age)), line.location));
    lines
}

impl Holder {
    /// The line.
    #[must_use]
    pub fn location(&self) -> &'static Location<'static> {
        self.location
    }

    /// How many of the buffers that are out it acquired.
    #[must_use]
    pub fn buffers(&self) -> usize {
        self.buffers
    }

    /// How long ago it acquired the one of them that is out longest.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.age
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} acquired at {}, the oldest {}",
            self.buffers,
            self.location,
            Ago(self.age)
        )
    }
}

/// One line of text for each line of code.
impl fmt::Display for Holders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.lines.is_empty() {
            let are = if self.outstanding == 1 { "is" } else { "are" };
            return write!(f, "{} {are} out", Buffers(self.outstanding));
        }
        for (number, line) in self.lines.iter().enumerate() {
            if number > 0 {
                writeln!(f)?;
            }
            write!(f, "{line}")?;
        }
        Ok(())
    }
}

/// What holds the buffers of an exhausted pool: part of
/// [`AcquireError::Exhausted`](crate::AcquireError::Exhausted), and so of what a wait in vain ends with, where the pool
/// [tracks](crate::PoolConfig::track_holders) that. `Display` names the line of code that holds most of them and how
/// many, and the one that has held one longest and how long. For all of them, and an example, see [`Holders`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldBy {
    most: Holder,
    oldest: Holder,
}

impl HeldBy {
    /// The line of code that holds most.
    #[must_use]
    pub fn most(&self) -> &Holder {
        &self.most
    }

    /// The line of code that has held a buffer longest.
    #[must_use]
    pub fn oldest(&self) -> &Holder {
        &self.oldest
    }

    /// What holds the buffers of two tiers.
    pub(crate) fn and(self, other: HeldBy) -> HeldBy {
        let most = if self.most.location == other.most.location {
            Holder {
                buffers: self.most.buffers + other.most.buffers,
                age: self.most.age.max(other.most.age),
                ..self.most
            }
        } else if self.most.buffers >= other.most.buffers {
            self.most
        } else {
            other.most
        };
        let oldest = if self.oldest.age >= other.oldest.age {
            self.oldest
        } else {
            other.oldest
        };
        HeldBy { most, oldest }
    }
}

impl fmt::Display for HeldBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let HeldBy { most, oldest } = self;
        write!(f, "{} of them acquired at {}, the oldest ", most.buffers, most.location)?;
        if oldest.location != most.location {
            write!(f, "at {} ", oldest.location)?;
        }
        write!(f, "{}", Ago(oldest.age))
    }
}

/// Remembers what acquired each buffer. A lock for each, which is contended only while the whole is asked for.
pub(crate) struct Tracker {
    entries: Box<[Mutex<Option<Entry>>]>,
    /// What the last refusal found, if the buffers are many.
    found: Mutex<Option<Found>>,
}

#[derive(Clone, Copy)]
struct Entry {
    caller: Caller,
    since: Instant,
}

/// What a look at all buffers found.
#[derive(Clone, Copy)]
struct Found {
    held_by: Option<HeldBy>,
    since: Instant,
    took: Duration,
}

/// Of a pool with no more buffers than this a refusal always says what is so now: to look at them all takes less than a
/// tenth of a millisecond. It is a number, not a time: a thread that lost its core while it looked would seem slow.
const FEW: usize = 1024;
/// Of a larger pool, what a refusal found is told to further refusals too, for so many times as long as it took to
/// find: so looking takes a fiftieth of the time at most, however many are refused.
const KEPT: u32 = 50;

impl Tracker {
    /// For that many buffers.
    pub(crate) fn new(buffers: u32) -> Result<Self, OutOfMemory> {
        let mut entries = vec_for(buffers as usize)?;
        entries.extend((0..buffers).map(|_| Mutex::new(None)));
        Ok(Tracker {
            entries: entries.into(),
            found: Mutex::new(None),
        })
    }

    /// The buffer is lent to `caller`.
    pub(crate) fn enter(&self, buffer: u32, caller: Caller) {
        let since = Instant::now();
        *self.entries[buffer as usize].lock() = Some(Entry { caller, since });
    }

    /// The buffer has come back.
    pub(crate) fn remove(&self, buffer: u32) {
        *self.entries[buffer as usize].lock() = None;
    }

    /// Looks at each buffer in turn, while others acquire and release.
    pub(crate) fn holders(&self) -> Holders {
        // One moment for all, or else those that are looked at last would seem older.
        let now = Instant::now();
        let entries = self.entries.iter().filter_map(|entry| *entry.lock());
        let lines = group(entries.map(|entry| Holder {
            location: entry.caller,
            buffers: 1,
            age: now.saturating_duration_since(entry.since),
        }));
        Holders {
            outstanding: lines.iter().map(Holder::buffers).sum(),
            lines,
        }
    }

    /// The line that holds most, and the one that has held one longest: now, or a moment ago where the buffers are
    /// many.
    pub(crate) fn held_by(&self) -> Option<HeldBy> {
        if self.entries.len() <= FEW {
            return self.look();
        }
        let found = *self.found.lock();
        if let Some(found) = found.filter(|it| it.since.elapsed() < it.took.saturating_mul(KEPT)) {
            return found.held_by;
        }
        let since = Instant::now();
        let held_by = self.look();
        let took = since.elapsed();
        *self.found.lock() = Some(Found { held_by, since, took });
        held_by
    }

    fn look(&self) -> Option<HeldBy> {
        let holders = self.holders();
        Some(HeldBy {
            most: *holders.lines.first()?,
            oldest: *holders.lines.iter().max_by_key(|line| line.age)?,
        })
    }
}
