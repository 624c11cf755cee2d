//! `CreateApplication`, `UpdateApplication` and `DescribeApplication` as the API of 2018 nests their members.

use millstream_catalog::QueryDefinition;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::super::change_application::{Seen, Update, conditional_token};
use super::super::create_application::NewApplication;
use super::super::describe_application::seconds;
use super::super::input::{Input, InputUpdate};
use super::super::logging::{LoggingOption, LoggingUpdate};
use super::super::output::{Output, OutputUpdate};
use super::super::reference::{Reference, ReferenceUpdate};
use super::super::tags::Tag;
use super::super::{KinesisAnalytics, check_name, name_constraints};
use super::{SQL, refuse_others, shown};
use crate::json_protocol::{Constraints, JsonRequest, ServiceError};

/// Runtimes of the service.
const RUNTIMES: [&str; 14] = [
    SQL,
    "FLINK-1_6",
    "FLINK-1_8",
    "ZEPPELIN-FLINK-1_0",
    "FLINK-1_11",
    "FLINK-1_13",
    "ZEPPELIN-FLINK-2_0",
    "FLINK-1_15",
    "ZEPPELIN-FLINK-3_0",
    "FLINK-1_18",
    "FLINK-1_19",
    "FLINK-1_20",
    "FLINK-2_2",
    "FLINK-2_3",
];

