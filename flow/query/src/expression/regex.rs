//! Regular expressions and the patterns of `LIKE`. A search takes linear time whatever the pattern says; `REGEX_REPLACE` searches
//! behind each match again, so what it searches together is bounded.
//!
//! Patterns are written for other engines (ECMAScript's, Java's). What they mean there they mean here, or they are refused:
//! look-around and references back to what was matched, which need more than linear time.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, StringArray};
use arrow::datatypes::Int64Type;
use arrow::error::ArrowError;
use regex::{Captures, Regex, RegexBuilder};

use super::grown::{TEXT_BYTES_MAX, grown, too_long};

type Result<T> = std::result::Result<T, ArrowError>;

/// Bytes that a compiled pattern may take.
const COMPILED_BYTES_MAX: usize = 1 << 20;
/// Characters of a pattern, as the languages' references bound them.
pub(super) const PATTERN_CHARS_MAX: usize = 8_000;
/// Bytes that one replacement may search, all searches together: from each match to the text's end, which a search may have to
/// look at to know what matches.
const SEARCHED_BYTES_MAX: usize = 64 << 20;

/// Why a pattern cannot be matched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PatternError {
    /// The pattern is right where it comes from.
    NotSupported(&'static str),
    /// It is right nowhere.
    Wrong(String),
}

impl std::fmt::Display for PatternError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotSupported(what) => write!(f, "not supported yet: {what} in regular expressions"),
            Self::Wrong(reason) => write!(f, "expected a regular expression, found {reason}"),
        }
    }
}

/// `REGEXMATCH(text, pattern)`: where the first match begins, in characters from 1; 0 without one, and of a pattern that is
/// none. Case does not count, and a point is any character, ends of lines too.
pub(super) fn position(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    let mut patterns = Patterns::new(|pattern| compile(&format!("(?is){}", translated(pattern)?)));
    let rows = pairs(&arguments[0], &arguments[1]).map(|(text, pattern)| {
        let (Some(text), Some(pattern)) = (text, pattern) else { return Ok(None) };
        match patterns.get(pattern) {
            Ok(regex) => Ok(Some(regex.find(text).map_or(0, |found| place(text, found.start())))),
            Err(PatternError::Wrong(_)) => Ok(Some(0)),
            Err(error) => Err(wrong(error)),
        }
    });
    Ok(Arc::new(rows.collect::<Result<Int64Array>>()?))
}

/// `PATINDEX('%pattern%', text)`: where a pattern of `LIKE` is found first, in characters from 1; 0 where it is not.
pub(super) fn pattern_index(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    let mut patterns = Patterns::new(|pattern| {
        let inner = pattern.trim_start_matches('%');
        let (start, end) = match (inner.len() < pattern.len(), inner.is_empty()) {
            // `%` alone is found at once.
            (true, true) => ("", ""),
            (true, false) => ("", "$"),
            (false, _) => ("^", "$"),
        };
        compile(&format!("(?s){start}(?:{}){end}", like_regex(inner, None)))
    });
    let rows = pairs(&arguments[0], &arguments[1]).map(|(pattern, text)| {
        let (Some(text), Some(pattern)) = (text, pattern) else { return Ok(None) };
        let regex = patterns.get(pattern).map_err(wrong)?;
        Ok(Some(regex.find(text).map_or(0, |found| place(text, found.start()))))
    });
    Ok(Arc::new(rows.collect::<Result<Int64Array>>()?))
}

/// `text LIKE pattern ESCAPE character`, with sets of characters: `[a-c]`, `[^x]`. Without an escape the third is NULL.
pub(super) fn like(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    let escapes = arguments[2].as_string::<i32>();
    let escape = escapes.iter().flatten().next().and_then(|escape| escape.chars().next());
    let mut patterns = Patterns::new(move |pattern| compile(&format!("(?s)^(?:{})$", like_regex(pattern, escape))));
    let rows = pairs(&arguments[0], &arguments[1]).map(|(text, pattern)| {
        let (Some(text), Some(pattern)) = (text, pattern) else { return Ok(None) };
        Ok(Some(patterns.get(pattern).map_err(wrong)?.is_match(text)))
    });
    Ok(Arc::new(rows.collect::<Result<BooleanArray>>()?))
}

