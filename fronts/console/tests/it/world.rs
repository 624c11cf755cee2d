//! A small pipeline in memory with a little of everything, for the tests.

use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::Router;
use bytes::Bytes;
use http::HeaderName;
use millstream_catalog::pipeline::Mistake;
use millstream_catalog::{
    ApiDefinition, Catalog, ColumnDefinition, Compression, DeliverySource, DesiredState, EventSource, FailureTarget,
    FunctionDefinition, Integration, KeyAttribute, KeyType, MappingSettings, MappingStart, Method, ObjectDestination,
    OutputTarget, QueryDefinition, QueryDialect, QueryInput, QueryOutput, Resource, StreamOwner,
};
use millstream_console::{Addresses, Console, ConsoleParts, Create, CreateRefusal, JobAsk, NewSection};
use millstream_delivery::{Deliveries, NewDeliveryStream};
use millstream_document::Documents;
use millstream_event::{Events, Options as EventOptions, RetrySchedule, WebhookWords};
use millstream_function::{Functions, Options};
use millstream_gateway::{BackendOptions, Backends, Managed, PlanOptions, Plans};
use millstream_insight::{Insight, trail::Step};
use millstream_mapping::{
    Discarded, EventCodec, FailureTargetError, FailureTargets, Filter, Mappings, NewMapping, Options as MappingOptions,
    Origin, Outside as MappingOutside, Report, SourcePermits, WindowShown,
};
use millstream_namespace::Namespaces;
use millstream_object::{ObjectStoreOptions, Objects};
use millstream_query::{DeliveryAnswer, DeliveryRecord, OutputCodec, Outside, Queries, REFERENCE_SCAN};
use millstream_storage::Storage;
use millstream_stream::{Entry, NewStream, Placement, Streams};
use millstream_table::{AttributeValue, Item, NewTable, Put, Tables};
use millstream_types::{
    BoxFuture, Clock, ErrorKind, Millis, NewObject, PutObject, PutObjectError, ReadObject, ReadObjectError,
    ReceiveMessages, ReceiveMessagesError, ReceivedMessage, Record, UpsertDocumentError, UpsertDocuments,
    WantedMessages,
};

/// The engines.
pub struct World {
    /// What is defined.
    pub catalog: Catalog,
    /// Streams.
    pub streams: Streams,
    /// Logs, metrics, trail.
    pub insight: Insight,
    /// Functions.
    pub functions: Functions,
    /// Event source mappings; none of them runs.
    pub mappings: Mappings,
    /// Tables.
    pub tables: Tables,
    /// Delivery streams.
    pub deliveries: Deliveries,
    /// Queries; none of them runs.
    pub queries: Queries,
    /// Hubs.
    pub namespaces: Namespaces,
    /// Topics.
    pub events: Events,
    /// Objects.
    pub objects: Objects,
    /// Documents.
    pub documents: Documents,
    /// Managed APIs.
    pub managed: Managed,
    pub plans: Plans,
    /// What forms asked for.
    pub maker: Arc<Maker>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// Makes nothing and keeps what it was asked for.
#[derive(Default)]
pub struct Maker {
    /// What was asked for.
    pub asked: Mutex<Vec<NewSection>>,
    /// What is wrong with the next one.
    pub mistakes: Mutex<Vec<Mistake>>,
}

impl Create for Maker {
    fn needs_token(&self) -> bool {
        true
    }

    fn job(&self, token: String, query: String, _ask: JobAsk) -> BoxFuture<'_, Result<String, CreateRefusal>> {
        Box::pin(async move { if token == "right" { Ok(query) } else { Err(CreateRefusal::Forbidden) } })
    }

    fn create(&self, new: NewSection) -> BoxFuture<'_, Result<Vec<String>, CreateRefusal>> {
        Box::pin(async move {
            if new.token != "right" {
                return Err(CreateRefusal::Forbidden);
            }
            let mistakes = std::mem::take(&mut *self.mistakes.lock().unwrap());
            if !mistakes.is_empty() {
                return Err(CreateRefusal::Mistakes(mistakes));
            }
            self.asked.lock().unwrap().push(new);
            Ok(vec![format!("created {HOSTILE}")])
        })
    }
}

/// Nothing is delivered here.
struct NoCodec;

impl OutputCodec for NoCodec {
    fn encode(&self, _: &str, _: &[DeliveryRecord]) -> Bytes {
        Bytes::new()
    }

