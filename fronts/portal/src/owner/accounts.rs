//! `GET /owner/accounts`: all accounts, found by a part of their name or address, a page at a time.

use askama::Template;
use axum::extract::{Query, State};
use axum::response::Response;
use millstream_catalog::{PortalAccountDefinition, PortalRole, PortalSubscriptionState};
use serde::Deserialize;

use crate::Front;
use crate::address::segment;
use crate::error::PageError;
use crate::format::{count, date};
use crate::frame::{Frame, show};
use crate::visitor::Owner;

/// Accounts of a page.
const PAGE: usize = 50;

#[derive(Template)]
#[template(path = "pages/owner/accounts.html")]
struct AccountsPage {
    frame: Frame,
    search: String,
    found: String,
    rows: Vec<AccountRow>,
    next: Option<String>,
}

struct AccountRow {
    id: String,
    name: String,
    email: String,
    owner: bool,
    blocked: bool,
    active: usize,
    created: String,
}

/// What is looked for.
#[derive(Debug, Default, Deserialize)]
pub struct Search {
    #[serde(default)]
    search: String,
    #[serde(default)]
    after: String,
}

/// Shows accounts.
pub async fn show_page(
    State(front): State<Front>,
    Query(search): Query<Search>,
    Owner(visitor): Owner,
) -> Result<Response, PageError> {
    let wanted = search.search.trim().to_lowercase();
    let fits = |account: &PortalAccountDefinition| {
        wanted.is_empty() || account.email.contains(&wanted) || account.name.to_lowercase().contains(&wanted)
    };
    let all: Vec<_> = front.portal().accounts().into_iter().filter(|account| fits(account)).collect();
    let shown: Vec<_> = all.iter().filter(|account| account.email > search.after).take(PAGE + 1).collect();
    let last = shown.get(PAGE - 1).filter(|_| shown.len() > PAGE);
    let row = |account: &PortalAccountDefinition| AccountRow {
        id: account.id.clone(),
        name: account.name.clone(),
        email: account.email.clone(),
        owner: account.role == PortalRole::Owner,
        blocked: account.blocked,
        active: account.subscriptions.values().filter(|known| known.state == PortalSubscriptionState::Active).count(),
        created: date(account.created),
    };
    show(&AccountsPage {
        frame: Frame::of(&front, &visitor, "owner", "Accounts"),
        found: count(all.len() as u64),
        next: last
            .map(|last| format!("/owner/accounts?search={}&after={}", segment(&search.search), segment(&last.email))),
        rows: shown.iter().take(PAGE).map(|account| row(account)).collect(),
        search: search.search,
    })
}
