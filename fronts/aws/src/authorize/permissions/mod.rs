//! What a call needs: the action that policies name, and the resource that the call is about. One file a service.
//!
//! Most operations need the action of their own name. What a call names is looked at as the service will look at it. An action
//! that is about no resource in particular has `*`; where one should be named and cannot be found the resource is unknown.
//! Source: the service authorization reference, "Actions, resources, and condition keys".

mod apigateway;
mod dynamodb;
mod firehose;
mod iam;
mod kinesis;
mod kinesisanalytics;
mod lambda;
mod logs;
mod members;
mod sns;
mod sqs;

use millstream_access::Caller;
use millstream_access::policy::UNKNOWN;

use super::Authorizer;
use crate::json_protocol::JsonRequest;
use crate::query_protocol::QueryRequest;
use crate::rest_protocol::RestRequest;
use crate::services::Services;
use members::Members;

/// The resource of actions that are about none in particular: listings, for instance.
const ANY: &str = "*";

/// An action on a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Need {
    /// `sqs:SendMessage`
    pub(crate) action: String,
    /// An ARN, `*`, or [`UNKNOWN`].
    pub(crate) resource: String,
    /// Circumstances of this action only.
    pub(crate) circumstances: Vec<(&'static str, String)>,
}

impl Need {
    pub(crate) fn new(action: impl Into<String>, resource: impl Into<String>) -> Self {
        Self { action: action.into(), resource: resource.into(), circumstances: Vec::new() }
    }
}

/// The text of a member of a request by its name, whatever the protocol.
type Member<'a> = &'a dyn Fn(&str) -> Option<String>;

impl Authorizer {
    /// What a call of a JSON service needs.
    pub(crate) fn json_needs(&self, service: &str, request: &JsonRequest, services: &Services) -> Vec<Need> {
        let (place, operation) = (&self.place, request.operation.as_str());
        let members = Members::read(&request.body);
        let member: Member<'_> = &|name| members.text(name);
        let resource = match service {
            "kinesis" => kinesis::resource(place, operation, member, &services.kinesis),
            "firehose" => return firehose::needs(self, operation, &members),
            "dynamodb" => {
                return dynamodb::needs(place, operation, &members, &|text| services.dynamodb_streams.stream_of(text));
            }
            "sqs" => return sqs::needs(place, operation, member, &|handle| services.sqs.queue_of_task(handle)),
            "logs" => logs::resource(place, operation, member),
            "kinesisanalytics" => return kinesisanalytics::needs(self, operation, &members),
            _ => ANY.to_owned(),
        };
        vec![Need::new(format!("{}:{operation}", prefix(service)), resource)]
    }

    /// What a call of a query service needs.
    pub(crate) fn query_needs(
        &self,
        caller: &Caller,
        service: &str,
        request: &QueryRequest,
        services: &Services,
    ) -> Vec<Need> {
        let (place, operation) = (&self.place, request.action.as_str());
        let member: Member<'_> = &|name| request.parameters.get(name).map(str::to_owned);
        match service {
            "sqs" => {
                let queue = || Some(request.path.clone()).filter(|path| path.len() > 1);
                let addressed: Member<'_> = &|name| member(name).or_else(|| (name == "QueueUrl").then(queue).flatten());
                sqs::needs(place, operation, addressed, &|handle| services.sqs.queue_of_task(handle))
            }
            "sns" => vec![sns::need(place, operation, member)],
            "iam" => vec![iam::need(self, caller, operation, member)],
            // Who one is may be asked by everybody; whom a role trusts is the role's affair.
            "sts" => Vec::new(),
            _ => vec![Need::new(format!("{}:{operation}", prefix(service)), ANY)],
        }
    }

    /// What a call of a REST service needs.
    pub(crate) fn rest_needs(&self, service: &str, request: &RestRequest) -> Vec<Need> {
        match service {
            "lambda" => lambda::needs(self, request),
            "apigateway" => apigateway::needs(self, request),
            _ => vec![Need::new(format!("{}:{}", prefix(service), request.method), ANY)],
        }
    }
}

