//! The marketplace's own side: customers who subscribe and leave, asked for by whoever may read the data folder.
//! Read next: `sold_usage.rs` (the usage of plans that are sold as products).

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post, put};
use axum::{Json, Router};
use http::StatusCode;
use millstream_catalog::{MarketplaceProductDefinition, MarketplaceSubscriptionDefinition};
use millstream_marketplace::MarketplaceError;
use millstream_marketplace::metering::PAGE_MAX;
use millstream_types::ErrorKind;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Engines;
use super::sold_usage::SoldUsage;

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

/// Which page of records.
#[derive(Deserialize)]
struct Page {
    /// What the page before named, in hexadecimal digits.
    next: Option<String>,
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

async fn records(State(engines): State<Arc<Engines>>, Path(code): Path<String>, Query(page): Query<Page>) -> Response {
    let Ok(next) = page.next.map(hex::decode).transpose() else {
        return (StatusCode::BAD_REQUEST, "expected the `next` of another page").into_response();
    };
    let page = engines.marketplace.metered(&code, next, PAGE_MAX).await;
    answer(page.map(|page| json!({ "records": page.records, "next": page.next.map(hex::encode) })))
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

/// What is done by the clock: usage is metered, subscriptions end, notices go on their way. Each is done though another
/// cannot be, but nobody is let go before the last usage is metered.
///
/// # Errors
/// Those of the engines; what was not done is done the next time.
pub async fn tick(engines: &Engines, sold: &SoldUsage) -> anyhow::Result<()> {
    let market = &engines.marketplace;
    let delivered = market.deliver_notices().await;
    let leaving = market.due();
    sold.meter(&engines.plans, market, &leaving, engines.clock.now()).await?;
    market.end(&leaving).await?;
    market.sweep_tokens().await?;
    Ok(delivered?)
}
