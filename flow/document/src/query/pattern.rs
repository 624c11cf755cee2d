//! `LIKE`: `%` for any characters, `_` for one, `[a-c]` and `[^a-c]` for one of some.

/// Characters of a pattern: matching takes the product of the text's and the pattern's length at worst.
const PATTERN_CHARS_MAX: usize = 1024;

/// A part of a pattern.
enum Part {
    Any,
    One,
    Char(char),
    Set { negated: bool, ranges: Vec<(char, char)> },
}

/// Whether the whole of a text looks like a pattern; undefined for a pattern that is too long.
pub(super) fn matches(text: &str, pattern: &str, escape: Option<char>) -> Option<bool> {
    if pattern.chars().nth(PATTERN_CHARS_MAX).is_some() {
        return None;
    }
    let (parts, text): (Vec<Part>, Vec<char>) = (parts(pattern, escape), text.chars().collect());
    // Only the last `%` needs to be tried again: what stands before it matches as early as it can.
    let (mut at, mut part) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while at < text.len() {
        if let Some(Part::Any) = parts.get(part) {
            retry = Some((part + 1, at));
            part += 1;
        } else if parts.get(part).is_some_and(|part| takes(part, text[at])) {
            (at, part) = (at + 1, part + 1);
        } else if let Some((after, from)) = retry {
            retry = Some((after, from + 1));
            (at, part) = (from + 1, after);
        } else {
            return Some(false);
        }
    }
    Some(parts[part..].iter().all(|part| matches!(part, Part::Any)))
}

fn takes(part: &Part, char: char) -> bool {
    match part {
        Part::Any => false,
        Part::One => true,
        Part::Char(expected) => *expected == char,
        Part::Set { negated, ranges } => {
            ranges.iter().any(|(first, last)| (*first..=*last).contains(&char)) != *negated
        }
    }
}

fn parts(pattern: &str, escape: Option<char>) -> Vec<Part> {
    let chars: Vec<char> = pattern.chars().collect();
    let mut parts = Vec::new();
    let mut at = 0;
    while let Some(&char) = chars.get(at) {
        at += 1;
        parts.push(match char {
            _ if Some(char) == escape => {
                at += 1;
                Part::Char(chars.get(at - 1).copied().unwrap_or(char))
            }
            '%' => Part::Any,
            '_' => Part::One,
            '[' => match chars[at..].iter().position(|&char| char == ']').filter(|&length| length > 0) {
                Some(length) => {
                    let inside = &chars[at..at + length];
                    at += length + 1;
                    set(inside)
                }
                None => Part::Char('['),
            },
            other => Part::Char(other),
        });
    }
    parts
}

fn set(inside: &[char]) -> Part {
    let (negated, mut rest) = match inside {
        ['^', rest @ ..] => (true, rest),
        all => (false, all),
    };
    let mut ranges = Vec::new();
    loop {
        rest = match rest {
            [first, '-', last, more @ ..] => {
                ranges.push((*first, *last));
                more
            }
            [one, more @ ..] => {
                ranges.push((*one, *one));
                more
            }
            [] => return Part::Set { negated, ranges },
        };
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn patterns_match_whole_texts() {
        for (text, pattern, expected) in [
            ("apple", "a%", true),
            ("apple", "%le", true),
            ("apple", "a_ple", true),
            ("apple", "%pp%", true),
            ("apple", "a_le", false),
            ("apple", "", false),
            ("", "%", true),
            ("abcabd", "%ab_", true),
            ("cat", "[bc]at", true),
            ("cat", "[^bc]at", false),
            ("cat", "[a-d]%", true),
            ("10%", "10!%", true),
            ("100", "10!%", false),
            ("a[b", "a[b", true),
        ] {
            assert_eq!(matches(text, pattern, Some('!')), Some(expected), "{text} {pattern}");
        }
    }
}
