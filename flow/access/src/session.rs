//! Temporary credentials: sealed, not stored.
//!
//! The session token holds whose credentials they are and when they end, under a tag that only the data folder's key makes;
//! the secret is derived from the key's id with the same key. So they are good after a restart too, and cost nothing to keep.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use millstream_storage::{Storage, StorageError, kept_secret};
use millstream_types::{BoxFuture, Millis};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::caller::{Caller, Grant, Origin, TemporaryCredentials};
use crate::error::AccessError;
use crate::secret;

const KEY_BYTES: usize = 32;
const TAG_BYTES: usize = 32;

/// The key that temporary credentials are sealed with. Cheap to clone.
#[derive(Clone)]
pub struct SessionKey([u8; KEY_BYTES]);

/// What a session token says.
#[derive(Serialize, Deserialize)]
struct Content {
    /// The key that the token belongs to.
    key: String,
    caller: Caller,
    /// What it ends with before its time.
    origin: Origin,
    expires: Millis,
}

impl SessionKey {
    /// The key of a store, made if there is none.
    ///
    /// # Errors
    /// [`StorageError`] when it cannot be read or kept.
    pub fn open(storage: &Storage) -> BoxFuture<'_, Result<Self, StorageError>> {
        Box::pin(async move { Ok(Self(kept_secret(storage, "access/sessions", secret::bytes).await?)) })
    }

    /// Credentials of a caller that end at a time, and with their origin.
    pub(crate) fn seal(&self, caller: Caller, origin: Origin, expires: Millis) -> TemporaryCredentials {
        let access_key = format!("MSTK{}", secret::letters(16));
        let content = Content { key: access_key.clone(), caller, origin, expires };
        // Texts and numbers always become JSON.
        let content = serde_json::to_vec(&content).unwrap_or_default();
        let mut bytes = self.mac("token", &content).finalize().into_bytes().to_vec();
        bytes.extend_from_slice(&content);
        TemporaryCredentials {
            secret: self.secret(&access_key),
            access_key,
            token: STANDARD.encode(bytes),
            expires: Some(expires),
        }
    }

    /// What a key and its token grant now, if their origin still stands.
    pub(crate) fn open_token(&self, access_key: &str, token: &str, now: Millis) -> Result<Grant, AccessError> {
        let content = self.content(token).filter(|content| content.key == access_key).ok_or(AccessError::UnknownKey)?;
        if content.expires <= now {
            return Err(AccessError::Expired);
        }
        Ok(Grant { secret: self.secret(access_key), caller: content.caller, origin: content.origin })
    }

    fn content(&self, token: &str) -> Option<Content> {
        let bytes = STANDARD.decode(token).ok()?;
        let (tag, content) = bytes.split_at_checked(TAG_BYTES)?;
        self.mac("token", content).verify_slice(tag).ok()?;
        serde_json::from_slice(content).ok()
    }

    fn secret(&self, access_key: &str) -> String {
        STANDARD.encode(&self.mac("secret", access_key.as_bytes()).finalize().into_bytes()[..30])
    }

    fn mac(&self, purpose: &str, content: &[u8]) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of any length");
        mac.update(purpose.as_bytes());
        // Purposes hold no zero byte: none is the beginning of another.
        mac.update(&[0]);
        mac.update(content);
        mac
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_token_of_the_key_opens_before_its_end() {
        let key = SessionKey(secret::bytes());
        let given = key.seal(Caller::User { name: "anna".into() }, Origin::Development, 1_000);
        let found = key.open_token(&given.access_key, &given.token, 999).unwrap();
        assert_eq!((found.secret, found.caller), (given.secret, Caller::User { name: "anna".into() }));
        let open = |key: &SessionKey, access_key: &str, token: &str, now| {
            key.open_token(access_key, token, now).unwrap_err().kind()
        };
        let refused = millstream_types::ErrorKind::Unauthenticated;
        assert_eq!(open(&key, &given.access_key, &given.token, 1_000), refused);
        assert_eq!(open(&key, "MSTKOTHER", &given.token, 0), refused);
        assert_eq!(open(&key, &given.access_key, &given.token[..40], 0), refused);
        assert_eq!(open(&key, &given.access_key, "?", 0), refused);
        assert_eq!(open(&SessionKey(secret::bytes()), &given.access_key, &given.token, 0), refused);
    }
}
