//! What a connection has received, frame by frame.
#![forbid(unsafe_code)]

use std::fmt;
use std::future::Future;
use std::mem;
use std::ops::Range;
use std::panic::Location;
use std::time::Duration;

use super::carry::Carry;
use super::error::{Cut, ReceiveError};
use super::framing::Framing;
use super::held::HeldBytes;
use crate::{Acquire, AcquireError, Pool, PooledBuf};

/// What a connection has received and not yet taken, frame by frame: one for each direction that is read.
///
/// In turns: [`acquire`](Frames::acquire), or one of its two sisters that wait, gives the buffer to receive into;
/// [`next_frame`](Frames::next_frame) gives the frames that are whole by then, and `None` when there is no more.
/// [`receive`](Frames::receive) does both.
///
/// *Where the rest is.* What has come of a frame that is not whole stays where it is, in its buffer, and what comes
/// next is received behind it: it is moved to the buffer's first byte for that, unless it is there, and to a larger
/// buffer if this one is too small for the frame, as in a [`MultiSizePool`](crate::MultiSizePool). A rest of at most
/// [`CARRIED`](super::CARRIED) bytes is carried along in this value instead, and its buffer goes back: a client that
/// sends a byte and waits holds no buffer. So the bytes of such a rest are not wiped as those in the pool are;
/// [`in_buffer`](Frames::in_buffer) keeps them there.
///
/// *No wait while it holds.* It never waits for a buffer while it holds one: connections that do can wait for each
/// other for ever. Where a frame outgrows the buffer that it has begun in, it takes a larger one if there is one, and
/// says [`Exhausted`](AcquireError::Exhausted) if not. It does not come to that where all buffers have one size, nor
/// where the first receive brings no more than it carries: see [`first`](Frames::first).
///
/// ```
/// use poolbuf::frames::{Frames, Lines};
/// use poolbuf::{MultiSizePool, Pool};
/// use std::time::Duration;
///
/// let pool = MultiSizePool::new()?;
/// let mut socket: &[u8] = b"one line\nanother line\nand the last one\n";
/// // 64 bytes at first: a larger buffer only for a longer line.
/// let mut lines = Frames::new(Lines::new(8192)).first(64);
/// let mut count = 0;
/// loop {
///     let buf = lines.acquire_timeout(&pool, Duration::from_secs(1))?;
///     if buf.read_from(&mut socket)? == 0 {
///         break;
///     }
///     while let Some(line) = lines.next_frame()? {
///         count += line.split(|&byte| byte == b' ').count();
///     }
/// }
/// lines.end()?;
/// assert_eq!(count, 8);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Frames<F> {
    framing: F,
    /// Bytes to ask for while it is not known what will come.
    first: usize,
    carries: bool,
    held: HeldBytes,
    /// Bytes of the frame that was given out last: the first of those that are held.
    given: usize,
    /// Of the first bytes behind `given`, in how many the framing has found no whole frame.
    seen: usize,
    /// Bytes of the frame that has begun, if those that are there say so.
    expected: Option<usize>,
}

impl<F: Framing> Frames<F> {
    /// With nothing received, and no buffer.
    pub const fn new(framing: F) -> Self {
        Frames {
            framing,
            first: usize::MAX,
            carries: true,
            held: HeldBytes::NOTHING,
            given: 0,
            seen: 0,
            expected: None,
        }
    }

    /// Asks for buffers of `bytes` bytes while it is not known how long the next frame is. Otherwise it asks for the
    /// largest that there are.
    ///
    /// In a pool of several sizes: what holds a header, and what is often sent. A frame that is longer then gets a
    /// buffer of its own size.
    #[must_use]
    pub const fn first(mut self, bytes: usize) -> Self {
        self.first = bytes;
        self
    }

    /// Keeps what has come of a frame in its buffer, however little it is: where it is wiped as the pool's
    /// configuration says, and holds that buffer until the frame is whole.
    #[must_use]
    pub const fn in_buffer(mut self) -> Self {
        self.carries = false;
        self
    }

    /// The next frame, if it is whole: without what the framing skips, such as its length. `None` says that more has to
    /// be received, and gives the buffer back unless there is a rest to be kept in it.
    ///
    /// The bytes are borrowed: [`next_owned`](Frames::next_owned) is for those that go elsewhere. Costs a look at the
    /// frame's header or a search for its end; nothing is copied but a rest that is carried along.
    ///
    /// # Errors
    ///
    /// Those of the framing; again, at each further call, since it is not known then where the next frame begins.
    pub fn next_frame(&mut self) -> Result<Option<&[u8]>, F::Error> {
        let payload = self.locate()?;
        Ok(payload.map(|payload| self.given(payload)))
    }

