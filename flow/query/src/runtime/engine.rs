//! The operations on queries.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use millstream_catalog::{
    Catalog, CatalogError, DesiredState, EventOrder, OutputTarget, QueryDefinition, QueryDialect, QueryInput,
    QueryOutput, StartAt, StreamOwner,
};
use millstream_insight::Insight;
use millstream_storage::{Storage, StorageError, Transaction};
use millstream_stream::{NewStream, StreamError, Streams};
use millstream_types::{Clock, ErrorKind, Invoke, LogId, Millis};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::binding::Binding;
use super::checkpoint::Checkpoints;
use super::delivery::{FunctionDelivery, OutputCodec};
use super::preview::{self, Preview, PreviewStart};
use super::rows;
use super::task::Task;
use crate::dialect::{InputSchema, check};
use crate::error::PlanError;
use crate::executor::state::StateError;
use crate::executor::{Counts, ExecuteError, Executor};

/// Rows of each output that are remembered for the console.
const RECENT_ROWS: usize = 200;
/// Errors of a query that are remembered.
const RECENT_ERRORS: usize = 100;
/// How long the rows of a query's own stream stay.
const OWN_STREAM_HOURS: u32 = 24;

/// What can go wrong with queries.
#[derive(Debug, Clone, thiserror::Error)]
pub enum QueryError {
    /// No query of that name.
    #[error("there is no query `{name}`")]
    NotFound {
        /// The name asked for.
        name: String,
    },
    /// The name is taken.
    #[error("there is a query `{name}` already")]
    Exists {
        /// The name.
        name: String,
    },
    /// It is in another state.
    #[error("query `{name}` is {state}")]
    State {
        /// The query.
        name: String,
        /// Its state.
        state: &'static str,
    },
    /// The SQL has mistakes.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Plan(Vec<PlanError>),
    /// The SQL reads an input that is not defined.
    #[error("the query reads `{name}`, which is none of its inputs")]
    NoInput {
        /// The input.
        name: String,
    },
    /// A function does not take its rows.
    #[error("function `{function}` has not taken {records} records: {reason}")]
    Delivery {
        /// The function.
        function: String,
        /// How many are left.
        records: usize,
        /// What it said.
        reason: String,
    },
    /// The checkpoint is of another query.
    #[error(transparent)]
    Checkpoint(#[from] StateError),
    /// Rows cannot be computed.
    #[error(transparent)]
    Execute(#[from] ExecuteError),
    /// The node is going down.
    #[error("the node is stopping")]
    Stopping,
    /// The stream engine refused.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// The definition could not be written.
    #[error(transparent)]
    Catalog(CatalogError),
    /// The storage engine refused.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl QueryError {
    /// What the caller can do.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound { .. } => ErrorKind::NotFound,
            Self::Exists { .. } => ErrorKind::Exists,
            Self::State { .. } => ErrorKind::Conflict,
            Self::Plan(_) | Self::NoInput { .. } => ErrorKind::Invalid,
            Self::Delivery { .. } | Self::Stopping => ErrorKind::Unavailable,
            Self::Checkpoint(_) | Self::Execute(_) => ErrorKind::Internal,
            Self::Stream(error) => error.kind(),
            Self::Catalog(error) => error.kind(),
            Self::Storage(error) => error.kind(),
        }
    }
}

impl From<CatalogError> for QueryError {
    fn from(error: CatalogError) -> Self {
        match error {
            CatalogError::NotFound { name, .. } => Self::NotFound { name },
            CatalogError::Exists { name, .. } => Self::Exists { name },
            CatalogError::Storage(error) => Self::Storage(error),
            other @ CatalogError::Unreadable { .. } => Self::Catalog(other),
        }
    }
}

/// What a query is made from.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub struct NewQuery {
    pub name: String,
    pub dialect: QueryDialect,
    pub sql: String,
    pub description: String,
    pub inputs: Vec<QueryInput>,
    pub outputs: Vec<QueryOutput>,
    pub start_at: StartAt,
    pub event_order: EventOrder,
}

/// What a query does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueryState {
    /// Defined, not running.
    Stopped,
    /// About to run: its inputs are bound.
    Starting,
    /// Running.
    Running,
    /// Failed and tried again: the status has the error.
    Retrying,
}

impl QueryState {
    /// The state's word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Retrying => "retrying",
        }
    }
}

/// How a query is doing.
#[derive(Debug, Clone)]
pub struct QueryStatus {
    /// What it does.
    pub state: QueryState,
    /// How far time has come; `None` before the first row.
    pub watermark: Option<Millis>,
    /// What it counted since it started.
    pub counts: Counts,
    /// Bytes of its state.
    pub state_bytes: usize,
    /// Groups that its windows hold.
    pub groups: usize,
    /// The last thing that failed, if it still matters.
    pub last_error: Option<String>,
}

