//! Putting a pipeline file into effect: what it describes is made, changed or left as it is.
//!
//! The command reads the file and the code folders ([`Request::read`]) and checks them; the node carries it out
//! ([`apply`]), resource by resource in an order in which each finds what it refers to, and says what it did.

mod access;
mod api_key;
mod azure;
mod carry_out;
pub mod check;
pub mod create;
mod embedded;
mod function;
mod hub;
pub mod job;
mod mapping;
mod message_topic;
pub mod package;
mod portal;
mod query;
mod queue;
mod table;

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;
use millstream_catalog::pipeline::Known;
use serde::{Deserialize, Serialize};

pub use carry_out::{Applied, apply};

/// A pipeline file with all that it names, as it is sent to a node.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Request {
    /// The file's name, for messages.
    pub file: String,
    /// Its text.
    pub text: String,
    /// SQL files by the name that the pipeline file gives them.
    pub sql_files: BTreeMap<String, String>,
    /// Code packages (zip, base64) by the name that the pipeline file gives them.
    pub packages: BTreeMap<String, String>,
    /// OpenAPI documents by the name that the pipeline file gives them.
    #[serde(default)]
    pub documents: BTreeMap<String, String>,
}

impl Request {
    /// Reads a pipeline file and what it names, and checks all of it. `known`: what it may refer to besides.
    ///
    /// # Errors
    /// Every mistake, each on its line.
    pub fn read(file: &Path, known: &Known) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        let folder = file.parent().unwrap_or(Path::new("."));
        let checked = check::check(&file.display().to_string(), &text, folder, known)
            .map_err(|mistakes| anyhow::anyhow!(check::told(&mistakes)))?;
        let check::Checked { sql_files, packages, documents, .. } = checked;
        Ok(Self { file: file.display().to_string(), text, sql_files, packages, documents })
    }
}
