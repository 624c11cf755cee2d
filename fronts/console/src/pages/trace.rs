//! `/trace?id=…`: a record and its way.

use askama::Template;
use millstream_stream::ShardId;
use millstream_types::Millis;

use super::Frame;
use crate::Console;
use crate::error::ConsoleError;
use crate::format;
use crate::live::Fragments;
use crate::page::Page;
use crate::story::{self, Found, Outcome, Step};

/// Bytes of a record that the page shows.
const DATA_MAX: usize = 16 << 10;

#[derive(Template)]
#[template(path = "pages/trace.html")]
struct TracePage<'a> {
    frame: Frame,
    live: Fragments,
    heading: &'a str,
}

pub(super) fn page(id: &str, frame: Frame, live: Fragments) -> Result<String, ConsoleError> {
    let heading = if id.is_empty() { "A record's way" } else { id };
    Ok(TracePage { frame, live, heading }.render()?)
}

pub(super) async fn fragments(console: &Console, id: &str) -> Result<Fragments, ConsoleError> {
    let mut fragments = Fragments::default();
    let partial = if id.is_empty() {
        let message = "Put a record's sequence number into the box above, or pick a record from a stream's list.";
        StoryPartial { message: Some(message.to_owned()), record: None, steps: Vec::new() }
    } else {
        match story::tell(console, id).await {
            Ok(story) => StoryPartial {
                message: story
                    .record
                    .is_none()
                    .then(|| "The record is older than its stream keeps records.".to_owned()),
                steps: rows(&story.steps),
                record: story.record.map(RecordView::from),
            },
            // What was typed into the box is wrong: the page says so and the box is there to be corrected.
            Err(error @ (ConsoleError::Invalid(_) | ConsoleError::NotFound { .. })) => {
                StoryPartial { message: Some(format!("{error}.")), record: None, steps: Vec::new() }
            }
            Err(error) => return Err(error),
        }
    };
    fragments.add("story", &partial)?;
    Ok(fragments)
}

#[derive(Template)]
#[template(path = "partials/story.html")]
struct StoryPartial {
    message: Option<String>,
    record: Option<RecordView>,
    steps: Vec<StepRow>,
}

struct RecordView {
    kind: &'static str,
    stream: String,
    href: String,
    shard: String,
    offset: String,
    key: String,
    size: String,
    data: String,
}

impl From<Found> for RecordView {
    fn from(found: Found) -> Self {
        Self {
            kind: "record of",
            href: Page::stream(&found.stream.name).href(),
            stream: found.stream.name.clone(),
            shard: ShardId(found.shard).to_string(),
            offset: format::count(found.record.offset),
            key: format::payload(&found.record.partition_key, 256),
            size: format::size(found.record.data.len() as u64),
            data: format::pretty(&found.record.data, DATA_MAX),
        }
    }
}

struct StepRow {
    class: &'static str,
    time: String,
    /// How long after the first step.
    after: String,
    word: &'static str,
    at: Option<(String, String)>,
    detail: String,
}

fn rows(steps: &[Step]) -> Vec<StepRow> {
    let first: Option<Millis> = steps.first().and_then(|step| step.time);
    let row = |step: &Step| StepRow {
        class: match step.outcome {
            Outcome::Went => "went",
            Outcome::Waits => "waits",
            Outcome::Stopped => "stopped",
        },
        time: step.time.map_or("not yet".to_owned(), format::clock),
        after: match (first, step.time) {
            (Some(first), Some(time)) if time > first => format::duration(time - first),
            _ => String::new(),
        },
        word: step.word,
        at: step.at.as_ref().map(|(name, page)| (name.clone(), page.href())),
        detail: step.detail.clone(),
    };
    steps.iter().map(row).collect()
}
