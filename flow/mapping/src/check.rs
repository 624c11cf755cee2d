//! What a mapping must be: its source and function are there, its settings are within their limits and say something for
//! that kind of source. The limits are those that the service has.

use std::sync::Arc;

use millstream_catalog::{
    Catalog, EventSchema, EventSource, EventSourceMappingDefinition, FailureTarget, MappingSettings, MappingState,
    StreamDefinition,
};

use crate::error::MappingError;

/// Records or messages of a batch.
pub const BATCH_SIZE: (i64, i64) = (1, 10_000);
/// Patterns of one mapping.
pub const FILTERS_MAX: usize = 5;
/// Mappings of a node: each has a task, and one more for each shard.
pub const MAPPINGS_MAX: usize = 1_000;

/// Messages of a batch that a queue hands out at once; larger batches have to be gathered for a while.
const BATCH_WITHOUT_WINDOW_MAX: u32 = 10;
const WINDOW_SECONDS: (i64, i64) = (0, 300);
const PARALLELIZATION: (i64, i64) = (1, 10);
const RETRIES: (i64, i64) = (0, 10_000);
const RECORD_AGE_SECONDS: (i64, i64) = (60, 604_800);
const CONCURRENCY: (i64, i64) = (2, 1_000);
const TUMBLING_SECONDS: (i64, i64) = (1, 900);
/// Characters of a pattern.
const FILTER_CHARS_MAX: i64 = 4_096;

/// The name of a source in its kind.
pub(crate) fn source_name(source: &EventSource) -> &str {
    let (EventSource::Stream { name } | EventSource::Table { name, .. } | EventSource::Queue { name }) = source;
    name
}

/// The stream that a source stands for, if it is there. That of a table may be another than the one that was meant.
pub(crate) fn source_stream(catalog: &Catalog, source: &EventSource) -> Result<Arc<StreamDefinition>, MappingError> {
    let name = source.stream().unwrap_or_default();
    let meant = match source {
        EventSource::Table { name, made } => {
            let table = catalog.tables.get(name);
            table.is_some_and(|table| table.changes.as_ref().is_some_and(|changes| changes.created == *made))
        }
        EventSource::Stream { .. } | EventSource::Queue { .. } => true,
    };
    let stream = catalog.streams.get(&name).filter(|_| meant);
    stream.ok_or_else(|| MappingError::StreamNotFound { of: source.clone() })
}

/// Checks a definition that is to be.
pub(crate) fn check(catalog: &Catalog, definition: &EventSourceMappingDefinition) -> Result<(), MappingError> {
    let EventSourceMappingDefinition { source, function, settings, .. } = definition;
    limits(settings)?;
    let timeout = catalog.functions.referred(function, |found| found.timeout_seconds);
    let timeout = timeout.ok_or_else(|| MappingError::FunctionNotFound { function: function.clone() })?;
    match source {
        EventSource::Queue { name } => {
            only_streams_have(settings)?;
            if settings.batch_size > BATCH_WITHOUT_WINDOW_MAX && settings.window_seconds == 0 {
                return Err(MappingError::WindowNeeded { size: BATCH_WITHOUT_WINDOW_MAX });
            }
            let Some(queue) = catalog.queues.get(name) else {
                return Err(MappingError::QueueNotFound { queue: name.clone() });
            };
            let hidden = queue.settings.visibility_seconds;
            if hidden < timeout {
                let (queue, function) = (name.clone(), function.clone());
                return Err(MappingError::HiddenTooShortly { queue, hidden, function, timeout });
            }
        }
        EventSource::Stream { .. } | EventSource::Table { .. } => {
            if settings.concurrency_max.is_some() {
                return Err(MappingError::NotForSource { setting: "a limit of concurrency", source_kind: "stream" });
            }
            if settings.tumbling_window_seconds.is_some() && settings.parallelization > 1 {
                return Err(MappingError::WindowsInParallel { parallelization: settings.parallelization });
            }
            source_stream(catalog, source)?;
        }
    }
    settings.on_failure.as_ref().map_or(Ok(()), |target| target_exists(catalog, target))
}

