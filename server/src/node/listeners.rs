//! Who can ask: the AWS and Azure protocols, the console, and commands over the socket in the data folder.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

use anyhow::Context as _;
use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{Request as HttpRequest, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use hyper::body::Incoming;
use millstream_aws::apigateway::ApiGateway;
use millstream_aws::dynamodb::DynamoDb;
use millstream_aws::firehose::Firehose;
use millstream_aws::front::AwsFront;
use millstream_aws::kinesis::Kinesis;
use millstream_aws::kinesisanalytics::KinesisAnalytics;
use millstream_aws::lambda::Lambda;
use millstream_aws::logs::CloudWatchLogs;
use millstream_aws::marketplace::Marketplace;
use millstream_aws::services::Services;
use millstream_aws::sqs::Sqs;
use millstream_azure::apimanagement::ApiManagement;
use millstream_azure::blob::Blob;
use millstream_azure::cosmos::Cosmos;
use millstream_azure::eventgrid::{EventGrid, place as grid_place};
use millstream_azure::eventhubs::EventHubs;
use millstream_azure::front::AzureFront;
use millstream_azure::queue::Queue;
use millstream_azure::services::Services as AzureServices;
use millstream_azure::streamanalytics::StreamAnalytics;
use millstream_console::{Addresses, Console, ConsoleParts};
use millstream_types::BoxFuture;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::event_hubs::{self, EventHubsListeners};
use super::{Engines, api_keys, bind, keys, marketplace};
use crate::apply::{self, Request};
use crate::remote::SOCKET;
use crate::settings::Settings;

/// A pipeline file with its packages: a few functions of the largest size.
const APPLY_BYTES_MAX: usize = 256 << 20;

/// Addresses that are taken, before anything else is started.
pub struct Listeners {
    aws: TcpListener,
    console: TcpListener,
    event_hubs: EventHubsListeners,
}

impl Listeners {
    pub async fn bind(settings: &Settings) -> anyhow::Result<Self> {
        Ok(Self {
            aws: bind(settings.aws_listen, "--aws-listen").await?,
            console: bind(settings.console_listen, "--console-listen").await?,
            event_hubs: EventHubsListeners::bind(settings).await?,
        })
    }

    pub fn aws_address(&self) -> SocketAddr {
        self.aws.local_addr().unwrap_or_else(|_| SocketAddr::from(([127, 0, 0, 1], 4566)))
    }

    /// Serves until the node stops.
    pub fn serve(
        self,
        engines: &Arc<Engines>,
        settings: &Settings,
        stopped: &watch::Receiver<bool>,
        tasks: &mut JoinSet<()>,
    ) -> anyhow::Result<()> {
        let event_hubs = self.event_hubs.service(engines, settings);
        let (aws, azure) =
            (Arc::new(aws_front(engines)), Arc::new(azure_front(engines, settings, event_hubs.clone())?));
        let answer = move |request: HttpRequest<Incoming>| {
            let (aws, azure) = (Arc::clone(&aws), Arc::clone(&azure));
            let answer: BoxFuture<'static, _> = Box::pin(async move {
                let (head, body) = request.into_parts();
                match azure.service(&head) {
                    Some(service) => azure.handle(service, head, body).await,
                    None => aws.handle(head, body).await,
                }
            });
            answer
        };
        tasks.spawn(millstream_http::serve::serve(self.aws, Arc::new(answer), Box::pin(stop(stopped.clone()))));
        self.event_hubs.serve(&event_hubs, stopped, tasks);
        let console = millstream_console::router(console(engines, event_hubs.clone()));
        let pages = console.clone();
        let ended = stop(stopped.clone());
        tasks.spawn(async move {
            // Live pages never end by themselves, so the node does not wait for them.
            tokio::select! {
                served = axum::serve(self.console, pages) => report("console", served),
                () = ended => {}
            }
        });
        let socket = socket(settings)?;
        let commands = console
            .merge(admin(engines))
            .merge(event_hubs::keys(event_hubs.clone()))
            .merge(keys::routes(engines, event_hubs, settings))
            .merge(api_keys::routes(engines))
            .merge(marketplace::routes(engines));
        let ended = stop(stopped.clone());
        tasks.spawn(async move {
            tokio::select! {
                served = axum::serve(socket, commands) => report("commands", served),
                () = ended => {}
            }
        });
        Ok(())
    }
}

async fn stop(mut stopped: watch::Receiver<bool>) {
    while !*stopped.borrow_and_update() {
        if stopped.changed().await.is_err() {
            return;
        }
    }
}

fn report(what: &str, served: std::io::Result<()>) {
    if let Err(error) = served {
        tracing::error!(%error, "the listener for the {what} ended");
    }
}