/// A row that a query gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResultRow {
    /// Its output.
    pub output: String,
    /// Its time: a window's end.
    pub time: Millis,
    /// The row as a record.
    pub data: Bytes,
}

/// An error that a query saw in its rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenError {
    /// When.
    pub time: Millis,
    /// `unparsable`, `late`, ….
    pub kind: &'static str,
    /// What was expected and what was found.
    pub detail: String,
}

/// What is known of a running query; shared by its task, its deliveries and those who look.
pub(super) struct Running {
    clock: Arc<dyn Clock>,
    insight: Insight,
    subject: String,
    status: Mutex<QueryStatus>,
    rows: Mutex<VecDeque<ResultRow>>,
    errors: Mutex<VecDeque<SeenError>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Running {
    fn new(query: &str, insight: Insight, clock: Arc<dyn Clock>) -> Self {
        let status = QueryStatus {
            state: QueryState::Starting,
            watermark: None,
            counts: Counts::default(),
            state_bytes: 0,
            groups: 0,
            last_error: None,
        };
        Self {
            clock,
            insight,
            subject: format!("query/{query}"),
            status: Mutex::new(status),
            rows: Mutex::default(),
            errors: Mutex::default(),
        }
    }

    pub(super) fn works(&self) {
        lock(&self.status).state = QueryState::Running;
    }

    pub(super) fn fail(&self, error: &QueryError) {
        let mut status = lock(&self.status);
        if !matches!(error, QueryError::Delivery { .. }) {
            status.state = QueryState::Retrying;
        }
        status.last_error = Some(error.to_string());
    }

    pub(super) fn delivered(&self) {
        lock(&self.status).last_error = None;
    }

    pub(super) fn progress(&self, executor: &Executor, state_bytes: usize) {
        let (counts, watermark) = (executor.counts(), executor.watermark());
        let mut status = lock(&self.status);
        let grown = |now: u64, before: u64| now.saturating_sub(before);
        let metrics = &self.insight.metrics;
        metrics.counter("rows_in", &self.subject).add(grown(counts.rows_in, status.counts.rows_in));
        metrics.counter("rows_out", &self.subject).add(grown(counts.rows_out, status.counts.rows_out));
        metrics.counter("late", &self.subject).add(grown(counts.order.late, status.counts.order.late));
        let errors = |counts: &Counts| counts.decode_errors + counts.runtime_errors;
        metrics.counter("errors", &self.subject).add(grown(errors(&counts), errors(&status.counts)));
        if watermark > i64::MIN {
            metrics.gauge("watermark_lag_ms", &self.subject).set((self.clock.now() - watermark).max(0));
            status.watermark = Some(watermark);
        }
        status.counts = counts;
        status.groups = executor.groups();
        status.state_bytes = state_bytes;
    }

    pub(super) fn emitted(&self, output: &str, times: &[i64], data: &[&Bytes]) {
        let mut rows = lock(&self.rows);
        for (time, data) in times.iter().zip(data) {
            if rows.len() == RECENT_ROWS {
                rows.pop_front();
            }
            rows.push_back(ResultRow { output: output.to_owned(), time: *time, data: Bytes::clone(data) });
        }
    }

    pub(super) fn seen(&self, kind: &'static str, detail: &str) {
        let mut errors = lock(&self.errors);
        if errors.len() == RECENT_ERRORS {
            errors.pop_front();
        }
        errors.push_back(SeenError { time: self.clock.now(), kind, detail: detail.to_owned() });
    }
}

/// The query engine. Cheap to clone.
#[derive(Clone)]
pub struct Queries {
    shared: Arc<Shared>,
}

struct Shared {
    catalog: Catalog,
    streams: Streams,
    checkpoints: Checkpoints,
    insight: Insight,
    clock: Arc<dyn Clock>,
    invoke: Arc<dyn Invoke>,
    codec: Arc<dyn OutputCodec>,
    tasks: Mutex<HashMap<String, Tasks>>,
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
    pub async fn start(
        storage: Storage,
        catalog: Catalog,
        streams: Streams,
        insight: Insight,
        invoke: Arc<dyn Invoke>,
        codec: Arc<dyn OutputCodec>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let checkpoints = Checkpoints::new(storage);
        let shared = Shared { catalog, streams, checkpoints, insight, clock, invoke, codec, tasks: Mutex::default() };
        let engine = Self { shared: Arc::new(shared) };
        for definition in engine.list() {
            if definition.desired == DesiredState::Running
                && let Err(error) = engine.run(Arc::clone(&definition)).await
            {
                tracing::error!(query = %definition.name, %error, "cannot start a query");
            }
        }
        engine
    }

