//! Secrets of a store: made once, kept in it.

use crate::error::StorageError;
use crate::storage::Storage;
use crate::transaction::{Keyspace, Transaction};

/// The only key of such a keyspace: a secret of another form would have another.
const KEY_NAME: &[u8] = b"v1";

/// The secret of a keyspace; what `make` gives is kept when there is none.
///
/// # Errors
/// [`StorageError`] when it cannot be read or kept.
pub async fn kept_secret<const BYTES: usize>(
    storage: &Storage,
    keyspace: &str,
    make: fn() -> [u8; BYTES],
) -> Result<[u8; BYTES], StorageError> {
    let keyspace = Keyspace::new(keyspace);
    let stored = {
        let (storage, keyspace) = (storage.clone(), keyspace.clone());
        tokio::task::spawn_blocking(move || storage.get(&keyspace, KEY_NAME))
            .await
            .map_err(|_| StorageError::Closed)??
    };
    if let Some(secret) = stored.and_then(|bytes| bytes.as_ref().try_into().ok()) {
        return Ok(secret);
    }
    let made = make();
    let mut transaction = Transaction::new();
    transaction.put(&keyspace, KEY_NAME, made.to_vec());
    storage.commit(transaction).await?;
    Ok(made)
}
