//! The developer portal's pages: server-rendered, without a script, over the engine `millstream-portal`.
//!
//! Holds no behaviour: a page reads, a form calls the engine and leads on. Everything that is shown is escaped, whoever wrote
//! it. Read next: [`front`] (what pages share), `guard` and `visitor` (who comes in), `fields` (what forms send), `pages`
//! (visitors), `owner` (owners).

mod address;
mod assets;
mod chart;
mod error;
mod fields;
mod format;
mod frame;
pub mod front;
mod guard;
mod overview;
mod owner;
mod pages;
mod serve;
mod visitor;

pub use front::{ApiCall, CallApi, Front, FrontParts};
pub use serve::Pages;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::IntoResponse as _;
use axum::routing::{get, post};

use crate::error::PageError;

/// All addresses of the portal.
fn router(front: Front) -> Router {
    let hosts = guard::Hosts(front.hosts().into());
    let visitors = Router::new()
        .route("/", get(pages::home::show_page))
        .route("/apis/{name}", get(pages::api::show_page))
        .route("/apis/{name}/openapi.json", get(pages::api::document))
        .route("/apis/{name}/{operation}", get(pages::operation::show_page).post(pages::try_call::run))
        .route("/plans", get(pages::plans::show_page))
        .route("/plans/{plan}", post(pages::plans::subscribe))
        .route("/signup", get(pages::sign_up::show_page).post(pages::sign_up::sign_up))
        .route("/login", get(pages::log_in::show_page).post(pages::log_in::log_in))
        .route("/logout", post(pages::log_in::log_out))
        .route("/invitation", get(pages::invitation::show_page).post(pages::invitation::accept))
        .route("/account", get(pages::account::show_page))
        .route("/account/name", post(pages::account::rename))
        .route("/account/password", post(pages::account::change_password))
        .route("/account/sessions", post(pages::account::log_out_elsewhere))
        .route("/subscriptions/{id}", get(pages::subscription::show_page))
        .route("/subscriptions/{id}/rotate", post(pages::subscription::rotate))
        .route("/subscriptions/{id}/revoke", post(pages::subscription::revoke))
        .route("/subscriptions/{id}/end", post(pages::subscription::end));
    let documents = DefaultBodyLimit::max(owner::apis::DOCUMENT_FORM_BYTES_MAX);
    let owners = Router::new()
        .route("/owner", get(owner::summary::show_page))
        .route("/owner/requests/{account}/{subscription}", post(owner::summary::decide))
        .route("/owner/apis", get(owner::apis::show_page).merge(post(owner::apis::publish).layer(documents)))
        .route("/owner/apis/{name}", get(owner::apis::show_one).merge(post(owner::apis::change).layer(documents)))
        .route("/owner/plans", get(owner::plans::show_page))
        .route("/owner/plans/{plan}", post(owner::plans::offer))
        .route("/owner/accounts", get(owner::accounts::show_page))
        .route("/owner/accounts/{id}", get(owner::account::show_page))
        .route("/owner/accounts/{id}/{subscription}", get(owner::account::usage))
        .route("/owner/accounts/{id}/block", post(owner::account::block))
        .route("/owner/accounts/{id}/link", post(owner::account::link))
        .route("/owner/accounts/{id}/end/{subscription}", post(owner::account::end))
        .route("/owner/settings", get(owner::settings::show_page).post(owner::settings::save));
    visitors
        .merge(owners)
        .fallback(|uri: http::Uri| async move { PageError::not_found("page", uri.path()).into_response() })
        .layer(from_fn_with_state(front.clone(), visitor::recognise))
        .layer(from_fn(serve::within_time))
        .layer(DefaultBodyLimit::max(fields::FORM_BYTES_MAX))
        .with_state(front)
        .route("/assets/{name}", get(assets::serve))
        .layer(from_fn_with_state(hosts, guard::check))
}
