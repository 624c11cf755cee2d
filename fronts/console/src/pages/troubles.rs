//! What went wrong lately: records that a query dropped or a delivery stream never got, and invocations that failed, newest
//! first, with the reason.
//! A partial of the overview and of queries and functions.

use askama::Template;
use millstream_catalog::FunctionDefinition;
use millstream_insight::{Mark, trail::Step};
use millstream_stream::SequenceNumber;
use millstream_types::LogId;

use crate::Console;
use crate::error::ConsoleError;
use crate::format;
use crate::page::Page;
use crate::tail;

/// Troubles that a page shows.
const TROUBLES_MAX: usize = 8;
/// Characters of the record that a line shows.
const DATA_CHARS: usize = 160;

/// The list.
#[derive(Template)]
#[template(path = "partials/troubles.html")]
pub struct Troubles {
    rows: Vec<TroubleRow>,
}

struct TroubleRow {
    time: String,
    place: String,
    place_href: String,
    reason: String,
    detail: String,
    /// Short name, address and bytes of the record.
    record: Option<(String, String, String)>,
}

/// Whose troubles.
pub enum Of<'a> {
    /// Everybody's.
    All,
    /// A query's.
    Query(&'a str),
    /// A function's.
    Function(&'a str),
}

/// Lists them.
///
/// # Errors
/// The stream engine's, when a record cannot be read.
pub async fn list(console: &Console, of: Of<'_>) -> Result<Troubles, ConsoleError> {
    let marks = console.insight().trail.find(|step| match (step, &of) {
        (Step::Dropped { .. } | Step::Expired { .. }, Of::All) => true,
        (Step::Dropped { query, .. }, Of::Query(name)) => query == name,
        (Step::Delivered { outcome, .. } | Step::Invoked { outcome, .. }, Of::All) => outcome != "ok",
        (Step::Delivered { function, outcome, .. } | Step::Invoked { function, outcome, .. }, Of::Function(name)) => {
            FunctionDefinition::split_reference(function).0 == *name && outcome != "ok"
        }
        _ => false,
    });
    let mut rows = Vec::new();
    for mark in marks.into_iter().rev().take(TROUBLES_MAX) {
        rows.extend(row(console, mark).await?);
    }
    Ok(Troubles { rows })
}

async fn row(console: &Console, mark: Mark) -> Result<Option<TroubleRow>, ConsoleError> {
    let (place, page, reason, detail, record) = match mark.step {
        Step::Dropped { query, log, offset, reason, detail } => {
            (query.clone(), Page::Query(query), reason, detail, Some((log, offset)))
        }
        Step::Delivered { log, from, function, outcome, .. } => {
            let page = Page::function(&function);
            (function, page, "not delivered".to_owned(), outcome, Some((log, from)))
        }
        Step::Invoked { function, outcome, invocation, .. } => {
            let detail = format!("{outcome}, invocation {invocation}");
            (function.clone(), Page::Function(function), "failed".to_owned(), detail, None)
        }
        Step::Expired { reader, from, to, .. } => {
            let name = reader.strip_prefix("delivery/").unwrap_or(&reader).to_owned();
            let detail = format!("{} records were removed before they were delivered", to - from);
            (name.clone(), Page::Delivery(name), "expired".to_owned(), detail, None)
        }
        _ => return Ok(None),
    };
    let record = match record {
        None => None,
        Some((log, offset)) => {
            let sequence = SequenceNumber { log: LogId(log), offset };
            let text = sequence.to_string();
            let data =
                tail::one(console.streams(), sequence).await?.map(|record| format::payload(&record.data, DATA_CHARS));
            let short = format!("…{}", &text[text.len() - 8..]);
            Some((short, Page::Trace(text).href(), data.unwrap_or_default()))
        }
    };
    let time = format::clock(mark.time);
    Ok(Some(TroubleRow { time, place, place_href: page.href(), reason, detail, record }))
}
