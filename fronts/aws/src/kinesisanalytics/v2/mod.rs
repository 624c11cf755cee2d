//! The API of 2018, for SQL applications: its operations and their answers. What is for Apache Flink alone is refused
//! ([`flink`]).

mod application;
mod flink;

use millstream_catalog::QueryDefinition;
use serde::Deserialize;
use serde_json::{Value, json};

use super::change_application::change_part;
use super::describe_application::Shown;
use super::lifecycle::{self, InputConfiguration};
use super::{KinesisAnalytics, discover_input_schema, invalid, place_of, require, tags};
use crate::json_protocol::{Constraints, JsonRequest, ServiceError};

/// The runtime of SQL applications.
const SQL: &str = "SQL-1_0";

/// Answers a request: every operation that there is.
pub(super) async fn call(front: &KinesisAnalytics, request: &JsonRequest) -> Result<Value, ServiceError> {
    match request.operation.as_str() {
        "CreateApplication" => application::create(front, request).await,
        "DescribeApplication" => application::describe(front, request),
        "UpdateApplication" => application::update(front, request).await,
        "StartApplication" => start(front, request).await,
        "StopApplication" => stop(front, request).await,
        "DeleteApplication" => lifecycle::delete(front, request).await.map(|()| json!({})),
        "ListApplications" => list(front, request),
        "TagResource" => tags::add(front, request).await,
        "UntagResource" => tags::remove(front, request).await,
        "ListTagsForResource" => tags::list(front, request),
        "DiscoverInputSchema" => {
            let mut constraints = Constraints::new();
            require(&mut constraints, request, &["ServiceExecutionRole"])?;
            constraints.finish()?;
            discover_input_schema::call(front, request).await
        }
        _ => match change_part(front, request).await {
            Some(changed) => part_changed(front, &*changed?, request),
            None => Err(flink::refused(front, request)),
        },
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct StartInput {
    application_name: Option<String>,
    run_configuration: Option<RunConfiguration>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RunConfiguration {
    sql_run_configurations: Option<Vec<InputConfiguration>>,
    flink_run_configuration: Option<Value>,
    application_restore_configuration: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct StopInput {
    application_name: Option<String>,
    force: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct InputId {
    input_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListInput {
    limit: Option<i64>,
    next_token: Option<String>,
}

/// A member that is for Apache Flink alone.
fn refuse_others<'m>(members: impl IntoIterator<Item = (&'m str, bool)>) -> Result<(), ServiceError> {
    match members.into_iter().find(|(_, given)| *given) {
        Some((member, _)) => Err(invalid(format!("{member} is not supported for applications of the runtime {SQL}"))),
        None => Ok(()),
    }
}

async fn start(front: &KinesisAnalytics, request: &JsonRequest) -> Result<Value, ServiceError> {
    let input: StartInput = request.input()?;
    let mut configurations = Vec::new();
    if let Some(run) = input.run_configuration {
        refuse_others([
            ("FlinkRunConfiguration", run.flink_run_configuration.is_some()),
            ("ApplicationRestoreConfiguration", run.application_restore_configuration.is_some()),
        ])?;
        configurations = run.sql_run_configurations.unwrap_or_default();
    }
    lifecycle::start(front, input.application_name, configurations).await?;
    Ok(json!({}))
}

async fn stop(front: &KinesisAnalytics, request: &JsonRequest) -> Result<Value, ServiceError> {
    let input: StopInput = request.input()?;
    refuse_others([("Force", input.force == Some(true))])?;
    lifecycle::stop(front, input.application_name).await?;
    Ok(json!({}))
}

fn list(front: &KinesisAnalytics, request: &JsonRequest) -> Result<Value, ServiceError> {
    let ListInput { limit, next_token } = request.input()?;
    let (queries, more) = front.page(limit, next_token)?;
    let summary = |query: &QueryDefinition| {
        json!({
            "ApplicationName": query.name,
            "ApplicationARN": front.arn(&query.name),
            "ApplicationStatus": front.status(&query.name),
            "ApplicationVersionId": query.version,
            "RuntimeEnvironment": SQL,
        })
    };
    let mut answer = json!({ "ApplicationSummaries": queries.iter().map(|query| summary(query)).collect::<Vec<_>>() });
    if let Some(last) = queries.last().filter(|_| more) {
        answer["NextToken"] = json!(last.name);
    }
    Ok(answer)
}

/// The answer of an operation that added or removed a part: the new version, and the parts of that kind as they are now.
fn part_changed(
    front: &KinesisAnalytics,
    query: &QueryDefinition,
    request: &JsonRequest,
) -> Result<Value, ServiceError> {
    let shown = shown(front, query);
    let mut answer = json!({ "ApplicationARN": front.arn(&query.name), "ApplicationVersionId": query.version });
    match request.operation.as_str() {
        "AddApplicationInput" => answer["InputDescriptions"] = shown.inputs(),
        "AddApplicationOutput" => answer["OutputDescriptions"] = shown.outputs(),
        "AddApplicationReferenceDataSource" => answer["ReferenceDataSourceDescriptions"] = shown.references(),
        "AddApplicationCloudWatchLoggingOption" | "DeleteApplicationCloudWatchLoggingOption" => {
            answer["CloudWatchLoggingOptionDescriptions"] = shown.logging_options();
        }
        "AddApplicationInputProcessingConfiguration" => {
            let InputId { input_id } = request.input()?;
            let input = place_of(Some(&input_id), query.inputs.len()).and_then(|place| query.inputs.get(place));
            if let Some(processor) = input.and_then(|input| input.processor.as_ref()) {
                answer["InputProcessingConfigurationDescription"] = shown.processing(processor);
            }
            answer["InputId"] = json!(input_id);
        }
        _ => {}
    }
    Ok(answer)
}

/// An application as this API shows it: parts have no roles of their own where the application has one.
fn shown<'a>(front: &'a KinesisAnalytics, query: &'a QueryDefinition) -> Shown<'a> {
    Shown { front, query, own_role: query.resource.as_ref().map_or("", |resource| &resource.role) }
}
