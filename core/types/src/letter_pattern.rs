//! The text of Java's date patterns: runs of one letter, and what stands for itself. What a letter means is its user's.
//!
//! Source: `java.text.SimpleDateFormat` and `java.time.format.DateTimeFormatter`, which quote alike.

use thiserror::Error;

/// A part of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PatternPart {
    /// What stands for itself, without its quotes; never two of these behind each other.
    Literal(String),
    /// A letter and how often it is repeated.
    Letters(char, usize),
}

/// A quote without its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("expected a closing single quote in the pattern of a time")]
pub struct UnclosedQuote;

/// The parts of a pattern: ASCII letters in runs; `'…'` literally, in which `''` is one quote, as it is alone; all else for itself.
///
/// # Errors
/// [`UnclosedQuote`].
pub fn pattern_parts(pattern: &str) -> Result<Vec<PatternPart>, UnclosedQuote> {
    let mut parts = Vec::new();
    let mut characters = pattern.chars().peekable();
    while let Some(character) = characters.next() {
        if character == '\'' {
            literal(&mut parts, &quoted(&mut characters)?);
        } else if character.is_ascii_alphabetic() {
            let mut count = 1;
            while characters.next_if_eq(&character).is_some() {
                count += 1;
            }
            parts.push(PatternPart::Letters(character, count));
        } else {
            literal(&mut parts, character.encode_utf8(&mut [0; 4]));
        }
    }
    Ok(parts)
}

fn literal(parts: &mut Vec<PatternPart>, text: &str) {
    match parts.last_mut() {
        Some(PatternPart::Literal(known)) => known.push_str(text),
        _ => parts.push(PatternPart::Literal(text.to_owned())),
    }
}

/// What stands up to the closing quote.
fn quoted(characters: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<String, UnclosedQuote> {
    if characters.next_if_eq(&'\'').is_some() {
        return Ok("'".to_owned());
    }
    let mut text = String::new();
    while let Some(character) = characters.next() {
        match character {
            '\'' if characters.next_if_eq(&'\'').is_some() => text.push('\''),
            '\'' => return Ok(text),
            other => text.push(other),
        }
    }
    Err(UnclosedQuote)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_come_in_runs_and_quotes_are_taken_off() {
        let letters = |letter, count| PatternPart::Letters(letter, count);
        let literal = |text: &str| PatternPart::Literal(text.to_owned());
        for (pattern, expected) in [
            ("", vec![]),
            ("yyyy-MM", vec![letters('y', 4), literal("-"), letters('M', 2)]),
            ("HH 'o''clock'!", vec![letters('H', 2), literal(" o'clock!")]),
            ("''d", vec![literal("'"), letters('d', 1)]),
        ] {
            assert_eq!(pattern_parts(pattern).as_deref(), Ok(expected.as_slice()), "{pattern}");
        }
        assert_eq!(pattern_parts("d 'open"), Err(UnclosedQuote));
    }
}
