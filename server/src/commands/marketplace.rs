//! `millstream marketplace`: the marketplace's own side of a running node.

use std::path::Path;

use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};

use super::remote::{escape, say};
use crate::cli::MarketplaceCommand;
use crate::remote::Remote;

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
        MarketplaceCommand::Records { product, node } => {
            ask(&node.data, Method::GET, &format!("products/{}/records", escape(&product)), None).await
        }
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
