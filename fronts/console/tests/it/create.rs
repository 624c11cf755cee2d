//! Forms: what they make, what they say at which field, and what they never do.

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Full;
use millstream_catalog::pipeline::Mistake;
use millstream_catalog::pipeline::form::Form;
use millstream_console::NewCode;

use super::world::HOSTILE;
use super::{ask, get, lively, serve, text};

const BOUNDARY: &str = "boundary";

/// A filled-in form as a browser sends it; a name that ends in `.file` is a file.
fn sent(kind: &str, fields: &[(&str, &str)]) -> Request<Full<Bytes>> {
    sent_to(&format!("/new/{kind}"), fields)
}

fn sent_to(address: &str, fields: &[(&str, &str)]) -> Request<Full<Bytes>> {
    let mut body = String::new();
    for (name, value) in fields {
        let file = if name.ends_with(".file") { "; filename=\"a.zip\"" } else { "" };
        body += &format!("--{BOUNDARY}\r\ncontent-disposition: form-data; name=\"{name}\"{file}\r\n\r\n{value}\r\n");
    }
    body += &format!("--{BOUNDARY}--\r\n");
    Request::post(address)
        .header("host", "localhost")
        .header("content-type", format!("multipart/form-data; boundary={BOUNDARY}"))
        .body(Full::new(Bytes::from(body)))
        .unwrap()
}

