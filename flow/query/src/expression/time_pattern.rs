//! Times by a pattern of letters, as Java's SimpleDateFormat reads and writes them: `yyyy-MM-dd HH:mm:ss.SSS`.
//!
//! Read strictly: what is out of its range is an error. What a pattern does not say is that of 1970-01-01T00:00:00Z. A year of
//! two digits behind `yy` is one of 1950 to 2049.

use std::fmt::Write as _;

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{Offset, TimeZone};
use millstream_types::letter_pattern::{PatternPart, pattern_parts};

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const WEEKDAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// The letters that mean something here.
const LETTERS: &str = "yMdHhKkmsSEazZGD";

/// A pattern, read.
pub(super) struct TimePattern(Vec<PatternPart>);

impl TimePattern {
    /// # Errors
    /// What of the pattern is not understood.
    pub(super) fn new(pattern: &str) -> Result<Self, String> {
        let parts = pattern_parts(pattern).map_err(|error| error.to_string())?;
        let unknown = parts.iter().find_map(|part| match part {
            PatternPart::Letters(letter, _) => (!LETTERS.contains(*letter)).then_some(*letter),
            PatternPart::Literal(_) => None,
        });
        match unknown {
            Some(letter) => Err(format!("not supported yet: `{letter}` in the pattern of a time, `{pattern}`")),
            None => Ok(Self(parts)),
        }
    }

    /// The time that a text says, in milliseconds since the epoch. What follows behind the pattern does not count.
    ///
    /// # Errors
    /// What was expected and what was found.
    pub(super) fn parse(&self, text: &str) -> Result<i64, String> {
        let mut found = Found::default();
        let mut rest = text;
        for (index, part) in self.0.iter().enumerate() {
            match part {
                PatternPart::Literal(literal) => {
                    rest = rest
                        .strip_prefix(literal.as_str())
                        .ok_or_else(|| format!("expected `{literal}` in the time `{text}`, found `{rest}`"))?;
                }
                PatternPart::Letters(letter, count) => {
                    // Without anything between two numbers, the letters say how long the first one is.
                    let adjacent =
                        matches!(self.0.get(index + 1), Some(PatternPart::Letters(next, _)) if is_number(*next));
                    let width = if adjacent { *count } else { usize::MAX };
                    rest = found
                        .take(*letter, *count, width, rest.trim_start())
                        .ok_or_else(|| format!("expected `{letter}` of a time in `{text}`, found `{rest}`"))?;
                }
            }
        }
        found.millis().ok_or_else(|| format!("there is no time `{text}`"))
    }

    /// A time as text.
    pub(super) fn format(&self, time: DateTime) -> String {
        let mut text = String::new();
        for part in &self.0 {
            match part {
                PatternPart::Literal(literal) => text.push_str(literal),
                PatternPart::Letters(letter, count) => write_field(&mut text, *letter, *count, time),
            }
        }
        text
    }
}

fn is_number(letter: char) -> bool {
    !matches!(letter, 'E' | 'a' | 'z' | 'Z' | 'G')
}

/// What a text says of a time.
#[derive(Default)]
struct Found {
    year: Option<i16>,
    month: Option<i8>,
    day: Option<i8>,
    day_of_year: Option<i16>,
    hour: i8,
    /// The hour is one of twelve.
    half: bool,
    afternoon: bool,
    minute: i8,
    second: i8,
    millisecond: i32,
    offset_minutes: i32,
}

