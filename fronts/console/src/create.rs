//! The port through which the console has things made: what a form describes is carried out by the binary, as a pipeline file is.

use bytes::Bytes;
use millstream_catalog::pipeline::Mistake;
use millstream_types::port::BoxFuture;

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

/// Why nothing was made, or not all of it.
#[derive(Debug)]
pub enum CreateRefusal {
    /// The token is not the node's.
    Forbidden,
    /// What is wrong with the section, by line.
    Mistakes(Vec<Mistake>),
    /// What an engine said.
    Failed(String),
}

/// Makes what a section describes.
pub trait Create: Send + Sync + 'static {
    /// Whether a token is asked for.
    fn needs_token(&self) -> bool;

    /// Makes it and says what was done, a line a resource. What is there already under the name is not replaced.
    fn create(&self, new: NewSection) -> BoxFuture<'_, Result<Vec<String>, CreateRefusal>>;
}
