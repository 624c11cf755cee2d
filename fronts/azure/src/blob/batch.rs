//! `Blob Batch`: several requests in one, each authorized and answered for itself. Blobs are deleted so; their tiers, which
//! this node does not have, cannot be set.
//!
//! Source: the Azure Storage REST reference, "Blob Batch": parts of `multipart/mixed`, each a request of HTTP/1.1.

use bytes::{BufMut as _, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header};

use super::operation::Operation;
use super::{Admitted, Blob, Call, delete_blob, headers};
use crate::request::AzureRequest;
use crate::storage::error::ServiceError;
use crate::storage::target::Target;

/// Requests in a batch, and bytes of its body: the service's own bounds.
const PARTS_MAX: usize = 256;
const BODY_BYTES_MAX: usize = 4 << 20;

pub(super) async fn call(blob: &Blob, call: &Call) -> Result<Response<Bytes>, ServiceError> {
    let parts = parts(&call.request)?;
    let boundary = format!("batchresponse_{}", call.request.request_id);
    let mut body = BytesMut::new();
    for part in parts {
        let (id, head_only) = (part.id, part.request.method == Method::HEAD);
        let answer = match answered(blob, call, part.request).await {
            Ok(answer) => answer,
            Err(error) => error.answer(&call.request.request_id, blob.clock.now(), head_only),
        };
        write(&mut body, &boundary, &id, &answer);
    }
    body.put(format!("--{boundary}--\r\n").as_bytes());
    let mut response = headers::empty(StatusCode::ACCEPTED);
    headers::set(response.headers_mut(), "content-type", format!("multipart/mixed; boundary={boundary}"));
    *response.body_mut() = body.freeze();
    Ok(response)
}

async fn answered(blob: &Blob, batch: &Call, request: AzureRequest) -> Result<Response<Bytes>, ServiceError> {
    let Admitted { target, operation, permit } = blob.examine(&request)?;
    if operation != Operation::DeleteBlob {
        return Err(ServiceError::bad_request("InvalidInput", "Expected requests that delete blobs in a batch."));
    }
    if batch.target.container.is_some() && batch.target.container != target.container {
        let message = "Expected blobs of the container that the batch was sent to.";
        return Err(ServiceError::bad_request("InvalidInput", message));
    }
    delete_blob::call(blob, &Call { request, target, permit }).await
}

/// A request of a batch, and the name of its part.
struct Part {
    id: String,
    request: AzureRequest,
}

fn parts(request: &AzureRequest) -> Result<Vec<Part>, ServiceError> {
    if request.body.len() > BODY_BYTES_MAX {
        return Err(ServiceError::body_too_large(BODY_BYTES_MAX));
    }
    let content_type = request.header("content-type").unwrap_or_default();
    let boundary = content_type.strip_prefix("multipart/mixed;").and_then(|rest| rest.trim().strip_prefix("boundary="));
    let boundary = boundary.map(|boundary| boundary.trim_matches('"')).filter(|boundary| !boundary.is_empty());
    let boundary = boundary.ok_or_else(|| ServiceError::invalid_header("content-type", content_type))?;
    let text = std::str::from_utf8(&request.body).map_err(|_| invalid("expected text"))?;
    let delimiter = format!("--{boundary}");
    let mut pieces = text.split(delimiter.as_str()).skip(1).peekable();
    let mut parts = Vec::new();
    while let Some(piece) = pieces.next() {
        if pieces.peek().is_none() {
            // What follows the last boundary, which two hyphens mark.
            if !piece.starts_with("--") {
                return Err(invalid("expected the last boundary with `--` behind it"));
            }
            break;
        }
        if parts.len() == PARTS_MAX {
            return Err(invalid(&format!("expected at most {PARTS_MAX} requests")));
        }
        parts.push(part(piece, request)?);
    }
    if parts.is_empty() {
        return Err(invalid("expected a request"));
    }
    Ok(parts)
}

/// A part: its own headers, a blank line, a request's line and headers. The requests of a batch have no bodies.
fn part(piece: &str, batch: &AzureRequest) -> Result<Part, ServiceError> {
    let piece = piece.trim_start_matches(['\r', '\n']);
    let (own, inner) = piece.split_once("\r\n\r\n").ok_or_else(|| invalid("expected a blank line within a part"))?;
    let own = header_map(own)?;
    let id = own.get("content-id").and_then(|id| id.to_str().ok()).unwrap_or("0").to_owned();
    let inner = inner.trim_start_matches(['\r', '\n']);
    let head = inner.split_once("\r\n\r\n").map_or(inner, |(head, _)| head);
    let (line, lines) = head.split_once("\r\n").unwrap_or((head, ""));
    let mut words = line.split(' ');
    let (method, address) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let method = method.parse::<Method>().map_err(|_| invalid("expected the line of a request"))?;
    let path = address.split_once("://").map_or(address, |(_, rest)| rest.find('/').map_or("/", |at| &rest[at..]));
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let headers = header_map(lines)?;
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or(&batch.host).to_owned();
    let request = AzureRequest {
        method,
        path: path.to_owned(),
        query: query.to_owned(),
        headers,
        host,
        scheme: batch.scheme,
        peer: batch.peer,
        body: Bytes::new(),
        request_id: batch.request_id.clone(),
    };
    Target::of(&request)?;
    Ok(Part { id, request })
}

fn header_map(lines: &str) -> Result<HeaderMap, ServiceError> {
    let mut headers = HeaderMap::new();
    for line in lines.split("\r\n").filter(|line| !line.is_empty()) {
        let pair = line.split_once(':');
        let pair = pair.and_then(|(name, value)| {
            Some((name.trim().parse::<HeaderName>().ok()?, HeaderValue::from_str(value.trim()).ok()?))
        });
        let (name, value) = pair.ok_or_else(|| invalid("expected headers as `name: value`"))?;
        headers.append(name, value);
    }
    Ok(headers)
}

fn write(body: &mut BytesMut, boundary: &str, id: &str, answer: &Response<Bytes>) {
    let status = answer.status();
    let reason = status.canonical_reason().unwrap_or_default();
    body.put(format!("--{boundary}\r\nContent-Type: application/http\r\nContent-ID: {id}\r\n\r\n").as_bytes());
    body.put(format!("HTTP/1.1 {} {reason}\r\n", status.as_u16()).as_bytes());
    for (name, value) in answer.headers() {
        body.put(name.as_str().as_bytes());
        body.put(&b": "[..]);
        body.put(value.as_bytes());
        body.put(&b"\r\n"[..]);
    }
    body.put(&b"\r\n"[..]);
    body.put(&answer.body()[..]);
    body.put(&b"\r\n"[..]);
}

fn invalid(reason: &str) -> ServiceError {
    ServiceError::bad_request("InvalidInput", format!("One of the request inputs is not valid: {reason}."))
}
