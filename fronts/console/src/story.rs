//! A record's way, put together from the marks of the trail: from its arrival to the item or object it became part of,
//! or to where it stopped and why.

use std::collections::{HashMap, HashSet};

use millstream_catalog::StreamDefinition;
use millstream_insight::{Mark, Step as Made};
use millstream_query::DeliveryStatus;
use millstream_stream::{SequenceNumber, ShardId};
use millstream_types::{LogId, Millis, Record};

use crate::Console;
use crate::error::ConsoleError;
use crate::format;
use crate::page::Page;
use crate::tail;

/// Result rows that a story follows from one record: a record is part of few windows.
const RESULTS_MAX: usize = 8;
/// Steps of a story.
const STEPS_MAX: usize = 60;

/// The story of an id.
pub struct Story {
    /// The record, when it is still kept.
    pub record: Option<Found>,
    /// What happened, oldest first.
    pub steps: Vec<Step>,
}

/// A record and where it lies.
pub struct Found {
    /// Its stream.
    pub stream: std::sync::Arc<StreamDefinition>,
    /// Its shard.
    pub shard: u32,
    /// The record.
    pub record: Record,
}

/// How a step went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The record went on.
    Went,
    /// It waits for something.
    Waits,
    /// It stopped here.
    Stopped,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// When; `None` for what has not happened yet.
    pub time: Option<Millis>,
    /// What happened, in a word or two.
    pub word: &'static str,
    /// The resource it happened at: kind, name, page.
    pub at: Option<(String, Page)>,
    /// More about it.
    pub detail: String,
    /// How it went.
    pub outcome: Outcome,
}

impl Step {
    /// The step as a sentence.
    pub fn text(&self) -> String {
        let at = self.at.as_ref().map_or(String::new(), |(name, _)| format!(" {name}"));
        format!("{}{at} {}", self.word, self.detail).trim_end().to_owned()
    }
}

/// The id of a record in any of the forms that clients see: its sequence number, or an event's id
/// `shardId-000000000000:49…`.
pub fn parse(id: &str) -> Result<SequenceNumber, ConsoleError> {
    let digits = id.rsplit_once(':').map_or(id, |(_, digits)| digits);
    digits.parse().map_err(|error| ConsoleError::Invalid(format!("`{}`: {error}", format::cut(id, 80))))
}

/// Tells the story of a record.
///
/// # Errors
/// [`ConsoleError::Invalid`] when the id is none; [`ConsoleError::NotFound`] when no stream has such a record; storage.
pub async fn tell(console: &Console, id: &str) -> Result<Story, ConsoleError> {
    let sequence = parse(id)?;
    let missing = || ConsoleError::NotFound { kind: "record", name: id.to_owned() };
    let (stream, shard) = console.streams().owner_of(sequence.log).ok_or_else(missing)?;
    let bounds = console.streams().bounds(sequence.log);
    if sequence.offset >= bounds.next {
        return Err(missing());
    }
    let found =
        tail::one(console.streams(), sequence).await?.map(|record| Found { stream: stream.clone(), shard, record });
    let windows = windows(console, sequence, &stream).await;
    let mut teller =
        Teller { console, windows, steps: Vec::new(), invocations: HashSet::new(), deliveries: Vec::new() };
    if let Some(found) = &found {
        teller.steps.push(Step {
            time: Some(found.record.append_time),
            word: "appended to",
            at: Some((stream.name.clone(), Page::stream(&stream.name))),
            detail: format!("{}, offset {}: durable", ShardId(shard), format::count(sequence.offset)),
            outcome: Outcome::Went,
        });
    }
    teller.follow(sequence, found.is_some());
    let waits = teller.waits(&stream);
    // Marks of one millisecond keep the order in which they were made; what has not happened stands last.
    teller.steps.sort_by_key(|step| step.time.unwrap_or(Millis::MAX));
    fold(&mut teller.steps);
    teller.steps.append(&mut teller.deliveries);
    teller.steps.extend(waits);
    Ok(Story { record: found, steps: teller.steps })
}

/// A window that a record falls into, as the query's own plan says.
struct Window {
    output: String,
    end: Millis,
    label: String,
    over: bool,
}

