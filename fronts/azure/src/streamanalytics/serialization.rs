//! How records are written: `{"type": "Json" | "Csv", "properties": …}` of inputs and outputs.

use millstream_catalog::RecordFormat;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::error::JobError;
use super::wire::{read, refuse_others};

/// Delimiters that the service takes.
const DELIMITERS: [&str; 5] = [",", ";", " ", "\t", "|"];

/// What a serialization says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Serialization {
    pub(super) format: RecordFormat,
    /// Whether JSON rows stand in an array instead of one a line.
    pub(super) array: bool,
}

#[derive(Deserialize)]
struct Body {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    properties: Properties,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Properties {
    encoding: Option<String>,
    format: Option<String>,
    field_delimiter: Option<String>,
    #[serde(flatten)]
    others: Map<String, Value>,
}

impl Serialization {
    /// Reads a serialization; without one, JSON by lines.
    pub(super) fn parse(place: &str, document: Option<Value>) -> Result<Self, JobError> {
        let Some(document) = document else { return Ok(Self { format: RecordFormat::Json, array: false }) };
        let place = format!("the serialization of {place}");
        let Body { kind, properties } = read(&place, document)?;
        refuse_others(&place, &properties.others, &[])?;
        if let Some(encoding) = properties.encoding.filter(|encoding| !encoding.eq_ignore_ascii_case("UTF8")) {
            return Err(JobError::invalid(format!("{place}: expected the encoding UTF8, found `{encoding}`")));
        }
        match kind.to_ascii_lowercase().as_str() {
            "json" => match properties.format.as_deref() {
                None | Some("LineSeparated") => Ok(Self { format: RecordFormat::Json, array: false }),
                Some("Array") => Ok(Self { format: RecordFormat::Json, array: true }),
                Some(other) => {
                    Err(JobError::invalid(format!("{place}: expected LineSeparated or Array, found `{other}`")))
                }
            },
            "csv" => {
                let delimiter = properties.field_delimiter.unwrap_or_else(|| DELIMITERS[0].to_owned());
                if !DELIMITERS.contains(&delimiter.as_str()) {
                    let expected = "expected a comma, semicolon, space, tab or bar between fields";
                    return Err(JobError::invalid(format!("{place}: {expected}, found `{delimiter}`")));
                }
                Ok(Self { format: RecordFormat::Csv { delimiter }, array: false })
            }
            _ => Err(JobError::unsupported(&format!("{place}: `{kind}`"))),
        }
    }

    /// The serialization of an output, or of an input with `is_input`, where lines and arrays are both read.
    pub(super) fn document(&self, is_input: bool) -> Value {
        match &self.format {
            RecordFormat::Csv { delimiter } => {
                json!({ "type": "Csv", "properties": { "fieldDelimiter": delimiter, "encoding": "UTF8" } })
            }
            RecordFormat::Json if is_input => json!({ "type": "Json", "properties": { "encoding": "UTF8" } }),
            RecordFormat::Json => {
                let format = if self.array { "Array" } else { "LineSeparated" };
                json!({ "type": "Json", "properties": { "encoding": "UTF8", "format": format } })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serializations_come_and_go() {
        let csv = |delimiter: &str| json!({ "type": "Csv", "properties": { "fieldDelimiter": delimiter, "encoding": "UTF8" } });
        let line = json!({ "type": "Json", "properties": { "encoding": "UTF8", "format": "LineSeparated" } });
        let array = json!({ "type": "Json", "properties": { "encoding": "UTF8", "format": "Array" } });
        for document in [csv(","), csv("|"), line.clone(), array] {
            let parsed = Serialization::parse("it", Some(document.clone())).unwrap();
            assert_eq!(parsed.document(false), document);
        }
        assert_eq!(Serialization::parse("it", None).unwrap().document(false), line);
        for wrong in [
            json!({ "type": "Avro" }),
            json!({ "type": "Json", "properties": { "encoding": "UTF16" } }),
            json!({ "type": "Json", "properties": { "format": "Lines" } }),
            csv("x"),
            json!({ "type": "Csv", "properties": { "header": true } }),
        ] {
            assert!(Serialization::parse("it", Some(wrong.clone())).is_err(), "{wrong}");
        }
    }
}