/// `SUBSTRING(text FROM pattern)`: the first match.
pub(super) fn first_match(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    let mut patterns = Patterns::new(|pattern| compile(&translated(pattern)?));
    let rows = pairs(&arguments[0], &arguments[1]).map(|(text, pattern)| {
        let (Some(text), Some(pattern)) = (text, pattern) else { return Ok(None) };
        Ok(patterns.get(pattern).map_err(wrong)?.find(text).map(|found| found.as_str().to_owned()))
    });
    Ok(Arc::new(rows.collect::<Result<StringArray>>()?))
}

/// `REGEXP_EXTRACT(text, pattern, group)`: what a group of the first match is, without a number the whole match; NULL where there
/// is none.
pub(super) fn extract(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    let mut patterns = Patterns::new(|pattern| compile(&translated(pattern)?));
    let groups = arguments.get(2).map(|groups| groups.as_primitive::<Int64Type>());
    let rows = pairs(&arguments[0], &arguments[1]).enumerate().map(|(row, (text, pattern))| {
        let group = groups.map_or(Some(0), |groups| groups.is_valid(row).then(|| groups.value(row)));
        let (Some(text), Some(pattern), Some(Ok(group))) = (text, pattern, group.map(usize::try_from)) else {
            return Ok(None);
        };
        match patterns.get(pattern) {
            Ok(regex) => {
                let captures = regex.captures(text);
                Ok(captures.and_then(|captures| Some(captures.get(group)?.as_str().to_owned())))
            }
            Err(PatternError::Wrong(_)) => Ok(None),
            Err(error) => Err(wrong(error)),
        }
    });
    Ok(Arc::new(rows.collect::<Result<StringArray>>()?))
}

/// `REGEX_REPLACE(text, pattern, replacement, start, occurrence)`: every match from a character on, or the one of a number.
pub(super) fn replace(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    let mut patterns = Patterns::new(|pattern| compile(&translated(pattern)?));
    let replacements = arguments[2].as_string::<i32>();
    let (starts, occurrences) = (arguments[3].as_primitive::<Int64Type>(), arguments[4].as_primitive::<Int64Type>());
    let numbers = starts.iter().zip(occurrences);
    let rows = pairs(&arguments[0], &arguments[1]).zip(replacements).zip(numbers).map(|row| {
        let (((Some(text), Some(pattern)), Some(by)), (Some(start), Some(occurrence))) = row else { return Ok(None) };
        let (Ok(start @ 1..), Ok(occurrence)) = (usize::try_from(start), usize::try_from(occurrence)) else {
            let message = format!("REGEX_REPLACE begins at 1 and counts from 0, found {start} and {occurrence}");
            return Err(ArrowError::ComputeError(message));
        };
        let Some((from, _)) = text.char_indices().nth(start - 1) else { return Ok(Some(text.to_owned())) };
        replaced(patterns.get(pattern).map_err(wrong)?, text, from, by, occurrence).map(Some)
    });
    grown(rows)
}

fn replaced(regex: &Regex, text: &str, from: usize, by: &str, occurrence: usize) -> Result<String> {
    let mut result = text[..from].to_owned();
    let (mut copied, mut searched) = (from, 0);
    for (index, captures) in regex.captures_iter(&text[from..]).enumerate() {
        let Some(whole) = captures.get(0) else { continue };
        searched += text.len() - from - whole.start();
        if searched > SEARCHED_BYTES_MAX {
            let message = format!("{} matches in a text of {} bytes take too long to find", index + 1, text.len());
            return Err(ArrowError::ComputeError(message));
        }
        if occurrence > 0 && index + 1 != occurrence {
            continue;
        }
        result.push_str(&text[copied..from + whole.start()]);
        expand(by, &captures, &mut result)?;
        copied = from + whole.end();
        if result.len() > TEXT_BYTES_MAX {
            return Err(too_long());
        }
        if occurrence > 0 {
            break;
        }
    }
    result.push_str(&text[copied..]);
    Ok(result)
}