    fn decode(&self, _: &[DeliveryRecord], _: &[u8]) -> Option<Vec<DeliveryAnswer>> {
        None
    }

    fn records_max(&self) -> usize {
        1
    }
}

/// Nothing is kept here.
struct Nowhere;

impl PutObject for Nowhere {
    fn put_object(&self, _: NewObject) -> BoxFuture<'_, Result<(), PutObjectError>> {
        Box::pin(async { Ok(()) })
    }
}

impl ReadObject for Nowhere {
    fn read_object<'a>(&'a self, _: &'a str, _: &'a str, _: u64) -> BoxFuture<'a, Result<Bytes, ReadObjectError>> {
        let missing = ReadObjectError { kind: ErrorKind::NotFound, message: "there are no objects".to_owned() };
        Box::pin(async { Err(missing) })
    }

    fn list_objects<'a>(
        &'a self,
        _: &'a str,
        _: &'a str,
        _: &'a str,
        _: usize,
    ) -> BoxFuture<'a, Result<Vec<String>, ReadObjectError>> {
        Box::pin(async { Ok(Vec::new()) })
    }
}

impl UpsertDocuments for Nowhere {
    fn upsert_documents(
        &self,
        _: String,
        _: String,
        documents: Vec<Bytes>,
    ) -> BoxFuture<'_, Vec<Result<(), UpsertDocumentError>>> {
        Box::pin(async move { documents.iter().map(|_| Ok(())).collect() })
    }
}

/// Has no events, messages or failures: mappings do not run here.
struct NoEvents;

impl EventCodec for NoEvents {
    fn record(&self, _: &Origin, _: &Record) -> Result<Bytes, String> {
        Err(String::new())
    }

    fn message(&self, _: &str, _: &ReceivedMessage) -> Bytes {
        Bytes::new()
    }

    fn event(&self, _: &[Bytes]) -> Bytes {
        Bytes::new()
    }

    fn window_event(&self, _: &Origin, _: &[Bytes], _: &WindowShown) -> Bytes {
        Bytes::new()
    }

    fn window_state(&self, _: &[u8]) -> Option<String> {
        None
    }

    fn record_id(&self, _: &Origin, _: u64) -> String {
        String::new()
    }

    fn log_group(&self, _: &str) -> String {
        String::new()
    }

    fn report(&self, _: &[u8]) -> Report {
        Report::Unreadable
    }

    fn filter(&self, _: &EventSource, _: &[String]) -> Result<Filter, String> {
        Err(String::new())
    }
}

impl ReceiveMessages for NoEvents {
    fn receive_messages(
        &self,
        _: String,
        _: WantedMessages,
    ) -> BoxFuture<'_, Result<Vec<ReceivedMessage>, ReceiveMessagesError>> {
        Box::pin(std::future::pending())
    }

    fn delete_messages(&self, _: String, _: Vec<String>) -> BoxFuture<'_, Result<(), ReceiveMessagesError>> {
        Box::pin(async { Ok(()) })
    }

    fn release_messages(&self, _: String, _: Vec<String>) -> BoxFuture<'_, Result<(), ReceiveMessagesError>> {
        Box::pin(async { Ok(()) })
    }
}

impl SourcePermits for NoEvents {
    fn check(&self, _: &str, _: &EventSource) -> Result<(), String> {
        Ok(())
    }
}

impl FailureTargets for NoEvents {
    fn tell(&self, _: &FailureTarget, _: Discarded) -> BoxFuture<'_, Result<(), FailureTargetError>> {
        Box::pin(async { Ok(()) })
    }
}

/// A name that every page has to escape.
pub const HOSTILE: &str = "<script>alert(1)</script>\"'&";

