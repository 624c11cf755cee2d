//! `/queries/{name}/test`: a query's text over samples that somebody uploads or pastes, or over what its streams took last, and its
//! rows to look at or to keep; then the text is saved. What is wrong with a text is in `editor.rs`.

use std::collections::BTreeMap;

use askama::Template;
use axum::Form;
use axum::extract::multipart::MultipartError;
use axum::extract::{FromRequest as _, Multipart, Path, Request, State};
use axum::response::{Html, IntoResponse as _, Redirect, Response};
use http::header;
use millstream_catalog::{DesiredState, InputProcessor, QueryDefinition, QueryInput};
use millstream_query::{Processed, ProcessingBatch, QueryError, Trial, TrialError, TrialOutput};
use millstream_types::Record;
use serde_json::Value;

use super::Frame;
use super::editor::{self, Editor, Mistakes};
use super::rows_table::RowsTable;
use crate::Console;
use crate::api::tail::events;
use crate::api::trial::{Ask, carry_out};
use crate::chart;
use crate::error::ConsoleError;
use crate::page::Page;
use crate::tail::{self, Placed};

/// Records of each stream that are tried.
const LIVE_RECORDS: usize = 200;
/// Rows that the page shows; the file has all.
const ROWS_MAX: usize = 500;
/// Bytes of a sample that the page shows again; of a longer one the file has to be chosen again.
const SHOWN_BYTES_MAX: usize = 1 << 20;
/// Fields of a form: the text, and two for each input that a query may have.
const FIELDS_MAX: usize = 256;
/// What the name of a field with a file ends with; what it begins with is the input's name.
const FILE: &str = ".file";
/// The field with the management token; no input has such a name.
const TOKEN: &str = ".token";
/// The field with the change of the query that the text was made from; no input has such a name.
const VERSION: &str = ".version";

#[derive(Template)]
#[template(path = "pages/trial.html")]
struct TrialPage {
    frame: Frame,
    name: String,
    editor: Editor,
    mistake: Option<String>,
    outputs: Vec<ShownOutput>,
    errors: Vec<TrialError>,
}

/// The rows of an output.
struct ShownOutput {
    name: String,
    count: usize,
    table: RowsTable,
    /// The first column of numbers, and its values as a picture.
    chart: Option<(String, String)>,
}

/// What somebody wants of what a form holds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    /// The rows of its samples.
    Rows,
    /// The same as a file.
    File,
    /// The rows of what the streams took last.
    Live,
    /// What is wrong with its text.
    Check,
    /// That its text becomes the query's.
    Save,
}

/// `GET /queries/{name}/test`: the form with nothing in it yet.
///
/// # Errors
/// [`ConsoleError::NotFound`].
pub async fn show(State(console): State<Console>, Path(name): Path<String>) -> Result<Response, ConsoleError> {
    test(&console, name, BTreeMap::new()).await
}

/// Does what the form wants (`as`) with what it holds: `sql`, and for each input a field of its name or a file (`INPUT.file`).
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
    let wanted = match fields.remove("as").as_deref() {
        Some("file") => Wanted::File,
        Some("live") => Wanted::Live,
        Some("check") => Wanted::Check,
        Some("save") => Wanted::Save,
        _ => Wanted::Rows,
    };
    let token = fields.remove(TOKEN).unwrap_or_default();
    let mut editor = filled(console, &query, fields);
    let (mut trial, mut mistake) = (Trial::default(), None);
    if wanted == Wanted::Live
        && let Err(error) = newest(console, &query, &mut editor.samples).await
    {
        mistake = Some(error.to_string());
    }
    match wanted {
        Wanted::Check => {
            let found = console.queries().mistakes(&name, &editor.sql).await?;
            editor.mistakes = Mistakes::of(&editor.sql, &found);
        }
        Wanted::Save => match save(console, &query, &editor, token).await? {
            Ok(()) => return Ok(Redirect::to(&editor.href).into_response()),
            Err((mistakes, told)) => (editor.mistakes, mistake) = (mistakes, told),
        },
        Wanted::Rows | Wanted::File | Wanted::Live => match ran(console, &name, &editor).await {
            Ok(Ok(ran)) if wanted == Wanted::File => return Ok(file(&name, &ran)),
            Ok(Ok(ran)) => trial = ran,
            Ok(Err(QueryError::Plan(found))) => editor.mistakes = Mistakes::of(&editor.sql, &found),
            Ok(Err(error)) => mistake = Some(error.to_string()),
            Err(error) => mistake = Some(error.to_string()),
        },
    }
    for (_, sample) in editor.samples.iter_mut().filter(|(_, sample)| sample.len() > SHOWN_BYTES_MAX) {
        sample.clear();
    }
    let page = TrialPage {
        frame: Frame::of(&Page::Query(name.clone())),
        name,
        editor,
        mistake,
        outputs: trial.outputs.iter().map(shown).collect(),
        errors: trial.errors,
    };
    Ok(Html(page.render()?).into_response())
}

/// The editor with a query's own text and no samples.
pub(super) fn fresh(console: &Console, query: &QueryDefinition) -> Editor {
    filled(console, query, BTreeMap::new())
}

/// The editor with what a form holds.
fn filled(console: &Console, query: &QueryDefinition, mut fields: BTreeMap<String, String>) -> Editor {
    // Browsers send a form's lines with both characters of a break.
    let sql = fields.remove("sql").map(|sql| sql.replace("\r\n", "\n"));
    let sql = sql.unwrap_or_else(|| query.sql.trim().to_owned());
    let version = fields.remove(VERSION).and_then(|version| version.parse().ok()).unwrap_or(query.version);
    let mut sample = |input: &str| {
        let file = fields.remove(&format!("{input}{FILE}")).filter(|text| !text.trim().is_empty());
        file.or_else(|| fields.remove(input)).unwrap_or_default()
    };
    Editor {
        href: Page::Query(query.name.clone()).href(),
        sql,
        samples: names(query).map(|name| (name.to_owned(), sample(name))).collect(),
        mistakes: Mistakes::default(),
        version,
        asks_token: console.create_needs_token(),
    }
}

