//! Carrying out what a pipeline file says of continuous queries.

use std::collections::BTreeMap;
use std::mem::discriminant;

use anyhow::Context as _;
use millstream_catalog::pipeline::{InputSpec, OutputSpec, QuerySpec, SqlText};
use millstream_catalog::{DesiredState, QueryDefinition, QueryInput, QueryOutput, ReferenceInput};
use millstream_query::{NewQuery, QueryError};

use super::carry_out::Outcome;
use crate::node::Engines;

/// Makes a query or changes it, and lets it run unless the file says otherwise.
pub(super) async fn query(
    engines: &Engines,
    spec: &QuerySpec,
    sql_files: &BTreeMap<String, String>,
) -> anyhow::Result<Outcome> {
    let queries = &engines.queries;
    let found = queries.get(&spec.name).ok();
    let new = described(spec, found.as_deref(), sql_files)?;
    let mut outcome = match &found {
        None => {
            queries.create(new).await?;
            Outcome::Created
        }
        Some(found) if is(found, &new) => Outcome::Unchanged,
        Some(found) => {
            queries.update(found, new).await?;
            Outcome::Updated
        }
    };
    let runs = found.is_some_and(|found| found.desired == DesiredState::Running);
    let done = match (runs, spec.stopped) {
        (false, false) => queries.start_query(&spec.name, None).await,
        (true, true) => {
            outcome = Outcome::Updated;
            queries.stop_query(&spec.name).await
        }
        (true, false) | (false, true) => Ok(()),
    };
    match done {
        Ok(()) | Err(QueryError::State { .. }) => Ok(outcome),
        Err(error) => Err(error.into()),
    }
}

/// What a query is to be made from. What only a cloud's own calls can say of one that is there is not the file's to take away.
pub(super) fn described(
    spec: &QuerySpec,
    found: Option<&QueryDefinition>,
    sql_files: &BTreeMap<String, String>,
) -> anyhow::Result<NewQuery> {
    let sql = match &spec.sql {
        SqlText::Inline { text, .. } => text.clone(),
        SqlText::File(path) => {
            let name = path.value.display().to_string();
            sql_files.get(&name).cloned().with_context(|| format!("the text of {name} was not sent"))?
        }
    };
    Ok(NewQuery {
        name: spec.name.clone(),
        dialect: spec.dialect,
        sql,
        description: found.map(|found| found.description.clone()).unwrap_or_default(),
        inputs: spec.inputs.iter().map(|located| input(&located.value, found)).collect(),
        references: spec.references.iter().map(|given| reference(given, found)).collect(),
        functions: spec.functions.iter().map(|located| located.value.clone()).collect(),
        outputs: spec.outputs.iter().map(|located| output(&located.value, found)).collect(),
        start_at: spec.start_at,
        event_order: spec.event_order,
        parallelism: spec.parallelism,
        resource: found.and_then(|found| found.resource.clone()),
    })
}

fn input(spec: &InputSpec, found: Option<&QueryDefinition>) -> QueryInput {
    let mut before = found.into_iter().flat_map(|found| &found.inputs);
    let before = before.find(|input| input.name == spec.name && input.stream == spec.stream);
    QueryInput {
        name: spec.name.clone(),
        stream: spec.stream.clone(),
        format: spec.format.clone(),
        columns: spec.columns.clone(),
        role: before.map(|before| before.role.clone()).unwrap_or_default(),
        consumer_group: before.map(|before| before.consumer_group.clone()).unwrap_or_default(),
        processor: before.and_then(|before| before.processor.clone()),
        row_path: before.map(|before| before.row_path.clone()).unwrap_or_default(),
        divided: before.map(|before| before.divided.clone()).unwrap_or_default(),
    }
}

fn reference(given: &ReferenceInput, found: Option<&QueryDefinition>) -> ReferenceInput {
    let mut before = found.into_iter().flat_map(|found| &found.references);
    let before = before.find(|before| before.name == given.name);
    ReferenceInput { role: before.map(|before| before.role.clone()).unwrap_or_default(), ..given.clone() }
}

fn output(spec: &OutputSpec, found: Option<&QueryDefinition>) -> QueryOutput {
    let mut before = found.into_iter().flat_map(|found| &found.outputs);
    let before =
        before.find(|output| output.name == spec.name && discriminant(&output.target) == discriminant(&spec.target));
    QueryOutput {
        name: spec.name.clone(),
        target: spec.target.clone(),
        format: spec.format.clone(),
        role: before.map(|before| before.role.clone()).unwrap_or_default(),
        handing: spec.handing.clone(),
    }
}

fn is(found: &QueryDefinition, new: &NewQuery) -> bool {
    found.dialect == new.dialect
        && found.sql == new.sql
        && found.inputs == new.inputs
        && found.references == new.references
        && found.functions == new.functions
        && found.outputs == new.outputs
        && found.event_order == new.event_order
        && found.parallelism == new.parallelism
        && found.start_at == new.start_at
}
