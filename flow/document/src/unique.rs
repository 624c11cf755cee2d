//! Unique keys: which values of a document no other document of its partition key may have. Pure.
//!
//! Source: "Unique key constraints in Azure Cosmos DB": values are told apart by case, and what is not there is null.

use millstream_catalog::DocumentContainerDefinition;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use crate::error::DocumentError;
use crate::partition::path_names;

/// Unique keys of a container, and paths of one: the service family's own limits.
const KEYS_MAX: usize = 10;
const PATHS_MAX: usize = 16;

/// Refuses unique keys that cannot be.
pub(crate) fn check(keys: &[Vec<String>]) -> Result<(), DocumentError> {
    let wrong = |found: String| Err(DocumentError::UniqueKeys { found });
    if keys.len() > KEYS_MAX {
        return wrong(format!("{} keys, more than {KEYS_MAX}", keys.len()));
    }
    for paths in keys {
        if paths.is_empty() || paths.len() > PATHS_MAX {
            return wrong(format!("{} paths of a key, not 1 to {PATHS_MAX}", paths.len()));
        }
        for path in paths {
            path_names(path)?;
        }
    }
    Ok(())
}

/// What a document claims: a short name of the values of each unique key.
pub(crate) fn claims(container: &DocumentContainerDefinition, body: &Map<String, Value>) -> Vec<String> {
    let keys = container.unique_keys.iter().enumerate();
    keys.map(|(index, paths)| {
        let values: Vec<&Value> = paths.iter().map(|path| at(body, path)).collect();
        let text = Value::from_iter(values.into_iter().cloned()).to_string();
        let digest = Sha256::digest(text.as_bytes());
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{index}/{hex}")
    })
    .collect()
}

fn at<'b>(body: &'b Map<String, Value>, path: &str) -> &'b Value {
    let names = path_names(path).unwrap_or_default();
    let found = names.split_first().and_then(|(first, rest)| {
        body.get(first).and_then(|top| rest.iter().try_fold(top, |value, name| value.get(name)))
    });
    found.unwrap_or(&Value::Null)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn documents_with_the_same_values_claim_the_same() {
        let container = DocumentContainerDefinition {
            unique_keys: vec![vec!["/name".into(), "/address/city".into()], vec!["/number".into()]],
            path: "d/c".into(),
            number: 1,
            database_number: 1,
            created: 0,
            etag: String::new(),
            partition_key_paths: vec!["/p".into()],
            indexing_policy: None,
            default_ttl: None,
            throughput: None,
        };
        let of = |body: Value| claims(&container, body.as_object().unwrap());
        let one = of(json!({ "name": "a", "address": { "city": "x" }, "number": 1 }));
        assert_eq!(one, of(json!({ "number": 1, "address": { "city": "x" }, "name": "a", "other": 5 })));
        let other = of(json!({ "name": "A", "address": { "city": "x" } }));
        assert!(one[0] != other[0] && one[1] != other[1]);
        assert_eq!(other[1], of(json!({ "number": null }))[1]);
        assert!(check(&container.unique_keys).is_ok());
        assert!(check(&[vec![]]).is_err() && check(&[vec!["name".into()]]).is_err());
    }
}