/// A service as actions name it, by its signature's scope.
fn prefix(service: &str) -> &str {
    match service {
        "monitoring" => "cloudwatch",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::place::Place;

    const ARN: &str = "arn:aws:x:us-east-1:000000000000";

    fn place() -> Place {
        Place::new("us-east-1")
    }

    /// A member of a JSON text.
    fn members(text: &str) -> Members {
        Members::read(text.as_bytes())
    }

    fn arn(service: &str, resource: &str) -> String {
        ARN.replace(":x:", &format!(":{service}:")) + ":" + resource
    }

    #[test]
    fn queues_are_found_by_url_and_name_and_batches_need_the_single_action() {
        for (operation, body, action, queue) in [
            ("SendMessage", r#"{"QueueUrl":"http://h:1/000000000000/q"}"#, "sqs:SendMessage", Some("q")),
            ("SendMessageBatch", r#"{"QueueUrl":"http://h:1/000000000000/q"}"#, "sqs:SendMessage", Some("q")),
            ("DeleteMessageBatch", r#"{"QueueUrl":"q"}"#, "sqs:DeleteMessage", Some("q")),
            ("CreateQueue", r#"{"QueueName":"new"}"#, "sqs:CreateQueue", Some("new")),
            ("ListQueues", "{}", "sqs:ListQueues", None),
        ] {
            let members = members(body);
            let found = sqs::needs(&place(), operation, &|name| members.text(name), &|_| None);
            let resource = queue.map_or(ANY.to_owned(), |queue| arn("sqs", queue));
            assert_eq!(found, [Need::new(action, resource)], "{operation}");
        }
    }

    #[test]
    fn tables_are_found_in_batches_and_transactions() {
        let table = |name: &str| arn("dynamodb", &format!("table/{name}"));
        let check = |operation: &str, body: &str, expected: &[(&str, String)]| {
            let expected: Vec<Need> = expected.iter().map(|(action, table)| Need::new(*action, table)).collect();
            assert_eq!(dynamodb::needs(&place(), operation, &members(body), &|_| None), expected, "{operation}");
        };
        check("PutItem", r#"{"TableName":"t","Item":{}}"#, &[("dynamodb:PutItem", table("t"))]);
        check("Query", r#"{"TableName":"t","IndexName":"i"}"#, &[("dynamodb:Query", table("t/index/i"))]);
        check("ListTables", "{}", &[("dynamodb:ListTables", ANY.to_owned())]);
        let batch = r#"{"RequestItems":{"a":[],"b":[]}}"#;
        let both = [("dynamodb:BatchWriteItem", table("a")), ("dynamodb:BatchWriteItem", table("b"))];
        check("BatchWriteItem", batch, &both);
        let transaction = r#"{"TransactItems":[{"Put":{"TableName":"a"}},{"Delete":{"TableName":"b"}}]}"#;
        let parts = [("dynamodb:PutItem", table("a")), ("dynamodb:DeleteItem", table("b"))];
        check("TransactWriteItems", transaction, &parts);
    }

    /// Whatever denies the action of any resource must outweigh then.
    #[test]
    fn resources_that_cannot_be_read_are_unknown() {
        let broken = members(r#"{"RequestItems":5,"TableName":7}"#);
        for operation in ["BatchWriteItem", "TransactWriteItems", "PutItem", "GetRecords", "DescribeStream"] {
            let needs = dynamodb::needs(&place(), operation, &broken, &|_| None);
            assert_eq!(needs, [Need::new(format!("dynamodb:{operation}"), UNKNOWN)]);
        }
        for operation in ["SendMessage", "CancelMessageMoveTask", "CreateQueue"] {
            let needs = sqs::needs(&place(), operation, &|_| None, &|_| None);
            assert_eq!(needs, [Need::new(format!("sqs:{operation}"), UNKNOWN)]);
        }
        assert_eq!(sns::need(&place(), "Publish", &|_| None).resource, UNKNOWN);
        assert_eq!(logs::resource(&place(), "GetLogEvents", &|_| None), UNKNOWN);
        assert_eq!(firehose::resource(&place(), "PutRecord", &broken), UNKNOWN);
        assert_eq!(kinesisanalytics::resource(&place(), "StartApplication", &broken), UNKNOWN);
    }

    #[test]
    fn the_task_that_is_cancelled_names_its_queue() {
        let handle = members(r#"{"TaskHandle":"sealed"}"#);
        let queue_of = |handle: &str| (handle == "sealed").then(|| "dead".to_owned());
        let needs = sqs::needs(&place(), "CancelMessageMoveTask", &|name| handle.text(name), &queue_of);
        assert_eq!(needs, [Need::new("sqs:CancelMessageMoveTask", arn("sqs", "dead"))]);
    }

    #[test]
    fn roles_are_found_however_deep_they_lie() {
        let body = r#"{"RoleARN":"a","Inputs":[{"KinesisStreamsInput":{"RoleARN":"b"}},{"X":{"RoleARN":""}}],"Y":5}"#;
        assert_eq!(members(body).texts_within("RoleARN"), ["a", "b"]);
        assert!(members("[]").texts_within("RoleARN").is_empty());
    }

    /// A member that the operation does not look at must not stand for what it does look at.
    #[test]
    fn other_members_fool_nobody() {
        let sqs = members(r#"{"QueueUrl":"/0/mine","SourceArn":"arn:aws:sqs:r:0:theirs"}"#);
        let needs = sqs::needs(&place(), "StartMessageMoveTask", &|name| sqs.text(name), &|_| None);
        assert_eq!(needs[0].resource, arn("sqs", "theirs"));
        assert_eq!(needs.last(), Some(&Need::new("sqs:SendMessage", UNKNOWN)));
        let item = members(r#"{"TableName":"t","IndexName":"i"}"#);
        let needs = dynamodb::needs(&place(), "GetItem", &item, &|_| None);
        assert_eq!(needs[0].resource, arn("dynamodb", "table/t"));
        let sns = members(r#"{"TopicArn":"arn:aws:sns:r:0:mine","SubscriptionArn":"arn:aws:sns:r:0:theirs:id"}"#);
        assert_eq!(sns::need(&place(), "Unsubscribe", &|name| sns.text(name)).resource, arn("sns", "theirs"));
        let list = members(r#"{"DeliveryStreamName":"mine","ApplicationName":"mine","logGroupName":"mine"}"#);
        assert_eq!(firehose::resource(&place(), "ListDeliveryStreams", &list), ANY);
        assert_eq!(kinesisanalytics::resource(&place(), "ListApplications", &list), ANY);
    }

    #[test]
    fn log_groups_delivery_streams_and_applications() {
        let logs = |operation: &str, body: &str| {
            let members = members(body);
            logs::resource(&place(), operation, &|name| members.text(name))
        };
        let group = r#"{"logGroupName":"/aws/lambda/f","logStreamName":"s"}"#;
        assert_eq!(logs("GetLogEvents", group), arn("logs", "log-group:/aws/lambda/f:log-stream:s"));
        assert_eq!(logs("FilterLogEvents", group), arn("logs", "log-group:/aws/lambda/f:log-stream:"));
        assert_eq!(logs("DescribeLogGroups", "{}"), arn("logs", "log-group::log-stream:"));
        let stream = members(r#"{"DeliveryStreamName":"d"}"#);
        assert_eq!(firehose::resource(&place(), "PutRecord", &stream), arn("firehose", "deliverystream/d"));
        let application = members(r#"{"ApplicationName":"a"}"#);
        let found = kinesisanalytics::resource(&place(), "StartApplication", &application);
        assert_eq!(found, arn("kinesisanalytics", "application/a"));
    }
}
