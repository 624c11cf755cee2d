//! Event hubs, topics, objects, documents and managed APIs: what the world has of them, and what their pages do.

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use millstream_catalog::{
    EventBatching, EventEndpoint, EventFilter, EventRetry, EventSchema, EventSubscriptionDefinition, FieldCondition,
    FieldTest, HubDefinition, ManagedApi, ManagedOperation, ManagedServiceDefinition, ManagedSubscriptionState,
    Subscription, SubscriptionScope, SubscriptionState, TopicDefinition,
};
use millstream_document::{ContainerSettings, NewContainer};
use millstream_namespace::NewHub;
use millstream_object::Put;
use serde_json::json;

use crate::world::{HOSTILE, World};
use crate::{ask, get, lively, serve, text};

/// A policy that answers in the backend's place.
const POLICY: &str = "<policies><inbound><return-response><set-status code=\"418\" reason=\"Teapot\" />\
                      <set-body>&lt;b&gt;tea</set-body></return-response></inbound></policies>";

/// One of each kind, and one of each kind with a hostile name where a definition can be put past its engine.
pub async fn define(world: &World) {
    let new = NewHub { name: "telemetry".into(), partitions: 2, retention_hours: 24, retention_bytes: None };
    let (hub, _) = world.namespaces.put_hub("default", new).await.unwrap();
    let hostile = HubDefinition { id: format!("default/{HOSTILE}"), name: HOSTILE.into(), ..(*hub).clone() };
    world.catalog.hubs.put(hostile).await.unwrap();
    topics(world).await;
    let content = vec![Bytes::from_static(HOSTILE.as_bytes())];
    for key in ["raw/2026/one.json".to_owned(), format!("raw/{HOSTILE}")] {
        let put = Put { make_bucket: true, ..Put::new("archive".into(), key, content.clone()) };
        world.objects.put(put).await.unwrap();
    }
    let binary = Put::new("archive".into(), "binary".into(), vec![Bytes::from_static(&[0, 255])]);
    world.objects.put(binary).await.unwrap();
    documents(world).await;
    world.catalog.managed_services.put(service()).await.unwrap();
}

async fn topics(world: &World) {
    for name in ["power", HOSTILE] {
        let topic = TopicDefinition {
            mapping: None,
            name: name.into(),
            address: name.into(),
            schema: EventSchema::EventGrid,
            keys: [HOSTILE.into(), HOSTILE.into()],
            created: 1_700_000_000_000,
            location: String::new(),
            tags: Default::default(),
            attributes: Default::default(),
        };
        let stream = millstream_stream::NewStream {
            name: topic.stream(),
            owner: millstream_catalog::StreamOwner::Topic,
            shards: 1,
            retention_hours: 48,
        };
        world.streams.create(stream).await.unwrap();
        world.catalog.topics.put(topic).await.unwrap();
        let url = format!("https://hook.example/{HOSTILE}?code=topsecret");
        let endpoints = [EventEndpoint::Webhook { url }, EventEndpoint::Function { name: HOSTILE.into() }];
        for (subscription, endpoint) in [HOSTILE, "quiet"].into_iter().zip(endpoints) {
            world.catalog.event_subscriptions.put(subscribed(name, subscription, endpoint)).await.unwrap();
        }
    }
}

fn subscribed(topic: &str, name: &str, endpoint: EventEndpoint) -> EventSubscriptionDefinition {
    let test = FieldTest::StringIn(vec![HOSTILE.into()]);
    EventSubscriptionDefinition {
        id: EventSubscriptionDefinition::id_of(topic, name),
        topic: topic.into(),
        name: name.into(),
        endpoint,
        filter: EventFilter {
            conditions: vec![FieldCondition { key: HOSTILE.into(), test }],
            ..EventFilter::default()
        },
        delivery_schema: EventSchema::EventGrid,
        retry: EventRetry::default(),
        dead_letter: None,
        batching: EventBatching::default(),
        headers: vec![],
        state: SubscriptionState::Active,
        expires: None,
        labels: vec![],
        raw: false,
        retry_waits: vec![],
        dead_letter_queue: None,
        attributes: Default::default(),
        confirmation: None,
        created: 1_700_000_000_000,
        modified: 1_700_000_000_000,
    }
}

