//! `/queries/{name}`: the SQL, the newest rows of each output, watermark, and what went wrong.

use std::sync::Arc;

use askama::Template;
use millstream_catalog::{DesiredState, OutputTarget, QueryDefinition, QueryOutput, StreamDefinition};
use millstream_query::{QueryState, StepCounts};
use serde_json::Value;

use super::editor::Editor;
use super::queries::dialect;
use super::rows_table::{ResultCell, ResultColumn, RowsTable};
use super::{Frame, trial, troubles};
use crate::Console;
use crate::chart;
use crate::error::ConsoleError;
use crate::format;
use crate::live::Fragments;
use crate::measure::Measures;
use crate::page::Page;
use crate::partials::{BAD, Chart, Charts, Figure, Figures, WARN};
use crate::tail::{self, Placed};

/// Rows that each output shows.
const ROWS_MAX: usize = 20;
/// Characters of what a query fails with.
const ERROR_CHARS: usize = 300;
/// A watermark this far behind deserves a look: one minute's window and a half.
const LAG_WORRYING_MS: f64 = 90_000.0;

#[derive(Template)]
#[template(path = "pages/query.html")]
struct QueryPage<'a> {
    frame: Frame,
    live: Fragments,
    name: &'a str,
    dialect: &'static str,
    sql: &'a str,
    /// Name in the SQL, stream, address.
    inputs: Vec<(String, String, String)>,
    outputs: Vec<OutputLine>,
    href: String,
    editor: Editor,
    running: bool,
    /// Whether it ran before, so that it can go on.
    ran: bool,
    asks_token: bool,
}

struct OutputLine {
    name: String,
    target: String,
    href: Option<String>,
}

pub(super) fn page(console: &Console, name: &str, frame: Frame, live: Fragments) -> Result<String, ConsoleError> {
    let query = console.query(name)?;
    let input = |input: &millstream_catalog::QueryInput| {
        let names: Vec<String> = input.streams().into_iter().map(|stream| stream.name).collect();
        (names.join(", "), input.stream.clone(), Page::stream(&input.stream).href())
    };
    let page = QueryPage {
        frame,
        live,
        name,
        dialect: dialect(query.dialect),
        sql: query.sql.trim(),
        inputs: query.inputs.iter().map(input).collect(),
        outputs: query.outputs.iter().map(|output| output_line(console, output)).collect(),
        href: Page::Query(name.to_owned()).href(),
        editor: trial::fresh(console, &query),
        running: query.desired == DesiredState::Running,
        ran: query.started.is_some(),
        asks_token: console.create_needs_token(),
    };
    Ok(page.render()?)
}

fn output_line(console: &Console, output: &QueryOutput) -> OutputLine {
    let catalog = console.catalog();
    let (target, href) = match &output.target {
        OutputTarget::Function { name } => (name.clone(), Some(Page::function(name).href())),
        OutputTarget::Stream { name } => (name.clone(), Some(Page::stream(name).href())),
        OutputTarget::Objects(output) => {
            let made = catalog.buckets.get(&output.bucket).map(|_| Page::bucket(&output.bucket).href());
            (format!("objects of {}", output.bucket), made)
        }
        OutputTarget::Documents(output) => {
            let path = format!("{}/{}", output.database, output.container);
            let made = catalog.document_containers.get(&path).map(|_| Page::container(&path).href());
            (format!("documents of {path}"), made)
        }
        OutputTarget::Keep => ("nowhere: its rows are kept to be looked at".to_owned(), None),
    };
    OutputLine { name: output.name.clone(), target, href }
}

pub(super) async fn fragments(console: &Console, name: &str) -> Result<Fragments, ConsoleError> {
    let query = console.query(name)?;
    let measures = Measures::of(&console.insight().metrics, format!("query/{name}"));
    let mut fragments = Fragments::default();
    let mut figures = vec![
        state(console, &query),
        Figure::rate("rows in", measures.rate("rows_in")),
        Figure::rate("rows out", measures.rate("rows_out")),
        watermark(console, name, &measures),
        groups(console, name),
        Figure {
            tone: if measures.recent("late") > 0 { WARN } else { "" },
            ..Figure::trouble("late", measures.recent("late"), "in 10 min")
        },
        Figure::trouble("errors", measures.recent("errors"), "in 10 min"),
    ];
    if let Some(error) = console.queries().status(name).last_error {
        let text = format::cut(&error, ERROR_CHARS);
        figures.push(Figure { tone: BAD, ..Figure::new("fails with", text, "tried again") });
    }
    fragments.add("figures", &Figures { figures })?;
    let charts = vec![
        Chart::of("rows in per second", &measures.series("rows_in"), chart::per_second),
        Chart::of("watermark lag", &measures.series("watermark_lag_ms"), chart::millis),
    ];
    fragments.add("charts", &Charts { charts })?;
    fragments.add("steps", &steps(console, name))?;
    fragments.add("results", &results(console, name).await?)?;
    fragments.add("errors", &troubles::list(console, troubles::Of::Query(name)).await?)?;
    Ok(fragments)
}

