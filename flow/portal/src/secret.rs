//! Secrets that nobody can guess, and how they are kept: by their digest, so that who reads the disk cannot use them.

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use uuid::Uuid;

/// A new secret: 64 hexadecimal digits, 244 of its bits are random.
#[must_use]
pub fn new_secret() -> String {
    format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple())
}

/// An id that is never given twice: 12 letters and digits.
pub(crate) fn new_id() -> String {
    Uuid::new_v4().simple().to_string()[..12].to_owned()
}

/// The digest of a secret for one purpose, hexadecimal: digests for different purposes have nothing in common.
#[must_use]
pub fn digest(purpose: &str, secret: &str) -> String {
    hex::encode(Sha256::new().chain_update(purpose).chain_update([0]).chain_update(secret).finalize())
}

/// Whether two texts are the same, in a time that does not tell where they differ.
#[must_use]
pub fn same(left: &str, right: &str) -> bool {
    left.as_bytes().ct_eq(right.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_bound_to_their_purpose() {
        let secret = new_secret();
        assert_eq!(secret.len(), 64);
        assert!(same(&digest("a", &secret), &digest("a", &secret)));
        assert!(!same(&digest("a", &secret), &digest("b", &secret)));
        assert_ne!(digest("ab", "c"), digest("a", "bc"));
        assert!(!same("a", "ab"));
    }
}
