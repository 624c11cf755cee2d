//! Event Hubs on this node: its AMQP listeners, the service behind them, and the connection strings that commands ask for.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use millstream_azure::eventhubs::amqp;
use millstream_azure::eventhubs::{Endpoint, EventHubs};
use millstream_http::tls::Acceptor;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::Engines;
use crate::settings::Settings;

/// Addresses for AMQP that are taken: plain, and under TLS when there is a certificate.
pub struct EventHubsListeners {
    plain: TcpListener,
    tls: Option<(TcpListener, Acceptor)>,
}

impl EventHubsListeners {
    /// Takes the addresses; `tls` takes the connections of the one under TLS.
    pub fn bind(settings: &Settings, tls: Option<Acceptor>) -> anyhow::Result<Self> {
        let plain = listen(settings.eventhubs_listen, "--eventhubs-listen")?;
        let tls = match tls {
            None => None,
            Some(acceptor) => Some((listen(settings.eventhubs_tls_listen, "--eventhubs-tls-listen")?, acceptor)),
        };
        Ok(Self { plain, tls })
    }

    /// The service, which tells clients to come under TLS when they can.
    pub fn service(&self, engines: &Engines, settings: &Settings) -> EventHubs {
        let (listener, tls) = match &self.tls {
            Some((listener, _)) => (listener, true),
            None => (&self.plain, false),
        };
        let port = listener.local_addr().unwrap_or(settings.eventhubs_listen).port();
        EventHubs::new(
            engines.namespaces.clone(),
            engines.streams.clone(),
            engines.producers.clone(),
            engines.insight.clone(),
            Arc::clone(&engines.clock),
            Endpoint { host: settings.public_host(), port, tls },
            engines.management.clone(),
        )
    }

    /// Serves until the node stops.
    pub fn serve(self, service: &EventHubs, stopped: &watch::Receiver<bool>, tasks: &mut JoinSet<()>) {
        tasks.spawn(amqp::serve(service.clone(), self.plain, None, stopped.clone()));
        if let Some((listener, acceptor)) = self.tls {
            tasks.spawn(amqp::serve(service.clone(), listener, Some(acceptor), stopped.clone()));
        }
    }
}

fn listen(address: SocketAddr, flag: &str) -> anyhow::Result<TcpListener> {
    amqp::listen(address).with_context(|| {
        format!("cannot listen on {address}\n  try: end what listens there, or choose another address with {flag}")
    })
}

/// Connection strings, for the command that shows them.
pub fn keys(service: EventHubs) -> Router {
    Router::new()
        .route("/admin/keys/{namespace}", get(namespace_keys))
        .route("/admin/keys/{namespace}/{hub}", get(hub_keys))
        .with_state(service)
}

async fn namespace_keys(State(service): State<EventHubs>, Path(namespace): Path<String>) -> Response {
    shown(&service, &namespace, None)
}

async fn hub_keys(State(service): State<EventHubs>, Path((namespace, hub)): Path<(String, String)>) -> Response {
    shown(&service, &namespace, Some(&hub))
}

fn shown(service: &EventHubs, namespace: &str, hub: Option<&str>) -> Response {
    match service.connection_strings(namespace, hub) {
        Ok(strings) => strings.into_response(),
        Err(error) => (StatusCode::NOT_FOUND, error.to_string()).into_response(),
    }
}
