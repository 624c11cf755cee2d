//! `/subscriptions/{id}`: a subscription's key, its usage, what it costs, and its end.

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use jiff::ToSpan as _;
use jiff::civil::Date;
use millstream_catalog::{PortalSubscription, PortalSubscriptionState};
use millstream_portal::bill::{Line, date_of, oldest_day};
use millstream_portal::usage::Usage;

use super::Asked;
use crate::Front;
use crate::chart::Chart;
use crate::error::PageError;
use crate::fields::Fields;
use crate::format::{calls, count, date_time, money, price_lines, quota};
use crate::frame::{Frame, show};
use crate::overview::state_word;
use crate::visitor::Member;

/// Days that the chart shows.
const CHART_DAYS: i64 = 30;

#[derive(Template)]
#[template(path = "pages/subscription.html")]
struct SubscriptionPage {
    frame: Frame,
    id: String,
    plan: String,
    state: &'static str,
    active: bool,
    requested: bool,
    price: Vec<String>,
    keys: Option<Keys>,
    usage: UsageView,
}

/// The values that open the plan's APIs.
struct Keys {
    value: String,
    former: Option<String>,
    changed: String,
}

/// What was used and what it costs, for whoever may see it.
pub struct UsageView {
    /// The last days.
    pub chart: Chart,
    /// Days with calls, the latest first: the day and the calls of each API.
    pub days: Vec<(String, Vec<(String, String)>)>,
    /// What is left of the quota.
    pub quota: Option<QuotaView>,
    /// Months, the latest first.
    pub months: Vec<MonthRow>,
}

/// What is left of a quota.
pub struct QuotaView {
    /// `10,000 calls a month`.
    pub limit: String,
    /// Calls that are left.
    pub left: String,
    /// The same as numbers, for a meter.
    pub used: u64,
    /// The meter's end.
    pub max: u64,
    /// When it begins anew.
    pub renewed: String,
}

/// A month of a bill.
pub struct MonthRow {
    /// `2026-11`.
    pub month: String,
    /// Calls.
    pub calls: String,
    /// Of which are paid.
    pub paid_calls: String,
    /// For the month.
    pub fee: String,
    /// For the calls.
    pub calls_cost: String,
    /// Both.
    pub total: String,
}

/// Shows a subscription.
pub async fn show_page(
    State(front): State<Front>,
    Path(id): Path<String>,
    Query(asked): Query<Asked>,
    member: Member,
) -> Result<Response, PageError> {
    let subscription = front.portal().subscription(&member.account.email, &id)?;
    let currency = front.portal().definition().currency.clone();
    let active = subscription.state == PortalSubscriptionState::Active;
    let keys = match subscription.key.as_ref().filter(|_| active) {
        Some(key) => {
            let key = front.portal().key(key)?;
            let former = key.former.as_ref().map(|former| former.value.clone());
            Some(Keys { value: key.value.clone(), former, changed: date_time(key.updated.max(key.created)) })
        }
        None => None,
    };
    let title = format!("Plan {}", subscription.plan_name);
    show(&SubscriptionPage {
        frame: Frame::of(&front, &member.visitor, "account", &title).noting(asked.notice()),
        id,
        plan: subscription.plan_name.clone(),
        state: state_word(subscription.state),
        active,
        requested: subscription.state == PortalSubscriptionState::Requested,
        price: price_lines(&subscription.price, &currency),
        keys,
        usage: usage_view(&front, &subscription, &currency).await?,
    })
}

/// `POST /subscriptions/{id}/rotate`
pub async fn rotate(
    State(front): State<Front>,
    Path(id): Path<String>,
    member: Member,
    _fields: Fields,
) -> Result<Response, PageError> {
    front.portal().rotate(&member.account.email, &id).await?;
    Ok(Redirect::to(&format!("/subscriptions/{id}?said=rotated#keys")).into_response())
}

/// `POST /subscriptions/{id}/revoke`
pub async fn revoke(
    State(front): State<Front>,
    Path(id): Path<String>,
    member: Member,
    _fields: Fields,
) -> Result<Response, PageError> {
    front.portal().revoke_former(&member.account.email, &id).await?;
    Ok(Redirect::to(&format!("/subscriptions/{id}?said=revoked#keys")).into_response())
}

/// `POST /subscriptions/{id}/end`
pub async fn end(
    State(front): State<Front>,
    Path(id): Path<String>,
    member: Member,
    _fields: Fields,
) -> Result<Response, PageError> {
    front.portal().end(&member.account.email, &id).await?;
    Ok(Redirect::to(&format!("/subscriptions/{id}?said=ended")).into_response())
}

/// What a subscription used and what it costs.
pub async fn usage_view(
    front: &Front,
    subscription: &PortalSubscription,
    currency: &str,
) -> Result<UsageView, PageError> {
    let now = front.now();
    let usage = front.portal().usage(subscription, oldest_day(now), date_of(now)).await?;
    let days = usage.calls_by_day();
    Ok(UsageView {
        chart: Chart::of(&last_days(date_of(now), &days)),
        days: day_rows(front, &usage),
        quota: quota_view(front, subscription).await?,
        months: front.portal().bill(subscription, &days).iter().map(|line| month_row(line, currency)).collect(),
    })
}

async fn quota_view(front: &Front, subscription: &PortalSubscription) -> Result<Option<QuotaView>, PageError> {
    let Some(left) = front.portal().quota_left(subscription).await? else { return Ok(None) };
    Ok(Some(QuotaView {
        limit: quota(&left.quota),
        left: count(left.calls),
        used: left.quota.limit.saturating_sub(left.calls),
        max: left.quota.limit,
        renewed: date_time(left.renewed),
    }))
}

fn last_days(today: Date, days: &BTreeMap<Date, u64>) -> Vec<(Date, u64)> {
    let back = (0..CHART_DAYS).rev().filter_map(|back| today.checked_sub(back.days()).ok());
    back.map(|date| (date, days.get(&date).copied().unwrap_or(0))).collect()
}

fn day_rows(front: &Front, usage: &Usage) -> Vec<(String, Vec<(String, String)>)> {
    let titles: BTreeMap<String, String> = front
        .portal()
        .apis()
        .iter()
        .filter_map(|api| Some((api.api.clone(), front.portal().document(api).ok()?.title.clone())))
        .collect();
    let row = |(date, by_api): (&Date, &BTreeMap<String, u64>)| {
        let titled = |api: &String| titles.get(api).unwrap_or(api).clone();
        (date.to_string(), by_api.iter().map(|(api, called)| (titled(api), calls(*called))).collect())
    };
    usage.days.iter().rev().map(row).collect()
}

fn month_row(line: &Line, currency: &str) -> MonthRow {
    MonthRow {
        month: line.month.to_string(),
        calls: count(line.calls),
        paid_calls: count(line.paid_calls),
        fee: money(line.fee, currency),
        calls_cost: money(line.calls_cost, currency),
        total: money(line.total, currency),
    }
}