fn aws_front(engines: &Engines) -> AwsFront {
    let Engines { insight, streams, place, clock, .. } = engines;
    let calls = engines.calls.clone();
    let services = Services {
        kinesis: Kinesis::new(streams.clone(), insight.clone(), Arc::clone(clock), place.clone(), engines.seal.clone()),
        firehose: Firehose::new(engines.deliveries.clone(), insight.clone(), place.clone()),
        dynamodb: DynamoDb::new(engines.tables.clone(), insight.clone(), place.clone()),
        lambda: Lambda::new(engines.functions.clone(), place.clone()),
        logs: CloudWatchLogs::new(insight.clone(), place.clone()),
        analytics: KinesisAnalytics::new(engines.queries.clone(), streams.clone(), place.clone()),
        sqs: Sqs::new(engines.queues.clone(), place.clone()),
        apigateway: ApiGateway::new(
            engines.gateway.clone(),
            calls,
            engines.plans.clone(),
            place.clone(),
            Arc::clone(clock),
        ),
        marketplace: Marketplace::new(engines.marketplace.clone(), place.clone()),
    };
    AwsFront::new(engines.access.clone(), Arc::clone(clock), services)
}

fn azure_front(engines: &Engines, settings: &Settings, event_hubs: EventHubs) -> anyhow::Result<AzureFront> {
    let Engines { objects, documents, events, insight, access, cosmos_key, clock, endpoint, .. } = engines;
    let services = AzureServices {
        apimanagement: ApiManagement::new(engines.managed.clone(), settings.dev),
        event_hubs,
        streamanalytics: StreamAnalytics::new(
            engines.queries.clone(),
            engines.namespaces.clone(),
            Arc::clone(clock),
            settings.dev,
        ),
        blob: Blob::new(objects.clone(), access.clone(), Arc::clone(clock)),
        queue: Queue::new(engines.queues.clone(), access.clone(), Arc::clone(clock)),
        cosmos: Cosmos::new(documents.clone(), cosmos_key, Arc::clone(clock))?,
        eventgrid: EventGrid::new(events.clone(), insight.clone(), Arc::clone(clock), endpoint, settings.dev),
    };
    Ok(AzureFront::new(services))
}

fn console(engines: &Engines, event_hubs: EventHubs) -> Console {
    let endpoint = engines.endpoint.clone();
    let addresses = Addresses {
        connection_strings: Arc::new(move |namespace, hub| event_hubs.connection_strings(namespace, Some(hub)).ok()),
        topic_endpoint: Arc::new(move |topic| grid_place::topic_endpoint(&endpoint, topic)),
    };
    Console::new(ConsoleParts {
        catalog: engines.catalog.clone(),
        streams: engines.streams.clone(),
        insight: engines.insight.clone(),
        functions: engines.functions.clone(),
        tables: engines.tables.clone(),
        deliveries: engines.deliveries.clone(),
        queries: engines.queries.clone(),
        namespaces: engines.namespaces.clone(),
        events: engines.events.clone(),
        objects: engines.objects.clone(),
        documents: engines.documents.clone(),
        managed: engines.managed.clone(),
        plans: engines.plans.clone(),
        addresses,
        clock: Arc::clone(&engines.clock),
        hosts: Vec::new(),
    })
}

/// The socket for commands; only the owner of the data folder may use it.
fn socket(settings: &Settings) -> anyhow::Result<UnixListener> {
    let path = settings.data.join(SOCKET);
    // The store's lock says that no other node runs here: a socket that lies there is left over.
    let _ = std::fs::remove_file(&path);
    let socket = UnixListener::bind(&path).with_context(|| format!("cannot listen on {}", path.display()))?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
    Ok(socket)
}

/// What only commands may ask.
fn admin(engines: &Arc<Engines>) -> Router {
    Router::new()
        .route("/admin/apply", post(apply_pipeline))
        .layer(DefaultBodyLimit::max(APPLY_BYTES_MAX))
        .with_state(Arc::clone(engines))
}

/// Carries out a pipeline file and says what it did, a line a resource.
async fn apply_pipeline(State(engines): State<Arc<Engines>>, body: axum::body::Bytes) -> Response {
    let request: Request = match serde_json::from_slice(&body) {
        Ok(request) => request,
        Err(error) => return (StatusCode::BAD_REQUEST, format!("expected a pipeline: {error}")).into_response(),
    };
    match apply::apply(&engines, &request).await {
        Ok(applied) => {
            let lines: String = applied.iter().map(|applied| format!("{applied}\n")).collect();
            ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], Body::from(lines)).into_response()
        }
        Err(error) => (StatusCode::BAD_REQUEST, format!("{error:#}")).into_response(),
    }
}
