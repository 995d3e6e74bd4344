//! What a user can do. Which pool, guard or request is meant is a number, taken modulo how many there are.

use arbitrary::Arbitrary;

/// One thing that a user does.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub(crate) enum Operation {
    Acquire {
        pool: u8,
        len: Length,
    },
    AcquireLargest {
        pool: u8,
    },
    /// With a timeout of nothing.
    AcquireTimeout {
        pool: u8,
        len: Length,
    },
    /// Begins to wait, if it is polled.
    Request {
        pool: u8,
        len: Length,
        polled: bool,
    },
    /// With the waker that it was polled with before, or with a new one.
    Poll {
        which: u8,
        new_waker: bool,
    },
    Cancel {
        which: u8,
    },
    Release {
        which: u8,
    },
    Forget {
        which: u8,
    },
    OnBuffer {
        which: u8,
        operation: BufferOperation,
    },
    Freeze {
        which: u8,
    },
    CloneFrozen {
        which: u8,
    },
    SliceFrozen {
        which: u8,
        from: Length,
        to: Length,
    },
    DropFrozen {
        which: u8,
    },
    /// Memory of the user's own.
    Lend {
        len: u8,
        again: bool,
    },
    SetMax {
        pool: u8,
        tier: u8,
        max: Max,
    },
    Trim {
        pool: u8,
    },
    /// All of it, or one of its tiers.
    Close {
        pool: u8,
        really: Seldom,
    },
    CloneHandle {
        pool: u8,
    },
    /// If it is the last one, the requests that wait are dropped before.
    DropHandle {
        pool: u8,
        really: Seldom,
    },
    AcquireMany {
        pool: u8,
        count: Count,
        len: Length,
    },
    /// With a timeout of nothing.
    AcquireManyTimeout {
        pool: u8,
        count: Count,
        len: Length,
    },
    /// Begins to wait, if it is polled.
    RequestMany {
        pool: u8,
        count: Count,
        len: Length,
        polled: bool,
    },
    // What was added later comes last, so that what the fuzzer kept changes its meaning least.
    /// In two guards over one buffer; the part in front, or the one behind, is the guard that is new.
    Split {
        which: u8,
        at: Length,
        front: bool,
    },
    Reclaim {
        which: u8,
    },
    /// Through a share of the pool, without waiting.
    AcquireShared {
        pool: u8,
        count: Count,
        len: Length,
    },
}

/// What makes a request wait, or ends its wait.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub(crate) enum Contended {
    Acquire { pool: u8, len: Length },
    AcquireTimeout { pool: u8, len: Length },
    Request { pool: u8, len: Length },
    Poll { which: u8, new_waker: bool },
    Cancel { which: u8 },
    Release { which: u8 },
    SetMax { pool: u8, tier: u8, max: Max },
    Close { pool: u8, really: Seldom },
    AcquireMany { pool: u8, count: Count, len: Length },
    AcquireManyTimeout { pool: u8, count: Count, len: Length },
    RequestMany { pool: u8, count: Count, len: Length },
}

impl From<Contended> for Operation {
    fn from(operation: Contended) -> Self {
        match operation {
            Contended::Acquire { pool, len } => Operation::Acquire { pool, len },
            Contended::AcquireTimeout { pool, len } => Operation::AcquireTimeout { pool, len },
            Contended::Request { pool, len } => Operation::Request {
                pool,
                len,
                polled: true,
            },
            Contended::Poll { which, new_waker } => Operation::Poll { which, new_waker },
            Contended::Cancel { which } => Operation::Cancel { which },
            Contended::Release { which } => Operation::Release { which },
            Contended::SetMax { pool, tier, max } => Operation::SetMax { pool, tier, max },
            Contended::Close { pool, really } => Operation::Close { pool, really },
            Contended::AcquireMany { pool, count, len } => Operation::AcquireMany { pool, count, len },
            Contended::AcquireManyTimeout { pool, count, len } => Operation::AcquireManyTimeout { pool, count, len },
            Contended::RequestMany { pool, count, len } => Operation::RequestMany {
                pool,
                count,
                len,
                polled: true,
            },
        }
    }
}

/// What the holder of a buffer does with it.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub(crate) enum BufferOperation {
    Extend(Length),
    /// `std::io::Write`.
    Write(Length),
    /// Writes into `spare_mut_for`, and does not count it.
    FillSpare(Length),
    /// Looks at all of `spare_mut`.
    LookAtSpare,
    Commit(Length),
    Truncate(Length),
    Consume(Length),
    Clear,
    Rewrite,
    /// `read_from_any`.
    ReadFromAny {
        written: Length,
        claimed: Length,
        interrupted: bool,
    },
    /// `spare_capacity_mut`, of which so many bytes are written, said so by `set_len`, and fewer of them kept.
    WriteRaw {
        counted: Length,
        more: u8,
    },
    /// What lies in the memory as it is.
    LookAtMemory,
    /// `bytes::BufMut`.
    PutSlice(Length),
    FillChunk(Length),
    /// `bytes::Buf`.
    GetByte,
    CopyOut(Length),
    Prepend(Length),
    Compact,
    /// `read_from`, of so many bytes at most, from what is marked.
    ReadFrom {
        count: Length,
        end: End,
    },
    FillWith {
        count: Length,
        end: End,
    },
    /// `spare_capacity_mut`, of which so many bytes are written, and nothing is said of them.
    WriteUnreported(Length),
}

/// How a receive ends.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub(crate) enum End {
    Well,
    /// Through what std wraps readers in.
    WellWrapped,
    Interrupted,
    WouldBlock,
    /// With an error after which any byte may have been written.
    Broken,
    Panic,
    ClaimsTooMuch,
}

/// What a max is set to.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub(crate) struct Max(u8);

impl Max {
    /// The number, so small that it mostly is one that can be.
    pub(crate) fn buffers(self) -> usize {
        match self.0 {
            few @ 0..=191 => usize::from(few % 5),
            more @ 192..=255 => usize::from(more % 12),
        }
    }
}

/// How many buffers are asked for at once.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub(crate) struct Count(u8);

impl Count {
    /// The number: none, or so few that they often can be lent, or about as many as there are, or far too many.
    pub(crate) fn buffers(self) -> usize {
        match self.0 {
            few @ 0..=231 => usize::from(few % 7),
            more @ 232..=251 => usize::from(more - 225),
            252..=253 => usize::MAX,
            254..=255 => u32::MAX as usize,
        }
    }
}

/// Whether to do what leaves little to be done afterwards.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub(crate) struct Seldom(u8);

impl Seldom {
    pub(crate) fn is_now(self) -> bool {
        self.0 >= 224
    }

    /// A part of what there is to be closed, where not all of it is.
    pub(crate) fn part(self) -> Option<usize> {
        (self.0 >= 240).then_some(self.0.into())
    }
}

/// A number of bytes, or of something else: small, or about as much as there is, or far too large.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub(crate) struct Length(u8);

impl Length {
    /// Where there are `all`.
    pub(crate) fn of(self, all: usize) -> usize {
        match self.0 {
            few @ 0..=159 => few.into(),
            less @ 160..=215 => all.saturating_sub((less - 160).into()),
            more @ 216..=250 => all.saturating_add((more - 215).into()),
            251..=255 => usize::MAX,
        }
    }
}

/// One of `all`, if there are any.
pub(crate) fn choose(which: u8, all: usize) -> Option<usize> {
    (all > 0).then(|| usize::from(which) % all)
}
