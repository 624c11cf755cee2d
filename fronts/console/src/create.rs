//! The port through which the console has things made and changed: what a form describes is carried out by the binary, as a
//! pipeline file is.

use bytes::Bytes;
use millstream_catalog::pipeline::Mistake;
use millstream_types::Millis;
use millstream_types::port::BoxFuture;
use serde::{Deserialize, Serialize};

/// A section of a pipeline file to carry out.
#[derive(Debug, Clone, Default)]
pub struct NewSection {
    /// What the asker proves with that it may.
    pub token: String,
    /// The TOML.
    pub text: String,
    /// The code that the section names, when it has some.
    pub code: Option<NewCode>,
}

/// A function's code, as a form has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NewCode {
    /// A zip file.
    Zip(Bytes),
    /// The text of its one file.
    Source(String),
}

/// What is asked of a query that is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobAsk {
    /// That it runs.
    Start(JobStart),
    /// That it stops; it can go on later.
    Stop,
    /// That it becomes what a section says. It goes on where it was.
    Change {
        /// The TOML.
        section: String,
        /// The change of it that the section was made from: another one must not be lost.
        version: u64,
    },
}

/// Where a query begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobStart {
    /// With what comes from now on.
    Now,
    /// Where it stopped.
    LastOutput,
    /// With the first record at or after a time.
    At(Millis),
}

/// Why nothing was made, or not all of it.
#[derive(Debug, thiserror::Error)]
pub enum CreateRefusal {
    /// The token is not the node's.
    #[error("this is not the node's token; `millstream keys` shows it")]
    Forbidden,
    /// What is wrong with the section, by line.
    #[error("{}", told(.0))]
    Mistakes(Vec<Mistake>),
    /// What an engine said.
    #[error("{0}")]
    Failed(String),
}

/// Mistakes as they are printed, one after the other.
fn told(mistakes: &[Mistake]) -> String {
    let told: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
    told.join("\n")
}

/// Makes what a section describes, and starts, stops and changes queries.
pub trait Create: Send + Sync + 'static {
    /// Whether a token is asked for.
    fn needs_token(&self) -> bool;

    /// Makes it and says what was done, a line a resource. What is there already under the name is not replaced.
    fn create(&self, new: NewSection) -> BoxFuture<'_, Result<Vec<String>, CreateRefusal>>;

    /// Does what is asked of a query and says what was done.
    fn job(&self, token: String, query: String, ask: JobAsk) -> BoxFuture<'_, Result<String, CreateRefusal>>;
}
