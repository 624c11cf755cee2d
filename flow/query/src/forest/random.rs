//! Numbers that look random and are always the same for the same words, so that state need not hold them.

/// Words turned into one that shows nothing of them, one after the other.
#[derive(Clone, Copy)]
pub(super) struct Mixed(u64);

impl Mixed {
    pub(super) fn new(seed: u64) -> Self {
        Self(scrambled(seed))
    }

    pub(super) fn with(self, word: u64) -> Self {
        Self(scrambled(self.0 ^ word))
    }

    /// A number above 0 and below 1.
    pub(super) fn unit(self) -> f64 {
        ((self.0 >> 12) as f64 + 0.5) / (1_u64 << 52) as f64
    }
}

/// One step of SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014).
fn scrambled(word: u64) -> u64 {
    let mut word = word.wrapping_add(0x9e37_79b9_7f4a_7c15);
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}
