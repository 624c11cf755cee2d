//! Every page of the console: one file and one template each. All pages come in through [`show`].

mod access;
mod bucket;
mod buckets;
pub mod call;
mod container;
mod delivery;
mod documents;
pub mod editor;
pub mod form;
mod function;
mod functions;
mod hub;
mod hubs;
pub mod job;
mod managed_api;
pub mod new;
pub mod object;
mod operation;
mod overview;
mod plan;
mod plans;
mod queries;
mod query;
mod queue;
mod queues;
mod rows_table;
mod service;
mod services;
mod stream;
mod streams;
mod subscription;
mod table;
mod tables;
mod topic;
mod topics;
mod trace;
pub mod trial;
mod troubles;

use askama::Template;
use axum::extract::State;
use axum::response::{Html, IntoResponse, Response};
use http::{Method, StatusCode, Uri};

use crate::Console;
use crate::assets::{LINKS, Links};
use crate::error::ConsoleError;
use crate::live::Fragments;
use crate::page::Page;

pub(crate) use self::function::mapping_state;

/// What surrounds every page.
pub struct Frame {
    /// The page's name.
    pub title: String,
    /// The page's own address, which live updates ask for.
    pub address: String,
    /// The marked entry of the navigation.
    pub section: &'static str,
    /// The marked list of the section.
    pub tab: &'static str,
    /// What the search box holds.
    pub search: String,
    /// Style, module, icon.
    pub links: &'static Links,
}

impl Frame {
    pub(crate) fn of(page: &Page) -> Self {
        let search = if let Page::Trace(id) = page { id.clone() } else { String::new() };
        let (title, address) = (page.title().into_owned(), page.href());
        Self { title, address, section: page.section(), tab: page.tab(), search, links: &LINKS }
    }

    /// The navigation: address and word.
    fn sections(&self) -> &'static [(&'static str, &'static str)] {
        &[
            ("/", "Overview"),
            ("/streams", "Streams"),
            ("/topics", "Events"),
            ("/queries", "Queries"),
            ("/functions", "Functions"),
            ("/apis", "APIs"),
            ("/tables", "Data"),
        ]
    }

    /// The forms that make what a list shows: address and word.
    fn new_links(&self) -> &'static [(&'static str, &'static str)] {
        match (self.section, self.tab) {
            (_, "/hubs") => &[("/new/event-hub", "New event hub"), ("/new/event-hubs-namespace", "New namespace")],
            (_, "/documents") => &[("/new/cosmos-database", "New database or container")],
            (_, "/buckets") => &[("/new/blob-container", "New container")],
            ("/streams", _) => &[("/new/stream", "New stream"), ("/new/delivery-stream", "New delivery stream")],
            ("/tables", _) => &[("/new/table", "New table")],
            (_, "/queues") => &[("/new/queue", "New queue")],
            (_, "/access") => &[("/new/role", "New role"), ("/new/user", "New user")],
            (_, "/plans") => &[
                ("/new/usage-plan", "New usage plan"),
                ("/new/api-key", "New key"),
                ("/new/portal", "Developer portal"),
                ("/new/marketplace-product", "New product"),
            ],
            ("/topics", _) => &[
                ("/new/event-grid-topic", "New Event Grid topic or subscription"),
                ("/new/sns-topic", "New topic of messages"),
            ],
            ("/queries", _) => &[("/new/query", "New query")],
            ("/functions", _) => &[("/new/function", "New function"), ("/new/mapping", "New event source mapping")],
            ("/apis", _) => &[("/new/api", "New HTTP API"), ("/new/api-management", "New managed API")],
            _ => &[],
        }
    }

    /// The lists of the section, where it has several: address and word.
    fn tabs(&self) -> &'static [(&'static str, &'static str)] {
        match self.section {
            "/streams" => &[("/streams", "Streams"), ("/hubs", "Event hubs")],
            "/apis" => &[("/apis", "Managed APIs"), ("/plans", "Usage plans")],
            "/functions" => &[("/functions", "Functions"), ("/access", "Access")],
            "/topics" => &[("/topics", "Topics"), ("/queues", "Queues")],
            "/tables" => &[("/tables", "Tables"), ("/documents", "Documents"), ("/buckets", "Objects")],
            _ => &[],
        }
    }
}

/// Any page.
pub async fn show(State(console): State<Console>, method: Method, uri: Uri) -> Response {
    let address = uri.path_and_query().map_or("/", |address| address.as_str());
    let drawn = match Page::parse(address) {
        Some(page) if matches!(method, Method::GET | Method::HEAD) => draw(&console, &page).await,
        _ => Err(ConsoleError::NotFound { kind: "page", name: uri.path().to_owned() }),
    };
    match drawn {
        Ok(html) => Html(html).into_response(),
        // Whoever asks the JSON API for something that is not there reads JSON.
        Err(error) if uri.path().starts_with("/api/") => error.into_response(),
        Err(error) => failed(&error),
    }
}

