//! `/plans`: what is offered for what price, and subscribing to it.

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use millstream_catalog::PortalSubscriptionState;
use millstream_portal::subscription::Offer;

use super::Asked;
use crate::Front;
use crate::error::PageError;
use crate::fields::Fields;
use crate::format::{paragraphs, price_lines, quota, throttle};
use crate::frame::{Frame, show};
use crate::visitor::{Member, Visitor};

#[derive(Template)]
#[template(path = "pages/plans.html")]
struct PlansPage {
    frame: Frame,
    plans: Vec<PlanRow>,
}

struct PlanRow {
    id: String,
    name: String,
    description: Vec<String>,
    price: Vec<String>,
    throttle: Option<String>,
    quota: Option<String>,
    apis: Vec<(String, String)>,
    approval: bool,
    /// The visitor's subscription to it: its id, and whether it is active.
    subscription: Option<(String, bool)>,
}

/// Shows all plans that are offered.
pub async fn show_page(
    State(front): State<Front>,
    Query(asked): Query<Asked>,
    visitor: Visitor,
) -> Result<Response, PageError> {
    let currency = front.portal().definition().currency.clone();
    let plans = front.portal().offers().iter().map(|offer| row(&front, &visitor, offer, &currency)).collect();
    show(&PlansPage { frame: Frame::of(&front, &visitor, "plans", "Plans").noting(asked.notice()), plans })
}

/// `POST /plans/{plan}`: subscribes.
pub async fn subscribe(
    State(front): State<Front>,
    Path(plan): Path<String>,
    member: Member,
    _fields: Fields,
) -> Result<Response, PageError> {
    let email = &member.account.email;
    let id = front.portal().subscribe(email, &plan).await?;
    let active = front.portal().subscription(email, &id)?.state == PortalSubscriptionState::Active;
    let said = if active { "subscribed" } else { "requested" };
    Ok(Redirect::to(&format!("/subscriptions/{id}?said={said}")).into_response())
}

fn row(front: &Front, visitor: &Visitor, offer: &Offer, currency: &str) -> PlanRow {
    let apis = front.portal().apis();
    let opened = apis.iter().filter(|api| api.published && offer.plan.stage(&api.api, &api.stage).is_some());
    let titled = opened.filter_map(|api| Some((api.name.clone(), front.portal().document(api).ok()?.title.clone())));
    let mine = visitor.account.iter().flat_map(|account| account.subscriptions.values()).find(|known| {
        known.plan == offer.plan.id
            && matches!(known.state, PortalSubscriptionState::Requested | PortalSubscriptionState::Active)
    });
    PlanRow {
        id: offer.plan.id.clone(),
        name: offer.plan.name.clone(),
        description: paragraphs(&offer.plan.description),
        price: price_lines(&offer.offer.price, currency),
        throttle: offer.plan.throttle.as_ref().map(throttle),
        quota: offer.plan.quota.as_ref().map(quota),
        apis: titled.collect(),
        approval: offer.offer.approval,
        subscription: mine.map(|known| (known.id.clone(), known.state == PortalSubscriptionState::Active)),
    }
}
