//! `/queries/{name}/test`: a query over samples that somebody uploads or pastes, and its rows to look at or to keep.

use std::collections::BTreeMap;

use askama::Template;
use axum::Form;
use axum::extract::multipart::MultipartError;
use axum::extract::{FromRequest as _, Multipart, Path, Request, State};
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
/// Bytes of a sample that the page shows again; of a longer one the file has to be chosen again.
const SHOWN_BYTES_MAX: usize = 1 << 20;
/// Fields of a form: the text, and two for each input that a query may have.
const FIELDS_MAX: usize = 256;
/// What the name of a field with a file ends with; what it begins with is the input's name.
const FILE: &str = ".file";

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

/// `GET /queries/{name}/test`: the form with nothing in it yet.
///
/// # Errors
/// [`ConsoleError::NotFound`].
pub async fn show(State(console): State<Console>, Path(name): Path<String>) -> Result<Response, ConsoleError> {
    test(&console, name, BTreeMap::new()).await
}

/// Runs the query over what the form holds: `sql`, for each input a field of its name or a file (`INPUT.file`), and `as=file`
/// for rows as a file.
///
/// # Errors
/// [`ConsoleError::NotFound`] for a query that is not there; mistakes of the form are shown on the page.
pub async fn run(
    State(console): State<Console>,
    Path(name): Path<String>,
    request: Request,
) -> Result<Response, ConsoleError> {
    let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let fields = if content_type.is_some_and(|kind| kind.starts_with("multipart/form-data")) {
        let body = Multipart::from_request(request, &()).await;
        uploaded(body.map_err(|rejection| ConsoleError::Invalid(rejection.body_text()))?).await?
    } else {
        let body = Form::<BTreeMap<String, String>>::from_request(request, &()).await;
        body.map_err(|rejection| ConsoleError::Invalid(rejection.body_text()))?.0
    };
    test(&console, name, fields).await
}

async fn test(console: &Console, name: String, mut fields: BTreeMap<String, String>) -> Result<Response, ConsoleError> {
    let query = console.query(&name)?;
    let as_file = fields.remove("as").is_some_and(|form| form == "file");
    let sql = fields.remove("sql").unwrap_or_else(|| query.sql.clone());
    let mut sample = |input: &str| {
        let file = fields.remove(&format!("{input}{FILE}")).filter(|text| !text.trim().is_empty());
        file.or_else(|| fields.remove(input)).unwrap_or_default()
    };
    let inputs = query.inputs.iter().map(|input| input.name.clone());
    let mut samples: Vec<(String, String)> = inputs.map(|input| (input.clone(), sample(&input))).collect();
    let ask = Ask::of_query(&name, Some(sql.clone()), samples.iter().cloned().collect());
    let ran = if samples.iter().all(|(_, sample)| sample.trim().is_empty()) {
        Ok(Trial::default())
    } else {
        carry_out(console, ask).await
    };
    if as_file && let Ok(trial) = &ran {
        return Ok(file(&name, trial));
    }
    let (trial, mistake) = match ran {
        Ok(trial) => (trial, None),
        Err(error) => (Trial::default(), Some(error.to_string())),
    };
    for (_, sample) in samples.iter_mut().filter(|(_, sample)| sample.len() > SHOWN_BYTES_MAX) {
        sample.clear();
    }
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

/// A form's fields with the texts of its files.
async fn uploaded(mut body: Multipart) -> Result<BTreeMap<String, String>, ConsoleError> {
    let wrong =
        |error: MultipartError| ConsoleError::Invalid(format!("the form cannot be read: {}", error.body_text()));
    let mut fields = BTreeMap::new();
    while let Some(field) = body.next_field().await.map_err(wrong)? {
        let name = field.name().unwrap_or_default().to_owned();
        let bytes = field.bytes().await.map_err(wrong)?;
        let Ok(text) = String::from_utf8(bytes.into()) else {
            let input = name.trim_end_matches(FILE);
            return Err(ConsoleError::Invalid(format!("expected text in UTF-8 as the sample for `{input}`")));
        };
        fields.insert(name, text);
        if fields.len() > FIELDS_MAX {
            return Err(ConsoleError::Invalid(format!("a form has at most {FIELDS_MAX} fields")));
        }
    }
    Ok(fields)
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
