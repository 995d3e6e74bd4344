//! Frames that are malformed, or good and sent in an odd way: each with what the game server must do.
#![forbid(unsafe_code)]

use super::expected::Ending;

/// One of them.
pub struct Case {
    pub name: &'static str,
    /// What is written, a piece at a time.
    pub writes: Vec<Vec<u8>>,
    /// How many bytes of it must come back.
    pub answered: usize,
    pub ending: Ending,
}

/// All of them.
pub fn cases() -> Vec<Case> {
    let case = |name, writes, answered, ending| Case {
        name,
        writes,
        answered,
        ending,
    };
    let refused = |length| Ending::Refused { length };
    vec![
        case("nothing", vec![], 0, Ending::Whole),
        case("length 0", vec![length(0)], 0, refused(0)),
        case(
            "length 0 with a payload",
            vec![[length(0), payload(64)].concat()],
            0,
            refused(0),
        ),
        case("a byte too long", vec![length(32_769)], 0, refused(32_769)),
        case(
            "a byte too long, with its payload",
            vec![[length(32_769), payload(32_769)].concat()],
            0,
            refused(32_769),
        ),
        case("the largest length", vec![length(u32::MAX)], 0, refused(u32::MAX)),
        case(
            "a length that is negative where it is signed",
            vec![length(1 << 31)],
            0,
            refused(1 << 31),
        ),
        case(
            "a length in the other byte order",
            vec![[64_u32.to_be_bytes().to_vec(), payload(64)].concat()],
            0,
            refused(64 << 24),
        ),
        case(
            "text of another protocol",
            vec![b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec()],
            0,
            refused(u32::from_le_bytes(*b"GET ")),
        ),
        case("one byte", vec![vec![64]], 0, Ending::Cut),
        case("half a header", vec![vec![64, 0]], 0, Ending::Cut),
        case("three bytes of a header", vec![vec![64, 0, 0]], 0, Ending::Cut),
        case("a header only", vec![length(64)], 0, Ending::Cut),
        case(
            "the header of the largest frame only",
            vec![length(32_768)],
            0,
            Ending::Cut,
        ),
        case(
            "a payload that lacks a byte",
            vec![[length(64), payload(63)].concat()],
            0,
            Ending::Cut,
        ),
        case(
            "the largest payload, lacking a byte",
            vec![[length(32_768), payload(32_767)].concat()],
            0,
            Ending::Cut,
        ),
        case(
            "length 0 behind a good frame",
            vec![[good(64), length(0)].concat()],
            68,
            refused(0),
        ),
        case(
            "garbage behind a good frame",
            vec![[good(512), vec![0xFF; 100]].concat()],
            516,
            refused(u32::MAX),
        ),
        case(
            "half a header behind a good frame",
            vec![[good(64), vec![1, 0]].concat()],
            68,
            Ending::Cut,
        ),
        case(
            "a cut frame behind the largest one",
            vec![[good(32_768), length(32_768), payload(1000)].concat()],
            32_772,
            Ending::Cut,
        ),
        case("the smallest frame", vec![good(1)], 5, Ending::Whole),
        case("the largest frame", vec![good(32_768)], 32_772, Ending::Whole),
        case(
            "many good frames in one write",
            vec![(0..200).flat_map(|i| good(1 + i)).collect()],
            200 * 4 + 200 * 201 / 2,
            Ending::Whole,
        ),
        case(
            "frames of a byte in one write",
            vec![good(1).repeat(1000)],
            5000,
            Ending::Whole,
        ),
        case(
            "a frame in single bytes",
            good(100).into_iter().map(|byte| vec![byte]).collect(),
            104,
            Ending::Whole,
        ),
        case(
            "a header in single bytes, of length 0",
            length(0).into_iter().map(|byte| vec![byte]).collect(),
            0,
            refused(0),
        ),
        case(
            "writes that end in the middle of headers",
            good(30).repeat(3).chunks(33).map(<[u8]>::to_vec).collect(),
            102,
            Ending::Whole,
        ),
    ]
}

/// A header.
fn length(payload: u32) -> Vec<u8> {
    payload.to_le_bytes().to_vec()
}

/// Bytes that tell their positions apart.
fn payload(bytes: u32) -> Vec<u8> {
    (0..bytes).map(|i| (i * 7 + i / 251) as u8).collect()
}

/// A frame that is as it should be.
fn good(bytes: u32) -> Vec<u8> {
    [length(bytes), payload(bytes)].concat()
}
