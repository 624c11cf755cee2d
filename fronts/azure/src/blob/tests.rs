//! Whole requests through the service: what a client sees of a signed request, an unsigned one and a wrong one.

use http::{HeaderMap, HeaderName, StatusCode};
use millstream_access::DEVELOPMENT_ACCOUNT;
use millstream_catalog::Catalog;
use millstream_object::ObjectStoreOptions;
use millstream_storage::Storage;
use millstream_types::ManualClock;

use super::*;
use crate::signing::sign;
use crate::storage::shared_key;

const DATE: &str = "Sat, 21 Nov 2026 08:15:00 GMT";
const NOW: i64 = 1_795_248_900_000;

struct World {
    blob: Blob,
    root: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(NOW));
        let storage = Storage::in_memory(Arc::clone(&clock));
        let catalog = Catalog::open(&storage).unwrap();
        let options = ObjectStoreOptions::Folder(root.path().to_owned());
        let objects = Objects::new(options, storage, catalog.clone(), Arc::clone(&clock));
        Self { blob: Blob::new(objects, Access::new(catalog, true), clock), root }
    }

    /// Sends a request, signed with the development account's key.
    async fn signed(&self, method: Method, address: &str, headers: &[(&str, &str)], body: &str) -> Response<Bytes> {
        let mut request = request(method, address, headers, body);
        let target = Target::of(&request).unwrap();
        let text = shared_key::strings_to_sign(&request, &target).remove(0);
        let signature = sign(DEVELOPMENT_ACCOUNT.1, &text);
        let authorization = format!("SharedKey {}:{signature}", DEVELOPMENT_ACCOUNT.0);
        request.headers.insert("authorization", HeaderValue::from_str(&authorization).unwrap());
        self.send(request).await
    }

    async fn send(&self, request: AzureRequest) -> Response<Bytes> {
        match self.blob.admit(&request) {
            Ok(admitted) => self.blob.handle(admitted, request).await,
            Err(refusal) => *refusal,
        }
    }
}

fn request(method: Method, address: &str, headers: &[(&str, &str)], body: &str) -> AzureRequest {
    let (path, query) = address.split_once('?').unwrap_or((address, ""));
    let all = [("x-ms-version", "2021-12-02"), ("x-ms-date", DATE)];
    let pair =
        |(name, value): &(&str, &str)| (HeaderName::try_from(*name).unwrap(), HeaderValue::from_str(value).unwrap());
    AzureRequest {
        peer: std::net::Ipv4Addr::LOCALHOST.into(),
        method,
        path: format!("/{}{path}", DEVELOPMENT_ACCOUNT.0),
        query: query.to_owned(),
        headers: all.iter().chain(headers).map(pair).collect::<HeaderMap>(),
        host: "127.0.0.1:4566".into(),
        scheme: "http",
        body: Bytes::from(body.to_owned()),
        request_id: "id-1".into(),
    }
}

fn header<'r>(response: &'r Response<Bytes>, name: &str) -> &'r str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

#[tokio::test]
async fn a_blob_is_made_read_and_listed() {
    let world = World::new();
    let made = world.signed(Method::PUT, "/box?restype=container", &[], "").await;
    assert_eq!((made.status(), header(&made, "x-ms-version")), (StatusCode::CREATED, "2021-12-02"));
    let sent = [("x-ms-blob-type", "BlockBlob"), ("x-ms-meta-a", "b"), ("content-type", "text/plain")];
    let made = world.signed(Method::PUT, "/box/a/b%20c", &sent, "content").await;
    assert_eq!(made.status(), StatusCode::CREATED);
    assert_eq!(std::fs::read(world.root.path().join("box/a/b c")).unwrap(), b"content");

    let read = world.signed(Method::GET, "/box/a/b%20c", &[("x-ms-range", "bytes=1-3")], "").await;
    assert_eq!((read.status(), &read.body()[..]), (StatusCode::PARTIAL_CONTENT, &b"ont"[..]));
    for (name, value) in [
        ("content-range", "bytes 1-3/7"),
        ("content-type", "text/plain"),
        ("x-ms-meta-a", "b"),
        ("x-ms-blob-type", "BlockBlob"),
        ("last-modified", DATE),
        ("etag", header(&made, "etag")),
        ("x-ms-blob-content-md5", header(&made, "content-md5")),
    ] {
        assert_eq!(header(&read, name), value, "{name}");
    }
    let head = world.signed(Method::HEAD, "/box/a/b%20c", &[], "").await;
    assert_eq!((header(&head, "content-length"), head.body().len()), ("7", 0));

    let listed = world.signed(Method::GET, "/box?restype=container&comp=list&delimiter=/", &[], "").await;
    let text = String::from_utf8_lossy(listed.body());
    assert!(text.contains("<BlobPrefix><Name>a/</Name></BlobPrefix></Blobs><NextMarker></NextMarker>"), "{text}");
}

