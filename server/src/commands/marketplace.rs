//! `millstream marketplace`: the marketplace's own side of a running node.

use std::path::Path;

use bytes::Bytes;
use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::remote::{escape, say};
use crate::cli::MarketplaceCommand;
use crate::remote::Remote;

/// Some of a product's records.
#[derive(Deserialize)]
struct RecordsPage {
    records: Vec<Value>,
    next: Option<String>,
}

/// Runs a command and prints the node's answer.
///
/// # Errors
/// The node's refusal, or no node.
pub async fn run(command: MarketplaceCommand) -> anyhow::Result<()> {
    match command {
        MarketplaceCommand::Product { code, dimensions, topic, node } => {
            let body = json!({ "dimensions": dimensions, "topic": topic });
            ask(&node.data, Method::PUT, &format!("products/{}", escape(&code)), Some(body)).await
        }
        MarketplaceCommand::Subscribe { product, account, node } => {
            let body = json!({ "product": product, "account": account });
            ask(&node.data, Method::POST, "subscriptions", Some(body)).await
        }
        MarketplaceCommand::Token { license, node } => {
            ask(&node.data, Method::POST, &format!("subscriptions/{}/token", escape(&license)), None).await
        }
        MarketplaceCommand::Unsubscribe { license, node } => {
            ask(&node.data, Method::DELETE, &format!("subscriptions/{}", escape(&license)), None).await
        }
        MarketplaceCommand::List(node) => ask(&node.data, Method::GET, "subscriptions", None).await,
        MarketplaceCommand::Records { product, node } => records(&node.data, &product).await,
    }
}

/// Prints all records of a product, page by page.
async fn records(data: &Path, product: &str) -> anyhow::Result<()> {
    let first = format!("/admin/marketplace/products/{}/records", escape(product));
    let mut path = first.clone();
    loop {
        let page = Remote::new(data).ask_whole(Method::GET, &path, Bytes::new()).await?;
        let page: RecordsPage = serde_json::from_slice(&page)?;
        page.records.iter().for_each(|record| say(&record.to_string()));
        let Some(next) = page.next else { return Ok(()) };
        path = format!("{first}?next={next}");
    }
}

async fn ask(data: &Path, method: Method, path: &str, body: Option<Value>) -> anyhow::Result<()> {
    let body = body.map_or_else(Bytes::new, |body| Bytes::from(body.to_string()));
    let path = format!("/admin/marketplace/{path}");
    let answer = Remote::new(data).ask_whole(method, &path, body).await?;
    match serde_json::from_slice(&answer) {
        Ok(Value::Array(items)) => items.iter().for_each(|item| say(&item.to_string())),
        Ok(other) => say(&other.to_string()),
        Err(_) => say(String::from_utf8_lossy(&answer).trim_end()),
    }
    Ok(())
}