/// Takes what the streams of the inputs took last as their samples, as the functions make it that inputs' records go through.
async fn newest(
    console: &Console,
    query: &QueryDefinition,
    samples: &mut [(String, String)],
) -> Result<(), ConsoleError> {
    for (input, (_, sample)) in query.inputs.iter().flat_map(QueryInput::streams).zip(samples) {
        let stream = console.streams().get(&input.stream)?;
        let mut placed = tail::newest(console.streams(), &stream, LIVE_RECORDS).await?;
        placed.retain(|placed| input.has_shard(placed.shard));
        placed.reverse();
        if let Some(processor) = &input.processor {
            placed = processed(console, (&query.name, &input.stream), processor, placed).await?;
        }
        let lines = placed.iter().flat_map(|placed| events(placed.shard, &placed.record));
        *sample = lines.map(|event| format!("{event}\n")).collect();
    }
    Ok(())
}

/// What a function makes of records, in their order; those that it drops, or that are none for it, are left out.
async fn processed(
    console: &Console,
    (query, stream): (&str, &str),
    processor: &InputProcessor,
    mut placed: Vec<Placed>,
) -> Result<Vec<Placed>, ConsoleError> {
    let mut made = Vec::with_capacity(placed.len());
    // Those of one shard go together.
    placed.sort_by_key(|placed| placed.sequence.log);
    for of_shard in placed.chunk_by(|before, next| before.sequence.log == next.sequence.log) {
        let Some(first) = of_shard.first() else { continue };
        let records: Vec<Record> = of_shard.iter().map(|placed| placed.record.clone()).collect();
        let (shard, log) = (first.shard, first.sequence.log);
        let batch = ProcessingBatch { query, stream, shard, log, records: &records };
        let became = console.queries().process(batch, processor).await?;
        for (placed, became) in of_shard.iter().zip(became) {
            if let Processed::Record(data) = became {
                made.push(Placed { record: Record { data, ..placed.record.clone() }, ..placed.clone() });
            }
        }
    }
    made.sort_by_key(|placed| (placed.record.append_time, placed.sequence));
    Ok(made)
}

/// Runs the text over its samples; without any nothing comes of it.
async fn ran(console: &Console, name: &str, editor: &Editor) -> Result<Result<Trial, QueryError>, ConsoleError> {
    if editor.samples.iter().all(|(_, sample)| sample.trim().is_empty()) {
        return Ok(Ok(Trial::default()));
    }
    let ask = Ask::of_query(name, Some(editor.sql.clone()), editor.samples.iter().cloned().collect());
    carry_out(console, ask).await
}

/// Saves the text unless it is to run and has mistakes. Else what is wrong with it, or what the node said.
async fn save(
    console: &Console,
    query: &QueryDefinition,
    editor: &Editor,
    token: String,
) -> Result<Result<(), (Mistakes, Option<String>)>, ConsoleError> {
    let found = console.queries().mistakes(&query.name, &editor.sql).await?;
    let mistakes = Mistakes::of(&editor.sql, &found);
    // One that is stopped may miss what it needs to run: what else is wrong with it the node says.
    if !mistakes.is_empty() && query.desired == DesiredState::Running {
        return Ok(Err((mistakes, None)));
    }
    let saved = editor::save(console, query, &editor.sql, editor.version, token).await;
    Ok(saved.map_err(|error| (mistakes, Some(error.to_string()))))
}

/// The rows of an output as a table and, if a column has numbers, as a line.
fn shown(output: &TrialOutput) -> ShownOutput {
    let rows = output.rows.iter().take(ROWS_MAX);
    let parsed: Vec<Value> = rows.map(|row| serde_json::from_str(&row.text).unwrap_or_default()).collect();
    let table = RowsTable::of(&parsed, |index| output.rows[index].text.clone());
    let numbers = table.columns.iter().find(|column| column.number).map(|column| {
        let values: Vec<f64> = parsed.iter().map(|row| row[&column.name].as_f64().unwrap_or(f64::NAN)).collect();
        (column.name.clone(), values)
    });
    let chart = numbers.filter(|(_, values)| values.len() > 1);
    let chart = chart.map(|(column, values)| (column.clone(), chart::values(&column, &values)));
    ShownOutput { name: output.name.clone(), count: output.rows.len(), table, chart }
}

/// What a query's text may read: its inputs and its reference data.
pub(super) fn names(query: &QueryDefinition) -> impl Iterator<Item = &str> {
    let inputs = query.inputs.iter().flat_map(|input| match input.divided.as_slice() {
        [] => std::slice::from_ref(&input.name),
        names => names,
    });
    let inputs = inputs.map(String::as_str);
    inputs.chain(query.references.iter().map(|table| table.name.as_str()))
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
    for output in &trial.outputs {
        let name = Value::from(output.name.as_str());
        for row in &output.rows {
            text.push_str(&format!("{{\"output\":{name},\"row\":{}}}\n", row.text));
        }
    }
    let name: String = name.chars().filter(|char| char.is_ascii_alphanumeric() || matches!(char, '-' | '_')).collect();
    let disposition = format!("attachment; filename=\"{name}-test.jsonl\"");
    ([(header::CONTENT_TYPE, "application/x-ndjson".to_owned()), (header::CONTENT_DISPOSITION, disposition)], text)
        .into_response()
}
