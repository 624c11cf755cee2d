//! Words, literals and signs of a query's text.

use serde_json::{Number, Value};

use super::error::QueryError;

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Token {
    pub kind: Kind,
    /// Bytes from the text's beginning.
    pub at: usize,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    /// A keyword or an identifier; which of them is the parser's to say.
    Word(String),
    Text(String),
    Number(Number),
    /// `@name`, with the sign.
    Parameter(String),
    Sign(&'static str),
    End,
}

/// Longest first, so that `<=` is not read as `<`.
const SIGNS: [&str; 34] = [
    ">>>", "<=", ">=", "!=", "<>", "||", "??", "<<", ">>", "(", ")", "[", "]", "{", "}", ",", ".", ":", "?", "=", "<",
    ">", "+", "-", "*", "/", "%", "&", "|", "^", "~", "!", ";", "$",
];

/// All tokens of a text; the last is [`Kind::End`].
pub(super) fn tokens(text: &str) -> Result<Vec<Token>, QueryError> {
    let mut tokens = Vec::new();
    let mut at = 0;
    loop {
        at = blank_end(text, at);
        let Some(first) = text[at..].chars().next() else {
            tokens.push(Token { kind: Kind::End, at });
            return Ok(tokens);
        };
        let (kind, end) = match first {
            '\'' | '"' => quoted(text, at, first)?,
            '0'..='9' => number(text, at)?,
            '.' if text[at + 1..].starts_with(|next: char| next.is_ascii_digit()) => number(text, at)?,
            '@' => {
                let end = word_end(text, at + 1);
                (Kind::Parameter(text[at..end].to_owned()), end)
            }
            _ if is_word(first) => {
                let end = word_end(text, at);
                (Kind::Word(text[at..end].to_owned()), end)
            }
            _ => match SIGNS.into_iter().find(|sign| text[at..].starts_with(sign)) {
                Some(sign) => (Kind::Sign(sign), at + sign.len()),
                None => return Err(unexpected(first.to_string(), at, "a word, a literal or an operator")),
            },
        };
        tokens.push(Token { kind, at });
        at = end;
    }
}

pub(super) fn unexpected(found: String, at: usize, expected: &str) -> QueryError {
    QueryError::Syntax { found, at, expected: expected.to_owned() }
}

fn is_word(char: char) -> bool {
    char.is_alphanumeric() || char == '_'
}

fn word_end(text: &str, from: usize) -> usize {
    text[from..].find(|char| !is_word(char)).map_or(text.len(), |length| from + length)
}

/// Behind blanks and `--` comments.
fn blank_end(text: &str, mut at: usize) -> usize {
    loop {
        let rest = &text[at..];
        let trimmed = rest.trim_start();
        at += rest.len() - trimmed.len();
        if !trimmed.starts_with("--") {
            return at;
        }
        at += trimmed.find('\n').unwrap_or(trimmed.len());
    }
}

fn number(text: &str, at: usize) -> Result<(Kind, usize), QueryError> {
    let bytes = text.as_bytes();
    let digits = |mut from: usize| {
        while bytes.get(from).is_some_and(u8::is_ascii_digit) {
            from += 1;
        }
        from
    };
    let mut end = digits(at);
    if bytes.get(end) == Some(&b'.') {
        end = digits(end + 1);
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        let exponent = digits(end + 1 + sign);
        if exponent > end + 1 + sign {
            end = exponent;
        }
    }
    let found = &text[at..end];
    let number = match found.parse::<i64>() {
        Ok(whole) => Some(Number::from(whole)),
        Err(_) => found.parse::<f64>().ok().and_then(Number::from_f64),
    };
    number.map(|number| (Kind::Number(number), end)).ok_or_else(|| unexpected(found.to_owned(), at, "a number"))
}

/// A text in single or double quotes, with the escapes of JSON and `\'`.
fn quoted(text: &str, at: usize, quote: char) -> Result<(Kind, usize), QueryError> {
    let mut out = String::new();
    let mut chars = text[at + 1..].char_indices();
    while let Some((offset, char)) = chars.next() {
        match char {
            _ if char == quote => return Ok((Kind::Text(out), at + 1 + offset + 1)),
            '\\' => match chars.next() {
                Some((from, 'u')) => {
                    let from = at + 1 + from + 1;
                    let (decoded, digits) = unicode(&text[from..]).ok_or_else(|| {
                        unexpected(text[from..].chars().take(4).collect(), from, "four hexadecimal digits")
                    })?;
                    out.push(decoded);
                    for _ in 0..digits {
                        chars.next();
                    }
                }
                Some((_, escaped)) => out.push(match escaped {
                    'n' => '\n',
                    't' => '\t',
                    'r' => '\r',
                    'b' => '\u{8}',
                    'f' => '\u{c}',
                    other => other,
                }),
                None => break,
            },
            other => out.push(other),
        }
    }
    Err(unexpected(text[at..].chars().take(20).collect(), at, "the text's closing quote"))
}

/// The character of `XXXX`, or of `XXXX\uYYYY` for a pair, and how many characters it took: JSON's own rule.
fn unicode(rest: &str) -> Option<(char, usize)> {
    let unit = |from: usize| u32::from_str_radix(rest.get(from..from + 4)?, 16).ok();
    let pair = rest.get(4..6) == Some("\\u");
    let taken = if pair && (0xd800..0xdc00).contains(&unit(0)?) { 10 } else { 4 };
    let json = format!("\"\\u{}\"", rest.get(..taken)?);
    let decoded: Value = serde_json::from_str(&json).ok()?;
    decoded.as_str()?.chars().next().map(|char| (char, taken))
}
