//! `millstream sql run FILE`: a query over files of events.

use std::io::Write as _;

use anyhow::{Context as _, bail};
use millstream_catalog::{EventOrder, OrderPolicy};
use millstream_query::{QueryError, Trial, TrialAsk, TrialError, TrialOutput, trial};
use millstream_types::{Clock as _, Millis, SystemClock};

use super::mistakes;
use super::rows::{several, written};
use super::written::{Written, pair};
use crate::cli::{OutOfTolerance, SqlRunArgs};

/// Rows that are taken at most, all outputs together: they are in memory at once.
const ROWS_MAX: usize = 5_000_000;
/// Refused events that are told one by one.
const TOLD_MAX: usize = 100;

/// Runs a query over files and prints its rows; what became no row is told on standard error.
///
/// # Errors
/// Mistakes of the text or of a file; with `--strict`, that an event became no row.
pub fn run(args: &SqlRunArgs) -> anyhow::Result<()> {
    let mut query = Written::of(&args.sql)?;
    order(&mut query.order, args.late_tolerance, args.out_of_order_tolerance, args.out_of_tolerance)?;
    let now = args.arrival.as_deref().map_or_else(|| Ok(SystemClock.now()), time)?;
    sampled(&query)?;
    let found = tried(&query, now, ROWS_MAX)?;
    print(args, &found)?;
    for error in found.errors.iter().take(TOLD_MAX) {
        eprintln!("{}", refusal(error));
    }
    let refused = found.errors.len();
    if refused > TOLD_MAX {
        eprintln!("and {} more", refused - TOLD_MAX);
    }
    if args.strict && refused > 0 {
        bail!("{refused} events or rows were refused");
    }
    Ok(())
}

/// Runs a query over the samples of its inputs.
///
/// # Errors
/// The mistakes of its text, each at its place; samples that are none.
pub fn tried(query: &Written, now: Millis, rows_max: usize) -> anyhow::Result<Trial> {
    let ask = TrialAsk {
        dialect: query.dialect,
        sql: query.sql.clone(),
        functions: query.functions.clone(),
        inputs: query.inputs.clone(),
        order: query.order,
        now,
        rows_max,
    };
    trial(&ask).map_err(|error| match error {
        QueryError::Plan(found) => anyhow::anyhow!(mistakes::told(query, &found)),
        other => other.into(),
    })
}

/// Looks whether each input that the text reads has a sample.
fn sampled(query: &Written) -> anyhow::Result<()> {
    let planned = query.planned()?;
    let sources = planned.program.iter().flat_map(|program| program.sources.iter().chain(&program.references));
    let read = sources.map(|source| source.name.clone()).chain(planned.unknown);
    for name in read {
        if !query.has_sample(&name) {
            let table = query.inputs.iter().any(|input| input.reference && input.name.eq_ignore_ascii_case(&name));
            let flag = if table { "reference" } else { "input" };
            bail!("there are no events for `{name}`\n  try: --{flag} {name}=FILE");
        }
    }
    Ok(())
}

/// Changes what is said of event time.
///
/// # Errors
/// A tolerance that is none.
pub fn order(
    order: &mut EventOrder,
    late: Option<i64>,
    out_of_order: Option<u32>,
    beyond: Option<OutOfTolerance>,
) -> anyhow::Result<()> {
    match late {
        Some(-1) => order.late_tolerance_ms = EventOrder::LATE_WITHOUT_LIMIT,
        Some(seconds) => {
            let millis = seconds.checked_mul(1_000).filter(|millis| *millis >= 0);
            order.late_tolerance_ms =
                millis.with_context(|| format!("expected seconds, or -1 for any lateness, found {seconds}"))?;
        }
        None => {}
    }
    if let Some(seconds) = out_of_order {
        order.out_of_order_tolerance_ms = i64::from(seconds) * 1_000;
    }
    match beyond {
        Some(OutOfTolerance::Adjust) => order.policy = OrderPolicy::Adjust,
        Some(OutOfTolerance::Drop) => order.policy = OrderPolicy::Drop,
        None => {}
    }
    Ok(())
}

/// A point in time that somebody wrote down.
///
/// # Errors
/// A text that is none.
pub fn time(text: &str) -> anyhow::Result<Millis> {
    let time: jiff::Timestamp =
        text.parse().with_context(|| format!("expected a time such as 2026-01-31T12:00:00Z, found `{text}`"))?;
    Ok(time.as_millisecond())
}

/// What is said of an event that became no row, or of a row that failed.
pub fn refusal(error: &TrialError) -> String {
    let place = error.place.as_ref().map_or(String::new(), |(input, line)| format!("{input}, line {line}: "));
    format!("{place}{}: {}", error.kind, error.detail)
}

fn print(args: &SqlRunArgs, found: &Trial) -> anyhow::Result<()> {
    let mut files = Vec::new();
    for output in &args.output {
        let (name, file) = pair(output)?;
        let known = found.outputs.iter().find(|output| output.name.eq_ignore_ascii_case(name));
        let names: Vec<&str> = found.outputs.iter().map(|output| output.name.as_str()).collect();
        let known = known.with_context(|| format!("there is no output `{name}`; there are {}", names.join(", ")))?;
        files.push((known.name.as_str(), file));
    }
    let mut left: Vec<&TrialOutput> = Vec::new();
    for output in &found.outputs {
        match files.iter().find(|(name, _)| *name == output.name) {
            Some((_, file)) => {
                std::fs::write(file, written(output, args.format)?).with_context(|| format!("cannot write {file}"))?
            }
            None => left.push(output),
        }
    }
    let text = match left.as_slice() {
        [one] if found.outputs.len() == 1 => written(one, args.format)?,
        others => several(others, args.format)?,
    };
    // Whoever reads may have enough before the end (`| head`).
    let _ = std::io::stdout().write_all(text.as_bytes());
    Ok(())
}