impl World {
    /// The stock trades' pipeline, and resources with hostile names; files go below `folder`.
    pub async fn new(clock: Arc<dyn Clock>, folder: &Path) -> Self {
        let storage = Storage::in_memory(Arc::clone(&clock));
        let catalog = Catalog::open(&storage).unwrap();
        let streams = Streams::new(storage.clone(), catalog.clone(), Arc::clone(&clock));
        let insight = Insight::open(&storage, Arc::clone(&clock)).unwrap();
        let options = Options {
            folder: folder.join("functions"),
            concurrency_max: 1,
            endpoint: String::new(),
            region: "us-east-1".into(),
            arn: Arc::new(str::to_owned),
            log_group: Arc::new(|name| format!("/aws/lambda/{name}")),
            credentials: Arc::new(|_| Default::default()),
            python_path: vec![],
            node_path: vec![],
            retry_waits: Arc::new([]),
            destination: None,
            dotnet: millstream_function::DotnetOptions::default(),
            launcher: None,
            confinement_required: false,
            readable: Vec::new(),
            hidden: Vec::new(),
        };
        let functions =
            Functions::open(options, storage.clone(), catalog.clone(), insight.clone(), Arc::clone(&clock)).unwrap();
        let tables = Tables::new(storage.clone(), catalog.clone(), Arc::clone(&clock));
        let store = ObjectStoreOptions::Folder(folder.join("objects"));
        let objects = Objects::new(store, storage.clone(), catalog.clone(), Arc::clone(&clock));
        let deliveries = Deliveries::start(
            objects.clone(),
            None,
            storage.clone(),
            catalog.clone(),
            streams.clone(),
            insight.clone(),
            Arc::clone(&clock),
        );
        let random = Arc::new(|| [7; 32]);
        let namespaces = Namespaces::new(catalog.clone(), streams.clone(), Arc::clone(&clock), random, true);
        namespaces.ensure_default().await.unwrap();
        let documents = Documents::new(catalog.clone(), tables.clone(), streams.clone(), Arc::clone(&clock));
        let backends = Backends::new(BackendOptions::default());
        let plans = Plans::open(
            storage.clone(),
            catalog.clone(),
            streams.clone(),
            &insight,
            Arc::clone(&clock),
            PlanOptions::default(),
        )
        .await
        .unwrap();
        let managed = Managed::new(storage.clone(), catalog.clone(), insight.clone(), backends, Arc::clone(&clock));
        let events = Events::start(
            event_options(&functions, &objects),
            storage.clone(),
            catalog.clone(),
            streams.clone(),
            insight.clone(),
            Arc::clone(&clock),
        );
        let mappings = Mappings::start(
            MappingOptions::default(),
            MappingOutside {
                invoke: Arc::new(functions.clone()),
                queues: Arc::new(NoEvents),
                codec: Arc::new(NoEvents),
                permits: Arc::new(NoEvents),
                failures: Arc::new(NoEvents),
            },
            storage.clone(),
            catalog.clone(),
            streams.clone(),
            insight.clone(),
            Arc::clone(&clock),
        );
        let queries = Queries::start(
            storage,
            catalog.clone(),
            streams.clone(),
            insight.clone(),
            Outside {
                invoke: Arc::new(functions.clone()),
                kinesis_codec: Arc::new(NoCodec),
                kinesis_processing: None,
                stream_analytics_codec: Arc::new(NoCodec),
                objects: Arc::new(Nowhere),
                reads: Arc::new(Nowhere),
                reference_scan: REFERENCE_SCAN,
                documents: Arc::new(Nowhere),
                kinesis_roles: None,
            },
            Arc::clone(&clock),
        )
        .await;
        let world = Self {
            catalog,
            streams,
            insight,
            functions,
            mappings,
            tables,
            deliveries,
            queries,
            namespaces,
            events,
            objects,
            documents,
            managed,
            plans,
            maker: Arc::default(),
            clock,
        };
        world.define().await;
        crate::azure::define(&world).await;
        world
    }

    /// The console over it.
    pub fn router(&self) -> Router {
        millstream_console::router(Console::new(ConsoleParts {
            catalog: self.catalog.clone(),
            streams: self.streams.clone(),
            insight: self.insight.clone(),
            functions: self.functions.clone(),
            mappings: self.mappings.clone(),
            tables: self.tables.clone(),
            deliveries: self.deliveries.clone(),
            queries: self.queries.clone(),
            namespaces: self.namespaces.clone(),
            events: self.events.clone(),
            objects: self.objects.clone(),
            documents: self.documents.clone(),
            managed: self.managed.clone(),
            plans: self.plans.clone(),
            addresses: Addresses {
                connection_strings: Arc::new(|namespace, hub| {
                    Some(format!("SharedAccessKey=secret;{namespace}/{hub}"))
                }),
                topic_endpoint: Arc::new(|topic| format!("/eventgrid/{topic}/api/events")),
            },
            create: Arc::clone(&self.maker) as Arc<dyn Create>,
            clock: Arc::clone(&self.clock),
            hosts: vec![],
        }))
    }

