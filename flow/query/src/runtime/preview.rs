//! A query that is only looked at: nothing of it is kept.

use std::time::Duration;

use millstream_catalog::{EventOrder, QueryDefinition, QueryDialect, RecordFormat};
use millstream_stream::Streams;
use tokio::sync::mpsc;

use super::binding::Binding;
use super::busy::busy;
use super::error::QueryError;
use super::reference::References;
use super::rows;
use crate::dialect::words;
use crate::executor::Executor;
use crate::time_policy::OrderCounts;

/// Rows that may wait for a slow reader.
const ROWS_MAX: usize = 1_000;
/// Bytes read of a shard at once.
const STEP_BYTES: usize = 1 << 20;
/// How long it looks away when there is nothing to read.
const LOOK: Duration = Duration::from_millis(50);

/// Where a preview begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PreviewStart {
    /// With the records that come from now on.
    Latest,
    /// With the oldest record there is.
    TrimHorizon,
}

/// What a preview tells; it ends when this is dropped.
pub struct Preview {
    /// Rows and what gave none, or the error that ended it.
    pub told: mpsc::Receiver<Result<PreviewTold, QueryError>>,
}

/// A thing that a preview tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PreviewTold {
    /// A row, as a JSON text.
    Row(String),
    /// What went wrong so far; told before the rows of the same records.
    Missed(Missed),
}

/// Records of a preview that are no rows, or not at their time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Missed {
    /// How many could not be read.
    pub unreadable: u64,
    /// How many failed in an expression.
    pub failed: u64,
    /// How many were early, late or out of order.
    pub out_of_time: u64,
    /// The last of them.
    pub last: String,
}

/// What stands before a bare `SELECT STREAM` of the Kinesis dialect, on a line of its own.
const RESULT_STREAM: &str =
    "CREATE OR REPLACE STREAM \"RESULT\"; CREATE OR REPLACE PUMP \"RESULT_PUMP\" AS INSERT INTO \"RESULT\"\n";

pub(super) async fn start(
    streams: Streams,
    references: References,
    mut definition: QueryDefinition,
    from: PreviewStart,
) -> Result<Preview, QueryError> {
    let first_word =
        words(definition.dialect, &definition.sql).and_then(|words| words.lines().next().map(str::to_owned));
    let bare = definition.dialect == QueryDialect::Kinesis
        && first_word.is_some_and(|word| word.eq_ignore_ascii_case("SELECT"));
    if bare {
        definition.sql.insert_str(0, RESULT_STREAM);
    }
    let mut bound = Binding::new(&streams, &references, &definition, i64::MAX).await;
    if let (true, Err(QueryError::Plan(mistakes))) = (bare, &mut bound) {
        mistakes.iter_mut().for_each(|mistake| mistake.line = mistake.line.saturating_sub(1).max(1));
    }
    let binding = bound?;
    let executor = binding.executor(&definition);
    let (sender, told) = mpsc::channel(ROWS_MAX);
    tokio::spawn(async move {
        if let Err(error) = run(&streams, &definition, &binding, executor, from, &sender).await {
            let _ = sender.send(Err(error)).await;
        }
    });
    Ok(Preview { told })
}

async fn run(
    streams: &Streams,
    definition: &QueryDefinition,
    binding: &Binding,
    mut executor: Executor,
    from: PreviewStart,
    sender: &Teller,
) -> Result<(), QueryError> {
    let mut missed = Missed::default();
    let mut positions: Vec<Vec<u64>> = binding
        .streams
        .iter()
        .map(|stream| {
            let bounds = stream.shards.iter().map(|shard| streams.bounds(shard.log()));
            bounds.map(|bounds| if from == PreviewStart::Latest { bounds.next } else { bounds.first }).collect()
        })
        .collect();
    while !sender.is_closed() {
        let frontier = streams.frontier();
        let mut read_any = false;
        for (source, stream) in binding.streams.iter().enumerate() {
            for (index, shard) in stream.shards.iter().enumerate() {
                let position = positions[source][index];
                let end = streams.bounds(shard.log()).next;
                let read = streams.read(shard.log(), position, STEP_BYTES).await?;
                read_any |= !read.batches.is_empty();
                let mut produced = crate::executor::Produced::default();
                for batch in &read.batches {
                    produced.extend(executor.push(source, index, batch, position)?);
                }
                positions[source][index] = read.next;
                if read.next >= end {
                    executor.caught_up(source, index, frontier);
                }
                note_missed(&executor, &produced, &mut missed, sender).await;
                send(&produced, definition.dialect, sender).await;
            }
        }
        let mut more = true;
        while more && !sender.is_closed() {
            let (some, produced);
            (executor, some) = busy(move || {
                let some = executor.advance_some(None);
                (executor, some)
            })
            .await?;
            (produced, more) = some?;
            note_missed(&executor, &produced, &mut missed, sender).await;
            send(&produced, definition.dialect, sender).await;
        }
        if !read_any {
            tokio::time::sleep(LOOK).await;
        }
    }
    Ok(())
}

type Teller = mpsc::Sender<Result<PreviewTold, QueryError>>;

/// Tells what went wrong, when more did.
async fn note_missed(executor: &Executor, produced: &crate::executor::Produced, missed: &mut Missed, sender: &Teller) {
    let counts = executor.counts();
    let OrderCounts { early, late, out_of_order } = counts.order;
    let found = Missed {
        unreadable: counts.decode_errors,
        failed: counts.runtime_errors,
        out_of_time: early + late + out_of_order,
        last: produced
            .errors
            .last()
            .map_or_else(|| missed.last.clone(), |last| format!("{}: {}", last.kind, last.detail)),
    };
    if found != *missed {
        missed.clone_from(&found);
        // Nobody looks any more: the loop sees that.
        let _ = sender.send(Ok(PreviewTold::Missed(found))).await;
    }
}

async fn send(produced: &crate::executor::Produced, dialect: QueryDialect, sender: &Teller) {
    for (_, batch) in &produced.rows {
        for row in rows::encode(batch, &RecordFormat::Json, dialect, &[]) {
            // Nobody looks any more: the loop sees that.
            let row = PreviewTold::Row(String::from_utf8_lossy(&row).into_owned());
            let _ = sender.send(Ok(row)).await;
        }
    }
}

/// A definition for a query that is only looked at: every stream whose name the text holds is an input.
pub(super) fn definition(streams: &Streams, dialect: QueryDialect, sql: &str) -> QueryDefinition {
    let lower = sql.to_lowercase();
    let inputs = streams
        .list()
        .iter()
        .filter(|stream| lower.contains(&stream.name.to_lowercase()))
        .map(|stream| millstream_catalog::QueryInput {
            name: stream.name.clone(),
            stream: stream.name.clone(),
            format: RecordFormat::Json,
            columns: Vec::new(),
            role: String::new(),
            consumer_group: String::new(),
            processor: None,
            row_path: String::new(),
            divided: Vec::new(),
        })
        .collect();
    QueryDefinition {
        name: "preview".to_owned(),
        dialect,
        sql: sql.to_owned(),
        description: String::new(),
        inputs,
        references: Vec::new(),
        functions: Vec::new(),
        outputs: Vec::new(),
        desired: millstream_catalog::DesiredState::Running,
        start_at: millstream_catalog::StartAt::Latest,
        event_order: EventOrder::default(),
        parallelism: 1,
        resource: None,
        started: None,
        created: 0,
        modified: 0,
        version: 1,
    }
}
