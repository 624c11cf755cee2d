//! Functions of text (`function.rs` lists all).
//! Places in text count characters from 1.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, StringArray};
use arrow::datatypes::Int64Type;
use arrow::error::ArrowError;

use super::grown::{TEXT_BYTES_MAX, grown, too_long};

type Result<T> = std::result::Result<T, ArrowError>;

/// `CHAR_LENGTH(text)`.
pub(super) fn length(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    lengths(arguments, |text| text)
}

/// `LEN(text)`: characters without blanks at the end.
pub(super) fn length_without_trailing_blanks(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    lengths(arguments, |text| text.trim_end_matches(' '))
}

fn lengths(arguments: &[ArrayRef], counted: fn(&str) -> &str) -> Result<ArrayRef> {
    let texts = arguments[0].as_string::<i32>().iter();
    Ok(Arc::new(texts.map(|text| text.map(|text| counted(text).chars().count() as i64)).collect::<Int64Array>()))
}

/// `CHARINDEX(what, text, start)`, 0 when it does not occur at or behind the start.
pub(super) fn index_of(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    let (wanted, texts) = (arguments[0].as_string::<i32>(), arguments[1].as_string::<i32>());
    let starts = arguments.get(2).map(|starts| starts.as_primitive::<Int64Type>());
    let rows = wanted.iter().zip(texts).enumerate().map(|(row, (wanted, text))| {
        let start = starts.map_or(Some(1), |starts| integer(starts, row))?;
        Some(find(wanted?, text?, start))
    });
    Ok(Arc::new(rows.collect::<Int64Array>()))
}

fn integer(values: &Int64Array, row: usize) -> Option<i64> {
    values.is_valid(row).then(|| values.value(row))
}

fn find(wanted: &str, text: &str, start: i64) -> i64 {
    let skipped = usize::try_from(start - 1).unwrap_or(0);
    let Some((offset, _)) = text.char_indices().nth(skipped) else { return 0 };
    match text[offset..].find(wanted) {
        Some(found) => text[..offset + found].chars().count() as i64 + 1,
        None => 0,
    }
}

/// `SPLIT_INDEX(text, separator, index)`: a part of a text between separators, counted from 0; NULL behind the last. Without a
/// separator each blank is one.
pub(super) fn split_index(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    let (texts, separators) = (arguments[0].as_string::<i32>(), arguments[1].as_string::<i32>());
    let indexes = arguments[2].as_primitive::<Int64Type>();
    let rows = texts.iter().zip(separators).zip(indexes).map(|((text, separator), index)| {
        let (text, separator) = (text?, separator?);
        let index = usize::try_from(index?).ok().filter(|_| !text.is_empty())?;
        match separator {
            "" => text.split(char::is_whitespace).nth(index),
            separator => text.split(separator).nth(index),
        }
    });
    Ok(Arc::new(rows.collect::<StringArray>()))
}

/// `SUBSTRING(text, start, length)`: a start before the text uses up length (standard SQL).
pub(super) fn substring(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    let texts = arguments[0].as_string::<i32>();
    let starts = arguments[1].as_primitive::<Int64Type>();
    let lengths = arguments.get(2).map(|lengths| lengths.as_primitive::<Int64Type>());
    let rows = texts.iter().zip(starts).enumerate().map(|(row, (text, start))| {
        let length = lengths.map_or(Some(i64::MAX), |lengths| integer(lengths, row))?;
        Some(slice(text?, start?, length))
    });
    Ok(Arc::new(rows.collect::<StringArray>()))
}

fn slice(text: &str, start: i64, length: i64) -> String {
    let end = start.saturating_add(length.max(0)).max(1);
    let start = start.max(1);
    let count = usize::try_from(end - start).unwrap_or(0);
    text.chars().skip(usize::try_from(start - 1).unwrap_or(usize::MAX)).take(count).collect()
}

