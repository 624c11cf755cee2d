//! Requests signed as clients sign them, over an engine in memory.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response};
use millstream_catalog::Catalog;
use millstream_document::Documents;
use millstream_storage::Storage;
use millstream_stream::Streams;
use millstream_table::Tables;
use millstream_types::ManualClock;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::target::Target;
use super::{Cosmos, DEVELOPMENT_KEY, is_meant, signature};
use crate::request::AzureRequest;
use crate::signing;

/// Sat, 21 Nov 2026 07:49:50 GMT
const NOW: i64 = 1_795_247_390_000;
const DATE: &str = "Sat, 21 Nov 2026 07:49:50 GMT";

fn cosmos() -> Cosmos {
    let clock = Arc::new(ManualClock::at(NOW));
    let storage = Storage::in_memory(clock.clone());
    let catalog = Catalog::open(&storage).unwrap();
    let streams = Streams::new(storage.clone(), catalog.clone(), clock.clone());
    let tables = Tables::new(storage, catalog.clone(), clock.clone());
    let documents = Documents::new(catalog, tables, streams, clock.clone());
    Cosmos::new(documents, DEVELOPMENT_KEY, clock).unwrap()
}

fn request(method: Method, path: &str, headers: &[(&str, &str)], body: &Value) -> AzureRequest {
    let named =
        |(name, value): &(&str, &str)| (name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap());
    AzureRequest {
        peer: std::net::Ipv4Addr::LOCALHOST.into(),
        method,
        path: path.to_owned(),
        query: String::new(),
        headers: headers.iter().map(named).collect::<HeaderMap>(),
        host: "127.0.0.1:4566".to_owned(),
        scheme: "http",
        body: body.to_string().into(),
        request_id: "id".to_owned(),
    }
}

fn signed(key: &str, date: &str, mut request: AzureRequest) -> AzureRequest {
    request.headers.insert("x-ms-date", HeaderValue::from_str(date).unwrap());
    let target = Target::of_path(&request.path).unwrap();
    let payload = signature::payload(&request, &target, date);
    let signature = signing::sign(key, &payload);
    let token = format!("type=master&ver=1.0&sig={signature}");
    let token = utf8_percent_encode(&token, NON_ALPHANUMERIC).to_string();
    request.headers.insert("authorization", HeaderValue::from_str(&token).unwrap());
    request
}

async fn answered(cosmos: &Cosmos, request: AzureRequest) -> Response<Bytes> {
    match cosmos.admit(&request) {
        Ok(admitted) => cosmos.handle(admitted, &request).await,
        Err(refusal) => *refusal,
    }
}

async fn send(cosmos: &Cosmos, method: Method, path: &str, headers: &[(&str, &str)], body: &Value) -> Response<Value> {
    let request = signed(DEVELOPMENT_KEY, DATE, request(method, path, headers, body));
    answered(cosmos, request).await.map(|body| serde_json::from_slice(&body).unwrap_or(Value::Null))
}

#[test]
fn the_payload_is_the_documented_one() {
    // The example of the REST reference: its key, its date, its signature.
    let key = "dsZQi3KtZmCv1ljt3VNWNm7sQUF1y5rJfC6kv5JiwvW0EndXdDku/dkKBp8/ufDToSxLzR4y+O/0H/t4bQtVNw==";
    let mut request = request(Method::GET, "/dbs/ToDoList", &[], &Value::Null);
    let date = "Thu, 27 Apr 2017 00:51:12 GMT";
    request.headers.insert("x-ms-date", HeaderValue::from_static(date));
    let payload = signature::payload(&request, &Target::of_path(&request.path).unwrap(), date);
    let signature = signing::sign(key, &payload);
    assert_eq!(signature, "c09PEVJrgp2uQRkr934kFbTqhByc7TVr3OHyqlu+c+c=");
}

#[tokio::test]
async fn only_the_accounts_key_lets_in_and_only_now() {
    let cosmos = cosmos();
    let read = || request(Method::GET, "/", &[], &Value::Null);
    let status = |request| {
        let cosmos = &cosmos;
        async move { answered(cosmos, request).await.status().as_u16() }
    };
    assert_eq!(status(signed(DEVELOPMENT_KEY, DATE, read())).await, 200);
    assert_eq!(status(signed("d3Jvbmc=", DATE, read())).await, 401);
    assert_eq!(status(signed(DEVELOPMENT_KEY, "Sat, 21 Nov 2026 08:09:50 GMT", read())).await, 403);
    assert_eq!(status(signed(DEVELOPMENT_KEY, "yesterday", read())).await, 403);
    assert_eq!(status(read()).await, 401);
    let mut other = signed(DEVELOPMENT_KEY, DATE, read());
    other.path = "/dbs".to_owned();
    assert_eq!(status(other).await, 401);
}

