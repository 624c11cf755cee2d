//! `CreateApplication`

use millstream_catalog::{EventOrder, QueryDialect, QueryOutput, StartAt};
use millstream_query::{InputSchema, NewQuery, QueryError};
use serde::Deserialize;
use serde_json::{Value, json};

use super::input::Input;
use super::output::Output;
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
}

pub(super) async fn call(front: &KinesisAnalytics, request: &JsonRequest) -> Result<Value, ServiceError> {
    let input: Request = request.input()?;
    check_name(input.application_name.as_deref())?;
    Constraints::new().length("applicationCode", input.application_code.as_deref(), 0, CODE_BYTES_MAX).finish()?;
    let name = input.application_name.unwrap_or_default();
    let outputs: Vec<QueryOutput> =
        input.outputs.unwrap_or_default().into_iter().map(Output::definition).collect::<Result<_, _>>()?;
    let new = NewQuery {
        name: name.clone(),
        dialect: QueryDialect::Kinesis,
        sql: input.application_code.unwrap_or_default(),
        description: input.application_description.unwrap_or_default(),
        inputs: input.inputs.unwrap_or_default().into_iter().map(Input::definition).collect::<Result<_, _>>()?,
        outputs,
        start_at: StartAt::Latest,
        event_order: EventOrder::default(),
        parallelism: 0,
        resource: None,
    };
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
    let schemas: Vec<InputSchema> = query
        .inputs
        .iter()
        .map(|input| InputSchema {
            name: input.name.clone(),
            columns: (!input.columns.is_empty()).then(|| input.columns.clone()),
            hub: false,
        })
        .collect();
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
