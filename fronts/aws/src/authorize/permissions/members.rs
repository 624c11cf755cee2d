//! The members of a JSON body, read only as far as somebody asks for one.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;

/// Members by their names; none when the body is no JSON object.
pub(super) struct Members(BTreeMap<String, Box<RawValue>>);

impl Members {
    pub(super) fn read(body: &[u8]) -> Self {
        Self(serde_json::from_slice(body).unwrap_or_default())
    }

    /// A member that is a text.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.parsed(name)
    }

    /// All texts of a name, however deep they lie; empty ones are none.
    pub(super) fn texts_within(&self, name: &str) -> Vec<String> {
        fn collect(value: &Value, name: &str, found: &mut Vec<String>) {
            match value {
                Value::Array(items) => items.iter().for_each(|item| collect(item, name, found)),
                Value::Object(members) => members.iter().for_each(|(key, member)| match member {
                    Value::String(text) if key == name && !text.is_empty() => found.push(text.clone()),
                    member => collect(member, name, found),
                }),
                _ => {}
            }
        }
        let mut found: Vec<String> = self.text(name).filter(|text| !text.is_empty()).into_iter().collect();
        let members = self.0.keys().filter_map(|key| self.parsed::<Value>(key));
        members.for_each(|member| collect(&member, name, &mut found));
        found
    }

    /// A member as a type; `None` also when it is none.
    pub(super) fn parsed<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        serde_json::from_str(self.0.get(name)?.get()).ok()
    }
}