/// How code is given: as text.
const PLAINTEXT: &str = "PLAINTEXT";
const CODE_TYPES: [&str; 2] = [PLAINTEXT, "ZIPFILE"];

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CreateInput {
    application_name: Option<String>,
    application_description: Option<String>,
    runtime_environment: Option<String>,
    service_execution_role: Option<String>,
    application_configuration: Option<Configuration>,
    #[serde(rename = "CloudWatchLoggingOptions")]
    logging_options: Option<Vec<LoggingOption>>,
    tags: Option<Vec<Tag>>,
    application_mode: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Configuration {
    sql_application_configuration: Option<Parts>,
    application_code_configuration: Option<Code>,
    #[serde(flatten)]
    others: Map<String, Value>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Parts {
    inputs: Option<Vec<Input>>,
    outputs: Option<Vec<Output>>,
    reference_data_sources: Option<Vec<Reference>>,
}

#[derive(Deserialize)]
struct Code {
    #[serde(rename = "CodeContentType", alias = "CodeContentTypeUpdate")]
    content_type: Option<String>,
    #[serde(rename = "CodeContent", alias = "CodeContentUpdate")]
    content: Option<CodeContent>,
}

#[derive(Deserialize)]
struct CodeContent {
    #[serde(rename = "TextContent", alias = "TextContentUpdate")]
    text: Option<String>,
    #[serde(flatten)]
    others: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct UpdateInput {
    application_configuration_update: Option<ConfigurationUpdate>,
    service_execution_role_update: Option<String>,
    runtime_environment_update: Option<String>,
    run_configuration_update: Option<Value>,
    #[serde(rename = "CloudWatchLoggingOptionUpdates")]
    logging_option_updates: Option<Vec<LoggingUpdate>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ConfigurationUpdate {
    sql_application_configuration_update: Option<PartUpdates>,
    application_code_configuration_update: Option<Code>,
    #[serde(flatten)]
    others: Map<String, Value>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PartUpdates {
    input_updates: Option<Vec<InputUpdate>>,
    output_updates: Option<Vec<OutputUpdate>>,
    reference_data_source_updates: Option<Vec<ReferenceUpdate>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DescribeInput {
    application_name: Option<String>,
}

pub(super) async fn create(front: &KinesisAnalytics, request: &JsonRequest) -> Result<Value, ServiceError> {
    let input: CreateInput = request.input()?;
    let (runtime, role) = (input.runtime_environment.as_deref(), input.service_execution_role.as_deref());
    name_constraints(input.application_name.as_deref())
        .required("runtimeEnvironment", runtime.as_ref())
        .one_of("runtimeEnvironment", runtime, &RUNTIMES)
        .required("serviceExecutionRole", role.as_ref())
        .length("serviceExecutionRole", role, 1, 2_048)
        .finish()?;
    check_runtime(runtime)?;
    refuse_others([("ApplicationMode INTERACTIVE", input.application_mode.as_deref() == Some("INTERACTIVE"))])?;
    let configuration = input.application_configuration.unwrap_or_default();
    refuse_given(&configuration.others)?;
    let code = configuration.application_code_configuration;
    if let Some(code) = &code {
        Constraints::new()
            .required(
                "applicationConfiguration.applicationCodeConfiguration.codeContentType",
                code.content_type.as_ref(),
            )
            .finish()?;
    }
    let parts = configuration.sql_application_configuration.unwrap_or_default();
    let new = NewApplication {
        name: input.application_name,
        description: input.application_description,
        code: code.map(Code::text).transpose()?.flatten(),
        inputs: parts.inputs,
        outputs: parts.outputs,
        references: parts.reference_data_sources,
        logging_options: input.logging_options,
        tags: input.tags,
        role: input.service_execution_role.unwrap_or_default(),
    };
    let made = new.make(front).await?;
    Ok(json!({ "ApplicationDetail": detail(front, &made) }))
}

pub(super) async fn update(front: &KinesisAnalytics, request: &JsonRequest) -> Result<Value, ServiceError> {
    let (seen, input): (Seen, UpdateInput) = (request.input()?, request.input()?);
    let runtime = input.runtime_environment_update.as_deref();
    seen.constraints()
        .one_of("runtimeEnvironmentUpdate", runtime, &RUNTIMES)
        .length("serviceExecutionRoleUpdate", input.service_execution_role_update.as_deref(), 1, 2_048)
        .finish()?;
    check_runtime(runtime)?;
    refuse_others([("RunConfigurationUpdate", input.run_configuration_update.is_some())])?;
    let configuration = input.application_configuration_update.unwrap_or_default();
    refuse_given(&configuration.others)?;
    let parts = configuration.sql_application_configuration_update.unwrap_or_default();
    let update = Update {
        code: configuration.application_code_configuration_update.map(Code::text).transpose()?.flatten(),
        inputs: parts.input_updates,
        outputs: parts.output_updates,
        references: parts.reference_data_source_updates,
        logging_options: input.logging_option_updates,
        role: input.service_execution_role_update,
    };
    let changed = update.carry_out(front, &seen).await?;
    Ok(json!({ "ApplicationDetail": detail(front, &changed) }))
}

pub(super) fn describe(front: &KinesisAnalytics, request: &JsonRequest) -> Result<Value, ServiceError> {
    let DescribeInput { application_name } = request.input()?;
    check_name(application_name.as_deref())?;
    let query = front.application(&application_name.unwrap_or_default())?;
    Ok(json!({ "ApplicationDetail": detail(front, &query) }))
}

impl Code {
    /// The text of the code.
    fn text(self) -> Result<Option<String>, ServiceError> {
        let content_type = self.content_type.as_deref();
        Constraints::new().one_of("codeContentType", content_type, &CODE_TYPES).finish()?;
        refuse_others([("CodeContentType ZIPFILE", content_type == Some("ZIPFILE"))])?;
        let Some(content) = self.content else { return Ok(None) };
        refuse_given(&content.others)?;
        Ok(content.text)
    }
}

fn check_runtime(runtime: Option<&str>) -> Result<(), ServiceError> {
    match runtime.filter(|runtime| *runtime != SQL) {
        Some(other) => {
            let message = format!("RuntimeEnvironment {other} is not supported by this node; expected {SQL}");
            Err(ServiceError::new("UnsupportedOperationException", message))
        }
        None => Ok(()),
    }
}

/// Members that are not known of SQL applications.
fn refuse_given(others: &Map<String, Value>) -> Result<(), ServiceError> {
    refuse_others(others.iter().map(|(member, value)| (member.as_str(), !value.is_null())))
}

/// `ApplicationDetail`
fn detail(front: &KinesisAnalytics, query: &QueryDefinition) -> Value {
    let shown = shown(front, query);
    let mut detail = json!({
        "ApplicationARN": front.arn(&query.name),
        "ApplicationDescription": query.description,
        "ApplicationName": query.name,
        "RuntimeEnvironment": SQL,
        "ApplicationStatus": front.status(&query.name),
        "ApplicationVersionId": query.version,
        "CreateTimestamp": seconds(query.created),
        "LastUpdateTimestamp": seconds(query.modified),
        "ApplicationConfigurationDescription": {
            "SqlApplicationConfigurationDescription": {
                "InputDescriptions": shown.inputs(),
                "OutputDescriptions": shown.outputs(),
                "ReferenceDataSourceDescriptions": shown.references(),
            },
            "ApplicationCodeConfigurationDescription": {
                "CodeContentType": PLAINTEXT,
                "CodeContentDescription": { "TextContent": query.sql },
            },
        },
        "CloudWatchLoggingOptionDescriptions": shown.logging_options(),
        "ConditionalToken": conditional_token(query),
    });
    if !shown.own_role.is_empty() {
        detail["ServiceExecutionRole"] = json!(shown.own_role);
    }
    detail
}
