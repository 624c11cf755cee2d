//! What a request's address names: account, container, blob, and the parameters of the query.

use percent_encoding::percent_decode_str;

use super::error::ServiceError;
use crate::request::AzureRequest;

/// An address, taken apart and unescaped.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) account: String,
    pub(crate) container: Option<String>,
    pub(crate) blob: Option<String>,
    /// The query's parameters: names in lower case, values unescaped.
    pub(crate) parameters: Vec<(String, String)>,
}

impl Target {
    pub(crate) fn of(request: &AzureRequest) -> Result<Self, ServiceError> {
        Self::parse(&request.path, &request.query)
    }

    /// An address from its path and query, both as sent.
    pub(crate) fn parse(path: &str, query: &str) -> Result<Self, ServiceError> {
        let mut parts = path.trim_start_matches('/').splitn(3, '/');
        let mut part = || parts.next().filter(|part| !part.is_empty()).map(unescape).transpose();
        let account = part()?.unwrap_or_default();
        Ok(Self { account, container: part()?, blob: part()?, parameters: parameters(query)? })
    }

    /// A parameter of the query; `None` when it is not there or empty.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        let found = self.parameters.iter().find(|(found, _)| found == name);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// The container, for operations that have one by their kind.
    pub(crate) fn container(&self) -> &str {
        self.container.as_deref().unwrap_or_default()
    }

    /// The blob, for operations that have one by their kind.
    pub(crate) fn blob(&self) -> &str {
        self.blob.as_deref().unwrap_or_default()
    }
}

/// A query's parameters as they are signed: a plus is a plus.
fn parameters(query: &str) -> Result<Vec<(String, String)>, ServiceError> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        Ok((unescape(name)?.to_ascii_lowercase(), unescape(value)?))
    };
    pairs.map(pair).collect()
}

fn unescape(text: &str) -> Result<String, ServiceError> {
    match percent_decode_str(text).decode_utf8() {
        Ok(text) => Ok(text.into_owned()),
        Err(_) => Err(ServiceError::bad_request(
            "InvalidUri",
            format!("The requested URI does not represent any resource on the server: {text} is not UTF-8."),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_apart() {
        let parsed = |path, query| Target::parse(path, query).unwrap();
        let found = parsed("/acc1/my-container/a%20b/c+d", "Comp=list&sig=a%2Bb%3D&x+y=1&flag");
        assert_eq!((found.account.as_str(), found.container()), ("acc1", "my-container"));
        assert_eq!(found.blob(), "a b/c+d");
        assert_eq!(found.parameter("comp"), Some("list"));
        assert_eq!(found.parameter("sig"), Some("a+b="));
        assert_eq!(found.parameter("x+y"), Some("1"));
        assert_eq!(found.parameter("flag"), None);
        assert_eq!(parsed("/acc1", "").container, None);
        assert_eq!(parsed("/acc1/c/", "").blob, None);
        assert!(Target::parse("/acc1/c/%ff", "").is_err());
    }
}
