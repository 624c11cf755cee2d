//! Passwords: Argon2id, a few at a time, never on an async worker. A password is in no log, no error and no answer.

use std::sync::Arc;

use argon2::{Algorithm, Argon2, Params, Version};
use millstream_catalog::PasswordHash;
use tokio::sync::Semaphore;
use uuid::Uuid;

use crate::error::PortalError;
use crate::secret::same;

/// Characters of a password, at least: what guidance for chosen passwords asks for.
pub const PASSWORD_CHARS_MIN: usize = 10;

/// Bytes of a password, at most: enough for sentences, and nobody makes the node hash novels.
pub const PASSWORD_BYTES_MAX: usize = 256;

/// Memory of one hash, KiB, and passes over it: the least that is recommended for Argon2id with one lane.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;

/// Bytes of a hash.
const HASH_BYTES: usize = 32;

/// Hashes at once: each takes a core for tens of milliseconds and its memory.
const HASHES_AT_ONCE: usize = 2;

/// Hashes that wait for their turn.
const WAITING_MAX: usize = 64;

/// What hashes and compares. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Passwords {
    turns: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
}

impl Passwords {
    pub(crate) fn new() -> Self {
        Self {
            turns: Arc::new(Semaphore::new(HASHES_AT_ONCE)),
            waiting: Arc::new(Semaphore::new(HASHES_AT_ONCE + WAITING_MAX)),
        }
    }

    /// A password as it is kept.
    pub(crate) async fn hash(&self, password: String) -> Result<PasswordHash, PortalError> {
        self.run(move || {
            let salt = Uuid::new_v4().simple().to_string();
            let hash = derive(&password, &salt, MEMORY_KIB, PASSES)?;
            Some(PasswordHash { memory_kib: MEMORY_KIB, passes: PASSES, salt, hash })
        })
        .await?
        .ok_or(PortalError::Broken { what: "hashing a password" })
    }

    /// Whether it is this password. Without a hash it takes as long and is none: the time tells nothing.
    pub(crate) async fn is(&self, password: String, hash: Option<PasswordHash>) -> Result<bool, PortalError> {
        self.run(move || {
            let Some(kept) = hash else {
                // Nobody has this one; the work is what counts.
                let _ = derive(&password, "00000000000000000000000000000000", MEMORY_KIB, PASSES);
                return false;
            };
            let derived = derive(&password, &kept.salt, kept.memory_kib, kept.passes);
            derived.is_some_and(|derived| same(&derived, &kept.hash))
        })
        .await
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, PortalError> {
        let _place = self.waiting.try_acquire().map_err(|_| PortalError::Busy)?;
        let broken = PortalError::Broken { what: "hashing a password" };
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(|_| broken.clone())?;
        let done = tokio::task::spawn_blocking(move || {
            let done = work();
            drop(turn);
            done
        });
        done.await.map_err(|_| broken)
    }
}

/// What is wrong with a password that somebody chose, if anything is.
pub(crate) fn check(password: &str, email: &str) -> Result<(), PortalError> {
    let wrong = |expected: String| Err(PortalError::Field { field: "password", expected });
    if password.len() > PASSWORD_BYTES_MAX {
        return wrong(format!("at most {PASSWORD_BYTES_MAX} bytes"));
    }
    if password.chars().count() < PASSWORD_CHARS_MIN {
        return wrong(format!("at least {PASSWORD_CHARS_MIN} characters"));
    }
    if password.eq_ignore_ascii_case(email) {
        return wrong("another text than your e-mail address".to_owned());
    }
    Ok(())
}

fn derive(password: &str, salt: &str, memory_kib: u32, passes: u32) -> Option<String> {
    let params = Params::new(memory_kib, passes, 1, Some(HASH_BYTES)).ok()?;
    let mut hash = [0; HASH_BYTES];
    let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    argon.hash_password_into(password.as_bytes(), salt.as_bytes(), &mut hash).ok()?;
    Some(hex::encode(hash))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_is_known_again() {
        let passwords = Passwords::new();
        let hash = passwords.hash("correct horse".to_owned()).await.unwrap();
        assert!(!format!("{hash:?}").contains("horse"));
        assert!(passwords.is("correct horse".to_owned(), Some(hash.clone())).await.unwrap());
        assert!(!passwords.is("correct horsf".to_owned(), Some(hash)).await.unwrap());
        assert!(!passwords.is("correct horse".to_owned(), None).await.unwrap());
    }

    #[test]
    fn short_long_and_obvious_passwords_are_refused() {
        check("0123456789", "a@b.c").unwrap();
        for password in ["", "012345678", "someone@example.org", &"x".repeat(257)] {
            assert!(check(password, "someone@example.org").is_err(), "{password}");
        }
    }
}
