//! Topics of messages over the engine: subscriptions, confirmation, patterns, what is given up.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use millstream_catalog::{
    EventEndpoint, EventFilter, EventSchema, MessagePattern, PatternScope, SubscriptionState, TopicDefinition,
};
use millstream_event::message::{
    Attribute, AttributeValue, FormError, Handshake, HandshakeKind, Notification, NotificationForm, WebhookRequest,
};
use millstream_event::{EventError, Message, MessageSettings, MessageSubscription, NewMessageTopic, NewTopic};
use millstream_types::{BoxFuture, ErrorKind, OutgoingMessage, SendMessage, SendMessageError};

use super::world::{Node, Running};

/// Messages as they are; handshakes are kept.
#[derive(Default)]
struct PlainForm(Mutex<Vec<String>>);

impl NotificationForm for PlainForm {
    fn request<'n>(&'n self, notification: Notification<'n>) -> BoxFuture<'n, Result<WebhookRequest, FormError>> {
        let body = Bytes::from(notification.message.body.clone());
        Box::pin(async { Ok(WebhookRequest { headers: HeaderMap::new(), body }) })
    }

    fn queue_message<'n>(
        &'n self,
        notification: Notification<'n>,
    ) -> BoxFuture<'n, Result<OutgoingMessage, FormError>> {
        let message = notification.message;
        let message = OutgoingMessage {
            body: message.body.clone().into(),
            attributes: message.queue_attributes(),
            group: message.group.clone(),
        };
        Box::pin(async { Ok(message) })
    }

    fn function_event<'n>(&'n self, _: Notification<'n>) -> BoxFuture<'n, Result<Bytes, FormError>> {
        Box::pin(async { Ok(Bytes::new()) })
    }

    fn record<'n>(&'n self, _: Notification<'n>) -> BoxFuture<'n, Result<Bytes, FormError>> {
        Box::pin(async { Ok(Bytes::new()) })
    }

    fn handshake<'n>(&'n self, asked: Handshake<'n>) -> BoxFuture<'n, Result<WebhookRequest, FormError>> {
        let told = match asked.kind {
            HandshakeKind::Subscribed(token) => token.to_owned(),
            HandshakeKind::Unsubscribed => "unsubscribed".to_owned(),
        };
        self.0.lock().unwrap().push(told);
        Box::pin(async { Err(FormError("nobody is told".to_owned())) })
    }
}

/// Queues by name; one that is named `gone` is not there.
#[derive(Default)]
struct FakeQueues(Mutex<Vec<(String, String)>>);

impl SendMessage for FakeQueues {
    fn send_messages(
        &self,
        queue: String,
        messages: Vec<OutgoingMessage>,
    ) -> BoxFuture<'_, Result<(), SendMessageError>> {
        Box::pin(async move {
            if queue == "gone" {
                return Err(SendMessageError { kind: ErrorKind::NotFound, message: "there is no queue".into() });
            }
            for message in messages {
                self.0.lock().unwrap().push((queue.clone(), String::from_utf8_lossy(&message.body).into_owned()));
            }
            Ok(())
        })
    }
}

struct World {
    node: Node,
    running: Running,
    form: Arc<PlainForm>,
    queues: Arc<FakeQueues>,
}

async fn world() -> World {
    let (node, form, queues) = (Node::new(), Arc::<PlainForm>::default(), Arc::<FakeQueues>::default());
    let (shown, sent) = (Arc::clone(&form), Arc::clone(&queues));
    let running = node.start_with(move |options| {
        options.messages = Some(shown);
        options.queues = Some(sent);
    });
    let new = NewMessageTopic { name: "t_1".into(), address: "topic:t_1".into(), ..NewMessageTopic::default() };
    running.events.create_message_topic(new).await.unwrap();
    World { node, running, form, queues }
}

fn message(body: &str, kind: &str) -> Message {
    let attribute = Attribute { kind: "String".into(), value: AttributeValue::Text(kind.into()) };
    let attributes = BTreeMap::from([("kind".to_owned(), attribute)]);
    Message { id: body.into(), body: body.into(), attributes, ..Message::default() }
}

fn to_queue(queue: &str, settings: MessageSettings) -> MessageSubscription {
    MessageSubscription { topic: "t_1".into(), endpoint: EventEndpoint::Queue { name: queue.into() }, settings }
}

