//! Deployed APIs on the wire: requests without a signature, and how the engine's refusals read.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode, header, request::Parts};
use millstream_gateway::{ApiRequest, Refusal};
use serde_json::json;

use super::ApiGateway;

/// The headers that tell a request's id: it has no other id besides.
static REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");
static EXTENDED_REQUEST_ID: HeaderName = HeaderName::from_static("x-amz-apigw-id");

/// Where a request to a deployed API leads.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Address {
    api: String,
    stage: String,
    path: String,
}

impl ApiGateway {
    /// Answers a request to a deployed API as the listener does, for callers within the node; `None`: it is none.
    pub async fn answer(&self, request: Request<Bytes>) -> Option<Response<Bytes>> {
        let (head, body) = request.into_parts();
        let address = Self::address(&head)?;
        Some(self.api_call(address, head, body, uuid::Uuid::new_v4().to_string()).await)
    }

    /// Where a request leads when it is to a deployed API: `/restapis/API/STAGE/_user_request_/PATH`,
    /// `/_aws/execute-api/API/STAGE/PATH`, or `/STAGE/PATH` on the host `API.execute-api.…`.
    pub(crate) fn address(head: &Parts) -> Option<Address> {
        address(head)
    }

    /// Answers a request to a deployed API, which has the id given.
    pub(crate) async fn api_call(&self, address: Address, head: Parts, body: Bytes, id: String) -> Response<Bytes> {
        let Address { api, stage, path } = address;
        let request = ApiRequest {
            id,
            domain: domain(&head, &api),
            api,
            stage,
            method: head.method.as_str().to_owned(),
            path,
            query: head.uri.query().unwrap_or_default().to_owned(),
            peer: peer(&head),
            headers: head.headers,
            body,
            account: self.place.account.clone(),
            now: self.clock.now(),
        };
        let called = self.calls.answer(&request).await;
        let mut response = called.result.unwrap_or_else(|refusal| refused(&refusal));
        if let Some(metered) = called.metered {
            let settled = metered.settle(response.status().as_u16(), response.body().len() as u64).await;
            // What is not counted is not answered either.
            response = settled.map_or_else(|error| refused(&Refusal::NotCounted(error.to_string())), |()| response);
        }
        if let Ok(id) = HeaderValue::from_str(&request.id) {
            response.headers_mut().insert(&REQUEST_ID, id.clone());
            response.headers_mut().insert(&EXTENDED_REQUEST_ID, id);
        }
        let milliseconds = u64::try_from(self.clock.now() - request.now).unwrap_or(0);
        self.gateway.answered(&request.api, &request.stage, response.status().as_u16(), milliseconds);
        response
    }
}

/// Who sent a request; the listener tells.
fn peer(head: &Parts) -> IpAddr {
    head.extensions.get::<SocketAddr>().map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), SocketAddr::ip)
}

/// The host that a request was sent to, without its port.
fn domain(head: &Parts, api: &str) -> String {
    let Some(host) = head.headers.get(header::HOST).and_then(|host| host.to_str().ok()) else {
        return format!("{api}.execute-api.localhost");
    };
    // An address of the sixth version has colons of its own, in brackets.
    let port = host.rfind(':').filter(|colon| !host[*colon..].contains(']'));
    host[..port.unwrap_or(host.len())].to_owned()
}

fn address(head: &Parts) -> Option<Address> {
    let at = |api: &str, stage: &str, path: &str| Address {
        api: api.to_owned(),
        stage: stage.to_owned(),
        path: format!("/{path}"),
    };
    let path = head.uri.path();
    if let Some(rest) = path.strip_prefix("/restapis/") {
        let (api, rest) = rest.split_once('/')?;
        let (stage, rest) = rest.split_once('/').unwrap_or((rest, ""));
        let path = rest.strip_prefix("_user_request_")?;
        return Some(at(api, stage, path.strip_prefix('/').unwrap_or(path)));
    }
    if let Some(rest) = path.strip_prefix("/_aws/execute-api/") {
        let (api, rest) = rest.split_once('/')?;
        let (stage, rest) = rest.split_once('/').unwrap_or((rest, ""));
        return Some(at(api, stage, rest));
    }
    let host = head.headers.get(header::HOST)?.to_str().ok()?;
    let (api, rest) = host.split_once('.')?;
    rest.starts_with("execute-api.").then_some(())?;
    let path = path.trim_start_matches('/');
    let (stage, rest) = path.split_once('/').unwrap_or((path, ""));
    Some(at(api, stage, rest))
}