    /// The next frame, if it is whole, as a guard of its own, to be handed to another thread or sent to several (with
    /// the feature `bytes`, as [`Bytes`](https://docs.rs/bytes), by `freeze`).
    ///
    /// It is not copied where it is the last one in its buffer, or has only a short rest behind it: that buffer is then
    /// the frame's. Otherwise the shorter of the two, the frame or what follows it, is copied to a buffer that is
    /// acquired for it, without waiting.
    ///
    /// # Errors
    ///
    /// [`ReceiveError::Frame`] as of [`next_frame`](Frames::next_frame), and [`ReceiveError::Acquire`] when there is no
    /// buffer for the copy; the frame is then still the next one.
    #[track_caller]
    pub fn next_owned<P: Pool + ?Sized>(&mut self, pool: &P) -> Result<Option<PooledBuf>, ReceiveError<F::Error>> {
        let Some(payload) = self.locate().map_err(ReceiveError::Frame)? else {
            return Ok(None);
        };
        // Again the next one, until it has been handed over.
        let total = mem::take(&mut self.given);
        let rest = self.held.bytes().len() - total;
        let next = match &self.held {
            HeldBytes::InBuffer(buf) if rest == 0 || self.carries => Carry::of(&buf[total..]),
            _ => None,
        };
        let next = match next {
            Some(carry) => HeldBytes::Carried(carry),
            None if rest < payload.len() && matches!(self.held, HeldBytes::InBuffer(_)) => {
                let mut next = pool.acquire_for(rest)?;
                copy(&self.held.bytes()[total..], &mut next, pool)?;
                HeldBytes::InBuffer(next)
            }
            None => {
                let mut frame = pool.acquire_for(payload.len())?;
                copy(&self.held.bytes()[payload], &mut frame, pool)?;
                self.held.consume(total);
                return Ok(Some(frame));
            }
        };
        match mem::replace(&mut self.held, next) {
            HeldBytes::InBuffer(mut frame) => {
                frame.truncate(payload.end);
                frame.consume(payload.start);
                Ok(Some(frame))
            }
            HeldBytes::Carried(_) => unreachable!("what is carried was copied"),
        }
    }

    /// What has come of the frame that is not whole yet: of what has been received, all that was not given out.
    pub fn rest(&self) -> &[u8] {
        &self.held.bytes()[self.given..]
    }

    /// How many bytes the frame has in all that [`rest`](Frames::rest) is the start of, if those that are there say so.
    pub fn expected(&self) -> Option<usize> {
        self.expected
    }

    /// To be called at the stream's end, when [`next_frame`](Frames::next_frame) has said `None`.
    ///
    /// # Errors
    ///
    /// [`Cut`] when a frame has begun and is not whole.
    pub fn end(&self) -> Result<(), Cut> {
        match self.rest().len() {
            0 => Ok(()),
            received => Err(Cut::new(received, self.expected)),
        }
    }

    /// The buffer to receive into, behind what has come of the next frame: the one that it has, or one that is acquired
    /// now. It has room for at least one byte, and for all of the frame if its length is known.
    ///
    /// To be called when [`next_frame`](Frames::next_frame) has said `None`: frames that are not given out yet take up
    /// room. `next_frame` gives the buffer back again if nothing was received after all.
    ///
    /// # Errors
    ///
    /// Those of [`Pool::acquire_for`]; [`TooLarge`](AcquireError::TooLarge) if the frame is longer than any buffer of
    /// the pool. What has been received is still there then.
    #[track_caller]
    pub fn acquire<P: Pool + ?Sized>(&mut self, pool: &P) -> Result<&mut PooledBuf, AcquireError> {
        let acquired = match self.room(pool) {
            Room::Enough => None,
            Room::TooSmall(bytes) | Room::NoBuffer(bytes) => Some(pool.acquire_for(bytes)?),
        };
        self.hold(acquired, pool)
    }