/// Java's replacements: `$1` is what a group matched, a backslash takes what follows as it is.
fn expand(by: &str, captures: &Captures<'_>, result: &mut String) -> Result<()> {
    let mut characters = by.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\\' => result.extend(characters.next()),
            '$' => {
                let group = characters.next().and_then(|digit| digit.to_digit(10)).map(|digit| digit as usize);
                let Some(group) = group.filter(|group| *group < captures.len()) else {
                    let message = format!("expected the number of a group behind `$` in the replacement `{by}`");
                    return Err(ArrowError::ComputeError(message));
                };
                result.push_str(captures.get(group).map_or("", |found| found.as_str()));
            }
            character => result.push(character),
        }
    }
    Ok(())
}

/// What a pattern cannot be matched for; `None`: it can, or only its rows know.
pub(crate) fn refused(pattern: &str) -> Option<PatternError> {
    translated(pattern).and_then(|pattern| compile(&pattern)).err()
}

/// A pattern of Java that a whole text has to match.
pub(super) fn java(pattern: &str) -> std::result::Result<Regex, PatternError> {
    compile(&format!(r"\A(?:{})\z", translated(pattern)?))
}

/// The pattern that was used last, compiled: patterns seldom change from row to row.
struct Patterns<F> {
    make: F,
    last: Option<(String, std::result::Result<Regex, PatternError>)>,
}

impl<F: Fn(&str) -> std::result::Result<Regex, PatternError>> Patterns<F> {
    fn new(make: F) -> Self {
        Self { make, last: None }
    }

    fn get(&mut self, pattern: &str) -> std::result::Result<&Regex, PatternError> {
        if self.last.as_ref().is_none_or(|(known, _)| known != pattern) {
            self.last = Some((pattern.to_owned(), (self.make)(pattern)));
        }
        match &self.last {
            Some((_, Ok(regex))) => Ok(regex),
            Some((_, Err(error))) => Err(error.clone()),
            None => Err(PatternError::Wrong("none".to_owned())),
        }
    }
}

pub(super) fn compile(pattern: &str) -> std::result::Result<Regex, PatternError> {
    let built = RegexBuilder::new(pattern).size_limit(COMPILED_BYTES_MAX).build();
    built.map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => PatternError::NotSupported("so many repetitions"),
        // The last line tells what is wrong, those before it where.
        other => {
            let told = other.to_string();
            PatternError::Wrong(told.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned())
        }
    })
}

/// A pattern of ECMAScript or Java in the words of the engine used here.
fn translated(pattern: &str) -> std::result::Result<String, PatternError> {
    if pattern.chars().count() > PATTERN_CHARS_MAX {
        return Err(PatternError::NotSupported("more than 8000 characters"));
    }
    let mut result = String::with_capacity(pattern.len());
    let mut characters = pattern.chars().peekable();
    let (mut in_set, mut repeated) = (false, false);
    while let Some(character) = characters.next() {
        let repeats = !in_set && matches!(character, '+' | '*' | '?' | '}');
        if repeated && character == '+' && !in_set {
            return Err(PatternError::NotSupported("possessive repetitions"));
        }
        repeated = repeats;
        match character {
            '\\' => {
                let next = characters.next();
                escaped(next, in_set, &mut result)?;
                // `\p{L}`: these braces repeat nothing.
                if matches!(next, Some('p' | 'P' | 'x' | 'u')) && characters.peek() == Some(&'{') {
                    let is_inner = |inner: &char| *inner != '}';
                    while let Some(inner) = characters.next_if(is_inner) {
                        result.push(inner);
                    }
                    result.extend(characters.next());
                }
            }
            // Sets of sets, and their differences, are the engine's own.
            '[' | '&' | '~' if in_set => result.extend(['\\', character]),
            '-' if in_set && characters.next_if_eq(&'-').is_some() => result.push_str(r"-\-"),
            '[' => {
                in_set = true;
                result.push('[');
                result.extend(characters.next_if_eq(&'^'));
                // The first is no range's.
                result.push_str(if characters.next_if_eq(&'-').is_some() { r"\-" } else { "" });
            }
            ']' => {
                in_set = false;
                result.push(']');
            }
            '(' if !in_set && looks_around(characters.clone()) => {
                return Err(PatternError::NotSupported("look-around"));
            }
            '(' if !in_set && sets_flag(characters.clone(), 'U') => {
                return Err(PatternError::NotSupported("the flag U"));
            }
            other => result.push(other),
        }
    }
    Ok(result)
}

