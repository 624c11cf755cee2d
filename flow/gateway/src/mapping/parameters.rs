//! Headers, query parameters and parts of the path that one side's mapping makes of the other's.

use std::collections::BTreeMap;

use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

use super::Sight;
use crate::json_path::JsonPath;

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Source {
    Static(String),
    Parameter { place: &'static str, name: String },
    Body(JsonPath),
    Context(String),
    Variable(String),
}

/// The parameters that an integration's request gets.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Outgoing {
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) query: BTreeMap<String, String>,
    pub(crate) path: BTreeMap<String, String>,
}

const REQUEST_TARGETS: [&str; 3] =
    ["integration.request.header.", "integration.request.querystring.", "integration.request.path."];

pub(super) fn check_request(target: &str, source: &str) -> Result<(), String> {
    if !REQUEST_TARGETS.iter().any(|prefix| target.len() > prefix.len() && target.starts_with(prefix)) {
        return Err(format!("Invalid mapping expression specified: {target} is no parameter of an integration"));
    }
    read(source, "method.request").map(|_| ())
}

pub(super) fn check_response(target: &str, source: &str) -> Result<(), String> {
    let name = target.strip_prefix("method.response.header.").unwrap_or_default();
    if HeaderName::try_from(name).is_err() {
        return Err(format!("Invalid mapping expression specified: {target} is no header of a method's response"));
    }
    read(source, "integration.response").map(|_| ())
}

/// Reads what a mapping takes its value from. `side` is the side that it may read: `method.request`.
fn read(text: &str, side: &str) -> Result<Source, String> {
    if let Some(text) = text.strip_prefix('\'').and_then(|text| text.strip_suffix('\'')) {
        return Ok(Source::Static(text.to_owned()));
    }
    if let Some(name) = text.strip_prefix("context.") {
        return Ok(Source::Context(name.to_owned()));
    }
    if let Some(name) = text.strip_prefix("stageVariables.") {
        return Ok(Source::Variable(name.to_owned()));
    }
    let wrong = || format!("Invalid mapping expression specified: `{text}` is not supported");
    let rest = text.strip_prefix(side).and_then(|rest| rest.strip_prefix('.')).ok_or_else(wrong)?;
    if let Some(path) = rest.strip_prefix("body") {
        return JsonPath::parse(path).map(Source::Body).map_err(|error| format!("{}: {error}", wrong()));
    }
    let (place, name) = rest.split_once('.').filter(|(_, name)| !name.is_empty()).ok_or_else(wrong)?;
    let place = match place {
        "header" => "header",
        "querystring" if side == "method.request" => "querystring",
        "path" if side == "method.request" => "path",
        _ => return Err(wrong()),
    };
    Ok(Source::Parameter { place, name: name.to_owned() })
}

impl Source {
    /// The value; `None` when what it is taken from is not there: the parameter is left out then.
    fn value(&self, sight: &Sight, headers: Option<&HeaderMap>, document: Option<&Value>) -> Option<String> {
        let text = |value: &Value| match value {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        };
        match self {
            Self::Static(text) => Some(text.clone()),
            Self::Parameter { place: "header", name } => match headers {
                Some(headers) => Some(headers.get(name)?.to_str().ok()?.to_owned()),
                None => text(sight.parameters.get("header")?.get(name.to_ascii_lowercase())?),
            },
            Self::Parameter { place, name } => text(sight.parameters.get(place)?.get(name)?),
            Self::Body(path) => text(path.find(document?)?.as_ref()),
            Self::Context(name) => text(name.split('.').try_fold(&sight.context, |at, part| at.get(part))?),
            Self::Variable(name) => sight.variables.get(name).cloned(),
        }
    }
}

/// The parameters of the integration's request.
pub(crate) fn outgoing(mappings: &BTreeMap<String, String>, sight: &Sight) -> Outgoing {
    let mut outgoing = Outgoing::default();
    for (target, source) in mappings {
        let Ok(source) = read(source, "method.request") else { continue };
        let Some(value) = source.value(sight, None, sight.document.as_ref()) else { continue };
        let places = [&mut outgoing.headers, &mut outgoing.query, &mut outgoing.path];
        for (prefix, place) in REQUEST_TARGETS.iter().zip(places) {
            if let Some(name) = target.strip_prefix(prefix) {
                place.insert(name.to_owned(), value.clone());
            }
        }
    }
    outgoing
}

