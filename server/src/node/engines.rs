//! What is plugged into what: the one place that knows all engines.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use base64::Engine as _;
use millstream_access::{Access, Management, SessionKey};
use millstream_aws::apigateway::LambdaProxy;
use millstream_aws::authorize::{Authorizer, Service, ServiceRoles};
use millstream_aws::destination::Destinations;
use millstream_aws::kinesisanalytics::LambdaCodec;
use millstream_aws::lambda::event_source_mapping::{LambdaEvents, OnFailureDestinations, RolePermits};
use millstream_aws::marketplace::NoticeJson;
use millstream_aws::place::Place;
use millstream_aws::reach::Reach;
use millstream_aws::seal::Seal;
use millstream_aws::sns::notification::{NotificationDocuments, Signer};
use millstream_azure::cosmos;
use millstream_azure::eventgrid::{place as grid_place, words::webhook_words};
use millstream_azure::eventhubs::HubRecords;
use millstream_azure::streamanalytics::FunctionOutputCodec;
use millstream_catalog::{Catalog, StorageAccountDefinition};
use millstream_delivery::Deliveries;
use millstream_document::Documents;
use millstream_event::{Events, Options as EventOptions, RetrySchedule};
use millstream_function::confinement::Launcher;
use millstream_function::{Functions, Options as FunctionOptions, ProcessCredentials};
use millstream_gateway::{BackendOptions, Backends, Calls, Gateway, Managed, PlanOptions, Plans};
use millstream_group::Groups;
use millstream_insight::{Insight, LogGroups};
use millstream_mapping::{Mappings, Options as MappingOptions, Outside as MappingOutside};
use millstream_marketplace::{Marketplace, Outside as MarketplaceOutside};
use millstream_namespace::Namespaces;
use millstream_object::{ObjectStoreOptions, Objects};
use millstream_portal::Portal;
use millstream_query::{Outside, Queries, REFERENCE_SCAN};
use millstream_queue::Queues;
use millstream_storage::{Durability, Storage, StorageError, StorageOptions};
use millstream_stream::{Producers, Streams};
use millstream_table::Tables;
use millstream_types::{CheckRole, Clock, Invoke, SystemClock};

use crate::cli::DurabilityName;
use crate::settings::{ConfineFunctions, ObjectSettings, Settings};

/// How long `interval` waits before what was acknowledged is on disk.
const INTERVAL: Duration = Duration::from_millis(200);

/// Waits before the retries of an asynchronous invocation, seconds, unless a setting says others: the service's.
const INVOKE_RETRY_SECONDS: [u64; 2] = [60, 120];

/// The storage account of nodes that do not take the published one.
const STORAGE_ACCOUNT: &str = "millstream";

/// All engines of a node.
pub struct Engines {
    pub storage: Storage,
    pub catalog: Catalog,
    pub insight: Insight,
    pub log_groups: LogGroups,
    pub access: Access,
    /// The access engine in the AWS protocols' words.
    pub authorizer: Authorizer,
    /// Lets topics and APIs reach queues and functions.
    pub reach: Reach,
    /// Who may manage the node where a protocol has no keys for that.
    pub management: Management,
    pub streams: Streams,
    pub namespaces: Namespaces,
    pub producers: Producers,
    pub groups: Groups,
    pub tables: Tables,
    pub documents: Documents,
    /// The key of the document account, in base 64.
    pub cosmos_key: String,
    pub functions: Functions,
    pub objects: Objects,
    pub deliveries: Deliveries,
    pub queries: Queries,
    pub queues: Queues,
    pub mappings: Mappings,
    pub gateway: Gateway,
    pub plans: Plans,
    pub marketplace: Marketplace,
    pub calls: Calls,
    pub events: Events,
    pub managed: Managed,
    pub portal: Portal,
    pub place: Place,
    /// Keeps what clients bring back from being made up.
    pub seal: Seal,
    /// Signs what subscribers of topics get.
    pub signer: Signer,
    pub clock: Arc<dyn Clock>,
    /// Where clients find the AWS and Azure protocols: what the node writes where no request says it.
    pub endpoint: String,
    /// Where the node's own processes find them, without TLS.
    pub own_endpoint: String,
}

