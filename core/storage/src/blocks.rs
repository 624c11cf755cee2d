//! Bytes on their way to the journal or a segment, in whole blocks: what a write past the system's cache wants.
//!
//! Such a write must begin and end at block borders, in memory as in the file. A group of frames begins and ends anywhere,
//! so the bytes that are in its first block already are written again, as they were, and its last block is filled with zeros.

/// Bytes of a block; no disk in use has a larger logical one.
pub(crate) const BLOCK: usize = 4096;

/// A buffer whose content begins at a block border of memory.
#[derive(Default)]
pub(crate) struct Blocks {
    bytes: Vec<u8>,
    /// Where the content begins.
    start: usize,
}

impl Blocks {
    /// Forgets the content and begins with `head`; `more` bytes, rounded up to a block, can follow without another allocation,
    /// which would move the content off its border.
    pub(crate) fn begin(&mut self, head: &[u8], more: usize) {
        self.bytes.clear();
        self.bytes.reserve(BLOCK + (head.len() + more).next_multiple_of(BLOCK));
        self.start = self.bytes.as_ptr().align_offset(BLOCK).min(BLOCK);
        self.bytes.resize(self.start, 0);
        self.bytes.extend_from_slice(head);
    }

    /// Where frames are put, at the end.
    pub(crate) fn end(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Bytes of the content.
    pub(crate) fn length(&self) -> usize {
        self.bytes.len() - self.start
    }

    /// The content as it is.
    pub(crate) fn content(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// The content, filled with zeros to a block border, yet not beyond `most` bytes.
    pub(crate) fn filled(&mut self, most: usize) -> &[u8] {
        let length = self.length();
        self.bytes.resize(self.start + length.next_multiple_of(BLOCK).min(most.max(length)), 0);
        &self.bytes[self.start..]
    }

    /// Gives memory above `bytes` back.
    pub(crate) fn shrink_to(&mut self, bytes: usize) {
        self.bytes.clear();
        self.start = 0;
        self.bytes.shrink_to(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_lies_in_whole_blocks() {
        let mut blocks = Blocks::default();
        for (head, more, most, expected) in
            [(0, 10, 1 << 20, BLOCK), (4000, 200, 1 << 20, 2 * BLOCK), (8, 8, 16, 16), (0, BLOCK, 0, BLOCK)]
        {
            blocks.begin(&vec![1; head], more);
            blocks.end().extend(std::iter::repeat_n(2, more));
            assert_eq!(blocks.length(), head + more);
            let filled = blocks.filled(most);
            assert_eq!(filled.as_ptr().align_offset(BLOCK), 0);
            assert_eq!(filled.len(), expected);
            assert!(filled[..head].iter().all(|&byte| byte == 1));
            assert!(filled[head..head + more].iter().all(|&byte| byte == 2));
            assert!(filled[head + more..].iter().all(|&byte| byte == 0));
        }
    }
}
