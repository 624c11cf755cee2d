//! Sessions: who is logged in, by a secret that only their browser has. Durable: a restart logs nobody out.

use std::collections::HashMap;
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

use millstream_storage::{Keyspace, Storage, StorageError, Transaction};
use millstream_types::Millis;
use serde::{Deserialize, Serialize};

use crate::secret::{digest, new_secret};

/// How long a session lasts, milliseconds: a working day.
pub const SESSION_MS: Millis = 12 * 60 * 60 * 1_000;

/// How long it lasts without a request, milliseconds.
pub const IDLE_MS: Millis = 2 * 60 * 60 * 1_000;

/// How often it is noted that a session is in use, milliseconds: not at every request.
const NOTE_MS: Millis = 5 * 60 * 1_000;

/// Sessions of one account; one more ends the oldest.
const SESSIONS_PER_ACCOUNT: usize = 10;

/// Sessions of all accounts; one more ends the oldest.
const SESSIONS_MAX: usize = 50_000;

/// What is kept of a session, by its secret's digest.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Kept {
    email: String,
    begun: Millis,
    seen: Millis,
}

/// All sessions.
pub(crate) struct Sessions {
    storage: Storage,
    keyspace: Keyspace,
    kept: Mutex<HashMap<String, Kept>>,
    /// Held while a change is on its way to the disk: memory follows the disk, and changes follow each other.
    changing: tokio::sync::Mutex<()>,
}

impl Sessions {
    /// Reads all sessions. Touches the disk: not for an async worker.
    pub(crate) fn open(storage: Storage) -> Result<Self, StorageError> {
        let keyspace = Keyspace::new("portal/sessions");
        let mut kept = HashMap::new();
        for (key, value) in storage.scan(&keyspace, (Bound::Unbounded, Bound::Unbounded), false, usize::MAX)? {
            // One that cannot be read logs somebody out, no more.
            if let Ok(session) = serde_json::from_slice(&value) {
                kept.insert(String::from_utf8_lossy(&key).into_owned(), session);
            }
        }
        Ok(Self { storage, keyspace, kept: Mutex::new(kept), changing: tokio::sync::Mutex::default() })
    }

    /// Begins a session; gives its secret.
    pub(crate) async fn begin(&self, email: &str, now: Millis) -> Result<String, StorageError> {
        let secret = new_secret();
        let session = Kept { email: email.to_owned(), begun: now, seen: now };
        let name = digest("session", &secret);
        let _turn = self.changing.lock().await;
        let gone = surplus(&self.kept(), email, now);
        let mut transaction = Transaction::new();
        gone.iter().for_each(|gone| {
            transaction.delete(&self.keyspace, gone.clone().into_bytes());
        });
        transaction.put(&self.keyspace, name.clone().into_bytes(), encoded(&session));
        self.storage.commit(transaction).await?;
        let mut kept = self.kept();
        gone.iter().for_each(|gone| drop(kept.remove(gone)));
        kept.insert(name, session);
        Ok(secret)
    }

    /// Whose session a secret is; `None` when it ended or never was.
    pub(crate) fn email(&self, secret: &str, now: Millis) -> Option<String> {
        let name = digest("session", secret);
        let mut kept = self.kept();
        let session = kept.get_mut(&name).filter(|session| lives(session, now))?;
        // One that is just being ended must not be written again behind its end.
        if now - session.seen >= NOTE_MS
            && let Ok(_turn) = self.changing.try_lock()
        {
            session.seen = now;
            let mut transaction = Transaction::new();
            transaction.put(&self.keyspace, name.into_bytes(), encoded(session));
            // When this is lost the session ends a little earlier.
            drop(self.storage.submit(transaction));
        }
        Some(session.email.clone())
    }

    /// Ends one session.
    pub(crate) async fn end(&self, secret: &str) -> Result<(), StorageError> {
        let name = digest("session", secret);
        self.remove(|found, _| *found == name).await
    }

    /// Ends all sessions of an account but one.
    pub(crate) async fn end_all(&self, email: &str, except: Option<&str>) -> Result<(), StorageError> {
        let except = except.map(|secret| digest("session", secret));
        self.remove(|name, session| session.email == email && Some(name) != except.as_ref()).await
    }