impl Found {
    /// Takes a field off the front of a text; gives what is behind it.
    fn take<'t>(&mut self, letter: char, count: usize, width: usize, text: &'t str) -> Option<&'t str> {
        if letter == 'M' && count > 2 {
            let (month, rest) = name(&MONTHS, text)?;
            self.month = i8::try_from(month + 1).ok();
            return Some(rest);
        }
        match letter {
            'E' => return name(&WEEKDAYS, text).map(|(_, rest)| rest),
            'G' => return text.strip_prefix("AD"),
            'a' => {
                let (half, rest) = name(&["AM", "PM"], text)?;
                self.afternoon = half == 1;
                return Some(rest);
            }
            'z' | 'Z' => {
                let (minutes, rest) = zone(text)?;
                self.offset_minutes = minutes;
                return Some(rest);
            }
            _ => {}
        }
        let length = text.bytes().take(width).take_while(u8::is_ascii_digit).count();
        let (digits, rest) = text.split_at(length);
        let number: i32 = digits.parse().ok()?;
        self.set(letter, count, length, number)?;
        Some(rest)
    }

    fn set(&mut self, letter: char, count: usize, length: usize, number: i32) -> Option<()> {
        let within = |low: i32, high: i32| (low..=high).contains(&number).then_some(number as i8);
        match letter {
            'y' if count == 2 && length == 2 => {
                self.year = i16::try_from(number + if number < 50 { 2000 } else { 1900 }).ok();
            }
            'y' => self.year = Some(i16::try_from(number).ok().filter(|year| (1..=9999).contains(year))?),
            'M' => self.month = Some(within(1, 12)?),
            'd' => self.day = Some(within(1, 31)?),
            'D' => self.day_of_year = Some(i16::try_from(number).ok().filter(|day| (1..=366).contains(day))?),
            'H' => self.hour = within(0, 23)?,
            'k' => self.hour = within(1, 24)? % 24,
            'K' => (self.hour, self.half) = (within(0, 11)?, true),
            // 12 is the first of twelve hours, and what is none of twelve is an hour of the day.
            'h' => (self.hour, self.half) = (within(0, 23)? % if number == 12 { 12 } else { 24 }, number <= 12),
            'm' => self.minute = within(0, 59)?,
            's' => self.second = within(0, 59)?,
            _ => self.millisecond = (0..=999).contains(&number).then_some(number)?,
        }
        Some(())
    }

    fn millis(&self) -> Option<i64> {
        let year = self.year.unwrap_or(1970);
        let date = match self.day_of_year {
            Some(day) => Date::new(year, 1, 1).ok()?.with().day_of_year(day).build().ok()?,
            None => Date::new(year, self.month.unwrap_or(1), self.day.unwrap_or(1)).ok()?,
        };
        let hour = self.hour + if self.half && self.afternoon { 12 } else { 0 };
        let time = Time::new(hour, self.minute, self.second, self.millisecond * 1_000_000).ok()?;
        let offset = Offset::from_seconds(self.offset_minutes * 60).ok()?;
        let zoned = date.to_datetime(time).to_zoned(TimeZone::fixed(offset)).ok()?;
        Some(zoned.timestamp().as_millisecond())
    }
}

/// The number of a name, in full or by its first three letters, and what is behind it; case does not count.
fn name<'t>(names: &[&str], text: &'t str) -> Option<(usize, &'t str)> {
    let begins = |name: &str| text.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
    let full = names.iter().position(|name| begins(name)).map(|index| (index, names[index].len()));
    let short = || {
        let index = names.iter().position(|name| name.get(..3).is_some_and(begins))?;
        Some((index, 3))
    };
    let (index, length) = full.or_else(short)?;
    Some((index, &text[length..]))
}

/// `-0800`, `GMT-08:00`, `UTC`, in minutes from UTC.
fn zone(text: &str) -> Option<(i32, &str)> {
    let named = ["GMT", "UTC"].iter().find_map(|name| text.strip_prefix(name));
    let rest = named.unwrap_or(text);
    let sign = match rest.chars().next() {
        Some('+') => 1,
        Some('-') => -1,
        _ => return named.map(|rest| (0, rest)),
    };
    let hours = rest.get(1..3)?;
    let minutes = rest.get(3..)?.strip_prefix(':').or(rest.get(3..))?;
    let (minutes, behind) = (minutes.get(..2)?, minutes.get(2..)?);
    let minutes: i32 = minutes.parse().ok().filter(|minutes| (0..60).contains(minutes))?;
    let hours: i32 = hours.parse().ok().filter(|hours| (0..24).contains(hours))?;
    Some((sign * (hours * 60 + minutes), behind))
}

