//! What a node does by the clock: samples, counts of tables and of lost records, their indexes filled, log lines to disk, old records out, idle
//! processes ended, abandoned blocks of objects removed, the marketplace's notices sent.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use millstream_catalog::ShardDefinition;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use super::sold_usage::SoldUsage;
use super::{Engines, marketplace};

const SAMPLE: Duration = Duration::from_secs(1);
const IDLE: Duration = Duration::from_secs(30);
const MARKETPLACE: Duration = Duration::from_secs(10);
const RETENTION: Duration = Duration::from_secs(60);
const SWEEP: Duration = Duration::from_secs(3_600);
/// What failed is not tried again before.
const FAILED: Duration = Duration::from_secs(60);

/// Starts the tasks; they end when the node stops.
pub fn start(engines: &Arc<Engines>, stopped: &watch::Receiver<bool>, tasks: &mut JoinSet<()>) {
    let each = Arc::clone(engines);
    tasks.spawn(every(SAMPLE, stopped.clone(), move || {
        let engines = Arc::clone(&each);
        async move {
            engines.queues.sample();
            engines.insight.metrics.sample();
            if let Err(error) = engines.insight.flush().await {
                tracing::warn!(%error, "log lines and marks cannot be kept");
            }
        }
    }));
    let each = Arc::clone(engines);
    // A count of a large table takes minutes, on purpose.
    tasks.spawn(every_until_cut_off(SAMPLE, stopped.clone(), move || {
        let engines = Arc::clone(&each);
        async move {
            if let Err(error) = engines.tables.count_sizes().await {
                tracing::warn!(%error, "tables cannot be counted");
            }
        }
    }));
    let each = Arc::clone(engines);
    tasks.spawn(every_until_cut_off(SAMPLE, stopped.clone(), move || {
        let engines = Arc::clone(&each);
        async move {
            if let Err(error) = engines.tables.settle_indexes().await {
                tracing::warn!(%error, "indexes of tables are neither filled nor removed");
                tokio::time::sleep(FAILED).await;
            }
        }
    }));
    let each = Arc::clone(engines);
    tasks.spawn(every_until_cut_off(SWEEP, stopped.clone(), move || {
        let engines = Arc::clone(&each);
        async move {
            if let Err(error) = engines.documents.remove_stale_claims().await {
                tracing::warn!(%error, "claims of unique keys that bind nobody cannot be removed");
            }
        }
    }));
    let (each, told) = (Arc::clone(engines), Mutex::default());
    tasks.spawn(every(IDLE, stopped.clone(), move || {
        each.functions.end_idle();
        tell_lost(&each, &told);
        std::future::ready(())
    }));
    let each = Arc::clone(engines);
    let sold = Arc::new(SoldUsage::default());
    tasks.spawn(every(MARKETPLACE, stopped.clone(), move || {
        let (engines, sold) = (Arc::clone(&each), Arc::clone(&sold));
        async move {
            if let Err(error) = marketplace::tick(&engines, &sold).await {
                tracing::warn!(%error, "the marketplace's notices and usage wait");
            }
        }
    }));
    let each = Arc::clone(engines);
    tasks.spawn(every(RETENTION, stopped.clone(), move || {
        let engines = Arc::clone(&each);
        async move {
            if let Err(error) = engines.streams.enforce_retention().await {
                tracing::warn!(%error, "old records cannot be let go");
            }
            if let Err(error) = engines.tables.remove_expired().await {
                tracing::warn!(%error, "items whose time is over cannot be removed");
            }
            if let Err(error) = engines.documents.remove_expired().await {
                tracing::warn!(%error, "documents whose time is over cannot be removed");
            }
            if let Err(error) = engines.events.remove_expired().await {
                tracing::warn!(%error, "event subscriptions whose time is over cannot be removed");
            }
            if let Err(error) = engines.queues.enforce_retention().await {
                tracing::warn!(%error, "expired messages cannot be removed");
            }
        }
    }));
    let each = Arc::clone(engines);
    tasks.spawn(every(SWEEP, stopped.clone(), move || {
        let engines = Arc::clone(&each);
        async move {
            if let Err(error) = engines.objects.sweep().await {
                tracing::warn!(%error, "abandoned blocks of objects cannot be removed");
            }
            if let Err(error) = engines.plans.sweep().await {
                tracing::warn!(%error, "old counts of usage cannot be removed");
            }
            let streams = engines.streams.clone();
            let logs =
                move || streams.list().iter().flat_map(|stream| &stream.shards).map(ShardDefinition::log).collect();
            if let Err(error) = engines.groups.forget_logs(logs).await {
                tracing::warn!(%error, "offsets of streams that are gone cannot be forgotten");
            }
            if let Err(error) = engines.managed.sweep().await {
                tracing::warn!(%error, "counters of quotas that are over cannot be removed");
            }
        }
    }));
}

/// Sets the gauge of lost records; of streams that had some and have none any more, too.
fn tell_lost(engines: &Engines, told: &Mutex<BTreeSet<String>>) {
    let lost = engines.streams.lost_records();
    let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
    told.extend(lost.keys().cloned());
    for stream in &*told {
        let records = lost.get(stream).copied().unwrap_or(0);
        engines.insight.metrics.gauge("records_lost", &format!("stream/{stream}")).set(records.cast_signed());
    }
    told.retain(|stream| lost.contains_key(stream));
}

/// For work that may take long, and that a stop cuts off: the next start takes it up.
async fn every_until_cut_off<F: Future<Output = ()>>(
    period: Duration,
    mut stopped: watch::Receiver<bool>,
    work: impl Fn() -> F,
) {
    let going_on = every(period, stopped.clone(), work);
    tokio::select! {
        () = going_on => {}
        _ = stopped.changed() => {}
    }
}

async fn every<F: Future<Output = ()>>(period: Duration, mut stopped: watch::Receiver<bool>, work: impl Fn() -> F) {
    let mut tick = interval(period);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = tick.tick() => work().await,
            _ = stopped.changed() => return,
        }
    }
}
