//! Kafka on this node: its listeners, and the engines behind them.

use std::sync::Arc;

use millstream_access::Caller;
use millstream_aws::authorize::StreamUse;
use millstream_azure::eventhubs::properties;
use millstream_http::share::Share;
use millstream_http::tls::Acceptor;
use millstream_kafka::{Kafka, KafkaOptions, KafkaParts, listener};
use millstream_namespace::Right;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::listeners::stop;
use super::{Engines, bind};
use crate::settings::Settings;

/// Addresses for Kafka that are taken: plain, and under TLS when there is a certificate.
pub struct KafkaListeners {
    plain: TcpListener,
    tls: Option<(TcpListener, Acceptor)>,
}

impl KafkaListeners {
    /// Takes the addresses; `tls` takes the connections of the one under TLS.
    pub async fn bind(settings: &Settings, tls: Option<Acceptor>) -> anyhow::Result<Self> {
        let plain = bind(settings.kafka_listen, "--kafka-listen").await?;
        let tls = match tls {
            Some(acceptor) => Some((bind(settings.kafka_tls_listen, "--kafka-tls-listen").await?, acceptor)),
            None => None,
        };
        Ok(Self { plain, tls })
    }

    /// Serves until the node stops.
    pub fn serve(
        self,
        engines: &Arc<Engines>,
        settings: &Settings,
        stopped: &watch::Receiver<bool>,
        tasks: &mut JoinSet<()>,
    ) {
        let kafka = service(engines, settings);
        let most = Share::Kafka.connections();
        tasks.spawn(listener::serve(kafka.clone(), self.plain, None, most, stopped.clone()));
        if let Some((listener, acceptor)) = self.tls {
            tasks.spawn(listener::serve(kafka, listener, Some(acceptor), most, stopped.clone()));
        }
        let (groups, stopped) = (engines.groups.clone(), stopped.clone());
        tasks.spawn(async move {
            tokio::select! {
                () = groups.keep_time() => {}
                () = stop(stopped) => {}
            }
        });
    }
}

fn service(engines: &Engines, settings: &Settings) -> Kafka {
    let authorizer = engines.authorizer.clone();
    let permits = move |caller: &Caller, right: Right, stream: &str| {
        let may = |wanted| authorizer.may_use_stream(caller, wanted, stream);
        match right {
            Right::Send => may(StreamUse::Write),
            Right::Listen => may(StreamUse::Read),
            Right::Manage => may(StreamUse::Manage),
            Right::Any => may(StreamUse::Read) || may(StreamUse::Write) || may(StreamUse::Manage),
        }
    };
    Kafka::new(KafkaParts {
        streams: engines.streams.clone(),
        namespaces: engines.namespaces.clone(),
        producers: engines.producers.clone(),
        groups: engines.groups.clone(),
        catalog: engines.catalog.clone(),
        access: engines.access.clone(),
        permits: Arc::new(permits),
        named_values: Arc::new(properties::of_record),
        insight: engines.insight.clone(),
        clock: Arc::clone(&engines.clock),
        options: KafkaOptions { open: settings.dev, create_topics: settings.kafka_create_topics },
    })
}
