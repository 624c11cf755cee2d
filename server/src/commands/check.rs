//! `millstream check FILE`

use std::path::Path;

use anyhow::Context as _;
use millstream_catalog::pipeline::Known;

use crate::apply::check::{check, told};

/// Checks a pipeline file and says what it describes.
///
/// # Errors
/// Every mistake, each on its line.
pub fn run(file: &Path) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let folder = file.parent().unwrap_or(Path::new("."));
    let checked = check(&file.display().to_string(), &text, folder, &Known::default())
        .map_err(|mistakes| anyhow::anyhow!(told(&mistakes)))?;
    let pipeline = checked.pipeline;
    let counts = [
        (pipeline.streams.len(), "streams"),
        (pipeline.delivery_streams.len(), "delivery streams"),
        (pipeline.hubs.len(), "event hubs"),
        (pipeline.queries.len(), "queries"),
        (pipeline.functions.len(), "functions"),
        (pipeline.queues.len(), "queues"),
        (pipeline.mappings.len(), "mappings"),
        (pipeline.tables.len(), "tables"),
        (pipeline.buckets.len(), "blob containers"),
        (pipeline.databases.len(), "databases"),
        (pipeline.apis.len(), "APIs"),
        (pipeline.topics.len() + pipeline.message_topics.len(), "topics"),
        (pipeline.plans.len(), "usage plans"),
        (pipeline.managed_services.len(), "API Management services"),
    ];
    let counts = counts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}"));
    let counts = counts.collect::<Vec<_>>().join(", ");
    println!("{}: pipeline `{}` is sound: {counts}", file.display(), pipeline.name);
    Ok(())
}