impl Engines {
    /// Opens the store and starts the engines over it, from the spine outwards.
    pub async fn start(settings: &Settings, aws: SocketAddr) -> anyhow::Result<Self> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let (storage, catalog, insight) = open(settings, Arc::clone(&clock)).await?;
        let definitions = catalog.log_groups.clone();
        let log_groups = LogGroups::new(definitions, insight.logs.clone(), Arc::clone(&clock));
        let place = Place::new(&settings.region);
        let seal = Seal::open(&storage).await?;
        let (endpoint, own_endpoint) = (settings.endpoint(aws), own_endpoint(aws));
        let access = Access::new(catalog.clone(), settings.dev)
            .with_sessions(SessionKey::open(&storage).await?)
            .with_service_policies(millstream_aws::iam::service_policies());
        // A node that takes no published key needs one to begin with.
        access.root_keys(clock.now()).await?;
        let authorizer = Authorizer::new(access.clone(), catalog.clone(), place.clone(), Arc::clone(&clock));
        let management = access.management(new_token, clock.now()).await?;
        let streams = Streams::new(storage.clone(), catalog.clone(), Arc::clone(&clock));
        let random = Arc::new(random_key);
        let namespaces = Namespaces::new(catalog.clone(), streams.clone(), Arc::clone(&clock), random, settings.dev);
        namespaces.ensure_default().await?;
        let (producers, groups) = {
            let (storage, clock, gate) = (storage.clone(), Arc::clone(&clock), streams.gate());
            let open = move || {
                let groups = Groups::open(storage.clone(), Arc::clone(&clock), Arc::new(new_member))?;
                Ok::<_, StorageError>((Producers::open(storage, clock, gate)?, groups))
            };
            tokio::task::spawn_blocking(open).await??
        };
        let tables =
            Tables::new(storage.clone(), catalog.clone(), Arc::clone(&clock)).counting(insight.metrics.clone());
        let documents = Documents::new(catalog.clone(), tables.clone(), streams.clone(), Arc::clone(&clock));
        if !settings.dev && catalog.storage_accounts.list().is_empty() {
            let keys = [new_account_key(), new_account_key()];
            let account = StorageAccountDefinition { name: STORAGE_ACCOUNT.to_owned(), keys, created: clock.now() };
            catalog.storage_accounts.create(account).await?;
        }
        let cosmos_key = access.account_key("cosmos", cosmos::DEVELOPMENT_KEY, new_account_key, clock.now()).await?;
        let roles = |service| Arc::new(ServiceRoles::new(authorizer.clone(), service)) as Arc<dyn CheckRole>;
        let queues = Queues::open(storage.clone(), catalog.clone(), Arc::clone(&clock)).await?;
        queues.measure(insight.clone());
        let destinations = Arc::new(Destinations::new(place.clone(), Arc::new(queues.clone()), authorizer.clone()));
        let functions = {
            let options = FunctionOptions {
                destination: Some(Arc::clone(&destinations) as _),
                ..function_options(settings, &own_endpoint, &place, &access)
            };
            let (storage, catalog) = (storage.clone(), catalog.clone());
            let (insight, clock) = (insight.clone(), Arc::clone(&clock));
            // Inside the runtime's context: functions start tasks.
            tokio::task::spawn_blocking(move || Functions::open(options, storage, catalog, insight, clock)).await??
        };
        tracing::info!(confinement = %functions.confinement(), "functions");
        let invoke: Arc<dyn Invoke> = Arc::new(functions.clone());
        let objects = Objects::new(object_store(settings), storage.clone(), catalog.clone(), Arc::clone(&clock));
        let deliveries = Deliveries::start(
            objects.clone(),
            Some(roles(Service::Firehose)),
            storage.clone(),
            catalog.clone(),
            streams.clone(),
            insight.clone(),
            Arc::clone(&clock),
        );
        let queries = Queries::start(
            storage.clone(),
            catalog.clone(),
            streams.clone(),
            insight.clone(),
            Outside {
                invoke: Arc::clone(&invoke),
                kinesis_codec: Arc::new(LambdaCodec::new(place.clone())),
                kinesis_processing: Some(Arc::new(LambdaCodec::new(place.clone()))),
                stream_analytics_codec: Arc::new(FunctionOutputCodec),
                objects: Arc::new(objects.clone()),
                reads: Arc::new(objects.clone()),
                reference_scan: settings
                    .reference_scan_seconds
                    .map_or(REFERENCE_SCAN, |given| Duration::from_secs(given.get())),
                documents: Arc::new(documents.clone()),
                kinesis_roles: Some(roles(Service::KinesisAnalytics)),
            },
            Arc::clone(&clock),
        )
        .await;
        let gateway = Gateway::new(catalog.clone(), insight.clone(), Arc::clone(&clock));
        let backends = backends(settings, aws).await?;
        let plans = Plans::open(
            storage.clone(),
            catalog.clone(),
            streams.clone(),
            &insight,
            Arc::clone(&clock),
            PlanOptions { account: settings.api_throttle },
        )
        .await?;
        let calls = Calls::new(
            gateway.clone(),
            plans.clone(),
            Arc::clone(&invoke),
            Arc::new(LambdaProxy),
            backends.clone(),
            Arc::clone(&clock),
        )
        .with_roles(roles(Service::ApiGateway));
        let managed = Managed::new(storage.clone(), catalog.clone(), insight.clone(), backends, Arc::clone(&clock));
        let reach = Reach::new(authorizer.clone(), queues.clone(), functions.clone());
        super::reach::settle(&storage, &catalog, &reach).await?;
        let signer = Signer::new(storage.clone(), Arc::clone(&clock));
        let events = Events::start(
            EventOptions {
                queues: Some(Arc::new(queues.clone())),
                record_form: Some(Arc::new(HubRecords)),
                messages: Some(Arc::new(NotificationDocuments::new(signer.clone(), &endpoint))),
                invoke_later: Some(Arc::new(functions.clone())),
                rights: Some(roles(Service::Sns)),
                ..event_options(settings, &endpoint, Arc::clone(&invoke), &objects)
            },
            storage.clone(),
            catalog.clone(),
            streams.clone(),
            insight.clone(),
            Arc::clone(&clock),
        );
        let marketplace = Marketplace::new(
            storage.clone(),
            catalog.clone(),
            MarketplaceOutside { publish: Some(Arc::new(events.clone())), notices: Arc::new(NoticeJson) },
            Arc::clone(&clock),
        );
        let portal = open_portal(&storage, &catalog, &gateway, &plans, &clock, settings.dev).await?;
        destinations.connect(functions.clone(), events.clone());
        let mappings = Mappings::start(
            mapping_options(settings),
            MappingOutside {
                invoke,
                queues: Arc::new(queues.clone()),
                codec: Arc::new(LambdaEvents::new(place.clone(), catalog.clone(), seal.clone())),
                permits: Arc::new(RolePermits::new(authorizer.clone())),
                failures: Arc::new(OnFailureDestinations::new(
                    authorizer.clone(),
                    destinations,
                    Arc::new(objects.clone()),
                )),
            },
            storage.clone(),
            catalog.clone(),
            streams.clone(),
            insight.clone(),
            Arc::clone(&clock),
        );
        Ok(Self {
            storage,
            catalog,
            insight,
            log_groups,
            access,
            authorizer,
            reach,
            management,
            streams,
            namespaces,
            producers,
            groups,
            tables,
            documents,
            cosmos_key,
            functions,
            objects,
            deliveries,
            queries,
            queues,
            mappings,
            gateway,
            plans,
            marketplace,
            calls,
            events,
            managed,
            portal,
            place,
            seal,
            signer,
            clock,
            endpoint,
            own_endpoint,
        })
    }

    /// Stops the engines from the outside inwards and closes the store.
    pub async fn stop(&self) {
        self.events.shutdown().await;
        self.mappings.shutdown().await;
        self.plans.shutdown().await;
        self.deliveries.shutdown().await;
        self.queries.shutdown().await;
        self.functions.shutdown().await;
        if let Err(error) = self.insight.shutdown().await {
            tracing::warn!(%error, "the last log lines and marks are not kept");
        }
        let storage = self.storage.clone();
        match tokio::task::spawn_blocking(move || storage.close()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "closing the store"),
            Err(error) => tracing::error!(%error, "closing the store"),
        }
    }
}

