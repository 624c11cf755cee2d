//! Time patterns of object prefixes: `yyyy/MM/dd` and the other letters of Java's `DateTimeFormatter` that make sense in a
//! name. Pure: a pattern is parsed once and formats any instant.
//!
//! Source: the Firehose developer guide, "Custom prefixes for Amazon S3 objects"; the letters are those of
//! `java.time.format.DateTimeFormatter`.

use jiff::Zoned;
use millstream_types::letter_pattern::{PatternPart, pattern_parts};

/// A parsed pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TimePattern {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Literal(String),
    /// A field and how many of its letters stand there.
    Field(Field, usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Year,
    Month,
    DayOfMonth,
    DayOfYear,
    DayName,
    Hour,
    HalfDayHour,
    HalfDay,
    Minute,
    Second,
    Fraction,
}

impl Field {
    /// The field of a letter with the most letters that it takes.
    fn of(letter: char) -> Option<(Self, usize)> {
        Some(match letter {
            'y' | 'u' => (Self::Year, 4),
            'M' | 'L' => (Self::Month, 4),
            'd' => (Self::DayOfMonth, 2),
            'D' => (Self::DayOfYear, 3),
            'E' => (Self::DayName, 4),
            'H' => (Self::Hour, 2),
            'h' => (Self::HalfDayHour, 2),
            'a' => (Self::HalfDay, 1),
            'm' => (Self::Minute, 2),
            's' => (Self::Second, 2),
            'S' => (Self::Fraction, 9),
            _ => return None,
        })
    }
}

impl TimePattern {
    /// Parses a pattern: letters are fields, `'…'` is taken literally (`''` is one quote), all else stands for itself.
    ///
    /// # Errors
    /// Says which letter means nothing here.
    pub(crate) fn parse(pattern: &str) -> Result<Self, String> {
        let parts = pattern_parts(pattern).map_err(|error| error.to_string())?;
        let parts = parts.into_iter().map(|part| match part {
            PatternPart::Literal(literal) => Ok(Part::Literal(literal)),
            PatternPart::Letters(letter, count) => field(letter, count),
        });
        let parts = parts.collect::<Result<Vec<_>, String>>()?;
        if parts.is_empty() { Err("expected a time pattern such as yyyy/MM/dd".to_owned()) } else { Ok(Self { parts }) }
    }

    /// An instant in this pattern.
    pub(crate) fn format(&self, at: &Zoned) -> String {
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Literal(literal) => text.push_str(literal),
                Part::Field(field, count) => text.push_str(&of_field(*field, *count, at)),
            }
        }
        text
    }
}

fn field(letter: char, count: usize) -> Result<Part, String> {
    match Field::of(letter) {
        Some((field, most)) if count <= most => Ok(Part::Field(field, count)),
        Some((_, most)) => Err(format!("expected at most {most} times `{letter}` in the time pattern, found {count}")),
        None => Err(format!(
            "expected one of the letters yuMLdDEHhamsS in the time pattern, found `{letter}`; put literal letters in single \
             quotes"
        )),
    }
}

fn of_field(field: Field, count: usize, at: &Zoned) -> String {
    let number = |value: i64| format!("{value:0count$}");
    match field {
        Field::Year if count == 2 => format!("{:02}", at.year().rem_euclid(100)),
        Field::Year => number(at.year().into()),
        Field::Month if count == 3 => at.strftime("%b").to_string(),
        Field::Month if count == 4 => at.strftime("%B").to_string(),
        Field::Month => number(at.month().into()),
        Field::DayOfMonth => number(at.day().into()),
        Field::DayOfYear => number(at.day_of_year().into()),
        Field::DayName if count == 4 => at.strftime("%A").to_string(),
        Field::DayName => at.strftime("%a").to_string(),
        Field::Hour => number(at.hour().into()),
        Field::HalfDayHour => number((i64::from(at.hour()) + 11) % 12 + 1),
        Field::HalfDay => if at.hour() < 12 { "AM" } else { "PM" }.to_owned(),
        Field::Minute => number(at.minute().into()),
        Field::Second => number(at.second().into()),
        Field::Fraction => format!("{:09}", at.subsec_nanosecond())[..count].to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_say_times_as_java_does() {
        let at = jiff::Timestamp::from_millisecond(1_531_146_605_078).unwrap().to_zoned(jiff::tz::TimeZone::UTC);
        for (pattern, expected) in [
            ("yyyy/MM/dd/HH/", "2018/07/09/14/"),
            ("yyyy", "2018"),
            ("yy-M-d", "18-7-9"),
            ("yyyy/MM/DDD", "2018/07/190"),
            ("'year='yyyy'/month='MM", "year=2018/month=07"),
            ("MMM E EEEE", "Jul Mon Monday"),
            ("hh:mm:ss.SSS a", "02:30:05.078 PM"),
            ("'o''clock'''", "o'clock'"),
        ] {
            assert_eq!(TimePattern::parse(pattern).unwrap().format(&at), expected, "{pattern}");
        }
    }

    #[test]
    fn what_means_nothing_is_refused_by_its_letter() {
        for (pattern, word) in
            [("yyyy-MM-ddTHH", "`T`"), ("YYYY", "`Y`"), ("'open", "quote"), ("", "expected"), ("ddd", "2")]
        {
            let reason = TimePattern::parse(pattern).unwrap_err();
            assert!(reason.contains(word), "{pattern}: {reason}");
        }
    }
}