/// `STUFF(text, start, length, other)`: other text in place of a part.
pub(super) fn stuff(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    let (texts, others) = (arguments[0].as_string::<i32>(), arguments[3].as_string::<i32>());
    let (starts, lengths) = (arguments[1].as_primitive::<Int64Type>(), arguments[2].as_primitive::<Int64Type>());
    let rows = texts.iter().zip(starts).zip(lengths).zip(others).map(|(((text, start), length), other)| {
        let (text, start, length, other) = (text?, start?, length?, other.unwrap_or_default());
        let count = text.chars().count() as i64;
        if start < 1 || length < 0 || start > count {
            return Some(String::new());
        }
        let before = slice(text, 1, start - 1);
        let after = slice(text, start.saturating_add(length), i64::MAX);
        Some(before + other + &after)
    });
    grown(rows.map(Ok))
}

/// `OVERLAY(text PLACING other FROM start FOR length)`: other text in place of a part, as long as itself unless it is said.
pub(super) fn overlay(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    let (texts, others) = (arguments[0].as_string::<i32>(), arguments[1].as_string::<i32>());
    let starts = arguments[2].as_primitive::<Int64Type>();
    let lengths = arguments.get(3).map(|lengths| lengths.as_primitive::<Int64Type>());
    let rows = texts.iter().zip(others).zip(starts).enumerate().map(|(row, ((text, other), start))| {
        let (Some(text), Some(other), Some(start)) = (text, other, start) else { return Ok(None) };
        let own_length = || Some(other.chars().count() as i64);
        let Some(length) = lengths.map_or_else(own_length, |lengths| integer(lengths, row)) else { return Ok(None) };
        if length < 0 {
            return Err(ArrowError::ComputeError(format!("OVERLAY takes a length of 0 or more, found {length}")));
        }
        let before = slice(text, 1, start.saturating_sub(1).max(0));
        let behind = slice(text, start.saturating_add(length), i64::MAX);
        Ok(Some(before + other + &behind))
    });
    grown(rows)
}

/// `REPLICATE(text, count)`; NULL of a negative count.
pub(super) fn replicate(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    let (texts, counts) = (arguments[0].as_string::<i32>(), arguments[1].as_primitive::<Int64Type>());
    let rows = texts.iter().zip(counts).map(|(text, count)| {
        let (Some(text), Some(Ok(count))) = (text, count.map(usize::try_from)) else { return Ok(None) };
        let bytes = text.len().checked_mul(count).filter(|bytes| *bytes <= TEXT_BYTES_MAX);
        bytes.ok_or_else(too_long).map(|_| Some(text.repeat(count)))
    });
    grown(rows)
}

/// `TRIM`, `LTRIM`, `RTRIM` of every white space Unicode knows.
pub(super) fn trim(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    map(&arguments[0], str::trim)
}

/// See [`trim`].
pub(super) fn trim_start(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    map(&arguments[0], str::trim_start)
}

/// See [`trim`].
pub(super) fn trim_end(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    map(&arguments[0], str::trim_end)
}

fn map(texts: &ArrayRef, part: fn(&str) -> &str) -> Result<ArrayRef> {
    let parts = texts.as_string::<i32>().iter().map(|text| text.map(part));
    Ok(Arc::new(parts.collect::<StringArray>()))
}

fn made(texts: &ArrayRef, make: fn(&str) -> String) -> Result<ArrayRef> {
    let made = texts.as_string::<i32>().iter().map(|text| text.map(make));
    Ok(Arc::new(made.collect::<StringArray>()))
}

/// `LOWER(text)`.
pub(super) fn lower(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    made(&arguments[0], str::to_lowercase)
}

/// `UPPER(text)`.
pub(super) fn upper(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    made(&arguments[0], str::to_uppercase)
}

/// `REVERSE(text)`, character by character.
pub(super) fn reverse(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    made(&arguments[0], |text| text.chars().rev().collect())
}

