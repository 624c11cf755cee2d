//! `GET /api/functions/{name}/logs?follow=true|false`: what a function prints, a line a line.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http::header;
use millstream_insight::LogEvent;
use millstream_types::time::rfc3339;
use serde::Deserialize;
use tokio::sync::OwnedSemaphorePermit;

use crate::Console;
use crate::error::ConsoleError;
use crate::logs;

/// Lines that are shown before those that follow.
const LINES_MAX: usize = 200;
/// Between two looks for new lines.
const EVERY: Duration = Duration::from_millis(250);

/// Whether to wait for more.
#[derive(Debug, Deserialize)]
pub struct Options {
    #[serde(default)]
    follow: bool,
}

/// Shows the newest lines as text, then, if asked to, those that come.
///
/// # Errors
/// [`ConsoleError::NotFound`], [`ConsoleError::Busy`].
pub async fn follow(
    State(console): State<Console>,
    Path(name): Path<String>,
    Query(options): Query<Options>,
) -> Result<Response, ConsoleError> {
    console.function(&name)?;
    let place = console.follower()?;
    let ready: VecDeque<LogEvent> = logs::newest(&console, &name, LINES_MAX).into();
    let after = ready.iter().map(|event| event.id).max().unwrap_or_default();
    let follower =
        Follower { console: console.clone(), function: name, follow: options.follow, after, ready, _place: place };
    let lines = futures_util::stream::unfold(follower, |mut follower| async move {
        let line = follower.next().await?;
        Some((Ok::<_, Infallible>(Bytes::from(line)), follower))
    });
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], Body::from_stream(lines)).into_response())
}

struct Follower {
    console: Console,
    function: String,
    follow: bool,
    after: u64,
    ready: VecDeque<LogEvent>,
    _place: OwnedSemaphorePermit,
}

impl Follower {
    async fn next(&mut self) -> Option<String> {
        while self.ready.is_empty() {
            if !self.follow {
                return None;
            }
            tokio::time::sleep(EVERY).await;
            self.ready = logs::behind(&self.console, &self.function, self.after).into();
        }
        let event = self.ready.pop_front()?;
        self.after = self.after.max(event.id);
        Some(format!("{}  {}\n", rfc3339(event.timestamp), event.message.trim_end()))
    }
}
