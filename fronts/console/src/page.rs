//! The console's addresses: every page by its kind, to and from a path. Links and live updates go through here.

use std::borrow::Cow;

use millstream_catalog::FunctionDefinition;
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
    /// Roles and users, from one on.
    Access(String),
    /// A delivery stream.
    Delivery(String),
    /// All hubs whose ids come after one.
    Hubs(String),
    /// A hub: its namespace and its name.
    Hub(String, String),
    /// The connection strings of a hub, which hold its keys.
    HubKeys(String, String),
    /// All topics whose names come after one.
    Topics(String),
    /// A topic.
    Topic(String),
    /// A subscription: its topic and its name.
    Subscription(String, String),
    /// All queues whose names come after one.
    Queues(String),
    /// A queue.
    Queue(String),
    /// All buckets whose names come after one.
    Buckets(String),
    /// The objects of a bucket under a prefix, from a name on.
    Bucket {
        /// The bucket.
        name: String,
        /// What their keys begin with.
        prefix: String,
        /// Names behind this one; empty: from the first.
        after: String,
    },
    /// An object: its bucket and its key.
    Object(String, String),
    /// All containers of documents whose paths come after one.
    Documents(String),
    /// A container's documents, or the rows of a query over them.
    Container {
        /// Its database.
        database: String,
        /// Its name.
        name: String,
        /// The query; empty: all documents.
        sql: String,
        /// A position of the engine; empty: from the first row.
        after: String,
    },
    /// All services of managed APIs whose names come after one.
    Services(String),
    /// A service of managed APIs.
    Service(String),
    /// A managed API: its service and its name.
    ManagedApi(String, String),
    /// An operation: its service, its API and its name.
    Operation(String, String, String),
    /// All usage plans whose ids come after one.
    Plans(String),
    /// A usage plan, and its keys whose ids come after one.
    Plan(String, String),
    /// The form that makes a resource of a kind; empty: all kinds.
    New(String),
    /// A record's trail.
    Trace(String),
}

impl Page {
    /// A table from its first item.
    pub fn table(name: &str) -> Self {
        Self::Table(name.to_owned(), String::new())
    }

    /// The function that a reference names, itself or by a version or an alias.
    pub fn function(reference: &str) -> Self {
        Self::Function(FunctionDefinition::split_reference(reference).0.to_owned())
    }

    /// The page that shows a stream of the catalog: those that belong to a delivery stream are shown as streams too.
    pub fn stream(name: &str) -> Self {
        Self::Stream(name.to_owned())
    }

    /// A usage plan from its first key.
    pub fn plan(id: &str) -> Self {
        Self::Plan(id.to_owned(), String::new())
    }

    /// A bucket from its first object.
    pub fn bucket(name: &str) -> Self {
        Self::Bucket { name: name.to_owned(), prefix: String::new(), after: String::new() }
    }

