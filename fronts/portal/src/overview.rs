//! Subscriptions as rows: what they used and what they cost in a month. Shared by visitors' pages and owners'.

use millstream_catalog::{PortalAccountDefinition, PortalSubscription, PortalSubscriptionState as State};
use millstream_portal::bill::Month;

use crate::Front;
use crate::error::PageError;
use crate::format::{count, date, money, price_lines};

/// A subscription in a list.
pub struct SubscriptionRow {
    /// Its id.
    pub id: String,
    /// Its plan's name.
    pub plan: String,
    /// Where it stands, in a word.
    pub state: &'static str,
    /// Whether its key opens anything.
    pub active: bool,
    /// Whether somebody has to agree.
    pub requested: bool,
    /// Since when, or until when.
    pub when: String,
    /// Its price in lines.
    pub price: Vec<String>,
    /// Calls of this month.
    pub calls: String,
    /// What this month costs so far.
    pub cost: String,
}

/// Where a subscription stands, in a word.
pub fn state_word(state: State) -> &'static str {
    match state {
        State::Requested => "requested",
        State::Active => "active",
        State::Rejected => "refused",
        State::Ended => "ended",
    }
}

/// The subscriptions of an account, those that are open first.
pub async fn subscription_rows(
    front: &Front,
    account: &PortalAccountDefinition,
) -> Result<Vec<SubscriptionRow>, PageError> {
    let currency = front.portal().definition().currency.clone();
    let mut known: Vec<&PortalSubscription> = account.subscriptions.values().collect();
    known.sort_by_key(|known| (known.ended.is_some(), std::cmp::Reverse(known.requested)));
    let mut rows = Vec::with_capacity(known.len());
    for subscription in known {
        rows.push(row(front, subscription, &currency).await?);
    }
    Ok(rows)
}

async fn row(front: &Front, subscription: &PortalSubscription, currency: &str) -> Result<SubscriptionRow, PageError> {
    let line = front.portal().month(subscription, Month::of(front.now())).await?;
    Ok(SubscriptionRow {
        id: subscription.id.clone(),
        plan: subscription.plan_name.clone(),
        state: state_word(subscription.state),
        active: subscription.state == State::Active,
        requested: subscription.state == State::Requested,
        when: match (subscription.ended, subscription.began) {
            (Some(ended), _) => format!("until {}", date(ended)),
            (None, Some(began)) => format!("since {}", date(began)),
            (None, None) => format!("asked for on {}", date(subscription.requested)),
        },
        price: price_lines(&subscription.price, currency),
        calls: line.as_ref().map(|line| count(line.calls)).unwrap_or_default(),
        cost: line.as_ref().map(|line| money(line.total, currency)).unwrap_or_default(),
    })
}
