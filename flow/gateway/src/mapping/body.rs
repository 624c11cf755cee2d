//! The body that an integration gets: a template's text, or the request's own when it may pass.

use bytes::Bytes;
use millstream_catalog::Integration;

use super::Sight;
use crate::error::Refusal;
use crate::template::{RenderError, Template};

/// The body for the integration of a request with that media type. An empty template hands it on as it is.
pub(crate) fn request_body(
    integration: &Integration,
    media: &str,
    body: &Bytes,
    sight: &Sight,
) -> Result<Bytes, Refusal> {
    let templates = &integration.request_templates;
    let Some(template) = templates.get(media) else {
        return match integration.passthrough.as_str() {
            "NEVER" => Err(Refusal::UnsupportedMediaType),
            "WHEN_NO_TEMPLATES" if !templates.is_empty() => Err(Refusal::UnsupportedMediaType),
            _ => Ok(body.clone()),
        };
    };
    if template.is_empty() {
        return Ok(body.clone());
    }
    rendered(template, sight, &sight.body, sight.document.as_ref())
}

/// A template's text over a body.
pub(super) fn rendered(
    template: &str,
    sight: &Sight,
    body: &str,
    document: Option<&serde_json::Value>,
) -> Result<Bytes, Refusal> {
    // Templates were read when they were defined; those of an older version may be beyond this one.
    let template = Template::parse(template).map_err(|error| Refusal::Misconfigured(error.to_string()))?;
    let text = template.render(&sight.scope(body, document));
    text.map(Bytes::from).map_err(|error| match error {
        RenderError::BodyNotJson => Refusal::BodyNotJson,
        other => Refusal::Misconfigured(other.to_string()),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::Value;

    use super::*;

    #[test]
    fn what_has_no_template_passes_or_does_not() {
        let sight = Sight {
            body: "b".into(),
            document: None,
            parameters: Value::Null,
            context: Value::Null,
            variables: BTreeMap::new(),
        };
        let templates = BTreeMap::from([("application/json".to_owned(), "[$input.body]".to_owned())]);
        for (passthrough, with_templates, media, expected) in [
            ("WHEN_NO_MATCH", true, "application/json", Some("[b]")),
            ("WHEN_NO_MATCH", true, "text/plain", Some("b")),
            ("WHEN_NO_TEMPLATES", true, "text/plain", None),
            ("WHEN_NO_TEMPLATES", false, "text/plain", Some("b")),
            ("NEVER", true, "application/json", Some("[b]")),
            ("NEVER", false, "application/json", None),
        ] {
            let integration = Integration {
                passthrough: passthrough.into(),
                request_templates: if with_templates { templates.clone() } else { BTreeMap::new() },
                ..Integration::default()
            };
            let made = request_body(&integration, media, &Bytes::from_static(b"b"), &sight).ok();
            assert_eq!(made.as_deref(), expected.map(str::as_bytes), "{passthrough} {with_templates} {media}");
        }
    }
}
