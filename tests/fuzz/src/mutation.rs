//! Changes to valid input: of bits, of numbers to their edges, of lengths by a little, of runs of bytes, and crossings.

use fastrand::Rng;

/// Changes of one input.
const CHANGES_MAX: usize = 4;
/// Bytes of a run that is removed, repeated or made up.
const RUN_MAX: usize = 64;
/// Bytes of an input: crossings make them grow.
const INPUT_BYTES_MAX: usize = 1 << 16;

/// Numbers at which decoders go wrong.
const EDGES: [u64; 16] = [
    0,
    1,
    0x7f,
    0x80,
    0xff,
    0x7fff,
    0x8000,
    0xffff,
    0x00ff_ffff,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_fffe,
    0xffff_ffff,
    0x7fff_ffff_ffff_ffff,
    0x8000_0000_0000_0000,
    u64::MAX,
];

/// Changes an input in a few places; `corpus` is what it may be crossed with.
pub(crate) fn change(input: &mut Vec<u8>, corpus: &[Vec<u8>], rng: &mut Rng) {
    for _ in 0..rng.usize(1..=CHANGES_MAX) {
        change_once(input, &corpus[rng.usize(..corpus.len())], rng);
        input.truncate(INPUT_BYTES_MAX);
    }
}

fn change_once(input: &mut Vec<u8>, other: &[u8], rng: &mut Rng) {
    let at = rng.usize(..=input.len());
    let run = at..(at + rng.usize(1..=RUN_MAX)).min(input.len());
    match rng.u8(..9) {
        0 => input.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << rng.u8(..8)),
        1 => input.iter_mut().skip(at).take(1).for_each(|byte| *byte = rng.u8(..)),
        // A length that is off by a little.
        2 => input.iter_mut().skip(at).take(1).for_each(|byte| *byte = byte.wrapping_add_signed(rng.i8(-4..=4))),
        3 => put_edge(input, at, rng),
        4 => drop(input.drain(run)),
        5 => {
            let again = input[run].to_vec();
            drop(input.splice(at..at, again));
        }
        6 => {
            let made_up: Vec<u8> = (0..rng.usize(..RUN_MAX)).map(|_| rng.u8(..)).collect();
            drop(input.splice(at..at, made_up));
        }
        7 => input.truncate(at),
        _ => {
            input.truncate(at);
            input.extend_from_slice(&other[rng.usize(..=other.len())..]);
        }
    }
}

/// Writes a number of one, two, four or eight bytes over what is there, in either order of its bytes.
fn put_edge(input: &mut [u8], at: usize, rng: &mut Rng) {
    let (edge, width) = (EDGES[rng.usize(..EDGES.len())], 1_usize << rng.u8(..4));
    let mut bytes = edge.to_le_bytes();
    let bytes = &mut bytes[..width];
    if rng.bool() {
        bytes.reverse();
    }
    if let Some(place) = input.get_mut(at..at + width) {
        place.copy_from_slice(bytes);
    }
}
