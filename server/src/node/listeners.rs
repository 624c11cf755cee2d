//! Who can ask: the AWS and Azure protocols, the console, and commands over the socket in the data folder.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

use anyhow::Context as _;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{Request as HttpRequest, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use millstream_aws::apigateway::ApiGateway;
use millstream_aws::cloudwatch::CloudWatch;
use millstream_aws::dynamodb::DynamoDb;
use millstream_aws::dynamodbstreams::DynamoDbStreams;
use millstream_aws::firehose::Firehose;
use millstream_aws::front::AwsFront;
use millstream_aws::iam::Iam;
use millstream_aws::kinesis::{Kinesis, KinesisParts};
use millstream_aws::kinesisanalytics::KinesisAnalytics;
use millstream_aws::lambda::Lambda;
use millstream_aws::logs::CloudWatchLogs;
use millstream_aws::marketplace::Marketplace;
use millstream_aws::services::Services;
use millstream_aws::sns::Sns;
use millstream_aws::sqs::Sqs;
use millstream_aws::sts::Sts;
use millstream_azure::apimanagement::ApiManagement;
use millstream_azure::blob::Blob;
use millstream_azure::cosmos::Cosmos;
use millstream_azure::eventgrid::{EventGrid, place as grid_place};
use millstream_azure::eventhubs::EventHubs;
use millstream_azure::eventhubs::amqp::WebSockets;
use millstream_azure::front::AzureFront;
use millstream_azure::queue::Queue;
use millstream_azure::services::Services as AzureServices;
use millstream_azure::streamanalytics::StreamAnalytics;
use millstream_catalog::pipeline::Known;
use millstream_console::{Addresses, Console, ConsoleParts};
use millstream_http::answer_body::AnswerBody;
use millstream_http::serve;
use millstream_http::share::Share;
use millstream_http::tls::Acceptor;
use millstream_http::workers::Workers;
use millstream_types::BoxFuture;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tower_service::Service as _;

use super::console_gate;
use super::event_hubs::{self, EventHubsListeners};
use super::kafka::KafkaListeners;
use super::portal::{self, PortalListener};
use super::{Engines, api_keys, bind, jobs, keys, marketplace, tls};
use crate::apply::create::{self, Creator};
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
    kafka: KafkaListeners,
    portal: PortalListener,
    tls: Option<Acceptor>,
}

impl Listeners {
    pub async fn bind(settings: &Settings) -> anyhow::Result<Self> {
        let tls = tls::acceptor(settings).await?;
        Ok(Self {
            aws: bind(settings.aws_listen, "--aws-listen").await?,
            console: bind(settings.console_listen, "--console-listen").await?,
            event_hubs: EventHubsListeners::bind(settings, tls.clone())?,
            kafka: KafkaListeners::bind(settings, tls.clone()).await?,
            portal: PortalListener::bind(settings).await?,
            tls,
        })
    }

    pub fn aws_address(&self) -> SocketAddr {
        self.aws.local_addr().unwrap_or_else(|_| SocketAddr::from(([127, 0, 0, 1], 4566)))
    }

    /// Serves until the node stops, the protocols' port by `workers`.
    pub fn serve(
        self,
        (engines, settings): (&Arc<Engines>, &Settings),
        workers: Workers,
        stopped: &watch::Receiver<bool>,
        tasks: &mut JoinSet<()>,
    ) -> anyhow::Result<()> {
        let event_hubs = self.event_hubs.service(engines, settings);
        let (aws, azure) = (
            Arc::new(aws_front(engines, settings, stopped)),
            Arc::new(azure_front(engines, event_hubs.clone(), stopped)?),
        );
        let answer = move |request: HttpRequest<Incoming>| {
            let (aws, azure) = (Arc::clone(&aws), Arc::clone(&azure));
            let answer: BoxFuture<'static, _> = Box::pin(async move {
                let (head, body) = request.into_parts();
                match azure.meant(&head) {
                    Some(meant) => azure.handle(meant, head, body).await.map(AnswerBody::from),
                    None => aws.handle(head, body).await,
                }
            });
            answer
        };
        let security = tls::security(self.tls, settings.require_tls);
        let ended = Box::pin(stop(stopped.clone()));
        let served =
            serve::serve_some_live(self.aws, workers, Share::Protocols, security.clone(), Arc::new(answer), ended);
        tasks.spawn(served);
        self.event_hubs.serve(&event_hubs, stopped, tasks);
        self.kafka.serve(engines, settings, stopped, tasks);
        let portal_front = portal::front(engines, settings);
        self.portal.serve(&portal_front, security.clone(), stopped, tasks);
        let console = millstream_console::router(console(engines, event_hubs.clone()));
        let answer = live(console.clone());
        let pages = serve::serve_live(self.console, Share::Console, security, answer, console_gate::gate());
        let ended = stop(stopped.clone());
        tasks.spawn(async move {
            // Live pages never end by themselves, so the node does not wait for them.
            tokio::select! {
                () = pages => {}
                () = ended => {}
            }
        });
        let socket = socket(settings)?;
        let commands = console
            .merge(admin(engines))
            .merge(event_hubs::keys(event_hubs.clone()))
            .merge(portal::routes(portal_front))
            .merge(keys::routes(engines, event_hubs, settings))
            .merge(api_keys::routes(engines))
            .merge(jobs::routes(engines))
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

