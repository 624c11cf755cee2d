//! The developer portal on this node: its listener, how its pages call an API, and the link that the command gives an owner.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use bytes::Bytes;
use http::{Request, header};
use hyper::body::Incoming;
use millstream_aws::apigateway::ApiGateway;
use millstream_http::serve::Security;
use millstream_http::share::Share;
use millstream_portal_front::{ApiCall, CallApi, Front, FrontParts, Pages};
use millstream_types::BoxFuture;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::{Engines, bind};
use crate::settings::Settings;

/// The portal's listener; none when it is not asked for.
pub struct PortalListener(Option<TcpListener>);

impl PortalListener {
    pub async fn bind(settings: &Settings) -> anyhow::Result<Self> {
        match settings.portal_listen {
            Some(address) => Ok(Self(Some(bind(address, "--portal-listen").await?))),
            None => Ok(Self(None)),
        }
    }

    /// Serves until the node stops.
    pub fn serve(self, front: &Front, security: Security, stopped: &watch::Receiver<bool>, tasks: &mut JoinSet<()>) {
        let Some(listener) = self.0 else { return };
        let pages = Pages::new(front.clone());
        let answer = move |request: Request<Incoming>| {
            let pages = pages.clone();
            let answer: BoxFuture<'static, _> = Box::pin(async move { pages.answer(request).await });
            answer
        };
        let ended = Box::pin(super::listeners::stop(stopped.clone()));
        tasks.spawn(millstream_http::serve::serve(listener, Share::Portal, security, Arc::new(answer), ended));
    }
}

/// The pages' front over the engines.
pub fn front(engines: &Engines, settings: &Settings) -> Front {
    let endpoint = engines.endpoint.clone();
    let listen = settings.portal_listen.map(|address| address.to_string());
    Front::new(FrontParts {
        portal: engines.portal.clone(),
        call: call(engines),
        api_address: Arc::new(move |api, stage| format!("{endpoint}/restapis/{api}/{stage}/_user_request_")),
        clock: Arc::clone(&engines.clock),
        public_url: settings.portal_url.clone(),
        listen: listen.unwrap_or_else(|| "127.0.0.1:8081".to_owned()),
        secure: settings.require_tls,
        development: settings.dev,
    })
}

/// Calls an API the way that requests from outside take.
fn call(engines: &Engines) -> CallApi {
    let Engines { gateway, calls, plans, authorizer, clock, .. } = engines;
    let apis = Arc::new(ApiGateway::new(gateway.clone(), calls.clone(), plans.clone(), authorizer, Arc::clone(clock)));
    Arc::new(move |call: ApiCall| {
        let apis = Arc::clone(&apis);
        Box::pin(async move {
            let answered = match request(call) {
                Ok(request) => apis.answer(request).await,
                Err(error) => Some(plain(StatusCode::BAD_REQUEST, &error.to_string())),
            };
            answered.unwrap_or_else(|| plain(StatusCode::NOT_FOUND, "there is no such API"))
        })
    })
}

fn request(call: ApiCall) -> Result<Request<Bytes>, http::Error> {
    let query = if call.query.is_empty() { String::new() } else { format!("?{}", call.query) };
    let path = format!("/restapis/{}/{}/_user_request_{}{query}", call.api, call.stage, call.path);
    let mut request = Request::builder().method(call.method.as_str()).uri(path).body(call.body)?;
    *request.headers_mut() = call.headers;
    request.headers_mut().insert(header::HOST, header::HeaderValue::from_static("localhost"));
    request.extensions_mut().insert(SocketAddr::new(call.from, 0));
    Ok(request)
}

fn plain(status: StatusCode, text: &str) -> http::Response<Bytes> {
    let mut response = http::Response::new(Bytes::from(text.to_owned()));
    *response.status_mut() = status;
    response
}

/// The route behind `millstream portal owner`.
pub fn routes(front: Front) -> Router {
    Router::new().route("/admin/portal/owner", post(invite_owner)).with_state(front)
}

/// Makes an owner of an address and gives the link with which the password is chosen.
async fn invite_owner(State(front): State<Front>, email: String) -> Response {
    match front.portal().invite_owner(&email).await {
        Ok(link) => format!("{}/invitation?link={link}\n", front.url()).into_response(),
        Err(error) => (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
    }
}