fn write_field(text: &mut String, letter: char, count: usize, time: DateTime) {
    let hour = i32::from(time.hour());
    let number = match letter {
        'y' if count == 2 => i32::from(time.year()) % 100,
        'y' => i32::from(time.year()),
        'M' if count > 2 => return push_name(text, MONTHS[(time.month() - 1) as usize], count),
        'M' => time.month().into(),
        'd' => time.day().into(),
        'D' => time.date().day_of_year().into(),
        'H' => hour,
        'k' => (hour + 23) % 24 + 1,
        'K' => hour % 12,
        'h' => (hour + 11) % 12 + 1,
        'm' => time.minute().into(),
        's' => time.second().into(),
        'S' => time.subsec_nanosecond() / 1_000_000,
        'E' => return push_name(text, WEEKDAYS[time.weekday().to_monday_zero_offset() as usize], count),
        'a' => return text.push_str(if hour < 12 { "AM" } else { "PM" }),
        'G' => return text.push_str("AD"),
        'Z' => return text.push_str("+0000"),
        _ => return text.push_str("UTC"),
    };
    // Writing to a text cannot fail.
    let _ = write!(text, "{number:0count$}");
}

fn push_name(text: &mut String, name: &str, count: usize) {
    text.push_str(if count > 3 { name } else { &name[..3] });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(pattern: &str, text: &str) -> Result<String, String> {
        let millis = TimePattern::new(pattern)?.parse(text)?;
        Ok(jiff::Timestamp::from_millisecond(millis).unwrap().strftime("%Y-%m-%d %H:%M:%S%.f").to_string())
    }

    #[test]
    fn times_are_read_by_patterns() {
        for (pattern, text, expected) in [
            ("yyyy-MM-dd'T'HH:mm:ss.SSSZ", "2001-07-04T12:08:56.235-0700", "2001-07-04 19:08:56.235"),
            ("EEE, d MMM yyyy HH:mm:ss Z", "Wed, 4 Jul 2001 12:08:56 -0700", "2001-07-04 19:08:56"),
            ("yyMMddHHmmss", "010704120856", "2001-07-04 12:08:56"),
            ("h:mm a", "12:08 PM", "1970-01-01 12:08:00"),
            ("h:mm a", "12:08 am", "1970-01-01 00:08:00"),
            ("yyyy D", "2012 366", "2012-12-31 00:00:00"),
            ("''yy 'o''clock'", "'50 o'clock", "1950-01-01 00:00:00"),
            ("yyyy.MM.dd z", "2001.07.04 GMT+01:30", "2001-07-03 22:30:00"),
        ] {
            assert_eq!(parsed(pattern, text).as_deref(), Ok(expected), "{pattern}");
        }
        for (pattern, text) in [
            ("yyyy hh", "2009-09"),
            ("MM/dd", "2009/09"),
            ("MM-dd", "02-30"),
            ("yyyy-MM", "2009"),
            ("ww", "1"),
            ("'a", "a"),
            ("yyyy", "99999999999"),
            ("yyyy", "ä"),
            ("a", ""),
            ("z", "GMT+9"),
            ("yyyy", "0"),
        ] {
            assert!(parsed(pattern, text).is_err(), "{pattern} {text}");
        }
    }

    #[test]
    fn times_are_written_by_patterns() {
        let time = jiff::civil::date(2001, 7, 4).at(12, 8, 56, 235_000_000);
        for (pattern, expected) in [
            ("yyyy.MM.dd G 'at' HH:mm:ss z", "2001.07.04 AD at 12:08:56 UTC"),
            ("EEE, MMM d, ''yy", "Wed, Jul 4, '01"),
            ("h:mm a", "12:08 PM"),
            ("hh 'o''clock' a", "12 o'clock PM"),
            ("K:mm a", "0:08 PM"),
            ("yyyyy.MMMMM.dd GGG hh:mm aaa", "02001.July.04 AD 12:08 PM"),
            ("yyyy-MM-dd'T'HH:mm:ss.SSSZ", "2001-07-04T12:08:56.235+0000"),
            ("kk D EEEE", "12 185 Wednesday"),
        ] {
            assert_eq!(TimePattern::new(pattern).unwrap().format(time), expected);
        }
    }
}