/// A refusal as the service answers it; why an API cannot do what it says is only told to who tries its methods out.
pub(super) fn refused(refusal: &Refusal) -> Response<Bytes> {
    let internal = "InternalServerErrorException";
    let (status, kind, message) = match refusal {
        Refusal::UnknownStage | Refusal::KeyRefused => (403, "ForbiddenException", "Forbidden".to_owned()),
        Refusal::Throttled => (429, "TooManyRequestsException", "Too Many Requests".to_owned()),
        Refusal::QuotaUsedUp => (429, "LimitExceededException", "Limit Exceeded".to_owned()),
        Refusal::UnknownMethod => {
            (403, "MissingAuthenticationTokenException", "Missing Authentication Token".to_owned())
        }
        Refusal::TooLarge => (413, "RequestTooLargeException", "Request Too Long".to_owned()),
        Refusal::MissingParameters(names) => {
            (400, "BadRequestException", format!("Missing required request parameters: [{}]", names.join(", ")))
        }
        Refusal::UnsupportedMediaType => (415, "BadRequestException", "Unsupported Media Type".to_owned()),
        Refusal::BodyNotJson => (400, "BadRequestException", "Could not parse request body into json".to_owned()),
        Refusal::Misconfigured(_) | Refusal::FunctionNotRun(_) | Refusal::NotCounted(_) => {
            (500, internal, "Internal server error".to_owned())
        }
        Refusal::FunctionAnswer => (502, internal, "Internal server error".to_owned()),
        Refusal::Backend(_) => (504, internal, "Network error communicating with endpoint".to_owned()),
        Refusal::TimedOut => (504, internal, "Endpoint request timed out".to_owned()),
    };
    let mut response = Response::new(Bytes::from(json!({ "message": message }).to_string()));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert("x-amzn-errortype", HeaderValue::from_static(kind));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(uri: &str, host: &str) -> Parts {
        Request::builder().uri(uri).header("host", host).body(()).unwrap().into_parts().0
    }

    #[test]
    fn the_domain_is_the_host_without_its_port() {
        for (host, expected) in [
            ("a1.execute-api.localhost:4566", "a1.execute-api.localhost"),
            ("a1.execute-api.localhost", "a1.execute-api.localhost"),
            ("[::1]:4566", "[::1]"),
            ("[::1]", "[::1]"),
        ] {
            assert_eq!(domain(&parts("/", host), "a1"), expected);
        }
        let without_host = Request::new(()).into_parts().0;
        assert_eq!(domain(&without_host, "a1"), "a1.execute-api.localhost");
    }

    #[test]
    fn deployed_apis_have_three_addresses() {
        let of = |uri: &str, host: &str| address(&parts(uri, host));
        let expected = Some(Address { api: "a1".to_owned(), stage: "prod".to_owned(), path: "/orders/7".to_owned() });
        assert_eq!(of("/restapis/a1/prod/_user_request_/orders/7", "x"), expected);
        assert_eq!(of("/_aws/execute-api/a1/prod/orders/7", "x"), expected);
        assert_eq!(of("/prod/orders/7", "a1.execute-api.localhost:4566"), expected);
        assert_eq!(of("/restapis/a1/prod/_user_request_", "x").unwrap().path, "/");
        assert_eq!(of("/restapis/a1/resources", "x"), None);
        assert_eq!(of("/", "localhost:4566"), None);
    }
}
