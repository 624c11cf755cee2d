//! An answer before it is known in which protocol it goes out, and a form before it is known what it means. Pure.

use ciborium::Value as Cbor;
use jiff::Timestamp;
use millstream_http::xml::Element;
use millstream_types::Millis;
use serde_json::{Map, Value, json};

use crate::cbor_protocol::EPOCH_TAG;
use crate::query_protocol::Parameters;

/// A value of an answer. The three protocols differ in how they write times and lists.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Document {
    Text(String),
    Number(f64),
    Time(Millis),
    List(Vec<Document>),
    Structure(Vec<(&'static str, Document)>),
}

impl Document {
    pub(super) fn text(text: &str) -> Self {
        Self::Text(text.to_owned())
    }

    pub(super) fn to_json(&self) -> Value {
        match self {
            Self::Text(text) => json!(text),
            Self::Number(number) => json!(number),
            Self::Time(time) => json!(seconds(*time)),
            Self::List(items) => items.iter().map(Self::to_json).collect(),
            Self::Structure(members) => {
                let members = members.iter().map(|(name, value)| ((*name).to_owned(), value.to_json()));
                Value::Object(members.collect::<Map<_, _>>())
            }
        }
    }

    pub(super) fn to_cbor(&self) -> Cbor {
        match self {
            Self::Text(text) => Cbor::Text(text.clone()),
            Self::Number(number) => Cbor::Float(*number),
            Self::Time(time) => Cbor::Tag(EPOCH_TAG, Box::new(Cbor::Float(seconds(*time)))),
            Self::List(items) => Cbor::Array(items.iter().map(Self::to_cbor).collect()),
            Self::Structure(members) => Cbor::Map(
                members.iter().map(|(name, value)| (Cbor::Text((*name).to_owned()), value.to_cbor())).collect(),
            ),
        }
    }

    /// Writes the members of a structure as children.
    pub(super) fn write_xml(&self, parent: &mut Element) {
        let Self::Structure(members) = self else { return };
        for (name, value) in members {
            value.write_member(parent, name);
        }
    }

    fn write_member(&self, parent: &mut Element, name: &str) {
        match self {
            Self::Text(text) => parent.text(name, text),
            Self::Number(number) => parent.text(name, &number.to_string()),
            Self::Time(time) => parent.text(name, &Timestamp::from_millisecond(*time).unwrap_or_default().to_string()),
            Self::List(items) => {
                parent.child(name, |list| items.iter().for_each(|item| item.write_member(list, "member")))
            }
            Self::Structure(_) => parent.child(name, |child| self.write_xml(child)),
        }
    }
}

fn seconds(time: Millis) -> f64 {
    time as f64 / 1_000.0
}

/// A form's dotted names as JSON: `A.member.1.B=x` is `{"A": [{"B": "x"}]}`. All leaves are texts.
pub(super) fn of_form(parameters: &Parameters) -> Value {
    let mut structure = Map::new();
    for (path, text) in parameters.iter() {
        let name = path.split('.').next().unwrap_or(path);
        if structure.contains_key(name) {
            continue;
        }
        let inner = parameters.under(name);
        let items = parameters.structures(name);
        let value = match (items.is_empty(), inner.is_empty()) {
            (true, true) => json!(text),
            (true, false) => of_form(&inner),
            (false, _) => {
                items.iter().map(|item| item.get("").map_or_else(|| of_form(item), |text| json!(text))).collect()
            }
        };
        structure.insert(name.to_owned(), value);
    }
    Value::Object(structure)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_become_structures() {
        let form = "Namespace=N&MetricData.member.1.MetricName=a&MetricData.member.1.Dimensions.member.1.Name=d\
                    &MetricData.member.1.StatisticValues.Sum=3&Statistics.member.1=Sum&Statistics.member.2=Average";
        assert_eq!(
            of_form(&Parameters::parse(form.as_bytes()).unwrap()),
            json!({
                "Namespace": "N",
                "MetricData": [{ "MetricName": "a", "Dimensions": [{ "Name": "d" }], "StatisticValues": { "Sum": "3" } }],
                "Statistics": ["Sum", "Average"],
            })
        );
    }

    #[test]
    fn answers_are_written_in_three_ways() {
        let answer = Document::Structure(vec![
            ("Label", Document::text("a")),
            ("Points", Document::List(vec![Document::Structure(vec![("Time", Document::Time(1_500))])])),
        ]);
        assert_eq!(answer.to_json(), json!({ "Label": "a", "Points": [{ "Time": 1.5 }] }));
        let written = millstream_http::xml::document("R", &[], |root| answer.write_xml(root));
        let expected = "<R><Label>a</Label><Points><member><Time>1970-01-01T00:00:01.5Z</Time></member></Points></R>";
        assert!(String::from_utf8_lossy(&written).ends_with(expected), "{written:?}");
        let Cbor::Map(members) = answer.to_cbor() else { panic!("expected a map") };
        assert_eq!(members.len(), 2);
    }
}
