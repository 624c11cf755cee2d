//! A query that is only looked at: nothing of it is kept.

use std::time::Duration;

use millstream_catalog::{EventOrder, QueryDefinition, QueryDialect, RecordFormat};
use millstream_stream::Streams;
use tokio::sync::mpsc;

use super::binding::Binding;
use super::error::QueryError;
use super::rows;
use crate::executor::Executor;

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

/// The rows of a preview, as JSON texts; it ends when this is dropped.
pub struct Preview {
    /// Rows, or the error that ended it.
    pub rows: mpsc::Receiver<Result<String, QueryError>>,
}

pub(super) async fn start(
    streams: Streams,
    definition: QueryDefinition,
    from: PreviewStart,
) -> Result<Preview, QueryError> {
    let binding = Binding::new(&streams, &definition).await?;
    let executor = binding.executor(&definition);
    let (sender, rows) = mpsc::channel(ROWS_MAX);
    tokio::spawn(async move {
        if let Err(error) = run(&streams, &definition, &binding, executor, from, &sender).await {
            let _ = sender.send(Err(error)).await;
        }
    });
    Ok(Preview { rows })
}

async fn run(
    streams: &Streams,
    definition: &QueryDefinition,
    binding: &Binding,
    mut executor: Executor,
    from: PreviewStart,
    sender: &mpsc::Sender<Result<String, QueryError>>,
) -> Result<(), QueryError> {
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
                send(&produced, definition.dialect, sender).await;
            }
        }
        let produced = executor.advance(None)?;
        send(&produced, definition.dialect, sender).await;
        if !read_any {
            tokio::time::sleep(LOOK).await;
        }
    }
    Ok(())
}

async fn send(
    produced: &crate::executor::Produced,
    dialect: QueryDialect,
    sender: &mpsc::Sender<Result<String, QueryError>>,
) {
    for (_, batch) in &produced.rows {
        for row in rows::encode(batch, &RecordFormat::Json, dialect, &[]) {
            // Nobody looks any more: the loop sees that.
            let _ = sender.send(Ok(String::from_utf8_lossy(&row).into_owned())).await;
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
        })
        .collect();
    QueryDefinition {
        name: "preview".to_owned(),
        dialect,
        sql: sql.to_owned(),
        description: String::new(),
        inputs,
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