#[tokio::test]
async fn every_kind_has_a_form() {
    let (world, _folder) = lively().await;
    let server = serve(&world).await;
    for form in Form::all() {
        let answer = ask(server, get(&format!("/new/{}", form.kind))).await;
        assert_eq!(answer.status(), StatusCode::OK, "{}", form.kind);
        let html = text(answer).await;
        let subject = format!("name=\"{}\"", form.subject());
        assert!(html.contains(&subject) && html.contains("name=\"token\""), "{}", form.kind);
    }
    assert_eq!(ask(server, get("/new/castle")).await.status(), StatusCode::NOT_FOUND);
    assert_eq!(ask(server, sent("castle", &[])).await.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_form_makes_its_section_and_shows_it() {
    let (world, _folder) = lively().await;
    let server = serve(&world).await;
    let fields = [("name", "clicks"), ("shards", "2"), ("retention_hours", ""), ("token", "right")];
    let html = text(ask(server, sent("stream", &fields)).await).await;
    assert!(html.contains("href=\"/streams/clicks\"") && !html.contains(HOSTILE), "{html}");
    let made = world.maker.asked.lock().unwrap().pop().unwrap();
    assert_eq!(made.text, "[[stream]]\nname = \"clicks\"\nshards = 2\n");
    assert!(html.contains("shards = 2"));

    let only = [("name", "clicks"), ("as", "section")];
    let html = text(ask(server, sent("stream", &only)).await).await;
    assert!(html.contains("[[stream]]") && world.maker.asked.lock().unwrap().is_empty(), "{html}");
}

#[tokio::test]
async fn code_goes_beside_the_section() {
    let (world, _folder) = lively().await;
    let server = serve(&world).await;
    let base = [("name", "f"), ("runtime", "python3.12"), ("handler", "index.handler"), ("token", "right")];
    for (field, expected) in [
        (("code", "def handler(e, c): pass"), NewCode::Source("def handler(e, c): pass".into())),
        (("code.file", "PK"), NewCode::Zip("PK".into())),
    ] {
        let fields: Vec<_> = base.into_iter().chain([field]).collect();
        let html = text(ask(server, sent("function", &fields)).await).await;
        let made = world.maker.asked.lock().unwrap().pop().unwrap_or_else(|| panic!("{html}"));
        assert_eq!(made.code, Some(expected));
        assert!(made.text.contains("code = \"functions/f\""), "{}", made.text);
    }
    let html = text(ask(server, sent("function", &base)).await).await;
    assert!(html.contains("id=\"code-wrong\""), "{html}");
}

#[tokio::test]
async fn what_is_wrong_is_said_at_its_field() {
    let (world, _folder) = lively().await;
    let server = serve(&world).await;
    let html = text(ask(server, sent("stream", &[("name", "a"), ("shards", "two"), ("token", "right")])).await).await;
    assert!(html.contains("id=\"shards-wrong\"") && html.contains("value=\"two\""), "{html}");
    let wrong = Mistake { file: String::new(), line: 2, message: HOSTILE.into(), hint: String::new() };
    world.maker.mistakes.lock().unwrap().push(wrong);
    let html = text(ask(server, sent("stream", &[("name", "a"), ("token", "right")])).await).await;
    assert!(html.contains("id=\"name-wrong\"") && !html.contains(HOSTILE), "{html}");
    let html = text(ask(server, sent("stream", &[("name", "a"), ("token", "wrong")])).await).await;
    assert!(html.contains("this is not the node") && !html.contains("value=\"wrong\""), "{html}");
    assert!(world.maker.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_part_comes_once_more_when_asked() {
    let (world, _folder) = lively().await;
    let server = serve(&world).await;
    let fields = [("name", "q"), ("output.1.name", "first"), ("more", "output")];
    let html = text(ask(server, sent("query", &fields)).await).await;
    assert!(html.contains("name=\"output.2.name\"") && html.contains("value=\"first\""), "{html}");
    assert!(!html.contains("name=\"output.3.name\""));
    let fields = [("name", "q"), ("output.60.name", "last"), ("more", "output")];
    let html = text(ask(server, sent("query", &fields)).await).await;
    assert!(!html.contains("name=\"output.61.name\""));
}

#[tokio::test]
async fn a_query_is_started_stopped_and_changed() {
    let (world, _folder) = lively().await;
    let server = serve(&world).await;
    let address = "/queries/share-change-per-minute";
    let shown = text(ask(server, get(&format!("{address}/edit"))).await).await;
    assert!(shown.contains("value=\"input_transactions\"") && shown.contains("value=\"input.1\""), "{shown}");
    assert!(!shown.contains("name=\"dialect\"") && !shown.contains(HOSTILE), "{shown}");
    let whole = [
        ("version", "1"),
        ("sql", "SELECT 1"),
        ("input.1.name", "SOURCE_SQL_STREAM_001"),
        ("input.1.delivery_stream", "input_transactions"),
    ];
    let with = |more: &[(&'static str, &'static str)]| {
        let fields: Vec<(&str, &str)> = whole.iter().chain(more).copied().collect();
        sent_to(&format!("{address}/edit"), &fields)
    };
    let changed = ask(server, with(&[("token", "right")])).await;
    assert_eq!((changed.status(), &changed.headers()["location"]), (StatusCode::SEE_OTHER, &address.parse().unwrap()));
    let locked = text(ask(server, with(&[("token", "wrong")])).await).await;
    assert!(locked.contains("this is not the node") && locked.contains("SELECT 1"), "{locked}");
    let nameless = text(ask(server, with(&[("output.1.stream", HOSTILE)])).await).await;
    assert!(nameless.contains("id=\"output.1.name-wrong\"") && !nameless.contains(HOSTILE), "{nameless}");
    let without = with(&[("output.1.stream", "nameless"), ("remove", "output.1"), ("as", "section")]);
    let without = text(ask(server, without).await).await;
    assert!(without.contains("[[query.input]]") && !without.contains("[[query.output]]"), "{without}");

    let plain = |path: &str, fields: &str| {
        let request = Request::post(path.to_owned()).header("host", "localhost");
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        request.body(Full::new(Bytes::from(fields.to_owned()))).unwrap()
    };
    for (path, fields, status) in [
        ("stop", "token=right", StatusCode::SEE_OTHER),
        ("stop", "token=wrong", StatusCode::FORBIDDEN),
        ("start", "token=right&from=last-output", StatusCode::SEE_OTHER),
        ("start", "token=right&from=time&at=2026-01-01T00%3A00%3A00Z", StatusCode::SEE_OTHER),
        ("start", "token=right&from=time&at=noon", StatusCode::BAD_REQUEST),
        ("start", "token=right", StatusCode::BAD_REQUEST),
    ] {
        assert_eq!(ask(server, plain(&format!("{address}/{path}"), fields)).await.status(), status, "{path} {fields}");
    }
    assert_eq!(ask(server, plain("/queries/none/stop", "")).await.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_sample_is_uploaded() {
    let (world, _folder) = lively().await;
    let server = serve(&world).await;
    let sql = "CREATE STREAM OUT (n INTEGER); CREATE PUMP p AS INSERT INTO OUT SELECT STREAM \"n\" FROM SOURCE_SQL_STREAM_001;";
    let fields = [("sql", sql), ("SOURCE_SQL_STREAM_001", ""), ("SOURCE_SQL_STREAM_001.file", "[\n{\"n\": 4711}\n]")];
    let html = text(ask(server, sent_to("/queries/share-change-per-minute/test", &fields)).await).await;
    assert!(html.contains("1 rows") && html.contains("4711"), "{html}");
}

#[tokio::test]
async fn what_is_no_form_is_refused() {
    let (world, _folder) = lively().await;
    let server = serve(&world).await;
    let request = |content_type: &str, origin: &str| {
        Request::post("/new/stream")
            .header("host", "localhost")
            .header("origin", origin)
            .header("content-type", content_type)
            .body(Full::new(Bytes::from_static(b"--x\r\nbroken")))
            .unwrap()
    };
    for content_type in ["application/json", "multipart/form-data", "multipart/form-data; boundary=x"] {
        let answer = ask(server, request(content_type, "http://localhost")).await;
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{content_type}");
    }
    let foreign = ask(server, request("multipart/form-data; boundary=x", "http://evil.example")).await;
    assert_eq!(foreign.status(), StatusCode::FORBIDDEN);
}
