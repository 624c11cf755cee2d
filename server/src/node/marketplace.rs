//! The marketplace's own side: customers who subscribe and leave, asked for by whoever may read the data folder; and the
//! usage of plans that are sold as products, metered hour by hour.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post, put};
use axum::{Json, Router};
use http::StatusCode;
use millstream_catalog::{MarketplaceProductDefinition, MarketplaceSubscriptionDefinition};
use millstream_marketplace::{API_DIMENSION, Customer, MarketplaceError, Outcome, UsageRecord};
use millstream_types::{ErrorKind, Millis};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Engines;

/// An hour, milliseconds.
const HOUR: Millis = 3_600_000;

/// Hours that are metered again and again until the marketplace does not take them any more.
const HOURS: Millis = 23;

/// Millionths in a unit.
const MILLIONTHS: u64 = 1_000_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewProduct {
    #[serde(default)]
    dimensions: BTreeSet<String>,
    topic: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewSubscription {
    product: String,
    account: String,
}

/// The routes behind `millstream marketplace`.
pub fn routes(engines: &Arc<Engines>) -> Router {
    Router::new()
        .route("/admin/marketplace/products/{code}", put(put_product))
        .route("/admin/marketplace/products/{code}/records", get(records))
        .route("/admin/marketplace/subscriptions", post(subscribe).get(subscriptions))
        .route("/admin/marketplace/subscriptions/{license}", delete(unsubscribe))
        .route("/admin/marketplace/subscriptions/{license}/token", post(token))
        .with_state(Arc::clone(engines))
}

async fn put_product(
    State(engines): State<Arc<Engines>>,
    Path(code): Path<String>,
    Json(new): Json<NewProduct>,
) -> Response {
    let NewProduct { dimensions, topic } = new;
    let product = MarketplaceProductDefinition { code, dimensions, topic, ..Default::default() };
    answer(engines.marketplace.put_product(product).await.map(|made| json!(*made)))
}

async fn records(State(engines): State<Arc<Engines>>, Path(code): Path<String>) -> Response {
    answer(engines.marketplace.metered(&code).await.map(|records| json!(records)))
}

async fn subscribe(State(engines): State<Arc<Engines>>, Json(new): Json<NewSubscription>) -> Response {
    let made = async {
        let made = engines.marketplace.subscribe(&new.product, &new.account).await?;
        let token = engines.marketplace.registration_token(&made.id).await?;
        Ok(shown(&made, Some(&token)))
    };
    answer(made.await)
}

async fn subscriptions(State(engines): State<Arc<Engines>>) -> Response {
    let all: Vec<Value> = engines.marketplace.subscriptions().iter().map(|known| shown(known, None)).collect();
    answer(Ok(json!(all)))
}

async fn unsubscribe(State(engines): State<Arc<Engines>>, Path(license): Path<String>) -> Response {
    answer(engines.marketplace.unsubscribe(&license).await.map(|left| shown(&left, None)))
}

async fn token(State(engines): State<Arc<Engines>>, Path(license): Path<String>) -> Response {
    answer(engines.marketplace.registration_token(&license).await.map(|token| json!({ "token": token })))
}

fn shown(subscription: &MarketplaceSubscriptionDefinition, token: Option<&str>) -> Value {
    let mut shown = json!({
        "license": subscription.id,
        "product": subscription.product,
        "customer": subscription.customer,
        "account": subscription.account,
        "state": subscription.state,
    });
    if let Some(token) = token {
        shown["token"] = json!(token);
    }
    shown
}

fn answer(result: Result<Value, MarketplaceError>) -> Response {
    match result {
        Ok(value) => Json(value).into_response(),
        Err(error) => {
            let status = match error.kind() {
                ErrorKind::NotFound => StatusCode::NOT_FOUND,
                ErrorKind::Exists => StatusCode::CONFLICT,
                ErrorKind::Invalid => StatusCode::BAD_REQUEST,
                _ => StatusCode::INTERNAL_SERVER_ERROR,
            };
            (status, error.to_string()).into_response()
        }
    }
}

/// What is done by the clock: notices on their way, subscriptions that end, usage that is metered.
pub async fn tick(engines: &Engines) -> anyhow::Result<()> {
    engines.marketplace.end_due().await?;
    engines.marketplace.deliver_notices().await?;
    meter_plans(engines).await
}

/// Meters the requests of keys whose customers subscribed, for each hour that is over. What is metered already stays as
/// it is, so this may be done as often as one likes.
async fn meter_plans(engines: &Engines) -> anyhow::Result<()> {
    let this_hour = engines.clock.now().div_euclid(HOUR) * HOUR;
    let plans = engines.plans.plans();
    let sold = plans.iter().filter_map(|plan| Some((plan, plan.product_code.as_deref()?)));
    for (plan, product) in sold {
        engines.plans.settle().await?;
        // A customer's keys are one customer's usage.
        let mut used: BTreeMap<(String, Millis), u64> = BTreeMap::new();
        for key in engines.plans.keys_of(&plan.id).iter().filter(|key| !key.customer.is_empty()) {
            for hour in engines.plans.usage(&plan.id, &key.id, this_hour - HOURS * HOUR, this_hour).await? {
                *used.entry((key.customer.clone(), hour.hour)).or_default() += hour.used.requests;
            }
        }
        for ((customer, hour), requests) in used {
            let record = UsageRecord {
                time: hour,
                customer: Some(Customer::Identifier(customer.clone())),
                dimension: API_DIMENSION.to_owned(),
                quantity: requests.saturating_mul(MILLIONTHS),
            };
            match engines.marketplace.meter(product, &record).await {
                Ok(metered) if metered.outcome == Outcome::Metered => {}
                Ok(metered) => {
                    tracing::warn!(product, customer, hour, requests, outcome = ?metered.outcome, "usage is not metered");
                }
                Err(error) => tracing::warn!(product, customer, hour, requests, %error, "usage is not metered"),
            }
        }
    }
    Ok(())
}
