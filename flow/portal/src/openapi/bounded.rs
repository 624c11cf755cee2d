//! Texts of somebody's document, within bounds: each of them, and all that are taken from one document together. A few
//! lines can stand for the same long text in a thousand places, so nothing is copied before it is known to fit.

use std::cell::Cell;
use std::fmt::{Display, Error, Result, Write};

use serde_json::Value;

/// Bytes of all texts that are taken from one document; when they are spent, further texts are empty.
const TEXTS_BYTES_MAX: usize = 8 << 20;

/// What is left for the texts of a document.
pub(super) struct Room(Cell<usize>);

impl Room {
    pub(super) fn new() -> Self {
        Self(Cell::new(TEXTS_BYTES_MAX))
    }

    /// Whether there is none: what is made then would be thrown away.
    pub(super) fn is_spent(&self) -> bool {
        self.0.get() == 0
    }

    /// What is shown, cut after so many characters; empty when there is no room for it.
    pub(super) fn cut(&self, shown: impl Display, chars_max: usize) -> String {
        if self.is_spent() { String::new() } else { self.keep(cut(shown, chars_max)) }
    }

    /// What is shown, if it has no more than so many characters and there is room for it; else empty.
    pub(super) fn whole(&self, shown: impl Display, chars_max: usize) -> String {
        if self.is_spent() { String::new() } else { self.keep(whole(shown, chars_max).unwrap_or_default()) }
    }

    fn keep(&self, text: String) -> String {
        match self.0.get().checked_sub(text.len()) {
            Some(left) => {
                self.0.set(left);
                text
            }
            None => {
                self.0.set(0);
                String::new()
            }
        }
    }
}

/// What is shown, cut after so many characters.
pub(super) fn cut(shown: impl Display, chars_max: usize) -> String {
    let mut text = Cut { text: String::new(), left: chars_max };
    // An error says that it was cut.
    let _ = write!(text, "{shown}");
    text.text
}

/// What is shown, if it has no more than so many characters.
pub(super) fn whole(shown: impl Display, chars_max: usize) -> Option<String> {
    let mut text = Cut { text: String::new(), left: chars_max };
    write!(text, "{shown}").ok().map(|()| text.text)
}

/// A value as JSON, cut after so many characters.
pub(super) fn cut_json(value: &Value, chars_max: usize) -> String {
    match value {
        // Its end is not even looked at.
        Value::String(text) => cut(Value::String(cut(text, chars_max)), chars_max),
        other => cut(other, chars_max),
    }
}

/// The length of a value as JSON, if it has no more than so many characters.
pub(super) fn length(value: &Value, chars_max: usize) -> Option<usize> {
    match value {
        Value::String(text) => whole(text, chars_max).map(|text| text.chars().count()),
        other => whole(other, chars_max).map(|json| json.chars().count()),
    }
}

/// Ends the writing when it is full: what comes then is not even made.
struct Cut {
    text: String,
    left: usize,
}

impl Write for Cut {
    fn write_str(&mut self, more: &str) -> Result {
        match more.char_indices().nth(self.left) {
            None => {
                self.text.push_str(more);
                self.left -= more.chars().count();
                Ok(())
            }
            Some((end, _)) => {
                self.text.push_str(&more[..end]);
                self.left = 0;
                Err(Error)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn texts_are_cut_or_left_out() {
        assert_eq!((cut("äbc", 2), cut("äb", 2)), ("äb".to_owned(), "äb".to_owned()));
        assert_eq!((whole("äbc", 2), whole("äb", 2)), (None, Some("äb".to_owned())));
        let long = json!({ "a": vec!["x"; 100_000] });
        assert_eq!((cut_json(&long, 8), whole(&long, 100)), ("{\"a\":[\"x".to_owned(), None));
        assert_eq!(
            (cut_json(&json!("a\"b"), 9), cut_json(&json!("abc"), 2)),
            ("\"a\\\"b\"".to_owned(), "\"a".to_owned())
        );
        assert_eq!(
            (length(&json!("äb"), 2), length(&json!("abc"), 2), length(&json!([1]), 3)),
            (Some(2), None, Some(3))
        );
    }

    #[test]
    fn all_texts_together_are_bounded() {
        let room = Room::new();
        let kept: usize = (0..20).map(|_| room.cut("x".repeat(1 << 20), 3 << 18).len()).sum();
        assert!(room.is_spent() && (TEXTS_BYTES_MAX / 2..=TEXTS_BYTES_MAX).contains(&kept), "{kept}");
        assert_eq!((room.cut("x", 1), room.whole("x", 1)), (String::new(), String::new()));
    }
}
