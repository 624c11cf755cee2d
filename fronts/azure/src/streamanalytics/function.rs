//! Functions of a job: JavaScript, of a row's values or of a window's rows. Other kinds are refused by name.

use http::StatusCode;
use millstream_catalog::{QueryFunction, QueryFunctionKind, ValueType};
use millstream_query::QueryError;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::error::JobError;
use super::wire::{read, refuse_others};
use super::{Answer, Call};

/// The binding of scripts.
const JAVASCRIPT: &str = "Microsoft.StreamAnalytics/JavascriptUdf";

#[derive(Deserialize)]
struct Document {
    #[serde(rename = "type")]
    kind: String,
    properties: Properties,
    #[serde(flatten)]
    others: Map<String, Value>,
}

#[derive(Deserialize)]
struct Properties {
    #[serde(default)]
    inputs: Vec<Input>,
    output: Option<Output>,
    binding: Binding,
    #[serde(flatten)]
    others: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Input {
    data_type: String,
    #[serde(default)]
    is_configuration_parameter: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Output {
    data_type: String,
}

#[derive(Deserialize)]
struct Binding {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    properties: Script,
}

#[derive(Default, Deserialize)]
struct Script {
    #[serde(default)]
    script: String,
    #[serde(flatten)]
    others: Map<String, Value>,
}

/// The function that a document describes.
pub(super) fn definition(name: &str, document: Value) -> Result<QueryFunction, JobError> {
    let place = format!("function `{name}`");
    let Document { kind, properties, others } = read(&place, document)?;
    refuse_others(&place, &others, &["etag"])?;
    refuse_others(&place, &properties.others, &[])?;
    let kind = match kind.to_ascii_lowercase().as_str() {
        "scalar" => QueryFunctionKind::Scalar,
        "aggregate" => QueryFunctionKind::Aggregate,
        _ => return Err(JobError::unsupported(&format!("{place}: the type `{kind}` (expected Scalar or Aggregate)"))),
    };
    let Binding { kind: binding, properties: Script { script, others } } = properties.binding;
    if !binding.eq_ignore_ascii_case(JAVASCRIPT) {
        return Err(JobError::unsupported(&format!("{place}: the binding `{binding}` (expected {JAVASCRIPT})")));
    }
    refuse_others(&format!("the binding of {place}"), &others, &[])?;
    let value_type = |found: &str| {
        let expected = format!("{place}: expected a data type of {}, found `{found}`", ValueType::names());
        ValueType::of(found).ok_or_else(|| JobError::invalid(expected))
    };
    if properties.inputs.iter().any(|input| input.is_configuration_parameter) {
        return Err(JobError::unsupported(&format!("{place}: `isConfigurationParameter` of an input")));
    }
    let arguments = properties.inputs.iter().map(|input| value_type(&input.data_type)).collect::<Result<_, _>>()?;
    let result = properties.output.map_or(Ok(ValueType::Any), |output| value_type(&output.data_type))?;
    Ok(QueryFunction { name: name.to_owned(), kind, script, arguments, result })
}

/// Looks whether a function works: the one that the body describes, else the job's.
pub(super) async fn test(call: &Call<'_>, job: &str, name: &str) -> Result<Answer, JobError> {
    let query = call.front.job(job)?;
    let function = match call.body()?.get_mut("properties").map(Value::take) {
        Some(given) if !given.is_null() => definition(name, given)?,
        _ => {
            let known = query.functions.iter().find(|function| function.name.eq_ignore_ascii_case(name));
            known.cloned().ok_or_else(|| JobError::not_found("function", name))?
        }
    };
    let document = match call.front.queries.check_function(&function).await {
        Ok(()) => json!({ "status": "TestSucceeded" }),
        Err(error @ QueryError::Function(_)) => {
            json!({ "status": "TestFailed", "error": { "code": "BadRequest", "message": error.to_string() } })
        }
        Err(error) => return Err(error.into()),
    };
    Ok(Answer { status: StatusCode::OK, document, etag: String::new() })
}

/// The document of a function.
pub(super) fn document(function: &QueryFunction) -> Value {
    let kind = match function.kind {
        QueryFunctionKind::Scalar => "Scalar",
        QueryFunctionKind::Aggregate => "Aggregate",
    };
    let input = |declared: &ValueType| json!({ "dataType": declared.name(), "isConfigurationParameter": false });
    json!({
        "type": kind,
        "properties": {
            "inputs": function.arguments.iter().map(input).collect::<Vec<_>>(),
            "output": { "dataType": function.result.name() },
            "binding": { "type": JAVASCRIPT, "properties": { "script": function.script } },
        },
    })
}
