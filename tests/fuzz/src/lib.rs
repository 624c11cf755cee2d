//! Fuzzing as an ordinary test: valid input is changed from a seed and given to a decoder, which must not panic and must not
//! take more memory than its bounds say. For tests alone; whoever links this has its allocator counted.
//!
//! Each round has a seed of its own, which a failure prints: `MILLSTREAM_FUZZ_SEED=N MILLSTREAM_FUZZ_ROUNDS=1` runs that
//! round again. More rounds by the same variable. Read next: `mutation` (what is changed), `memory` (what is counted).

mod memory;
mod mutation;

use fastrand::Rng;

pub use memory::peak_bytes;

/// The seed of the first round unless a variable says otherwise.
const SEED: u64 = 1;

/// What a decoder may hold at once: so many bytes, and so many for each byte of its input.
#[derive(Debug, Clone, Copy)]
pub struct Memory {
    /// Bytes for any input.
    pub fixed: usize,
    /// Bytes for each byte of input.
    pub per_byte: usize,
}

/// A decoder under test.
pub struct Target<'t> {
    /// What failures call it.
    pub name: &'static str,
    /// Valid input; unchanged it is tried first.
    pub corpus: &'t [Vec<u8>],
    /// Makes right again what a change breaks and a decoder looks at first (a checksum, a frame's length), so that changes
    /// reach what is behind it. Applied to half of the inputs.
    pub mend: fn(&mut [u8]),
    /// What it may hold.
    pub memory: Memory,
    /// Rounds of one run unless the variable says otherwise.
    pub rounds: u64,
}

/// Nothing has to be mended.
pub fn as_it_is(_: &mut [u8]) {}

impl Target<'_> {
    /// Gives the corpus and then changed input to `check`, which decodes it and panics when something is not as it must be.
    ///
    /// # Panics
    /// When `check` does, or holds more memory than it may.
    pub fn run(&self, mut check: impl FnMut(&[u8])) {
        assert!(!self.corpus.is_empty(), "{}: expected valid input to change", self.name);
        for input in self.corpus {
            self.look(input, "the corpus, unchanged", &mut check);
        }
        let first = variable("MILLSTREAM_FUZZ_SEED").unwrap_or(SEED);
        for seed in first..first.saturating_add(variable("MILLSTREAM_FUZZ_ROUNDS").unwrap_or(self.rounds)) {
            let mut rng = Rng::with_seed(seed);
            let mut input = self.corpus[rng.usize(..self.corpus.len())].clone();
            mutation::change(&mut input, self.corpus, &mut rng);
            if rng.bool() {
                (self.mend)(&mut input);
            }
            self.look(&input, &format!("MILLSTREAM_FUZZ_SEED={seed} MILLSTREAM_FUZZ_ROUNDS=1"), &mut check);
        }
    }

    fn look(&self, input: &[u8], origin: &str, check: &mut impl FnMut(&[u8])) {
        let told = Told { name: self.name, origin, input };
        let bytes = peak_bytes(|| check(input));
        let allowed = self.memory.fixed + self.memory.per_byte * input.len();
        assert!(bytes <= allowed, "expected at most {allowed} bytes for an input of {}, found {bytes}", input.len());
        drop(told);
    }
}

fn variable(name: &str) -> Option<u64> {
    std::env::var(name)
        .ok()
        .map(|text| text.parse().unwrap_or_else(|_| panic!("expected a number in {name}, found `{text}`")))
}

/// Tells of the input under way when the test ends in a panic.
struct Told<'i> {
    name: &'static str,
    origin: &'i str,
    input: &'i [u8],
}

impl Drop for Told<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}: {}\ninput: {:02x?}", self.name, self.origin, self.input);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    fn target(corpus: &[Vec<u8>]) -> Target<'_> {
        let memory = Memory { fixed: 1_024, per_byte: 8 };
        Target { name: "test", corpus, mend: as_it_is, memory, rounds: 2_000 }
    }

    #[test]
    fn runs_are_the_same_and_inputs_are_not() {
        let corpus = [b"0123456789".to_vec(), vec![0xff; 40]];
        let run = || {
            let mut seen = Vec::new();
            let memory = Memory { fixed: 1 << 20, per_byte: 0 };
            Target { memory, ..target(&corpus) }.run(|input| seen.push(input.to_vec()));
            seen
        };
        let mut seen = run();
        assert_eq!(seen, run());
        assert_eq!(seen[..2], corpus);
        seen.sort();
        seen.dedup();
        assert!(seen.len() > 1_400, "{}", seen.len());
    }

    #[test]
    fn what_a_decoder_must_not_do_is_found() {
        let corpus = [vec![4, 1, 2, 3, 4]];
        // Believes its first byte.
        let trusting = |input: &[u8]| {
            if let [length, rest @ ..] = input {
                let _ = &rest[..usize::from(*length)];
            }
        };
        assert!(catch_unwind(AssertUnwindSafe(|| target(&corpus).run(trusting))).is_err());
        let greedy = |input: &[u8]| drop(std::hint::black_box(vec![0; usize::from(*input.first().unwrap_or(&0)) << 8]));
        assert!(catch_unwind(AssertUnwindSafe(|| target(&corpus).run(greedy))).is_err());
    }
}
