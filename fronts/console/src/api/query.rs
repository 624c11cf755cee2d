//! `POST /api/query`: SQL over live records, a row a line, until the asker goes. Nothing of it is kept.

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::response::Response;
use millstream_catalog::QueryDialect;
use millstream_query::PreviewStart;
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
    Ok(super::lines(futures_util::stream::unfold((preview, place), |(mut preview, place)| async move {
        let row = match preview.rows.recv().await? {
            Ok(row) => serde_json::from_str(&row).unwrap_or(Value::String(row)),
            Err(error) => json!({ "message": error.to_string() }),
        };
        Some((row, (preview, place)))
    })))
}
