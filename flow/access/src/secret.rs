//! What nobody can guess: bytes, letters and secrets.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Letters and digits that are not taken for one another.
const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// 32 bytes of two random UUIDs: 244 random bits.
pub(crate) fn bytes() -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes[..16].copy_from_slice(uuid::Uuid::new_v4().as_bytes());
    bytes[16..].copy_from_slice(uuid::Uuid::new_v4().as_bytes());
    bytes
}

/// Capital letters and digits, at most 32 of them.
pub(crate) fn letters(count: usize) -> String {
    bytes().iter().take(count).map(|byte| char::from(LETTERS[usize::from(byte % 32)])).collect()
}

/// The secret of a key: 40 characters.
pub(crate) fn secret() -> String {
    STANDARD.encode(&bytes()[..30])
}
