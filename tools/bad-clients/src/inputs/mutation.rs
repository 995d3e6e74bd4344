//! Inputs at random: bytes of no sense, and good frames of which a few bytes were changed; in writes that end
//! anywhere.
#![forbid(unsafe_code)]

use poolbuf_support::random::Random;

/// Bytes of the longest input, about.
const LONGEST: usize = 40_000;

/// One input, a write at a time.
pub fn input(random: &mut Random) -> Vec<Vec<u8>> {
    let mut bytes = match random.below(4) {
        0 => {
            let length = random.below(300);
            random.bytes(length)
        }
        _ => {
            let frames = random.between(1, 4);
            (0..frames).flat_map(|_| frame(random)).collect()
        }
    };
    for _ in 0..random.below(5) {
        mutate(&mut bytes, random);
    }
    split(&bytes, random)
}

/// A good frame, short in most cases.
pub fn frame(random: &mut Random) -> Vec<u8> {
    let longest = random.choose(&[16, 100, 1000, LONGEST / 2]);
    let payload = random.between(1, longest);
    let mut frame = (payload as u32).to_le_bytes().to_vec();
    frame.append(&mut random.bytes(payload));
    frame
}

/// Changes a few bytes, near the front in half of all cases: there the lengths are.
fn mutate(bytes: &mut Vec<u8>, random: &mut Random) {
    let end = match random.once_in(2) {
        true => bytes.len().min(8),
        false => bytes.len(),
    };
    let at = random.below(end.max(1));
    match random.below(5) {
        // Flip a bit.
        0 => {
            let bit = 1 << random.below(8);
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= bit;
            }
        }
        // Insert some.
        1 => {
            let length = random.below(20);
            let inserted = random.bytes(length);
            bytes.splice(at..at, inserted);
        }
        // Delete some.
        2 => {
            let until = (at + random.below(20)).min(bytes.len());
            bytes.drain(at..until);
        }
        // Put a length there that is at a limit.
        3 => {
            let lengths = [0, 1, 32_767, 32_768, 32_769, 0x7FFF_FFFF, u32::MAX];
            let length = random.choose(&lengths).to_le_bytes();
            if let Some(place) = bytes.get_mut(at..at + length.len()) {
                place.copy_from_slice(&length);
            }
        }
        // Cut the end off.
        _ => bytes.truncate(at),
    }
}

fn split(bytes: &[u8], random: &mut Random) -> Vec<Vec<u8>> {
    let mut writes = Vec::new();
    let mut rest = bytes;
    // A few writes, the last of what is left.
    for _ in 0..random.below(8) {
        let (write, behind) = rest.split_at(random.between(0, rest.len()));
        writes.push(write.to_vec());
        rest = behind;
    }
    writes.push(rest.to_vec());
    writes
}