/// `INITCAP(text)`: the first letter of each word large, the others small; what is neither letter nor digit parts words.
pub(super) fn capitalize(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    made(&arguments[0], |text| {
        let (mut capitalized, mut in_word) = (String::with_capacity(text.len()), false);
        for character in text.chars() {
            match in_word {
                true => capitalized.extend(character.to_lowercase()),
                false => capitalized.extend(character.to_uppercase()),
            }
            in_word = character.is_alphanumeric();
        }
        capitalized
    })
}

/// `LEFT(text, count)`: the first characters; of a negative count all but the last ones.
pub(super) fn left(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    cut(arguments, |text, count| &text[..place_behind(text, count)])
}

/// `RIGHT(text, count)`: the last characters; of a negative count all but the first ones.
pub(super) fn right(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    // As many from the end as from the begin behind which the rest stands.
    cut(arguments, |text, count| match count {
        0 => "",
        count => &text[place_behind(text, count.saturating_neg())..],
    })
}

fn cut(arguments: &[ArrayRef], part: fn(&str, i64) -> &str) -> Result<ArrayRef> {
    let (texts, counts) = (arguments[0].as_string::<i32>(), arguments[1].as_primitive::<Int64Type>());
    let rows = texts.iter().zip(counts).map(|(text, count)| Some(part(text?, count?)));
    Ok(Arc::new(rows.collect::<StringArray>()))
}

/// Where the first `count` characters end, in bytes; of a negative count, where the last ones begin.
fn place_behind(text: &str, count: i64) -> usize {
    let skipped = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
    if count >= 0 {
        return text.char_indices().nth(skipped).map_or(text.len(), |(place, _)| place);
    }
    text.char_indices().rev().nth(skipped - 1).map_or(0, |(place, _)| place)
}

/// `CONCAT(text, …)`: NULL is nothing.
pub(super) fn concatenate(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    let texts = arguments.iter().map(|argument| argument.as_string::<i32>()).collect::<Vec<_>>();
    grown((0..texts[0].len()).map(|row| Ok(Some(present(&texts, row).collect::<String>()))))
}

/// `text || text`: NULL of NULL.
pub(super) fn join(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    let (left, right) = (arguments[0].as_string::<i32>(), arguments[1].as_string::<i32>());
    grown(left.iter().zip(right).map(|(left, right)| Ok(left.zip(right).map(|(left, right)| [left, right].concat()))))
}

/// `CONCAT_WS(separator, text, …)`: NULL is left out, with its separator.
pub(super) fn concatenate_with(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    let texts = arguments.iter().map(|argument| argument.as_string::<i32>()).collect::<Vec<_>>();
    let (separators, texts) = (texts[0], &texts[1..]);
    let rows = separators.iter().enumerate();
    let joined = |row, separator: &str| present(texts, row).collect::<Vec<_>>().join(separator);
    grown(rows.map(|(row, separator)| Ok(separator.map(|separator| joined(row, separator)))))
}

/// The texts of a row that are not NULL.
fn present<'t>(texts: &'t [&StringArray], row: usize) -> impl Iterator<Item = &'t str> {
    texts.iter().filter(move |texts| texts.is_valid(row)).map(move |texts| texts.value(row))
}

/// `TRIM(characters FROM text)`, the text first; blanks unless it says which characters.
pub(super) fn trim_characters(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    trimmed(arguments, |text, characters| text.trim_matches(characters))
}

/// `TRIM(LEADING characters FROM text)`.
pub(super) fn trim_characters_in_front(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    trimmed(arguments, |text, characters| text.trim_start_matches(characters))
}

/// `TRIM(TRAILING characters FROM text)`.
pub(super) fn trim_characters_behind(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    trimmed(arguments, |text, characters| text.trim_end_matches(characters))
}

