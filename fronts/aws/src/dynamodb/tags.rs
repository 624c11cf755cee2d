//! `TagResource`, `UntagResource` and `ListTagsOfResource`

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::create_table::Tag;
use super::{DynamoDb, error, input, validation};
use crate::json_protocol::{Constraints, JsonRequest, ServiceError};
use crate::place::resource;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    resource_arn: Option<String>,
    tags: Option<Vec<Tag>>,
    tag_keys: Option<Vec<String>>,
    next_token: Option<String>,
}

impl Input {
    /// The table that the ARN names.
    fn table(&self) -> Result<&str, ServiceError> {
        let arn = self.resource_arn.as_deref().unwrap_or_default();
        resource(arn, "dynamodb", "table/")
            .filter(|name| !name.contains('/'))
            .ok_or_else(|| validation(format!("Invalid TableArn: Invalid ResourceArn provided as input {arn}")))
    }
}

pub(super) async fn add(dynamodb: &DynamoDb, request: &JsonRequest) -> Result<Value, ServiceError> {
    let input: Input = input(request)?;
    let mut constraints = Constraints::new();
    constraints.required("resourceArn", input.resource_arn.as_ref()).required("tags", input.tags.as_ref());
    for (at, tag) in (1..).zip(input.tags.iter().flatten()) {
        constraints.length(&format!("tags.{at}.member.key"), Some(&tag.key), 1, 128);
        constraints.length(&format!("tags.{at}.member.value"), Some(&tag.value), 0, 256);
    }
    constraints.finish()?;
    let tags: BTreeMap<_, _> = input.tags.iter().flatten().map(|tag| (tag.key.clone(), tag.value.clone())).collect();
    dynamodb.tables.add_tags(input.table()?, tags).await.map_err(error::of_table)?;
    Ok(json!({}))
}

pub(super) async fn remove(dynamodb: &DynamoDb, request: &JsonRequest) -> Result<Value, ServiceError> {
    let input: Input = input(request)?;
    Constraints::new()
        .required("resourceArn", input.resource_arn.as_ref())
        .required("tagKeys", input.tag_keys.as_ref())
        .finish()?;
    let keys = input.tag_keys.as_deref().unwrap_or_default();
    dynamodb.tables.remove_tags(input.table()?, keys).await.map_err(error::of_table)?;
    Ok(json!({}))
}

/// All labels come in one answer: there are fifty at most.
pub(super) fn list(dynamodb: &DynamoDb, request: &JsonRequest) -> Result<Value, ServiceError> {
    let input: Input = input(request)?;
    Constraints::new().required("resourceArn", input.resource_arn.as_ref()).finish()?;
    if input.next_token.is_some() {
        return Err(validation("Invalid NextToken"));
    }
    let table = dynamodb.tables.table(input.table()?).map_err(error::of_table)?;
    let tags: Vec<_> = table.tags.iter().map(|(key, value)| json!({ "Key": key, "Value": value })).collect();
    Ok(json!({ "Tags": tags }))
}
