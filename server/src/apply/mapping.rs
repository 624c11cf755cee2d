//! Carrying out what a pipeline file says of event source mappings.

use anyhow::bail;
use millstream_catalog::pipeline::MappingSpec;
use millstream_catalog::{EventSource, EventSourceMappingDefinition, MappingState};
use millstream_mapping::{MappingError, MappingView, NewMapping};

use super::carry_out::Outcome;
use crate::node::Engines;

/// How a mapping is called in messages: it has no name of its own.
pub(super) fn name(spec: &MappingSpec) -> String {
    let (EventSource::Stream { name } | EventSource::Table { name, .. } | EventSource::Queue { name }) = &spec.source;
    format!("{name} -> {}", spec.function)
}

/// Makes a mapping, or changes the one of its source and function. Where it began stays.
pub(super) async fn mapping(engines: &Engines, spec: &MappingSpec) -> anyhow::Result<Outcome> {
    let source = source(engines, spec)?;
    let state = if spec.enabled { MappingState::Enabled } else { MappingState::Disabled };
    let Some(found) = found(engines, &source, spec) else {
        let new = NewMapping {
            source: source.clone(),
            function: spec.function.clone(),
            start: spec.start,
            enabled: spec.enabled,
            settings: spec.settings.clone(),
        };
        engines.mappings.create(new).await?;
        return Ok(Outcome::Created);
    };
    if (&found.definition.settings, found.definition.state) == (&spec.settings, state) {
        return Ok(Outcome::Unchanged);
    }
    let change = |definition: &mut EventSourceMappingDefinition| {
        definition.settings.clone_from(&spec.settings);
        definition.state = state;
        Ok::<_, MappingError>(())
    };
    engines.mappings.update(&found.definition.id, change).await?;
    Ok(Outcome::Updated)
}

/// Whether a mapping of its source and function is there.
pub(super) fn is_there(engines: &Engines, spec: &MappingSpec) -> bool {
    source(engines, spec).is_ok_and(|source| found(engines, &source, spec).is_some())
}

fn found(engines: &Engines, source: &EventSource, spec: &MappingSpec) -> Option<MappingView> {
    let described = |view: &MappingView| {
        let definition = &*view.definition;
        (&definition.source, &definition.function) == (source, &spec.function)
            && definition.state != MappingState::Deleting
    };
    engines.mappings.list().into_iter().find(described)
}

/// The source as it is on the node: a table's changes are those that are told now.
fn source(engines: &Engines, spec: &MappingSpec) -> anyhow::Result<EventSource> {
    let EventSource::Table { name, .. } = &spec.source else { return Ok(spec.source.clone()) };
    let changes = engines.catalog.tables.get(name).and_then(|table| table.changes.clone());
    let Some(changes) = changes.filter(|changes| changes.enabled) else {
        bail!("table `{name}` tells no changes; give its section `changes`, such as \"new_and_old_images\"");
    };
    Ok(EventSource::Table { name: name.clone(), made: changes.created })
}