    /// A container from its first document; its path is `DATABASE/CONTAINER`.
    pub fn container(path: &str) -> Self {
        let (database, name) = path.split_once('/').unwrap_or((path, ""));
        Self::Container { database: database.into(), name: name.into(), sql: String::new(), after: String::new() }
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
            Self::Access(after) => list("/access", after),
            Self::Delivery(name) => format!("/delivery/{}", segment(name)),
            Self::Hubs(after) => list("/hubs", after),
            Self::Hub(namespace, name) => path("hubs", &[namespace, name]),
            Self::HubKeys(namespace, name) => path("hubs", &[namespace, name, "keys"]),
            Self::Topics(after) => list("/topics", after),
            Self::Topic(name) => path("topics", &[name]),
            Self::Subscription(topic, name) => path("topics", &[topic, name]),
            Self::Queues(after) => list("/queues", after),
            Self::Queue(name) => path("queues", &[name]),
            Self::Buckets(after) => list("/buckets", after),
            Self::Bucket { name, prefix, after } => {
                with(path("buckets", &[name]), &[("prefix", prefix), ("after", after)])
            }
            Self::Object(bucket, key) => path("buckets", &[bucket, key]),
            Self::Documents(after) => list("/documents", after),
            Self::Container { database, name, sql, after } => {
                with(path("documents", &[database, name]), &[("sql", sql), ("after", after)])
            }
            Self::Services(after) => list("/apis", after),
            Self::Service(name) => path("apis", &[name]),
            Self::ManagedApi(service, name) => path("apis", &[service, name]),
            Self::Operation(service, api, name) => path("apis", &[service, api, name]),
            Self::Plans(after) => list("/plans", after),
            Self::Plan(id, after) => list(&path("plans", &[id]), after),
            Self::New(kind) if kind.is_empty() => "/new".to_owned(),
            Self::New(kind) => path("new", &[kind]),
            Self::Trace(id) => format!("/trace?id={}", segment(id)),
        }
    }

    /// The address of a stream's sample.
    pub fn sample_of(stream: &str) -> String {
        format!("/api/streams/{}/sample?from=trim_horizon&limit=1000&seconds=2", segment(stream))
    }

    /// The address of an object's content.
    pub fn content_of(bucket: &str, key: &str) -> String {
        path("buckets", &[bucket, key, "content"])
    }

    /// The page at a path with its query; `None` when there is none.
    pub fn parse(address: &str) -> Option<Self> {
        let (path, query) = address.split_once('?').unwrap_or((address, ""));
        let value = |name| parameter(query, name).unwrap_or_default();
        let after = || value("after");
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
            ("access", None) => Self::Access(after()),
            ("delivery", Some(name)) => Self::Delivery(decode(name)?),
            ("hubs", None) => Self::Hubs(after()),
            ("hubs", Some(namespace)) => {
                let (namespace, name) = (decode(namespace)?, decode(parts.next()?)?);
                match parts.next() {
                    None => Self::Hub(namespace, name),
                    Some("keys") => Self::HubKeys(namespace, name),
                    Some(_) => return None,
                }
            }
            ("topics", None) => Self::Topics(after()),
            ("topics", Some(topic)) => match parts.next() {
                None => Self::Topic(decode(topic)?),
                Some(name) => Self::Subscription(decode(topic)?, decode(name)?),
            },
            ("queues", None) => Self::Queues(after()),
            ("queues", Some(name)) => Self::Queue(decode(name)?),
            ("buckets", None) => Self::Buckets(after()),
            ("buckets", Some(name)) => match parts.next() {
                None => Self::Bucket { name: decode(name)?, prefix: value("prefix"), after: after() },
                Some(key) => Self::Object(decode(name)?, decode(key)?),
            },
            ("documents", None) => Self::Documents(after()),
            ("documents", Some(database)) => {
                let (database, name) = (decode(database)?, decode(parts.next()?)?);
                Self::Container { database, name, sql: value("sql"), after: after() }
            }
            ("apis", None) => Self::Services(after()),
            ("apis", Some(service)) => match (parts.next(), parts.next()) {
                (None, _) => Self::Service(decode(service)?),
                (Some(api), None) => Self::ManagedApi(decode(service)?, decode(api)?),
                (Some(api), Some(name)) => Self::Operation(decode(service)?, decode(api)?, decode(name)?),
            },
            ("plans", None) => Self::Plans(after()),
            ("plans", Some(id)) => Self::Plan(decode(id)?, after()),
            ("new", None) => Self::New(String::new()),
            ("new", Some(kind)) => Self::New(decode(kind)?),
            ("trace", None) => Self::Trace(value("id").trim().to_owned()),
            _ => return None,
        };
        parts.next().is_none().then_some(page)
    }

    /// The entry of the navigation that it belongs to.
    pub fn section(&self) -> &'static str {
        match self {
            Self::Overview => "/",
            Self::Queries(_) | Self::Query(_) => "/queries",
            Self::Trace(_) => "/trace",
            Self::New(_) => "/new",
            _ => match self.tab() {
                "/hubs" => "/streams",
                "/access" => "/functions",
                "/queues" => "/topics",
                "/documents" | "/buckets" => "/tables",
                "/plans" => "/apis",
                first => first,
            },
        }
    }

    /// The list within its section that it belongs to; empty in a section of one list.
    pub fn tab(&self) -> &'static str {
        match self {
            Self::Streams(_) | Self::Stream(_) | Self::Delivery(_) => "/streams",
            Self::Functions(_) | Self::Function(_) => "/functions",
            Self::Access(_) => "/access",
            Self::Hubs(_) | Self::Hub(..) | Self::HubKeys(..) => "/hubs",
            Self::Topics(_) | Self::Topic(_) | Self::Subscription(..) => "/topics",
            Self::Queues(_) | Self::Queue(_) => "/queues",
            Self::Tables(_) | Self::Table(..) => "/tables",
            Self::Documents(_) | Self::Container { .. } => "/documents",
            Self::Buckets(_) | Self::Bucket { .. } | Self::Object(..) => "/buckets",
            Self::Services(_) | Self::Service(_) | Self::ManagedApi(..) | Self::Operation(..) => "/apis",
            Self::Plans(_) | Self::Plan(..) => "/plans",
            _ => "",
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
            Self::Access(_) => "Access".into(),
            Self::Hubs(_) => "Event hubs".into(),
            Self::Topics(_) => "Topics".into(),
            Self::Queues(_) => "Queues".into(),
            Self::Buckets(_) => "Objects".into(),
            Self::Documents(_) => "Documents".into(),
            Self::Services(_) => "APIs".into(),
            Self::Plans(_) => "Usage plans".into(),
            Self::HubKeys(_, name) => format!("Keys of {name}").into(),
            Self::Stream(name)
            | Self::Query(name)
            | Self::Table(name, _)
            | Self::Function(name)
            | Self::Delivery(name)
            | Self::Hub(_, name)
            | Self::Topic(name)
            | Self::Subscription(_, name)
            | Self::Queue(name)
            | Self::Bucket { name, .. }
            | Self::Object(_, name)
            | Self::Container { name, .. }
            | Self::Service(name)
            | Self::Plan(name, _)
            | Self::ManagedApi(_, name)
            | Self::Operation(_, _, name) => name.into(),
            Self::New(kind) if kind.is_empty() => "New".into(),
            Self::New(kind) => format!("New {}", kind.replace('-', " ")).into(),
            Self::Trace(_) => "Trace".into(),
        }
    }
}

