//! The body of a patch: `{"operations": [{"op": "set", "path": "/a", "value": 1}], "condition": "from c where …"}`, or the
//! bare list of operations.

use millstream_document::{DocumentError, Patch, PatchOperation, Query};
use serde::Deserialize;
use serde_json::Value;

use super::error::CosmosError;

#[derive(Deserialize)]
struct Body {
    operations: Vec<Operation>,
    condition: Option<String>,
}

#[derive(Deserialize)]
struct Operation {
    op: String,
    path: String,
    #[serde(default)]
    value: Value,
    from: Option<String>,
}

pub(super) fn read(body: &Value) -> Result<Patch, CosmosError> {
    let read = match body {
        Value::Array(_) => Vec::deserialize(body).map(|operations| Body { operations, condition: None }),
        _ => Body::deserialize(body),
    };
    let body = read.map_err(|error| CosmosError::bad_request(format!("The patch request is invalid: {error}.")))?;
    let condition = body.condition.map(|condition| Query::parse(&format!("SELECT * {condition}"), &[]));
    Ok(Patch {
        operations: body.operations.into_iter().map(operation).collect::<Result<_, _>>()?,
        condition: condition.transpose().map_err(DocumentError::from)?,
    })
}

fn operation(Operation { op, path, value, from }: Operation) -> Result<PatchOperation, CosmosError> {
    Ok(match op.as_str() {
        "add" => PatchOperation::Add { path, value },
        "set" => PatchOperation::Set { path, value },
        "replace" => PatchOperation::Replace { path, value },
        "remove" => PatchOperation::Remove { path },
        "incr" => PatchOperation::Increment { path, by: value },
        "move" => {
            let from = from.ok_or_else(|| CosmosError::bad_request("The operation `move` needs `from`."))?;
            PatchOperation::Move { from, path }
        }
        other => return Err(CosmosError::bad_request(format!("There is no patch operation `{other}`."))),
    })
}
