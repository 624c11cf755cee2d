//! The console's addresses: every page by its kind, to and from a path. Links and live updates go through here.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// What stays as it is in a path segment or a query value.
const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// A page.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Page {
    /// The pipeline as a graph.
    Overview,
    /// All streams and delivery streams whose names come after one.
    Streams(String),
    /// A stream.
    Stream(String),
    /// All queries whose names come after one.
    Queries(String),
    /// A query.
    Query(String),
    /// All tables whose names come after one.
    Tables(String),
    /// A table's items from a position of the engine on; empty: from the first.
    Table(String, String),
    /// All functions whose names come after one.
    Functions(String),
    /// A function.
    Function(String),
    /// A delivery stream.
    Delivery(String),
    /// A record's trail.
    Trace(String),
}

impl Page {
    /// A table from its first item.
    pub fn table(name: &str) -> Self {
        Self::Table(name.to_owned(), String::new())
    }

    /// The page that shows a stream of the catalog: those that belong to a delivery stream are shown as streams too.
    pub fn stream(name: &str) -> Self {
        Self::Stream(name.to_owned())
    }

    /// Its path and query.
    pub fn href(&self) -> String {
        match self {
            Self::Overview => "/".to_owned(),
            Self::Streams(after) => list("/streams", after),
            Self::Stream(name) => format!("/streams/{}", segment(name)),
            Self::Queries(after) => list("/queries", after),
            Self::Query(name) => format!("/queries/{}", segment(name)),
            Self::Tables(after) => list("/tables", after),
            Self::Table(name, after) => list(&format!("/tables/{}", segment(name)), after),
            Self::Functions(after) => list("/functions", after),
            Self::Function(name) => format!("/functions/{}", segment(name)),
            Self::Delivery(name) => format!("/delivery/{}", segment(name)),
            Self::Trace(id) => format!("/trace?id={}", segment(id)),
        }
    }

    /// The address of a stream's sample.
    pub fn sample_of(stream: &str) -> String {
        format!("/api/streams/{}/sample?from=trim_horizon&limit=1000&seconds=2", segment(stream))
    }

    /// The page at a path with its query; `None` when there is none.
    pub fn parse(address: &str) -> Option<Self> {
        let (path, query) = address.split_once('?').unwrap_or((address, ""));
        let after = || parameter(query, "after").unwrap_or_default();
        let mut parts = path.strip_prefix('/')?.split('/');
        let page = match (parts.next()?, parts.next()) {
            ("", None) => Self::Overview,
            ("streams", None) => Self::Streams(after()),
            ("streams", Some(name)) => Self::Stream(decode(name)?),
            ("queries", None) => Self::Queries(after()),
            ("queries", Some(name)) => Self::Query(decode(name)?),
            ("tables", None) => Self::Tables(after()),
            ("tables", Some(name)) => Self::Table(decode(name)?, after()),
            ("functions", None) => Self::Functions(after()),
            ("functions", Some(name)) => Self::Function(decode(name)?),
            ("delivery", Some(name)) => Self::Delivery(decode(name)?),
            ("trace", None) => Self::Trace(parameter(query, "id").unwrap_or_default()),
            _ => return None,
        };
        parts.next().is_none().then_some(page)
    }

    /// The entry of the navigation that it belongs to.
    pub fn section(&self) -> &'static str {
        match self {
            Self::Overview => "/",
            Self::Streams(_) | Self::Stream(_) | Self::Delivery(_) => "/streams",
            Self::Queries(_) | Self::Query(_) => "/queries",
            Self::Tables(_) | Self::Table(..) => "/tables",
            Self::Functions(_) | Self::Function(_) => "/functions",
            Self::Trace(_) => "/trace",
        }
    }

    /// Its title.
    pub fn title(&self) -> Cow<'_, str> {
        match self {
            Self::Overview => "Overview".into(),
            Self::Streams(_) => "Streams".into(),
            Self::Queries(_) => "Queries".into(),
            Self::Tables(_) => "Tables".into(),
            Self::Functions(_) => "Functions".into(),
            Self::Stream(name)
            | Self::Query(name)
            | Self::Table(name, _)
            | Self::Function(name)
            | Self::Delivery(name) => name.into(),
            Self::Trace(_) => "Trace".into(),
        }
    }
}

fn list(path: &str, after: &str) -> String {
    if after.is_empty() { path.to_owned() } else { format!("{path}?after={}", segment(after)) }
}

fn segment(text: &str) -> String {
    utf8_percent_encode(text, KEPT).to_string()
}

fn decode(segment: &str) -> Option<String> {
    let text = percent_decode_str(segment).decode_utf8().ok()?;
    (!text.is_empty()).then(|| text.into_owned())
}

/// A value of a form-encoded query.
fn parameter(query: &str, name: &str) -> Option<String> {
    let value = query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))?;
    Some(percent_decode_str(&value.replace('+', " ")).decode_utf8().ok()?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_leads_back_to_its_page() {
        let odd = "a/b c?&\"<ä>.%2F".to_owned();
        let pages = [
            Page::Overview,
            Page::Streams(String::new()),
            Page::Streams(odd.clone()),
            Page::Stream(odd.clone()),
            Page::Queries(String::new()),
            Page::Query(odd.clone()),
            Page::Tables(odd.clone()),
            Page::Table(odd.clone(), odd.clone()),
            Page::Functions(String::new()),
            Page::Function(odd.clone()),
            Page::Delivery(odd.clone()),
            Page::Trace(odd),
        ];
        for page in pages {
            assert_eq!(Page::parse(&page.href()), Some(page.clone()), "{}", page.href());
        }
        for address in ["", "streams", "/streams/a/b", "/nothing", "/delivery", "//", "/streams/%ff"] {
            assert_eq!(Page::parse(address), None, "{address}");
        }
        assert_eq!(Page::parse("/trace?id=+49+"), Some(Page::Trace("49".into())));
    }
}
