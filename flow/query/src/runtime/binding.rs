//! From a definition to an executor: the streams of its inputs, columns that were not declared, the plan.

use std::sync::Arc;

use bytes::Bytes;
use millstream_catalog::{
    ColumnDefinition, EventOrder, QueryDefinition, QueryDialect, QueryFunction, QueryInput, ReferenceInput,
    ShardDefinition, StreamDefinition, StreamOwner,
};
use millstream_stream::{Streams, aggregate};
use millstream_types::Millis;

use super::busy::busy;
use super::error::QueryError;
use super::reference::{Loaded, References};
use super::versions::Followed;
use crate::decode::infer::columns_of;
use crate::dialect::{InputSchema, inputs_read, plan_with};
use crate::error::PlanError;
use crate::executor::Executor;
use crate::executor::lookup::{Tables, tables};
use crate::plan::Program;

/// Records that columns are found out from.
const SAMPLE_RECORDS: usize = 100;
/// Bytes that are read for them.
const SAMPLE_BYTES: usize = 256 << 10;

/// A definition's program with the streams of its sources, in the order of the program's sources.
pub(super) struct Binding {
    pub(super) program: Program,
    pub(super) inputs: Vec<QueryInput>,
    pub(super) streams: Vec<Arc<StreamDefinition>>,
    /// By step: the rows of reference data that it looks up.
    tables: Tables,
    /// Those of them that have versions.
    pub(super) followed: Vec<Followed>,
}

impl Binding {
    /// A definition bound to its streams; `from`: rows from that time on find their versions of reference data.
    pub(super) async fn new(
        streams: &Streams,
        references: &References,
        definition: &QueryDefinition,
        from: Millis,
    ) -> Result<Self, QueryError> {
        let (schemas, read) = known(streams, definition).await?;
        let functions = definition.functions.clone();
        let references_read: Vec<ReferenceInput> =
            definition.references.iter().filter(|reference| read.contains(&reference.name)).cloned().collect();
        // Objects may be large: they are not read while the query waits for a first record.
        let waits =
            |schema: &&InputSchema| !schema.reference && schema.columns.is_none() && read.contains(&schema.name);
        if let (Some(input), false) = (schemas.iter().find(waits), references_read.is_empty()) {
            return Err(QueryError::Plan(vec![PlanError::columns_unknown(&input.name)]));
        }
        let loaded = references.load(&definition.name, &references_read, from).await?;
        let followed = loaded.iter().filter_map(|loaded| Followed::of(loaded).transpose()).collect::<Result<_, _>>()?;
        let (dialect, sql) = (definition.dialect, definition.sql.clone());
        let outputs: Vec<String> = definition.outputs.iter().map(|output| output.name.clone()).collect();
        let plan = move || planned(dialect, &sql, (&functions, &outputs), schemas, &loaded);
        let (program, tables) = busy(plan).await??;
        if definition.event_order.late_tolerance_ms == EventOrder::LATE_WITHOUT_LIMIT
            && program.sources.iter().any(|source| !source.timelines.is_empty())
        {
            return Err(QueryError::Plan(vec![PlanError::late_without_limit()]));
        }
        let all: Vec<QueryInput> = definition.inputs.iter().flat_map(QueryInput::streams).collect();
        let input_of = |name: &str| {
            all.iter()
                .find(|input| input.name == name)
                .cloned()
                .ok_or_else(|| QueryError::NoInput { name: name.to_owned() })
        };
        let inputs: Vec<QueryInput> =
            program.sources.iter().map(|source| input_of(&source.name)).collect::<Result<_, _>>()?;
        let sources = inputs.iter().map(|input| stream_of(streams, input)).collect::<Result<_, _>>()?;
        Ok(Self { program, inputs, streams: sources, tables, followed })
    }

    /// What has become of the streams since they were bound.
    pub(super) fn look(&self, streams: &Streams) -> Look {
        let mut gone = None;
        for (input, bound) in self.inputs.iter().zip(&self.streams) {
            match stream_of(streams, input) {
                Ok(now) if now.shards.iter().map(|shard| shard.log).eq(bound.shards.iter().map(|shard| shard.log)) => {}
                Ok(_) => return Look::Other,
                Err(error) => gone = Some(error),
            }
        }
        gone.map_or(Look::Same, Look::Gone)
    }

    /// Whether a source has the rows of a shard of its stream.
    pub(super) fn has_shard(&self, source: usize, shard: &ShardDefinition) -> bool {
        self.inputs[source].has_shard(shard.index)
    }

    /// Whether any source has the rows of a shard of a stream.
    pub(super) fn is_wanted(&self, stream: &str, shard: &ShardDefinition) -> bool {
        let of_stream = |input: &&QueryInput| input.stream == stream;
        self.inputs.iter().filter(of_stream).any(|input| input.has_shard(shard.index))
    }

