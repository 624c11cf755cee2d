//! `/queries/{name}/test`: a query over samples that somebody pastes, and its rows to look at or to keep.

use std::collections::BTreeMap;

use askama::Template;
use axum::Form;
use axum::extract::{Path, State};
use axum::response::{Html, IntoResponse as _, Response};
use http::header;
use millstream_query::Trial;

use super::Frame;
use crate::Console;
use crate::api::trial::{Ask, carry_out};
use crate::error::ConsoleError;
use crate::page::Page;

/// Rows that the page shows; the file has all.
const ROWS_MAX: usize = 500;

#[derive(Template)]
#[template(path = "pages/trial.html")]
struct TrialPage {
    frame: Frame,
    name: String,
    href: String,
    sql: String,
    samples: Vec<(String, String)>,
    mistake: Option<String>,
    outputs: Vec<(String, usize, Vec<String>)>,
    errors: Vec<(String, String)>,
}

/// `GET /queries/{name}/test`: the form with nothing pasted yet.
///
/// # Errors
/// [`ConsoleError::NotFound`].
pub async fn show(state: State<Console>, name: Path<String>) -> Result<Response, ConsoleError> {
    run(state, name, Form(BTreeMap::new())).await
}

/// Runs the query over what the form holds: `sql`, a field per input, and `as=file` for rows as a file.
///
/// # Errors
/// [`ConsoleError::NotFound`] for a query that is not there; mistakes of the form are shown on the page.
pub async fn run(
    State(console): State<Console>,
    Path(name): Path<String>,
    Form(mut fields): Form<BTreeMap<String, String>>,
) -> Result<Response, ConsoleError> {
    let query = console.query(&name)?;
    let as_file = fields.remove("as").is_some_and(|form| form == "file");
    let sql = fields.remove("sql").unwrap_or_else(|| query.sql.clone());
    let inputs = query.inputs.iter().map(|input| input.name.clone());
    let samples: Vec<(String, String)> =
        inputs.map(|input| (input.clone(), fields.remove(&input).unwrap_or_default())).collect();
    let ask = Ask::of_query(&name, Some(sql.clone()), samples.iter().cloned().collect());
    let ran = if samples.iter().all(|(_, sample)| sample.trim().is_empty()) {
        Ok(Trial::default())
    } else {
        carry_out(&console, ask).await
    };
    if as_file && let Ok(trial) = &ran {
        return Ok(file(&name, trial));
    }
    let (trial, mistake) = match ran {
        Ok(trial) => (trial, None),
        Err(error) => (Trial::default(), Some(error.to_string())),
    };
    let shown = |(output, mut rows): (String, Vec<String>)| {
        let count = rows.len();
        rows.truncate(ROWS_MAX);
        (output, count, rows)
    };
    let page = TrialPage {
        frame: Frame::of(&Page::Query(name.clone())),
        href: Page::Query(name.clone()).href(),
        name,
        sql,
        samples,
        mistake,
        outputs: trial.outputs.into_iter().map(shown).collect(),
        errors: trial.errors,
    };
    Ok(Html(page.render()?).into_response())
}

/// All rows, a line each, with their output.
fn file(name: &str, trial: &Trial) -> Response {
    let mut text = String::new();
    for (output, rows) in &trial.outputs {
        for row in rows {
            text.push_str(&format!("{{\"output\":{},\"row\":{row}}}\n", serde_json::Value::from(output.as_str())));
        }
    }
    let name: String = name.chars().filter(|char| char.is_ascii_alphanumeric() || matches!(char, '-' | '_')).collect();
    let disposition = format!("attachment; filename=\"{name}-test.jsonl\"");
    ([(header::CONTENT_TYPE, "application/x-ndjson".to_owned()), (header::CONTENT_DISPOSITION, disposition)], text)
        .into_response()
}
