//! The API of 2015: its operations and their answers.

use millstream_catalog::QueryDefinition;
use serde::Deserialize;
use serde_json::{Value, json};

use super::change_application::{Seen, Update, change_part};
use super::create_application::NewApplication;
use super::describe_application::detail;
use super::input::InputUpdate;
use super::lifecycle::{self, InputConfiguration};
use super::logging::LoggingUpdate;
use super::output::OutputUpdate;
use super::reference::ReferenceUpdate;
use super::{KinesisAnalytics, check_name, discover_input_schema, require, tags};
use crate::json_protocol::{JsonRequest, ServiceError};

/// Answers a request: every operation that there is.
pub(super) async fn call(front: &KinesisAnalytics, request: &JsonRequest) -> Result<Value, ServiceError> {
    match request.operation.as_str() {
        "CreateApplication" => create(front, request).await,
        "DescribeApplication" => describe(front, request),
        "UpdateApplication" => update(front, request).await,
        "StartApplication" => start(front, request).await,
        "StopApplication" => {
            let NameInput { application_name } = request.input()?;
            lifecycle::stop(front, application_name).await.map(nothing)
        }
        "DeleteApplication" => lifecycle::delete(front, request).await.map(nothing),
        "ListApplications" => list(front, request),
        "TagResource" => tags::add(front, request).await,
        "UntagResource" => tags::remove(front, request).await,
        "ListTagsForResource" => tags::list(front, request),
        "DiscoverInputSchema" => discover_input_schema::call(front, request).await,
        other => match change_part(front, request).await {
            Some(changed) => changed.map(nothing),
            None => Err(ServiceError::unknown_operation("Kinesis Analytics", other)),
        },
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct NameInput {
    application_name: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct StartInput {
    application_name: Option<String>,
    input_configurations: Option<Vec<InputConfiguration>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListInput {
    limit: Option<i64>,
    exclusive_start_application_name: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct UpdateInput {
    application_update: Option<ApplicationUpdate>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ApplicationUpdate {
    application_code_update: Option<String>,
    input_updates: Option<Vec<InputUpdate>>,
    output_updates: Option<Vec<OutputUpdate>>,
    reference_data_source_updates: Option<Vec<ReferenceUpdate>>,
    #[serde(rename = "CloudWatchLoggingOptionUpdates")]
    logging_option_updates: Option<Vec<LoggingUpdate>>,
}

fn nothing<T>(_: T) -> Value {
    json!({})
}

fn summary(front: &KinesisAnalytics, query: &QueryDefinition) -> Value {
    json!({
        "ApplicationName": query.name,
        "ApplicationARN": front.arn(&query.name),
        "ApplicationStatus": front.status(&query.name),
    })
}

async fn create(front: &KinesisAnalytics, request: &JsonRequest) -> Result<Value, ServiceError> {
    let made = request.input::<NewApplication>()?.make(front).await?;
    Ok(json!({ "ApplicationSummary": summary(front, &made) }))
}

fn describe(front: &KinesisAnalytics, request: &JsonRequest) -> Result<Value, ServiceError> {
    let NameInput { application_name } = request.input()?;
    check_name(application_name.as_deref())?;
    let query = front.application(&application_name.unwrap_or_default())?;
    Ok(json!({ "ApplicationDetail": detail(front, &query) }))
}

async fn update(front: &KinesisAnalytics, request: &JsonRequest) -> Result<Value, ServiceError> {
    let seen: Seen = request.input()?;
    let mut constraints = seen.constraints();
    require(&mut constraints, request, &["ApplicationUpdate"])?;
    constraints.finish()?;
    let given = request.input::<UpdateInput>()?.application_update.unwrap_or_default();
    let update = Update {
        code: given.application_code_update,
        inputs: given.input_updates,
        outputs: given.output_updates,
        references: given.reference_data_source_updates,
        logging_options: given.logging_option_updates,
        role: None,
    };
    update.carry_out(front, &seen).await.map(nothing)
}

async fn start(front: &KinesisAnalytics, request: &JsonRequest) -> Result<Value, ServiceError> {
    let StartInput { application_name, input_configurations } = request.input()?;
    // The service asks for them though they may be empty; here they may be missing.
    lifecycle::start(front, application_name, input_configurations.unwrap_or_default()).await.map(nothing)
}

fn list(front: &KinesisAnalytics, request: &JsonRequest) -> Result<Value, ServiceError> {
    let ListInput { limit, exclusive_start_application_name } = request.input()?;
    let (queries, more) = front.page(limit, exclusive_start_application_name)?;
    let page: Vec<Value> = queries.iter().map(|query| summary(front, query)).collect();
    Ok(json!({ "ApplicationSummaries": page, "HasMoreApplications": more }))
}