fn list(path: &str, after: &str) -> String {
    with(path.to_owned(), &[("after", after)])
}

/// A path of a root and names, each name one segment whatever it holds.
fn path(root: &str, names: &[&str]) -> String {
    names.iter().fold(format!("/{root}"), |path, name| format!("{path}/{}", segment(name)))
}

/// An address with those parameters that are not empty.
fn with(mut address: String, parameters: &[(&str, &str)]) -> String {
    for (name, value) in parameters.iter().filter(|(_, value)| !value.is_empty()) {
        let mark = if address.contains('?') { '&' } else { '?' };
        address.push_str(&format!("{mark}{name}={}", segment(value)));
    }
    address
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
    Some(percent_decode_str(&value.replace('+', " ")).decode_utf8().ok()?.into_owned())
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
            Page::Access(odd.clone()),
            Page::Delivery(odd.clone()),
            Page::Hubs(odd.clone()),
            Page::Hub(odd.clone(), odd.clone()),
            Page::HubKeys(odd.clone(), odd.clone()),
            Page::Topics(String::new()),
            Page::Topic(odd.clone()),
            Page::Subscription(odd.clone(), odd.clone()),
            Page::Queues(odd.clone()),
            Page::Queue(odd.clone()),
            Page::Buckets(String::new()),
            Page::Bucket { name: odd.clone(), prefix: format!(" {odd}/ "), after: odd.clone() },
            Page::Bucket { name: odd.clone(), prefix: String::new(), after: odd.clone() },
            Page::Object(odd.clone(), odd.clone()),
            Page::Documents(odd.clone()),
            Page::Container { database: odd.clone(), name: odd.clone(), sql: odd.clone(), after: odd.clone() },
            Page::Services(String::new()),
            Page::Service(odd.clone()),
            Page::ManagedApi(odd.clone(), odd.clone()),
            Page::Operation(odd.clone(), odd.clone(), odd.clone()),
            Page::Plans(odd.clone()),
            Page::Plan(odd.clone(), odd.clone()),
            Page::New(String::new()),
            Page::New(odd.clone()),
            Page::Trace(odd),
        ];
        for page in pages {
            assert_eq!(Page::parse(&page.href()), Some(page.clone()), "{}", page.href());
        }
        for address in
            ["", "streams", "/streams/a/b", "/nothing", "/delivery", "//", "/streams/%ff", "/hubs/a", "/hubs/a/b/c"]
        {
            assert_eq!(Page::parse(address), None, "{address}");
        }
        assert_eq!(Page::parse("/trace?id=+49+"), Some(Page::Trace("49".into())));
    }
}
