//! Changes of parts of a document. Pure: a document and operations in, a document out.

use std::cmp::Ordering;

use serde_json::{Map, Number, Value};

use crate::document::{Document, ID, SYSTEM_PROPERTIES};
use crate::error::{DocumentError, PatchError};
use crate::query::Query;

/// Operations of one patch: the service family's own limit.
const OPERATIONS_MAX: usize = 10;

/// Operations, carried out all or none.
#[derive(Debug, Clone)]
pub struct Patch {
    /// In their order.
    pub operations: Vec<PatchOperation>,
    /// Must pass the document as it is.
    pub condition: Option<Query>,
}

/// One change. Paths are JSON pointers.
#[derive(Debug, Clone, PartialEq)]
pub enum PatchOperation {
    /// Sets a member; puts an element into a list before the one at the place, or behind all with `-`.
    Add {
        /// Where.
        path: String,
        /// What.
        value: Value,
    },
    /// Sets a member or an element, there or not.
    Set {
        /// Where.
        path: String,
        /// What.
        value: Value,
    },
    /// Sets a member or an element that must be there.
    Replace {
        /// Where.
        path: String,
        /// What.
        value: Value,
    },
    /// Takes a member or an element away.
    Remove {
        /// Where.
        path: String,
    },
    /// Adds to a number, or sets it when there is none.
    Increment {
        /// Where.
        path: String,
        /// How much.
        by: Value,
    },
    /// Takes a value away from one place and sets it at another.
    Move {
        /// Where it is.
        from: String,
        /// Where it goes.
        path: String,
    },
}

impl Patch {
    /// What becomes of a document that the condition must pass.
    ///
    /// # Errors
    /// [`DocumentError::PatchCondition`], [`DocumentError::Patch`].
    pub(crate) fn apply_to(&self, document: &Document) -> Result<Map<String, Value>, DocumentError> {
        if let Some(condition) = &self.condition
            && !condition.passes(&document.value)?
        {
            return Err(DocumentError::PatchCondition);
        }
        Ok(self.apply(document.value.as_object().ok_or(DocumentError::NotAnObject)?)?)
    }

    /// The document that becomes of a document.
    ///
    /// # Errors
    /// [`PatchError`].
    fn apply(&self, document: &Map<String, Value>) -> Result<Map<String, Value>, PatchError> {
        let found = self.operations.len();
        if found == 0 || found > OPERATIONS_MAX {
            return Err(PatchError::Count { found, max: OPERATIONS_MAX });
        }
        let mut root = Value::Object(document.clone());
        for operation in &self.operations {
            operation.apply(&mut root)?;
        }
        match root {
            Value::Object(patched) => Ok(patched),
            // Paths lead into the root, never to it.
            _ => Ok(Map::new()),
        }
    }
}

impl PatchOperation {
    fn apply(&self, root: &mut Value) -> Result<(), PatchError> {
        match self {
            Self::Add { path, value } => put(root, path, value.clone(), true),
            Self::Set { path, value } => put(root, path, value.clone(), false),
            Self::Replace { path, value } => {
                *at(root, path)? = value.clone();
                Ok(())
            }
            Self::Remove { path } => take(root, path).map(|_| ()),
            Self::Increment { path, by } => increment(root, path, by),
            Self::Move { from, path } => {
                let value = take(root, from)?;
                put(root, path, value, false)
            }
        }
    }
}

/// The steps of a JSON pointer, checked.
fn steps(path: &str) -> Result<Vec<String>, PatchError> {
    let wrong = || PatchError::Path { path: path.to_owned() };
    let rest = path.strip_prefix('/').filter(|rest| !rest.is_empty()).ok_or_else(wrong)?;
    let steps: Vec<String> = rest.split('/').map(|step| step.replace("~1", "/").replace("~0", "~")).collect();
    let protected = |name: &str| name == ID || SYSTEM_PROPERTIES.contains(&name);
    match steps.as_slice() {
        [name] if protected(name) => Err(PatchError::Protected { path: path.to_owned() }),
        _ => Ok(steps),
    }
}

/// The object or list that a path ends in, and the last step.
fn parent<'v>(root: &'v mut Value, path: &str) -> Result<(&'v mut Value, String), PatchError> {
    let mut steps = steps(path)?;
    let last = steps.pop().unwrap_or_default();
    let mut place = root;
    for step in &steps {
        place = child(place, step).ok_or_else(|| absent(path))?;
    }
    Ok((place, last))
}

fn child<'v>(place: &'v mut Value, step: &str) -> Option<&'v mut Value> {
    match place {
        Value::Object(members) => members.get_mut(step),
        Value::Array(parts) => parts.get_mut(step.parse::<usize>().ok()?),
        _ => None,
    }
}

fn at<'v>(root: &'v mut Value, path: &str) -> Result<&'v mut Value, PatchError> {
    let (place, last) = parent(root, path)?;
    child(place, &last).ok_or_else(|| absent(path))
}

