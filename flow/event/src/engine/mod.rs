//! The engine: topics, subscriptions, and the task of each subscription.
//! Read next: [`topics`] (and publishing), [`subscriptions`]; [`messages`] (topics of messages), [`confirmation`]
//! (whether their webhooks want them).

mod check;
mod confirmation;
mod messages;
mod port;
mod subscriptions;
mod topics;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use millstream_catalog::{Catalog, EventSchema, EventSubscriptionDefinition, SubscriptionState, TopicDefinition};
use millstream_insight::Insight;
use millstream_storage::Storage;
use millstream_stream::Streams;
use millstream_types::{BoxFuture, CheckRole, Clock, Invoke, InvokeLater, PutObject, SendMessage};
use tokio::runtime::Handle;
use tokio::sync::{OwnedMutexGuard, Semaphore, watch};
use tokio::task::JoinHandle;

use crate::endpoint::{Courier, RecordForm};
use crate::error::EventError;
use crate::filter::Filter;
use crate::log::View;
use crate::message::{MessageCourier, NotificationForm};
use crate::schedule::RetrySchedule;
use crate::task::{ProgressStore, Task};
use crate::webhook::{FAREWELLS_MAX, WebhookClient, WebhookWords};

pub use messages::{MessageSettings, MessageSubscription, NewMessageTopic};
pub use subscriptions::{NewSubscription, Provisioning, PutSubscription};
pub use topics::NewTopic;

/// The address that confirms a subscription: of its topic, its name and a code.
pub type ValidationUrl = Arc<dyn Fn(&str, &str, &str) -> String + Send + Sync>;

/// What the engine is plugged into, and what it may do.
#[derive(Clone)]
pub struct Options {
    /// Waits between attempts.
    pub schedule: RetrySchedule,
    /// Whether webhooks may have addresses of this machine and its networks.
    pub private_addresses: bool,
    /// What webhooks see by the protocol's names.
    pub words: WebhookWords,
    /// Where subscriptions are confirmed by hand.
    pub validation_url: ValidationUrl,
    /// Runs functions.
    pub invoke: Arc<dyn Invoke>,
    /// Keeps dead letters; `None`: subscriptions that want them are refused.
    pub objects: Option<Arc<dyn PutObject>>,
    /// Takes messages; `None`: subscriptions of queues are refused.
    pub queues: Option<Arc<dyn SendMessage>>,
    /// How messages look on the wire; `None`: there are no topics of messages.
    pub messages: Option<Arc<dyn NotificationForm>>,
    /// How records of streams have properties; `None`: subscriptions that want such are refused.
    pub record_form: Option<Arc<dyn RecordForm>>,
    /// Runs functions on messages, later.
    pub invoke_later: Option<Arc<dyn InvokeLater>>,
    /// Says whether queues and functions let a topic of messages in; `None`: all do.
    pub rights: Option<Arc<dyn CheckRole>>,
}

/// The event engine. Cheap to clone.
#[derive(Clone)]
pub struct Events {
    shared: Arc<Shared>,
}

struct Shared {
    options: Options,
    storage: Storage,
    catalog: Catalog,
    streams: Streams,
    insight: Insight,
    clock: Arc<dyn Clock>,
    client: WebhookClient,
    /// One change of definitions at a time, each to its end; handshakes happen outside.
    changes: Arc<tokio::sync::Mutex<()>>,
    /// What runs on after a request: its tasks compute for long, and belong to nobody's connection.
    runtime: Handle,
    running: Mutex<HashMap<String, Running>>,
    /// By subscription; they outlive changes of it.
    views: Mutex<HashMap<String, Arc<View>>>,
    /// How many webhooks may be told at once that their subscriptions have ended.
    farewells: Arc<Semaphore>,
}

