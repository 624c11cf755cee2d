//! OpenAPI 3 documents: what an API says of itself, read into what pages show.
//!
//! Everything that a document holds is somebody's text: it is bounded here and escaped where it is shown.
//! Read next: [`mod@read`] (documents to operations), [`schema`] (schemas to fields and examples), [`yaml`], [`of_api`].

mod bounded;
pub mod of_api;
mod read;
mod schema;
mod yaml;

use serde_json::Value;

use crate::error::PortalError;

pub use read::read;
pub use schema::Field;

/// The longest document, bytes.
pub const DOCUMENT_BYTES_MAX: usize = 1 << 20;

/// An API as its document describes it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Document {
    /// What it is called.
    pub title: String,
    /// The version of the API.
    pub version: String,
    /// For people.
    pub description: String,
    /// Operations in the document's order.
    pub operations: Vec<Operation>,
}

/// One thing that an API does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Operation {
    /// Unique in the document, letters, digits, `-` and `_`: part of addresses.
    pub id: String,
    /// The HTTP method in capitals.
    pub method: String,
    /// The path with its parameters in braces.
    pub path: String,
    /// In a few words.
    pub summary: String,
    /// In more words.
    pub description: String,
    /// Whether it should not be used any more.
    pub deprecated: bool,
    /// Parameters.
    pub parameters: Vec<Parameter>,
    /// The request's body.
    pub body: Option<Body>,
    /// Answers in the document's order.
    pub answers: Vec<Answer>,
}

/// A parameter of an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub place: Place,
    /// Whether a call needs it.
    pub required: bool,
    /// For people.
    pub description: String,
    /// What it may be: `integer (int32), 1 to 100`.
    pub kind: String,
    /// A value that fits; empty when the document gives none.
    pub example: String,
}

/// Where a parameter is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In the path.
    Path,
    /// Behind the question mark.
    Query,
    /// In a header.
    Header,
}

impl Place {
    /// Its word in documents.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Path => "path",
            Self::Query => "query",
            Self::Header => "header",
        }
    }
}

/// The body of a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Body {
    /// Whether a call needs it.
    pub required: bool,
    /// For people.
    pub description: String,
    /// Its media type.
    pub media_type: String,
    /// Its fields.
    pub fields: Vec<Field>,
    /// A body that fits.
    pub example: String,
}

/// An answer of an operation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// `200`, `4XX`, `default`.
    pub status: String,
    /// For people.
    pub description: String,
    /// The media type of its body; empty without a body.
    pub media_type: String,
    /// The fields of its body.
    pub fields: Vec<Field>,
    /// A body as it may be.
    pub example: String,
}

/// Reads a document's text, JSON or YAML.
///
/// # Errors
/// [`PortalError::DocumentTooLarge`], [`PortalError::Document`].
pub fn parse(text: &str) -> Result<Value, PortalError> {
    if text.len() > DOCUMENT_BYTES_MAX {
        return Err(PortalError::DocumentTooLarge { bytes: text.len(), max: DOCUMENT_BYTES_MAX });
    }
    if text.trim_start().starts_with('{') {
        return serde_json::from_str(text).map_err(|error| PortalError::Document { reason: error.to_string() });
    }
    yaml::parse(text)
}
