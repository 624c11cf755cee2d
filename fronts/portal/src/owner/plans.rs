//! `/owner/plans`: which plans are offered, for what price, and whether the owner has to agree.

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use http::StatusCode;
use millstream_catalog::{Money, PortalOfferDefinition, Price};
use millstream_portal::PortalError;

use crate::Front;
use crate::error::{PageError, sentence, status};
use crate::fields::Fields;
use crate::format::{quota, throttle};
use crate::frame::{Frame, show_with};
use crate::pages::Asked;
use crate::visitor::{Owner, Visitor};

#[derive(Template)]
#[template(path = "pages/owner/plans.html")]
struct PlansPage {
    frame: Frame,
    currency: String,
    plans: Vec<PlanForm>,
    mistake: Option<String>,
}

struct PlanForm {
    id: String,
    name: String,
    limits: Vec<String>,
    offered: bool,
    approval: bool,
    month: String,
    included: String,
    call: String,
}

/// Shows all plans.
pub async fn show_page(
    State(front): State<Front>,
    Query(asked): Query<Asked>,
    Owner(visitor): Owner,
) -> Result<Response, PageError> {
    draw(&front, &visitor, (StatusCode::OK, None, asked.notice()))
}

/// `POST /owner/plans/{plan}`: offers a plan on other conditions.
pub async fn offer(
    State(front): State<Front>,
    Path(plan): Path<String>,
    Owner(visitor): Owner,
    fields: Fields,
) -> Result<Response, PageError> {
    let offered = match read(plan, &fields) {
        Ok(offer) => front.portal().offer(offer).await,
        Err(error) => Err(error),
    };
    match offered {
        Ok(_) => Ok(Redirect::to("/owner/plans?said=saved").into_response()),
        Err(error) => draw(&front, &visitor, (status(&error), Some(sentence(&error.to_string())), None)),
    }
}

fn read(plan: String, fields: &Fields) -> Result<PortalOfferDefinition, PortalError> {
    let wrong = |field: &'static str, expected: &str| PortalError::Field { field, expected: expected.to_owned() };
    let amount = |name: &str, field: &'static str| {
        let text = fields.text(name).trim();
        let text = if text.is_empty() { "0" } else { text };
        Money::parse(text).ok_or_else(|| wrong(field, "an amount like 29.90, with at most six decimals"))
    };
    let included = fields.text("included").trim().replace(',', "");
    let included = if included.is_empty() { Ok(0) } else { included.parse() };
    let price = Price {
        month: amount("month", "price a month")?,
        included_calls: included.map_err(|_| wrong("included calls", "a whole number"))?,
        call: amount("call", "price a call")?,
    };
    Ok(PortalOfferDefinition { plan, offered: fields.ticked("offered"), approval: fields.ticked("approval"), price })
}

fn draw(
    front: &Front,
    visitor: &Visitor,
    (status, mistake, notice): (StatusCode, Option<String>, Option<&'static str>),
) -> Result<Response, PageError> {
    let form = |offer: millstream_portal::subscription::Offer| PlanForm {
        id: offer.plan.id.clone(),
        name: offer.plan.name.clone(),
        limits: offer.plan.throttle.iter().map(throttle).chain(offer.plan.quota.iter().map(quota)).collect(),
        offered: offer.offer.offered,
        approval: offer.offer.approval,
        month: offer.offer.price.month.to_string(),
        included: offer.offer.price.included_calls.to_string(),
        call: offer.offer.price.call.to_string(),
    };
    let page = PlansPage {
        frame: Frame::of(front, visitor, "owner", "Plans and prices").noting(notice),
        currency: front.portal().definition().currency.clone(),
        plans: front.portal().plans().into_iter().map(form).collect(),
        mistake,
    };
    show_with(status, &page)
}