pub(super) async fn stop(mut stopped: watch::Receiver<bool>) {
    while !*stopped.borrow_and_update() {
        if stopped.changed().await.is_err() {
            return;
        }
    }
}

/// A router as what a listener calls.
fn live(router: Router) -> Arc<serve::Answer<serve::LiveBody>> {
    Arc::new(move |request: HttpRequest<Incoming>| {
        let answer = router.clone().call(request.map(Body::new));
        Box::pin(async move {
            let Ok(response) = answer.await;
            response.map(|body| serve::LiveBody::new(body.map_err(Into::into)))
        })
    })
}

fn report(what: &str, served: std::io::Result<()>) {
    if let Err(error) = served {
        tracing::error!(%error, "the listener for the {what} ended");
    }
}

fn aws_front(engines: &Engines, settings: &Settings, stopped: &watch::Receiver<bool>) -> AwsFront {
    let Engines { insight, streams, place, clock, .. } = engines;
    let calls = engines.calls.clone();
    let authorizer = &engines.authorizer;
    let services = Services {
        kinesis: Kinesis::new(KinesisParts {
            streams: streams.clone(),
            insight: insight.clone(),
            clock: Arc::clone(clock),
            place: place.clone(),
            seal: engines.seal.clone(),
            stopped: stopped.clone(),
            limited: settings.kinesis_read_limits,
            subscription_time: settings.kinesis_subscription_time,
        }),
        firehose: Firehose::new(engines.deliveries.clone(), insight.clone(), authorizer),
        dynamodb: DynamoDb::new(engines.tables.clone(), insight.clone(), place.clone()),
        lambda: Lambda::new(
            engines.functions.clone(),
            engines.mappings.clone(),
            authorizer.clone(),
            place.clone(),
            engines.seal.clone(),
        ),
        dynamodb_streams: DynamoDbStreams::new(
            engines.tables.clone(),
            streams.clone(),
            Arc::clone(clock),
            place.clone(),
            engines.seal.clone(),
        ),
        logs: CloudWatchLogs::new(engines.log_groups.clone(), Arc::clone(clock), place.clone()),
        analytics: KinesisAnalytics::new(engines.queries.clone(), streams.clone(), authorizer),
        cloudwatch: CloudWatch::new(insight.clone(), Arc::clone(clock)),
        sns: Sns::new(engines.events.clone(), place.clone(), engines.signer.clone()),
        sqs: Sqs::new(engines.queues.clone(), place.clone(), engines.seal.clone()),
        apigateway: ApiGateway::new(
            engines.gateway.clone(),
            calls,
            engines.plans.clone(),
            authorizer,
            Arc::clone(clock),
        ),
        marketplace: Marketplace::new(engines.marketplace.clone(), place.clone()),
        iam: Iam::new(authorizer.clone(), Arc::clone(clock)),
        sts: Sts::new(authorizer.clone(), Arc::clone(clock)),
    };
    AwsFront::new(authorizer.clone(), Arc::clone(clock), services)
}

fn azure_front(
    engines: &Engines,
    event_hubs: EventHubs,
    stopped: &watch::Receiver<bool>,
) -> anyhow::Result<AzureFront> {
    let Engines { objects, documents, events, insight, access, cosmos_key, clock, endpoint, .. } = engines;
    let management = || engines.management.clone();
    let web_sockets = WebSockets::new(event_hubs.clone(), stopped.clone());
    let services = AzureServices {
        apimanagement: ApiManagement::new(engines.managed.clone(), management()),
        event_hubs,
        streamanalytics: StreamAnalytics::new(
            engines.queries.clone(),
            engines.namespaces.clone(),
            Arc::clone(clock),
            management(),
        ),
        blob: Blob::new(objects.clone(), access.clone(), Arc::clone(clock)),
        queue: Queue::new(engines.queues.clone(), access.clone(), Arc::clone(clock)),
        cosmos: Cosmos::new(documents.clone(), cosmos_key, Arc::clone(clock))?,
        eventgrid: EventGrid::new(events.clone(), insight.clone(), Arc::clone(clock), endpoint, management()),
    };
    Ok(AzureFront::new(services, web_sockets))
}

fn console(engines: &Arc<Engines>, event_hubs: EventHubs) -> Console {
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
        mappings: engines.mappings.clone(),
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
        create: Arc::new(Creator(Arc::clone(engines))),
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
        .route("/admin/create", post(create_section))
        .route("/admin/known", get(known))
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
        Ok(applied) => said(&applied),
        Err(error) => (StatusCode::BAD_REQUEST, format!("{error:#}")).into_response(),
    }
}

/// Makes what a section describes and says what it did.
async fn create_section(State(engines): State<Arc<Engines>>, body: axum::body::Bytes) -> Response {
    let request: Request = match serde_json::from_slice(&body) {
        Ok(request) => request,
        Err(error) => return (StatusCode::BAD_REQUEST, format!("expected a section: {error}")).into_response(),
    };
    match create::create(&engines, &request).await {
        Ok(applied) => said(&applied),
        Err(refusal) => (StatusCode::BAD_REQUEST, refusal.to_string()).into_response(),
    }
}

fn said(applied: &[apply::Applied]) -> Response {
    let lines: String = applied.iter().map(|applied| format!("{applied}\n")).collect();
    ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], Body::from(lines)).into_response()
}

/// The names that a pipeline file may refer to without defining them.
async fn known(State(engines): State<Arc<Engines>>) -> Json<Known> {
    Json(Known::of(&engines.catalog))
}