    /// Defines a query; it does not run yet.
    ///
    /// # Errors
    /// [`QueryError::Plan`] with all mistakes that can be found without records; [`QueryError::Exists`].
    pub async fn create(&self, new: NewQuery) -> Result<Arc<QueryDefinition>, QueryError> {
        check_sql(new.dialect, &new.sql, &new.inputs)?;
        let now = self.shared.clock.now();
        let definition = QueryDefinition {
            name: new.name,
            dialect: new.dialect,
            sql: new.sql,
            description: new.description,
            inputs: new.inputs,
            outputs: new.outputs,
            desired: DesiredState::Stopped,
            start_at: new.start_at,
            event_order: new.event_order,
            created: now,
            modified: now,
            version: 1,
        };
        Ok(self.shared.catalog.queries.create(definition).await?)
    }

    /// Changes a query. When it runs it is stopped and started again; state of another text is not taken up, positions are.
    ///
    /// # Errors
    /// [`QueryError::NotFound`], [`QueryError::Plan`].
    pub async fn update(&self, new: NewQuery) -> Result<Arc<QueryDefinition>, QueryError> {
        check_sql(new.dialect, &new.sql, &new.inputs)?;
        let mut definition = (*self.get(&new.name)?).clone();
        definition.dialect = new.dialect;
        definition.sql = new.sql;
        definition.description = new.description;
        definition.inputs = new.inputs;
        definition.outputs = new.outputs;
        definition.start_at = new.start_at;
        definition.event_order = new.event_order;
        definition.modified = self.shared.clock.now();
        definition.version += 1;
        let definition = self.shared.catalog.queries.put(definition).await?;
        if definition.desired == DesiredState::Running {
            self.halt(&definition.name).await;
            self.run(Arc::clone(&definition)).await?;
        }
        Ok(definition)
    }

    /// Lets a query run. `start_at` is where it begins when it has no checkpoint; `None` leaves what is defined.
    ///
    /// # Errors
    /// [`QueryError::NotFound`], [`QueryError::State`] when it runs already.
    pub async fn start_query(&self, name: &str, start_at: Option<StartAt>) -> Result<(), QueryError> {
        let mut definition = (*self.get(name)?).clone();
        if definition.desired == DesiredState::Running {
            return Err(QueryError::State { name: name.to_owned(), state: "running" });
        }
        definition.desired = DesiredState::Running;
        definition.start_at = start_at.unwrap_or(definition.start_at);
        let definition = self.shared.catalog.queries.put(definition).await?;
        self.run(definition).await
    }

    /// Stops a query; its checkpoint stays.
    ///
    /// # Errors
    /// [`QueryError::NotFound`], [`QueryError::State`] when it does not run.
    pub async fn stop_query(&self, name: &str) -> Result<(), QueryError> {
        let mut definition = (*self.get(name)?).clone();
        if definition.desired == DesiredState::Stopped {
            return Err(QueryError::State { name: name.to_owned(), state: "stopped" });
        }
        definition.desired = DesiredState::Stopped;
        self.shared.catalog.queries.put(definition).await?;
        self.halt(name).await;
        Ok(())
    }