/// Where processes of this machine reach what listens at an address; one that stands for all is none to call.
fn own_endpoint(listening: SocketAddr) -> String {
    let loopback: IpAddr = if listening.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() };
    let ip = if listening.ip().is_unspecified() { loopback } else { listening.ip() };
    format!("http://{}", SocketAddr::new(ip, listening.port()))
}

/// Opens the developer portal, off the async workers, and brings its keys together with its subscriptions.
async fn open_portal(
    storage: &Storage,
    catalog: &Catalog,
    gateway: &Gateway,
    plans: &Plans,
    clock: &Arc<dyn Clock>,
    development: bool,
) -> anyhow::Result<Portal> {
    let (storage, catalog, gateway) = (storage.clone(), catalog.clone(), gateway.clone());
    let (plans, clock) = (plans.clone(), Arc::clone(clock));
    let open = move || Portal::open(storage, catalog, gateway, plans, clock, development);
    let portal = tokio::task::spawn_blocking(open).await??;
    portal.settle().await?;
    Ok(portal)
}

/// Opens what lies on the disk, off the async workers.
async fn open(settings: &Settings, clock: Arc<dyn Clock>) -> anyhow::Result<(Storage, Catalog, Insight)> {
    let mut options = StorageOptions::new(settings.data.clone());
    options.durability = match settings.durability {
        DurabilityName::Fsync => Durability::Fsync,
        DurabilityName::Interval => Durability::Interval(INTERVAL),
        DurabilityName::Os => Durability::Os,
    };
    let folder = settings.data.display().to_string();
    let opened = tokio::task::spawn_blocking(move || -> anyhow::Result<_> {
        let (storage, recovery) = Storage::open(options, Arc::clone(&clock))?;
        if let Some(torn) = &recovery.torn {
            tracing::warn!(
                file = %torn.file, position = torn.position, bytes = torn.bytes, after = torn.after_lsn,
                "the journal ended in a write that the last run did not finish; it was never acknowledged and is cut off",
            );
        }
        let catalog = Catalog::open(&storage)?;
        let insight = Insight::open(&storage, clock)?;
        Ok((storage, catalog, insight))
    });
    opened.await?.with_context(|| format!("cannot open the data folder {folder}"))
}

