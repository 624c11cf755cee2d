//! Patch operations: what is changed of a resource, by JSON pointers.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{bad_request, input};
use crate::json_protocol::ServiceError;
use crate::rest_protocol::RestRequest;

/// Operations of one request: far beyond what a resource has members.
const OPERATIONS_MAX: usize = 1_000;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Input {
    patch_operations: Option<Vec<PatchOperation>>,
}

/// A change of one member.
#[derive(Debug, Deserialize)]
pub(super) struct PatchOperation {
    pub(super) op: String,
    pub(super) path: String,
    pub(super) value: Option<String>,
}

/// The operations of a request, in their order.
pub(super) fn operations(request: &RestRequest) -> Result<Vec<PatchOperation>, ServiceError> {
    let operations = input::<Input>(request)?.patch_operations.unwrap_or_default();
    if operations.len() > OPERATIONS_MAX {
        return Err(bad_request(format!("at most {OPERATIONS_MAX} patch operations, found {}", operations.len())));
    }
    Ok(operations)
}

/// Carries operations out, one after the other. A change of a resource does so twice: on a copy, to be told of mistakes in the
/// service's words, and on what the resource is in the change's turn, which somebody else may have changed meanwhile.
pub(super) fn apply<T>(
    operations: &[PatchOperation],
    to: &mut T,
    one: fn(&PatchOperation, &mut T) -> Result<(), String>,
) -> Result<(), String> {
    operations.iter().try_for_each(|operation| one(operation, to))
}

impl PatchOperation {
    /// What it sets; every operation but `remove` needs a value.
    pub(super) fn set(&self) -> Result<&str, String> {
        let none = || format!("Invalid patch: {} {} needs a value", self.op, self.path);
        self.value.as_deref().ok_or_else(none)
    }

    /// The value read as what the member is: a number, `true`, ….
    pub(super) fn parsed<T: std::str::FromStr>(&self) -> Result<T, String> {
        let value = self.set()?;
        value.trim().parse().map_err(|_| format!("Invalid patch: {value} is no value for {}", self.path))
    }

    /// Changes an entry of a map whose pointer is `member`; `None` when the pointer lies elsewhere.
    pub(super) fn on_map<T>(
        &self,
        member: &str,
        map: &mut BTreeMap<String, T>,
        read: fn(&Self) -> Result<T, String>,
    ) -> Option<Result<(), String>> {
        let name = unescape(self.path.strip_prefix(member)?.strip_prefix('/')?);
        let done = match self.op.as_str() {
            "add" | "replace" => read(self).map(|value| drop(map.insert(name, value))),
            "remove" => map.remove(&name).map(drop).ok_or_else(|| format!("Invalid patch: there is no {}", self.path)),
            _ => Err(self.refused(&[])),
        };
        Some(done)
    }

    /// Its value as it is.
    pub(super) fn text(&self) -> Result<String, String> {
        self.set().map(str::to_owned)
    }

    /// That nothing can be changed so.
    pub(super) fn refused(&self, known: &[&str]) -> String {
        let Self { op, path, .. } = self;
        format!("Invalid patch path {path} specified for op {op}. Must be one of: [{}]", known.join(", "))
    }
}

/// A part of a pointer: `~1` stands for a slash, `~0` for a tilde.
pub(super) fn unescape(part: &str) -> String {
    part.replace("~1", "/").replace("~0", "~")
}

/// A method as throttles know it (`/orders/GET`, `*/*`), from a pointer's part: `~1orders/GET`, `/orders/GET`, `*/*`.
pub(super) fn method(part: &str) -> Option<String> {
    let (resource, verb) = part.rsplit_once('/')?;
    let resource = unescape(resource);
    let resource = resource.trim_matches('/');
    let verb_is_known = verb == "*" || (!verb.is_empty() && verb.chars().all(|char| char.is_ascii_uppercase()));
    match (resource, verb) {
        _ if !verb_is_known => None,
        ("*", "*") => Some("*/*".to_owned()),
        ("*", _) | (_, "*") => None,
        ("", verb) => Some(format!("//{verb}")),
        (resource, verb) => Some(format!("/{resource}/{verb}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_known_in_all_their_spellings() {
        for (part, expected) in [
            ("~1orders/GET", Some("/orders/GET")),
            ("/orders/GET", Some("/orders/GET")),
            ("orders/GET", Some("/orders/GET")),
            ("~1orders~1{id}/POST", Some("/orders/{id}/POST")),
            ("~1/GET", Some("//GET")),
            ("//GET", Some("//GET")),
            ("*/*", Some("*/*")),
            ("*/GET", None),
            ("~1orders/get", None),
            ("orders", None),
            ("", None),
        ] {
            assert_eq!(method(part).as_deref(), expected, "{part}");
        }
    }
}
