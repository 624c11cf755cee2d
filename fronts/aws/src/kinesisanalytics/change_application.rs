//! Changes of what is defined, each of one version: `UpdateApplication`, and what adds and removes parts.

use std::sync::Arc;

use millstream_catalog::QueryDefinition;
use millstream_query::NewQuery;
use serde::Deserialize;

use super::create_application::{CODE_BYTES_MAX, check_definition, check_numbers, check_outputs};
use super::input::{Input, InputUpdate};
use super::logging::{LoggingOption, LoggingUpdate};
use super::output::{Output, OutputUpdate};
use super::reference::{Reference, ReferenceUpdate};
use super::source::{ProcessingConfiguration, role_of};
use super::{KinesisAnalytics, invalid, missing_part, name_constraints, part_of, place_of, require};
use crate::json_protocol::{Constraints, JsonRequest, ServiceError};

/// An application as the caller of a change has seen it.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Seen {
    application_name: Option<String>,
    current_application_version_id: Option<u64>,
    /// What stands for the version in the API of 2018.
    conditional_token: Option<String>,
}

/// What a change adds or removes.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Part {
    input: Option<Input>,
    input_id: Option<String>,
    input_processing_configuration: Option<ProcessingConfiguration>,
    output: Option<Output>,
    output_id: Option<String>,
    reference_data_source: Option<Reference>,
    reference_id: Option<String>,
    #[serde(rename = "CloudWatchLoggingOption")]
    logging_option: Option<LoggingOption>,
    #[serde(rename = "CloudWatchLoggingOptionId")]
    logging_option_id: Option<String>,
}

/// All that one update changes.
#[derive(Default)]
pub(super) struct Update {
    pub(super) code: Option<String>,
    pub(super) inputs: Option<Vec<InputUpdate>>,
    pub(super) outputs: Option<Vec<OutputUpdate>>,
    pub(super) references: Option<Vec<ReferenceUpdate>>,
    pub(super) logging_options: Option<Vec<LoggingUpdate>>,
    pub(super) role: Option<String>,
}

/// An operation on a part: what it does to an application.
type Change = fn(Part, &mut NewQuery) -> Result<(), ServiceError>;

/// What stands for an application's version.
pub(super) fn conditional_token(query: &QueryDefinition) -> String {
    format!("{:x}-{}", query.created, query.version)
}

impl Seen {
    /// What must be there of it.
    pub(super) fn constraints(&self) -> Constraints {
        let mut constraints = name_constraints(self.application_name.as_deref());
        if self.conditional_token.is_none() {
            constraints.required("currentApplicationVersionId", self.current_application_version_id.as_ref());
        }
        constraints
    }

    /// What is defined now, when it is what the caller has seen.
    pub(super) fn current(&self, front: &KinesisAnalytics) -> Result<(Arc<QueryDefinition>, NewQuery), ServiceError> {
        let query = front.application(self.application_name.as_deref().unwrap_or_default())?;
        let conflict = |message: String| Err(ServiceError::new("ConcurrentModificationException", message));
        if self.current_application_version_id.is_some_and(|seen| seen != query.version) {
            let (name, version) = (&query.name, query.version);
            return conflict(format!("expected CurrentApplicationVersionId {version}, the version of {name}"));
        }
        if self.conditional_token.as_ref().is_some_and(|seen| *seen != conditional_token(&query)) {
            return conflict(format!("expected the ConditionalToken that DescribeApplication shows of {}", query.name));
        }
        let changed = NewQuery::from(&*query);
        Ok((query, changed))
    }
}

impl Update {
    pub(super) async fn carry_out(
        self,
        front: &KinesisAnalytics,
        seen: &Seen,
    ) -> Result<Arc<QueryDefinition>, ServiceError> {
        Constraints::new().length("applicationCodeUpdate", self.code.as_deref(), 0, CODE_BYTES_MAX).finish()?;
        let (seen, mut changed) = seen.current(front)?;
        if let Some(role) = self.role {
            give_role(&mut changed, &role);
        }
        changed.sql = self.code.unwrap_or(changed.sql);
        self.inputs.unwrap_or_default().into_iter().try_for_each(|update| update.apply(&mut changed))?;
        self.outputs.unwrap_or_default().into_iter().try_for_each(|update| update.apply(&mut changed))?;
        self.references.unwrap_or_default().into_iter().try_for_each(|update| update.apply(&mut changed))?;
        self.logging_options.unwrap_or_default().into_iter().try_for_each(|update| update.apply(&mut changed))?;
        check_outputs(&changed)?;
        put(front, &seen, changed).await
    }
}

/// Gives an application a role for all that it touches.
fn give_role(query: &mut NewQuery, role: &str) {
    query.inputs.iter_mut().for_each(|input| role.clone_into(&mut input.role));
    let processors = query.inputs.iter_mut().filter_map(|input| input.processor.as_mut());
    processors.for_each(|processor| role.clone_into(&mut processor.role));
    query.outputs.iter_mut().for_each(|output| role.clone_into(&mut output.role));
    query.references.iter_mut().for_each(|reference| role.clone_into(&mut reference.role));
    let resource = query.resource.get_or_insert_default();
    resource.error_log.iter_mut().for_each(|log| role.clone_into(&mut log.role));
    role.clone_into(&mut resource.role);
}