fn trimmed(arguments: &[ArrayRef], change: for<'t> fn(&'t str, &[char]) -> &'t str) -> Result<ArrayRef> {
    let texts = arguments[0].as_string::<i32>().iter();
    let Some(characters) = arguments.get(1) else {
        return Ok(Arc::new(texts.map(|text| text.map(|text| change(text, &[' ']))).collect::<StringArray>()));
    };
    let rows = texts.zip(characters.as_string::<i32>());
    let rows = rows.map(|(text, characters)| Some(change(text?, &characters?.chars().collect::<Vec<_>>())));
    Ok(Arc::new(rows.collect::<StringArray>()))
}

/// `UNICODE(text)`: the code of the first character.
pub(super) fn unicode(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    let first = |text: &str| text.chars().next().map(|character| i64::from(u32::from(character)));
    let codes = arguments[0].as_string::<i32>().iter().map(|text| text.and_then(first));
    Ok(Arc::new(codes.collect::<Int64Array>()))
}

/// `NCHAR(code)`; NULL where there is no such character.
pub(super) fn character(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    let character = |code: i64| u32::try_from(code).ok().and_then(char::from_u32).map(String::from);
    let texts = arguments[0].as_primitive::<Int64Type>().iter().map(|code| code.and_then(character));
    Ok(Arc::new(texts.collect::<StringArray>()))
}

/// `TRANSLATE(text, from, to)`, character by character; both lists are of one length.
pub(super) fn translate(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    let texts = arguments.iter().map(|argument| argument.as_string::<i32>()).collect::<Vec<_>>();
    let rows = texts[0].iter().zip(texts[1]).zip(texts[2]).map(|((text, from), to)| {
        let (Some(text), Some(from), Some(to)) = (text, from, to) else { return Ok(None) };
        let (from, to): (Vec<char>, Vec<char>) = (from.chars().collect(), to.chars().collect());
        if from.len() != to.len() {
            return Err(ArrowError::ComputeError("TRANSLATE takes two lists of characters of one length".to_owned()));
        }
        let change = |character| from.iter().position(|found| *found == character).map_or(character, |at| to[at]);
        Ok(Some(text.chars().map(change).collect::<String>()))
    });
    Ok(Arc::new(rows.collect::<Result<StringArray>>()?))
}

/// `REPLACE(text, what, by)`; an empty `what` replaces nothing.
pub(super) fn replace(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    replacing(arguments, false)
}

/// The same, where an empty text is found at both ends and between all characters.
pub(super) fn replace_everywhere(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    replacing(arguments, true)
}

fn replacing(arguments: &[ArrayRef], finds_empty: bool) -> Result<ArrayRef> {
    let texts = arguments.iter().map(|argument| argument.as_string::<i32>()).collect::<Vec<_>>();
    let rows = texts[0].iter().zip(texts[1]).zip(texts[2]).map(|((text, what), by)| {
        let (Some(text), Some(what), Some(by)) = (text, what, by) else { return Ok(None) };
        if what.is_empty() && !finds_empty {
            return Ok(Some(text.to_owned()));
        }
        let bytes = text.len().saturating_add(text.matches(what).count().saturating_mul(by.len()));
        if bytes > TEXT_BYTES_MAX { Err(too_long()) } else { Ok(Some(text.replace(what, by))) }
    });
    grown(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn substrings_count_characters_from_one() {
        for (start, length, expected) in
            [(3, 4, "3456"), (17, i64::MAX, ""), (-1, 4, "12"), (6, 0, ""), (8, 4, "89"), (1, -5, "")]
        {
            assert_eq!(slice("123456789", start, length), expected, "{start} {length}");
        }
    }

    #[test]
    fn places_count_characters_from_one() {
        assert_eq!(find("c", "äbc", 1), 3);
        assert_eq!(find("c", "äbc", -3), 3);
        assert_eq!(find("b", "äbcb", 3), 4);
        assert_eq!(find("x", "abc", 1), 0);
        assert_eq!(find("a", "abc", 9), 0);
    }
}
