//! How a request becomes what an integration gets, and how its result becomes the answer. Pure.
//!
//! Read next: [`parameters`] (headers, query and path), [`body`] (templates and what passes without one), [`mod@answer`]
//! (which integration response, and what it makes).

mod answer;
mod body;
mod parameters;

use std::collections::BTreeMap;

use millstream_catalog::{Integration, Method};
use serde_json::Value;

pub(crate) use answer::{Endpoint, answer};
pub(crate) use body::request_body;
pub(crate) use parameters::{Outgoing, filled, outgoing};

use crate::error::GatewayError;
use crate::template::{Scope, Template};

/// How long an integration may take, milliseconds: the service's own bounds.
const TIMEOUT_MS: std::ops::RangeInclusive<u32> = 50..=29_000;

/// What all mappings of one request see.
#[derive(Debug)]
pub(crate) struct Sight {
    /// The body as text.
    pub(crate) body: String,
    /// The body as JSON; `None` when it is none.
    pub(crate) document: Option<Value>,
    /// `path`, `querystring` and `header`: name to text.
    pub(crate) parameters: Value,
    /// The call itself.
    pub(crate) context: Value,
    /// The stage's variables.
    pub(crate) variables: BTreeMap<String, String>,
}

impl Sight {
    /// What templates see: the same over the given body.
    fn scope<'s>(&'s self, body: &'s str, document: Option<&'s Value>) -> Scope<'s> {
        Scope { body, document, parameters: &self.parameters, context: &self.context, variables: &self.variables }
    }
}

/// A body as JSON: nothing at all counts as an object without members, as the service has it.
pub(crate) fn document(body: &[u8]) -> Option<Value> {
    let body = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(body).ok()
}

/// Refuses a method whose mappings could not be carried out.
///
/// # Errors
/// [`GatewayError::Invalid`]: which mapping, its line, what was not understood.
pub(crate) fn check(method: &Method) -> Result<(), GatewayError> {
    let Some(integration) = &method.integration else { return Ok(()) };
    check_integration(integration).map_err(|reason| GatewayError::Invalid { reason })
}

fn check_integration(integration: &Integration) -> Result<(), String> {
    if let Some(timeout) = integration.timeout_ms.filter(|timeout| !TIMEOUT_MS.contains(timeout)) {
        let (least, most) = (TIMEOUT_MS.start(), TIMEOUT_MS.end());
        return Err(format!("Timeout should be between {least} ms and {most} ms, found {timeout}"));
    }
    if !["", "WHEN_NO_MATCH", "WHEN_NO_TEMPLATES", "NEVER"].contains(&integration.passthrough.as_str()) {
        let found = &integration.passthrough;
        return Err(format!("Invalid passthroughBehavior `{found}`: WHEN_NO_MATCH, WHEN_NO_TEMPLATES or NEVER"));
    }
    for (target, source) in &integration.request_parameters {
        parameters::check_request(target, source)?;
    }
    templates("request", &integration.request_templates)?;
    for (status, response) in &integration.responses {
        if status.parse().ok().and_then(|status| http::StatusCode::from_u16(status).ok()).is_none() {
            return Err(format!("Invalid status code specified: {status}"));
        }
        templates(&format!("response {status}"), &response.templates)?;
        answer::pattern(&response.selection_pattern)?;
        for (target, source) in &response.parameters {
            parameters::check_response(target, source)?;
        }
    }
    Ok(())
}

fn templates(of: &str, templates: &BTreeMap<String, String>) -> Result<(), String> {
    for (media, text) in templates {
        let wrong = |error| format!("Invalid mapping template ({of}, {media}): {error}");
        Template::parse(text).map_err(wrong)?;
    }
    Ok(())
}