#[tokio::test]
async fn documents_are_written_and_asked_for() {
    let cosmos = cosmos();
    let nothing = Value::Null;
    let made = send(&cosmos, Method::POST, "/dbs", &[], &json!({"id": "shop"})).await;
    assert_eq!((made.status().as_u16(), &made.body()["id"]), (201, &json!("shop")));
    let container = json!({"id": "orders", "partitionKey": {"paths": ["/user"], "kind": "Hash"}});
    assert_eq!(send(&cosmos, Method::POST, "/dbs/shop/colls", &[], &container).await.status(), 201);
    let docs = "/dbs/shop/colls/orders/docs";
    let of_a = ("x-ms-documentdb-partitionkey", "[\"a\"]");
    let order = json!({"id": "1 é", "user": "a", "total": 5});
    let first = send(&cosmos, Method::POST, docs, &[of_a], &order).await;
    assert_eq!(first.status(), 201);
    assert_eq!(first.headers()["etag"], first.body()["_etag"].as_str().unwrap());
    let again = send(&cosmos, Method::POST, docs, &[of_a], &order).await;
    assert_eq!((again.status().as_u16(), &again.body()["code"]), (409, &json!("Conflict")));
    let other = send(&cosmos, Method::POST, docs, &[("x-ms-documentdb-partitionkey", "[\"b\"]")], &order).await;
    assert_eq!((other.status().as_u16(), &other.headers()["x-ms-substatus"]), (400, &HeaderValue::from(1001)));
    let read = send(&cosmos, Method::GET, "/dbs/shop/colls/orders/docs/1%20%C3%A9", &[of_a], &nothing).await;
    assert_eq!((read.status().as_u16(), &read.body()["total"]), (200, &json!(5)));
    let missing = send(&cosmos, Method::GET, "/dbs/shop/colls/none/docs/1", &[of_a], &nothing).await;
    assert_eq!((missing.status().as_u16(), &missing.headers()["x-ms-substatus"]), (404, &HeaderValue::from(1003)));
    let query =
        json!({"query": "SELECT VALUE c.total FROM c WHERE c.total > @n", "parameters": [{"name": "@n", "value": 1}]});
    let asks = ("x-ms-documentdb-isquery", "True");
    let crossing = send(&cosmos, Method::POST, docs, &[asks], &query).await;
    assert_eq!(crossing.status(), 400);
    let crossing = [asks, ("x-ms-documentdb-query-enablecrosspartition", "True")];
    let found = send(&cosmos, Method::POST, docs, &crossing, &query).await;
    assert_eq!((&found.body()["Documents"], &found.body()["_count"]), (&json!([5]), &json!(1)));
}

#[tokio::test]
async fn batches_answer_for_each_operation() {
    let cosmos = cosmos();
    send(&cosmos, Method::POST, "/dbs", &[], &json!({"id": "shop"})).await;
    let container = json!({"id": "orders", "partitionKey": {"paths": ["/user"]}});
    send(&cosmos, Method::POST, "/dbs/shop/colls", &[], &container).await;
    let create = |id: &str, user: &str| {
        let document = json!({"id": id, "user": user});
        json!({"operationType": "Create", "partitionKey": format!("[\"{user}\"]"), "resourceBody": document})
    };
    let statuses = |answer: &Response<Value>| {
        let each = answer.body().as_array().unwrap().iter().map(|one| one["statusCode"].as_u64().unwrap());
        (answer.status().as_u16(), each.collect::<Vec<_>>())
    };
    let docs = "/dbs/shop/colls/orders/docs";
    let batch = ("x-ms-cosmos-is-batch-request", "True");
    let (atomic, of_a) = (("x-ms-cosmos-batch-atomic", "True"), ("x-ms-documentdb-partitionkey", "[\"a\"]"));
    let twice = json!([create("1", "a"), create("1", "a")]);
    let as_one = send(&cosmos, Method::POST, docs, &[batch, atomic, of_a], &twice).await;
    assert_eq!(statuses(&as_one), (207, vec![424, 409]));
    let goes_on = ("x-ms-cosmos-batch-continue-on-error", "true");
    let three = json!([create("1", "a"), create("1", "a"), create("1", "b")]);
    let each = send(&cosmos, Method::POST, docs, &[batch, goes_on], &three).await;
    assert_eq!(statuses(&each), (207, vec![201, 409, 201]));
}

