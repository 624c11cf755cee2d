//! Texts with wildcards (`*`, `?`) and variables (`${aws:username}`, `${aws:username, 'nobody'}`), compared in a time that
//! is bounded by the product of both lengths.

use std::borrow::Cow;

use super::request::Context;

/// A text to compare with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Pattern {
    /// The same for every request.
    Fixed(Vec<Token>),
    /// With variables.
    Varying(Vec<Part>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    Token(Token),
    Variable { key: String, default: Option<String> },
}

/// What one place of a text is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token {
    /// This character.
    Char(char),
    /// Any one character.
    One,
    /// Any characters, none too.
    Any,
}

/// Which signs mean something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Syntax {
    pub(super) wildcards: bool,
    pub(super) variables: bool,
}

impl Pattern {
    /// Reads a pattern; the error completes the sentence "the text …".
    pub(super) fn parse(text: &str, syntax: Syntax) -> Result<Self, String> {
        let mut parts = Vec::with_capacity(text.len());
        let mut rest = text;
        while let Some(char) = rest.chars().next() {
            if syntax.variables && rest.starts_with("${") {
                let (inside, behind) = rest[2..]
                    .split_once('}')
                    .ok_or_else(|| format!("`{text}` begins a variable with `${{` that no `}}` ends"))?;
                parts.push(variable(inside).ok_or_else(|| format!("`{text}` has the wrong variable `${{{inside}}}`"))?);
                rest = behind;
                continue;
            }
            let token = match char {
                '*' if syntax.wildcards => Token::Any,
                '?' if syntax.wildcards => Token::One,
                char => Token::Char(char),
            };
            // Two in a row mean the same as one.
            if token != Token::Any || parts.last() != Some(&Part::Token(Token::Any)) {
                parts.push(Part::Token(token));
            }
            rest = &rest[char.len_utf8()..];
        }
        let fixed = parts.iter().map(|part| match part {
            Part::Token(token) => Some(*token),
            Part::Variable { .. } => None,
        });
        Ok(fixed.collect::<Option<_>>().map_or(Self::Varying(parts), Self::Fixed))
    }

    /// Whether the whole text is as the pattern says. A variable that has no value matches nothing.
    pub(super) fn matches(&self, text: &str, context: &Context) -> bool {
        self.tokens(context).is_some_and(|tokens| matches(&tokens, text, false))
    }

    /// Whether it is a `*` alone.
    pub(super) fn is_any(&self) -> bool {
        *self == Self::Fixed(vec![Token::Any])
    }

    /// The same, with small and capital letters alike.
    pub(super) fn matches_ignoring_case(&self, text: &str, context: &Context) -> bool {
        self.tokens(context).is_some_and(|tokens| matches(&tokens, text, true))
    }

    /// The same for names of six parts between colons, each of which is compared by itself.
    pub(super) fn matches_name(&self, text: &str, context: &Context) -> bool {
        let Some(tokens) = self.tokens(context) else { return false };
        let wanted: Vec<&[Token]> = tokens.splitn(NAME_PARTS, |token| *token == Token::Char(':')).collect();
        let found: Vec<&str> = text.splitn(NAME_PARTS, ':').collect();
        wanted.len() == NAME_PARTS
            && found.len() == NAME_PARTS
            && wanted.iter().zip(found).all(|(wanted, found)| matches(wanted, found, false))
    }

    /// The pattern with the values of its variables, in which wildcards are plain characters.
    fn tokens(&self, context: &Context) -> Option<Cow<'_, [Token]>> {
        let parts = match self {
            Self::Fixed(tokens) => return Some(Cow::Borrowed(tokens)),
            Self::Varying(parts) => parts,
        };
        let mut tokens = Vec::with_capacity(parts.len());
        for part in parts {
            match part {
                Part::Token(token) => tokens.push(*token),
                Part::Variable { key, default } => {
                    let value = context.one(key).or(default.as_deref())?;
                    tokens.extend(value.chars().map(Token::Char));
                }
            }
        }
        Some(Cow::Owned(tokens))
    }
}

/// Parts of a resource's full name: `arn:partition:service:region:account:resource`.
const NAME_PARTS: usize = 6;

/// What stands between `${` and `}`.
fn variable(inside: &str) -> Option<Part> {
    if let "*" | "?" | "$" = inside {
        return inside.chars().next().map(|char| Part::Token(Token::Char(char)));
    }
    let (key, default) = match inside.split_once(',') {
        Some((key, default)) => {
            let quoted = default.trim().strip_prefix('\'')?.strip_suffix('\'')?;
            (key.trim(), Some(quoted.to_owned()))
        }
        None => (inside.trim(), None),
    };
    let allowed = |char: char| char.is_ascii_alphanumeric() || matches!(char, ':' | '/' | '-' | '_' | '.');
    (!key.is_empty() && key.chars().all(allowed)).then(|| Part::Variable { key: key.to_ascii_lowercase(), default })
}

