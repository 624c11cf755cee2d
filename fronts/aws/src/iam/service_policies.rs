//! The policies that the services bring along, so that what tutorials attach is there.
//!
//! A table: a policy's name, its path, and the actions that it grants on all resources. Actions of services that this node
//! does not have are left out.

use millstream_access::ServicePolicy;
use serde_json::json;

/// For policies that functions and services take on.
const SERVICE_ROLE: &str = "/service-role/";
const ROOT: &str = "/";

/// What every function's role needs for its log.
const WRITE_LOGS: [&str; 3] = ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"];

/// Actions of all services that look and change nothing.
const READ: [&str; 38] = [
    "apigateway:GET",
    "cloudwatch:Describe*",
    "cloudwatch:Get*",
    "cloudwatch:List*",
    "dynamodb:BatchGet*",
    "dynamodb:Describe*",
    "dynamodb:Get*",
    "dynamodb:List*",
    "dynamodb:Query",
    "dynamodb:Scan",
    "firehose:Describe*",
    "firehose:List*",
    "iam:Get*",
    "iam:List*",
    "iam:Simulate*",
    "kinesis:Describe*",
    "kinesis:Get*",
    "kinesis:List*",
    "kinesisanalytics:Describe*",
    "kinesisanalytics:Discover*",
    "kinesisanalytics:Get*",
    "kinesisanalytics:List*",
    "lambda:Get*",
    "lambda:List*",
    "logs:Describe*",
    "logs:Filter*",
    "logs:Get*",
    "logs:List*",
    "logs:StartQuery",
    "logs:StopQuery",
    "sns:Check*",
    "sns:Get*",
    "sns:List*",
    "sqs:Get*",
    "sqs:List*",
    "sqs:Receive*",
    "sts:GetAccessKeyInfo",
    "sts:GetCallerIdentity",
];

const READ_STREAM: [&str; 7] = [
    "kinesis:DescribeStream",
    "kinesis:DescribeStreamSummary",
    "kinesis:GetRecords",
    "kinesis:GetShardIterator",
    "kinesis:ListShards",
    "kinesis:ListStreams",
    "kinesis:SubscribeToShard",
];

const READ_CHANGES: [&str; 4] =
    ["dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator", "dynamodb:ListStreams"];

const TAKE_MESSAGES: [&str; 3] = ["sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"];

