//! A form's parameters, and the lists, maps and structures that dotted names make of them. Pure.

use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;

use crate::json_protocol::ServiceError;

/// The most parameters a request may have: the largest request of these services, a batch of ten messages with ten
/// attributes each, has a tenth.
const PARAMETERS_MAX: usize = 4_096;

/// Parameters by their names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parameters(BTreeMap<String, String>);

impl Parameters {
    /// Reads a form; the last of a name wins.
    ///
    /// # Errors
    /// `MalformedQueryString` when it is no UTF-8 or has too many parameters.
    pub fn parse(form: &[u8]) -> Result<Self, ServiceError> {
        let malformed = |what: String| ServiceError::new("MalformedQueryString", what);
        let form = std::str::from_utf8(form).map_err(|_| malformed("the form is not UTF-8".to_owned()))?;
        let mut parameters = BTreeMap::new();
        for pair in form.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            parameters.insert(unescape(name)?, unescape(value)?);
            if parameters.len() > PARAMETERS_MAX {
                return Err(malformed(format!("the form has more than {PARAMETERS_MAX} parameters")));
            }
        }
        Ok(Self(parameters))
    }

    /// A parameter's text.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Takes a parameter out.
    pub fn take(&mut self, name: &str) -> Option<String> {
        self.0.remove(name)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All names and texts, in the order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// A parameter as a number or truth value.
    ///
    /// # Errors
    /// `MalformedInput` when its text is none.
    pub fn parsed<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>, ServiceError> {
        let read = |text: &str| {
            text.parse::<T>()
                .map_err(|_| ServiceError::new("MalformedInput", format!("`{text}` is no value for {name}")))
        };
        self.get(name).map(read).transpose()
    }

    /// What stands under a name: the members of a structure, without `name.`.
    #[must_use]
    pub fn under(&self, name: &str) -> Self {
        let prefix = format!("{name}.");
        let inner = self.0.range(prefix.clone()..).take_while(|(name, _)| name.starts_with(&prefix));
        Self(inner.map(|(name, value)| (name[prefix.len()..].to_owned(), value.clone())).collect())
    }

    /// The texts of a list, by number: `Name.member.1`, `Name.member.2`, … An empty list is `Name=`.
    #[must_use]
    pub fn texts(&self, name: &str) -> Vec<String> {
        self.texts_of(name, "member")
    }

    /// The same of a list whose items have another word than `member`; an empty word for flattened lists
    /// (`AttributeName.1`).
    #[must_use]
    pub fn texts_of(&self, name: &str, word: &str) -> Vec<String> {
        self.structures_of(name, word).into_iter().filter_map(|mut item| item.take("")).collect()
    }

    /// The structures of a list, by number: `Name.member.1.Key`, …
    #[must_use]
    pub fn structures(&self, name: &str) -> Vec<Self> {
        self.structures_of(name, "member")
    }

    /// The same of a list whose items have another word than `member`; an empty word for flattened lists. A text item's
    /// own value stands under the empty name.
    #[must_use]
    pub fn structures_of(&self, name: &str, word: &str) -> Vec<Self> {
        let list = if word.is_empty() { self.under(name) } else { self.under(&format!("{name}.{word}")) };
        let mut items: BTreeMap<u32, Self> = BTreeMap::new();
        for (path, value) in list.0 {
            let (number, member) = path.split_once('.').unwrap_or((&path, ""));
            if let Ok(number) = number.parse() {
                items.entry(number).or_default().0.insert(member.to_owned(), value);
            }
        }
        items.into_values().collect()
    }

    /// A map's entries by number: `Name.entry.1.key` and `Name.entry.1.value`. Services differ in the three words.
    #[must_use]
    pub fn entries(&self, name: &str, entry: &str, key: &str, value: &str) -> Vec<(String, String)> {
        let read = |mut item: Self| Some((item.take(key)?, item.take(value)?));
        self.structures_of(name, entry).into_iter().filter_map(read).collect()
    }
}

fn unescape(text: &str) -> Result<String, ServiceError> {
    let spaced = text.replace('+', " ");
    let decoded = percent_decode_str(&spaced).decode_utf8();
    let malformed = |_| ServiceError::new("MalformedQueryString", format!("`{text}` does not decode to UTF-8"));
    decoded.map(std::borrow::Cow::into_owned).map_err(malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(form: &str) -> Parameters {
        Parameters::parse(form.as_bytes()).unwrap()
    }

    #[test]
    fn dotted_names_make_lists_maps_and_structures() {
        let form = read(
            "Action=X&Names.member.2=b+c&Names.member.1=a%26&Tags.member.1.Key=k&Tags.member.1.Value=v\
             &Attributes.entry.1.key=DelaySeconds&Attributes.entry.1.value=5&AttributeName.1=All&Empty=\
             &Names.member.10=z&Deep.Inner.Leaf=1",
        );
        assert_eq!(form.texts("Names"), ["a&", "b c", "z"]);
        assert_eq!(form.structures("Tags")[0].get("Value"), Some("v"));
        assert_eq!(form.entries("Attributes", "entry", "key", "value"), [("DelaySeconds".into(), "5".into())]);
        assert_eq!(form.texts_of("AttributeName", ""), ["All"]);
        assert_eq!(form.under("Deep").under("Inner").parsed::<u32>("Leaf").unwrap(), Some(1));
        assert_eq!((form.get("Empty"), form.texts("Empty").len()), (Some(""), 0));
        assert!(form.parsed::<u32>("Action").is_err());
    }

    #[test]
    fn bad_forms_are_refused() {
        assert!(Parameters::parse(b"a=%ff").is_err());
        assert!(Parameters::parse(b"\xff").is_err());
        let many: Vec<String> = (0..=PARAMETERS_MAX).map(|index| format!("p{index}=1")).collect();
        assert!(Parameters::parse(many.join("&").as_bytes()).is_err());
    }
}
