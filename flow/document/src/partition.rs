//! Partition keys: where they are in a document, and their one encoding as a table's hash key. Pure.
//!
//! A value that the document does not have is `None` here, which is a partition key of its own, different from null.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use serde_json::{Map, Value};

use crate::error::DocumentError;
use crate::query::Query;

/// Paths of one partition key: a hierarchy of three levels, the service family's own limit.
pub const PATHS_MAX: usize = 3;
/// Bytes of an encoded partition key: what a table takes as a hash key.
pub const PARTITION_KEY_BYTES_MAX: usize = 2048;

// The first byte of each encoded value. On disk for good.
const ABSENT: u8 = 1;
const NULL: u8 = 2;
const FALSE: u8 = 3;
const TRUE: u8 = 4;
const NUMBER: u8 = 5;
const TEXT: u8 = 6;

/// A partition key's values, one for each path; `None` where a document has nothing.
#[derive(Debug, Clone, PartialEq)]
pub struct PartitionKey(Vec<Option<Value>>);

impl PartitionKey {
    /// A key of given values.
    ///
    /// # Errors
    /// [`DocumentError::PartitionKeyValue`] when a value is a list or an object.
    pub fn new(values: Vec<Option<Value>>) -> Result<Self, DocumentError> {
        let composed = |value: &Option<Value>| matches!(value, Some(Value::Array(_) | Value::Object(_)));
        if values.iter().any(composed) { Err(DocumentError::PartitionKeyValue) } else { Ok(Self(values)) }
    }

    /// The key of a document.
    ///
    /// # Errors
    /// [`DocumentError::PartitionKeyValue`] when there is a list or an object at a path.
    pub fn of_document(document: &Map<String, Value>, paths: &[String]) -> Result<Self, DocumentError> {
        let at = |path: &String| -> Result<Option<Value>, DocumentError> {
            let names = path_names(path)?;
            let (first, rest) = names.split_first().ok_or_else(|| no_path(path))?;
            let found = document.get(first).and_then(|top| rest.iter().try_fold(top, |value, name| value.get(name)));
            Ok(found.cloned())
        };
        Self::new(paths.iter().map(at).collect::<Result<_, _>>()?)
    }

    /// The key that a query's filter leaves as the only one; `None` when there may be others.
    #[must_use]
    pub fn of_query(query: &Query, paths: &[String]) -> Option<Self> {
        let at = |path: &String| query.fixed(&path_names(path).ok()?).cloned();
        let values: Vec<Value> = paths.iter().map(at).collect::<Option<_>>()?;
        Self::new(values.into_iter().map(Some).collect()).ok()
    }

    /// The bytes of each of its values that clients hash.
    pub(crate) fn hashed_bytes(&self) -> Vec<Vec<u8>> {
        let bytes = |value: &Option<Value>| match value {
            None | Some(Value::Array(_) | Value::Object(_)) => vec![0],
            Some(Value::Null) => vec![1],
            Some(Value::Bool(false)) => vec![2],
            Some(Value::Bool(true)) => vec![3],
            Some(Value::Number(number)) => {
                let number = number.as_f64().unwrap_or_default() + 0.0;
                std::iter::once(5).chain(number.to_le_bytes()).collect()
            }
            Some(Value::String(text)) => std::iter::once(8).chain(text.bytes()).chain([0xff]).collect(),
        };
        self.0.iter().map(bytes).collect()
    }

    /// The key that was encoded as these bytes; `None` when they are none.
    pub(crate) fn decode(mut bytes: Bytes) -> Option<Self> {
        let mut values = Vec::new();
        while bytes.has_remaining() {
            values.push(match bytes.get_u8() {
                ABSENT => None,
                NULL => Some(Value::Null),
                FALSE => Some(Value::Bool(false)),
                TRUE => Some(Value::Bool(true)),
                NUMBER => Some(bytes.try_get_f64().ok()?.into()),
                TEXT => {
                    let length = bytes.try_get_u32().ok()? as usize;
                    let text = (length <= bytes.len()).then(|| bytes.split_to(length))?;
                    Some(String::from_utf8(text.to_vec()).ok()?.into())
                }
                _ => return None,
            });
        }
        Some(Self(values))
    }

    /// Its bytes as a table's hash key.
    ///
    /// # Errors
    /// [`DocumentError::PartitionKeyCount`], [`DocumentError::PartitionKeyTooLarge`].
    pub fn encode(&self, paths: &[String]) -> Result<Bytes, DocumentError> {
        if self.0.len() != paths.len() {
            return Err(DocumentError::PartitionKeyCount { expected: paths.len(), found: self.0.len() });
        }
        let mut out = BytesMut::new();
        for value in &self.0 {
            put(&mut out, value.as_ref());
        }
        if out.len() > PARTITION_KEY_BYTES_MAX {
            return Err(DocumentError::PartitionKeyTooLarge { bytes: out.len(), max: PARTITION_KEY_BYTES_MAX });
        }
        Ok(out.freeze())
    }
}

