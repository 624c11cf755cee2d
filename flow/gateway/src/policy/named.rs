//! What documents name and what is kept elsewhere: named values `{{name}}`, which are replaced in the text before it is read,
//! and backends, whose addresses stand in for their names. A name that nobody knows is refused.

use std::borrow::Cow;

use millstream_catalog::ManagedServiceDefinition;

use super::PolicyError;
use super::xml::{Element, check_length};

/// A text with its named values in place, escaped as XML wants it. No longer than a document may be: a few bytes of text can name a
/// value of thousands.
pub(super) fn filled<'t>(text: &'t str, service: &ManagedServiceDefinition) -> Result<Cow<'t, str>, PolicyError> {
    check_length(text)?;
    if !text.contains("{{") {
        return Ok(Cow::Borrowed(text));
    }
    let (mut made, mut rest) = (String::with_capacity(text.len()), text);
    while let Some((before, behind)) = rest.split_once("{{") {
        made.push_str(before);
        let at = text.len() - behind.len() - 2;
        let named = behind.split_once("}}").filter(|(name, _)| is_name(name.trim()));
        let Some((name, after)) = named else {
            return Err(wrong(text, at, "expected the name of a named value and `}}` behind `{{`".to_owned()));
        };
        let found = service.named_values.values().find(|value| value.display_name == name.trim());
        let value = found.ok_or_else(|| wrong(text, at, format!("Cannot find a property '{}'", name.trim())))?;
        escape(&value.value, &mut made);
        check_length(&made)?;
        rest = after;
    }
    made.push_str(rest);
    Ok(Cow::Owned(made))
}

/// Puts the addresses of backends where documents name them, in an element and all within it.
pub(super) fn put_backends(element: &mut Element, service: &ManagedServiceDefinition) -> Result<(), PolicyError> {
    if element.name == "set-backend-service" {
        let named = element.attributes.iter().position(|(name, _)| name == "backend-id");
        if let Some(at) = named {
            if element.attributes.len() > 1 {
                return Err(element.wrong("expected 'backend-id' or 'base-url', not both"));
            }
            let (_, id) = element.attributes.remove(at);
            let backend = service.backends.get(&id);
            let url = backend.ok_or_else(|| element.wrong(format!("Backend with id '{id}' could not be found.")))?;
            element.attributes.push(("base-url".to_owned(), url.url.clone()));
        }
    }
    element.children.iter_mut().try_for_each(|child| put_backends(child, service))
}

/// Whether a document names a value or a backend that a service does not have.
#[must_use]
pub fn names_others(text: &str, service: &ManagedServiceDefinition) -> bool {
    let known = |name: &str| service.named_values.values().any(|value| value.display_name == name);
    let values = text.split("{{").skip(1).filter_map(|behind| behind.split_once("}}"));
    let ids = text.split("backend-id").skip(1).filter_map(|behind| {
        let quoted = behind.trim_start().strip_prefix('=')?.trim_start();
        let quote = quoted.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
        quoted[1..].split_once(quote).map(|(id, _)| id)
    });
    values.map(|(name, _)| name.trim()).any(|name| !known(name))
        || ids.into_iter().any(|id| !service.backends.contains_key(id))
}

/// Whether a text can name a value.
pub(crate) fn is_name(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !text.is_empty() && text.chars().all(allowed)
}

fn wrong(text: &str, at: usize, message: String) -> PolicyError {
    let before = &text[..at];
    let line_begin = before.rfind('\n').map_or(0, |at| at + 1);
    let (line, column) = (before.matches('\n').count() + 1, before[line_begin..].chars().count() + 1);
    PolicyError { element: "policies".to_owned(), line, column, message }
}

fn escape(text: &str, made: &mut String) {
    for char in text.chars() {
        match char {
            '&' => made.push_str("&amp;"),
            '<' => made.push_str("&lt;"),
            '>' => made.push_str("&gt;"),
            '"' => made.push_str("&quot;"),
            '\'' => made.push_str("&apos;"),
            other => made.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use millstream_catalog::{ManagedBackend, NamedValue};

    use super::*;

    #[test]
    fn documents_name_what_there_is_or_others() {
        let mut service = ManagedServiceDefinition::default();
        let value = NamedValue { display_name: "limit".into(), ..NamedValue::default() };
        service.named_values.insert("l".into(), value);
        service.backends.insert("store".into(), ManagedBackend::default());
        for (text, expected) in [
            ("<a/>", false),
            ("<a b='{{limit}} {{ limit }}'/>", false),
            ("<a b='{{other}}'/>", true),
            ("<a b='{{limit'/>", false),
            ("<set-backend-service backend-id=\"store\" />", false),
            ("<set-backend-service backend-id = 'other' />", true),
        ] {
            assert_eq!(names_others(text, &service), expected, "{text}");
        }
    }
}
