//! Addresses: names in paths and values in queries, and where somebody may be led after a log-in.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What stays as it is in a path segment or a query value.
const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Characters of an address to go back to.
const NEXT_CHARS_MAX: usize = 500;

/// One segment of a path or one value of a query, whatever it holds.
pub fn segment(text: &str) -> String {
    utf8_percent_encode(text, KEPT).to_string()
}

/// An address of this portal to go to; the account's page when it leads elsewhere.
pub fn next(wanted: &str) -> &str {
    let own = wanted.starts_with('/')
        && !wanted.starts_with("//")
        && wanted.len() <= NEXT_CHARS_MAX
        && wanted.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    if own { wanted } else { "/account" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_led_elsewhere() {
        assert_eq!(next("/plans"), "/plans");
        for wanted in
            ["", "//evil.example", "/\\evil.example", "https://evil.example", "/a\r\nset-cookie: x", "/\t/evil", "/ä"]
        {
            assert_eq!(next(wanted), "/account", "{wanted}");
        }
        assert_eq!(segment("a/b?<ä>"), "a%2Fb%3F%3C%C3%A4%3E");
    }
}
