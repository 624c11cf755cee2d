//! Texts that clients bring back and only this node can have made: iterators and tokens of listings.
//!
//! A sealed text is base64 of an HMAC-SHA256 over its purpose and its content, cut to 128 bits, and the content. The key is
//! random, made once per data folder and kept in its store: sealed texts survive a restart, and nobody who does not have the
//! folder can make one up.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use millstream_storage::{Storage, StorageError, kept_secret};
use sha2::Sha256;

const TAG_BYTES: usize = 16;
const KEY_BYTES: usize = 32;

/// The node's key for sealing. Cheap to clone.
#[derive(Clone)]
pub struct Seal {
    key: [u8; KEY_BYTES],
}

impl Seal {
    /// The key of a store, made if there is none.
    ///
    /// # Errors
    /// [`StorageError`] when it cannot be read or kept.
    pub async fn open(storage: &Storage) -> Result<Self, StorageError> {
        Ok(Self { key: kept_secret(storage, "kinesis/seal", key).await? })
    }

    /// With a key that nobody has seen.
    #[cfg(test)]
    pub(crate) fn random() -> Self {
        Self { key: key() }
    }

    /// `purpose` keeps a text from being used as something else than it was made for.
    pub(crate) fn seal(&self, purpose: &str, content: &[u8]) -> String {
        let mut bytes = self.mac(purpose, content).finalize().into_bytes()[..TAG_BYTES].to_vec();
        bytes.extend_from_slice(content);
        STANDARD.encode(bytes)
    }

    /// The content; `None` for a text that this node did not make for this purpose.
    pub(crate) fn open_text(&self, purpose: &str, text: &str) -> Option<Vec<u8>> {
        let bytes = STANDARD.decode(text).ok()?;
        let (tag, content) = bytes.split_at_checked(TAG_BYTES)?;
        self.mac(purpose, content).verify_truncated_left(tag).ok()?;
        Some(content.to_vec())
    }

    fn mac(&self, purpose: &str, content: &[u8]) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).expect("HMAC takes keys of any length");
        mac.update(purpose.as_bytes());
        // Purposes hold no zero byte: none is the beginning of another.
        mac.update(&[0]);
        mac.update(content);
        mac
    }
}

/// Two random UUIDs, 244 random bits.
fn key() -> [u8; KEY_BYTES] {
    let mut key = [0; KEY_BYTES];
    let (first, second) = key.split_at_mut(KEY_BYTES / 2);
    first.copy_from_slice(uuid::Uuid::new_v4().as_bytes());
    second.copy_from_slice(uuid::Uuid::new_v4().as_bytes());
    key
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use millstream_types::SystemClock;

    use super::*;

    #[tokio::test]
    async fn the_key_of_a_store_stays_and_those_of_others_differ() {
        let storage = Storage::in_memory(Arc::new(SystemClock));
        let text = Seal::open(&storage).await.unwrap().seal("iterator", b"content");
        let again = Seal::open(&storage).await.unwrap();
        assert_eq!(again.open_text("iterator", &text).as_deref(), Some(&b"content"[..]));
        assert_eq!(again.open_text("token", &text), None, "made for something else");
        assert_eq!(Seal::random().open_text("iterator", &text), None, "made by another node");
    }

    #[test]
    fn no_bit_of_a_text_may_change() {
        let seal = Seal::random();
        let bytes = STANDARD.decode(seal.seal("iterator", b"content")).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut other = bytes.clone();
            other[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(seal.open_text("iterator", &STANDARD.encode(other)), None);
        }
        for text in ["", "AAAA", "no base64!"] {
            assert_eq!(seal.open_text("iterator", text), None);
        }
    }
}
