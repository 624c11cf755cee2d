//! Eight bytes of a text at once, as a number: where a plain string ends, what digits say.
//!
//! Bytes are told apart by arithmetic on the whole word, which any machine has. Of the bytes that a test finds the first is
//! exact; those behind it need not be, so only the first is asked for. Sources: Mycroft's test for a zero byte; Lemire,
//! "Quickly parsing eight digits".

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// Digits that [`digits`] reads at most.
pub(super) const DIGITS_MAX: usize = 16;

const POWERS: [u64; 9] = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000];

/// Eight bytes from a place on, the first of them lowest; zeros behind the end.
#[inline]
pub(super) fn word(bytes: &[u8], at: usize) -> u64 {
    match bytes.get(at..).and_then(<[u8]>::first_chunk) {
        Some(chunk) => u64::from_le_bytes(*chunk),
        None => last_word(bytes, at),
    }
}

/// The same near the end, where the last eight bytes hold what is left.
#[inline]
fn last_word(bytes: &[u8], at: usize) -> u64 {
    let left = bytes.len().saturating_sub(at);
    match bytes.last_chunk() {
        Some(last) if left > 0 => u64::from_le_bytes(*last) >> (64 - 8 * left),
        _ => short_word(&bytes[bytes.len() - left..]),
    }
}

/// The same of a text that is no word itself.
#[cold]
fn short_word(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte))
}

/// A text that is compared by words.
pub(super) struct Literal {
    /// The bytes of its first two words, and which of them count.
    first: [(u64, u64); 2],
    /// The same of the words behind them, which few have.
    behind: Box<[(u64, u64)]>,
    pub(super) length: usize,
}

impl Literal {
    pub(super) fn new(text: &str) -> Self {
        let bytes = text.as_bytes();
        let of_word = |at: usize| {
            let counting = bytes.len().saturating_sub(at).min(8);
            (word(bytes, at), u64::MAX.checked_shr(64 - 8 * counting as u32).unwrap_or(0))
        };
        Self {
            first: [of_word(0), of_word(8)],
            behind: (16..bytes.len()).step_by(8).map(of_word).collect(),
            length: bytes.len(),
        }
    }

    pub(super) fn is(&self, text: &str) -> bool {
        self.length == text.len() && self.begins(text.as_bytes(), 0)
    }

    /// Whether it stands at a place. What is behind the end counts as zeros, which no text of JSON has between values.
    #[inline]
    pub(super) fn begins(&self, data: &[u8], at: usize) -> bool {
        let differs = |(place, (bytes, counting)): (usize, &(u64, u64))| word(data, at + 8 * place) & counting ^ bytes;
        let [first, second] = &self.first;
        let same = differs((0, first)) | differs((1, second)) == 0;
        same && (self.behind.is_empty() || (2..).zip(&self.behind).all(|word| differs(word) == 0))
    }
}

/// The place of the first byte, from one on, that is no plain part of a string: a quote, a backslash, a control character, what is
/// not ASCII, or the end.
#[inline]
pub(super) fn plain_end(bytes: &[u8], mut at: usize) -> usize {
    loop {
        let word = word(bytes, at);
        let control = word.wrapping_sub(ONES * 0x20) & !word;
        let stops = (control | zeros(word ^ (ONES * 0x22)) | zeros(word ^ (ONES * 0x5c)) | word) & HIGH;
        if stops != 0 {
            return at + first(stops);
        }
        at += 8;
    }
}

/// What the digits from a place on say, and how many they are; [`DIGITS_MAX`] may be more.
#[inline]
pub(super) fn digits(bytes: &[u8], at: usize) -> (u64, usize) {
    let first = word(bytes, at);
    let count = digits_of(first);
    if count < 8 {
        return (said(first, count), count);
    }
    let second = word(bytes, at + 8);
    let more = digits_of(second);
    (said(first, 8) * POWERS[more] + said(second, more), 8 + more)
}

/// How many digits stand from a place on; [`DIGITS_MAX`] may be more.
#[inline]
pub(super) fn digits_count(bytes: &[u8], at: usize) -> usize {
    match digits_of(word(bytes, at)) {
        8 => 8 + digits_of(word(bytes, at + 8)),
        count => count,
    }
}

/// How many of a word's bytes are digits, before one that is none.
#[inline]
fn digits_of(word: u64) -> usize {
    // Digits are 0 to 9 now, and nothing else is; what is more than 9 has its high bit after the sum.
    let word = word ^ (ONES * 0x30);
    let others = (word.wrapping_add(ONES * 0x76) | word) & HIGH;
    if others == 0 { 8 } else { first(others) }
}

/// What a word's first digits say.
#[inline]
fn said(word: u64, count: usize) -> u64 {
    if count == 0 {
        return 0;
    }
    // Zeros in front, then twos, fours and all eight together.
    let word = (word ^ (ONES * 0x30)) << (64 - 8 * count);
    let word = (word * 10 + (word >> 8)) & 0x00ff_00ff_00ff_00ff;
    let word = (word * 100 + (word >> 16)) & 0x0000_ffff_0000_ffff;
    (word * 10_000 + (word >> 32)) & 0xffff_ffff
}

/// Bytes that are zero, by their high bits.
#[inline]
fn zeros(word: u64) -> u64 {
    word.wrapping_sub(ONES) & !word
}

/// The first byte whose high bit is set.
#[inline]
fn first(marks: u64) -> usize {
    marks.trailing_zeros() as usize / 8
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn digits_are_read_up_to_what_is_none() {
        let read = |text: &str| digits(text.as_bytes(), 0);
        assert_eq!((read(""), read("x"), read("0"), read("7,")), ((0, 0), (0, 0), (0, 1), (7, 1)));
        assert_eq!((read("12345678"), read("123456789}")), ((12_345_678, 8), (123_456_789, 9)));
        assert_eq!(
            (read("1700000000000,1"), read("9999999999999999")),
            ((1_700_000_000_000, 13), (9_999_999_999_999_999, 16))
        );
        assert_eq!((read("1:"), read("1/"), read("1\u{e9}")), ((1, 1), (1, 1), (1, 1)));
    }

    proptest! {
        #[test]
        fn words_find_what_bytes_find(bytes in proptest::collection::vec(any::<u8>(), 0..40), from in 0usize..48) {
            let at = from.min(bytes.len());
            let is_stop = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..0x20 | 0x80..);
            let stop = bytes[at..].iter().position(is_stop).map_or(bytes.len(), |found| at + found);
            prop_assert_eq!(plain_end(&bytes, at), stop);
            let mut padded = [0; 8];
            bytes[at..].iter().take(8).enumerate().for_each(|(place, byte)| padded[place] = *byte);
            prop_assert_eq!(word(&bytes, from), if from > bytes.len() { 0 } else { u64::from_le_bytes(padded) });
        }

        #[test]
        fn digits_are_numbers(text in "[0-9]{1,16}[^0-9]{0,9}") {
            let end = text.find(|char: char| !char.is_ascii_digit()).unwrap_or(text.len());
            prop_assert_eq!(digits(text.as_bytes(), 0), (text[..end].parse().unwrap(), end));
        }
    }
}
