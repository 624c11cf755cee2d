//! Which integration response a result gets, and the answer that it makes.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use millstream_catalog::IntegrationResponse;
use regex::{Regex, RegexBuilder};
use serde_json::Value;

use super::Sight;
use super::body::rendered;
use super::parameters::response_headers;
use crate::error::Refusal;

/// What one selection pattern may take once it is compiled, bytes.
const PATTERN_BYTES_MAX: usize = 1 << 20;

/// What an integration gave back.
#[derive(Debug)]
pub(crate) struct Endpoint {
    /// What patterns are held against: a function's error message, a backend's status; `None`: only the default fits.
    pub(crate) selector: Option<String>,
    /// The backend's headers; empty for functions.
    pub(crate) headers: HeaderMap,
    /// The body.
    pub(crate) body: Bytes,
}

/// A selection pattern; it has to fit the whole text. `None`: the default response.
pub(super) fn pattern(text: &str) -> Result<Option<Regex>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let built = RegexBuilder::new(&format!("^(?:{text})$")).size_limit(PATTERN_BYTES_MAX).build();
    built.map(Some).map_err(|error| format!("Invalid selection pattern `{text}`: {error}"))
}

/// The response for a result: the first whose pattern fits it, else the one without a pattern.
fn choose<'r>(
    responses: &'r BTreeMap<String, IntegrationResponse>,
    selector: Option<&str>,
) -> Option<(&'r String, &'r IntegrationResponse)> {
    let fits = |response: &IntegrationResponse| {
        let pattern = pattern(&response.selection_pattern).ok().flatten();
        selector.zip(pattern).is_some_and(|(selector, pattern)| pattern.is_match(selector))
    };
    let fitting = responses.iter().find(|(_, response)| fits(response));
    fitting.or_else(|| responses.iter().find(|(_, response)| response.selection_pattern.is_empty()))
}

/// The answer that a result makes. `accept` is what the caller wants, as it said it.
pub(crate) fn answer(
    responses: &BTreeMap<String, IntegrationResponse>,
    endpoint: &Endpoint,
    accept: Option<&str>,
    sight: &Sight,
) -> Result<Response<Bytes>, Refusal> {
    let none = || Refusal::Misconfigured("no integration response fits the result and there is no default".to_owned());
    let (status, chosen) = choose(responses, endpoint.selector.as_deref()).ok_or_else(none)?;
    let status = status.parse().ok().and_then(|status| StatusCode::from_u16(status).ok()).ok_or_else(none)?;
    let document = super::document(&endpoint.body);
    let (media, body) = match template(&chosen.templates, accept) {
        Some((media, "")) => (HeaderValue::try_from(media).ok(), endpoint.body.clone()),
        Some((media, template)) => {
            let text = String::from_utf8_lossy(&endpoint.body);
            (HeaderValue::try_from(media).ok(), template_answer(template, sight, &text, document.as_ref())?)
        }
        None => (endpoint.headers.get(header::CONTENT_TYPE).cloned(), endpoint.body.clone()),
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let media = media.unwrap_or(HeaderValue::from_static("application/json"));
    response.headers_mut().insert(header::CONTENT_TYPE, media);
    response.headers_mut().extend(response_headers(&chosen.parameters, sight, &endpoint.headers, document.as_ref()));
    Ok(response)
}

/// A result that is no JSON is the API's trouble, not the caller's.
fn template_answer(template: &str, sight: &Sight, body: &str, document: Option<&Value>) -> Result<Bytes, Refusal> {
    // An empty template is the documented way to let the answer pass as it is.
    if template.is_empty() {
        return Ok(Bytes::copy_from_slice(body.as_bytes()));
    }
    rendered(template, sight, body, document).map_err(|refusal| match refusal {
        Refusal::BodyNotJson => Refusal::Misconfigured("the integration's result is no JSON".to_owned()),
        other => other,
    })
}

/// The template for what the caller accepts: its own, else the one for JSON, else the first.
fn template<'t>(templates: &'t BTreeMap<String, String>, accept: Option<&str>) -> Option<(&'t str, &'t str)> {
    let wanted = accept
        .into_iter()
        .flat_map(|accept| accept.split(','))
        .map(|media| media.split(';').next().unwrap_or("").trim());
    let media = wanted.chain(["application/json"]).find_map(|media| templates.get_key_value(media));
    media.or_else(|| templates.first_key_value()).map(|(media, template)| (media.as_str(), template.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn responses(patterns: &[(&str, &str)]) -> BTreeMap<String, IntegrationResponse> {
        let response = |pattern: &str| IntegrationResponse { selection_pattern: pattern.into(), ..Default::default() };
        patterns.iter().map(|(status, pattern)| ((*status).to_owned(), response(pattern))).collect()
    }

    #[test]
    fn patterns_fit_whole_messages() {
        let responses = responses(&[("200", ""), ("400", "Bad.*"), ("404", r"(no|not) \w+"), ("500", r"[^\d]+ \d{3}")]);
        for (message, expected) in [
            (None, "200"),
            (Some("Bad trade"), "400"),
            (Some("a Bad trade"), "200"),
            (Some("no trade"), "404"),
            (Some("no trade at all"), "200"),
            (Some("status 503"), "500"),
            (Some(""), "200"),
        ] {
            assert_eq!(choose(&responses, message).unwrap().0, expected, "{message:?}");
        }
    }

    #[test]
    fn without_a_fitting_response_there_is_none() {
        assert!(choose(&responses(&[("400", "Bad.*")]), None).is_none());
        assert!(pattern("(").is_err());
        assert!(pattern("(?=x)").is_err());
    }
}
