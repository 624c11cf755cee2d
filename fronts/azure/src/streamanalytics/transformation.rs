//! The transformation: the query's text, and the streaming units that say how many partitions are read at once.

use millstream_catalog::QueryDefinition;
use millstream_query::NewQuery;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::error::JobError;
use super::wire::{read, refuse_others};

/// Streaming units of a job for which none were asked.
const UNITS: u32 = 3;
/// Streaming units that a job may have.
const UNITS_MAX: u32 = 396;
/// What the transformation of a job is called that was made without one of a name.
const NAME: &str = "Transformation";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Properties {
    query: Option<String>,
    streaming_units: Option<u32>,
    #[serde(flatten)]
    others: Map<String, Value>,
}

/// The transformation's name; `None` when the job has none.
pub(super) fn name(query: &QueryDefinition) -> Option<String> {
    let named = query.resource.as_ref().map(|resource| resource.text_name.clone()).unwrap_or_default();
    match (named.is_empty(), query.sql.trim().is_empty()) {
        (false, _) => Some(named),
        (true, false) => Some(NAME.to_owned()),
        (true, true) => None,
    }
}

pub(super) fn document(query: &QueryDefinition) -> Value {
    let units = if query.parallelism == 0 { UNITS } else { query.parallelism };
    json!({ "streamingUnits": units, "query": query.sql })
}

/// Makes a transformation the job's.
pub(super) fn set(job: &mut NewQuery, name: &str, properties: Value) -> Result<(), JobError> {
    let place = format!("transformation `{name}`");
    let properties: Properties = read(&place, properties)?;
    refuse_others(&place, &properties.others, &["etag", "validStreamingUnits"])?;
    let units = properties.streaming_units.unwrap_or(UNITS);
    if !(units == 1 || units == 3 || (units.is_multiple_of(6) && (6..=UNITS_MAX).contains(&units))) {
        let expected = format!("expected 1, 3, 6 or a multiple of 6 up to {UNITS_MAX} streaming units");
        return Err(JobError::invalid(format!("{place}: {expected}, found {units}")));
    }
    job.sql = properties.query.unwrap_or_default();
    job.parallelism = units;
    job.resource.get_or_insert_default().text_name = name.to_owned();
    Ok(())
}

/// Takes the transformation away.
pub(super) fn remove(job: &mut NewQuery) {
    job.sql.clear();
    if let Some(resource) = &mut job.resource {
        resource.text_name.clear();
    }
}
