//! An answer's pieces, written as if they were one: several go to the system at once.

use std::io::IoSlice;

use bytes::{Buf, Bytes};

/// What is left of the pieces.
#[derive(Debug)]
pub struct Pieces {
    left: std::vec::IntoIter<Bytes>,
    /// Empty only at the end.
    first: Bytes,
}

impl Pieces {
    /// Pieces that follow each other.
    pub fn new(pieces: Vec<Bytes>) -> Self {
        let mut pieces = Self { left: pieces.into_iter(), first: Bytes::new() };
        pieces.pass_empty();
        pieces
    }

    fn pass_empty(&mut self) {
        while self.first.is_empty()
            && let Some(next) = self.left.next()
        {
            self.first = next;
        }
    }
}

impl Buf for Pieces {
    fn remaining(&self) -> usize {
        self.first.len() + self.left.as_slice().iter().map(Bytes::len).sum::<usize>()
    }

    fn has_remaining(&self) -> bool {
        !self.first.is_empty()
    }

    fn chunk(&self) -> &[u8] {
        &self.first
    }

    fn chunks_vectored<'a>(&'a self, into: &mut [IoSlice<'a>]) -> usize {
        let pieces = std::iter::once(&self.first).chain(self.left.as_slice()).filter(|piece| !piece.is_empty());
        into.iter_mut().zip(pieces).map(|(into, piece)| *into = IoSlice::new(piece)).count()
    }

    fn advance(&mut self, mut count: usize) {
        while count > 0 {
            let now = count.min(self.first.len());
            assert!(now > 0, "advanced behind the last piece");
            self.first.advance(now);
            count -= now;
            self.pass_empty();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_one() {
        let parts = ["", "ab", "", "", "cde", "f", ""];
        for step in 1..=6 {
            let mut pieces = Pieces::new(parts.iter().map(|part| Bytes::from_static(part.as_bytes())).collect());
            let mut seen = Vec::new();
            while pieces.has_remaining() {
                let mut slices = [IoSlice::new(&[]); 2];
                let filled = pieces.chunks_vectored(&mut slices);
                let all: Vec<u8> = slices[..filled].iter().flat_map(|slice| slice.to_vec()).collect();
                assert!(all.starts_with(pieces.chunk()) && !pieces.chunk().is_empty());
                assert_eq!(seen.len() + pieces.remaining(), 6);
                let taken = step.min(all.len());
                seen.extend_from_slice(&all[..taken]);
                pieces.advance(taken);
            }
            assert_eq!(seen, b"abcdef", "{step}");
        }
        assert!(!Pieces::new(vec![Bytes::new()]).has_remaining());
    }
}
