//! Inputs at random: bytes of no sense, and good frames of which a few bytes were changed; in writes that end
//! anywhere.
#![forbid(unsafe_code)]

use crate::random::Random;

/// Bytes of the longest input, about.
const LONGEST: u64 = 40_000;

/// One input, a write at a time.
pub(crate) fn input(random: &mut Random) -> Vec<Vec<u8>> {
    let mut bytes = match random.next() % 4 {
        0 => {
            let length = below(random, 300) as usize;
            noise(random, length)
        }
        _ => {
            let frames = 1 + below(random, 4);
            (0..frames).flat_map(|_| frame(random)).collect()
        }
    };
    for _ in 0..below(random, 5) {
        mutate(&mut bytes, random);
    }
    split(&bytes, random)
}

/// A good frame, short in most cases.
pub(crate) fn frame(random: &mut Random) -> Vec<u8> {
    let longest = [16, 100, 1000, LONGEST / 2][random.next() as usize % 4];
    let payload = 1 + below(random, longest) as usize;
    let mut frame = (payload as u32).to_le_bytes().to_vec();
    frame.append(&mut noise(random, payload));
    frame
}

/// A number from 0 up to `end`, without it; 0 if that is 0.
pub(crate) fn below(random: &mut Random, end: u64) -> u64 {
    random.next() % end.max(1)
}

fn noise(random: &mut Random, bytes: usize) -> Vec<u8> {
    let numbers = (0..bytes.div_ceil(8)).flat_map(|_| random.next().to_le_bytes());
    numbers.take(bytes).collect()
}

/// Changes a few bytes, near the front in half of all cases: there the lengths are.
fn mutate(bytes: &mut Vec<u8>, random: &mut Random) {
    let end = match random.next() % 2 {
        0 => bytes.len().min(8),
        _ => bytes.len(),
    };
    let at = below(random, end as u64) as usize;
    match random.next() % 5 {
        // Flip a bit.
        0 => {
            let bit = 1 << (random.next() % 8);
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= bit;
            }
        }
        // Insert some.
        1 => {
            let length = below(random, 20) as usize;
            let inserted = noise(random, length);
            bytes.splice(at..at, inserted);
        }
        // Delete some.
        2 => {
            let until = (at + below(random, 20) as usize).min(bytes.len());
            bytes.drain(at..until);
        }
        // Put a length there that is at a limit.
        3 => {
            let lengths = [0, 1, 32_767, 32_768, 32_769, 0x7FFF_FFFF, u32::MAX];
            let length = lengths[random.next() as usize % lengths.len()].to_le_bytes();
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
    for _ in 0..below(random, 8) {
        let (write, behind) = rest.split_at(below(random, rest.len() as u64 + 1) as usize);
        writes.push(write.to_vec());
        rest = behind;
    }
    writes.push(rest.to_vec());
    writes
}
