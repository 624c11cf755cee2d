//! Where a reader begins: `amqp.annotation.x-opt-offset > '41'` and its kin.

use millstream_amqp::codec::performative::Source;
use millstream_amqp::{AmqpError, Value};
use millstream_types::Millis;

use crate::eventhubs::error::ARGUMENT_ERROR;

/// The filter's name, and its descriptor in the clients that give a name there.
const FILTER: &str = "apache.org:selector-filter:string";

/// Where a reader begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Position {
    /// At the oldest event.
    Start,
    /// Behind the newest one.
    Latest,
    /// At an offset.
    Offset(u64),
    /// At the first event of a time.
    Time(Millis),
}

/// The position that a link's source asks for; the start without a filter.
///
/// # Errors
/// A filter that is none of those known.
pub fn position(source: &Source) -> Result<Position, AmqpError> {
    let Some((_, filter)) = source.filters.iter().find(|(name, _)| *name == FILTER) else { return Ok(Position::Start) };
    let text = match filter {
        Value::Described(_, value) => value.text(),
        value => value.text(),
    };
    match text {
        Some(text) => parse(text).ok_or_else(|| wrong(text)),
        None => Err(wrong("a filter that is no text")),
    }
}

fn wrong(found: &str) -> AmqpError {
    let text = format!(
        "expected a filter like `amqp.annotation.x-opt-offset > '-1'` on x-opt-offset, x-opt-sequence-number or x-opt-enqueued-time, found `{found}`"
    );
    AmqpError::new(ARGUMENT_ERROR, text)
}

fn parse(text: &str) -> Option<Position> {
    let text = text.trim().strip_prefix("amqp.annotation.")?;
    let (field, rest) = text.split_at(text.find(|char: char| !is_name(char))?);
    let rest = rest.trim_start().strip_prefix('>')?;
    let (inclusive, rest) = rest.strip_prefix('=').map_or((false, rest), |rest| (true, rest));
    let value = rest.trim().trim_matches('\'');
    let after = u64::from(!inclusive);
    match field {
        "x-opt-offset" | "x-opt-sequence-number" => match value {
            "@latest" => Some(Position::Latest),
            value => match value.parse::<i64>().ok()? {
                number if number < 0 => Some(Position::Start),
                number => Some(Position::Offset(number.unsigned_abs() + after)),
            },
        },
        "x-opt-enqueued-time" => {
            Some(Position::Time(value.parse::<Millis>().ok()?.saturating_add(i64::from(!inclusive))))
        }
        _ => None,
    }
}

fn is_name(char: char) -> bool {
    char.is_ascii_alphanumeric() || char == '-'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_read_as_clients_write_them() {
        for (text, expected) in [
            ("amqp.annotation.x-opt-offset > '-1'", Position::Start),
            ("amqp.annotation.x-opt-offset > '@latest'", Position::Latest),
            ("amqp.annotation.x-opt-offset >= '41'", Position::Offset(41)),
            ("amqp.annotation.x-opt-offset > '41'", Position::Offset(42)),
            ("amqp.annotation.x-opt-sequence-number >= '0'", Position::Offset(0)),
            ("amqp.annotation.x-opt-sequence-number > '-1'", Position::Start),
            ("amqp.annotation.x-opt-enqueued-time > '1000'", Position::Time(1_001)),
            ("amqp.annotation.x-opt-enqueued-time >='1000'", Position::Time(1_000)),
        ] {
            assert_eq!(parse(text), Some(expected), "{text}");
        }
        for bad in [
            "",
            "x > 1",
            "amqp.annotation.x-opt-offset",
            "amqp.annotation.x-opt-offset < '1'",
            "amqp.annotation.who > '1'",
            "amqp.annotation.x-opt-offset > 'x'",
            "amqp.annotation.x-opt-offset\u{e4}",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
