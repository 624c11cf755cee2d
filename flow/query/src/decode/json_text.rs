//! The letters of JSON: strings, numbers and words of a text, each checked. What they make together is [`super::json`]'s.

use std::borrow::Cow;
use std::ops::Range;

use super::column::Value;

/// Digits that a whole number of 64 bits has in any case.
const SHORT_DIGITS: usize = 18;
/// Digits that floating point holds in any case.
const FINITE_DIGITS: usize = 300;

/// A text and how far it was read.
pub(super) struct Cursor<'t> {
    pub(super) text: &'t str,
    /// The next byte.
    pub(super) at: usize,
    /// Where numbers stand that floating point does not hold.
    beyond: Vec<Range<usize>>,
}

impl<'t> Cursor<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { text, at: 0, beyond: Vec::new() }
    }

    /// The text of the value that was passed over since, with null for numbers beyond floating point, as columns of numbers
    /// have it: readers of JSON refuse them.
    pub(super) fn raw(&self, start: usize) -> Cow<'t, str> {
        let beyond = &self.beyond[self.beyond.partition_point(|number| number.start < start)..];
        if beyond.is_empty() {
            return Cow::Borrowed(&self.text[start..self.at]);
        }
        let (mut made, mut from) = (String::new(), start);
        for number in beyond {
            made.push_str(&self.text[from..number.start]);
            made.push_str("null");
            from = number.end;
        }
        made.push_str(&self.text[from..self.at]);
        Cow::Owned(made)
    }

    /// The next byte that is no blank.
    pub(super) fn peek(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        while let Some(&byte) = bytes.get(self.at) {
            if !matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
                return Some(byte);
            }
            self.at += 1;
        }
        None
    }

    pub(super) fn expected(&self, what: &str) -> String {
        let rest: String = self.text[self.at..].chars().take(20).collect();
        let found = if rest.is_empty() { "the end".to_owned() } else { format!("`{rest}`") };
        format!("not JSON at byte {}: expected {what}, found {found}", self.at)
    }

    pub(super) fn take(&mut self, byte: u8, what: &str) -> Result<(), String> {
        if self.peek() == Some(byte) {
            self.at += 1;
            return Ok(());
        }
        Err(self.expected(what))
    }

    pub(super) fn word(&mut self, word: &str) -> Result<(), String> {
        if self.text[self.at..].starts_with(word) {
            self.at += word.len();
            return Ok(());
        }
        Err(self.expected(word))
    }

    /// A string; only one with escapes is copied.
    pub(super) fn string(&mut self) -> Result<Cow<'t, str>, String> {
        let bytes = self.text.as_bytes();
        let start = self.at + 1;
        let mut at = start;
        loop {
            match bytes.get(at) {
                Some(b'"') => {
                    self.at = at + 1;
                    return Ok(Cow::Borrowed(&self.text[start..at]));
                }
                Some(b'\\') => break,
                Some(0..0x20) => {
                    self.at = at;
                    return Err(self.expected("an escaped control character"));
                }
                Some(_) => at += 1,
                None => {
                    self.at = bytes.len();
                    return Err(self.expected("`\"`"));
                }
            }
        }
        let mut text = self.text[start..at].to_owned();
        self.at = at;
        self.escaped(&mut text)?;
        Ok(Cow::Owned(text))
    }

    /// The rest of a string from its first escape on.
    fn escaped(&mut self, text: &mut String) -> Result<(), String> {
        loop {
            let rest = &self.text[self.at..];
            let Some(char) = rest.chars().next() else { return Err(self.expected("`\"`")) };
            match char {
                '"' => {
                    self.at += 1;
                    return Ok(());
                }
                '\\' => {
                    self.at += 1;
                    text.push(self.escape()?);
                }
                char if char < ' ' => return Err(self.expected("an escaped control character")),
                char => {
                    text.push(char);
                    self.at += char.len_utf8();
                }
            }
        }
    }

    fn escape(&mut self) -> Result<char, String> {
        let byte = self.text.as_bytes().get(self.at).copied();
        self.at += usize::from(byte.is_some_and(|byte| byte.is_ascii()));
        Ok(match byte {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode(),
            _ => return Err(self.expected("an escape")),
        })
    }

    fn unicode(&mut self) -> Result<char, String> {
        let first = self.hex()?;
        let code = match first {
            0xd800..=0xdbff if self.text[self.at..].starts_with("\\u") => {
                self.at += 2;
                let second = self.hex()?;
                if !(0xdc00..=0xdfff).contains(&second) {
                    return Err(self.expected("the second half of a surrogate pair"));
                }
                0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00)
            }
            code => code,
        };
        char::from_u32(code).ok_or_else(|| self.expected("both halves of a surrogate pair"))
    }

    fn hex(&mut self) -> Result<u32, String> {
        let digits =
            self.text.get(self.at..self.at + 4).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let value = digits
            .and_then(|digits| u32::from_str_radix(digits, 16).ok())
            .ok_or_else(|| self.expected("four hex digits"))?;
        self.at += 4;
        Ok(value)
    }

    /// A number in JSON's own form. Integers that do not fit 64 bits are floating point.
    pub(super) fn number(&mut self) -> Result<Value<'t>, String> {
        let (start, form) = (self.at, self.number_form()?);
        let text = &self.text.as_bytes()[start..self.at];
        if form == Form::Whole && text.len() <= SHORT_DIGITS {
            let (negative, digits) = text.split_first().map_or((false, text), |(first, rest)| match first {
                b'-' => (true, rest),
                _ => (false, text),
            });
            let int = digits.iter().fold(0, |int, digit| int * 10 + i64::from(digit - b'0'));
            return Ok(Value::Int(if negative { -int } else { int }));
        }
        match lexical_core::parse::<i64>(text) {
            Ok(int) if form == Form::Whole => Ok(Value::Int(int)),
            _ => self.float(start).map(Value::Float),
        }
    }

    /// The number that begins at `start` and ends here, as floating point.
    fn float(&mut self, start: usize) -> Result<f64, String> {
        match lexical_core::parse::<f64>(&self.text.as_bytes()[start..self.at]) {
            Ok(float) => {
                if float.is_infinite() {
                    self.beyond.push(start..self.at);
                }
                Ok(float)
            }
            Err(_) => {
                self.at = start;
                Err(self.expected("a number"))
            }
        }
    }

    /// A number of which only counts whether floating point holds it.
    pub(super) fn skip_number(&mut self) -> Result<(), String> {
        let (start, form) = (self.at, self.number_form()?);
        if form == Form::Exponent || self.at - start > FINITE_DIGITS {
            self.float(start)?;
        }
        Ok(())
    }

    /// Passes over a number, which begins here.
    fn number_form(&mut self) -> Result<Form, String> {
        let bytes = self.text.as_bytes();
        let start = self.at;
        let mut at = start + usize::from(bytes[start] == b'-');
        let integer = digits(bytes, at);
        if integer == at || (bytes[at] == b'0' && integer - at > 1) {
            return Err(self.expected("a number"));
        }
        at = integer;
        let mut form = Form::Whole;
        if bytes.get(at) == Some(&b'.') {
            form = Form::Fraction;
            let end = digits(bytes, at + 1);
            if end == at + 1 {
                return Err(self.expected("a number"));
            }
            at = end;
        }
        if let Some(b'e' | b'E') = bytes.get(at) {
            form = Form::Exponent;
            let sign = usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
            let end = digits(bytes, at + 1 + sign);
            if end == at + 1 + sign {
                return Err(self.expected("a number"));
            }
            at = end;
        }
        self.at = at;
        Ok(form)
    }
}

/// How a number is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Whole,
    Fraction,
    Exponent,
}

/// Where a run of digits ends.
fn digits(bytes: &[u8], from: usize) -> usize {
    bytes[from.min(bytes.len())..]
        .iter()
        .position(|byte| !byte.is_ascii_digit())
        .map_or(bytes.len(), |length| from + length)
}