/// Adds a part to an application or removes one, as the operation is called; `None`: it is no such operation.
pub(super) async fn change_part(
    front: &KinesisAnalytics,
    request: &JsonRequest,
) -> Option<Result<Arc<QueryDefinition>, ServiceError>> {
    let (members, change) = changes(&request.operation)?;
    Some(carry_out(front, request, members, change).await)
}

/// By operation: the members that it must have, and what it does.
fn changes(operation: &str) -> Option<(&'static [&'static str], Change)> {
    Some(match operation {
        "AddApplicationInput" => (&["Input"], add_input),
        "AddApplicationOutput" => (&["Output"], add_output),
        "DeleteApplicationOutput" => (&["OutputId"], delete_output),
        "AddApplicationInputProcessingConfiguration" => (&["InputId", "InputProcessingConfiguration"], add_processing),
        "DeleteApplicationInputProcessingConfiguration" => (&["InputId"], delete_processing),
        "AddApplicationReferenceDataSource" => (&["ReferenceDataSource"], add_reference),
        "DeleteApplicationReferenceDataSource" => (&["ReferenceId"], delete_reference),
        "AddApplicationCloudWatchLoggingOption" => (&["CloudWatchLoggingOption"], add_logging),
        "DeleteApplicationCloudWatchLoggingOption" => (&["CloudWatchLoggingOptionId"], delete_logging),
        _ => return None,
    })
}

async fn carry_out(
    front: &KinesisAnalytics,
    request: &JsonRequest,
    members: &[&str],
    change: Change,
) -> Result<Arc<QueryDefinition>, ServiceError> {
    let (seen, part): (Seen, Part) = (request.input()?, request.input()?);
    let mut constraints = seen.constraints();
    require(&mut constraints, request, members)?;
    constraints.finish()?;
    let (seen, mut changed) = seen.current(front)?;
    change(part, &mut changed)?;
    put(front, &seen, changed).await
}

fn add_input(part: Part, query: &mut NewQuery) -> Result<(), ServiceError> {
    let role = role_of(query);
    query.inputs.extend(part.input.map(|input| input.definition(&role)).transpose()?);
    check_numbers(query)
}

fn add_processing(part: Part, query: &mut NewQuery) -> Result<(), ServiceError> {
    let (id, role) = (part.input_id.as_deref(), role_of(query));
    let input = part_of(id, &mut query.inputs).ok_or_else(|| missing_part("input", id))?;
    if input.processor.is_some() {
        return Err(invalid("the input has an InputProcessingConfiguration already; UpdateApplication changes it"));
    }
    input.processor = part.input_processing_configuration.map(|given| given.definition(&role)).transpose()?;
    Ok(())
}

fn delete_processing(part: Part, query: &mut NewQuery) -> Result<(), ServiceError> {
    let id = part.input_id.as_deref();
    let input = part_of(id, &mut query.inputs).ok_or_else(|| missing_part("input", id))?;
    match input.processor.take() {
        Some(_) => Ok(()),
        None => Err(missing_part("InputProcessingConfiguration of the input", id)),
    }
}

fn add_output(part: Part, query: &mut NewQuery) -> Result<(), ServiceError> {
    let role = role_of(query);
    query.outputs.extend(part.output.map(|output| output.definition(&role)).transpose()?);
    check_numbers(query)
}

fn delete_output(part: Part, query: &mut NewQuery) -> Result<(), ServiceError> {
    let id = part.output_id.as_deref();
    let place = place_of(id, query.outputs.len()).ok_or_else(|| missing_part("output", id))?;
    query.outputs.remove(place);
    Ok(())
}

fn add_reference(part: Part, query: &mut NewQuery) -> Result<(), ServiceError> {
    let role = role_of(query);
    query.references.extend(part.reference_data_source.map(|given| given.definition(&role)).transpose()?);
    check_numbers(query)
}

fn delete_reference(part: Part, query: &mut NewQuery) -> Result<(), ServiceError> {
    let id = part.reference_id.as_deref();
    let missing = || missing_part("reference data source", id);
    let place = place_of(id, query.references.len()).ok_or_else(missing)?;
    query.references.remove(place);
    Ok(())
}

fn add_logging(part: Part, query: &mut NewQuery) -> Result<(), ServiceError> {
    let role = role_of(query);
    let resource = query.resource.get_or_insert_default();
    if resource.error_log.is_some() {
        return Err(invalid("An application can have at most one CloudWatchLoggingOption"));
    }
    resource.error_log = part.logging_option.map(|option| option.definition(&role)).transpose()?;
    Ok(())
}

fn delete_logging(part: Part, query: &mut NewQuery) -> Result<(), ServiceError> {
    let id = part.logging_option_id.as_deref();
    let log = query.resource.as_mut().map(|resource| &mut resource.error_log);
    match log.filter(|log| place_of(id, log.iter().len()).is_some()) {
        Some(log) => *log = None,
        None => return Err(missing_part("CloudWatchLoggingOption", id)),
    }
    Ok(())
}

async fn put(
    front: &KinesisAnalytics,
    seen: &QueryDefinition,
    changed: NewQuery,
) -> Result<Arc<QueryDefinition>, ServiceError> {
    check_definition(front, &changed)?;
    front.queries.update(seen, changed).await.map_err(|error| front.error(&error))
}
