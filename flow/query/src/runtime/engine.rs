//! The query engine: what runs, and what is seen of it. How queries are made and changed is in `definitions`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use millstream_catalog::{
    Catalog, DesiredState, InputProcessor, OutputTarget, QueryDefinition, QueryDialect, QueryOutput, RecordFormat,
    ReferenceInput, ShardDefinition, StreamOwner,
};
use millstream_insight::Insight;
use millstream_storage::{Storage, Turns};
use millstream_stream::{NewStream, Streams};
use millstream_types::{BoxFuture, CheckRole, Clock, LogId, Millis};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::binding::Binding;
use super::checkpoint::Checkpoints;
use super::delivery::document::DocumentTarget;
use super::delivery::function::FunctionTarget;
use super::delivery::object::ObjectTarget;
use super::delivery::{Delivery, Outlet, Outside, Target};
use super::error::QueryError;
use super::preview::{self, Preview, PreviewStart};
use super::processing::{Processed, Processing, ProcessingBatch, not_processed};
use super::reference::References;
use super::rows;
use super::status::{DeliveryStatus, QueryState, QueryStatus, ResultRow, Running, SeenError, lock};
use super::task::Task;
use crate::executor::Counts;

/// How long the rows of a query's own stream stay.
const OWN_STREAM_HOURS: u32 = 24;

/// A row that a record is part of: its output, the end of its window, its label.
pub type LandedRow = (String, Millis, String);

/// The query engine. Cheap to clone.
#[derive(Clone)]
pub struct Queries {
    pub(super) shared: Arc<Shared>,
}

pub(super) struct Shared {
    pub(super) catalog: Catalog,
    pub(super) streams: Streams,
    pub(super) checkpoints: Checkpoints,
    insight: Insight,
    pub(super) clock: Arc<dyn Clock>,
    outside: Outside,
    /// What runs on after a request: its tasks compute for long, and belong to nobody's connection.
    runtime: Handle,
    tasks: Mutex<HashMap<String, Tasks>>,
    /// Who may change a query just now: one at a time, until what it changed is durable and runs so.
    pub(super) turns: Turns,
}

struct Tasks {
    running: Arc<Running>,
    stop: watch::Sender<bool>,
    handles: Vec<JoinHandle<()>>,
}

/// The name of a query's own stream.
pub(super) fn output_stream(query: &str, output: &str) -> String {
    format!("query/{query}/{output}")
}

