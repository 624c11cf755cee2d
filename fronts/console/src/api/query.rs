//! `POST /api/query`: SQL over live records, a row a line, until the asker goes. Nothing of it is kept.

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::response::Response;
use millstream_catalog::QueryDialect;
use millstream_query::{Missed, PreviewStart, PreviewTold, QueryError};
use serde::Deserialize;
use serde_json::{Value, json};

use super::tail::From;
use crate::Console;
use crate::error::ConsoleError;

/// A query to be run once.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ask {
    /// The text; its inputs are streams by name.
    sql: String,
    /// The language.
    dialect: QueryDialect,
    /// Where to begin.
    #[serde(default)]
    from: From,
    /// Whether records that give no row are told, too: each line is an object then that says what it has, `row`, `missed`
    /// or `error`.
    #[serde(default)]
    notices: bool,
}

/// Runs a query.
///
/// # Errors
/// [`ConsoleError::Invalid`] for a body that is no [`Ask`] and with the mistakes of the text; [`ConsoleError::Busy`].
pub async fn run(
    State(console): State<Console>,
    ask: Result<Json<Ask>, JsonRejection>,
) -> Result<Response, ConsoleError> {
    let Json(ask) = ask.map_err(|rejection| ConsoleError::Invalid(rejection.body_text()))?;
    let place = console.follower()?;
    let from = match ask.from {
        From::Latest => PreviewStart::Latest,
        From::TrimHorizon => PreviewStart::TrimHorizon,
    };
    let preview = console.queries().preview(ask.dialect, &ask.sql, from).await?;
    Ok(super::lines(futures_util::stream::unfold((preview, place), move |(mut preview, place)| async move {
        loop {
            let told = preview.told.recv().await?;
            if let Some(line) = line(told, ask.notices) {
                return Some((line, (preview, place)));
            }
        }
    })))
}

fn line(told: Result<PreviewTold, QueryError>, notices: bool) -> Option<Value> {
    Some(match (told, notices) {
        (Ok(PreviewTold::Row(row)), notices) => {
            let row = serde_json::from_str(&row).unwrap_or(Value::String(row));
            if notices { json!({ "row": row }) } else { row }
        }
        (Ok(PreviewTold::Missed(_)), false) => return None,
        (Ok(PreviewTold::Missed(Missed { unreadable, failed, out_of_time, last })), true) => {
            json!({ "missed": { "unreadable": unreadable, "failed": failed, "out_of_time": out_of_time, "last": last } })
        }
        (Err(error), true) => json!({ "error": error.to_string() }),
        (Err(error), false) => json!({ "message": error.to_string() }),
    })
}
