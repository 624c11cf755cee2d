//! Names of namespaces, hubs, consumer groups and policies, and the streams behind hubs.
//!
//! A hub of the default namespace is the stream of its own name, so that every other protocol finds it there; a hub of
//! another namespace is the stream `NAMESPACE/HUB`.

use crate::engine::DEFAULT_NAMESPACE;
use crate::error::NamespaceError;

/// Owners' prefixes of other streams' names: no namespace may be called so.
const RESERVED: [&str; 3] = ["delivery", "query", "topic"];

/// Characters of a namespace's name: it is a host name's first label.
const NAMESPACE_CHARS_MAX: usize = 50;
/// Characters of a hub's or policy's name.
const HUB_CHARS_MAX: usize = 256;
/// Characters of a consumer group's name.
const GROUP_CHARS_MAX: usize = 50;

/// The stream that holds a hub's records.
#[must_use]
pub fn stream_of(namespace: &str, hub: &str) -> String {
    if namespace == DEFAULT_NAMESPACE { hub.to_owned() } else { format!("{namespace}/{hub}") }
}

/// Refuses what is no namespace's name.
///
/// # Errors
/// [`NamespaceError::Name`].
pub fn check_namespace(name: &str) -> Result<(), NamespaceError> {
    let good = name.len() <= NAMESPACE_CHARS_MAX
        && name.starts_with(|char: char| char.is_ascii_alphabetic())
        && name.ends_with(|char: char| char.is_ascii_alphanumeric())
        && name.chars().all(|char| char.is_ascii_alphanumeric() || char == '-')
        && !RESERVED.contains(&name);
    let rule = "1 to 50 letters, digits and hyphens that begins with a letter";
    if good { Ok(()) } else { Err(NamespaceError::Name { kind: "namespace", rule, name: name.to_owned() }) }
}

/// Refuses what is no hub's name.
///
/// # Errors
/// [`NamespaceError::Name`].
pub fn check_hub(name: &str) -> Result<(), NamespaceError> {
    check(name, "hub", HUB_CHARS_MAX, "1 to 256 letters, digits, `.`, `-` and `_` with a letter or digit at both ends")
}

/// Refuses what is no policy's name.
///
/// # Errors
/// [`NamespaceError::Name`].
pub fn check_policy(name: &str) -> Result<(), NamespaceError> {
    check(
        name,
        "policy",
        HUB_CHARS_MAX,
        "1 to 256 letters, digits, `.`, `-` and `_` with a letter or digit at both ends",
    )
}

/// Refuses what is no consumer group's name.
///
/// # Errors
/// [`NamespaceError::Name`].
pub fn check_group(name: &str) -> Result<(), NamespaceError> {
    let rule = "1 to 50 letters, digits, `.`, `-` and `_` with a letter or digit at both ends";
    check(name, "consumer group", GROUP_CHARS_MAX, rule)
}

fn check(name: &str, kind: &'static str, chars_max: usize, rule: &'static str) -> Result<(), NamespaceError> {
    let good = name.len() <= chars_max
        && name.starts_with(|char: char| char.is_ascii_alphanumeric())
        && name.ends_with(|char: char| char.is_ascii_alphanumeric())
        && name.chars().all(|char| char.is_ascii_alphanumeric() || matches!(char, '.' | '-' | '_'));
    if good { Ok(()) } else { Err(NamespaceError::Name { kind, rule, name: name.to_owned() }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        for good in ["a", "stock-trades", "N1"] {
            check_namespace(good).unwrap();
        }
        for bad in ["", "1a", "a-", "a.b", "query", "\u{e4}", &"a".repeat(51)] {
            assert!(check_namespace(bad).is_err(), "{bad}");
        }
        for good in ["a", "a.b_c-d", "1"] {
            check_hub(good).unwrap();
        }
        for bad in ["", "-a", "a/", "a b", &"a".repeat(257)] {
            assert!(check_hub(bad).is_err(), "{bad}");
        }
    }
}
