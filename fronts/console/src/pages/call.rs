//! `POST /apis/{service}/{api}/{operation}`: a test call of an operation, with every step of its policies.
//!
//! The call takes the way of any other: it counts against rates and quotas, and it reaches the backend.

use std::net::{IpAddr, Ipv4Addr};

use axum::Form;
use axum::extract::{Path, State};
use axum::response::{Html, IntoResponse as _, Response};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use millstream_catalog::{ManagedApi, ManagedServiceDefinition};
use millstream_gateway::ManagedRequest;
use millstream_gateway::managed::call::BODY_BYTES_MAX;
use millstream_gateway::managed::{Answered, TraceStep};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::Frame;
use super::operation::{Answer, CallForm, draw};
use crate::Console;
use crate::console::not_found;
use crate::error::ConsoleError;
use crate::format;
use crate::page::Page;
use crate::partials::{Cell, Grid};

/// The longest form: a body of the largest size with each of its bytes as `%XX`.
pub const FORM_BYTES_MAX: usize = 3 * BODY_BYTES_MAX + (64 << 10);
/// Characters of the answer's body that the page shows.
const BODY_CHARS: usize = 64 << 10;
/// What people type into a path or a query and what may not be there.
const NOT_IN_ADDRESSES: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>').add(b'#');

/// Calls the operation as the form says and shows what came of it.
///
/// # Errors
/// [`ConsoleError::NotFound`]; what is wrong with the form is said on the page.
pub async fn run(
    State(console): State<Console>,
    Path((service, api, operation)): Path<(String, String, String)>,
    Form(form): Form<CallForm>,
) -> Result<Response, ConsoleError> {
    let definition = console.service(&service)?;
    let found = definition.apis.get(&api).ok_or_else(|| not_found("API", &api))?;
    let method = found.operations.get(&operation).ok_or_else(|| not_found("operation", &operation))?.method.clone();
    let called = match request(&console, &definition, found, &method, &form) {
        Ok(request) => Ok(Some(answer(console.managed().call(&request, true).await))),
        Err(mistake) => Err(mistake),
    };
    let frame = Frame::of(&Page::Operation(service.clone(), api.clone(), operation.clone()));
    let html = draw(&console, [&service, &api, &operation], frame, Some(form), called)?;
    Ok(Html(html).into_response())
}

/// The request that a form asks for, or what is wrong with the form.
fn request(
    console: &Console,
    service: &ManagedServiceDefinition,
    api: &ManagedApi,
    method: &str,
    form: &CallForm,
) -> Result<ManagedRequest, String> {
    let method: Method = method.parse().map_err(|_| format!("`{method}` is no method that can be called"))?;
    let mut headers = headers(&form.headers)?;
    if !form.subscription.is_empty() {
        let known = service.subscriptions.get(&form.subscription);
        let key = known.ok_or_else(|| format!("there is no subscription `{}`", form.subscription))?;
        let name: HeaderName = api.key_header.parse().map_err(|_| "the API's header for keys is none".to_owned())?;
        let value = HeaderValue::from_str(&key.primary_key);
        headers.insert(name, value.map_err(|_| "the key cannot be sent in a header".to_owned())?);
    }
    let encoded = |text: &str| utf8_percent_encode(text.trim(), NOT_IN_ADDRESSES).to_string();
    let behind = encoded(form.path.trim().trim_start_matches('/'));
    let path = if api.path.is_empty() { format!("/{behind}") } else { format!("/{}/{behind}", api.path) };
    Ok(ManagedRequest {
        id: format!("console-{}", console.clock().now()),
        service: Some(service.name.clone()),
        method,
        path,
        query: encoded(form.query.trim().trim_start_matches('?')),
        headers,
        body: Bytes::from(form.body.clone()),
        peer: IpAddr::V4(Ipv4Addr::LOCALHOST),
    })
}

/// Headers, one a line.
fn headers(lines: &str) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    for line in lines.lines().filter(|line| !line.trim().is_empty()) {
        let wrong = || format!("expected a header as `Name: value`, found `{}`", line.trim());
        let (name, value) = line.split_once(':').ok_or_else(wrong)?;
        let name: HeaderName = name.trim().parse().map_err(|_| wrong())?;
        headers.append(name, HeaderValue::from_str(value.trim()).map_err(|_| wrong())?);
    }
    Ok(headers)
}

fn answer(answered: Answered) -> Answer {
    let (head, body) = answered.response.into_parts();
    let header = |(name, value): (&HeaderName, &HeaderValue)| {
        (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    Answer {
        status: head.status.to_string(),
        failure: answered.failure.map(|failure| failure.to_string()),
        headers: head.headers.iter().map(header).collect(),
        size: format::size(body.len() as u64),
        body: format::pretty(&body, BODY_CHARS),
        trace: trace(answered.trace),
    }
}

fn trace(steps: Vec<TraceStep>) -> Grid {
    let mut grid = Grid::new(&["#after", "section", "policies of", "step", "what was done"], "Nothing was done.");
    let row = |step: TraceStep| -> Vec<Cell> {
        vec![
            format::duration(step.elapsed_ms).into(),
            step.section.into(),
            step.scope.into(),
            step.step.into(),
            step.message.into(),
        ]
    };
    grid.rows = steps.into_iter().map(row).collect();
    grid
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_line_by_line() {
        let read = headers("Content-Type: application/json\n\n x-one : a:b ").unwrap();
        assert_eq!(
            (read["content-type"].as_bytes(), read["x-one"].as_bytes()),
            (&b"application/json"[..], &b"a:b"[..])
        );
        for line in ["none", ": value", "a b: c"] {
            assert!(headers(line).unwrap_err().contains("expected a header"), "{line}");
        }
    }
}
