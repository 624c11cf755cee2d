//! `GET /owner`: who waits for an answer, what was used and what came in; and the answers.

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use millstream_portal::bill::Month;

use crate::Front;
use crate::error::PageError;
use crate::fields::Fields;
use crate::format::{count, date_time, money, price_lines};
use crate::frame::{Frame, show};
use crate::pages::Asked;
use crate::visitor::Owner;

/// Requests that are shown; those behind them come when these are answered.
const REQUESTS_SHOWN: usize = 50;

/// Accounts that are shown: those that cost most.
const ACCOUNTS_SHOWN: usize = 20;

#[derive(Template)]
#[template(path = "pages/owner/summary.html")]
struct SummaryPage {
    frame: Frame,
    month: String,
    accounts: String,
    active: String,
    calls: String,
    revenue: String,
    requests: Vec<RequestRow>,
    waiting: usize,
    plans: Vec<[String; 4]>,
    busiest: Vec<BusiestRow>,
}

struct RequestRow {
    account: String,
    subscription: String,
    name: String,
    email: String,
    plan: String,
    price: Vec<String>,
    when: String,
}

struct BusiestRow {
    id: String,
    name: String,
    email: String,
    calls: String,
    cost: String,
}

/// Shows this month.
pub async fn show_page(
    State(front): State<Front>,
    Query(asked): Query<Asked>,
    Owner(visitor): Owner,
) -> Result<Response, PageError> {
    let month = Month::of(front.now());
    let currency = front.portal().definition().currency.clone();
    let sums = front.portal().sums(month).await?;
    let waiting = front.portal().requests();
    let plans = sums
        .plans
        .iter()
        .map(|plan| [plan.name.clone(), count(plan.active), count(plan.calls), money(plan.revenue, &currency)]);
    let busiest = sums.accounts.iter().take(ACCOUNTS_SHOWN).map(|sum| BusiestRow {
        id: sum.account.id.clone(),
        name: sum.account.name.clone(),
        email: sum.account.email.clone(),
        calls: count(sum.calls),
        cost: money(sum.cost, &currency),
    });
    let requests = waiting.iter().take(REQUESTS_SHOWN).map(|(account, subscription)| RequestRow {
        account: account.id.clone(),
        subscription: subscription.id.clone(),
        name: account.name.clone(),
        email: account.email.clone(),
        plan: subscription.plan_name.clone(),
        price: price_lines(&subscription.price, &currency),
        when: date_time(subscription.requested),
    });
    show(&SummaryPage {
        frame: Frame::of(&front, &visitor, "owner", "Overview").noting(asked.notice()),
        month: month.to_string(),
        accounts: count(front.portal().accounts().len() as u64),
        active: count(sums.active()),
        calls: count(sums.calls()),
        revenue: money(sums.revenue(), &currency),
        requests: requests.collect(),
        waiting: waiting.len(),
        plans: plans.collect(),
        busiest: busiest.collect(),
    })
}

/// `POST /owner/requests/{account}/{subscription}`: agrees or refuses.
pub async fn decide(
    State(front): State<Front>,
    Path((account, subscription)): Path<(String, String)>,
    _owner: Owner,
    fields: Fields,
) -> Result<Response, PageError> {
    let agreed = match fields.text("answer") {
        "agree" => true,
        "refuse" => false,
        _ => return Err(PageError::Form),
    };
    let email = front.portal().account_by_id(&account)?.email.clone();
    front.portal().decide(&email, &subscription, agreed).await?;
    Ok(Redirect::to(if agreed { "/owner?said=agreed" } else { "/owner?said=refused" }).into_response())
}
