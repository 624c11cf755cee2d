//! `UpdateApplication`, `AddApplicationInput`, `AddApplicationOutput`: changes of what is defined, each of one version.

use std::sync::Arc;

use millstream_catalog::QueryDefinition;
use millstream_query::NewQuery;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::create_application::{CODE_BYTES_MAX, check_definition, check_numbers};
use super::input::Input;
use super::output::Output;
use super::reference::{self, SourceUpdate};
use super::{KinesisAnalytics, check_name, invalid};
use crate::json_protocol::{Constraints, JsonRequest, ServiceError};

/// What the changes have in common: whose they are and of which version.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Request {
    application_name: Option<String>,
    current_application_version_id: Option<u64>,
    application_update: Option<Update>,
    input: Option<Input>,
    output: Option<Output>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Update {
    application_code_update: Option<String>,
    reference_data_source_updates: Option<Vec<SourceUpdate>>,
    #[serde(flatten)]
    others: Map<String, Value>,
}

pub(super) async fn update(front: &KinesisAnalytics, request: &JsonRequest) -> Result<Value, ServiceError> {
    let input: Request = request.input()?;
    Constraints::new().required("applicationUpdate", input.application_update.as_ref()).finish()?;
    let (seen, mut changed) = current(front, &input)?;
    if let Some(update) = input.application_update {
        if let Some(other) = update.others.iter().find(|(_, value)| !value.is_null()) {
            return Err(invalid(format!(
                "{} is not supported by this node; expected ApplicationCodeUpdate or ReferenceDataSourceUpdates",
                other.0
            )));
        }
        let code = update.application_code_update;
        Constraints::new().length("applicationCodeUpdate", code.as_deref(), 0, CODE_BYTES_MAX).finish()?;
        changed.sql = code.unwrap_or(changed.sql);
        reference::update(front, &mut changed, update.reference_data_source_updates.unwrap_or_default())?;
    }
    put(front, &seen, changed).await
}

pub(super) async fn add_input(front: &KinesisAnalytics, request: &JsonRequest) -> Result<Value, ServiceError> {
    let input: Request = request.input()?;
    Constraints::new().required("input", input.input.as_ref()).finish()?;
    let (seen, mut changed) = current(front, &input)?;
    changed.inputs.extend(input.input.map(Input::definition).transpose()?);
    check_numbers(&changed)?;
    put(front, &seen, changed).await
}

pub(super) async fn add_output(front: &KinesisAnalytics, request: &JsonRequest) -> Result<Value, ServiceError> {
    let input: Request = request.input()?;
    Constraints::new().required("output", input.output.as_ref()).finish()?;
    let (seen, mut changed) = current(front, &input)?;
    changed.outputs.extend(input.output.map(Output::definition).transpose()?);
    check_numbers(&changed)?;
    put(front, &seen, changed).await
}

/// What is defined now, when it is the version that the caller has seen.
pub(super) fn current(
    front: &KinesisAnalytics,
    input: &Request,
) -> Result<(Arc<QueryDefinition>, NewQuery), ServiceError> {
    check_name(input.application_name.as_deref())?;
    let seen = input.current_application_version_id;
    Constraints::new().required("currentApplicationVersionId", seen.as_ref()).finish()?;
    let name = input.application_name.as_deref().unwrap_or_default();
    let query = front.application(name)?;
    if seen != Some(query.version) {
        let message = format!("expected CurrentApplicationVersionId {}, the version of {name}", query.version);
        return Err(ServiceError::new("ConcurrentModificationException", message));
    }
    let changed = NewQuery::from(&*query);
    Ok((query, changed))
}

pub(super) async fn put(
    front: &KinesisAnalytics,
    seen: &QueryDefinition,
    changed: NewQuery,
) -> Result<Value, ServiceError> {
    check_definition(front, &changed)?;
    front.queries.update(seen, changed).await.map_err(|error| front.error(&error))?;
    Ok(json!({}))
}
