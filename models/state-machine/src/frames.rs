//! A stream of frames, and of bytes that are none, cut anywhere and received into an arbitrary pool: its frames, and
//! the error that ends them, are those of the whole.

use std::io::Write;

use arbitrary::{Arbitrary, Unstructured};
use poolbuf::frames::{CARRIED, Extent, FrameError, Frames, Framing, LengthPrefix, Lines, ReceiveError};
use poolbuf::{AcquireError, BufferPool, MultiSizeConfig, MultiSizePool, Pool, PoolConfig};

/// Bytes of the largest buffer of either pool.
const LARGEST: usize = 300;

#[derive(Arbitrary, Debug)]
struct Setup {
    framing: Kind,
    /// The most bytes that the framing allows.
    max: u16,
    several_sizes: bool,
    in_buffer: bool,
    first: u16,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Kind {
    Lines,
    Length {
        number: Number,
        refuse_empty: bool,
        including_itself: bool,
    },
    Records,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Number {
    U8,
    U16Be,
    U16Le,
    U32Be,
    U32Le,
}

impl Number {
    /// `length`, or what fits of it.
    fn encode(self, length: u16) -> Vec<u8> {
        match self {
            Number::U8 => vec![length as u8],
            Number::U16Be => length.to_be_bytes().to_vec(),
            Number::U16Le => length.to_le_bytes().to_vec(),
            Number::U32Be => u32::from(length).to_be_bytes().to_vec(),
            Number::U32Le => u32::from(length).to_le_bytes().to_vec(),
        }
    }
}

/// What a framing of the user's own may say: a payload with bytes before and behind it, errors, frames without a
/// payload, and frames of no byte at all.
struct Records;

impl Framing for Records {
    type Error = FrameError;

    fn locate(&self, received: &[u8], _: usize) -> Result<Option<Extent>, FrameError> {
        let &[kind, len, ..] = received else {
            return Ok(None);
        };
        match kind {
            255 => Err(FrameError::Empty),
            254 => Ok(Some(Extent::new(0, 0, 0))),
            253 => Ok(Some(Extent::new(2, usize::MAX, 2))),
            kind => Ok(Some(Extent::new(2, len.into(), usize::from(kind % 3)))),
        }
    }
}

type DynFraming = dyn Framing<Error = FrameError>;

impl Setup {
    fn framing(&self) -> Box<DynFraming> {
        let max = usize::from(self.max);
        match self.framing {
            Kind::Lines => Box::new(Lines::new(max)),
            Kind::Records => Box::new(Records),
            Kind::Length {
                number,
                refuse_empty,
                including_itself,
            } => {
                let mut framing = match number {
                    Number::U8 => LengthPrefix::u8(),
                    Number::U16Be => LengthPrefix::u16_be(),
                    Number::U16Le => LengthPrefix::u16_le(),
                    Number::U32Be => LengthPrefix::u32_be(),
                    Number::U32Le => LengthPrefix::u32_le(),
                };
                framing = framing.max(max);
                if refuse_empty {
                    framing = framing.refuse_empty();
                }
                if including_itself {
                    framing = framing.including_itself();
                }
                Box::new(framing)
            }
        }
    }

    fn pool(&self) -> Box<dyn Pool> {
        // Two of each size: the one that is held, and the one that it is copied to.
        if self.several_sizes {
            let config = [3, 70, LARGEST]
                .into_iter()
                .fold(MultiSizeConfig::new(), |config, size| {
                    config.tier(PoolConfig::new(size).max(2))
                });
            Box::new(MultiSizePool::with_config(config).expect("a valid configuration"))
        } else {
            Box::new(BufferPool::new(LARGEST, 0, 2).expect("a valid configuration"))
        }
    }

    /// A frame of which the payload begins with these bytes.
    fn encode(&self, start: &[u8], more: u16, stream: &mut Vec<u8>) {
        let mut payload = start.to_vec();
        payload.resize(start.len() + usize::from(more % 400), b'.');
        match self.framing {
            Kind::Lines => {
                stream.extend(payload);
                stream.extend_from_slice(if more % 2 == 0 { b"\n" } else { b"\r\n" });
            }
            Kind::Length {
                number,
                including_itself,
                ..
            } => {
                let header = if including_itself { number.encode(0).len() } else { 0 };
                stream.extend(number.encode((payload.len() + header) as u16));
                stream.extend(payload);
            }
            Kind::Records => {
                payload.truncate(255);
                stream.extend([more as u8 % 3, payload.len() as u8]);
                stream.extend(&payload);
                stream.resize(stream.len() + usize::from(more as u8 % 3), b'!');
            }
        }
    }
}

#[derive(Arbitrary, Debug)]
enum Piece<'a> {
    Frame {
        start: &'a [u8],
        more: u16,
    },
    Bytes(&'a [u8]),
    /// A byte many times.
    Run {
        byte: u8,
        times: u16,
    },
}

/// How a stream ended.
#[derive(Debug, PartialEq)]
enum End {
    /// With so many bytes of a frame that is not whole.
    InFrame(usize),
    NoFrame(FrameError),
    TooLarge,
}

/// Frames and end of a stream that is there whole.
fn of_the_whole(framing: &DynFraming, mut stream: &[u8]) -> (Vec<Vec<u8>>, End) {
    let mut frames = Vec::new();
    loop {
        // What a buffer can hold of it.
        let there = &stream[..stream.len().min(LARGEST)];
        if there.is_empty() {
            return (frames, End::InFrame(0));
        }
        let extent = match framing.locate(there, 0) {
            Err(error) => return (frames, End::NoFrame(error)),
            Ok(extent) => extent.filter(|extent| extent.total() > 0),
        };
        match extent {
            Some(extent) if extent.total() <= there.len() => {
                frames.push(there[extent.header..][..extent.payload].to_vec());
                stream = &stream[extent.total()..];
            }
            Some(extent) if extent.total() > LARGEST => return (frames, End::TooLarge),
            None if there.len() == LARGEST => return (frames, End::TooLarge),
            _ => return (frames, End::InFrame(there.len())),
        }
    }
}

/// What is done between two pieces, and how long the next is.
#[derive(Arbitrary, Clone, Copy, Debug)]
struct Cut {
    piece: u8,
    owned: bool,
    /// As completion-based I/O does.
    by_value: bool,
    /// A receive that brings nothing.
    nothing: bool,
}

/// Frames and end of a stream as it comes.
fn as_it_comes(setup: &Setup, pool: &dyn Pool, mut stream: &[u8], cuts: &[Cut]) -> (Vec<Vec<u8>>, End) {
    let framing = setup.framing();
    let mut frames = Frames::new(&*framing).first(setup.first.into());
    if setup.in_buffer {
        frames = frames.in_buffer();
    }
    let mut got = Vec::new();
    let whole = Cut {
        piece: 255,
        owned: false,
        by_value: false,
        nothing: false,
    };
    let mut cuts = cuts.iter().copied().cycle();
    loop {
        let cut = cuts.next().unwrap_or(whole);
        loop {
            let next = if cut.owned {
                frames.next_owned(pool).map(|frame| frame.map(|frame| frame.to_vec()))
            } else {
                let next = frames.next_frame().map_err(ReceiveError::Frame);
                next.map(|frame| frame.map(<[u8]>::to_vec))
            };
            match next {
                Ok(Some(frame)) => {
                    got.push(frame);
                    assert_eq!(frames.expected(), None);
                }
                Ok(None) => break,
                Err(ReceiveError::Frame(error)) => {
                    assert_eq!(frames.next_frame(), Err(error));
                    return (got, End::NoFrame(error));
                }
                Err(error) => panic!("{error}"),
            }
        }
        let (rest, in_use) = (frames.rest().len(), pool.stats().in_use);
        let held = rest > CARRIED || (setup.in_buffer && rest > 0);
        assert_eq!(in_use, usize::from(held), "{rest} bytes are left");
        assert_eq!(frames.end().is_ok(), rest == 0);

        match frames.acquire(pool) {
            Ok(_) => {}
            Err(AcquireError::TooLarge { .. }) => return (got, End::TooLarge),
            Err(error) => panic!("{error}"),
        }
        assert_eq!((frames.rest().len(), pool.stats().in_use), (rest, 1));
        if cut.nothing {
            // Gives the buffer back.
            assert_eq!(frames.next_frame(), Ok(None));
            assert_eq!(pool.stats().in_use, usize::from(held));
        }
        let buf = match frames.acquire(pool) {
            Ok(buf) => buf,
            Err(error) => panic!("{error}"),
        };
        if stream.is_empty() {
            return (got, End::InFrame(rest));
        }
        let piece = &stream[..stream.len().min(usize::from(cut.piece).max(1))];
        let received = if cut.by_value {
            let mut buf = frames.take().expect("it was acquired");
            let received = buf.write(piece).expect("it has room");
            frames.put(buf).expect("it was taken");
            received
        } else {
            buf.write(piece).expect("it has room")
        };
        assert!(received > 0, "no room");
        stream = &stream[received..];
    }
}

/// Runs what `data` says. Panics if the cut stream has other frames, or another end, than the whole.
pub fn run(data: &[u8]) {
    let _ = try_run(data);
}

fn try_run(data: &[u8]) -> arbitrary::Result<()> {
    let mut unstructured = Unstructured::new(data);
    let mut setup = Setup::arbitrary(&mut unstructured)?;
    // Often less than a buffer holds.
    setup.max %= 400;
    setup.first %= 400;
    let cuts: Vec<Cut> = Vec::arbitrary(&mut unstructured)?;
    let mut stream = Vec::new();
    while !unstructured.is_empty() {
        match Piece::arbitrary(&mut unstructured)? {
            Piece::Frame { start, more } => setup.encode(start, more, &mut stream),
            Piece::Bytes(bytes) => stream.extend_from_slice(bytes),
            Piece::Run { byte, times } => {
                stream.resize(stream.len() + usize::from(times % 400), byte);
            }
        }
    }
    let pool = setup.pool();
    let whole = of_the_whole(&*setup.framing(), &stream);
    let as_it_came = as_it_comes(&setup, &*pool, &stream, &cuts);
    assert_eq!(as_it_came, whole, "{setup:?}, {cuts:?}, {stream:?}");
    assert_eq!(pool.stats().in_use, 0);
    Ok(())
}
