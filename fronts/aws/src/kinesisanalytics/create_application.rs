//! `CreateApplication`

use millstream_catalog::{EventOrder, QueryDialect, QueryOutput, StartAt};
use millstream_query::NewQuery;
use serde::Deserialize;
use serde_json::{Value, json};

use super::input::Input;
use super::output::Output;
use super::{KinesisAnalytics, check_name};
use crate::json_protocol::{Constraints, JsonRequest, ServiceError};

/// The longest query text: the service's own limit.
const CODE_BYTES_MAX: usize = 102_400;

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
    };
    let known = millstream_query::output_names(new.dialect, &new.sql);
    if let Some(other) = new.outputs.iter().find(|output| !known.contains(&output.name)) {
        let message =
            format!("the application code has no stream `{}`; its streams are `{}`", other.name, known.join("`, `"));
        return Err(ServiceError::new("InvalidArgumentException", message));
    }
    front.queries.create(new).await.map_err(|error| front.error(&error))?;
    Ok(json!({ "ApplicationSummary": {
        "ApplicationName": name,
        "ApplicationARN": front.arn(&name),
        "ApplicationStatus": "READY",
    } }))
}
