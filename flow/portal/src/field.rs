//! What may stand in the fields of forms: so long, on so many lines, and nothing that cannot be seen.

use crate::error::PortalError;

/// What a field may hold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    chars_min: usize,
    chars_max: usize,
    lines: bool,
}

impl Limits {
    /// One line.
    pub(crate) fn line(chars_min: usize, chars_max: usize) -> Self {
        Self { chars_min, chars_max, lines: false }
    }

    /// Any number of lines, none too.
    pub(crate) fn text(chars_max: usize) -> Self {
        Self { chars_min: 0, chars_max, lines: true }
    }
}

/// The field's text without what surrounds it.
pub(crate) fn checked(field: &'static str, text: &str, limits: Limits) -> Result<String, PortalError> {
    let text = text.trim();
    let wrong = |expected: String| Err(PortalError::Field { field, expected });
    let chars = text.chars().count();
    if chars < limits.chars_min || chars > limits.chars_max {
        return wrong(format!("{} to {} characters", limits.chars_min, limits.chars_max));
    }
    let odd = |char: char| char.is_control() && !(limits.lines && matches!(char, '\n' | '\r' | '\t'));
    if text.chars().any(odd) {
        return wrong("no control characters".to_owned());
    }
    Ok(text.to_owned())
}

/// An e-mail address in the form in which accounts are found: lower case.
pub(crate) fn email(text: &str) -> Result<String, PortalError> {
    let text = text.trim().to_lowercase();
    let parts = text.split_once('@').filter(|(local, domain)| {
        !local.is_empty() && domain.len() >= 3 && !domain.contains('@') && domain.trim_matches('.') == *domain
    });
    let visible = text.chars().all(|char| !char.is_control() && !char.is_whitespace());
    if parts.is_none() || !visible || text.len() > 254 {
        return Err(PortalError::Field { field: "e-mail", expected: "an address like you@example.org".to_owned() });
    }
    Ok(text)
}

/// A name that can be part of an address.
pub(crate) fn slug(field: &'static str, text: &str) -> Result<String, PortalError> {
    let allowed = |char: char| char.is_ascii_lowercase() || char.is_ascii_digit() || matches!(char, '-' | '_' | '.');
    let text = text.trim();
    let ends = |char: Option<char>| char.is_some_and(|char| char.is_ascii_alphanumeric());
    if text.len() > 60 || !text.chars().all(allowed) || !ends(text.chars().next()) || !ends(text.chars().last()) {
        let expected =
            "1 to 60 small letters, digits, `-`, `_` and `.`, with a letter or digit at both ends".to_owned();
        return Err(PortalError::Field { field, expected });
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_checked() {
        assert_eq!(email(" You@Example.ORG ").unwrap(), "you@example.org");
        assert_eq!(email("<script>alert(1)</script>@x.yz").unwrap(), "<script>alert(1)</script>@x.yz");
        for text in
            ["", "a", "a@", "@b.cd", "a@b@c.de", "a b@c.de", "a@.cd", "a@cd\n.de", &format!("{}@b.cd", "x".repeat(250))]
        {
            assert!(email(text).is_err(), "{text}");
        }
        assert_eq!(checked("x", " a ", Limits::line(1, 1)).unwrap(), "a");
        assert!(checked("x", "a\nb", Limits::line(1, 9)).is_err() && checked("x", "a\nb", Limits::text(9)).is_ok());
        assert!(checked("x", "", Limits::line(1, 9)).is_err() && checked("x", "abc", Limits::text(2)).is_err());
        assert!(
            slug("x", "a-1").is_ok() && slug("x", "-a").is_err() && slug("x", "A").is_err() && slug("x", "").is_err()
        );
    }
}
