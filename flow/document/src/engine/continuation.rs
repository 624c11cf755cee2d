//! Where a page ended, as an opaque text: JSON in base 64. What is in it belongs to each kind of page.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use millstream_table::{AttributeValue, Item};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::document::{self, ID, PARTITION};
use crate::error::DocumentError;

/// What a text says.
///
/// # Errors
/// [`DocumentError::Continuation`].
pub(super) fn read<T: DeserializeOwned>(text: &str) -> Result<T, DocumentError> {
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| DocumentError::Continuation)?;
    serde_json::from_slice(&bytes).map_err(|_| DocumentError::Continuation)
}

/// The text for it.
pub(super) fn text(place: &impl Serialize) -> String {
    // Plain texts and numbers: nothing in it that JSON could not hold.
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(place).unwrap_or_default())
}

/// An item's key as texts: its partition key in base 64, and its id.
pub(super) fn key_text(item: &Item) -> Option<(String, String)> {
    match (item.get(PARTITION), item.get(ID)) {
        (Some(AttributeValue::Binary(partition)), Some(AttributeValue::String(id))) => {
            Some((URL_SAFE_NO_PAD.encode(partition), id.clone()))
        }
        _ => None,
    }
}

/// The key that texts stand for.
///
/// # Errors
/// [`DocumentError::Continuation`].
pub(super) fn key_of((partition, id): &(String, String)) -> Result<Item, DocumentError> {
    let partition = URL_SAFE_NO_PAD.decode(partition).map_err(|_| DocumentError::Continuation)?;
    Ok(document::key(partition.into(), id))
}