fn put(root: &mut Value, path: &str, value: Value, insert: bool) -> Result<(), PatchError> {
    let (place, last) = parent(root, path)?;
    match place {
        Value::Object(members) => {
            members.insert(last, value);
            Ok(())
        }
        Value::Array(parts) if last == "-" => {
            parts.push(value);
            Ok(())
        }
        Value::Array(parts) => {
            let index: usize = last.parse().map_err(|_| PatchError::Path { path: path.to_owned() })?;
            match index.cmp(&parts.len()) {
                Ordering::Less if !insert => parts[index] = value,
                Ordering::Less | Ordering::Equal => parts.insert(index, value),
                Ordering::Greater => return Err(absent(path)),
            }
            Ok(())
        }
        _ => Err(absent(path)),
    }
}

fn take(root: &mut Value, path: &str) -> Result<Value, PatchError> {
    let (place, last) = parent(root, path)?;
    let taken = match place {
        Value::Object(members) => members.shift_remove(&last),
        Value::Array(parts) => last.parse().ok().filter(|index| *index < parts.len()).map(|index| parts.remove(index)),
        _ => None,
    };
    taken.ok_or_else(|| absent(path))
}

fn increment(root: &mut Value, path: &str, by: &Value) -> Result<(), PatchError> {
    let by = by.as_number().ok_or(PatchError::Increment)?;
    let (place, last) = parent(root, path)?;
    match child(place, &last) {
        None => put(root, path, Value::Number(by.clone()), false),
        Some(found) => {
            let not_a_number = || PatchError::NotANumber { path: path.to_owned() };
            let known = found.as_number().ok_or_else(not_a_number)?;
            *found = Value::Number(sum(known, by).ok_or_else(not_a_number)?);
            Ok(())
        }
    }
}

fn sum(left: &Number, right: &Number) -> Option<Number> {
    match (left.as_i64(), right.as_i64()) {
        (Some(left), Some(right)) => left.checked_add(right).map(Number::from),
        _ => Number::from_f64(left.as_f64()? + right.as_f64()?),
    }
}

fn absent(path: &str) -> PatchError {
    PatchError::Absent { path: path.to_owned() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn apply(operation: PatchOperation) -> Result<Value, PatchError> {
        let document = json!({"id": "1", "n": 1, "list": [1, 2], "inner": {"a": true}});
        let patch = Patch { operations: vec![operation], condition: None };
        patch.apply(document.as_object().unwrap()).map(|patched| {
            let changed =
                |(name, value): (String, Value)| (document.get(&name) != Some(&value)).then_some((name, value));
            Value::Object(patched.into_iter().filter_map(changed).collect())
        })
    }

    #[test]
    fn operations_change_parts() {
        let path = |path: &str| path.to_owned();
        for (operation, expected) in [
            (PatchOperation::Add { path: path("/x"), value: json!(1) }, json!({"x": 1})),
            (PatchOperation::Add { path: path("/list/0"), value: json!(0) }, json!({"list": [0, 1, 2]})),
            (PatchOperation::Add { path: path("/list/-"), value: json!(3) }, json!({"list": [1, 2, 3]})),
            (PatchOperation::Set { path: path("/list/0"), value: json!(0) }, json!({"list": [0, 2]})),
            (PatchOperation::Replace { path: path("/inner/a"), value: json!(0) }, json!({"inner": {"a": 0}})),
            (PatchOperation::Remove { path: path("/list/1") }, json!({"list": [1]})),
            (PatchOperation::Increment { path: path("/n"), by: json!(-2) }, json!({"n": -1})),
            (PatchOperation::Increment { path: path("/m"), by: json!(1.5) }, json!({"m": 1.5})),
            (PatchOperation::Move { from: path("/n"), path: path("/inner/n") }, json!({"inner": {"a": true, "n": 1}})),
        ] {
            assert_eq!(apply(operation.clone()), Ok(expected), "{operation:?}");
        }
    }

    #[test]
    fn what_is_not_there_cannot_be_changed() {
        let path = |path: &str| path.to_owned();
        for operation in [
            PatchOperation::Replace { path: path("/x"), value: json!(1) },
            PatchOperation::Remove { path: path("/list/2") },
            PatchOperation::Set { path: path("/x/y"), value: json!(1) },
            PatchOperation::Set { path: path("/id"), value: json!(1) },
            PatchOperation::Set { path: path("/_ts"), value: json!(1) },
            PatchOperation::Set { path: path("x"), value: json!(1) },
            PatchOperation::Add { path: path("/list/9"), value: json!(1) },
            PatchOperation::Increment { path: path("/list"), by: json!(1) },
            PatchOperation::Increment { path: path("/n"), by: json!("1") },
        ] {
            assert!(apply(operation.clone()).is_err(), "{operation:?}");
        }
    }
}