    /// As [`acquire`](Frames::acquire), but waits for a buffer, as [`Pool::acquire_timeout`] does, if it holds none.
    ///
    /// # Errors
    ///
    /// Those of [`Pool::acquire_timeout`]; and [`Exhausted`](AcquireError::Exhausted) or
    /// [`OverBudget`](AcquireError::OverBudget) if the frame outgrows the buffer that it is in, for it is not waited
    /// then. What has been received is still there.
    #[track_caller]
    pub fn acquire_timeout<P: Pool + ?Sized>(
        &mut self,
        pool: &P,
        timeout: Duration,
    ) -> Result<&mut PooledBuf, AcquireError> {
        let acquired = match self.room(pool) {
            Room::Enough => None,
            Room::TooSmall(bytes) => Some(pool.acquire_for(bytes)?),
            Room::NoBuffer(bytes) => Some(pool.acquire_timeout(bytes, timeout)?),
        };
        self.hold(acquired, pool)
    }

    /// As [`acquire_timeout`](Frames::acquire_timeout), but holds up no thread: a future for any runtime, with the time
    /// limit left to the runtime's own timers. It can be dropped at any moment; what has been received stays.
    ///
    /// # Errors
    ///
    /// As of [`acquire_timeout`](Frames::acquire_timeout), but for `TimedOut`.
    #[track_caller]
    pub fn acquire_async<'a, P: Pool + ?Sized>(
        &'a mut self,
        pool: &'a P,
    ) -> impl Future<Output = Result<&'a mut PooledBuf, AcquireError>> {
        let asked = self.ask(pool, Location::caller());
        async move {
            let acquired = asked?.acquired().await?;
            self.hold(acquired, pool)
        }
    }

    /// The buffer with all that has been received and not given out, for a receive that wants to own it, as
    /// completion-based I/O does. [`put`](Frames::put) brings it back. `None` if no buffer is held: call
    /// [`acquire`](Frames::acquire), or one of its sisters, before.
    ///
    /// If it does not come back, as when the receive is given up, what has come of its frame is lost, and with it the
    /// place where the next one begins.
    ///
    /// ```
    /// use poolbuf::frames::{Frames, LengthPrefix};
    /// use poolbuf::{BufferPool, Pool, PooledBuf};
    ///
    /// fn receive(mut buf: PooledBuf, piece: &[u8]) -> PooledBuf {
    ///     buf.extend_from_slice(piece).expect("it fits");
    ///     buf
    /// }
    ///
    /// let pool = BufferPool::new(1024, 1, 16)?;
    /// let mut frames = Frames::new(LengthPrefix::u8());
    /// for piece in [b"\x05he", b"llo"] {
    ///     assert_eq!(frames.next_frame()?, None);
    ///     frames.acquire(&pool)?;
    ///     let buf = frames.take().expect("acquired");
    ///     frames.put(receive(buf, piece)).expect("it was taken");
    /// }
    /// assert_eq!(frames.next_frame()?, Some(&b"hello"[..]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use = "what has come of a frame is in it"]
    pub fn take(&mut self) -> Option<PooledBuf> {
        self.forget_given();
        match mem::replace(&mut self.held, HeldBytes::NOTHING) {
            HeldBytes::InBuffer(buf) => {
                (self.seen, self.expected) = (0, None);
                Some(buf)
            }
            carried => {
                self.held = carried;
                None
            }
        }
    }

    /// Goes on with `buf`: the one that was [taken](Frames::take), with what was received behind its bytes; or one that
    /// was received elsewhere, and begins with a frame.
    ///
    /// # Errors
    ///
    /// Gives `buf` back if something is held already: a buffer, or the start of a frame.
    pub fn put(&mut self, buf: PooledBuf) -> Result<(), PooledBuf> {
        match &self.held {
            HeldBytes::Carried(carry) if carry.bytes().len() == self.given => {
                self.forget_given();
                self.held = HeldBytes::InBuffer(buf);
                Ok(())
            }
            _ => Err(buf),
        }
    }

    /// Where in what is held the next frame's payload is, if it is whole; the frame then counts as given out. If not,
    /// gives up a buffer that is not needed.
    pub(super) fn locate(&mut self) -> Result<Option<Range<usize>>, F::Error> {
        self.forget_given();
        let received = self.held.bytes();
        if !received.is_empty() {
            let found = self.framing.locate(received, self.seen)?;
            let extent = found.filter(|extent| extent.total() > 0);
            if let Some(extent) = extent.filter(|extent| extent.total() <= received.len()) {
                self.given = extent.total();
                (self.seen, self.expected) = (0, None);
                return Ok(Some(extent.header..extent.header + extent.payload));
            }
            self.seen = received.len();
            self.expected = extent.map(|extent| extent.total());
        }
        if let HeldBytes::InBuffer(buf) = &self.held {
            if self.carries || buf.is_empty() {
                if let Some(carry) = Carry::of(buf) {
                    self.held = HeldBytes::Carried(carry);
                }
            }
        }
        Ok(None)
    }

    /// What `locate` said is there.
    pub(super) fn given(&self, payload: Range<usize>) -> &[u8] {
        &self.held.bytes()[payload]
    }

    /// Removes the frame that was given out last.
    fn forget_given(&mut self) {
        if self.given > 0 {
            self.held.consume(mem::take(&mut self.given));
        }
    }

    /// Whether what is held has room for what comes next, which is made behind it.
    fn room<P: Pool + ?Sized>(&mut self, pool: &P) -> Room {
        self.forget_given();
        let len = self.held.bytes().len();
        let needed = self.expected.unwrap_or(0).max(len + 1);
        match &mut self.held {
            HeldBytes::InBuffer(buf) => {
                buf.compact();
                match len + buf.spare_len() >= needed {
                    true => Room::Enough,
                    false => Room::TooSmall(needed),
                }
            }
            HeldBytes::Carried(_) if self.expected.is_some() => Room::NoBuffer(needed),
            HeldBytes::Carried(_) => Room::NoBuffer(self.first.min(pool.max_len()).max(needed)),
        }
    }

    /// Asks for a buffer, if there is none with room. One that is waited for is acquired on behalf of `caller`.
    #[track_caller]
    pub(super) fn ask<'a, P: Pool + ?Sized>(
        &mut self,
        pool: &'a P,
        caller: &'static Location<'static>,
    ) -> Result<Asked<'a>, AcquireError> {
        Ok(match self.room(pool) {
            Room::Enough => Asked::Has,
            Room::TooSmall(bytes) => Asked::Got(pool.acquire_for(bytes)?),
            Room::NoBuffer(bytes) => Asked::Waits(pool.acquire_async(bytes).for_caller(caller)),
        })
    }

    /// The buffer to receive into: the one that is held, or the one that was `acquired`, to which that is moved.
    pub(super) fn hold<P: Pool + ?Sized>(
        &mut self,
        acquired: Option<PooledBuf>,
        pool: &P,
    ) -> Result<&mut PooledBuf, AcquireError> {
        if let Some(mut buf) = acquired {
            copy(self.held.bytes(), &mut buf, pool)?;
            self.held = HeldBytes::InBuffer(buf);
        }
        match &mut self.held {
            HeldBytes::InBuffer(buf) => Ok(buf),
            HeldBytes::Carried(_) => unreachable!("only a buffer has enough room"),
        }
    }
}