    async fn define(&self) {
        for (name, shards) in [("trades", 4), (HOSTILE, 1)] {
            let new = NewStream { name: name.into(), owner: StreamOwner::User, shards, retention_hours: 24 };
            self.streams.create(new).await.unwrap();
        }
        let results = NewStream {
            name: "query/share-change-per-minute/OUTPUT_STREAM".into(),
            owner: StreamOwner::Query,
            shards: 1,
            retention_hours: 24,
        };
        self.streams.create(results).await.unwrap();
        let destination = ObjectDestination {
            bucket: "trades-archive".into(),
            prefix: "raw/".into(),
            buffer_bytes: 1 << 20,
            buffer_seconds: 60,
            compression: Compression::Gzip,
            ..ObjectDestination::default()
        };
        let new = NewDeliveryStream {
            name: "input_transactions".into(),
            source: DeliverySource::DirectPut,
            source_role: String::new(),
            destination,
            tags: Default::default(),
        };
        self.deliveries.create(new).await.unwrap();
        for (name, variables) in [
            ("PostTransaction", vec![("DELIVERY_STREAM", "input_transactions")]),
            ("SaveShareChange", vec![("TABLE", "share_changes")]),
            (HOSTILE, vec![(HOSTILE, HOSTILE)]),
        ] {
            self.catalog.functions.put(function(name, &variables)).await.unwrap();
        }
        for (stream, function) in [("trades", "SaveShareChange"), (HOSTILE, HOSTILE)] {
            let new = NewMapping {
                source: EventSource::Stream { name: stream.into() },
                function: function.into(),
                start: Some(MappingStart::TrimHorizon),
                enabled: false,
                settings: MappingSettings::default(),
            };
            self.mappings.create(new).await.unwrap();
        }
        for name in ["share_changes", HOSTILE] {
            self.tables.create(table(name)).await.unwrap();
        }
        let kinesis = include_str!("../../../../examples/stock-trades/share_change.kinesis.sql");
        let target = OutputTarget::Function { name: "SaveShareChange".into() };
        self.catalog.queries.put(query("share-change-per-minute", kinesis, target)).await.unwrap();
        self.catalog.queries.put(query("share-change-stream-analytics", kinesis, OutputTarget::Keep)).await.unwrap();
        self.catalog.queries.put(query(HOSTILE, HOSTILE, OutputTarget::Keep)).await.unwrap();
        self.catalog.apis.put(api("trades", "PostTransaction")).await.unwrap();
        self.catalog.apis.put(api(HOSTILE, HOSTILE)).await.unwrap();
    }

    /// Puts a record into a stream and counts it, as a front does.
    pub async fn put(&self, stream: &str, key: &str, data: &[u8]) -> Placement {
        let entry = Entry {
            partition_key: Bytes::copy_from_slice(key.as_bytes()),
            explicit_hash_key: None,
            headers: Bytes::new(),
            data: Bytes::copy_from_slice(data),
        };
        let placement = self.streams.put(stream, &[entry]).await.unwrap()[0];
        let subject = if stream.starts_with("delivery/") { stream.to_owned() } else { format!("stream/{stream}") };
        self.insight.metrics.counter("records_in", &subject).add(1);
        self.insight.metrics.counter("bytes_in", &subject).add(data.len() as u64);
        let (log, from) = (placement.sequence.log.0, placement.sequence.offset);
        let (stream, request) = (stream.to_owned(), "8f14e45f".to_owned());
        self.insight.trail.mark(Step::Received { log, from, to: from + 1, stream, request, invocation: None });
        placement
    }

    /// Puts an item into a table and counts it, as a front does.
    pub async fn put_item(&self, table: &str, timestamp: &str, symbol: u64, attribute: &str) {
        let item = Item::from([
            ("timestamp".to_owned(), AttributeValue::String(timestamp.to_owned())),
            ("symbol".to_owned(), AttributeValue::Number(symbol.into())),
            (attribute.to_owned(), AttributeValue::List(vec![AttributeValue::String(attribute.to_owned())])),
        ]);
        self.tables.put(table, Put { item, condition: None, return_old: false }).await.unwrap();
        self.insight.metrics.counter("items_written", &format!("table/{table}")).add(1);
    }
}

