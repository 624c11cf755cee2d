//! The live console: server-rendered pages over the engines, and the JSON that the command line asks for.
//!
//! Defines nothing itself: what a form describes goes through the port [`Create`]. Pages work without scripts; with the one module they are live: see [`live`].
//! Read next: [`page`] (addresses), [`pages`] (one file a page), [`live`] (updates), [`api`] (JSON).

mod api;
mod assets;
mod chart;
mod console;
mod create;
mod error;
mod format;
mod graph;
mod guard;
mod live;
mod logs;
mod measure;
mod page;
mod pages;
mod partials;
mod story;
mod tail;

pub use console::{Addresses, ConnectionStrings, Console, ConsoleParts};
pub use create::{Create, CreateRefusal, JobAsk, JobStart, NewCode, NewSection};
pub use error::ConsoleError;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};

/// All addresses of the console. Anything that is not named here is a page or is not there.
pub fn router(console: Console) -> Router {
    let test_call = post(pages::call::run).layer(DefaultBodyLimit::max(pages::call::FORM_BYTES_MAX));
    let test_query = post(pages::trial::run).layer(DefaultBodyLimit::max(api::trial::BODY_BYTES_MAX));
    let new = post(pages::new::run).layer(DefaultBodyLimit::max(pages::form::BODY_BYTES_MAX));
    let change = post(pages::job::change).layer(DefaultBodyLimit::max(pages::form::BODY_BYTES_MAX));
    let hosts = guard::Hosts(console.hosts().into());
    Router::new()
        .route("/assets/{name}", get(assets::serve))
        .route("/events", get(live::events))
        .route("/api/status", get(api::status::show))
        .route("/api/streams/{name}/tail", get(api::tail::follow))
        .route("/api/functions/{name}/logs", get(api::logs::follow))
        .route("/api/functions/{name}/invocations", get(api::invocations::show))
        .route("/api/trace/{id}", get(api::trace::show))
        .route("/api/streams/{name}/sample", get(api::tail::sample))
        .route("/api/usage", get(api::usage::export))
        .route("/api/query", post(api::query::run))
        .route("/api/test", post(api::trial::run).layer(DefaultBodyLimit::max(api::trial::BODY_BYTES_MAX)))
        .route("/queries/{name}/test", get(pages::trial::show).merge(test_query))
        .route("/queries/{name}/check", post(pages::editor::check))
        .route("/queries/{name}/edit", get(pages::job::show).merge(change))
        .route("/queries/{name}/start", post(pages::job::start))
        .route("/queries/{name}/stop", post(pages::job::stop))
        .route("/buckets/{bucket}/{key}/content", get(pages::object::download))
        .route("/apis/{service}/{api}/{operation}", get(pages::show).merge(test_call))
        .route("/new/{kind}", get(pages::show).merge(new))
        .fallback(pages::show)
        .with_state(console)
        .layer(from_fn_with_state(hosts, guard::check))
}