#[tokio::test]
async fn errors_are_the_services_own() {
    let world = World::new();
    let missing = world.signed(Method::GET, "/box/b", &[], "").await;
    assert_eq!((missing.status(), header(&missing, "x-ms-error-code")), (StatusCode::NOT_FOUND, "ContainerNotFound"));
    let expected = "<?xml version=\"1.0\" encoding=\"utf-8\"?><Error><Code>ContainerNotFound</Code><Message>The specified \
                    container does not exist.\nRequestId:id-1\nTime:2026-11-21T08:15:00.0000000Z</Message></Error>";
    assert_eq!(missing.body(), expected);
    let head = world.signed(Method::HEAD, "/box/b", &[], "").await;
    assert_eq!((header(&head, "x-ms-error-code"), head.body().len()), ("ContainerNotFound", 0));

    let unsigned = world.send(request(Method::GET, "/box/b", &[], "")).await;
    assert_eq!(header(&unsigned, "x-ms-error-code"), "NoAuthenticationInformation");
    let wrong = [("authorization", "SharedKey devstoreaccount1:AAAA")];
    let wrong = world.send(request(Method::GET, "/box/b", &wrong, "")).await;
    assert_eq!((wrong.status(), header(&wrong, "x-ms-error-code")), (StatusCode::FORBIDDEN, "AuthenticationFailed"));
    let late = world.signed(Method::GET, "/box/b", &[("date", DATE)], "").await;
    assert_eq!(late.status(), StatusCode::NOT_FOUND, "only x-ms-date counts when both are there");

    for (address, headers, code) in [
        ("/box/b?comp=page", &[][..], "UnsupportedQueryParameter"),
        ("/box/b?comp=metadata&snapshot=2026-11-21T08:15:00.0000000Z", &[], "UnsupportedQueryParameter"),
        ("/box/b?comp=lease", &[("x-ms-lease-action", "acquire")], "MissingRequiredHeader"),
        ("/box?restype=container", &[("x-ms-lease-id", "a")], "UnsupportedHeader"),
        ("/box/b", &[("x-ms-blob-type", "PageBlob")], "UnsupportedHeader"),
        ("/box/b", &[("x-ms-blob-type", "BlockBlob"), ("x-ms-tags", "a=%23")], "InvalidTag"),
        ("/box/b", &[], "MissingRequiredHeader"),
        ("/box/b%2F..%2Fc", &[("x-ms-blob-type", "BlockBlob")], "InvalidResourceName"),
        ("/box?restype=container", &[("x-ms-blob-public-access", "blob")], "PublicAccessNotPermitted"),
        ("/box?restype=container", &[("if-match", "*")], "ConditionHeadersNotSupported"),
        ("/box/b", &[("x-ms-blob-type", "BlockBlob"), ("content-md5", "AA")], "InvalidMd5"),
    ] {
        let answer = world.signed(Method::PUT, address, headers, "").await;
        assert_eq!(header(&answer, "x-ms-error-code"), code, "{address} {headers:?}");
    }
}

#[tokio::test]
async fn a_snapshot_has_no_snapshots() {
    let world = World::new();
    let address = "/box/b?snapshot=2026-11-21T08:15:00.0000000Z";
    let refused = world.signed(Method::DELETE, address, &[("x-ms-delete-snapshots", "only")], "").await;
    assert_eq!(header(&refused, "x-ms-error-code"), "InvalidHeaderValue");
}

#[tokio::test]
async fn a_head_that_earns_a_refusal_needs_no_body() {
    let world = World::new();
    for (headers, code) in [
        (&[][..], "NoAuthenticationInformation"),
        (&[("authorization", "SharedKey devstoreaccount1:AAAA")], "AuthenticationFailed"),
        (&[("authorization", "SharedKey nobody:AAAA")], "AuthenticationFailed"),
    ] {
        let refusal = world.blob.admit(&request(Method::PUT, "/box/b", headers, "")).err().unwrap();
        assert_eq!(header(&refusal, "x-ms-error-code"), code, "{headers:?}");
    }
    let mut signed = request(Method::PUT, "/box/b", &[("x-ms-blob-type", "BlockBlob")], "");
    let text = shared_key::strings_to_sign(&signed, &Target::of(&signed).unwrap()).remove(0);
    let authorization = format!("SharedKey {}:{}", DEVELOPMENT_ACCOUNT.0, sign(DEVELOPMENT_ACCOUNT.1, &text));
    signed.headers.insert("authorization", HeaderValue::from_str(&authorization).unwrap());
    assert!(world.blob.admit(&signed).is_ok());
}