impl Queries {
    /// Starts the engine with all queries that are to run. Needs a tokio runtime.
    pub fn start(
        storage: Storage,
        catalog: Catalog,
        streams: Streams,
        insight: Insight,
        outside: Outside,
        clock: Arc<dyn Clock>,
    ) -> BoxFuture<'static, Self> {
        Box::pin(async move {
            let checkpoints = Checkpoints::new(storage);
            let tasks = Mutex::default();
            let turns = Turns::default();
            let runtime = Handle::current();
            let shared = Shared { catalog, streams, checkpoints, insight, clock, outside, runtime, tasks, turns };
            let engine = Self { shared: Arc::new(shared) };
            if let Err(error) = engine.remove_orphans().await {
                tracing::error!(%error, "cannot remove what is left of queries that are no more");
            }
            for definition in engine.list() {
                if definition.desired == DesiredState::Running
                    && let Err(error) = engine.run(Arc::clone(&definition)).await
                {
                    tracing::error!(query = %definition.name, %error, "cannot start a query");
                }
            }
            engine
        })
    }

    /// A query's definition.
    ///
    /// # Errors
    /// [`QueryError::NotFound`].
    pub fn get(&self, name: &str) -> Result<Arc<QueryDefinition>, QueryError> {
        Ok(self.shared.catalog.queries.require(name)?)
    }

    /// All queries in the order of their names.
    #[must_use]
    pub fn list(&self) -> Vec<Arc<QueryDefinition>> {
        self.shared.catalog.queries.list()
    }

    /// How a query is doing; one that does not run has counted nothing.
    #[must_use]
    pub fn status(&self, name: &str) -> QueryStatus {
        let tasks = lock(&self.shared.tasks);
        tasks.get(name).map_or_else(
            || QueryStatus {
                state: QueryState::Stopped,
                watermark: None,
                counts: Counts::default(),
                state_bytes: 0,
                groups: 0,
                steps: Vec::new(),
                last_error: None,
            },
            |tasks| tasks.running.status(),
        )
    }

    /// The last rows of a query, oldest first.
    #[must_use]
    pub fn recent_rows(&self, name: &str) -> Vec<ResultRow> {
        let tasks = lock(&self.shared.tasks);
        tasks.get(name).map(|tasks| tasks.running.rows()).unwrap_or_default()
    }

    /// The last errors that a query saw in its rows, oldest first.
    #[must_use]
    pub fn recent_errors(&self, name: &str) -> Vec<SeenError> {
        let tasks = lock(&self.shared.tasks);
        tasks.get(name).map(|tasks| tasks.running.errors()).unwrap_or_default()
    }

    /// How far the rows of a running query's outputs are handed on: those outputs that have a function, a container or a
    /// bucket behind them.
    #[must_use]
    pub fn deliveries(&self, name: &str) -> Vec<DeliveryStatus> {
        let tasks = lock(&self.shared.tasks);
        tasks.get(name).map(|tasks| tasks.running.deliveries()).unwrap_or_default()
    }

    /// Runs SQL over live records without keeping anything; streams are inputs by their names.
    ///
    /// # Errors
    /// [`QueryError::Plan`].
    pub fn preview<'a>(
        &'a self,
        dialect: QueryDialect,
        sql: &'a str,
        from: PreviewStart,
    ) -> BoxFuture<'a, Result<Preview, QueryError>> {
        Box::pin(async move {
            let definition = preview::definition(&self.shared.streams, dialect, sql);
            preview::start(self.shared.streams.clone(), self.references(dialect), definition, from).await
        })
    }

    /// Where a record ends up in a query: the windows' ends and the labels of the rows that it is part of, per output. Found
    /// by running the query's plan over the record alone.
    ///
    /// # Errors
    /// [`QueryError`] when the query or the record is not there; [`QueryError::ManyRows`] and
    /// [`QueryError::Processed`] when a record alone does not tell.
    pub fn locate<'a>(
        &'a self,
        query: &'a str,
        log: LogId,
        offset: u64,
    ) -> BoxFuture<'a, Result<Vec<LandedRow>, QueryError>> {
        Box::pin(async move {
            let definition = self.get(query)?;
            let references = self.references(definition.dialect);
            let read = self.shared.streams.read(log, offset, 1).await?;
            let record = read.batches.iter().flat_map(|batch| batch.records()).find(|record| record.offset == offset);
            let Some(record) = record else { return Ok(Vec::new()) };
            let from = record.append_time.saturating_sub(definition.event_order.late_tolerance_ms);
            let binding = Binding::new(&self.shared.streams, &references, &definition, from).await?;
            if !binding.program.a_row_alone_tells() {
                return Err(QueryError::ManyRows { name: definition.name.clone() });
            }
            if binding.inputs.iter().any(|input| input.processor.is_some()) {
                return Err(QueryError::Processed { name: definition.name.clone() });
            }
            let mut executor = binding.executor(&definition);
            let mut alone = millstream_types::EncodedRecords::default();
            alone.push(&record.partition_key, &record.headers, &record.data);
            let (bytes, count) = alone.freeze();
            let batch =
                millstream_types::RecordBatch { base_offset: offset, count, append_time: record.append_time, bytes };
            let mut produced = crate::executor::Produced::default();
            for (source, stream) in binding.streams.iter().enumerate() {
                let is_it = |shard: &ShardDefinition| shard.log() == log && binding.has_shard(source, shard);
                if let Some(shard) = stream.shards.iter().position(is_it) {
                    produced.extend(executor.push(source, shard, &batch, offset)?);
                }
            }
            produced.extend(executor.advance(Some(i64::MAX))?);
            let mut found = Vec::new();
            for (output, rows) in &produced.rows {
                let name = &binding.program.outputs[*output].name;
                for (row, time) in crate::executor::rowtimes(rows).iter().enumerate() {
                    found.push((name.clone(), *time, rows::label(rows, row)));
                }
            }
            Ok(found)
        })
    }

    /// Stops all queries; each goes on at its next start.
    pub fn shutdown(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let names: Vec<String> = lock(&self.shared.tasks).keys().cloned().collect();
            for name in names {
                self.halt(&name).await;
            }
        })
    }

    /// Makes the query's own streams and starts its task and its deliveries.
    pub(super) async fn run(&self, definition: Arc<QueryDefinition>) -> Result<(), QueryError> {
        let name = definition.name.clone();
        let running = Arc::new(Running::new(&definition, self.shared.insight.clone(), Arc::clone(&self.shared.clock)));
        let (stop, stopped) = watch::channel(false);
        let mut handles = Vec::new();
        let outputs = crate::dialect::output_names(definition.dialect, &definition.sql, &definition.outputs);
        for output in outputs {
            let target = definition.outputs.iter().find(|found| found.name.eq_ignore_ascii_case(&output));
            if let Some(QueryOutput { target: OutputTarget::Stream { .. }, .. }) = target {
                continue;
            }
            let log = self.own_stream(&name, &output).await?;
            let Some(target) = target.and_then(|output| self.target(output, definition.dialect)) else { continue };
            running.delivers(&output, log, target.name());
            let outlet = Outlet {
                query: name.clone(),
                output: output.clone(),
                log,
                streams: self.shared.streams.clone(),
                checkpoints: self.shared.checkpoints.clone(),
                insight: self.shared.insight.clone(),
                running: Arc::clone(&running),
                stop: stopped.clone(),
            };
            let delivery = Delivery { outlet, target };
            handles.push(self.shared.runtime.spawn(delivery.run()));
        }
        let task = Task {
            roles: self.roles(definition.dialect),
            references: self.references(definition.dialect),
            processing: self.processing(definition.dialect),
            definition,
            streams: self.shared.streams.clone(),
            checkpoints: self.shared.checkpoints.clone(),
            insight: self.shared.insight.clone(),
            running: Arc::clone(&running),
        };
        handles.push(self.shared.runtime.spawn(task.run(stopped)));
        lock(&self.shared.tasks).insert(name, Tasks { running, stop, handles });
        Ok(())
    }

    /// Who is asked what the roles of a query allow.
    fn roles(&self, dialect: QueryDialect) -> Option<Arc<dyn CheckRole>> {
        match dialect {
            QueryDialect::Kinesis => self.shared.outside.kinesis_roles.clone(),
            QueryDialect::StreamAnalytics | QueryDialect::Standard => None,
        }
    }

    /// Where the reference data of a query come from.
    fn references(&self, dialect: QueryDialect) -> References {
        let Outside { reads, reference_scan, .. } = &self.shared.outside;
        let (objects, clock) = (Arc::clone(reads), Arc::clone(&self.shared.clock));
        References { objects, roles: self.roles(dialect), clock, scan: *reference_scan }
    }

    /// How records of a query's inputs get through functions; `None` where the dialect has none.
    fn processing(&self, dialect: QueryDialect) -> Option<Processing> {
        let Outside { invoke, kinesis_processing, .. } = &self.shared.outside;
        let codec = kinesis_processing.clone().filter(|_| dialect == QueryDialect::Kinesis)?;
        Some(Processing { invoke: Arc::clone(invoke), codec, roles: self.roles(dialect) })
    }

    /// What an input's function makes of records, in their order: for who looks at them before there is a query.
    ///
    /// # Errors
    /// [`QueryError::Processing`].
    pub fn process<'a>(
        &'a self,
        batch: ProcessingBatch<'a>,
        processor: &'a InputProcessor,
    ) -> BoxFuture<'a, Result<Vec<Processed>, QueryError>> {
        Box::pin(async move {
            let processing = self.processing(QueryDialect::Kinesis).ok_or_else(|| not_processed(processor))?;
            processing.all(batch, processor).await
        })
    }

    /// An object as reference data of the Kinesis dialect are read: for who looks at it before there is a query.
    ///
    /// # Errors
    /// [`QueryError::Reference`], [`QueryError::NotAllowed`].
    pub fn read_object<'a>(
        &'a self,
        query: &'a str,
        bucket: String,
        key: String,
        role: String,
    ) -> BoxFuture<'a, Result<Bytes, QueryError>> {
        Box::pin(async move {
            let (name, format, columns) = (key.clone(), RecordFormat::Json, Vec::new());
            let input = ReferenceInput { name, bucket, key, versions: None, format, columns, role };
            self.references(QueryDialect::Kinesis).read(query, &input, &input.key).await
        })
    }

    /// What an output is handed to behind the query's own stream; `None` when its rows stay there.
    fn target(&self, output: &QueryOutput, dialect: QueryDialect) -> Option<Target> {
        let outside = &self.shared.outside;
        Some(match &output.target {
            OutputTarget::Function { name } => Target::Function(FunctionTarget {
                function: name.clone(),
                role: output.role.clone(),
                roles: self.roles(dialect),
                invoke: Arc::clone(&outside.invoke),
                codec: Arc::clone(match dialect {
                    QueryDialect::Kinesis => &outside.kinesis_codec,
                    QueryDialect::StreamAnalytics | QueryDialect::Standard => &outside.stream_analytics_codec,
                }),
                handing: output.handing.clone(),
            }),
            OutputTarget::Documents(container) => Target::Documents(DocumentTarget {
                output: container.clone(),
                documents: Arc::clone(&outside.documents),
            }),
            OutputTarget::Objects(bucket) => Target::Objects(ObjectTarget {
                output: bucket.clone(),
                format: output.format.clone(),
                handing: output.handing.clone(),
                objects: Arc::clone(&outside.objects),
            }),
            OutputTarget::Stream { .. } | OutputTarget::Keep => return None,
        })
    }

    async fn own_stream(&self, query: &str, output: &str) -> Result<LogId, QueryError> {
        let name = output_stream(query, output);
        let stream = match self.shared.streams.get(&name) {
            Ok(stream) => stream,
            Err(_) => {
                let new = NewStream { name, owner: StreamOwner::Query, shards: 1, retention_hours: OWN_STREAM_HOURS };
                self.shared.streams.create(new).await?
            }
        };
        Ok(stream.shards.first().map_or(LogId(0), millstream_catalog::ShardDefinition::log))
    }

    /// Ends what runs of a query.
    pub(super) async fn halt(&self, name: &str) {
        let tasks = lock(&self.shared.tasks).remove(name);
        if let Some(tasks) = tasks {
            let _ = tasks.stop.send(true);
            for handle in tasks.handles {
                let _ = handle.await;
            }
        }
    }
}
