//! Dead letters and destinations: an end is taken to where its function says; a target that refuses it is told in the
//! function's log.

use std::time::Duration;

use millstream_catalog::{AsyncPolicy, FunctionDefinition, LATEST};
use millstream_types::ErrorKind;

use crate::destination::{Condition, Delivery, DeliveryError, EndedInvocation, Purpose};
use crate::engine::Functions;
use crate::start::log_stream;

/// How often a target is tried that cannot be reached for the moment, and the wait in between.
const ATTEMPTS_MAX: u32 = 3;
const WAIT: Duration = Duration::from_secs(1);

/// Tells an end everywhere its function wants it told.
pub(super) async fn tell(
    functions: &Functions,
    definition: &FunctionDefinition,
    policy: Option<&AsyncPolicy>,
    ended: EndedInvocation,
) {
    for (purpose, target) in targets(definition, policy, ended.condition) {
        let delivery = Delivery { purpose, target: target.to_owned(), ended: ended.clone() };
        if let Err(error) = deliver(functions, delivery).await {
            refused(functions, &ended, purpose, target, &error);
        }
    }
}

fn targets<'d>(
    definition: &'d FunctionDefinition,
    policy: Option<&'d AsyncPolicy>,
    condition: Condition,
) -> Vec<(Purpose, &'d str)> {
    let succeeded = condition == Condition::Success;
    let record = policy.and_then(|policy| if succeeded { &policy.on_success } else { &policy.on_failure }.as_deref());
    let letter = definition.dead_letter_target.as_deref().filter(|_| !succeeded);
    let letter = letter.map(|target| (Purpose::DeadLetter, target));
    letter.into_iter().chain(record.map(|target| (Purpose::Record, target))).collect()
}

async fn deliver(functions: &Functions, delivery: Delivery) -> Result<(), DeliveryError> {
    let Some(destination) = &functions.shared.options.destination else {
        return Err(DeliveryError { kind: ErrorKind::Invalid, message: "this node has no destinations".to_owned() });
    };
    let mut attempt = 1;
    loop {
        match destination.deliver(delivery.clone()).await {
            Err(error)
                if attempt < ATTEMPTS_MAX && matches!(error.kind, ErrorKind::Unavailable | ErrorKind::Throttled) =>
            {
                attempt += 1;
                tokio::time::sleep(WAIT).await;
            }
            ended => return ended,
        }
    }
}

/// A target that is missing or may not be written does not stop anything: the log says why it stays empty.
fn refused(functions: &Functions, ended: &EndedInvocation, purpose: Purpose, target: &str, error: &DeliveryError) {
    let (counter, what) = match purpose {
        Purpose::DeadLetter => ("dead_letter_errors", "dead letter"),
        Purpose::Record => ("destination_delivery_failures", "invocation record"),
    };
    functions.count(counter, &ended.function);
    tracing::warn!(function = ended.function, invocation = ended.id, target, %error, "a {what} was not delivered");
    let line = format!("RequestId: {} The {what} was not delivered to {target}: {error}", ended.id);
    log(functions, &ended.function, line);
}

/// Writes a line into a function's log, where its asynchronous invocations are told of.
pub(super) fn log(functions: &Functions, function: &str, line: String) {
    let now = functions.now();
    let (name, _) = FunctionDefinition::split_reference(function);
    let group = (functions.shared.options.log_group)(name);
    functions.shared.insight.logs.append(&group, &log_stream(now, LATEST, "asynchronous"), [(now, line)]);
}