/// What stands behind a backslash in the words of the engine used here.
fn escaped(character: Option<char>, in_set: bool, result: &mut String) -> std::result::Result<(), PatternError> {
    match character {
        Some('1'..='9' | 'k') if !in_set => return Err(PatternError::NotSupported("references back")),
        // There these are letters of ASCII.
        Some('d') => result.push_str("[0-9]"),
        Some('D') => result.push_str("[^0-9]"),
        Some('w') => result.push_str("[0-9A-Za-z_]"),
        Some('W') => result.push_str("[^0-9A-Za-z_]"),
        // Here they would be the ends of words.
        Some(character @ ('<' | '>')) => result.push(character),
        Some(other) => result.extend(['\\', other]),
        None => result.push('\\'),
    }
    Ok(())
}

/// Whether `(?…)` or `(?…:` goes on here with a flag among those that it sets. The engine's own flag of that letter is another.
fn sets_flag(mut behind: impl Iterator<Item = char>, flag: char) -> bool {
    let flags = |character: &char| character.is_ascii_alphabetic() || *character == '-';
    behind.next() == Some('?') && behind.take_while(flags).any(|character| character == flag)
}

/// Whether `(?=`, `(?!`, `(?<=` or `(?<!` goes on here.
fn looks_around(mut behind: impl Iterator<Item = char>) -> bool {
    if behind.next() != Some('?') {
        return false;
    }
    match behind.next() {
        Some('=' | '!') => true,
        Some('<') => matches!(behind.next(), Some('=' | '!')),
        _ => false,
    }
}

/// A pattern of `LIKE` as a regular expression.
fn like_regex(pattern: &str, escape: Option<char>) -> String {
    let mut result = String::with_capacity(pattern.len() * 2);
    let mut rest = pattern;
    while let Some(character) = rest.chars().next() {
        rest = &rest[character.len_utf8()..];
        if Some(character) == escape
            && let Some(next) = rest.chars().next()
        {
            result.push_str(&regex::escape(next.encode_utf8(&mut [0; 4])));
            rest = &rest[next.len_utf8()..];
            continue;
        }
        match (character, rest.find(']')) {
            ('%', _) => result.push_str(".*"),
            ('_', _) => result.push('.'),
            ('[', Some(end)) if !matches!(&rest[..end], "" | "^") => {
                result.push_str(&set(&rest[..end]));
                rest = &rest[end + 1..];
            }
            _ => result.push_str(&regex::escape(character.encode_utf8(&mut [0; 4]))),
        }
    }
    result
}

/// `a-c` or `^a-c` of `[a-c]`.
fn set(inner: &str) -> String {
    let (negation, characters) = inner.strip_prefix('^').map_or(("", inner), |rest| ("^", rest));
    let escaped = characters.chars().flat_map(|character| {
        let escape = matches!(character, '[' | '\\' | '^' | '&' | '~').then_some('\\');
        escape.into_iter().chain([character])
    });
    // Two of them would take a set from another.
    format!("[{negation}{}]", escaped.collect::<String>().replace("--", r"-\-"))
}