async fn documents(world: &World) {
    world.documents.create_database("homes").await.unwrap();
    let new = NewContainer {
        database: "homes".into(),
        name: "appliances".into(),
        partition_key_paths: vec!["/room".into()],
        unique_keys: Vec::new(),
        settings: ContainerSettings::default(),
    };
    let container = world.documents.create_container(new).await.unwrap();
    for number in 0..60 {
        let document = json!({ "id": format!("a{number:02}"), "room": HOSTILE, HOSTILE: number });
        let body = document.as_object().unwrap().clone();
        world.documents.create(&container, None, body).await.unwrap();
    }
}

fn service() -> ManagedServiceDefinition {
    let operation = ManagedOperation {
        name: HOSTILE.into(),
        display_name: HOSTILE.into(),
        method: "POST".into(),
        template: "/brew/{kind}".into(),
        policy: Some(POLICY.into()),
    };
    let api = ManagedApi {
        name: HOSTILE.into(),
        path: "tea".into(),
        subscription_required: true,
        key_header: "x-key".into(),
        key_query: "key".into(),
        policy: Some(format!("<!-- {HOSTILE} -->")),
        operations: [(HOSTILE.to_owned(), operation)].into(),
        ..ManagedApi::default()
    };
    let subscription = Subscription {
        name: HOSTILE.into(),
        id: "1".into(),
        display_name: HOSTILE.into(),
        owner: None,
        scope: SubscriptionScope::AllApis,
        state: ManagedSubscriptionState::Active,
        primary_key: "topsecret".into(),
        secondary_key: "topsecret".into(),
        created: 1_700_000_000_000,
    };
    ManagedServiceDefinition {
        name: "kitchen".into(),
        created: 1_700_000_000_000,
        policy: None,
        apis: [(HOSTILE.to_owned(), api)].into(),
        subscriptions: [(HOSTILE.to_owned(), subscription)].into(),
        ..ManagedServiceDefinition::default()
    }
}

/// A name as a path's segment or a form's value.
fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

fn post(address: &str, form: &str) -> Request<Full<Bytes>> {
    let request = Request::post(address).header("host", "localhost:8080");
    let request = request.header("content-type", "application/x-www-form-urlencoded");
    request.body(Full::new(Bytes::from(form.to_owned()))).unwrap()
}