/// The windows of a record in each query that reads its stream. A query that cannot say has none here.
async fn windows(
    console: &Console,
    sequence: SequenceNumber,
    stream: &StreamDefinition,
) -> HashMap<String, Vec<Window>> {
    let mut windows = HashMap::new();
    for query in console.catalog().queries.list() {
        if !query.inputs.iter().any(|input| input.stream == stream.name) {
            continue;
        }
        if let Ok(rows) = console.queries().locate(&query.name, sequence.log, sequence.offset).await {
            let watermark = console.queries().status(&query.name).watermark.unwrap_or(Millis::MIN);
            let window = |(output, end, label)| Window { output, end, label, over: end <= watermark };
            windows.insert(query.name.clone(), rows.into_iter().map(window).collect());
        }
    }
    windows
}

/// What is said of a query that has a record and gave no row of it.
const WAITING: &str = "no result yet from";

/// Cuts the middle out of a story that is too long: how it began and how it ended say most.
fn fold(steps: &mut Vec<Step>) {
    let Some(surplus) = steps.len().checked_sub(STEPS_MAX).filter(|&surplus| surplus > 0) else { return };
    let first = STEPS_MAX / 2;
    let gone: Vec<Step> = steps.drain(first..=first + surplus).collect();
    let detail = format!("{} more steps like these", format::count(gone.len() as u64));
    let time = gone.last().and_then(|step| step.time);
    steps.insert(first, Step { time, word: "then", at: None, detail, outcome: Outcome::Went });
}

struct Teller<'a> {
    console: &'a Console,
    /// By query: the windows that the record falls into, and whether their ends have passed.
    windows: HashMap<String, Vec<Window>>,
    steps: Vec<Step>,
    invocations: HashSet<String>,
    /// What its rows wait for behind their queries.
    deliveries: Vec<Step>,
}

