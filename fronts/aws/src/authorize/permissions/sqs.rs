//! SQS: queues by URL, name or ARN. Batches need the action of a single message; moving messages needs what taking and sending
//! them does.

use super::{ANY, Member, Need, UNKNOWN};
use crate::place::Place;

/// `queue_of_task` gives the queue whose messages a task moves.
pub(super) fn needs(
    place: &Place,
    operation: &str,
    member: Member<'_>,
    queue_of_task: &dyn Fn(&str) -> Option<String>,
) -> Vec<Need> {
    let action = operation.strip_suffix("Batch").unwrap_or(operation);
    let url = || member("QueueUrl")?.trim_end_matches('/').rsplit('/').next().map(str::to_owned);
    let arn = |queue: String| place.arn("sqs", &queue);
    let resource = match operation {
        "ListQueues" => Some(ANY.to_owned()),
        "CancelMessageMoveTask" => member("TaskHandle").and_then(|handle| queue_of_task(&handle)).map(arn),
        "StartMessageMoveTask" | "ListMessageMoveTasks" => member("SourceArn").map(|arn| place.own_arn(&arn)),
        "CreateQueue" | "GetQueueUrl" => member("QueueName").map(arn),
        _ => url().map(arn),
    };
    let resource = resource.unwrap_or_else(|| UNKNOWN.to_owned());
    let mut needs = vec![Need::new(format!("sqs:{action}"), resource.clone())];
    if operation == "StartMessageMoveTask" {
        let taking = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"];
        needs.extend(taking.map(|action| Need::new(action, resource.clone())));
        // Without a destination each goes back to where it came from, which may be any queue.
        let destination = member("DestinationArn").map_or_else(|| UNKNOWN.to_owned(), |arn| place.own_arn(&arn));
        needs.push(Need::new("sqs:SendMessage", destination));
    }
    needs
}