#[tokio::test]
async fn offers_are_replaced_as_they_were_read() {
    let cosmos = cosmos();
    let manual = ("x-ms-offer-throughput", "400");
    let scaled = ("x-ms-cosmos-offer-autopilot-settings", "{\"maxThroughput\": 4000}");
    let both = send(&cosmos, Method::POST, "/dbs", &[manual, scaled], &json!({"id": "shop"})).await;
    assert_eq!((both.status().as_u16(), &both.body()["code"]), (400, &json!("BadRequest")));
    assert_eq!(send(&cosmos, Method::POST, "/dbs", &[manual], &json!({"id": "shop"})).await.status(), 201);
    let offers = send(&cosmos, Method::GET, "/offers", &[], &Value::Null).await;
    let mut offer = offers.body()["Offers"][0].clone();
    let (etag, path) =
        (offer["_etag"].as_str().unwrap().to_owned(), format!("/offers/{}", offer["id"].as_str().unwrap()));
    offer["content"]["offerThroughput"] = json!(500);
    let replace = async |if_match: &str| {
        let headers = [("if-match", if_match)];
        send(&cosmos, Method::PUT, &path, &headers, &offer).await.status().as_u16()
    };
    assert_eq!(replace("\"another\"").await, 412);
    assert_eq!(replace(&etag).await, 200);
    assert_eq!(replace(&etag).await, 412, "it has another etag now");
    assert_eq!(replace("*").await, 200);
}

#[tokio::test]
async fn containers_and_databases_are_changed_as_they_were_read() {
    let cosmos = cosmos();
    send(&cosmos, Method::POST, "/dbs", &[], &json!({"id": "shop"})).await;
    let container = json!({"id": "orders", "partitionKey": {"paths": ["/user"]}});
    let made = send(&cosmos, Method::POST, "/dbs/shop/colls", &[], &container).await;
    let first = made.body()["_etag"].as_str().unwrap().to_owned();
    let change = async |method: Method, path: &str, if_match: &str| {
        send(&cosmos, method, path, &[("if-match", if_match)], &container).await.status().as_u16()
    };
    let orders = "/dbs/shop/colls/orders";
    assert_eq!(change(Method::PUT, orders, &first).await, 200);
    assert_eq!(change(Method::PUT, orders, &first).await, 412);
    assert_eq!(change(Method::DELETE, orders, &first).await, 412);
    assert_eq!(change(Method::DELETE, orders, "*").await, 204);
    assert_eq!(change(Method::DELETE, "/dbs/shop", &first).await, 412);
    assert_eq!(change(Method::DELETE, "/dbs/shop", "*").await, 204);
}

#[tokio::test]
async fn what_is_left_out_is_named() {
    let cosmos = cosmos();
    send(&cosmos, Method::POST, "/dbs", &[], &json!({"id": "shop"})).await;
    let key = json!({"paths": ["/user"]});
    send(&cosmos, Method::POST, "/dbs/shop/colls", &[], &json!({"id": "orders", "partitionKey": key})).await;
    let computed = json!({"id": "x", "partitionKey": key, "computedProperties": [{"name": "a", "query": "q"}]});
    let docs = "/dbs/shop/colls/orders/docs";
    for (method, path, header, body, expected) in [
        (Method::POST, "/dbs/shop/colls/orders/sprocs", None, json!({}), "Stored procedures"),
        (Method::POST, "/dbs/shop/colls/orders/sprocs/x", None, json!({}), "Stored procedures"),
        (Method::GET, "/dbs/shop/users", None, json!({}), "Users"),
        (Method::POST, "/dbs/shop/colls", None, computed, "Computed properties"),
        (Method::GET, docs, Some(("a-im", "Full-Fidelity Feed")), json!({}), "Change feeds of all versions"),
    ] {
        let answer = send(&cosmos, method, path, header.as_slice(), &body).await;
        let message = answer.body()["message"].as_str().unwrap_or_default();
        assert!(answer.status() == 400 && message.contains(expected), "{path}: {message}");
    }
}

#[test]
fn only_requests_that_tell_the_protocols_version_are_meant() {
    let head = |path: &str, header: &str| {
        let (head, ()) = Request::builder().uri(path).header(header, "2020-07-15").body(()).unwrap().into_parts();
        is_meant(&head)
    };
    for path in ["/", "/dbs", "/dbs/shop/colls", "/offers", "//dbs/"] {
        assert!(head(path, "x-ms-version"), "{path}");
        assert!(!head(path, "x-amz-date"), "{path}");
    }
    assert!(!head("/devstoreaccount1/dbs", "x-ms-version"));
}
