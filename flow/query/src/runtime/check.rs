//! What is checked of a query before it is defined or started.

use millstream_catalog::{
    Catalog, DocumentOutput, ObjectOutput, OutputTarget, QueryDefinition, QueryDialect, QueryFunction, QueryInput,
    QueryOutput, ReferenceInput,
};
use millstream_stream::Streams;
use millstream_types::BoxFuture;

use super::binding::{known, stream_of};
use super::busy::busy;
use super::definitions::NewQuery;
use super::delivery::object_path::ObjectPath;
use super::engine::Queries;
use super::error::QueryError;
use super::reference::versions_path;
use crate::dialect::{InputSchema, check_with, plan_with};
use crate::error::{PlanError, PlanErrorCode};
use crate::script::check_functions;

/// Holds the partition keys that outputs name to those of their containers; a container may come later.
pub(super) fn check_containers(catalog: &Catalog, outputs: &[QueryOutput]) -> Result<(), QueryError> {
    for output in outputs {
        let OutputTarget::Documents(DocumentOutput { database, container, partition_key, .. }) = &output.target else {
            continue;
        };
        let path = format!("{database}/{container}");
        let Some(found) = catalog.document_containers.get(&path) else { continue };
        let key = partition_key.trim_start_matches('/');
        let held = found.partition_key_paths.iter().any(|path| path.trim_start_matches('/') == key);
        if !key.is_empty() && !held {
            let paths = found.partition_key_paths.join(", ");
            let reason = format!("expected the partition key of container `{path}`, {paths}, found `{key}`");
            return Err(QueryError::Output { output: output.name.clone(), reason });
        }
    }
    Ok(())
}

/// Looks whether the streams are there that a query is to read.
pub(super) fn check_inputs(streams: &Streams, inputs: &[QueryInput]) -> Result<(), QueryError> {
    inputs.iter().try_for_each(|input| stream_of(streams, input).map(drop))
}

/// Checks what outputs say without looking at what they write to.
pub(super) fn check_outputs(outputs: &[QueryOutput]) -> Result<(), QueryError> {
    for output in outputs {
        if let OutputTarget::Objects(ObjectOutput { path, date_format, time_format, .. }) = &output.target {
            let wrong = |reason| QueryError::Output { output: output.name.clone(), reason };
            ObjectPath::parse(path, date_format, time_format).map_err(wrong)?;
        }
    }
    Ok(())
}

/// Reads the scripts of functions on a thread that may be busy.
pub(super) async fn check_scripts(functions: &[QueryFunction]) -> Result<(), QueryError> {
    if functions.is_empty() {
        return Ok(());
    }
    let functions = functions.to_vec();
    Ok(busy(move || check_functions(&functions)).await??)
}

/// Checks that inputs whose records go through a function say what columns it gives: those of the stream's records are others.
pub(super) fn check_processors(inputs: &[QueryInput]) -> Result<(), QueryError> {
    match inputs.iter().find(|input| input.processor.is_some() && input.columns.is_empty()) {
        Some(input) => {
            let reason = "its records go through a function, so its columns have to be declared".to_owned();
            Err(QueryError::Input { input: input.name.clone(), reason })
        }
        None => Ok(()),
    }
}

/// Checks how the versions of reference data are named.
pub(super) fn check_references(references: &[ReferenceInput]) -> Result<(), QueryError> {
    references.iter().try_for_each(|reference| versions_path(reference).map(drop))
}

/// Checks a text that need not run yet: it may be empty, and a job's inputs may come after it, one by one.
pub(super) fn check_draft(new: &NewQuery) -> Result<(), QueryError> {
    if new.sql.trim().is_empty() {
        return Ok(());
    }
    match check_sql(new.dialect, &new.sql, (&new.inputs, &new.references), &new.functions) {
        Err(QueryError::Plan(mut mistakes)) if new.dialect == QueryDialect::StreamAnalytics => {
            mistakes.retain(|mistake| mistake.code != PlanErrorCode::UnknownStream);
            if mistakes.is_empty() { Ok(()) } else { Err(QueryError::Plan(mistakes)) }
        }
        checked => checked,
    }
}

impl Queries {
    /// The mistakes of another text for a query, with the columns that are known of its inputs: declared ones, and those of its
    /// streams' records. Runs nothing, and reads no reference data.
    ///
    /// # Errors
    /// [`QueryError::NotFound`]; [`QueryError::InputGone`].
    pub fn mistakes<'a>(&'a self, name: &'a str, sql: &'a str) -> BoxFuture<'a, Result<Vec<PlanError>, QueryError>> {
        Box::pin(async move {
            let definition = QueryDefinition { sql: sql.to_owned(), ..(*self.get(name)?).clone() };
            let (schemas, _) = known(&self.shared.streams, &definition).await?;
            busy(move || match plan_with(definition.dialect, &definition.sql, &schemas, &definition.functions) {
                Ok(_) => Vec::new(),
                Err(mistakes) if mistakes.iter().all(|mistake| mistake.code == PlanErrorCode::ColumnsUnknown) => {
                    check_with(definition.dialect, &definition.sql, &schemas, &definition.functions)
                }
                Err(mistakes) => mistakes,
            })
            .await
        })
    }
}

/// Checks a text that is to run.
pub(super) fn check_sql(
    dialect: QueryDialect,
    sql: &str,
    (inputs, references): (&[QueryInput], &[ReferenceInput]),
    functions: &[QueryFunction],
) -> Result<(), QueryError> {
    let streams: Vec<QueryInput> = inputs.iter().flat_map(QueryInput::streams).collect();
    let schemas = InputSchema::declared(dialect, streams.iter().map(QueryInput::declared), references);
    let mistakes = check_with(dialect, sql, &schemas, functions);
    if mistakes.is_empty() { Ok(()) } else { Err(QueryError::Plan(mistakes)) }
}
