//! Lengths of time: `INTERVAL '1' MINUTE`, units' names and their milliseconds.

use sqlparser::tokenizer::Token;

use super::token::Tokens;
use crate::error::{PlanError, PlanErrorCode};

/// Units that have a fixed length, longest first, with their milliseconds.
const UNITS: [(&str, i64); 5] =
    [("DAY", 86_400_000), ("HOUR", 3_600_000), ("MINUTE", 60_000), ("SECOND", 1_000), ("MILLISECOND", 1)];

/// The milliseconds of a unit by any of its names in the two languages; `None`: no fixed length, or no unit.
pub(crate) fn unit_millis(name: &str) -> Option<i64> {
    let canonical = match name.to_ascii_uppercase().as_str() {
        "DAYS" | "DD" | "D" => "DAY",
        "HOURS" | "HH" => "HOUR",
        "MINUTES" | "MI" | "N" => "MINUTE",
        "SECONDS" | "SS" | "S" => "SECOND",
        "MILLISECONDS" | "MS" => "MILLISECOND",
        other => return UNITS.iter().find(|unit| unit.0 == other).map(|unit| unit.1),
    };
    unit_millis(canonical)
}

/// What follows the word `INTERVAL`: `'1' MINUTE`, `'59:59.999' MINUTE TO SECOND(3)`. In milliseconds.
pub(super) fn literal(tokens: &mut Tokens) -> Result<i64, PlanError> {
    let at = tokens.at();
    let Token::SingleQuotedString(text) = tokens.take() else { return Err(tokens.expected("a length in quotes")) };
    let from = unit(tokens)?;
    let to = if tokens.take_word("TO") { unit(tokens)? } else { from };
    let bad = || {
        let message = format!("`{text}` is no length in the unit(s) behind it");
        PlanError::new(PlanErrorCode::Syntax, at, message)
            .hint("INTERVAL '60' SECOND, or INTERVAL '1:30' MINUTE TO SECOND")
    };
    parts(&text, from, to).ok_or_else(bad)
}

/// A unit behind a length, as a place in [`UNITS`]; its precision is read and not needed.
fn unit(tokens: &mut Tokens) -> Result<usize, PlanError> {
    let error = || {
        if tokens.is_word("MONTH") || tokens.is_word("YEAR") {
            tokens.not_supported("intervals of months and years, whose length varies")
        } else {
            tokens.expected("DAY, HOUR, MINUTE or SECOND")
        }
    };
    let named = |unit: &(&str, i64)| tokens.is_word(unit.0) || tokens.is_word(&format!("{}S", unit.0));
    let place = UNITS.iter().position(named).ok_or_else(error)?;
    tokens.take();
    if tokens.take_token(&Token::LParen) {
        while !tokens.take_token(&Token::RParen) {
            if !matches!(tokens.take(), Token::Number(..) | Token::Comma) {
                return Err(tokens.expected("`)`"));
            }
        }
    }
    Ok(place)
}

/// `2 3:4:5.678` from days to seconds.
fn parts(text: &str, from: usize, to: usize) -> Option<i64> {
    let text = text.trim();
    let (sign, text) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let fields: Vec<&str> = text.split([' ', ':']).collect();
    if to < from || fields.len() != to - from + 1 {
        return None;
    }
    let mut millis = 0i64;
    for (field, (_, unit)) in fields.iter().zip(&UNITS[from..=to]) {
        let (whole, fraction) = field.split_once('.').unwrap_or((field, ""));
        millis = millis.checked_add(number(whole)?.checked_mul(*unit)?)?;
        if !fraction.is_empty() {
            let digits = format!("{fraction:0<3}");
            millis = millis.checked_add(number(digits.get(..3)?)?.checked_mul(*unit)? / 1_000)?;
        }
    }
    Some(sign * millis)
}

fn number(digits: &str) -> Option<i64> {
    digits.bytes().all(|digit| digit.is_ascii_digit()).then(|| digits.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_read_in_their_units() {
        for (text, from, to, millis) in [
            ("60", 3, 3, Some(60_000)),
            ("1", 2, 2, Some(60_000)),
            ("59:59.999", 2, 3, Some(3_599_999)),
            ("2 3:4:5.678", 0, 3, Some(183_845_678)),
            ("-1", 0, 0, Some(-86_400_000)),
            ("1:2", 3, 3, None),
            ("", 3, 3, None),
            ("99999999999999999999", 3, 3, None),
        ] {
            assert_eq!(parts(text, from, to), millis, "{text}");
        }
    }
}