    /// Sessions of an account that last.
    pub(crate) fn count(&self, email: &str, now: Millis) -> usize {
        self.kept().values().filter(|session| session.email == email && lives(session, now)).count()
    }

    async fn remove(&self, which: impl Fn(&String, &Kept) -> bool) -> Result<(), StorageError> {
        let _turn = self.changing.lock().await;
        let gone: Vec<String> = {
            let kept = self.kept();
            kept.iter().filter(|(name, session)| which(name, session)).map(|(name, _)| name.clone()).collect()
        };
        if gone.is_empty() {
            return Ok(());
        }
        let mut transaction = Transaction::new();
        gone.iter().for_each(|name| {
            transaction.delete(&self.keyspace, name.clone().into_bytes());
        });
        self.storage.commit(transaction).await?;
        let mut kept = self.kept();
        gone.iter().for_each(|name| drop(kept.remove(name)));
        Ok(())
    }

    fn kept(&self) -> MutexGuard<'_, HashMap<String, Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn lives(session: &Kept, now: Millis) -> bool {
    now - session.begun < SESSION_MS && now - session.seen < IDLE_MS
}

/// The sessions that go when an account begins another: those that ended, and the oldest over either limit.
fn surplus(kept: &HashMap<String, Kept>, email: &str, now: Millis) -> Vec<String> {
    let mut gone: Vec<String> =
        kept.iter().filter(|(_, session)| !lives(session, now)).map(|(name, _)| name.clone()).collect();
    let oldest = |of: &dyn Fn(&Kept) -> bool, limit: usize| -> Option<String> {
        let living = || kept.iter().filter(|(_, session)| lives(session, now) && of(session));
        (living().count() >= limit)
            .then(|| living().min_by_key(|(_, session)| session.begun))?
            .map(|(name, _)| name.clone())
    };
    gone.extend(oldest(&|session| session.email == email, SESSIONS_PER_ACCOUNT));
    if gone.is_empty() {
        gone.extend(oldest(&|_| true, SESSIONS_MAX));
    }
    gone
}

fn encoded(session: &Kept) -> Vec<u8> {
    serde_json::to_vec(session).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use millstream_types::ManualClock;

    use super::*;

    #[tokio::test]
    async fn sessions_last_over_restarts_and_end() {
        let storage = Storage::in_memory(Arc::new(ManualClock::at(0)));
        let sessions = Sessions::open(storage.clone()).unwrap();
        let (one, other) = (sessions.begin("a@x", 0).await.unwrap(), sessions.begin("a@x", 5).await.unwrap());
        let sessions = Sessions::open(storage.clone()).unwrap();
        assert_eq!(sessions.email(&one, 10).as_deref(), Some("a@x"));
        assert_eq!(sessions.email("made up", 10), None);
        assert_eq!(sessions.email(&one, IDLE_MS), None);
        for step in 1..=12 {
            let now = step * (SESSION_MS / 12);
            assert_eq!(sessions.email(&other, now - 1).is_some(), step <= 12, "{step}");
        }
        assert_eq!(sessions.email(&other, SESSION_MS + 5), None);
        sessions.end(&one).await.unwrap();
        assert_eq!(Sessions::open(storage).unwrap().email(&one, 10), None);
    }

    #[tokio::test]
    async fn an_account_has_so_many_sessions_and_can_end_the_others() {
        let sessions = Sessions::open(Storage::in_memory(Arc::new(ManualClock::at(0)))).unwrap();
        let mut secrets = Vec::new();
        for now in 0..=10 {
            secrets.push(sessions.begin("a@x", now).await.unwrap());
        }
        let stranger = sessions.begin("b@x", 11).await.unwrap();
        assert_eq!((sessions.count("a@x", 11), sessions.email(&secrets[0], 11)), (SESSIONS_PER_ACCOUNT, None));
        sessions.end_all("a@x", Some(&secrets[5])).await.unwrap();
        assert_eq!(sessions.count("a@x", 11), 1);
        assert!(sessions.email(&secrets[5], 11).is_some() && sessions.email(&stranger, 11).is_some());
    }
}
