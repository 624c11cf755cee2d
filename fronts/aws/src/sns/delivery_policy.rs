//! Delivery policies: when a delivery is tried again. Pure.
//!
//! Source: "Amazon SNS message delivery retries": four phases of retries, their limits, and the fixed policy of endpoints
//! that the cloud runs itself. What a policy says beyond retries and the content type is refused.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::error;
use crate::json_protocol::ServiceError;

/// Attempts for queues, functions and delivery streams. The engine gives a message up after a day.
pub(super) const OWN_ATTEMPTS_MAX: u32 = 100_015;

/// Retries of a policy, and the seconds of all its waits together.
const RETRIES_MAX: u32 = 100;
const SECONDS_MAX: u32 = 3_600;

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct RetryPolicy {
    min_delay_target: u32,
    max_delay_target: u32,
    num_retries: u32,
    num_no_delay_retries: u32,
    num_min_delay_retries: u32,
    num_max_delay_retries: u32,
    backoff_function: Backoff,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            min_delay_target: 20,
            max_delay_target: 20,
            num_retries: 3,
            num_no_delay_retries: 0,
            num_min_delay_retries: 0,
            num_max_delay_retries: 0,
            backoff_function: Backoff::Linear,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Backoff {
    Linear,
    Arithmetic,
    Geometric,
    Exponential,
}

#[derive(Debug, Default, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RequestPolicy {
    #[serde(skip_serializing_if = "Option::is_none")]
    header_content_type: Option<String>,
}

/// A subscription's policy.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SubscriptionPolicy {
    healthy_retry_policy: Option<RetryPolicy>,
    throttle_policy: Option<serde_json::Value>,
    request_policy: Option<RequestPolicy>,
}

/// A topic's policy.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct TopicPolicy {
    #[serde(default)]
    http: HttpPolicy,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct HttpPolicy {
    default_healthy_retry_policy: Option<RetryPolicy>,
    disable_subscription_overrides: bool,
    default_throttle_policy: Option<serde_json::Value>,
    default_request_policy: Option<RequestPolicy>,
}

/// What holds for a webhook.
struct Effective {
    retry: RetryPolicy,
    request: RequestPolicy,
}

pub(super) fn check_topic(text: &str) -> Result<(), ServiceError> {
    let policy: TopicPolicy = serde_json::from_str(text).map_err(|error| wrong(&error.to_string()))?;
    check(policy.http.default_healthy_retry_policy.as_ref(), policy.http.default_throttle_policy.as_ref())
}

pub(super) fn check_subscription(text: &str) -> Result<(), ServiceError> {
    let policy: SubscriptionPolicy = serde_json::from_str(text).map_err(|error| wrong(&error.to_string()))?;
    check(policy.healthy_retry_policy.as_ref(), policy.throttle_policy.as_ref())
}

fn check(retry: Option<&RetryPolicy>, throttle: Option<&serde_json::Value>) -> Result<(), ServiceError> {
    if throttle.is_some_and(|throttle| throttle.as_object().is_none_or(|throttle| !throttle.is_empty())) {
        return Err(error::unsupported("a throttle policy of deliveries"));
    }
    let Some(retry) = retry else { return Ok(()) };
    if retry.num_retries > RETRIES_MAX {
        return Err(wrong("healthyRetryPolicy.numRetries must be less than or equal to 100"));
    }
    let fixed = u64::from(retry.num_no_delay_retries)
        + u64::from(retry.num_min_delay_retries)
        + u64::from(retry.num_max_delay_retries);
    if fixed > u64::from(retry.num_retries) {
        return Err(wrong("healthyRetryPolicy.numRetries must be greater than or equal to the sum of its phases"));
    }
    if retry.min_delay_target < 1 || retry.min_delay_target > retry.max_delay_target {
        return Err(wrong("healthyRetryPolicy.minDelayTarget must be from 1 to maxDelayTarget"));
    }
    if retry.max_delay_target > SECONDS_MAX {
        return Err(wrong("healthyRetryPolicy.maxDelayTarget must be less than or equal to 3600"));
    }
    let all: u64 = retry.waits().into_iter().map(u64::from).sum();
    if all > u64::from(SECONDS_MAX) {
        return Err(wrong("the delays of all retries together must be less than or equal to 3600 seconds"));
    }
    Ok(())
}

fn wrong(what: &str) -> ServiceError {
    error::invalid(&format!("DeliveryPolicy: {what}"))
}

/// Seconds between the attempts at a webhook.
pub(super) fn waits(topic: &BTreeMap<String, String>, subscription: &BTreeMap<String, String>) -> Vec<u32> {
    effective(topic, subscription).retry.waits()
}

/// The content type that a webhook gets, where somebody set one.
pub(super) fn content_type(
    topic: &BTreeMap<String, String>,
    subscription: &BTreeMap<String, String>,
) -> Option<String> {
    effective(topic, subscription).request.header_content_type
}

/// Seconds between the attempts at queues, functions and delivery streams.
pub(super) fn own_waits() -> Vec<u32> {
    let backoff = RetryPolicy { min_delay_target: 1, max_delay_target: 20, ..RetryPolicy::default() };
    let backoff = RetryPolicy { num_retries: 10, backoff_function: Backoff::Exponential, ..backoff };
    [vec![0, 0, 0, 1, 1], backoff.waits(), vec![20]].concat()
}