fn put(out: &mut BytesMut, value: Option<&Value>) {
    match value {
        None | Some(Value::Array(_) | Value::Object(_)) => out.put_u8(ABSENT),
        Some(Value::Null) => out.put_u8(NULL),
        Some(Value::Bool(false)) => out.put_u8(FALSE),
        Some(Value::Bool(true)) => out.put_u8(TRUE),
        Some(Value::Number(number)) => {
            // 1 and 1.0 are one key, and so are 0 and -0.
            out.put_u8(NUMBER);
            out.put_f64(number.as_f64().unwrap_or_default() + 0.0);
        }
        Some(Value::String(text)) => {
            out.put_u8(TEXT);
            out.put_u32(u32::try_from(text.len()).unwrap_or(u32::MAX));
            out.put_slice(text.as_bytes());
        }
    }
}

/// Refuses paths that no document can have.
///
/// # Errors
/// [`DocumentError::PartitionKeyPath`], [`DocumentError::PartitionKeyPaths`].
pub fn check_paths(paths: &[String]) -> Result<(), DocumentError> {
    if paths.is_empty() || paths.len() > PATHS_MAX {
        return Err(DocumentError::PartitionKeyPaths { found: paths.len(), max: PATHS_MAX });
    }
    paths.iter().try_for_each(|path| path_names(path).map(|_| ()))
}

/// The names of a path: `/a/b` or `/"a b"/c`.
pub(crate) fn path_names(path: &str) -> Result<Vec<String>, DocumentError> {
    let mut names = Vec::new();
    let mut rest = path;
    while !rest.is_empty() {
        rest = rest.strip_prefix('/').ok_or_else(|| no_path(path))?;
        let name;
        (name, rest) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').ok_or_else(|| no_path(path))?,
            None => rest.split_at(rest.find('/').unwrap_or(rest.len())),
        };
        if name.is_empty() {
            return Err(no_path(path));
        }
        names.push(name.to_owned());
    }
    if names.is_empty() { Err(no_path(path)) } else { Ok(names) }
}

fn no_path(path: &str) -> DocumentError {
    DocumentError::PartitionKeyPath { path: path.to_owned() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn key(document: &Value, paths: &[&str]) -> Result<Bytes, DocumentError> {
        let paths: Vec<String> = paths.iter().map(|&path| path.to_owned()).collect();
        PartitionKey::of_document(document.as_object().unwrap(), &paths)?.encode(&paths)
    }

    #[test]
    fn different_values_are_different_keys() {
        let values = [
            json!({}),
            json!({"k": null}),
            json!({"k": false}),
            json!({"k": true}),
            json!({"k": 0}),
            json!({"k": 1}),
            json!({"k": ""}),
            json!({"k": "1"}),
            json!({"k": "null"}),
        ];
        let keys: Vec<Bytes> = values.iter().map(|value| key(value, &["/k"]).unwrap()).collect();
        for (at, one) in keys.iter().enumerate() {
            assert!(keys.iter().skip(at + 1).all(|other| other != one), "{at}");
        }
        assert_eq!(key(&json!({"k": 1}), &["/k"]).unwrap(), key(&json!({"k": 1.0}), &["/k"]).unwrap());
        assert_eq!(key(&json!({"k": 0}), &["/k"]).unwrap(), key(&json!({"k": -0.0}), &["/k"]).unwrap());
    }

    #[test]
    fn encoded_keys_are_read_again() {
        let values =
            [None, Some(json!(null)), Some(json!(true)), Some(json!(false)), Some(json!(1.5)), Some(json!("a"))];
        for value in values {
            let one = PartitionKey::new(vec![value, Some(json!("level"))]).unwrap();
            let encoded = one.encode(&["/a".to_owned(), "/b".to_owned()]).unwrap();
            assert_eq!(PartitionKey::decode(encoded.clone()), Some(one));
            assert_eq!(PartitionKey::decode(encoded.slice(..encoded.len() - 1)), None);
        }
    }

    #[test]
    fn levels_do_not_run_into_each_other() {
        let two = |a: &str, b: &str| key(&json!({"a": a, "b": b}), &["/a", "/b"]).unwrap();
        assert_ne!(two("x", "yz"), two("xy", "z"));
    }

    #[test]
    fn paths_lead_into_objects_and_may_be_quoted() {
        let document = json!({"address": {"the city": "Paris"}});
        assert_eq!(key(&document, &["/address/\"the city\""]).unwrap(), key(&json!({"k": "Paris"}), &["/k"]).unwrap());
        assert!(matches!(key(&document, &["/address"]), Err(DocumentError::PartitionKeyValue)));
        for path in ["", "/", "a", "/a//b", "/\"a", "/a/"] {
            assert!(check_paths(&[path.to_owned()]).is_err(), "{path}");
        }
        assert!(check_paths(&[]).is_err());
    }
}
