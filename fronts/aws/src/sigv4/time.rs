//! Times as signatures have them: `20261121T040506Z`.

use millstream_types::Millis;

/// A time's text.
pub(super) fn text(millis: Millis) -> String {
    let at = jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    at.strftime("%Y%m%dT%H%M%SZ").to_string()
}

/// What a text says. Each request has one, so it is read by its places.
pub(super) fn read(text: &str) -> Option<Millis> {
    let bytes = text.as_bytes();
    if bytes.len() != 16 || bytes[8] != b'T' || bytes[15] != b'Z' {
        return None;
    }
    let number = |from: usize, to: usize| {
        bytes[from..to]
            .iter()
            .try_fold(0i16, |sum, digit| digit.is_ascii_digit().then(|| sum * 10 + i16::from(digit - b'0')))
    };
    let small = |from: usize| number(from, from + 2).and_then(|number| i8::try_from(number).ok());
    let date = jiff::civil::Date::new(number(0, 4)?, small(4)?, small(6)?).ok()?;
    let time = jiff::civil::Time::new(small(9)?, small(11)?, small(13)?, 0).ok()?;
    let at = date.to_datetime(time).to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    Some(at.timestamp().as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_they_are_written() {
        for millis in [0, 1_440_938_160_000, 1_795_233_906_000] {
            assert_eq!(read(&text(millis)), Some(millis));
        }
        for wrong in
            ["", "20261121T040506", "20261121 040506Z", "20261321T040506Z", "20261121T250506Z", "2026112éT04050Z"]
        {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