/// Checks that nothing maps the source to the function already.
pub(crate) fn check_new(catalog: &Catalog, definition: &EventSourceMappingDefinition) -> Result<(), MappingError> {
    let all = catalog.event_source_mappings.list();
    if all.len() >= MAPPINGS_MAX {
        return Err(MappingError::TooMany { what: "event source mappings", max: MAPPINGS_MAX });
    }
    check_unique(catalog, definition)
}

/// Checks that no other mapping has the same source and function.
pub(crate) fn check_unique(catalog: &Catalog, definition: &EventSourceMappingDefinition) -> Result<(), MappingError> {
    let same = |other: &EventSourceMappingDefinition| {
        other.id != definition.id
            && other.state != MappingState::Deleting
            && (&other.source, &other.function) == (&definition.source, &definition.function)
    };
    match catalog.event_source_mappings.list().into_iter().find(|other| same(other)) {
        Some(other) => Err(MappingError::Exists {
            of: other.source.clone(),
            function: other.function.clone(),
            id: other.id.clone(),
        }),
        None => Ok(()),
    }
}

fn limits(settings: &MappingSettings) -> Result<(), MappingError> {
    let MappingSettings { batch_size, window_seconds, parallelization, retries_max, record_age_max_seconds, .. } =
        settings;
    let maybe = |value: &Option<u32>| value.map(i64::from);
    let found = [
        ("a batch size", Some(i64::from(*batch_size)), BATCH_SIZE),
        ("a batching window in seconds", Some(i64::from(*window_seconds)), WINDOW_SECONDS),
        ("a parallelization factor", Some(i64::from(*parallelization)), PARALLELIZATION),
        ("a number of retries", maybe(retries_max), RETRIES),
        ("an age of records in seconds", maybe(record_age_max_seconds), RECORD_AGE_SECONDS),
        ("a limit of concurrency", maybe(&settings.concurrency_max), CONCURRENCY),
        ("a tumbling window in seconds", maybe(&settings.tumbling_window_seconds), TUMBLING_SECONDS),
    ];
    for (setting, found, (min, max)) in found {
        if let Some(found) = found.filter(|found| !(min..=max).contains(found)) {
            return Err(MappingError::OutOfRange { setting, min, max, found });
        }
    }
    if settings.filters.len() > FILTERS_MAX {
        return Err(MappingError::TooMany { what: "filters", max: FILTERS_MAX });
    }
    let longest = settings.filters.iter().map(|filter| filter.chars().count()).max().unwrap_or(0);
    let longest = i64::try_from(longest).unwrap_or(i64::MAX);
    if longest > FILTER_CHARS_MAX {
        let setting = "the characters of a filter";
        return Err(MappingError::OutOfRange { setting, min: 0, max: FILTER_CHARS_MAX, found: longest });
    }
    Ok(())
}

/// Refuses what says nothing for a queue.
fn only_streams_have(settings: &MappingSettings) -> Result<(), MappingError> {
    let given = [
        ("a parallelization factor", settings.parallelization != 1),
        ("a number of retries", settings.retries_max.is_some()),
        ("an age of records", settings.record_age_max_seconds.is_some()),
        ("splitting of batches", settings.bisect),
        ("a target of failures", settings.on_failure.is_some()),
        ("a tumbling window", settings.tumbling_window_seconds.is_some()),
    ];
    match given.into_iter().find(|(_, given)| *given) {
        Some((setting, _)) => Err(MappingError::NotForSource { setting, source_kind: "queue" }),
        None => Ok(()),
    }
}

fn target_exists(catalog: &Catalog, target: &FailureTarget) -> Result<(), MappingError> {
    let (kind, name, found) = match target {
        FailureTarget::Queue { name } => ("queue", name, catalog.queues.get(name).is_some()),
        FailureTarget::Topic { name } => {
            let topic = catalog.topics.get(name);
            ("topic", name, topic.is_some_and(|topic| topic.schema == EventSchema::Message))
        }
        // It is made when it is missing.
        FailureTarget::Bucket { .. } => return Ok(()),
    };
    if found { Ok(()) } else { Err(MappingError::TargetNotFound { kind, name: name.clone() }) }
}
