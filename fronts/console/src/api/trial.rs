//! `POST /api/test`: a query over samples, its rows at once. Nothing of it is kept.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use millstream_catalog::{EventOrder, QueryDialect, QueryInput};
use millstream_query::{QueryError, TRIAL_ROWS_MAX, Trial, TrialAsk, TrialError, TrialInput, TrialOutput, trial};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::Console;
use crate::error::ConsoleError;

/// The longest body: samples of some megabytes.
pub const BODY_BYTES_MAX: usize = 16 << 20;

/// A query and its samples.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ask {
    /// A query of the node: its text, functions, columns and tolerances are used.
    query: Option<String>,
    /// The text, instead of the query's own.
    sql: Option<String>,
    /// The text's language; the query's own, else Stream Analytics'.
    dialect: Option<QueryDialect>,
    /// Samples by input.
    samples: BTreeMap<String, String>,
}

/// Runs a query over samples.
///
/// # Errors
/// [`ConsoleError::Invalid`] with the mistakes of the text or the sample; [`ConsoleError::NotFound`].
pub async fn run(
    State(console): State<Console>,
    ask: Result<Json<Ask>, JsonRejection>,
) -> Result<Json<Value>, ConsoleError> {
    let Json(ask) = ask.map_err(|rejection| ConsoleError::Invalid(rejection.body_text()))?;
    let trial = carry_out(&console, ask).await??;
    let output = |output: TrialOutput| {
        let rows: Vec<Value> =
            output.rows.iter().map(|row| serde_json::from_str(&row.text).unwrap_or_default()).collect();
        json!({ "name": output.name, "rows": rows })
    };
    let error = |error: TrialError| {
        let (input, line) = error.place.unzip();
        json!({ "kind": error.kind, "detail": error.detail, "input": input, "line": line })
    };
    Ok(Json(json!({
        "outputs": trial.outputs.into_iter().map(output).collect::<Vec<_>>(),
        "errors": trial.errors.into_iter().map(error).collect::<Vec<_>>(),
    })))
}

impl Ask {
    /// A query of the node over samples, with another text if one is given.
    pub(crate) fn of_query(query: &str, sql: Option<String>, samples: BTreeMap<String, String>) -> Self {
        Self { query: Some(query.to_owned()), sql, dialect: None, samples }
    }
}

/// Runs a trial off the async workers. The outer error is of what was asked, the inner one the query engine's.
pub(crate) async fn carry_out(console: &Console, ask: Ask) -> Result<Result<Trial, QueryError>, ConsoleError> {
    let query = ask.query.as_deref().map(|name| console.query(name)).transpose()?;
    let sql = ask.sql.or_else(|| query.as_ref().map(|query| query.sql.clone()));
    let sql = sql.ok_or_else(|| ConsoleError::Invalid("expected `query` or `sql`".to_owned()))?;
    let own = query.as_ref().map_or(QueryDialect::StreamAnalytics, |query| query.dialect);
    let order = query.as_ref().map_or_else(EventOrder::default, |query| query.event_order);
    let input = |(name, sample): (String, String)| {
        let is = |known: &str| known.eq_ignore_ascii_case(&name);
        let known = query.iter().flat_map(|query| query.inputs.iter().flat_map(QueryInput::streams));
        let known = known.into_iter().find(|input| is(&input.name));
        let table = query.iter().flat_map(|query| &query.references).find(|table| is(&table.name));
        let described = known.as_ref().map(|input| (input.declared().1, input.format.clone()));
        let described = described.or_else(|| table.map(|table| (table.columns.clone(), table.format.clone())));
        let (columns, format) = described.unwrap_or_default();
        TrialInput { name, columns, format, sample, reference: known.is_none() && table.is_some() }
    };
    let inputs: Vec<TrialInput> = ask.samples.into_iter().map(input).collect();
    let functions = query.as_ref().map(|query| query.functions.clone()).unwrap_or_default();
    let (dialect, now) = (ask.dialect.unwrap_or(own), console.clock().now());
    let ask = TrialAsk { dialect, sql, functions, inputs, order, now, rows_max: TRIAL_ROWS_MAX };
    let ran = tokio::task::spawn_blocking(move || trial(&ask)).await;
    ran.map_err(|error| ConsoleError::Invalid(format!("the test ended early: {error}")))
}
