//! Log formats of web servers as patterns: `%h %l %u %t "%r" %>s %b`.
//!
//! Source: the formats and specifiers that the page of `W3C_LOG_PARSE` lists, which are those of Apache's `mod_log_config`.

use regex::Regex;

/// The formats that have a name.
const NAMED: [(&str, &str); 5] = [
    ("COMMON", r#"%h %l %u %t "%r" %>s %b"#),
    ("COMMON WITH VHOST", r#"%v %h %l %u %t "%r" %>s %b"#),
    ("NCSA EXTENDED", r#"%h %l %u %t "%r" %>s %b "%[Referer]i" "%[User-agent]i""#),
    ("REFERER", "%[Referer]i ---> %U"),
    ("AGENT", "%[User-agent]i"),
];

/// What specifiers stand for that never has a blank in it.
const WORDS: &str = "aAbBDhHIlmOpPqsTuUvVX";
/// What they stand for that may have.
const TEXTS: &str = "Cefinor";

/// The pattern of a format: a group for each specifier.
pub(super) fn pattern(format: &str) -> Result<Regex, String> {
    let name = format.trim();
    if name.eq_ignore_ascii_case("IIS") {
        return Err("not supported yet: the format IIS; write its specifiers".to_owned());
    }
    let named = NAMED.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
    let mut rest = named.map_or(format, |(_, format)| *format);
    let (mut pattern, mut quoted, mut groups) = (String::new(), false, 0);
    while let Some(character) = rest.chars().next() {
        rest = &rest[character.len_utf8()..];
        if character == '%' && !rest.starts_with('%') {
            let (letter, behind) = specifier(rest, format)?;
            rest = behind;
            groups += 1;
            pattern.push_str(group(letter, quoted, format)?);
            continue;
        }
        rest = if character == '%' { &rest[1..] } else { rest };
        // Formats are also written with their quotes escaped.
        let skipped = character == '\\' && rest.starts_with('"');
        quoted ^= character == '"';
        if !skipped {
            pattern.push_str(&regex::escape(character.encode_utf8(&mut [0; 4])));
        }
    }
    if groups == 0 {
        let names = NAMED.map(|(name, _)| name).join(", ");
        return Err(format!("expected a format of specifiers such as %h, or one of {names}; found `{format}`"));
    }
    super::whole(&pattern)
}

/// The letter of a specifier, whose modifiers (`>`, `400,501`, `[Referer]`) do not count, and what is behind it.
fn specifier<'f>(rest: &'f str, format: &str) -> Result<(char, &'f str), String> {
    let mut rest = rest.trim_start_matches(|character: char| character.is_ascii_digit() || "!,<>".contains(character));
    for (open, close) in [('[', ']'), ('{', '}')] {
        if let Some(inner) = rest.strip_prefix(open) {
            let (_, behind) = inner.split_once(close).ok_or_else(|| format!("expected `{close}` in `{format}`"))?;
            rest = behind;
        }
    }
    let letter = rest.chars().next().ok_or_else(|| format!("expected a letter behind `%` in `{format}`"))?;
    Ok((letter, &rest[letter.len_utf8()..]))
}

fn group(letter: char, quoted: bool, format: &str) -> Result<&'static str, String> {
    match letter {
        // A quote in a quoted value is escaped.
        _ if quoted && (WORDS.contains(letter) || TEXTS.contains(letter)) => Ok(r#"((?:[^"\\]|\\.)*)"#),
        't' => Ok(r"(\[[^\]]*\])"),
        letter if WORDS.contains(letter) => Ok(r"(\S*)"),
        letter if TEXTS.contains(letter) => Ok("(.*?)"),
        letter => Err(format!("there is no specifier `%{letter}`, found in `{format}`")),
    }
}