fn event_options(functions: &Functions, objects: &Objects) -> EventOptions {
    EventOptions {
        record_form: None,
        schedule: RetrySchedule::default(),
        private_addresses: false,
        words: WebhookWords {
            kind: HeaderName::from_static("kind"),
            notification: "notification",
            validation: "validation",
            subscription: HeaderName::from_static("subscription"),
            delivery_count: HeaderName::from_static("delivery-count"),
            metadata_version: HeaderName::from_static("metadata-version"),
            data_version: HeaderName::from_static("data-version"),
            event_id: HeaderName::from_static("event-id"),
            validation_event_type: "validation",
            origin: "origin",
            deletion: "deletion",
            deletion_event_type: "deletion",
            deletion_member: "id",
            subscription_id: |topic, name| format!("{topic}/{name}"),
        },
        validation_url: Arc::new(|_, _, code| code.to_owned()),
        invoke: Arc::new(functions.clone()),
        objects: Some(Arc::new(objects.clone())),
        queues: None,
        messages: None,
        invoke_later: None,
        rights: None,
    }
}

fn function(name: &str, variables: &[(&str, &str)]) -> FunctionDefinition {
    FunctionDefinition {
        name: name.into(),
        runtime: "python3.11".into(),
        handler: "app.handler".into(),
        description: String::new(),
        role: String::new(),
        timeout_seconds: 10,
        memory_mib: 128,
        environment: variables.iter().map(|&(name, value)| (name.into(), value.into())).collect(),
        concurrency_limit: None,
        dead_letter_target: None,
        asynchronous: None,
        permissions: Vec::new(),
        tags: std::collections::BTreeMap::new(),
        code_hash: "x".into(),
        code_bytes: 4_321,
        modified: 1_700_000_000_000,
        revision: "1".into(),
        generation: String::new(),
        version: None,
        versions: std::collections::BTreeMap::new(),
        last_version: 0,
        aliases: std::collections::BTreeMap::new(),
    }
}

fn table(name: &str) -> NewTable {
    NewTable {
        name: name.into(),
        hash_key: KeyAttribute { name: "timestamp".into(), key_type: KeyType::String },
        sort_key: Some(KeyAttribute { name: "symbol".into(), key_type: KeyType::Number }),
        provisioned: None,
        changes: None,
        indexes: Vec::new(),
        tags: Default::default(),
        owner: Default::default(),
        item_bytes_max: millstream_catalog::TABLE_ITEM_BYTES_MAX,
    }
}

fn query(name: &str, sql: &str, target: OutputTarget) -> QueryDefinition {
    let made: Millis = 1_700_000_000_000;
    QueryDefinition {
        name: name.into(),
        dialect: QueryDialect::Kinesis,
        sql: sql.into(),
        description: String::new(),
        references: Vec::new(),
        functions: Vec::new(),
        inputs: vec![QueryInput {
            name: "SOURCE_SQL_STREAM_001".into(),
            stream: "delivery/input_transactions".into(),
            format: Default::default(),
            columns: Vec::<ColumnDefinition>::new(),
            role: String::new(),
            consumer_group: String::new(),
            processor: None,
            row_path: String::new(),
            divided: Vec::new(),
        }],
        outputs: vec![QueryOutput {
            name: "OUTPUT_STREAM".into(),
            target,
            format: Default::default(),
            role: String::new(),
            handing: Default::default(),
        }],
        desired: DesiredState::Running,
        start_at: Default::default(),
        event_order: Default::default(),
        parallelism: 1,
        resource: None,
        started: None,
        created: made,
        modified: made,
        version: 1,
    }
}

fn api(name: &str, function: &str) -> ApiDefinition {
    let integration = Integration { kind: "AWS_PROXY".into(), function: Some(function.into()), ..Default::default() };
    let method = Method { integration: Some(integration), ..Default::default() };
    let root = Resource {
        id: "r".into(),
        parent: None,
        path_part: String::new(),
        path: "/".into(),
        methods: [("POST".to_owned(), method)].into(),
    };
    ApiDefinition {
        id: format!("id{}", name.len()),
        name: name.into(),
        description: String::new(),
        created: 1_700_000_000_000,
        resources: [("r".to_owned(), root)].into(),
        deployments: Default::default(),
        stages: Default::default(),
        validators: Default::default(),
    }
}
