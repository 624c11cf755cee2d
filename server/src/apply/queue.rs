//! Carrying out what a pipeline file says of queues.

use millstream_catalog::QueueSettings;
use millstream_catalog::pipeline::QueueSpec;
use millstream_queue::{NewQueue, QueueError};

use super::carry_out::Outcome;
use crate::node::Engines;

/// Makes a queue, as yet without its dead-letter queue, which may be made after it.
pub(super) async fn make(engines: &Engines, spec: &QueueSpec) -> anyhow::Result<Outcome> {
    let settings = QueueSettings { redrive: None, ..spec.settings.clone() };
    match engines.queues.create(NewQueue { name: spec.name.clone(), settings, ..NewQueue::default() }).await {
        Ok(_) => Ok(Outcome::Created),
        Err(QueueError::QueueExists { .. }) => Ok(Outcome::Unchanged),
        Err(error) => Err(error.into()),
    }
}

/// Lets a queue treat its messages as described; `made` is what became of it before.
pub(super) async fn settle(engines: &Engines, spec: &QueueSpec, made: Outcome) -> anyhow::Result<Outcome> {
    if engines.queues.get(&spec.name)?.settings == spec.settings {
        return Ok(made);
    }
    let changed = engines.queues.change(&spec.name, |queue| {
        queue.settings.clone_from(&spec.settings);
        Ok::<_, QueueError>(())
    });
    changed.await?;
    Ok(if made == Outcome::Created { made } else { Outcome::Updated })
}