    /// Removes a query with its checkpoint and its own streams.
    ///
    /// # Errors
    /// [`QueryError::NotFound`].
    pub async fn delete(&self, name: &str) -> Result<(), QueryError> {
        let definition = self.get(name)?;
        self.halt(name).await;
        let mut transaction = Transaction::new();
        let outputs = definition.outputs.iter().map(|output| output.name.as_str());
        self.shared.checkpoints.remove(name, outputs, &mut transaction);
        self.shared.catalog.queries.delete(name, transaction).await?;
        let own = format!("query/{name}/");
        for stream in self.shared.streams.list().iter().filter(|stream| stream.name.starts_with(&own)) {
            self.shared.streams.delete(&stream.name).await?;
        }
        Ok(())
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
                last_error: None,
            },
            |tasks| lock(&tasks.running.status).clone(),
        )
    }

    /// The last rows of a query, oldest first.
    #[must_use]
    pub fn recent_rows(&self, name: &str) -> Vec<ResultRow> {
        let tasks = lock(&self.shared.tasks);
        tasks.get(name).map(|tasks| lock(&tasks.running.rows).iter().cloned().collect()).unwrap_or_default()
    }

    /// The last errors that a query saw in its rows, oldest first.
    #[must_use]
    pub fn recent_errors(&self, name: &str) -> Vec<SeenError> {
        let tasks = lock(&self.shared.tasks);
        tasks.get(name).map(|tasks| lock(&tasks.running.errors).iter().cloned().collect()).unwrap_or_default()
    }

    /// Runs SQL over live records without keeping anything; streams are inputs by their names.
    ///
    /// # Errors
    /// [`QueryError::Plan`].
    pub async fn preview(&self, dialect: QueryDialect, sql: &str, from: PreviewStart) -> Result<Preview, QueryError> {
        let definition = preview::definition(&self.shared.streams, dialect, sql);
        preview::start(self.shared.streams.clone(), definition, from).await
    }

    /// Where a record ends up in a query: the windows' ends and the labels of the rows that it is part of, per output. Found
    /// by running the query's plan over the record alone.
    ///
    /// # Errors
    /// [`QueryError`] when the query or the record is not there.
    pub async fn locate(
        &self,
        query: &str,
        log: LogId,
        offset: u64,
    ) -> Result<Vec<(String, Millis, String)>, QueryError> {
        let definition = self.get(query)?;
        let binding = Binding::new(&self.shared.streams, &definition).await?;
        let mut executor = binding.executor(&definition);
        let read = self.shared.streams.read(log, offset, 1).await?;
        let record = read.batches.iter().flat_map(|batch| batch.records()).find(|record| record.offset == offset);
        let Some(record) = record else { return Ok(Vec::new()) };
        let mut alone = millstream_types::EncodedRecords::default();
        alone.push(&record.partition_key, &record.headers, &record.data);
        let (bytes, count) = alone.freeze();
        let batch =
            millstream_types::RecordBatch { base_offset: offset, count, append_time: record.append_time, bytes };
        let mut produced = crate::executor::Produced::default();
        for (source, stream) in binding.streams.iter().enumerate() {
            if let Some(shard) = stream.shards.iter().position(|shard| shard.log() == log) {
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
    }

    /// Stops all queries; each goes on at its next start.
    pub async fn shutdown(&self) {
        let names: Vec<String> = lock(&self.shared.tasks).keys().cloned().collect();
        for name in names {
            self.halt(&name).await;
        }
    }

    /// Makes the query's own streams and starts its task and its deliveries.
    async fn run(&self, definition: Arc<QueryDefinition>) -> Result<(), QueryError> {
        let name = definition.name.clone();
        let running = Arc::new(Running::new(&name, self.shared.insight.clone(), Arc::clone(&self.shared.clock)));
        let (stop, stopped) = watch::channel(false);
        let mut handles = Vec::new();
        for output in crate::dialect::output_names(definition.dialect, &definition.sql) {
            let target = definition.outputs.iter().find(|found| found.name.eq_ignore_ascii_case(&output));
            if let Some(QueryOutput { target: OutputTarget::Stream { .. }, .. }) = target {
                continue;
            }
            let log = self.own_stream(&name, &output).await?;
            let Some(QueryOutput { target: OutputTarget::Function { name: function }, .. }) = target else { continue };
            let delivery = FunctionDelivery {
                query: name.clone(),
                output: output.clone(),
                function: function.clone(),
                log,
                streams: self.shared.streams.clone(),
                checkpoints: self.shared.checkpoints.clone(),
                invoke: Arc::clone(&self.shared.invoke),
                codec: Arc::clone(&self.shared.codec),
                insight: self.shared.insight.clone(),
                running: Arc::clone(&running),
            };
            handles.push(tokio::spawn(delivery.run(stopped.clone())));
        }
        let task = Task {
            definition,
            streams: self.shared.streams.clone(),
            checkpoints: self.shared.checkpoints.clone(),
            insight: self.shared.insight.clone(),
            running: Arc::clone(&running),
        };
        handles.push(tokio::spawn(task.run(stopped)));
        lock(&self.shared.tasks).insert(name, Tasks { running, stop, handles });
        Ok(())
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

    async fn halt(&self, name: &str) {
        let tasks = lock(&self.shared.tasks).remove(name);
        if let Some(tasks) = tasks {
            let _ = tasks.stop.send(true);
            for handle in tasks.handles {
                let _ = handle.await;
            }
        }
    }
}

fn check_sql(dialect: QueryDialect, sql: &str, inputs: &[QueryInput]) -> Result<(), QueryError> {
    let schemas: Vec<InputSchema> = inputs
        .iter()
        .map(|input| InputSchema {
            name: input.name.clone(),
            columns: (!input.columns.is_empty()).then(|| input.columns.clone()),
        })
        .collect();
    let mistakes = check(dialect, sql, &schemas);
    if mistakes.is_empty() { Ok(()) } else { Err(QueryError::Plan(mistakes)) }
}
