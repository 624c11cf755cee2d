//! Asynchronous invocations: durable before they are acknowledged, run afterwards, tried again when they fail.

use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use millstream_storage::{Keyspace, Storage, StorageError, Transaction};
use millstream_types::{ErrorKind, Invocation, InvocationId, Invoke as _, Millis};
use serde::{Deserialize, Serialize};

use crate::engine::Functions;
use crate::error::FunctionError;

/// The largest event of an asynchronous invocation: the service's limit.
pub(crate) const PAYLOAD_BYTES_MAX: usize = 1 << 20;

/// How long a throttled invocation is tried again: the service's default.
const AGE_MS_MAX: Millis = 6 * 3_600_000;

/// First and longest wait after a throttle.
const THROTTLE_WAITS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(300));

/// An invocation as kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Kept {
    pub(crate) function: String,
    source: String,
    client_context: Option<String>,
    payload: String,
    accepted: Millis,
    /// How often it ran and failed.
    failures: usize,
}

/// Where they are kept.
#[derive(Clone)]
pub(crate) struct AsyncStore {
    storage: Storage,
    keyspace: Keyspace,
}

impl AsyncStore {
    pub(crate) fn new(storage: Storage) -> Self {
        Self { storage, keyspace: Keyspace::new("function/async") }
    }

    async fn put(&self, id: &str, kept: &Kept) -> Result<(), StorageError> {
        let mut transaction = Transaction::new();
        // The type holds only texts and numbers: it always has a JSON form.
        transaction.put(&self.keyspace, id.as_bytes().to_vec(), serde_json::to_vec(kept).unwrap_or_default());
        self.storage.commit(transaction).await?;
        Ok(())
    }

    async fn remove(&self, id: &str) -> Result<(), StorageError> {
        let mut transaction = Transaction::new();
        transaction.delete(&self.keyspace, id.as_bytes().to_vec());
        self.storage.commit(transaction).await?;
        Ok(())
    }

    async fn get(&self, id: &str) -> Result<Option<Kept>, StorageError> {
        let (store, key) = (self.clone(), id.as_bytes().to_vec());
        let stored = tokio::task::spawn_blocking(move || store.storage.get(&store.keyspace, &key))
            .await
            .map_err(|_| StorageError::Closed)??;
        Ok(stored.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    }

    /// The ids of all that were accepted and have not ended. Reads the disk.
    pub(crate) fn ids(&self) -> Result<Vec<String>, StorageError> {
        let all = self.storage.scan(&self.keyspace, (Bound::Unbounded, Bound::Unbounded), false, usize::MAX)?;
        Ok(all.into_iter().map(|(key, _)| String::from_utf8_lossy(&key).into_owned()).collect())
    }
}

/// Accepts an invocation: durable when this returns.
pub(crate) async fn accept(
    functions: &Functions,
    store: &AsyncStore,
    invocation: Invocation,
    now: Millis,
) -> Result<InvocationId, FunctionError> {
    let found = invocation.payload.len();
    if found > PAYLOAD_BYTES_MAX {
        return Err(FunctionError::PayloadTooLarge { found, limit: PAYLOAD_BYTES_MAX });
    }
    let id = uuid::Uuid::new_v4().to_string();
    let kept = Kept {
        function: invocation.function,
        source: invocation.source,
        client_context: invocation.client_context,
        payload: STANDARD.encode(&invocation.payload),
        accepted: now,
        failures: 0,
    };
    store.put(&id, &kept).await?;
    tokio::spawn(run(functions.clone(), store.clone(), id.clone()));
    Ok(id)
}

/// Runs an accepted invocation to its end; only its id is held while it waits.
pub(crate) async fn run(functions: Functions, store: AsyncStore, id: String) {
    let mut throttle_wait = THROTTLE_WAITS.0;
    loop {
        match attempt(&functions, &store, &id).await {
            Ok(Next::Ended) => return,
            Ok(Next::RetryAfter(wait)) => tokio::time::sleep(wait).await,
            Ok(Next::Throttled) => {
                tokio::time::sleep(throttle_wait).await;
                throttle_wait = (throttle_wait * 2).min(THROTTLE_WAITS.1);
            }
            Err(error) => {
                // The store is closed or poisoned: the invocation is kept and runs after the next start.
                tracing::warn!(invocation = %id, %error, "an asynchronous invocation waits for the next start");
                return;
            }
        }
    }
}

enum Next {
    Ended,
    RetryAfter(Duration),
    Throttled,
}

async fn attempt(functions: &Functions, store: &AsyncStore, id: &str) -> Result<Next, StorageError> {
    let Some(mut kept) = store.get(id).await? else { return Ok(Next::Ended) };
    let invocation = Invocation {
        function: kept.function.clone(),
        payload: Bytes::from(STANDARD.decode(&kept.payload).unwrap_or_default()),
        source: kept.source.clone(),
        client_context: kept.client_context.clone(),
        log_tail: false,
    };
    let reason = match functions.invoke(invocation).await {
        Ok(outcome) if outcome.error.is_none() => {
            store.remove(id).await?;
            return Ok(Next::Ended);
        }
        Ok(outcome) => String::from_utf8_lossy(&outcome.payload).into_owned(),
        Err(error) if matches!(error.kind, ErrorKind::Throttled | ErrorKind::Unavailable) => {
            if functions.now() - kept.accepted < AGE_MS_MAX {
                return Ok(Next::Throttled);
            }
            error.to_string()
        }
        Err(error) => error.to_string(),
    };
    kept.failures += 1;
    let waits: Arc<[Duration]> = functions.retry_waits();
    if let Some(wait) = waits.get(kept.failures - 1) {
        store.put(id, &kept).await?;
        return Ok(Next::RetryAfter(*wait));
    }
    functions.gave_up(&kept.function, id, &reason);
    store.remove(id).await?;
    Ok(Next::Ended)
}
