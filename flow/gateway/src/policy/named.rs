//! What documents name and what is kept elsewhere: named values `{{name}}`, which are replaced in the text before it is read,
//! and backends, whose addresses stand in for their names. A name that nobody knows is refused.

use std::borrow::Cow;
use std::collections::HashMap;

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
    let named = service.named_values.values().map(|value| (value.display_name.as_str(), &value.value));
    let named: HashMap<&str, &String> = named.collect();
    let (mut made, mut rest) = (String::with_capacity(text.len()), text);
    while let Some((before, behind)) = rest.split_once("{{") {
        made.push_str(before);
        let at = text.len() - behind.len() - 2;
        let asked = behind.split_once("}}").map(|(name, after)| (name.trim(), after)).filter(|(name, _)| is_name(name));
        let Some((name, after)) = asked else {
            return Err(wrong(text, at, "expected the name of a named value and `}}` behind `{{`".to_owned()));
        };
        let unknown =
            || PolicyError { names_other: true, ..wrong(text, at, format!("Cannot find a property '{name}'")) };
        escape(named.get(name).ok_or_else(unknown)?, &mut made);
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
            let error = || element.wrong(format!("Backend with id '{id}' could not be found."));
            let unknown = || PolicyError { names_other: true, ..error() };
            let backend = service.backends.get(&id).ok_or_else(unknown)?;
            element.attributes.push(("base-url".to_owned(), backend.url.clone()));
        }
    }
    element.children.iter_mut().try_for_each(|child| put_backends(child, service))
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
    PolicyError { element: "policies".to_owned(), line, column, message, names_other: false }
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