/// The policy that holds for webhooks of a topic, as it is shown.
pub(super) fn effective_of_topic(topic: &BTreeMap<String, String>) -> String {
    let policy = topic_policy(topic);
    json!({ "http": {
        "defaultHealthyRetryPolicy": policy.http.default_healthy_retry_policy.unwrap_or_default(),
        "disableSubscriptionOverrides": policy.http.disable_subscription_overrides,
        "defaultRequestPolicy": { "headerContentType": content_type_or_usual(policy.http.default_request_policy) },
    } })
    .to_string()
}

/// The policy that holds for a webhook, as it is shown.
pub(super) fn effective_of_subscription(
    topic: &BTreeMap<String, String>,
    subscription: &BTreeMap<String, String>,
) -> String {
    let Effective { retry, request } = effective(topic, subscription);
    json!({
        "healthyRetryPolicy": retry,
        "requestPolicy": { "headerContentType": content_type_or_usual(Some(request)) },
    })
    .to_string()
}

fn content_type_or_usual(policy: Option<RequestPolicy>) -> String {
    policy.unwrap_or_default().header_content_type.unwrap_or_else(|| "text/plain; charset=UTF-8".to_owned())
}

fn topic_policy(attributes: &BTreeMap<String, String>) -> TopicPolicy {
    // It was checked when it was set.
    attributes.get("DeliveryPolicy").and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
}

fn effective(topic: &BTreeMap<String, String>, subscription: &BTreeMap<String, String>) -> Effective {
    let http = topic_policy(topic).http;
    let own = subscription.get("DeliveryPolicy").filter(|_| !http.disable_subscription_overrides);
    let own: SubscriptionPolicy = own.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    Effective {
        retry: own.healthy_retry_policy.or(http.default_healthy_retry_policy).unwrap_or_default(),
        request: own.request_policy.or(http.default_request_policy).unwrap_or_default(),
    }
}

impl RetryPolicy {
    /// The waits in their order: at once, the least, growing, the longest.
    fn waits(&self) -> Vec<u32> {
        let fixed = self
            .num_no_delay_retries
            .saturating_add(self.num_min_delay_retries)
            .saturating_add(self.num_max_delay_retries);
        let growing = self.num_retries.saturating_sub(fixed).min(RETRIES_MAX);
        let times = |wait: u32, count: u32| (0..count.min(RETRIES_MAX)).map(move |_| wait);
        times(0, self.num_no_delay_retries)
            .chain(times(self.min_delay_target, self.num_min_delay_retries))
            .chain((0..growing).map(|step| self.growing(step, growing)))
            .chain(times(self.max_delay_target, self.num_max_delay_retries))
            .collect()
    }

    /// The wait of one of `steps` growing ones, counted from 0: the first is the least, the last the longest.
    fn growing(&self, step: u32, steps: u32) -> u32 {
        let (least, longest) = (f64::from(self.min_delay_target), f64::from(self.max_delay_target));
        let part = if steps > 1 { f64::from(step) / f64::from(steps - 1) } else { 0.0 };
        let part = match self.backoff_function {
            Backoff::Linear => part,
            Backoff::Arithmetic => part * part,
            Backoff::Geometric => part.powi(3),
            Backoff::Exponential => return (least * (longest / least).powf(part)).round() as u32,
        };
        (least + (longest - least) * part).round() as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(text: &str) -> BTreeMap<String, String> {
        BTreeMap::from([("DeliveryPolicy".to_owned(), text.to_owned())])
    }

    #[test]
    fn waits_come_in_four_phases() {
        let none = BTreeMap::new();
        assert_eq!(waits(&none, &none), [20, 20, 20]);
        let own = r#"{"healthyRetryPolicy":{"numRetries":8,"numNoDelayRetries":1,"numMinDelayRetries":1,
            "numMaxDelayRetries":2,"minDelayTarget":2,"maxDelayTarget":10,"backoffFunction":"linear"}}"#;
        check_subscription(own).unwrap();
        assert_eq!(waits(&none, &policy(own)), [0, 2, 2, 5, 7, 10, 10, 10]);
        let topic =
            policy(r#"{"http":{"defaultHealthyRetryPolicy":{"numRetries":1},"disableSubscriptionOverrides":true}}"#);
        assert_eq!(waits(&topic, &policy(own)), [20]);
        assert_eq!(own_waits()[..6], [0, 0, 0, 1, 1, 1]);
        assert_eq!(own_waits().len(), 16);
        assert_eq!(own_waits().last(), Some(&20));
    }

    #[test]
    fn what_is_over_a_limit_is_refused() {
        for text in [
            "{",
            r#"{"colour":1}"#,
            r#"{"healthyRetryPolicy":{"numRetries":101}}"#,
            r#"{"healthyRetryPolicy":{"numRetries":1,"numNoDelayRetries":2}}"#,
            r#"{"healthyRetryPolicy":{"minDelayTarget":30}}"#,
            r#"{"healthyRetryPolicy":{"numRetries":100,"maxDelayTarget":3600}}"#,
            r#"{"throttlePolicy":{"maxReceivesPerSecond":1}}"#,
        ] {
            assert_eq!(check_subscription(text).unwrap_err().code, "InvalidParameter", "{text}");
        }
    }
}
