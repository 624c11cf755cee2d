//! `SubscribeToShard`: a shard's records are pushed to a consumer for five minutes.
//! Read next: `subscription.rs` (what is pushed), `event_stream.rs` (how it is written).

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http_body_util::StreamBody;
use hyper::body::Frame;
use millstream_http::serve::LiveBody;
use serde::Deserialize;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::consumers::{self, Found};
use super::get_shard_iterator::{Start, TYPES, offset};
use super::subscription::{Subscribed, Subscription};
use super::{Kinesis, check_shard_id, dry_run, unserved};
use crate::json_protocol::{Constraints, JsonRequest, ServiceError};

/// How long after a subscription began the next one of the same consumer to the same shard is refused; later ones take over.
const TAKEN_FOR: Duration = Duration::from_secs(5);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    #[serde(rename = "ConsumerARN")]
    consumer_arn: Option<String>,
    shard_id: Option<String>,
    starting_position: Option<StartingPosition>,
    dry_run: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct StartingPosition {
    #[serde(rename = "Type")]
    kind: Option<String>,
    sequence_number: Option<String>,
    timestamp: Option<f64>,
}

/// Who is subscribed to which shard: by the consumer's ARN and the shard's log.
#[derive(Default)]
pub(super) struct Subscriptions(Mutex<HashMap<(String, u64), Taken>>);

/// A consumer's subscription to a shard.
struct Taken {
    begun: Instant,
    /// Tells it that another one takes over; closed when it has ended.
    over: oneshot::Sender<()>,
}

impl Subscriptions {
    /// Begins a subscription and ends the one before; `None` when that has only just begun.
    fn take(&self, consumer: &str, log: u64) -> Option<oneshot::Receiver<()>> {
        let mut subscriptions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_recent = |taken: &Taken| taken.begun.elapsed() < TAKEN_FOR;
        subscriptions.retain(|_, taken| !taken.over.is_closed() || is_recent(taken));
        let key = (consumer.to_owned(), log);
        if subscriptions.get(&key).is_some_and(is_recent) {
            return None;
        }
        let (over, told) = oneshot::channel();
        if let Some(before) = subscriptions.insert(key, Taken { begun: Instant::now(), over }) {
            // It may have ended by itself.
            let _ = before.over.send(());
        }
        Some(told)
    }
}

/// Begins a subscription: the answer's body, which comes by and by.
pub(super) async fn call(kinesis: &Kinesis, request: &JsonRequest, cbor: bool) -> Result<LiveBody, ServiceError> {
    unserved::check(request)?;
    let input: Input = request.input()?;
    let position = input.starting_position.as_ref();
    let kind = position.and_then(|position| position.kind.as_deref());
    let mut constraints = Constraints::new();
    constraints.required("consumerARN", input.consumer_arn.as_ref()).required("shardId", input.shard_id.as_ref());
    check_shard_id(&mut constraints, "shardId", input.shard_id.as_deref());
    constraints
        .required("startingPosition", position)
        .required("startingPosition.type", kind.as_ref())
        .one_of("startingPosition.type", kind, &TYPES)
        .finish()?;
    let arn = input.consumer_arn.as_deref().unwrap_or_default();
    let Found { stream, consumer } = consumers::of_arn(kinesis, arn)?;
    let shard = kinesis.existing_shard(&stream, input.shard_id.as_deref().unwrap_or_default())?;
    let start = Start {
        kind: kind.unwrap_or_default(),
        sequence_number: position.and_then(|position| position.sequence_number.as_deref()),
        timestamp: position.and_then(|position| position.timestamp),
    };
    let next = offset(kinesis, &stream, shard, &start).await?;
    dry_run(input.dry_run)?;
    let Some(over) = kinesis.subscriptions.take(arn, shard.log) else {
        let message = format!("Another active subscription exists for this consumer: {arn}.");
        return Err(ServiceError::new("ResourceInUseException", message));
    };
    let subscribed = Subscribed { stream: stream.name.clone(), consumer, shard: shard.clone(), next };
    let subscription = Subscription::new(kinesis, subscribed, over, cbor);
    let events = futures_util::stream::unfold(subscription, |mut subscription| async move {
        let event = subscription.next().await?;
        Some((Ok(Frame::data(event)), subscription))
    });
    Ok(LiveBody::new(StreamBody::new(events)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_shard_has_one_subscription_of_a_consumer() {
        let subscriptions = Subscriptions::default();
        let mut first = subscriptions.take("a", 1).unwrap();
        assert!(subscriptions.take("a", 1).is_none(), "it has only just begun");
        assert!(subscriptions.take("a", 2).is_some() && subscriptions.take("b", 1).is_some());
        tokio::time::advance(TAKEN_FOR).await;
        let second = subscriptions.take("a", 1).unwrap();
        assert_eq!(first.try_recv(), Ok(()), "the other one takes over");
        drop(second);
        assert!(subscriptions.take("a", 1).is_none(), "that one ended is not enough");
        tokio::time::advance(TAKEN_FOR).await;
        assert!(subscriptions.take("a", 1).is_some());
    }
}