async fn draw(console: &Console, page: &Page) -> Result<String, ConsoleError> {
    let live = fragments(console, page).await?;
    let frame = Frame::of(page);
    match page {
        Page::Overview => overview::page(frame, live),
        Page::Streams(_) => streams::page(frame, live),
        Page::Stream(name) => stream::page(console, name, frame, live),
        Page::Queries(_) => queries::page(frame, live),
        Page::Query(name) => query::page(console, name, frame, live),
        Page::Tables(_) => tables::page(frame, live),
        Page::Table(name, _) => table::page(console, name, frame, live),
        Page::Functions(_) => functions::page(frame, live),
        Page::Function(name) => function::page(console, name, frame, live),
        Page::Access(_) => access::page(frame, live),
        Page::Delivery(name) => delivery::page(console, name, frame, live),
        Page::Hubs(_) => hubs::page(frame, live),
        Page::Hub(namespace, name) => hub::page(console, namespace, name, frame, live),
        Page::HubKeys(namespace, name) => hub::keys(console, namespace, name, frame),
        Page::Topics(_) => topics::page(frame, live),
        Page::Topic(name) => topic::page(console, name, frame, live),
        Page::Subscription(topic, name) => subscription::page(console, topic, name, frame, live),
        Page::Queues(_) => queues::page(frame, live),
        Page::Queue(name) => queue::page(console, name, frame, live),
        Page::Buckets(_) => buckets::page(frame, live),
        Page::Bucket { name, prefix, after } => bucket::page(console, name, prefix, after, frame).await,
        Page::Object(bucket, key) => object::page(console, bucket, key, frame).await,
        Page::Documents(_) => documents::page(frame, live),
        Page::Container { database, name, sql, after } => {
            container::page(console, (database, name), sql, after, frame).await
        }
        Page::Services(_) => services::page(frame, live),
        Page::Service(name) => service::page(console, name, frame),
        Page::ManagedApi(service, name) => managed_api::page(console, service, name, frame, live),
        Page::Operation(service, api, name) => operation::page(console, [service, api, name], frame),
        Page::Plans(_) => plans::page(frame, live),
        Page::Plan(id, after) => plan::page(console, id, after, frame).await,
        Page::New(kind) => new::page(console, kind, frame),
        Page::Trace(id) => trace::page(id, frame, live),
    }
}

/// The parts of a page that change: drawn into the page first, then sent alone.
///
/// # Errors
/// [`ConsoleError::NotFound`] when the resource is not there; an engine's errors.
pub async fn fragments(console: &Console, page: &Page) -> Result<Fragments, ConsoleError> {
    match page {
        Page::Overview => overview::fragments(console).await,
        Page::Streams(after) => streams::fragments(console, after),
        Page::Stream(name) => stream::fragments(console, name).await,
        Page::Queries(after) => queries::fragments(console, after),
        Page::Query(name) => query::fragments(console, name).await,
        Page::Tables(after) => tables::fragments(console, after),
        Page::Table(name, after) => table::fragments(console, name, after).await,
        Page::Functions(after) => functions::fragments(console, after),
        Page::Function(name) => function::fragments(console, name).await,
        Page::Access(after) => access::fragments(console, after),
        Page::Delivery(name) => delivery::fragments(console, name).await,
        Page::Hubs(after) => hubs::fragments(console, after),
        Page::Hub(namespace, name) => hub::fragments(console, namespace, name).await,
        Page::Topics(after) => topics::fragments(console, after),
        Page::Topic(name) => topic::fragments(console, name),
        Page::Subscription(topic, name) => subscription::fragments(console, topic, name),
        Page::Queues(after) => queues::fragments(console, after),
        Page::Queue(name) => queue::fragments(console, name),
        Page::Buckets(after) => buckets::fragments(console, after).await,
        Page::Documents(after) => documents::fragments(console, after),
        Page::Services(after) => services::fragments(console, after),
        Page::Plans(after) => plans::fragments(console, after),
        Page::ManagedApi(service, name) => managed_api::fragments(console, service, name),
        // Drawn when they are asked for only: keys, and what reads a store or runs a query.
        Page::HubKeys(..)
        | Page::Bucket { .. }
        | Page::Object(..)
        | Page::Container { .. }
        | Page::Service(_)
        | Page::Plan(..)
        | Page::Operation(..)
        | Page::New(_) => Ok(Fragments::default()),
        Page::Trace(id) => trace::fragments(console, id).await,
    }
}

/// A list of resources, with a second list below where a kind has two.
#[derive(Template)]
#[template(path = "pages/list.html")]
struct ListPage {
    frame: Frame,
    live: Fragments,
    /// The heading of the fragment `more`.
    more: &'static str,
}

#[derive(Template)]
#[template(path = "pages/failed.html")]
struct FailedPage {
    frame: Frame,
    status: StatusCode,
    message: String,
}

/// A page that says what went wrong.
pub fn failed(error: &ConsoleError) -> Response {
    let status = error.status();
    let title = if status == StatusCode::NOT_FOUND { "Not here" } else { "This page cannot be shown" };
    let frame = Frame { title: title.to_owned(), section: "", ..Frame::of(&Page::Overview) };
    let page = FailedPage { frame, status, message: error.to_string() };
    match page.render() {
        Ok(html) => (status, Html(html)).into_response(),
        Err(_) => (status, page.message).into_response(),
    }
}

/// A query's state in a word.
pub fn query_state(console: &Console, query: &millstream_catalog::QueryDefinition) -> String {
    query::state(console, query).value
}