fn function_options(settings: &Settings, endpoint: &str, place: &Place, access: &Access) -> FunctionOptions {
    let (place, access) = (place.clone(), access.clone());
    FunctionOptions {
        folder: settings.data.join("functions"),
        concurrency_max: settings.function_processes,
        endpoint: endpoint.to_owned(),
        region: settings.region.clone(),
        arn: Arc::new(move |name| place.arn("lambda", &format!("function:{name}"))),
        log_group: Arc::new(millstream_aws::lambda::log_group),
        credentials: Arc::new(move |name| {
            let given = access.function_credentials(name);
            ProcessCredentials { access_key: given.access_key, secret: given.secret, session_token: given.token }
        }),
        python_path: absolute(&settings.python_path),
        node_path: absolute(&settings.node_path),
        retry_waits: settings
            .invoke_retry_seconds
            .unwrap_or(INVOKE_RETRY_SECONDS)
            .map(Duration::from_secs)
            .to_vec()
            .into(),
        destination: None,
        dotnet: settings.dotnet.clone(),
        launcher: settings.confine_functions.wanted().then(launcher).flatten(),
        confinement_required: settings.confine_functions == ConfineFunctions::Required,
        // Examples name this program as what their functions run.
        readable: absolute(&settings.function_readable).into_iter().chain(std::env::current_exe().ok()).collect(),
        hidden: absolute(std::slice::from_ref(&settings.data)),
    }
}

