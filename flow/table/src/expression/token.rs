//! Cuts an expression's text into tokens. Knows no grammar.

use crate::error::ExpressionError;

/// A piece of an expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A bare word: keyword, function or attribute name.
    Word,
    /// `#name`.
    Name,
    /// `:value`.
    Value,
    /// Digits, as in `[3]`.
    Digits,
    /// `= <> < <= > >= ( ) [ ] , . + -`.
    Symbol,
    /// Behind the last.
    End,
}

/// A token and where its text lies.
#[derive(Debug, Clone, Copy)]
pub(super) struct Token {
    pub kind: Kind,
    pub start: usize,
    pub end: usize,
}

/// The tokens of a text, with an [`Kind::End`] behind them.
pub(super) fn tokens(text: &str) -> Result<Vec<Token>, ExpressionError> {
    let bytes = text.as_bytes();
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let start = at;
        let kind = match byte {
            b' ' | b'\t' | b'\r' | b'\n' => {
                at += 1;
                continue;
            }
            b'#' => Kind::Name,
            b':' => Kind::Value,
            b'0'..=b'9' => Kind::Digits,
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => Kind::Word,
            b'<' | b'>' | b'=' | b'(' | b')' | b'[' | b']' | b',' | b'.' | b'+' | b'-' => Kind::Symbol,
            _ => {
                let token = text[at..].chars().next().map(String::from).unwrap_or_default();
                return Err(ExpressionError::Syntax { near: near(text, &tokens, at + token.len()), token });
            }
        };
        at += 1;
        let rest = &bytes[at..];
        at += match kind {
            Kind::Name | Kind::Value | Kind::Word => {
                rest.iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count()
            }
            Kind::Digits => rest.iter().take_while(|byte| byte.is_ascii_digit()).count(),
            Kind::Symbol => usize::from(matches!((byte, rest.first()), (b'<', Some(b'>' | b'=')) | (b'>', Some(b'=')))),
            Kind::End => 0,
        };
        tokens.push(Token { kind, start, end: at });
    }
    tokens.push(Token { kind: Kind::End, start: text.len(), end: text.len() });
    Ok(tokens)
}

/// The text from the last token on, up to `end`.
fn near(text: &str, tokens: &[Token], end: usize) -> String {
    let start = tokens.last().map_or(0, |token| token.start);
    text[start..end].to_owned()
}
