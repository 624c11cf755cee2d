//! `/apis/{service}`: APIs, products and subscriptions of a service; never their keys.

use askama::Template;
use millstream_catalog::{ManagedServiceDefinition, ManagedSubscriptionState, SubscriptionScope};

use super::Frame;
use crate::Console;
use crate::error::ConsoleError;
use crate::page::Page;
use crate::partials::{Cell, Grid, LIST_MAX};

#[derive(Template)]
#[template(path = "pages/service.html")]
struct ServicePage<'a> {
    frame: Frame,
    name: &'a str,
    apis: Grid,
    products: Grid,
    subscriptions: Grid,
    policy: Option<&'a str>,
}

pub(super) fn page(console: &Console, name: &str, frame: Frame) -> Result<String, ConsoleError> {
    let service = console.service(name)?;
    let page = ServicePage {
        frame,
        name,
        apis: apis(&service),
        products: products(&service),
        subscriptions: subscriptions(&service),
        policy: service.policy.as_deref(),
    };
    Ok(page.render()?)
}

fn apis(service: &ManagedServiceDefinition) -> Grid {
    let mut grid = Grid::new(&["name", "path", "#operations", "key"], "No APIs.");
    for api in service.apis.values() {
        grid.rows.push(vec![
            Cell::link(&api.name, &Page::ManagedApi(service.name.clone(), api.name.clone())),
            format!("/{}", api.path).into(),
            api.operations.len().to_string().into(),
            if api.subscription_required { "needed" } else { "not needed" }.into(),
        ]);
    }
    grid
}

fn products(service: &ManagedServiceDefinition) -> Grid {
    let mut grid = Grid::new(&["name", "APIs", "key", "offered"], "No products.");
    for product in service.products.values() {
        grid.rows.push(vec![
            product.name.as_str().into(),
            product.apis.iter().cloned().collect::<Vec<_>>().join(", ").into(),
            if product.subscription_required { "needed" } else { "not needed" }.into(),
            if product.published { "yes" } else { "no" }.into(),
        ]);
    }
    grid
}

fn subscriptions(service: &ManagedServiceDefinition) -> Grid {
    let mut grid = Grid::new(&["name", "opens", "state"], "No subscriptions.");
    for subscription in service.subscriptions.values().take(LIST_MAX) {
        grid.rows.push(vec![
            subscription.name.as_str().into(),
            scope(&subscription.scope).into(),
            state(subscription.state).into(),
        ]);
    }
    grid
}

fn scope(scope: &SubscriptionScope) -> String {
    match scope {
        SubscriptionScope::AllApis => "all APIs".to_owned(),
        SubscriptionScope::Product(product) => format!("the product {product}"),
        SubscriptionScope::Api(api) => format!("the API {api}"),
    }
}

fn state(state: ManagedSubscriptionState) -> &'static str {
    match state {
        ManagedSubscriptionState::Active => "active",
        ManagedSubscriptionState::Suspended => "suspended",
        ManagedSubscriptionState::Submitted => "submitted",
        ManagedSubscriptionState::Rejected => "rejected",
        ManagedSubscriptionState::Cancelled => "cancelled",
        ManagedSubscriptionState::Expired => "expired",
    }
}