#[tokio::test]
async fn keys_are_shown_on_their_own_page_only() {
    let (world, _folder) = lively().await;
    let server = serve(&world).await;
    let hostile = encoded(HOSTILE);
    let pages = [
        "/hubs".to_owned(),
        "/hubs/default/telemetry".to_owned(),
        "/topics/power".to_owned(),
        format!("/topics/power/{hostile}"),
        "/apis/kitchen".to_owned(),
        format!("/apis/kitchen/{hostile}"),
    ];
    let root_key = world.namespaces.namespace("default").unwrap().policies[0].primary_key.clone();
    for address in pages {
        let html = text(ask(server, get(&address)).await).await;
        let shown = ["topsecret", "SharedAccessKey=", &root_key].into_iter().find(|secret| html.contains(secret));
        assert_eq!(shown, None, "{address}");
    }
    let html = text(ask(server, get("/hubs/default/telemetry/keys")).await).await;
    assert!(html.contains("SharedAccessKey=secret;default/telemetry"));
    let foreign = Request::get("/hubs/default/telemetry/keys").header("host", "evil.example");
    assert_eq!(ask(server, foreign.body(Full::default()).unwrap()).await.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn objects_are_listed_by_folder_and_saved_never_shown() {
    let (world, _folder) = lively().await;
    let server = serve(&world).await;
    let top = text(ask(server, get("/buckets/archive")).await).await;
    assert!(top.contains("href=\"/buckets/archive?prefix=raw%2F\"") && !top.contains("one.json"));
    let folder = text(ask(server, get("/buckets/archive?prefix=raw%2F2026%2F")).await).await;
    assert!(folder.contains("href=\"/buckets/archive/raw%2F2026%2Fone.json\""));
    let binary = text(ask(server, get("/buckets/archive/binary")).await).await;
    assert!(binary.contains("It is no text."));

    let address = format!("/buckets/archive/{}/content", encoded(&format!("raw/{HOSTILE}")));
    let saved = ask(server, get(&address)).await;
    let header = |name: &str| saved.headers()[name].to_str().unwrap().to_owned();
    assert!(header("content-disposition").starts_with("attachment; filename*=UTF-8''"));
    assert_eq!(header("x-content-type-options"), "nosniff");
    assert_eq!(header("content-type"), "application/octet-stream");
    let body = saved.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, HOSTILE.as_bytes());
    for address in ["/buckets/none", "/buckets/archive/none", "/buckets/archive/none/content"] {
        assert_eq!(ask(server, get(address)).await.status(), StatusCode::NOT_FOUND, "{address}");
    }
}

#[tokio::test]
async fn documents_are_asked_for_in_sql() {
    let (world, _folder) = lively().await;
    let server = serve(&world).await;
    let all = text(ask(server, get("/documents/homes/appliances")).await).await;
    assert!(all.contains("a00") && all.contains("rel=\"next\""), "a page of sixty documents");
    let sql = encoded("SELECT c.id FROM c WHERE c.id = 'a07'");
    let one = text(ask(server, get(&format!("/documents/homes/appliances?sql={sql}"))).await).await;
    assert!(one.contains(">a07<") && !one.contains(">a08<"));
    let mistake = text(ask(server, get("/documents/homes/appliances?sql=SELEC")).await).await;
    assert!(mistake.contains("role=\"alert\""));
}

#[tokio::test]
async fn a_test_call_shows_its_answer_and_its_way() {
    let (world, _folder) = lively().await;
    let server = serve(&world).await;
    let hostile = encoded(HOSTILE);
    let address = format!("/apis/kitchen/{hostile}/{hostile}");
    let form = format!("path=%2Fbrew%2Fgreen&headers=x-a%3A+b&body={hostile}&subscription={hostile}");
    let html = text(ask(server, post(&address, &form)).await).await;
    assert!(html.contains("418") && html.contains("return-response"), "{html}");
    assert!(html.contains("opens the API") && !html.contains("<b>tea") && !html.contains("topsecret"), "{html}");
    let keyless = text(ask(server, post(&address, "path=%2Fbrew%2Fgreen")).await).await;
    assert!(keyless.contains("a subscription key is needed"));
    let wrong = text(ask(server, post(&address, "path=%2Fbrew%2Fgreen&headers=none")).await).await;
    assert!(wrong.contains("expected a header as"));
    let elsewhere = post(&address, &form);
    let (mut head, body) = elsewhere.into_parts();
    head.headers.insert("origin", "https://evil.example".parse().unwrap());
    assert_eq!(ask(server, Request::from_parts(head, body)).await.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_query_is_tried_on_a_pasted_sample() {
    let (world, _folder) = lively().await;
    let server = serve(&world).await;
    let address = "/queries/share-change-per-minute/test";
    let sql = encoded("CREATE STREAM OUT (n INTEGER); CREATE PUMP p AS INSERT INTO OUT SELECT STREAM 1 FROM nothing;");
    let wrong = text(ask(server, post(address, &format!("sql={sql}&SOURCE_SQL_STREAM_001=%7B%7D"))).await).await;
    assert!(wrong.contains("role=\"alert\"") && wrong.contains("nothing"), "{wrong}");
    let file = ask(server, post(address, "as=file")).await;
    let disposition = "attachment; filename=\"share-change-per-minute-test.jsonl\"";
    assert_eq!(file.headers()["content-disposition"], disposition);
    let bare = text(ask(server, post(address, "")).await).await;
    assert!(bare.contains("<textarea") && !bare.contains("role=\"alert\""), "nothing pasted is no mistake");
    assert_eq!(ask(server, post("/queries/none/test", "")).await.status(), StatusCode::NOT_FOUND);
}