/// This program as what starts functions' processes.
fn launcher() -> Option<Launcher> {
    let program = std::env::current_exe().ok()?;
    Some(Launcher { program, arguments: vec![crate::FUNCTION_PROCESS.into()] })
}

fn mapping_options(settings: &Settings) -> MappingOptions {
    let [first, longest] = settings.mapping_retry_ms.map(Duration::from_millis);
    MappingOptions { retry_waits: (first, longest) }
}

/// The client for HTTP backends; the system's certificates are read off the async workers.
async fn backends(settings: &Settings, aws: SocketAddr) -> anyhow::Result<Backends> {
    let own = vec![aws.to_string(), format!("localhost:{}", aws.port())];
    let options = BackendOptions { private: settings.private_backends, own };
    Ok(tokio::task::spawn_blocking(move || Backends::new(options)).await?)
}

fn event_options(settings: &Settings, endpoint: &str, invoke: Arc<dyn Invoke>, objects: &Objects) -> EventOptions {
    let seconds = |waits: &Vec<u64>| waits.iter().copied().map(Duration::from_secs).collect::<Vec<_>>();
    let endpoint = endpoint.to_owned();
    EventOptions {
        schedule: settings
            .event_retry_seconds
            .as_ref()
            .map_or_else(RetrySchedule::default, |waits| RetrySchedule::of(&seconds(waits))),
        private_addresses: settings.webhook_private_addresses,
        words: webhook_words(),
        validation_url: Arc::new(move |topic, name, code| grid_place::validation_url(&endpoint, topic, name, code)),
        invoke,
        objects: Some(Arc::new(objects.clone())),
        queues: None,
        record_form: None,
        messages: None,
        invoke_later: None,
        rights: None,
    }
}

/// 32 bytes that nobody can guess, for a key.
fn random_key() -> [u8; 32] {
    let mut key = [0; 32];
    key[..16].copy_from_slice(uuid::Uuid::new_v4().as_bytes());
    key[16..].copy_from_slice(uuid::Uuid::new_v4().as_bytes());
    key
}

/// An id that no other member of a group has, from what its client calls itself.
fn new_member(client: &str) -> String {
    format!("{client}-{}", uuid::Uuid::new_v4())
}

/// A token that nobody can guess and that headers can hold.
fn new_token() -> String {
    random_key().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// 64 bytes in base 64 that nobody can guess, as clients of accounts expect a key.
fn new_account_key() -> String {
    let bytes: Vec<u8> = (0..4).flat_map(|_| uuid::Uuid::new_v4().into_bytes()).collect();
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

fn absolute(paths: &[PathBuf]) -> Vec<PathBuf> {
    paths.iter().map(|path| std::path::absolute(path).unwrap_or_else(|_| path.clone())).collect()
}

fn object_store(settings: &Settings) -> ObjectStoreOptions {
    match settings.objects.clone() {
        ObjectSettings::Folder { path } => ObjectStoreOptions::Folder(path),
        ObjectSettings::S3 { endpoint, region, access_key, secret } => {
            ObjectStoreOptions::S3 { endpoint, region, access_key, secret }
        }
    }
}
