//! `millstream check FILE`

use std::path::Path;

use anyhow::Context as _;

use crate::apply::check::{check, told};

/// Checks a pipeline file and says what it describes.
///
/// # Errors
/// Every mistake, each on its line.
pub fn run(file: &Path) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let folder = file.parent().unwrap_or(Path::new("."));
    let checked =
        check(&file.display().to_string(), &text, folder).map_err(|mistakes| anyhow::anyhow!(told(&mistakes)))?;
    let pipeline = checked.pipeline;
    println!(
        "{}: pipeline `{}` is sound: {} streams, {} delivery streams, {} queries, {} functions, {} tables, {} APIs",
        file.display(),
        pipeline.name,
        pipeline.streams.len(),
        pipeline.delivery_streams.len(),
        pipeline.queries.len(),
        pipeline.functions.len(),
        pipeline.tables.len(),
        pipeline.apis.len(),
    );
    Ok(())
}