/// The headers of the answer.
pub(super) fn response_headers(
    mappings: &BTreeMap<String, String>,
    sight: &Sight,
    from: &HeaderMap,
    document: Option<&Value>,
) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (target, source) in mappings {
        let name = target.strip_prefix("method.response.header.").and_then(|name| HeaderName::try_from(name).ok());
        let value =
            read(source, "integration.response").ok().and_then(|source| source.value(sight, Some(from), document));
        if let (Some(name), Some(Ok(value))) = (name, value.map(HeaderValue::try_from)) {
            headers.insert(name, value);
        }
    }
    headers
}

/// A text with `${stageVariables.name}` replaced; names that the stage does not have are left out.
pub(crate) fn filled(text: &str, variables: &BTreeMap<String, String>) -> String {
    const OPEN: &str = "${stageVariables.";
    if !text.contains('$') {
        return text.to_owned();
    }
    let (mut filled, mut rest) = (String::new(), text);
    while let Some((before, behind)) = rest.split_once(OPEN) {
        let Some((name, after)) = behind.split_once('}') else { break };
        filled.push_str(before);
        filled.push_str(variables.get(name).map_or("", String::as_str));
        rest = after;
    }
    filled + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn sight() -> Sight {
        Sight {
            body: String::new(),
            document: Some(json!({ "a": { "b": 7 } })),
            parameters: json!({ "path": { "id": "1" }, "querystring": { "q": "2" }, "header": { "x-mine": "3" } }),
            context: json!({ "identity": { "sourceIp": "10.0.0.1" } }),
            variables: BTreeMap::from([("v".to_owned(), "4".to_owned())]),
        }
    }

    #[test]
    fn values_come_from_every_place_and_missing_ones_are_left_out() {
        let mapping = |source: &str| BTreeMap::from([("integration.request.header.H".to_owned(), source.to_owned())]);
        for (source, expected) in [
            ("'text'", Some("text")),
            ("method.request.path.id", Some("1")),
            ("method.request.querystring.q", Some("2")),
            ("method.request.header.X-Mine", Some("3")),
            ("method.request.body.a.b", Some("7")),
            ("method.request.body", Some(r#"{"a":{"b":7}}"#)),
            ("context.identity.sourceIp", Some("10.0.0.1")),
            ("stageVariables.v", Some("4")),
            ("method.request.querystring.nothing", None),
        ] {
            let made = outgoing(&mapping(source), &sight());
            assert_eq!(made.headers.get("H").map(String::as_str), expected, "{source}");
            assert_eq!(check_request("integration.request.header.H", source), Ok(()));
        }
    }

    #[test]
    fn what_cannot_be_mapped_is_refused() {
        for (target, source) in [
            ("integration.request.cookie.a", "'a'"),
            ("integration.request.header.", "'a'"),
            ("integration.request.header.a", "method.request.cookie.a"),
            ("integration.request.header.a", "integration.response.header.a"),
            ("integration.request.header.a", "method.request.body[?(@.x)]"),
            ("integration.request.header.a", "text"),
        ] {
            assert!(check_request(target, source).is_err(), "{target} {source}");
        }
        assert!(check_response("method.response.header.a b", "'a'").is_err());
        assert!(check_response("method.response.header.a", "method.request.header.a").is_err());
        assert!(check_response("method.response.header.a", "integration.response.header.a").is_ok());
    }

    #[test]
    fn stage_variables_are_filled_in() {
        let variables = BTreeMap::from([("host".to_owned(), "h:1".to_owned())]);
        assert_eq!(filled("http://${stageVariables.host}/a${stageVariables.no}b$", &variables), "http://h:1/ab$");
        assert_eq!(filled("${stageVariables.host", &variables), "${stageVariables.host");
    }
}