/// What it does.
pub(super) fn state(console: &Console, query: &QueryDefinition) -> Figure {
    let state = console.queries().status(&query.name).state;
    let tone = match state {
        QueryState::Running | QueryState::Starting => "",
        QueryState::Stopped | QueryState::Retrying => WARN,
    };
    Figure { tone, ..Figure::new("state", state.name().to_owned(), "") }
}

/// The groups that its windows hold.
fn groups(console: &Console, name: &str) -> Figure {
    let status = console.queries().status(name);
    let bytes = format!("{} bytes of state", format::count(status.state_bytes as u64));
    Figure::new("open groups", format::count(status.groups as u64), &bytes)
}

/// How far time has come, and how far that is behind the clock.
fn watermark(console: &Console, name: &str, measures: &Measures) -> Figure {
    let at = console.queries().status(name).watermark;
    let note = at.map_or(String::new(), |at| format!("at {}", format::date_time(at)));
    Figure { note, ..watermark_lag(measures) }
}

/// How far its watermark is behind the clock.
pub(super) fn watermark_lag(measures: &Measures) -> Figure {
    Figure::lag("watermark lag", measures.level("watermark_lag_ms"), LAG_WORRYING_MS)
}

#[derive(Template)]
#[template(path = "partials/results.html")]
struct Results {
    outputs: Vec<OutputRows>,
}

struct OutputRows {
    name: String,
    href: String,
    columns: Vec<ResultColumn>,
    rows: Vec<ResultRow>,
}

struct ResultRow {
    time: String,
    href: String,
    cells: Vec<ResultCell>,
}

/// The newest rows of each of the query's own streams.
async fn results(console: &Console, name: &str) -> Result<Results, ConsoleError> {
    let prefix = format!("query/{name}/");
    let streams = console.streams().list().into_iter().filter(|stream| stream.name.starts_with(&prefix));
    let mut outputs = Vec::new();
    for stream in streams.collect::<Vec<Arc<StreamDefinition>>>() {
        let newest = tail::newest(console.streams(), &stream, ROWS_MAX).await?;
        let output = stream.name[prefix.len()..].to_owned();
        outputs.push(output_rows(output, Page::stream(&stream.name).href(), &newest));
    }
    Ok(Results { outputs })
}

/// The rows of an output, newest first.
fn output_rows(name: String, href: String, newest: &[Placed]) -> OutputRows {
    let parsed: Vec<Value> =
        newest.iter().map(|placed| serde_json::from_slice(&placed.record.data).unwrap_or_default()).collect();
    let table = RowsTable::of(&parsed, |index| String::from_utf8_lossy(&newest[index].record.data).into_owned());
    let row = |(placed, cells): (&Placed, Vec<ResultCell>)| ResultRow {
        time: format::clock(placed.record.append_time),
        href: Page::Trace(placed.sequence.to_string()).href(),
        cells,
    };
    OutputRows { name, href, columns: table.columns, rows: newest.iter().zip(table.rows).map(row).collect() }
}

#[derive(Template)]
#[template(path = "partials/steps.html")]
struct Steps {
    steps: Vec<ShownStep>,
}

struct ShownStep {
    title: String,
    rows_in: String,
    rate_in: String,
    rows_out: String,
    rate_out: String,
    kept: String,
}

/// What each step of its plan has done since the query started, and does now.
fn steps(console: &Console, name: &str) -> Steps {
    let metrics = &console.insight().metrics;
    let step = |(index, step): (usize, StepCounts)| {
        let measures = Measures::of(metrics, format!("query/{name}/step/{index}"));
        ShownStep {
            title: step.title,
            rows_in: format::count(step.rows_in),
            rate_in: chart::per_second(measures.rate("rows_in")),
            rows_out: format::count(step.rows_out),
            rate_out: chart::per_second(measures.rate("rows_out")),
            kept: format::count(step.kept as u64),
        }
    };
    Steps { steps: console.queries().status(name).steps.into_iter().enumerate().map(step).collect() }
}