/// A place in bytes as one in characters, from 1.
fn place(text: &str, at: usize) -> i64 {
    text[..at].chars().count() as i64 + 1
}

fn pairs<'a>(left: &'a ArrayRef, right: &'a ArrayRef) -> impl Iterator<Item = (Option<&'a str>, Option<&'a str>)> {
    left.as_string::<i32>().iter().zip(right.as_string::<i32>())
}

fn wrong(error: PatternError) -> ArrowError {
    ArrowError::ComputeError(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_mean_what_they_mean_elsewhere() {
        for (pattern, text, found) in [
            (r"^\d+$", "123", true),
            (r"^\d+$", "١٢٣", false),
            (r"[\w-]+@[^@]+", "a-b@c", true),
            ("[[]", "[", true),
            ("^[a&&b]$", "&", true),
            (r"a\/b", "a/b", true),
            (r"^\<b\>$", "<b>", true),
            (r"\<b\>", "b", false),
            (r"^[\<a\>]+$", "<>", true),
            ("^[+--]$", ",", true),
            ("^[--/]$", ".", true),
            ("^[a-z--x]$", "x", true),
            ("^[^-]$", "-", false),
            (r"^\++$", "++", true),
            (r"^\p{Lu}+$", "ÄB", true),
            ("^[+*]+$", "+*", true),
            ("^(?i:B)+?$", "b", true),
            ("a.b", "a\nb", false),
        ] {
            let regex = compile(&translated(pattern).unwrap()).unwrap();
            assert_eq!(regex.is_match(text), found, "{pattern} {text}");
        }
    }

    #[test]
    fn what_takes_more_than_linear_time_is_refused() {
        for (pattern, what) in [
            ("a(?=b)", "look-around"),
            ("(?<!a)b", "look-around"),
            (r"(a)\1", "references back"),
            ("(a{1000}){1000}", "so many repetitions"),
            ("a++", "possessive repetitions"),
            ("a*+", "possessive repetitions"),
            ("a?+", "possessive repetitions"),
            ("a{1,2}+", "possessive repetitions"),
            ("(?U)a+", "the flag U"),
            ("(?iU:a)", "the flag U"),
        ] {
            assert_eq!(refused(pattern), Some(PatternError::NotSupported(what)), "{pattern}");
        }
        assert!(matches!(refused("(a"), Some(PatternError::Wrong(_))));
        assert_eq!(refused("[(?=]"), None);
        // Elsewhere this one never ends.
        let hostile = compile("^(a+)+$").unwrap();
        assert!(!hostile.is_match(&format!("{}b", "a".repeat(100_000))));
    }

    #[test]
    fn what_replacements_search_is_bounded() {
        // Each search looks at the whole rest before it knows that the short alternative is the one.
        let regex = compile(".*[^A-Z]|[A-Z]").unwrap();
        let told = replaced(&regex, &"A".repeat(1 << 20), 0, "b", 0).unwrap_err().to_string();
        assert!(told.contains("matches in a text of 1048576 bytes take too long to find"), "{told}");
        assert_eq!(replaced(&regex, &"A".repeat(1_000), 0, "b", 0).unwrap(), "b".repeat(1_000));
    }

    #[test]
    fn patterns_of_like_are_whole() {
        for (pattern, escape, text, found) in [
            ("A%9", None, "ABC9", true),
            ("A%9", None, "ABC99x", false),
            ("a_c", None, "abc", true),
            ("[a-c]%", None, "bx", true),
            ("[^a-c]%", None, "bx", false),
            ("50!%", Some('!'), "50%", true),
            ("50!%", Some('!'), "500", false),
            ("a.c", None, "abc", false),
            ("[x", None, "[x", true),
            ("[+--]", None, ",", true),
        ] {
            let regex = compile(&format!("(?s)^(?:{})$", like_regex(pattern, escape))).unwrap();
            assert_eq!(regex.is_match(text), found, "{pattern} {text}");
        }
    }
}