/// All of them.
#[must_use]
pub fn service_policies() -> Vec<ServicePolicy> {
    let with_logs = |actions: &[&'static str]| [actions, &WRITE_LOGS].concat();
    let policies: Vec<(&str, &str, Vec<&str>)> = vec![
        ("AWSLambdaBasicExecutionRole", SERVICE_ROLE, WRITE_LOGS.to_vec()),
        ("AWSLambdaKinesisExecutionRole", SERVICE_ROLE, with_logs(&READ_STREAM)),
        ("AWSLambdaDynamoDBExecutionRole", SERVICE_ROLE, with_logs(&READ_CHANGES)),
        ("AWSLambdaSQSQueueExecutionRole", SERVICE_ROLE, with_logs(&TAKE_MESSAGES)),
        ("AWSLambdaRole", SERVICE_ROLE, vec!["lambda:InvokeFunction"]),
        ("AWSLambdaInvocation-DynamoDB", ROOT, [&READ_CHANGES[..], &["lambda:InvokeFunction"]].concat()),
        (
            "AWSLambda_FullAccess",
            ROOT,
            with_logs(&["lambda:*", "iam:GetRole", "iam:ListRoles", "iam:PassRole", "logs:*"]),
        ),
        (
            "AWSLambda_ReadOnlyAccess",
            ROOT,
            vec!["lambda:Get*", "lambda:List*", "logs:Describe*", "logs:FilterLogEvents"],
        ),
        ("AmazonDynamoDBFullAccess", ROOT, vec!["dynamodb:*", "lambda:*EventSourceMapping*", "lambda:ListFunctions"]),
        ("AmazonDynamoDBReadOnlyAccess", ROOT, read("dynamodb:")),
        ("AmazonKinesisFullAccess", ROOT, vec!["kinesis:*"]),
        ("AmazonKinesisReadOnlyAccess", ROOT, read("kinesis:")),
        ("AmazonKinesisFirehoseFullAccess", ROOT, vec!["firehose:*"]),
        ("AmazonKinesisFirehoseReadOnlyAccess", ROOT, read("firehose:")),
        (
            "AmazonKinesisAnalyticsFullAccess",
            ROOT,
            vec!["kinesisanalytics:*", "kinesis:*", "firehose:*", "iam:PassRole"],
        ),
        ("AmazonKinesisAnalyticsReadOnly", ROOT, read("kinesisanalytics:")),
        ("AmazonSQSFullAccess", ROOT, vec!["sqs:*"]),
        ("AmazonSQSReadOnlyAccess", ROOT, vec!["sqs:GetQueueAttributes", "sqs:GetQueueUrl", "sqs:List*"]),
        ("AmazonSNSFullAccess", ROOT, vec!["sns:*"]),
        ("AmazonSNSReadOnlyAccess", ROOT, read("sns:")),
        ("AmazonSNSRole", SERVICE_ROLE, WRITE_LOGS.to_vec()),
        ("CloudWatchLogsFullAccess", ROOT, vec!["logs:*"]),
        ("CloudWatchLogsReadOnlyAccess", ROOT, read("logs:")),
        ("CloudWatchFullAccess", ROOT, vec!["cloudwatch:*", "logs:*", "sns:*"]),
        ("CloudWatchReadOnlyAccess", ROOT, [read("cloudwatch:"), read("logs:")].concat()),
        ("AmazonAPIGatewayAdministrator", ROOT, vec!["apigateway:*"]),
        ("AmazonAPIGatewayInvokeFullAccess", ROOT, vec!["execute-api:Invoke", "execute-api:ManageConnections"]),
        ("AmazonAPIGatewayPushToCloudWatchLogs", SERVICE_ROLE, [&WRITE_LOGS[..], &["logs:Describe*"]].concat()),
        ("AmazonS3FullAccess", ROOT, vec!["s3:*"]),
        ("AmazonS3ReadOnlyAccess", ROOT, vec!["s3:Get*", "s3:List*"]),
        (
            "AWSMarketplaceMeteringFullAccess",
            ROOT,
            vec!["aws-marketplace:MeterUsage", "aws-marketplace:BatchMeterUsage"],
        ),
        ("IAMFullAccess", ROOT, vec!["iam:*"]),
        ("IAMReadOnlyAccess", ROOT, read("iam:")),
        ("AdministratorAccess", ROOT, vec!["*"]),
        ("ReadOnlyAccess", ROOT, READ.to_vec()),
    ];
    let mut policies: Vec<ServicePolicy> = policies
        .into_iter()
        .map(|(name, path, actions)| {
            policy(name, path, &json!({ "Effect": "Allow", "Action": actions, "Resource": "*" }))
        })
        .collect();
    let powerful = json!({ "Effect": "Allow", "NotAction": ["iam:*"], "Resource": "*" });
    policies.push(policy("PowerUserAccess", ROOT, &powerful));
    policies.sort_by(|one, other| one.name.cmp(&other.name));
    policies
}

/// The actions of one service that look and change nothing.
fn read(service: &str) -> Vec<&'static str> {
    READ.into_iter().filter(|action| action.starts_with(service)).collect()
}

fn policy(name: &str, path: &str, statement: &serde_json::Value) -> ServicePolicy {
    let document = json!({ "Version": "2012-10-17", "Statement": [statement] }).to_string();
    ServicePolicy { name: name.to_owned(), path: path.to_owned(), document }
}

#[cfg(test)]
mod tests {
    use millstream_access::policy::{Policy, Use};

    use super::*;

    #[test]
    fn all_of_them_can_be_read() {
        for ServicePolicy { name, document, .. } in service_policies() {
            assert!(Policy::parse(&document, Use::Identity).is_ok(), "{name}");
        }
    }
}
