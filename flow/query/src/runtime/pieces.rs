//! State that is too large for one value of the store, or for one transaction: in pieces, of which only those are written that changed.
//!
//! Pieces are cut where the bytes say so (content-defined chunking by a gear hash, as in "FastCDC", Xia et al., 2016): what comes
//! or goes in the middle of a state changes the pieces around it and none behind. A piece is never changed and has a number of its own,
//! so new ones can be written ahead of the checkpoint that lists them: until that is durable nothing refers to them, and a crash in
//! between leaves the old checkpoint with its own pieces. Pure; read next: [`super::checkpoint`].

use std::collections::{BTreeSet, HashMap};
use std::hash::BuildHasher as _;

use bytes::Bytes;

use crate::executor::ExecuteError;
use crate::executor::state::{Reader, StateError, Writer};

/// State up to so many bytes stands in the checkpoint itself.
const INLINE_BYTES_MAX: usize = 1 << 20;

/// Bytes of a piece: at least, at most; between them one in 256 KiB begins a new one.
const PIECE_BYTES: (usize, usize) = (128 << 10, 1 << 20);

/// The bits of the hash that are zero where a piece ends.
const CUT_MASK: u64 = u64::MAX << (64 - 18);

/// The most bytes of a query's state: it is in memory as it works, and once more as it was written last.
pub(super) const STATE_BYTES_MAX: usize = 1 << 30;

/// The first byte of a list of pieces, where else a snapshot stands: a binary that knows no pieces reads it as state that it cannot
/// take up, and has the windows again from the records.
const LIST: u8 = 0xFE;

/// The pieces of the last checkpoint.
#[derive(Debug, Clone, Default)]
pub(super) struct Pieces {
    /// The number of the next new one.
    next: u64,
    kept: Vec<Piece>,
}

#[derive(Debug, Clone)]
struct Piece {
    number: u64,
    hash: u64,
    bytes: Bytes,
}

/// What is to be written so that a snapshot is kept.
#[derive(Debug)]
pub(super) struct Change {
    /// What stands in the checkpoint: the snapshot, or the list of its pieces.
    pub(super) stored: Vec<u8>,
    /// Pieces that the last checkpoint does not have.
    pub(super) new: Vec<(u64, Bytes)>,
    /// Pieces that only the last checkpoint has.
    pub(super) gone: Vec<u64>,
    /// The pieces of this checkpoint, once it is written.
    pub(super) pieces: Pieces,
    /// Bytes of the snapshot.
    pub(super) bytes: usize,
}

impl Pieces {
    /// What is to be written so that a snapshot is kept.
    ///
    /// # Errors
    /// [`ExecuteError::TooLarge`] beyond [`STATE_BYTES_MAX`].
    pub(super) fn change(&self, snapshot: Vec<u8>) -> Result<Change, ExecuteError> {
        let bytes = snapshot.len();
        if bytes > STATE_BYTES_MAX {
            let (found, most) = (bytes >> 20, STATE_BYTES_MAX >> 20);
            let message = format!(
                "what the query keeps takes {found} MiB in a checkpoint, at most {most} are kept; \
                 use fewer keys, shorter windows or narrower bounds of joins"
            );
            return Err(ExecuteError::TooLarge(message));
        }
        if bytes <= INLINE_BYTES_MAX {
            let gone = self.kept.iter().map(|piece| piece.number).collect();
            let pieces = Self { next: self.next, kept: Vec::new() };
            return Ok(Change { stored: snapshot, new: Vec::new(), gone, pieces, bytes });
        }
        Ok(self.cut(&snapshot))
    }

    fn cut(&self, snapshot: &[u8]) -> Change {
        let hasher = foldhash::fast::FixedState::with_seed(0);
        let mut known: HashMap<u64, Vec<Piece>> = HashMap::new();
        self.kept.iter().for_each(|piece| known.entry(piece.hash).or_default().push(piece.clone()));
        let (mut next, mut new, mut kept) = (self.next, Vec::new(), Vec::<Piece>::new());
        let mut rest = snapshot;
        while !rest.is_empty() {
            let (bytes, behind) = rest.split_at(end_of_piece(rest));
            rest = behind;
            let hash = hasher.hash_one(bytes);
            let same = known.entry(hash).or_default();
            // Equal hashes are a hint: bytes decide.
            if let Some(piece) = same.iter().find(|piece| piece.bytes == bytes) {
                kept.push(piece.clone());
                continue;
            }
            let piece = Piece { number: next, hash, bytes: Bytes::copy_from_slice(bytes) };
            next += 1;
            new.push((piece.number, piece.bytes.clone()));
            same.push(piece.clone());
            kept.push(piece);
        }
        let listed: BTreeSet<u64> = kept.iter().map(|piece| piece.number).collect();
        let gone = self.kept.iter().map(|piece| piece.number).filter(|number| !listed.contains(number));
        let gone = gone.collect::<BTreeSet<u64>>().into_iter().collect();
        let mut stored = Writer(vec![LIST]);
        stored.int(next.cast_signed());
        stored.count(kept.len());
        kept.iter().for_each(|piece| stored.int(piece.number.cast_signed()));
        let pieces = Self { next, kept };
        Change { stored: stored.0, new, gone, pieces, bytes: snapshot.len() }
    }

