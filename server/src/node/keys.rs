//! Every key of the node, for the command that shows them: who may read the data folder may read its keys.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use millstream_access::{Access, AccessKey};
use millstream_azure::eventgrid::place;
use millstream_azure::eventhubs::EventHubs;
use millstream_azure::queue::ACCOUNT_SUFFIX as QUEUE_SUFFIX;
use millstream_types::Millis;

use super::Engines;
use crate::settings::Settings;

/// What the keys are told from.
#[derive(Clone)]
struct Keys {
    engines: Arc<Engines>,
    event_hubs: EventHubs,
    development: bool,
}

/// The route behind `millstream keys`.
pub fn routes(engines: &Arc<Engines>, event_hubs: EventHubs, settings: &Settings) -> Router {
    let keys = Keys { engines: Arc::clone(engines), event_hubs, development: settings.dev };
    Router::new().route("/admin/keys", get(all)).with_state(keys)
}

async fn all(State(Keys { engines, event_hubs, development }): State<Keys>) -> String {
    let mut text = String::new();
    let Engines { endpoint, catalog, access, cosmos_key, .. } = &*engines;
    for (title, keys) in access_keys(access, engines.clock.now()).await {
        let line =
            |key: &AccessKey| format!("{} {}{}", key.id, key.secret, if key.disabled { " (inactive)" } else { "" });
        add(&mut text, &title, &keys.iter().map(line).collect::<Vec<_>>().join("\n"));
    }
    for namespace in engines.namespaces.namespaces() {
        let strings = event_hubs.connection_strings(&namespace.name, None).unwrap_or_else(|error| error.to_string());
        add(&mut text, &format!("event hubs, namespace {}", namespace.name), &strings);
        for hub in engines.namespaces.hubs(&namespace.name).unwrap_or_default() {
            let strings = event_hubs.own_connection_strings(&hub);
            if !strings.is_empty() {
                add(&mut text, &format!("event hubs, namespace {}, hub {}", namespace.name, hub.name), &strings);
            }
        }
    }
    let scheme = endpoint.split_once("://").map_or("http", |(scheme, _)| scheme);
    let accounts = catalog.storage_accounts.list().into_iter().map(|account| account.name.clone());
    let published = development.then(|| millstream_access::DEVELOPMENT_ACCOUNT.0.to_owned());
    for account in accounts.chain(published) {
        let Some([key, _]) = access.storage_account(&account) else { continue };
        let string = format!(
            "DefaultEndpointsProtocol={scheme};AccountName={account};AccountKey={key};BlobEndpoint={endpoint}/{account};\
             QueueEndpoint={endpoint}/{account}{QUEUE_SUFFIX};"
        );
        add(&mut text, &format!("blob storage, account {account}"), &string);
    }
    add(&mut text, "cosmos", &format!("{endpoint}/\n{cosmos_key}"));
    let everyone = "any token: this is a development node";
    add(&mut text, "management, bearer token", engines.management.token().unwrap_or(everyone));
    for topic in engines.events.topics() {
        let lines = format!("{}\n{}", place::topic_endpoint(endpoint, &topic.name), topic.keys.join("\n"));
        add(&mut text, &format!("event grid, topic {}", topic.name), &lines);
    }
    for service in engines.managed.services() {
        for subscription in service.subscriptions.values() {
            let title = format!("api management, service {}, subscription {}", service.name, subscription.name);
            add(&mut text, &title, &format!("{}\n{}", subscription.primary_key, subscription.secondary_key));
        }
    }
    for key in engines.plans.keys() {
        let plans = key.plans.iter().filter_map(|plan| engines.plans.plan(plan).ok());
        let plans: Vec<String> = plans.map(|plan| plan.name.clone()).collect();
        let title = format!("api gateway, key {} {}, plans [{}]", key.id, key.name, plans.join(", "));
        add(&mut text, &title, &key.value);
    }
    text
}

/// The root's access keys and those of users.
async fn access_keys(access: &Access, now: Millis) -> Vec<(String, Vec<AccessKey>)> {
    // A node that does not start with a key of the root's has told so.
    let root = access.root_keys(now).await.unwrap_or_default();
    let users = access.users().into_iter().map(|user| {
        let keys = access.keys_of(&user.name).unwrap_or_default();
        (format!("access keys of user {}", user.name), keys)
    });
    let all = std::iter::once(("access keys of the root".to_owned(), root)).chain(users);
    all.filter(|(_, keys)| !keys.is_empty()).collect()
}

/// A title, and its lines below it.
fn add(text: &mut String, title: &str, lines: &str) {
    // Writing to a String does not fail.
    let _ = writeln!(text, "{title}");
    lines.lines().filter(|line| !line.is_empty()).for_each(|line| {
        let _ = writeln!(text, "  {line}");
    });
}
