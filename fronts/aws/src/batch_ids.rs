//! The rules for batches of messages, the ids of their entries and the groups of messages, which SQS and SNS share. Pure.

use std::collections::BTreeSet;

use crate::json_protocol::ServiceError;

/// Entries of a batch, as the services have it.
pub(crate) const ENTRIES_MAX: usize = 10;
/// Characters of an id.
const ID_CHARS_MAX: usize = 80;
/// Characters of the name of a group of messages.
pub(crate) const GROUP_CHARS_MAX: usize = 128;

/// Whether a text can be the name of a group of messages: letters, digits and punctuation.
pub(crate) fn is_group(name: &str) -> bool {
    (1..=GROUP_CHARS_MAX).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Checks the ids of a batch's entries in their order; one without an id has an empty one.
///
/// # Errors
/// `EmptyBatchRequest`, `TooManyEntriesInBatchRequest`, `InvalidBatchEntryId`, `BatchEntryIdsNotDistinct`.
pub(crate) fn check(ids: &[&str]) -> Result<(), ServiceError> {
    let refuse = |code, message: String| Err(ServiceError::new(code, message));
    if ids.is_empty() {
        return refuse("EmptyBatchRequest", "The batch request has to have at least one entry.".to_owned());
    }
    if ids.len() > ENTRIES_MAX {
        let message = format!("A batch request has at most {ENTRIES_MAX} entries; this one has {}.", ids.len());
        return refuse("TooManyEntriesInBatchRequest", message);
    }
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if !ids.iter().all(|id| (1..=ID_CHARS_MAX).contains(&id.len()) && id.bytes().all(plain)) {
        let message =
            format!("The id of a batch entry has 1 to {ID_CHARS_MAX} letters, digits, hyphens and underscores.");
        return refuse("InvalidBatchEntryId", message);
    }
    if ids.iter().collect::<BTreeSet<_>>().len() < ids.len() {
        return refuse("BatchEntryIdsNotDistinct", "Two or more entries of the batch have the same id.".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rule_has_its_error() {
        let long = "x".repeat(ID_CHARS_MAX + 1);
        for (ids, code) in [
            (vec![], "EmptyBatchRequest"),
            (vec!["a"; ENTRIES_MAX + 1], "TooManyEntriesInBatchRequest"),
            (vec!["a", ""], "InvalidBatchEntryId"),
            (vec!["a", "b c"], "InvalidBatchEntryId"),
            (vec![long.as_str()], "InvalidBatchEntryId"),
            (vec!["a", "b", "a"], "BatchEntryIdsNotDistinct"),
        ] {
            assert_eq!(check(&ids).unwrap_err().code, code, "{ids:?}");
        }
        assert!(check(&["a", "A", "a-1", "a_1"]).is_ok());
    }

    #[test]
    fn groups_are_letters_digits_and_punctuation() {
        let (longest, longer) = ("x".repeat(GROUP_CHARS_MAX), "x".repeat(GROUP_CHARS_MAX + 1));
        for (name, expected) in [
            ("a", true),
            ("Trades.{7}/!~", true),
            (longest.as_str(), true),
            (longer.as_str(), false),
            ("", false),
            ("a b", false),
            ("\u{e4}", false),
        ] {
            assert_eq!(is_group(name), expected, "{name}");
        }
    }
}