impl Teller<'_> {
    /// The marks of a record and of what came of it. `with_results`: what its windows gave is followed too.
    fn follow(&mut self, sequence: SequenceNumber, with_results: bool) {
        let marks = self.console.insight().trail.of_record(sequence.log, sequence.offset);
        let dropped =
            |name: &str| marks.iter().any(|mark| matches!(&mark.step, Made::Dropped { query, .. } if query == name));
        let readers = marks.iter().filter_map(|mark| match &mark.step {
            Made::Read { query, .. } if !dropped(query) => Some(query.clone()),
            _ => None,
        });
        let readers: Vec<String> = readers.collect();
        marks.into_iter().for_each(|mark| self.tell(mark));
        if with_results {
            readers.iter().for_each(|query| self.follow_results(query));
        }
    }

    /// The rows of the windows that the record fell into.
    fn follow_results(&mut self, reader: &str) {
        let located = self.windows.remove(reader);
        let known = located.is_some();
        let windows = located.unwrap_or_default();
        let emitted = self.console.insight().trail.find(|step| match step {
            Made::Emitted { query, output, window_end, key, .. } => {
                let same =
                    |window: &Window| window.output == *output && window.end == *window_end && window.label == *key;
                query == reader && windows.iter().any(same)
            }
            _ => false,
        });
        if emitted.is_empty() {
            let (word, outcome, detail) = match windows.first() {
                None if known => ("filtered by", Outcome::Stopped, "no row of it takes the record".to_owned()),
                None => (WAITING, Outcome::Waits, "the query's plan cannot say where the record went".to_owned()),
                Some(window) if window.over => {
                    let detail = "its window is over; the trail no longer reaches back to its row";
                    (WAITING, Outcome::Waits, detail.to_owned())
                }
                Some(window) => {
                    (WAITING, Outcome::Waits, format!("its window ends at {}", format::date_time(window.end)))
                }
            };
            self.steps.push(Step { time: None, word, at: Some(query_at(reader.to_owned())), detail, outcome });
        }
        for mark in emitted.into_iter().take(RESULTS_MAX) {
            if let Made::Emitted { result_log, result_offset, .. } = mark.step {
                self.follow(SequenceNumber { log: LogId(result_log), offset: result_offset }, false);
            }
        }
    }

    fn tell(&mut self, mark: Mark) {
        let time = Some(mark.time);
        let step = |word, at, detail: String, outcome| Step { time, word, at, detail, outcome };
        match mark.step {
            Made::Received { stream, request, invocation, .. } => {
                let by = invocation.map_or(String::new(), |id| format!(", sent by invocation {id}"));
                let at = Some((stream.clone(), Page::stream(&stream)));
                // The mark is made once the records are durable, but the request came before they were appended.
                let appended = self.steps.first().and_then(|first| first.time);
                let mut received = step("received for", at, format!("request {request}{by}"), Outcome::Went);
                received.time = appended.map_or(received.time, |appended| Some(appended.min(mark.time)));
                self.steps.insert(0, received);
            }
            Made::Read { query, from, to, .. } => {
                let detail = format!("with {} others of its batch", format::count((to - from).saturating_sub(1)));
                self.steps.push(step("read by", Some(query_at(query)), detail, Outcome::Went));
            }
            Made::Dropped { query, reason, detail, .. } => {
                let detail = format!("{reason}: {detail}");
                self.steps.push(step("dropped by", Some(query_at(query)), detail, Outcome::Stopped));
            }
            Made::Emitted { query, output, window_start, window_end, key, result_log, result_offset } => {
                self.follow_delivery(&query, SequenceNumber { log: LogId(result_log), offset: result_offset });
                let window = format!("{} to {}", format::date_time(window_start), format::clock(window_end));
                let key = if key.is_empty() { String::new() } else { format!(", key {key}") };
                let detail = format!("{output}, window {window}{key}");
                self.steps.push(step("row emitted by", Some(query_at(query)), detail, Outcome::Went));
            }
            Made::Delivered { function, invocation, outcome, .. } => {
                let went = if outcome == "ok" { Outcome::Went } else { Outcome::Stopped };
                let at = Some((function.clone(), Page::function(&function)));
                self.steps.push(step("delivered to", at, format!("{outcome}, invocation {invocation}"), went));
                self.follow_invocation(invocation);
            }
            Made::Invoked { function, invocation, duration_ms, outcome } => {
                let went = if outcome == "ok" { Outcome::Went } else { Outcome::Stopped };
                let detail = format!("{outcome} after {duration_ms} ms, invocation {invocation}");
                self.steps.push(step("ran", Some((function.clone(), Page::Function(function))), detail, went));
            }
            Made::ItemWritten { table, key, .. } => {
                let at = Some((table.clone(), Page::table(&table)));
                self.steps.push(step("item written to", at, key, Outcome::Went));
            }
            Made::ObjectWritten { bucket, object, .. } => {
                self.steps.push(step("in object", None, format!("{bucket}/{object}"), Outcome::Went));
            }
            Made::Expired { reader, .. } => {
                let detail = "retention removed it first".to_owned();
                let mapping = reader.strip_prefix("mapping/").and_then(|id| self.console.mappings().get(id).ok());
                let at = match mapping.map(|mapping| mapping.definition.function.clone()) {
                    Some(function) => (function.clone(), Page::function(&function)),
                    None => {
                        let name = reader.strip_prefix("delivery/").unwrap_or(&reader).to_owned();
                        (name.clone(), Page::Delivery(name))
                    }
                };
                let at = Some(at);
                self.steps.push(step("never reached", at, detail, Outcome::Stopped));
            }
        }
    }

    fn follow_invocation(&mut self, invocation: String) {
        let marks = self.console.insight().trail.find(|step| match step {
            Made::Invoked { invocation: own, .. } => *own == invocation,
            Made::ItemWritten { invocation: own, .. } => own.as_deref() == Some(&invocation),
            _ => false,
        });
        if self.invocations.insert(invocation) {
            marks.into_iter().for_each(|mark| self.tell(mark));
        }
    }

    /// Whether what a query's row is handed to has it, and if not, what it waits for.
    fn follow_delivery(&mut self, query: &str, row: SequenceNumber) {
        let deliveries = self.console.queries().deliveries(query);
        let Some(delivery) = deliveries.into_iter().find(|delivery| delivery.log == row.log) else { return };
        if let Some(step) = undelivered(query, row.offset, delivery) {
            self.deliveries.push(step);
        }
    }

    /// What is still to come: queries and functions that have not had the record yet.
    fn waits(&self, stream: &StreamDefinition) -> Vec<Step> {
        let wait = |at: (String, Page), detail: String| Step {
            time: None,
            word: "not read yet by",
            at: Some(at),
            detail,
            outcome: Outcome::Waits,
        };
        let queries = self.console.catalog().queries.list();
        let queries = queries.iter().filter(|query| query.inputs.iter().any(|input| input.stream == stream.name));
        let seen = |name: &str| self.steps.iter().any(|step| step.at.as_ref().is_some_and(|(at, _)| at == name));
        let queries = queries.map(|query| query_at(query.name.clone()));
        let mappings = self.console.catalog().event_source_mappings.list();
        let mappings = mappings.iter().filter(|mapping| mapping.source.stream().as_ref() == Some(&stream.name));
        let functions = mappings.map(|mapping| (mapping.function.clone(), Page::function(&mapping.function)));
        let unread = queries.chain(functions).filter(|(name, _)| !seen(name));
        unread.map(|at| wait(at, "or its marks are gone".to_owned())).collect()
    }
}

