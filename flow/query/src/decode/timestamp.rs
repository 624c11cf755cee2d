//! Times in texts: `2026-11-21T04:05:06.789Z`, with a blank for `T`, with an offset, or without one (UTC).

use millstream_types::Millis;

/// Milliseconds since the epoch; `None` when the text is no time. Digits beyond milliseconds are cut.
pub(crate) fn parse(text: &str) -> Option<Millis> {
    parse_bytes(text.trim().as_bytes())
}

/// The same of a text without blanks around it.
pub(super) fn parse_bytes(text: &[u8]) -> Option<Millis> {
    let (date, rest) = text.split_first_chunk::<10>()?;
    let year = two(date, 0)? * 100 + two(date, 2)?;
    let (month, day) = (two(date, 5)?, two(date, 8)?);
    if date[4] != b'-' || date[7] != b'-' || !(1..=12).contains(&month) || day < 1 || day > days_in(year, month) {
        return None;
    }
    let midnight = days_from_civil(year, month, day) * 86_400_000;
    if rest.is_empty() {
        return Some(midnight);
    }
    let (time, rest) = rest.split_first_chunk::<9>()?;
    if !matches!(time[0], b'T' | b't' | b' ') || time[3] != b':' || time[6] != b':' {
        return None;
    }
    let (hour, minute, second) = (two(time, 1)?, two(time, 4)?, two(time, 7)?);
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let (fraction, rest) = fraction(rest)?;
    let offset = offset(rest)?;
    Some(midnight + ((hour * 60 + minute) * 60 + second) * 1_000 + fraction - offset)
}

/// What two digits at a place say.
#[inline]
fn two<const LENGTH: usize>(text: &[u8; LENGTH], at: usize) -> Option<i64> {
    let (tens, ones) = (text[at].wrapping_sub(b'0'), text[at + 1].wrapping_sub(b'0'));
    (tens < 10 && ones < 10).then(|| i64::from(tens * 10 + ones))
}

/// Milliseconds of `.789…`, and what follows.
fn fraction(rest: &[u8]) -> Option<(i64, &[u8])> {
    let Some((b'.' | b',', digits)) = rest.split_first() else { return Some((0, rest)) };
    let end = digits.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(digits.len());
    let (digits, rest) = digits.split_at(end);
    if digits.is_empty() {
        return None;
    }
    let place = |index: usize| digits.get(index).map_or(0, |digit| i64::from(digit - b'0'));
    Some((place(0) * 100 + place(1) * 10 + place(2), rest))
}

/// Milliseconds by which a zone is ahead of UTC.
fn offset(zone: &[u8]) -> Option<i64> {
    match zone {
        b"" | b"Z" | b"z" => Some(0),
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] | [sign @ (b'+' | b'-'), h1, h2, m1, m2] => {
            let minutes = two(&[*h1, *h2], 0)? * 60 + two(&[*m1, *m2], 0)?;
            Some(if *sign == b'+' { minutes } else { -minutes } * 60_000)
        }
        _ => None,
    }
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 of a day of the Gregorian calendar (counted from 1 March of year 0, so that leap days come last).
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn times_are_read_as_jiff_reads_them() {
        for text in [
            "1970-01-01T00:00:00Z",
            "2018-07-09T14:30:05.999Z",
            "2000-02-29T23:59:59+05:30",
            "1999-12-31T00:00:00.1234567-08:00",
            "2400-02-29T12:00:00Z",
            "0001-01-01T00:00:00Z",
        ] {
            let expected: jiff::Timestamp = text.parse().unwrap();
            assert_eq!(parse(text), Some(expected.as_millisecond()), "{text}");
        }
        assert_eq!(parse("2018-07-09 14:30:05.5"), Some(1_531_146_605_500));
        assert_eq!(parse("2018-07-09"), Some(1_531_094_400_000));
        for text in
            ["", "now", "2018-02-30T00:00:00Z", "2018-07-09T24:00:00Z", "2018-07-09T14:30", "2018-07-09T14:30:05x"]
        {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