    /// Tells an executor that no rows of other streams' shards will come: they hold up no window.
    pub(super) fn leave_out(&self, executor: &mut Executor) {
        for (source, stream) in self.streams.iter().enumerate() {
            for (index, shard) in stream.shards.iter().enumerate() {
                if !self.has_shard(source, shard) {
                    executor.ended(source, index);
                }
            }
        }
    }

    pub(super) fn executor(&self, definition: &QueryDefinition) -> Executor {
        let formats: Vec<_> = self.inputs.iter().map(|input| input.format.clone()).collect();
        let shards: Vec<usize> = self.streams.iter().map(|stream| stream.shards.len()).collect();
        let mut executor = Executor::new(self.program.clone(), definition.event_order, &formats, &shards);
        self.leave_out(&mut executor);
        executor.with_tables(self.tables.clone())
    }
}

/// The inputs and reference data of a definition with the columns that are known of them, and the names of those that its text
/// reads. Objects are not read.
pub(super) async fn known(
    streams: &Streams,
    definition: &QueryDefinition,
) -> Result<(Vec<InputSchema>, Vec<String>), QueryError> {
    let inputs: Vec<QueryInput> = definition.inputs.iter().flat_map(QueryInput::streams).collect();
    let declared = inputs.iter().map(QueryInput::declared);
    let mut schemas = InputSchema::declared(definition.dialect, declared, &definition.references);
    let read = inputs_read(definition.dialect, &definition.sql, &schemas, &definition.functions);
    for (input, schema) in inputs.iter().zip(&mut schemas) {
        if !read.contains(&input.name) {
            continue;
        }
        if schema.columns.is_none() {
            schema.columns = sampled_columns(streams, input, definition.dialect).await?;
        }
        // Streams that others fill are not hubs: their events are none.
        let owner = stream_of(streams, input)?.owner;
        schema.hub = definition.dialect == QueryDialect::StreamAnalytics
            && matches!(owner, StreamOwner::User | StreamOwner::Hub);
    }
    Ok((schemas, read))
}

/// The program and the tables of its steps. Reads objects, which may be large: work for a thread that may be busy.
fn planned(
    dialect: QueryDialect,
    sql: &str,
    (functions, outputs): (&[QueryFunction], &[String]),
    mut schemas: Vec<InputSchema>,
    loaded: &[Loaded],
) -> Result<(Program, Tables), QueryError> {
    for schema in schemas.iter_mut().filter(|schema| schema.reference) {
        if let Some(loaded) = loaded.iter().find(|loaded| loaded.input.name == schema.name) {
            *schema = loaded.schema(dialect);
        }
    }
    let program = plan_with(dialect, sql, &schemas, functions).map_err(QueryError::Plan)?;
    let program = program.with_error_output(outputs.iter().map(String::as_str));
    let mut rows = Vec::with_capacity(program.references.len());
    for plan in &program.references {
        let found = loaded.iter().find(|loaded| loaded.input.name == plan.name);
        let found = found.ok_or_else(|| QueryError::NoInput { name: plan.name.clone() })?;
        rows.push(found.rows(plan, dialect)?);
    }
    let tables = tables(&program, &rows)?;
    Ok((program, tables))
}

/// The streams of a binding, looked at again.
pub(super) enum Look {
    /// They are what they were.
    Same,
    /// One is not there.
    Gone(QueryError),
    /// One was made anew or has more shards.
    Other,
}

/// An input's stream.
pub(super) fn stream_of(streams: &Streams, input: &QueryInput) -> Result<Arc<StreamDefinition>, QueryError> {
    let gone = |_| QueryError::InputGone { input: input.name.clone(), stream: input.stream.clone() };
    streams.get(&input.stream).map_err(gone)
}

/// The payloads of a record: its own, or those of the records that were packed into it.
fn payloads(data: &Bytes) -> Vec<Bytes> {
    match aggregate::unpack(data) {
        None => vec![data.clone()],
        Some(packed) => packed.iter().map(|packed| data.slice_ref(packed.data)).collect(),
    }
}

/// The columns of an input's records; `None` while it has none.
async fn sampled_columns(
    streams: &Streams,
    input: &QueryInput,
    dialect: QueryDialect,
) -> Result<Option<Vec<ColumnDefinition>>, QueryError> {
    let mut samples: Vec<Bytes> = Vec::new();
    for shard in &stream_of(streams, input)?.shards {
        let read = streams.read(shard.log(), 0, SAMPLE_BYTES).await?;
        let records = read.batches.iter().flat_map(|batch| batch.records());
        samples.extend(records.flat_map(|record| payloads(&record.data)).take(SAMPLE_RECORDS - samples.len()));
        if samples.len() == SAMPLE_RECORDS {
            break;
        }
    }
    if samples.is_empty() {
        return Ok(None);
    }
    Ok(Some(columns_of(dialect, &input.format, samples.iter().map(Bytes::as_ref))))
}
