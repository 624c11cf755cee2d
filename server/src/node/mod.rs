//! A node: engines put together, listeners in front of them, and an orderly end.
//!
//! Read next: [`engines`] (what is plugged into what), [`listeners`] (who can ask).

mod api_keys;
mod console_gate;
mod engines;
mod event_hubs;
mod housekeeping;
mod jobs;
mod kafka;
mod keys;
mod listeners;
mod marketplace;
mod portal;
mod reach;
mod sold_usage;
mod tls;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;
use millstream_http::workers::Workers;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::sync::watch;
use tokio::task::JoinSet;

pub use engines::Engines;

use crate::settings::Settings;

/// A running node.
pub struct Node {
    engines: Arc<Engines>,
    settings: Settings,
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
    /// Where requests are served. What one of them began may go on behind it, so the threads end behind the engines.
    workers: Workers,
    begun: Instant,
}

impl Node {
    /// Opens the data folder, starts all engines and listens.
    ///
    /// # Errors
    /// A data folder in use or damaged, an address in use.
    pub async fn start(settings: Settings) -> anyhow::Result<Self> {
        let begun = Instant::now();
        allow_many_files();
        let listening = listeners::Listeners::bind(&settings).await?;
        let engines = Arc::new(Engines::start(&settings, listening.aws_address()).await?);
        let (stop, stopped) = watch::channel(false);
        let mut tasks = JoinSet::new();
        let workers = Workers::start().context("cannot start threads for connections")?;
        listening.serve((&engines, &settings), workers.clone(), &stopped, &mut tasks)?;
        housekeeping::start(&engines, &stopped, &mut tasks);
        Ok(Self { engines, settings, stop, tasks, workers, begun })
    }

    /// Says that it is ready, in one line that programs can wait for.
    pub fn announce(&self) {
        println!(
            "millstream ready: aws and azure {} event hubs amqp://{} kafka {} console {} data {} ({} ms)",
            self.engines.endpoint,
            self.settings.eventhubs_listen,
            self.settings.kafka_listen,
            self.console_url(),
            self.settings.data.display(),
            self.begun.elapsed().as_millis(),
        );
    }

    /// The engines.
    pub fn engines(&self) -> &Engines {
        &self.engines
    }

    /// The data folder.
    pub fn data(&self) -> &Path {
        &self.settings.data
    }

    /// Where people look.
    pub fn console_url(&self) -> String {
        let scheme = if self.settings.require_tls { "https" } else { "http" };
        format!("{scheme}://{}/", self.settings.console_listen)
    }

    /// The last rows of a query's output, oldest first, as texts.
    pub fn recent_rows(&self, (query, output): (&str, &str)) -> Vec<String> {
        let rows = self.engines.queries.recent_rows(query);
        let of_output = rows.iter().filter(|row| row.output == output);
        of_output.map(|row| String::from_utf8_lossy(&row.data).into_owned()).collect()
    }

    /// Takes no more requests, lets those under way end, and closes the store.
    pub async fn stop(mut self) {
        let _ = self.stop.send(true);
        self.engines.queues.end_waiting();
        while self.tasks.join_next().await.is_some() {}
        self.engines.stop().await;
        drop(self.workers);
        let _ = tokio::fs::remove_file(self.settings.data.join(crate::remote::SOCKET)).await;
    }
}

/// Raises the limit on open files to what the system allows: connections, segments and pipes are files.
fn allow_many_files() {
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }) {
        tracing::warn!(%error, "cannot raise the limit on open files");
    }
}

/// Binds an address, naming it when it cannot be had.
async fn bind(address: SocketAddr, flag: &str) -> anyhow::Result<tokio::net::TcpListener> {
    tokio::net::TcpListener::bind(address).await.with_context(|| {
        format!("cannot listen on {address}\n  try: end what listens there, or choose another address with {flag}")
    })
}
