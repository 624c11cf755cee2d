//! The mapping-template language: the part of Velocity that mappings of requests and answers are written in.
//!
//! A template is read whole before it is kept ([`Template::parse`]): what is not understood is refused with its line,
//! never printed as it is. Rendering is pure and bounded: output, work, loops and nesting have limits.
//! Source: the Velocity user guide; the variables are those of the gateway's "mapping template and access logging
//! variable reference".
//! Read next: `syntax` (what a template is), `parser`, `render`, `methods`.

mod methods;
mod parser;
mod render;
mod syntax;

use std::collections::BTreeMap;

use serde_json::Value;

pub use parser::TemplateError;
pub use render::RenderError;

/// The longest template, bytes: the service's own quota.
const TEMPLATE_BYTES_MAX: usize = 300 << 10;

/// The longest text that a template may make, bytes: as long as a request or an answer may be.
const OUTPUT_BYTES_MAX: usize = 10 << 20;

/// Rounds of one `#foreach`: the service's own quota.
const ROUNDS_MAX: usize = 1_000;

/// What one rendering may do, in bytes made or copied; what else it does counts as so many bytes as take its time.
const WORK_MAX: usize = 32 << 20;

/// What a piece or an expression that is visited counts.
const VISIT_WORK: usize = 16;

/// What a round of a loop counts besides what is in it.
const ROUND_WORK: usize = 512;

/// Blocks, expressions and values inside one another.
const NESTING_MAX: usize = 64;

/// A template that was understood.
#[derive(Debug, Clone)]
pub struct Template(Vec<syntax::Node>);

/// What a template sees.
#[derive(Debug)]
pub struct Scope<'s> {
    /// The body as text.
    pub body: &'s str,
    /// The body as JSON; `None` when it is none.
    pub document: Option<&'s Value>,
    /// The parameters by place: `path`, `querystring`, `header`, each a map of name to text.
    pub parameters: &'s Value,
    /// `$context`.
    pub context: &'s Value,
    /// `$stageVariables`.
    pub variables: &'s BTreeMap<String, String>,
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// [`TemplateError`]: the line, and what was not understood there.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        if text.len() > TEMPLATE_BYTES_MAX {
            let message = format!("a template has at most {TEMPLATE_BYTES_MAX} bytes, found {}", text.len());
            return Err(TemplateError { line: 1, message });
        }
        parser::parse(text).map(Self)
    }

    /// Renders it.
    ///
    /// # Errors
    /// [`RenderError`]: a limit was passed or a value was not what a method takes.
    pub fn render(&self, scope: &Scope<'_>) -> Result<String, RenderError> {
        render::render(&self.0, scope)
    }
}

#[cfg(test)]
mod tests;
