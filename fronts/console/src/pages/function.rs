//! `/functions/{name}`: invocations, run times, and what it prints.

use askama::Template;
use millstream_catalog::EventSource;
use millstream_function::InvocationSummary;
use millstream_mapping::{LastResult, MappingView, Phase};

use super::{Frame, troubles};
use crate::Console;
use crate::chart;
use crate::error::ConsoleError;
use crate::format;
use crate::live::Fragments;
use crate::logs;
use crate::measure::{self, Measures};
use crate::page::Page;
use crate::partials::{Chart, Charts, Figure, Figures, LogLines};

/// Invocations that the page shows.
const INVOCATIONS_MAX: usize = 20;
/// Lines that the page shows.
const LINES_MAX: usize = 60;
/// Characters of an error that a row shows.
const ERROR_CHARS: usize = 300;

#[derive(Template)]
#[template(path = "pages/function.html")]
struct FunctionPage<'a> {
    frame: Frame,
    live: Fragments,
    name: &'a str,
    runtime: String,
    handler: String,
    timeout: String,
    memory: u32,
    package: String,
    modified: String,
    /// Names only: values may be secrets.
    variables: String,
}

pub(super) fn page(console: &Console, name: &str, frame: Frame, live: Fragments) -> Result<String, ConsoleError> {
    let function = console.function(name)?;
    let page = FunctionPage {
        frame,
        live,
        name,
        runtime: function.runtime.clone(),
        handler: function.handler.clone(),
        timeout: format!("{} s", function.timeout_seconds),
        memory: function.memory_mib,
        package: format::size(function.code_bytes),
        modified: format::date_time(function.modified),
        variables: function.environment.keys().cloned().collect::<Vec<_>>().join(", "),
    };
    Ok(page.render()?)
}

pub(super) async fn fragments(console: &Console, name: &str) -> Result<Fragments, ConsoleError> {
    console.function(name)?;
    let measures = Measures::of(&console.insight().metrics, format!("function/{name}"));
    let mut fragments = Fragments::default();
    let figures = vec![
        Figure::rate("invocations", measures.rate("invocations")),
        Figure::new("run time", measure::run_time(&measures).map_or("–".to_owned(), chart::millis), ""),
        Figure::new("running", measures.level("concurrent").map_or("–".to_owned(), format::number), ""),
        Figure::trouble("throttles", measures.recent("throttles"), "in 10 min"),
        Figure::trouble("errors", measures.recent("errors"), "in 10 min"),
    ];
    fragments.add("figures", &Figures { figures })?;
    let charts = vec![
        Chart::of("invocations per second", &measures.series("invocations"), chart::per_second),
        Chart::of("run time, average", &measure::run_times(&measures), chart::millis),
    ];
    fragments.add("charts", &Charts { charts })?;
    fragments.add("mappings", &mappings(console, name))?;
    fragments.add("invocations", &invocations(console, name))?;
    fragments.add("errors", &troubles::list(console, troubles::Of::Function(name)).await?)?;
    fragments.add("logs", &LogLines::from(logs::newest(console, name, LINES_MAX)))?;
    Ok(fragments)
}

#[derive(Template)]
#[template(path = "partials/mappings.html")]
struct MappingRows {
    rows: Vec<MappingRow>,
}

struct MappingRow {
    kind: &'static str,
    source: String,
    /// The source's page; queues have none.
    href: Option<String>,
    state: &'static str,
    batch_size: u32,
    behind: String,
    age: String,
    last: String,
    bad: bool,
}

/// What is mapped to a function, and how far it is.
fn mappings(console: &Console, name: &str) -> MappingRows {
    let row = |view: &MappingView| {
        let (kind, source, page) = match &view.definition.source {
            EventSource::Stream { name } => ("stream", name, Some(Page::stream(name))),
            EventSource::Table { name, .. } => ("table", name, Some(Page::table(name))),
            EventSource::Queue { name } => ("queue", name, None),
        };
        let (last, bad) = match &view.last {
            LastResult::None => ("no batch yet".to_owned(), false),
            LastResult::Taken => ("ok".to_owned(), false),
            LastResult::Failed => ("the function failed".to_owned(), true),
            LastResult::Problem(problem) => (format::cut(problem, ERROR_CHARS), true),
        };
        let unknown = || "–".to_owned();
        MappingRow {
            kind,
            source: source.clone(),
            href: page.map(|page| page.href()),
            state: mapping_state(view.phase),
            batch_size: view.definition.settings.batch_size,
            behind: view.lag.map_or_else(unknown, |lag| format::count(lag.records)),
            age: view.lag.map_or_else(unknown, |lag| format::duration(lag.age_ms)),
            last,
            bad,
        }
    };
    let views = console.mappings().list();
    MappingRows { rows: views.iter().filter(|view| view.definition.function == name).map(row).collect() }
}

/// What a mapping does.
pub(crate) fn mapping_state(phase: Phase) -> &'static str {
    match phase {
        Phase::Creating | Phase::Enabling => "starting",
        Phase::Enabled => "running",
        Phase::Disabling => "stopping",
        Phase::Disabled => "disabled",
        Phase::Updating => "changing",
        Phase::Deleting => "going away",
    }
}

#[derive(Template)]
#[template(path = "partials/invocations.html")]
struct Invocations {
    rows: Vec<InvocationRow>,
}

struct InvocationRow {
    time: String,
    duration: String,
    source: String,
    cold: bool,
    id: String,
    error: Option<String>,
}

fn invocations(console: &Console, name: &str) -> Invocations {
    let row = |invocation: InvocationSummary| InvocationRow {
        time: format::clock(invocation.started),
        duration: format::duration(i64::try_from(invocation.duration_ms).unwrap_or(i64::MAX)),
        source: invocation.source,
        cold: invocation.cold,
        id: invocation.id,
        error: invocation.error.map(|error| format::cut(&error, ERROR_CHARS)),
    };
    Invocations { rows: console.functions().recent(name).into_iter().take(INVOCATIONS_MAX).map(row).collect() }
}