struct Running {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Events {
    /// Starts the engine with all subscriptions of the catalog. Needs a tokio runtime.
    #[must_use]
    pub fn start(
        options: Options,
        storage: Storage,
        catalog: Catalog,
        streams: Streams,
        insight: Insight,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let client = WebhookClient::new(options.private_addresses);
        let (changes, running, views) = Default::default();
        let farewells = Arc::new(Semaphore::new(FAREWELLS_MAX));
        let runtime = Handle::current();
        let shared = Shared {
            options,
            storage,
            catalog,
            streams,
            insight,
            clock,
            client,
            changes,
            runtime,
            running,
            views,
            farewells,
        };
        let engine = Self { shared: Arc::new(shared) };
        for definition in engine.shared.catalog.event_subscriptions.list() {
            if let Err(error) = engine.run(&definition) {
                tracing::error!(subscription = %definition.id, %error, "cannot start an event subscription");
                engine.view(&definition.id).fail(error.to_string());
            }
        }
        engine
    }

    /// Stops all deliveries; each goes on at its next start.
    pub fn shutdown(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let running: Vec<Running> = self.running().drain().map(|(_, running)| running).collect();
            for running in &running {
                let _ = running.stop.send(true);
            }
            for running in running {
                let _ = running.task.await;
            }
        })
    }

    /// The turn to change definitions; it goes along with the change to its end, whatever becomes of the caller.
    async fn turn(&self) -> OwnedMutexGuard<()> {
        Arc::clone(&self.shared.changes).lock_owned().await
    }

    fn running(&self) -> MutexGuard<'_, HashMap<String, Running>> {
        self.shared.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn views(&self) -> MutexGuard<'_, HashMap<String, Arc<View>>> {
        self.shared.views.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The view of a subscription, made if new.
    fn view(&self, id: &str) -> Arc<View> {
        let new = || Arc::new(View::new(&self.shared.insight, id));
        Arc::clone(self.views().entry(id.to_owned()).or_insert_with(new))
    }

    /// Starts a subscription's task when its events flow.
    fn run(&self, definition: &Arc<EventSubscriptionDefinition>) -> Result<(), EventError> {
        if definition.state != SubscriptionState::Active {
            return Ok(());
        }
        let shared = &self.shared;
        let topic = self.any_topic(&definition.topic)?;
        let stream = shared.streams.get(&topic.stream())?;
        let Some(shard) = stream.shards.first() else { return Ok(()) };
        let courier = Courier {
            definition: Arc::clone(definition),
            client: shared.client.clone(),
            words: shared.options.words.clone(),
            streams: shared.streams.clone(),
            invoke: Arc::clone(&shared.options.invoke),
            queues: shared.options.queues.clone(),
            record_form: shared.options.record_form.clone(),
            messages: self.message_courier(definition, &topic),
        };
        let task = Task {
            courier: Arc::new(courier),
            filter: Filter::compile(&definition.filter, topic.schema)?,
            schema: topic.schema,
            log: shard.log(),
            streams: shared.streams.clone(),
            store: ProgressStore::new(&shared.storage, &definition.id),
            objects: shared.options.objects.clone(),
            schedule: match definition.retry_waits.as_slice() {
                [] => shared.options.schedule.clone(),
                waits => RetrySchedule::of_seconds(waits),
            },
            clock: Arc::clone(&shared.clock),
            view: self.view(&definition.id),
            trail: shared.insight.trail.clone(),
        };
        let (stop, stopped) = watch::channel(false);
        let task = shared.runtime.spawn(task.run(stopped));
        self.running().insert(definition.id.clone(), Running { stop, task });
        Ok(())
    }

    fn message_courier(
        &self,
        definition: &Arc<EventSubscriptionDefinition>,
        topic: &TopicDefinition,
    ) -> Option<MessageCourier> {
        let shared = &self.shared;
        if topic.schema != EventSchema::Message {
            return None;
        }
        Some(MessageCourier {
            definition: Arc::clone(definition),
            catalog: shared.catalog.clone(),
            client: shared.client.clone(),
            form: shared.options.messages.clone()?,
            streams: shared.streams.clone(),
            invoke: shared.options.invoke_later.clone(),
            queues: shared.options.queues.clone(),
            rights: shared.options.rights.clone(),
        })
    }

    async fn halt(&self, id: &str) {
        let running = self.running().remove(id);
        if let Some(running) = running {
            let _ = running.stop.send(true);
            let _ = running.task.await;
        }
    }
}
