//! What a subscription has under way at once: attempts and dead letters, each a task of its own.

use std::sync::Arc;
use std::time::Instant;

use millstream_catalog::EventSchema;
use millstream_stream::{StreamError, Streams};
use millstream_types::{Clock, LogId, Millis, PutObject};

use super::progress::Waiting;
use crate::dead_letter::{self, History};
use crate::endpoint::{Courier, Report};
use crate::schema::Event;

/// An event on its way.
#[derive(Debug, Clone)]
pub(super) struct Item {
    pub(super) offset: u64,
    pub(super) published: Millis,
    /// Attempts before this one.
    pub(super) attempts: u32,
    /// `None` until it is read again.
    pub(super) event: Option<Arc<Event>>,
}

/// What came of a job.
pub(super) enum Done {
    /// Events were tried together; the stream keeps others, at `gone`, no longer.
    Attempted { items: Vec<Item>, gone: Vec<u64>, report: Report, time: Millis, duration_ms: u64 },
    /// A dead letter was written, or why not.
    Lettered { offset: u64, waiting: Waiting, event_id: String, time: Millis, result: Result<(), String> },
    /// The stream keeps the events at these offsets no longer.
    Gone(Vec<u64>),
    /// The stream could not be read.
    Unread(StreamError),
}

/// Where a subscription's events lie.
#[derive(Clone)]
pub(super) struct Source {
    pub(super) streams: Streams,
    pub(super) log: LogId,
    pub(super) schema: EventSchema,
}

impl Source {
    /// One event; `None` when it is kept no longer.
    async fn event(&self, offset: u64) -> Result<Option<Event>, StreamError> {
        let read = self.streams.read(self.log, offset, 1).await?;
        let mut records = read.batches.iter().flat_map(|batch| batch.records());
        let record = records.find(|record| record.offset == offset);
        Ok(record.and_then(|record| Event::stored(self.schema, record.data)))
    }
}

/// Tries to deliver events together.
pub(super) async fn attempt(source: Source, courier: Arc<Courier>, clock: Arc<dyn Clock>, tried: Vec<Item>) -> Done {
    let (mut items, mut gone) = (Vec::with_capacity(tried.len()), Vec::new());
    for mut item in tried {
        if item.event.is_none() {
            match source.event(item.offset).await {
                Ok(event) => item.event = event.map(Arc::new),
                Err(error) => return Done::Unread(error),
            }
        }
        if item.event.is_some() { items.push(item) } else { gone.push(item.offset) }
    }
    if items.is_empty() {
        return Done::Gone(gone);
    }
    let events: Vec<Arc<Event>> = items.iter().filter_map(|item| item.event.clone()).collect();
    let attempts = items.first().map_or(0, |item| item.attempts);
    let begun = Instant::now();
    let published = items.first().map_or(0, |item| item.published);
    let report = courier.deliver(&events, attempts, published).await;
    let duration_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    Done::Attempted { items, gone, report, time: clock.now(), duration_ms }
}

/// Writes an event that was given up as a dead letter.
pub(super) async fn letter(
    source: Source,
    courier: Arc<Courier>,
    objects: Option<Arc<dyn PutObject>>,
    clock: Arc<dyn Clock>,
    (offset, waiting): (u64, Waiting),
) -> Done {
    let Some((ended, reason)) = waiting.ended else { return Done::Gone(vec![offset]) };
    let event = match source.event(offset).await {
        Ok(Some(event)) => event,
        Ok(None) => return Done::Gone(vec![offset]),
        Err(error) => return Done::Unread(error),
    };
    let history =
        History { reason, attempts: waiting.attempts, published: waiting.published, last_attempt: waiting.last, ended };
    let definition = &courier.definition;
    let result = match (&definition.dead_letter, objects, &definition.dead_letter_queue) {
        (_, _, Some(queue)) => courier.give_up(queue, &event, waiting.published).await,
        (Some(target), Some(objects), None) => {
            let object = dead_letter::object(definition, target, &event, &history, (source.log.0, offset));
            objects.put_object(object).await.map_err(|error| error.to_string())
        }
        _ => Err("there is no store for it".to_owned()),
    };
    Done::Lettered { offset, waiting, event_id: event.id().to_owned(), time: clock.now(), result }
}
