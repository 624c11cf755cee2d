//! `CreateApplication`

use millstream_catalog::{ColumnDefinition, EventOrder, QueryDialect, QueryOutput, QueryResource, StartAt};
use millstream_query::{InputSchema, NewQuery, QueryError};
use serde::Deserialize;
use serde_json::{Value, json};

use super::input::Input;
use super::logging::{self, LoggingOption};
use super::output::Output;
use super::tags::{self, Tag};
use super::{KinesisAnalytics, check_name, invalid};
use crate::json_protocol::{Constraints, JsonRequest, ServiceError};

/// The longest query text: the service's own limit.
pub(super) const CODE_BYTES_MAX: usize = 102_400;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Request {
    application_name: Option<String>,
    application_description: Option<String>,
    application_code: Option<String>,
    inputs: Option<Vec<Input>>,
    outputs: Option<Vec<Output>>,
    #[serde(rename = "CloudWatchLoggingOptions")]
    logging_options: Option<Vec<LoggingOption>>,
    tags: Option<Vec<Tag>>,
}

/// Streaming sources of an application: the service's limit.
const INPUTS_MAX: usize = 1;
/// Outputs of an application: the service's limit.
const OUTPUTS_MAX: usize = 3;

pub(super) async fn call(front: &KinesisAnalytics, request: &JsonRequest) -> Result<Value, ServiceError> {
    let input: Request = request.input()?;
    check_name(input.application_name.as_deref())?;
    Constraints::new()
        .length("applicationCode", input.application_code.as_deref(), 0, CODE_BYTES_MAX)
        .length("applicationDescription", input.application_description.as_deref(), 0, 1_024)
        .finish()?;
    let name = input.application_name.unwrap_or_default();
    let outputs: Vec<QueryOutput> =
        input.outputs.unwrap_or_default().into_iter().map(Output::definition).collect::<Result<_, _>>()?;
    let new = NewQuery {
        name: name.clone(),
        dialect: QueryDialect::Kinesis,
        sql: input.application_code.unwrap_or_default(),
        description: input.application_description.unwrap_or_default(),
        inputs: input.inputs.unwrap_or_default().into_iter().map(Input::definition).collect::<Result<_, _>>()?,
        references: Vec::new(),
        functions: Vec::new(),
        outputs,
        start_at: StartAt::Latest,
        event_order: EventOrder::default(),
        parallelism: 0,
        resource: Some(QueryResource {
            tags: tags::read(input.tags.unwrap_or_default())?,
            error_log: logging::one(input.logging_options)?,
            ..QueryResource::default()
        }),
    };
    check_numbers(&new)?;
    check_definition(front, &new)?;
    front.queries.create(new).await.map_err(|error| front.error(&error))?;
    Ok(json!({ "ApplicationSummary": {
        "ApplicationName": name,
        "ApplicationARN": front.arn(&name),
        "ApplicationStatus": "READY",
    } }))
}

/// The code first: outputs can only be looked for in code that has no mistakes.
pub(super) fn check_definition(front: &KinesisAnalytics, query: &NewQuery) -> Result<(), ServiceError> {
    super::role::check(front, query)?;
    // An application may be made before its code.
    if query.sql.trim().is_empty() {
        return Ok(());
    }
    let schema = |name: &str, columns: &[ColumnDefinition], reference: bool| InputSchema {
        name: name.to_owned(),
        columns: (!columns.is_empty()).then(|| columns.to_vec()),
        hub: false,
        reference,
    };
    let inputs = query.inputs.iter().map(|input| schema(&input.name, &input.columns, false));
    let references = query.references.iter().map(|input| schema(&input.name, &input.columns, true));
    let schemas: Vec<InputSchema> = inputs.chain(references).collect();
    let mistakes = millstream_query::check(query.dialect, &query.sql, &schemas);
    if !mistakes.is_empty() {
        return Err(front.error(&QueryError::Plan(mistakes)));
    }
    let known = millstream_query::output_names(query.dialect, &query.sql);
    match query.outputs.iter().find(|output| !known.contains(&output.name)) {
        Some(other) => Err(invalid(format!(
            "the application code has no stream `{}`; its streams are `{}`",
            other.name,
            known.join("`, `")
        ))),
        None => Ok(()),
    }
}

/// How many inputs and outputs there may be; each output is for another stream. Not asked of what there is already: a
/// pipeline file may give a query more.
pub(super) fn check_numbers(query: &NewQuery) -> Result<(), ServiceError> {
    if query.inputs.len() > INPUTS_MAX {
        return Err(invalid(format!(
            "An application can have at most {INPUTS_MAX} input, found {}",
            query.inputs.len()
        )));
    }
    if query.outputs.len() > OUTPUTS_MAX {
        let found = query.outputs.len();
        return Err(invalid(format!("An application can have at most {OUTPUTS_MAX} outputs, found {found}")));
    }
    let mut names: Vec<String> = query.outputs.iter().map(|output| output.name.to_ascii_lowercase()).collect();
    names.sort_unstable();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(invalid(format!("the application has an output `{}` already", pair[0]))),
        None => Ok(()),
    }
}
