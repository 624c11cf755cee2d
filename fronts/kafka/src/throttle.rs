//! How a namespace's throughput units hold Kafka clients back: nothing is refused. An answer says how long its client shall
//! wait; to one that does not wait, later answers come late.

use std::sync::Arc;
use std::time::Duration;

use millstream_namespace::Meter;

use crate::service::Kafka;

/// The longest that an answer is late, or that its client is told to wait: far within the times after which clients give up.
const WAIT_MAX: Duration = Duration::from_secs(15);

/// What records that came in have to wait for.
pub struct Throttle {
    /// How long their answer waits.
    owed: Duration,
    /// How long their client is told to wait afterwards, milliseconds.
    pub told_ms: i32,
}

impl Throttle {
    /// Waits as long as the answer has to.
    pub async fn wait(&self) {
        sleep(self.owed).await;
    }
}

/// Counts records for streams of a namespace that came in.
pub fn came_in(kafka: &Kafka, namespace: &str, streams: &[&str], records: u64, bytes: u64) -> Throttle {
    let Some(meter) = meter(kafka, namespace) else { return Throttle { owed: Duration::ZERO, told_ms: 0 } };
    let owed = meter.in_opens_in();
    meter.put_in(records, bytes);
    let told = meter.in_opens_in();
    if told > 0 {
        for stream in streams {
            kafka.insight.metrics.counter("throttled", &format!("stream/{stream}")).add(1);
        }
        kafka.namespaces.inflate_later(namespace);
    }
    Throttle { owed: Duration::from_millis(owed), told_ms: wire(told) }
}

/// Waits until records of a namespace may go out.
pub async fn may_go_out(kafka: &Kafka, namespace: &str) {
    let opens_in = meter(kafka, namespace).map_or(0, |meter| meter.out_opens_in());
    sleep(Duration::from_millis(opens_in)).await;
}

/// Counts records of a namespace that go out; gives how long their client is told to wait, milliseconds.
pub fn went_out(kafka: &Kafka, namespace: &str, records: u64, bytes: u64) -> i32 {
    let Some(meter) = meter(kafka, namespace).filter(|_| records > 0) else { return 0 };
    meter.take_out(records, bytes);
    wire(meter.out_opens_in())
}

async fn sleep(time: Duration) {
    // The timer rounds up, so nothing would be a millisecond.
    if !time.is_zero() {
        tokio::time::sleep(time.min(WAIT_MAX)).await;
    }
}

/// A namespace that was removed meanwhile has no limit any more.
fn meter(kafka: &Kafka, namespace: &str) -> Option<Arc<Meter>> {
    kafka.namespaces.meter(namespace).ok()
}

fn wire(milliseconds: u64) -> i32 {
    i32::try_from(milliseconds.min(WAIT_MAX.as_millis() as u64)).unwrap_or(i32::MAX)
}
