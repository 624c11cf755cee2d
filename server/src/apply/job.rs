//! Starting, stopping and changing a query, as the console's forms and `millstream job` ask for it.

use std::collections::BTreeMap;
use std::path::Path;

use millstream_catalog::pipeline::form::{REPEATS_MAX, query_fields};
use millstream_catalog::pipeline::{Known, Mistake, Pipeline};
use millstream_catalog::{DesiredState, QueryDefinition, StartAt};
use millstream_console::{CreateRefusal, JobAsk, JobStart};
use millstream_query::{NewQuery, QueryError, output_names};
use serde::{Deserialize, Serialize};

use super::create::SECTION;
use super::{check, query};
use crate::node::Engines;

/// A query as `millstream job` sees it.
#[derive(Debug, Serialize, Deserialize)]
pub struct Job {
    /// Its form, filled in.
    pub fields: BTreeMap<String, String>,
    /// Which change of it this is.
    pub version: u64,
}

/// A query and what its form holds.
///
/// # Errors
/// [`QueryError::NotFound`].
pub fn job(engines: &Engines, name: &str) -> Result<Job, QueryError> {
    let found = engines.queries.get(name)?;
    let fields = query_fields(&found, &Known::of(&engines.catalog));
    Ok(Job { fields, version: found.version })
}

/// Does what is asked of a query and says what was done.
///
/// # Errors
/// The section's mistakes, or the engine's refusal.
pub async fn carry_out(engines: &Engines, name: &str, ask: JobAsk) -> Result<String, CreateRefusal> {
    let found = engines.queries.get(name).map_err(|error| failed(&error))?;
    match ask {
        JobAsk::Start(start) => start_query(engines, &found, start).await.map(|()| format!("query `{name}` runs")),
        JobAsk::Stop => {
            let stopped = engines.queries.stop_query(name).await;
            stopped.map(|()| format!("query `{name}` is stopped")).map_err(|error| failed(&error))
        }
        JobAsk::Change { section, version } => {
            change(engines, &found, &section, version).await.map(|()| format!("query `{name}` is changed"))
        }
    }
}

async fn start_query(engines: &Engines, found: &QueryDefinition, start: JobStart) -> Result<(), CreateRefusal> {
    check_outputs(&NewQuery::from(found))?;
    let start = match start {
        // A moment and not `Latest`: what comes before the query has seen its first record is not to be missed.
        JobStart::Now => Some(StartAt::Time(engines.clock.now())),
        JobStart::At(time) => Some(StartAt::Time(time)),
        JobStart::LastOutput if found.started.is_none() => {
            let message = "the query never ran, so there is no last output; begin now or at a time";
            return Err(CreateRefusal::Failed(message.to_owned()));
        }
        JobStart::LastOutput => None,
    };
    engines.queries.start_query(&found.name, start).await.map_err(|error| failed(&error))
}

/// Holds the outputs of a query that is to run to its text.
fn check_outputs(query: &NewQuery) -> Result<(), CreateRefusal> {
    let written = output_names(query.dialect, &query.sql, &query.outputs);
    let unwritten = |name: &&str| !written.iter().any(|known| known.eq_ignore_ascii_case(name));
    match query.outputs.iter().map(|output| output.name.as_str()).find(unwritten) {
        None => Ok(()),
        Some(name) => {
            let message = format!("the query does not write its output `{name}`; write it, or remove the output");
            Err(CreateRefusal::Failed(message))
        }
    }
}

/// Makes a query what a section says. It goes on where it was, running or stopped.
async fn change(engines: &Engines, found: &QueryDefinition, section: &str, version: u64) -> Result<(), CreateRefusal> {
    if found.version != version {
        let message = "somebody else changed the query meanwhile; look at it again";
        return Err(CreateRefusal::Failed(message.to_owned()));
    }
    if found.inputs.len().max(found.outputs.len()).max(found.functions.len()) > REPEATS_MAX {
        let message =
            format!("it has more than {REPEATS_MAX} inputs, outputs or functions; change it in a pipeline file");
        return Err(CreateRefusal::Failed(message));
    }
    let known = Known::of(&engines.catalog);
    let pipeline = Pipeline::parse_onto(SECTION, section, &known).map_err(CreateRefusal::Mistakes)?;
    let files = BTreeMap::new();
    let mistakes = check::queries(SECTION, Path::new(""), &pipeline, &files);
    if !mistakes.is_empty() {
        return Err(CreateRefusal::Mistakes(mistakes));
    }
    let Some(spec) = pipeline.queries.first().filter(|spec| spec.value.name == found.name) else {
        let message = format!("a query keeps its name; expected `{}`", found.name);
        return Err(CreateRefusal::Mistakes(vec![Mistake {
            file: SECTION.to_owned(),
            line: 1,
            message,
            hint: String::new(),
        }]));
    };
    let described = query::described(&spec.value, Some(found), &files);
    let described = described.map_err(|error| CreateRefusal::Failed(error.to_string()))?;
    // Where it begins is said when it is started.
    let new = NewQuery { start_at: found.start_at, ..described };
    if found.desired == DesiredState::Running {
        check_outputs(&new)?;
    }
    engines.queries.update(found, new).await.map(drop).map_err(|error| failed(&error))
}

fn failed(error: &QueryError) -> CreateRefusal {
    CreateRefusal::Failed(error.to_string())
}