async fn until(found: impl Fn() -> bool) {
    for _ in 0..500 {
        if found() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("it did not come");
}

#[tokio::test]
async fn queues_get_what_their_patterns_want_and_what_others_could_not_take() {
    let world = world().await;
    let events = &world.running.events;
    let pattern = MessagePattern { text: r#"{"kind": ["sale"]}"#.into(), scope: PatternScope::Attributes };
    let filter = EventFilter { pattern: Some(pattern), ..EventFilter::default() };
    let first =
        events.subscribe(to_queue("q", MessageSettings { filter, ..MessageSettings::default() })).await.unwrap();
    let again = events.subscribe(to_queue("q", MessageSettings::default())).await.unwrap();
    assert_eq!((first.created, again.created, &again.definition.name), (true, false, &first.definition.name));
    let lost =
        MessageSettings { dead_letter_queue: Some("lost".into()), attempts_max: 9, ..MessageSettings::default() };
    events.subscribe(to_queue("gone", lost)).await.unwrap();
    events.publish_messages("t_1", &[message("a", "sale"), message("b", "other")]).await.unwrap();
    until(|| world.queues.0.lock().unwrap().len() == 3).await;
    let mut got = world.queues.0.lock().unwrap().clone();
    got.sort();
    let pair = |queue: &str, body: &str| (queue.to_owned(), body.to_owned());
    assert_eq!(got, [pair("lost", "a"), pair("lost", "b"), pair("q", "a")]);
    let differs = MessageSettings {
        attributes: BTreeMap::from([("x".to_owned(), "y".to_owned())]),
        ..MessageSettings::default()
    };
    let differs = events.subscribe(to_queue("q", differs)).await;
    assert!(matches!(differs, Err(EventError::SubscriptionDiffers { .. })));
    events.shutdown().await;
}

#[tokio::test]
async fn a_webhook_gets_nothing_before_it_brings_its_token_back() {
    let world = world().await;
    let events = &world.running.events;
    let new = MessageSubscription {
        topic: "t_1".into(),
        endpoint: EventEndpoint::Webhook { url: "http://127.0.0.1:9/".into() },
        settings: MessageSettings::default(),
    };
    let asked = events.subscribe(new.clone()).await.unwrap().definition;
    assert!(matches!(asked.state, SubscriptionState::AwaitingValidation { .. }));
    until(|| world.form.0.lock().unwrap().len() == 1).await;
    let old = world.form.0.lock().unwrap()[0].clone();
    events.subscribe(new).await.unwrap();
    until(|| world.form.0.lock().unwrap().len() == 2).await;
    let token = world.form.0.lock().unwrap()[1].clone();
    for wrong in ["", "x", &old] {
        assert!(matches!(events.confirm_token("t_1", wrong).await, Err(EventError::NothingToConfirm)));
    }
    let confirmed = events.confirm_token("t_1", &token).await.unwrap();
    assert_eq!((confirmed.state.clone(), &confirmed.name), (SubscriptionState::Active, &asked.name));
    let again = events.confirm_token("t_1", &token).await.unwrap();
    assert_eq!(again, confirmed, "the same token changes nothing");
    events.unsubscribe("t_1", &asked.name).await.unwrap();
    until(|| world.form.0.lock().unwrap().last().is_some_and(|told| told == "unsubscribed")).await;
    events.shutdown().await;
}

#[tokio::test]
async fn a_subscription_is_served_though_its_maker_went_away() {
    let world = world().await;
    let events = &world.running.events;
    {
        let subscribed = events.subscribe(to_queue("q", MessageSettings::default()));
        tokio::pin!(subscribed);
        let _ = poll_fn(|context| Poll::Ready(subscribed.as_mut().poll(context))).await;
    }
    until(|| !events.subscriptions("t_1").is_empty()).await;
    let published = async {
        while world.queues.0.lock().unwrap().is_empty() {
            events.publish_messages("t_1", &[message("a", "sale")]).await.unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), published).await.unwrap();
    events.shutdown().await;
}

#[tokio::test]
async fn changes_of_one_topic_do_not_lose_each_other() {
    let world = world().await;
    let events = &world.running.events;
    let mut changes = tokio::task::JoinSet::new();
    for number in 0..20 {
        let events = events.clone();
        changes.spawn(async move {
            let change = |topic: &mut TopicDefinition| {
                topic.attributes.insert(number.to_string(), String::new());
                Ok::<_, EventError>(())
            };
            events.change_message_topic("t_1", change).await.map(drop)
        });
    }
    assert!(changes.join_all().await.into_iter().all(|changed| changed.is_ok()));
    assert_eq!(events.message_topic("t_1").unwrap().attributes.len(), 20);
    let refuse = |topic: &mut TopicDefinition| {
        topic.attributes.clear();
        Err(EventError::NothingToConfirm)
    };
    assert!(events.change_message_topic("t_1", refuse).await.is_err());
    assert_eq!(events.message_topic("t_1").unwrap().attributes.len(), 20, "what is refused changes nothing");
    events.shutdown().await;
}

#[tokio::test]
async fn topics_of_messages_and_of_events_are_not_taken_for_each_other() {
    let world = world().await;
    let events = &world.running.events;
    let made = events.subscribe(to_queue("q", MessageSettings::default())).await.unwrap().definition;
    assert!(matches!(events.topic("t_1"), Err(EventError::TopicNotFound { .. })));
    assert!(matches!(events.subscription("t_1", &made.name), Err(EventError::SubscriptionNotFound { .. })));
    assert!(matches!(events.delete_topic("t_1").await, Err(EventError::TopicNotFound { .. })));
    let new = NewTopic {
        mapping: None,
        name: "grid".into(),
        address: "grid".into(),
        schema: EventSchema::EventGrid,
        location: String::new(),
        tags: BTreeMap::new(),
    };
    events.create_topic(new).await.unwrap();
    assert!(matches!(events.message_topic("grid"), Err(EventError::TopicNotFound { .. })));
    assert!(matches!(events.publish_messages("grid", &[]).await, Err(EventError::TopicNotFound { .. })));
    let taken = NewMessageTopic { name: "grid".into(), ..NewMessageTopic::default() };
    assert!(matches!(events.create_message_topic(taken).await, Err(EventError::TopicExists { .. })));
    events.shutdown().await;
    // The next start knows the kinds, too.
    let again = world.node.start();
    assert_eq!(again.events.message_topics().len(), 1);
    assert_eq!(again.events.topics().len(), 1);
    again.events.shutdown().await;
}
