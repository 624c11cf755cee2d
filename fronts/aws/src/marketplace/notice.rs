//! Notices as sellers get them: the message of the product's topic.
//!
//! Source: the AWS Marketplace seller guide, "Amazon SNS notifications for SaaS products".

use bytes::Bytes;
use millstream_marketplace::{Notice, NoticeKind, NoticeShape};
use serde_json::json;

/// The wire shape of notices.
#[derive(Debug, Clone, Copy)]
pub struct NoticeJson;

impl NoticeShape for NoticeJson {
    fn message(&self, notice: &Notice) -> Bytes {
        let action = match notice.kind {
            NoticeKind::Subscribed => "subscribe-success",
            NoticeKind::Leaving => "unsubscribe-pending",
            NoticeKind::Left => "unsubscribe-success",
        };
        let message = json!({
            "action": action,
            "customer-identifier": notice.customer,
            "product-code": notice.product,
            "isFreeTrialTermPresent": "false",
        });
        Bytes::from(message.to_string())
    }
}