/// Compares from left to right; after a mismatch the last `*` takes one character more, never an earlier one.
fn matches(tokens: &[Token], text: &str, ignore_case: bool) -> bool {
    let same = |one: char, other: char| one == other || (ignore_case && one.eq_ignore_ascii_case(&other));
    let (mut at, mut rest) = (0, text);
    let mut last_any: Option<(usize, &str)> = None;
    while let Some(char) = rest.chars().next() {
        let behind = &rest[char.len_utf8()..];
        match tokens.get(at) {
            Some(Token::Any) => {
                last_any = Some((at + 1, rest));
                at += 1;
            }
            Some(Token::One) => (at, rest) = (at + 1, behind),
            Some(Token::Char(wanted)) if same(*wanted, char) => (at, rest) = (at + 1, behind),
            _ => {
                let Some((after, from)) = last_any else { return false };
                let mut chars = from.chars();
                chars.next();
                last_any = Some((after, chars.as_str()));
                (at, rest) = (after, chars.as_str());
            }
        }
    }
    tokens[at..].iter().all(|token| *token == Token::Any)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALL: Syntax = Syntax { wildcards: true, variables: true };

    fn check(pattern: &str, text: &str, expected: bool) {
        let context = Context::default().with("aws:username", "anna").with("many", "1").with("many", "2");
        let found = Pattern::parse(pattern, ALL).unwrap().matches(text, &context);
        assert_eq!(found, expected, "{pattern} {text}");
    }

    #[test]
    fn wildcards_and_variables() {
        check("", "", true);
        check("*", "", true);
        check("a*c", "abbc", true);
        check("a*c", "abbd", false);
        check("a?c", "abc", true);
        check("a?c", "ac", false);
        check("*a*b*", "xxaxxbxx", true);
        check("*ab", "aab", true);
        check("**", "x", true);
        check("home/${aws:username}/*", "home/anna/x", true);
        check("home/${AWS:UserName}/*", "home/anna/x", true);
        check("home/${aws:username}/*", "home/ben/x", false);
        check("${aws:nobody}", "", false);
        check("${aws:nobody, 'x'}", "x", true);
        check("${many}", "1", false);
        check("${*}${?}${$}", "*?$", true);
        check("${*}", "x", false);
        check("ä?ü", "äöü", true);
    }

    #[test]
    fn broken_variables_are_named() {
        for text in ["${", "${aws:username", "${}", "${a b}", "${a, b}"] {
            assert!(Pattern::parse(text, ALL).is_err(), "{text}");
        }
        let plain = Pattern::parse("${a", Syntax { wildcards: false, variables: false }).unwrap();
        assert!(plain.matches("${a", &Context::default()));
    }

    #[test]
    fn full_names_are_compared_part_by_part() {
        let name =
            |pattern: &str, text: &str| Pattern::parse(pattern, ALL).unwrap().matches_name(text, &Context::default());
        assert!(name("arn:aws:sqs:*:*:jobs-*", "arn:aws:sqs:us-east-1:0:jobs-1"));
        assert!(!name("arn:aws:*:jobs", "arn:aws:sqs:us-east-1:0:jobs"));
        assert!(name("arn:aws:logs:*:*:log-group:x:*", "arn:aws:logs:r:0:log-group:x:y"));
    }

    #[test]
    fn wild_patterns_take_no_time() {
        let pattern = Pattern::parse(&"*a".repeat(1_000), ALL).unwrap();
        assert!(!pattern.matches(&"a".repeat(999), &Context::default()));
        assert!(!pattern.matches(&format!("{}b", "a".repeat(2_000)), &Context::default()));
    }

    /// The same, said slowly.
    fn slow(pattern: &[char], text: &[char]) -> bool {
        match (pattern.split_first(), text.split_first()) {
            (None, None) => true,
            (Some(('*', rest)), _) => slow(rest, text) || (!text.is_empty() && slow(pattern, &text[1..])),
            (Some(('?', rest)), Some((_, behind))) => slow(rest, behind),
            (Some((wanted, rest)), Some((found, behind))) => wanted == found && slow(rest, behind),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn the_quick_way_is_the_slow_way(pattern in "[ab*?]{0,8}", text in "[ab]{0,8}") {
            let quick = Pattern::parse(&pattern, ALL).unwrap().matches(&text, &Context::default());
            let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
            prop_assert_eq!(quick, slow(&pattern, &text));
        }
    }
}
