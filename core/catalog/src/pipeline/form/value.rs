//! From what was typed into a field to its value in TOML. Pure; what is typed cannot leave its place.

use super::{Entry, Field};

/// A field's value as TOML.
pub(super) fn written(field: &Field, text: &str) -> Result<String, String> {
    match field.entry {
        Entry::Text | Entry::Code => Ok(quoted(text)),
        Entry::Delimiter => Ok(quoted(delimiter(text))),
        Entry::Number => match text.parse::<i64>() {
            Ok(number) => Ok(number.to_string()),
            Err(_) => Err(format!("expected a whole number, found `{text}`")),
        },
        Entry::Decimal => match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(format!("{number:?}")),
            _ => Err(format!("expected a number such as 2.5, found `{text}`")),
        },
        Entry::Choice(words) if words.contains(&text) => Ok(quoted(text)),
        Entry::Choice(words) => {
            let words: Vec<&str> = words.iter().copied().filter(|word| !word.is_empty()).collect();
            Err(format!("expected one of {}, found `{text}`", words.join(", ")))
        }
        Entry::Switch => match text {
            "true" | "on" | "yes" => Ok("true".to_owned()),
            "false" | "no" => Ok("false".to_owned()),
            other => Err(format!("expected true or false, found `{other}`")),
        },
        Entry::Words => Ok(words(text)),
        Entry::Texts => Ok(format!("[{}]", filled_lines(text).map(quoted).collect::<Vec<_>>().join(", "))),
        Entry::Lines => Ok(lines(text)),
        Entry::Columns => columns(text),
        Entry::Pairs => pairs(text),
        Entry::Conditions => conditions(text),
        Entry::Statements => statements(text),
    }
}

/// Delimiters that cannot be seen, and what they are called.
const DELIMITERS: [(&str, &str); 2] = [("\t", "tab"), (" ", "space")];

fn delimiter(text: &str) -> &str {
    DELIMITERS.iter().find(|(_, name)| *name == text).map_or(text, |(delimiter, _)| delimiter)
}

/// A delimiter as a field has it.
pub(super) fn delimiter_name(delimiter: &str) -> &str {
    DELIMITERS.iter().find(|(known, _)| *known == delimiter).map_or(delimiter, |(_, name)| name)
}

/// Words with commas between them, as an array.
fn words(text: &str) -> String {
    let words = text.split([',', '\n']).map(str::trim).filter(|word| !word.is_empty()).map(quoted);
    format!("[{}]", words.collect::<Vec<_>>().join(", "))
}

fn filled_lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty())
}

/// `NAME TYPE [PATH]`, one a line.
fn columns(text: &str) -> Result<String, String> {
    let mut columns = Vec::new();
    for line in filled_lines(text) {
        let mut words = line.splitn(3, char::is_whitespace).map(str::trim);
        let (Some(name), Some(column_type), path) = (words.next(), words.next(), words.next()) else {
            return Err(format!("expected a column as `NAME TYPE` or `NAME TYPE PATH`, found `{line}`"));
        };
        let path = path.map(|path| format!(", path = {}", quoted(path))).unwrap_or_default();
        columns.push(format!("{{ name = {}, type = {}{path} }}", quoted(name), quoted(column_type)));
    }
    Ok(format!("[{}]", columns.join(", ")))
}

/// `NAME=VALUE`, one a line.
fn pairs(text: &str) -> Result<String, String> {
    let mut pairs = Vec::new();
    for line in filled_lines(text) {
        let Some((name, value)) = line.split_once('=') else {
            return Err(format!("expected `NAME=VALUE`, found `{line}`"));
        };
        pairs.push(format!("{} = {}", quoted(name.trim()), quoted(value.trim())));
    }
    Ok(format!("{{ {} }}", pairs.join(", ")))
}

/// `FIELD OPERATOR VALUE, VALUE`, one a line. Values of operators on texts are words; numbers, ranges (`[1, 5]`) and truth are
/// written as TOML has them.
fn conditions(text: &str) -> Result<String, String> {
    let mut conditions = Vec::new();
    for line in filled_lines(text) {
        let mut parts = line.splitn(3, char::is_whitespace).map(str::trim);
        let (Some(key), Some(operator)) = (parts.next(), parts.next()) else {
            return Err(format!("expected a condition as `FIELD OPERATOR VALUE, VALUE`, found `{line}`"));
        };
        let values = match parts.next() {
            None => String::new(),
            Some(texts) if operator.starts_with("String") => format!(", values = {}", words(texts)),
            Some(text) => match format!("it = [{text}]").parse::<toml::Table>().map(|mut table| table.remove("it")) {
                Ok(Some(toml::Value::Array(one))) if one.len() == 1 && !one[0].is_array() => {
                    format!(", value = {}", one[0])
                }
                Ok(Some(several)) => format!(", values = {several}"),
                _ => return Err(format!("expected numbers, ranges such as `[1, 5]`, true or false, found `{text}`")),
            },
        };
        conditions.push(format!("{{ key = {}, operator = {}{values} }}", quoted(key), quoted(operator)));
    }
    Ok(format!("[{}]", conditions.join(", ")))
}

/// `ACTION, ACTION on RESOURCE, RESOURCE`, one a line; without resources it is about all.
fn statements(text: &str) -> Result<String, String> {
    let mut statements = Vec::new();
    for line in filled_lines(text) {
        let (actions, resources) = line.split_once(" on ").unwrap_or((line, ""));
        if actions.split_whitespace().any(|word| !word.trim_matches(',').contains([':', '*'])) {
            return Err(format!("expected `ACTION, ACTION on RESOURCE, RESOURCE`, found `{line}`"));
        }
        let resources = match resources.trim() {
            "" => String::new(),
            resources => format!(", resources = {}", words(resources)),
        };
        statements.push(format!("{{ actions = {}{resources} }}", words(actions)));
    }
    Ok(format!("[{}]", statements.join(", ")))
}

/// Text of several lines: literal when it can be, so that it reads as it was typed.
fn lines(text: &str) -> String {
    let text = text.replace("\r\n", "\n");
    let literal = !text.contains("'''") && text.chars().all(|char| !char.is_control() || matches!(char, '\n' | '\t'));
    if literal { format!("'''\n{text}\n'''") } else { quoted(&text) }
}

/// A basic string of TOML.
pub(super) fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}
