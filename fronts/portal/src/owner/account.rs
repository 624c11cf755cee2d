//! `/owner/accounts/{id}`: an account with its subscriptions, keeping it out, and a link for a password.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use millstream_catalog::{PortalAccountDefinition, PortalRole};

use crate::Front;
use crate::error::PageError;
use crate::fields::Fields;
use crate::format::date_time;
use crate::frame::{Frame, LinkPage, show};
use crate::overview::{SubscriptionRow, subscription_rows};
use crate::pages::Asked;
use crate::pages::subscription::{UsageView, usage_view};
use crate::visitor::Owner;

#[derive(Template)]
#[template(path = "pages/owner/account.html")]
struct AccountPage {
    frame: Frame,
    id: String,
    name: String,
    email: String,
    created: String,
    blocked: bool,
    owner: bool,
    sessions: usize,
    subscriptions: Vec<SubscriptionRow>,
}

#[derive(Template)]
#[template(path = "pages/owner/usage.html")]
struct UsagePage {
    frame: Frame,
    account: Arc<PortalAccountDefinition>,
    plan: String,
    usage: UsageView,
}

/// Shows an account.
pub async fn show_page(
    State(front): State<Front>,
    Path(id): Path<String>,
    Query(asked): Query<Asked>,
    Owner(visitor): Owner,
) -> Result<Response, PageError> {
    let account = front.portal().account_by_id(&id)?;
    show(&AccountPage {
        frame: Frame::of(&front, &visitor, "owner", &account.name).noting(asked.notice()),
        id,
        name: account.name.clone(),
        email: account.email.clone(),
        created: date_time(account.created),
        blocked: account.blocked,
        owner: account.role == PortalRole::Owner,
        sessions: front.portal().sessions(&account.email),
        subscriptions: subscription_rows(&front, &account).await?,
    })
}

/// `GET /owner/accounts/{id}/{subscription}`: what a subscription used and what it costs.
pub async fn usage(
    State(front): State<Front>,
    Path((id, subscription)): Path<(String, String)>,
    Owner(visitor): Owner,
) -> Result<Response, PageError> {
    let account = front.portal().account_by_id(&id)?;
    let subscription = front.portal().subscription(&account.email, &subscription)?;
    let currency = front.portal().definition().currency.clone();
    show(&UsagePage {
        frame: Frame::of(&front, &visitor, "owner", &format!("Plan {}", subscription.plan_name)),
        account,
        plan: subscription.plan_name.clone(),
        usage: usage_view(&front, &subscription, &currency).await?,
    })
}

/// `POST /owner/accounts/{id}/block`: keeps the account out, or lets it in again.
pub async fn block(
    State(front): State<Front>,
    Path(id): Path<String>,
    _owner: Owner,
    fields: Fields,
) -> Result<Response, PageError> {
    let blocked = fields.text("blocked") == "true";
    let email = front.portal().account_by_id(&id)?.email.clone();
    front.portal().block(&email, blocked).await?;
    let said = if blocked { "blocked" } else { "unblocked" };
    Ok(Redirect::to(&format!("/owner/accounts/{id}?said={said}")).into_response())
}

/// `POST /owner/accounts/{id}/end/{subscription}`: ends a subscription.
pub async fn end(
    State(front): State<Front>,
    Path((id, subscription)): Path<(String, String)>,
    _owner: Owner,
    _fields: Fields,
) -> Result<Response, PageError> {
    let email = front.portal().account_by_id(&id)?.email.clone();
    front.portal().end(&email, &subscription).await?;
    Ok(Redirect::to(&format!("/owner/accounts/{id}?said=ended")).into_response())
}

/// `POST /owner/accounts/{id}/link`: shows a link with which the account's password is chosen.
pub async fn link(
    State(front): State<Front>,
    Path(id): Path<String>,
    Owner(visitor): Owner,
    _fields: Fields,
) -> Result<Response, PageError> {
    let email = front.portal().account_by_id(&id)?.email.clone();
    let link = format!("{}/invitation?link={}", front.url_for(visitor.secure), front.portal().invite(&email).await?);
    show(&LinkPage { frame: Frame::of(&front, &visitor, "owner", "A link for a password"), email, link })
}
