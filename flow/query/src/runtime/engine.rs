//! The operations on queries.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use millstream_catalog::{
    Catalog, DesiredState, EventOrder, OutputTarget, QueryDefinition, QueryDialect, QueryInput, QueryOutput,
    QueryResource, StartAt, StreamOwner,
};
use millstream_insight::Insight;
use millstream_storage::{Storage, Transaction};
use millstream_stream::{NewStream, Streams};
use millstream_types::{CheckRole, Clock, LogId, Millis};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::binding::Binding;
use super::check::{check_containers, check_draft, check_inputs, check_outputs, check_sql};
use super::checkpoint::Checkpoints;
use super::delivery::document::DocumentTarget;
use super::delivery::function::FunctionTarget;
use super::delivery::object::ObjectTarget;
use super::delivery::{Delivery, Outlet, Outside, Target};
use super::error::QueryError;
use super::preview::{self, Preview, PreviewStart};
use super::rows;
use super::status::{DeliveryStatus, QueryState, QueryStatus, ResultRow, Running, SeenError, lock};
use super::task::Task;
use crate::executor::Counts;

/// How long the rows of a query's own stream stay.
const OWN_STREAM_HOURS: u32 = 24;

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
    pub parallelism: u32,
    pub resource: Option<QueryResource>,
}

impl From<&QueryDefinition> for NewQuery {
    /// What a query is made from now, to be changed.
    fn from(query: &QueryDefinition) -> Self {
        Self {
            name: query.name.clone(),
            dialect: query.dialect,
            sql: query.sql.clone(),
            description: query.description.clone(),
            inputs: query.inputs.clone(),
            outputs: query.outputs.clone(),
            start_at: query.start_at,
            event_order: query.event_order,
            parallelism: query.parallelism,
            resource: query.resource.clone(),
        }
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
    outside: Outside,
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
        outside: Outside,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let checkpoints = Checkpoints::new(storage);
        let shared = Shared { catalog, streams, checkpoints, insight, clock, outside, tasks: Mutex::default() };
        let engine = Self { shared: Arc::new(shared) };
        if let Err(error) = engine.remove_orphans().await {
            tracing::error!(%error, "cannot remove the streams of queries that are no more");
        }
        for definition in engine.list() {
            if definition.desired == DesiredState::Running
                && let Err(error) = engine.run(Arc::clone(&definition)).await
            {
                tracing::error!(query = %definition.name, %error, "cannot start a query");
            }
        }
        engine
    }