/// Why a row was not handed on yet; `None` when it was.
fn undelivered(query: &str, row: u64, delivery: DeliveryStatus) -> Option<Step> {
    let before = row.checked_sub(delivery.next)?;
    let order = match before {
        0 => "it is the next one".to_owned(),
        1 => "a row is before it".to_owned(),
        rows => format!("{} rows are before it", format::count(rows)),
    };
    let why = delivery.failing.map_or(String::new(), |failing| {
        format!(
            "; the delivery fails since {}: {}",
            format::date_time(failing.since),
            format::cut(&failing.reason, 200)
        )
    });
    let DeliveryStatus { output, target, .. } = delivery;
    let detail = format!("of {output}: {order}{why}");
    Some(Step {
        time: None,
        word: "waits for",
        at: Some((target, Page::Query(query.to_owned()))),
        detail,
        outcome: Outcome::Waits,
    })
}

fn query_at(query: String) -> (String, Page) {
    (query.clone(), Page::Query(query))
}

#[cfg(test)]
mod tests {
    use millstream_query::Failing;

    use super::*;

    #[test]
    fn a_long_story_keeps_its_end() {
        let step =
            |time| Step { time: Some(time), word: "ran", at: None, detail: String::new(), outcome: Outcome::Went };
        for (count, expected, folded) in [(60, 60, None), (61, 60, Some("2")), (200, 60, Some("141"))] {
            let mut steps: Vec<Step> = (0..count).map(step).collect();
            fold(&mut steps);
            assert_eq!(steps.len(), expected);
            assert_eq!(steps.last().unwrap().time, Some(count - 1));
            let detail = steps.iter().find(|step| step.word == "then").map(|step| step.detail.as_str());
            assert_eq!(detail, folded.map(|gone| format!("{gone} more steps like these")).as_deref());
        }
    }

    #[test]
    fn a_row_behind_one_that_fails_says_what_it_waits_for() {
        let delivery = |next, failing: Option<&str>| DeliveryStatus {
            output: "OUT".into(),
            log: LogId(3),
            target: "Save".into(),
            next,
            failing: failing.map(|reason| Failing { since: 1_772_600_767_000, reason: reason.into() }),
        };
        let told = |row, delivery| undelivered("q", row, delivery).map(|step| step.text());
        assert_eq!(told(7, delivery(8, Some("refused"))), None);
        assert_eq!(told(7, delivery(7, None)).unwrap(), "waits for Save of OUT: it is the next one");
        let told = told(9, delivery(7, Some("refused"))).unwrap();
        assert!(
            told.starts_with("waits for Save of OUT: 2 rows are before it; the delivery fails since 2026-03-04"),
            "{told}"
        );
        assert!(told.ends_with(": refused"), "{told}");
    }

    #[test]
    fn ids_are_sequence_numbers_or_events_ids() {
        let digits = SequenceNumber { log: LogId(3), offset: 9 }.to_string();
        let found = parse(&format!("shardId-000000000000:{digits}")).unwrap();
        assert_eq!((found, parse(&digits).unwrap()), (found, found));
        assert_eq!((found.log, found.offset), (LogId(3), 9));
        assert!(parse("12").unwrap_err().to_string().contains("expected a sequence number"));
    }
}