    /// Whether the state stands in the checkpoint itself.
    pub(super) fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// The number of the next new one: no checkpoint lists it, or a later one.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// The pieces of a list, and the snapshot that they are together.
    pub(super) fn of(next: u64, listed: Vec<(u64, Bytes)>) -> (Self, Vec<u8>) {
        let hasher = foldhash::fast::FixedState::with_seed(0);
        let mut snapshot = Vec::with_capacity(listed.iter().map(|(_, bytes)| bytes.len()).sum());
        let piece = |(number, bytes): (u64, Bytes)| {
            snapshot.extend_from_slice(&bytes);
            Piece { number, hash: hasher.hash_one(&bytes[..]), bytes }
        };
        let kept = listed.into_iter().map(piece).collect();
        (Self { next, kept }, snapshot)
    }
}

/// The number of the next new piece, and the numbers of those that a checkpoint lists; `None`: the snapshot stands in it.
pub(super) fn listed(stored: &[u8]) -> Result<Option<(u64, Vec<u64>)>, StateError> {
    let Some((&LIST, rest)) = stored.split_first() else { return Ok(None) };
    let mut reader = Reader(rest);
    let next = reader.int()?.cast_unsigned();
    let count = reader.count()?;
    let numbers = (0..count).map(|_| reader.int().map(i64::cast_unsigned)).collect::<Result<_, _>>()?;
    Ok(Some((next, numbers)))
}

/// Where the piece ends that bytes begin with.
fn end_of_piece(bytes: &[u8]) -> usize {
    let (least, most) = PIECE_BYTES;
    let mut hash = 0_u64;
    for (place, byte) in bytes.iter().enumerate().take(most).skip(least) {
        hash = (hash << 1).wrapping_add(GEAR[usize::from(*byte)]);
        if hash & CUT_MASK == 0 {
            return place + 1;
        }
    }
    bytes.len().min(most)
}

/// A number without a pattern for each byte (SplitMix64).
const GEAR: [u64; 256] = {
    let (mut gear, mut state, mut place) = ([0; 256], 0_u64, 0);
    while place < gear.len() {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        gear[place] = mixed ^ (mixed >> 31);
        place += 1;
    }
    gear
};

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes without a pattern, from a seed.
    fn noise(seed: u64, length: usize) -> Vec<u8> {
        let mut state = seed;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as u8
        };
        (0..length).map(|_| next()).collect()
    }

    fn read_back(pieces: &Pieces, stored: &[u8]) -> Option<(Pieces, Vec<u8>)> {
        let (next, numbers) = listed(stored).unwrap()?;
        let piece = |number: &u64| pieces.kept.iter().find(|piece| piece.number == *number).unwrap().bytes.clone();
        Some(Pieces::of(next, numbers.iter().map(|number| (*number, piece(number))).collect()))
    }

    fn numbers(pieces: &Pieces) -> BTreeSet<u64> {
        pieces.kept.iter().map(|piece| piece.number).collect()
    }

    #[test]
    fn what_is_small_stands_in_the_checkpoint() {
        let change = Pieces::default().change(vec![1; INLINE_BYTES_MAX]).unwrap();
        assert_eq!((change.stored.len(), change.new.len()), (INLINE_BYTES_MAX, 0));
        assert!(read_back(&change.pieces, &change.stored).is_none());
    }

    #[test]
    fn only_pieces_around_a_change_are_written() {
        let mut snapshot = noise(88_172_645_463_325_252, 20 << 20);
        let first = Pieces::default().change(snapshot.clone()).unwrap();
        assert!(first.new.len() > 20 && first.gone.is_empty());
        assert_eq!(read_back(&first.pieces, &first.stored).unwrap().1, snapshot);
        // Bytes come in the middle, and all behind them have another place.
        snapshot.splice(9_000_000..9_000_000, noise(7, 1_000));
        let second = first.pieces.change(snapshot.clone()).unwrap();
        assert!((1..=3).contains(&second.new.len()) && (1..=3).contains(&second.gone.len()), "{:?}", second.new.len());
        let (again, read) = read_back(&second.pieces, &second.stored).unwrap();
        assert_eq!(read, snapshot);
        assert!(second.gone.iter().all(|number| !numbers(&again).contains(number)));
        // A piece's number is never given again, and what is small again has no pieces.
        let oldest = second.new.iter().map(|(number, _)| *number).min().unwrap();
        assert!(numbers(&first.pieces).iter().all(|number| *number < oldest));
        let last = again.change(vec![1; 10]).unwrap();
        assert_eq!(last.gone.len(), again.kept.len());
    }

    #[test]
    fn equal_pieces_are_written_once_and_no_list_is_believed() {
        let change = Pieces::default().change(vec![1; 8 << 20]).unwrap();
        assert_eq!(change.new.len(), 1);
        assert_eq!(read_back(&change.pieces, &change.stored).unwrap().1.len(), 8 << 20);
        assert!(listed(&[LIST, 0]).is_err() && listed(&[LIST; 17]).is_err());
    }
}