    /// Defines a query; it does not run yet. Until it is started its text may be empty and, in the dialect of Stream
    /// Analytics, read inputs that are not there yet.
    ///
    /// # Errors
    /// [`QueryError::Plan`] with all mistakes that can be found without records; [`QueryError::Output`];
    /// [`QueryError::Exists`].
    pub async fn create(&self, new: NewQuery) -> Result<Arc<QueryDefinition>, QueryError> {
        check_draft(&new)?;
        check_outputs(&new.outputs)?;
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
            parallelism: new.parallelism,
            resource: new.resource,
            started: None,
            created: now,
            modified: now,
            version: 1,
        };
        Ok(self.shared.catalog.queries.create(definition).await?)
    }

    /// Changes a query. When it runs it is stopped and started again, and goes on where it was: windows that were open are
    /// computed whole by the new plan, from the records.
    /// The text of one that does not run may miss what [`Queries::create`] lets it miss.
    ///
    /// # Errors
    /// [`QueryError::NotFound`], [`QueryError::Plan`], [`QueryError::Output`].
    pub async fn update(&self, new: NewQuery) -> Result<Arc<QueryDefinition>, QueryError> {
        let mut definition = (*self.get(&new.name)?).clone();
        match definition.desired {
            DesiredState::Stopped => check_draft(&new)?,
            DesiredState::Running => {
                check_sql(new.dialect, &new.sql, &new.inputs)?;
                check_containers(&self.shared.catalog, &new.outputs)?;
            }
        }
        check_outputs(&new.outputs)?;
        definition.dialect = new.dialect;
        definition.sql = new.sql;
        definition.description = new.description;
        definition.inputs = new.inputs;
        definition.outputs = new.outputs;
        definition.start_at = new.start_at;
        definition.event_order = new.event_order;
        definition.parallelism = new.parallelism;
        definition.resource = new.resource;
        definition.modified = self.shared.clock.now();
        definition.version += 1;
        let definition = self.shared.catalog.queries.put(definition).await?;
        if definition.desired == DesiredState::Running {
            self.halt(&definition.name).await;
            self.run(Arc::clone(&definition)).await?;
        }
        Ok(definition)
    }

    /// Changes what its maker says of a query; it runs on and its version stays.
    ///
    /// # Errors
    /// [`QueryError::NotFound`].
    pub async fn set_tags(&self, name: &str, tags: BTreeMap<String, String>) -> Result<(), QueryError> {
        let mut definition = (*self.get(name)?).clone();
        definition.resource.get_or_insert_default().tags = tags;
        self.shared.catalog.queries.put(definition).await?;
        Ok(())
    }

    /// Lets a query run from `start_at`: its positions and state are dropped then, rows that wait for their delivery stay.
    /// With `None` or [`StartAt::LastStopped`] it goes on where it stopped.
    ///
    /// # Errors
    /// [`QueryError::NotFound`], [`QueryError::State`] when it runs already, [`QueryError::Plan`] for a text that cannot
    /// run, an empty one for instance, [`QueryError::InputGone`].
    pub async fn start_query(&self, name: &str, start_at: Option<StartAt>) -> Result<(), QueryError> {
        let mut definition = (*self.get(name)?).clone();
        if definition.desired == DesiredState::Running {
            return Err(QueryError::State { name: name.to_owned(), state: "running" });
        }
        definition.desired = DesiredState::Running;
        check_sql(definition.dialect, &definition.sql, &definition.inputs)?;
        check_inputs(&self.shared.streams, &definition.inputs)?;
        check_containers(&self.shared.catalog, &definition.outputs)?;
        definition.start_at = start_at.unwrap_or(definition.start_at);
        definition.started = Some(self.shared.clock.now());
        if start_at.is_some_and(|start| start != StartAt::LastStopped) {
            // Before it is to run: a crash in between leaves a stopped query that is started again from `start_at`.
            self.shared.checkpoints.forget_positions(name).await?;
        }
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
        self.get(name)?;
        self.halt(name).await;
        let mut transaction = Transaction::new();
        self.shared.checkpoints.remove(name, &mut transaction).await?;
        self.shared.catalog.queries.delete(name, transaction).await?;
        self.remove_orphans().await
    }

    /// Removes the own streams of queries that are no more. A deletion that a crash cut off is ended by the next start, so
    /// that a new query of the name does not find the old one's rows.
    async fn remove_orphans(&self) -> Result<(), QueryError> {
        for stream in self.shared.streams.list().iter().filter(|stream| stream.owner == StreamOwner::Query) {
            let query = stream.name.split('/').nth(1).unwrap_or_default();
            if self.get(query).is_err() {
                self.shared.streams.delete(&stream.name).await?;
            }
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
        let running = Arc::new(Running::new(&definition, self.shared.insight.clone(), Arc::clone(&self.shared.clock)));
        let (stop, stopped) = watch::channel(false);
        let mut handles = Vec::new();
        for output in crate::dialect::output_names(definition.dialect, &definition.sql) {
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
            handles.push(tokio::spawn(delivery.run()));
        }
        let task = Task {
            roles: self.roles(definition.dialect),
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

    /// Who is asked what the roles of a query allow.
    fn roles(&self, dialect: QueryDialect) -> Option<Arc<dyn CheckRole>> {
        match dialect {
            QueryDialect::Kinesis => self.shared.outside.kinesis_roles.clone(),
            QueryDialect::StreamAnalytics => None,
        }
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
                    QueryDialect::StreamAnalytics => &outside.stream_analytics_codec,
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