enum Room {
    Enough,
    /// The buffer is too small: one of so many bytes is needed.
    TooSmall(usize),
    /// There is no buffer: one of so many bytes is needed.
    NoBuffer(usize),
}

/// What became of asking for a buffer.
pub(super) enum Asked<'a> {
    /// One is held.
    Has,
    /// Instead of the one that is held.
    Got(PooledBuf),
    /// None is held.
    Waits(Acquire<'a>),
}

impl Asked<'_> {
    /// The buffer that was asked for, once it is there; `None` if none was.
    pub(super) async fn acquired(self) -> Result<Option<PooledBuf>, AcquireError> {
        Ok(match self {
            Asked::Has => None,
            Asked::Got(larger) => Some(larger),
            Asked::Waits(request) => Some(request.await?),
        })
    }
}

/// Copies `bytes` into `buf`, which the pool lent for as many.
fn copy<P: Pool + ?Sized>(bytes: &[u8], buf: &mut PooledBuf, pool: &P) -> Result<(), AcquireError> {
    // It fits, unless a pool of the user's lends less than it was asked for.
    let fits = buf.extend_from_slice(bytes);
    fits.map_err(|error| AcquireError::TooLarge {
        pool: pool.name().into(),
        requested: error.requested,
        max: error.capacity,
    })
}

/// Lengths; never the bytes, which may be secret.
impl<F> fmt::Debug for Frames<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frames")
            .field("rest", &(self.held.bytes().len() - self.given))
            .field("expected", &self.expected)
            .finish_non_exhaustive()
    }
}
