//! The list of services: which of them answers a request. One line a service.

use bytes::Bytes;
use http::{Response, StatusCode};

use crate::apigateway::ApiGateway;
use crate::dynamodb::{self, DynamoDb};
use crate::firehose::Firehose;
use crate::front::{json_answer, json_error};
use crate::json_protocol::{JsonRequest, ServiceError};
use crate::kinesis::Kinesis;
use crate::kinesisanalytics::KinesisAnalytics;
use crate::lambda::Lambda;
use crate::logs::CloudWatchLogs;
use crate::marketplace::Marketplace;
use crate::query_protocol::{self, QueryRequest};
use crate::rest_protocol::{self, RestRequest};
use crate::sqs::Sqs;

const JSON_1_1: &str = "application/x-amz-json-1.1";

/// All services of the front.
pub struct Services {
    /// Kinesis Data Streams.
    pub kinesis: Kinesis,
    /// Firehose.
    pub firehose: Firehose,
    /// DynamoDB.
    pub dynamodb: DynamoDb,
    /// Lambda.
    pub lambda: Lambda,
    /// CloudWatch Logs.
    pub logs: CloudWatchLogs,
    /// Kinesis Analytics.
    pub analytics: KinesisAnalytics,
    /// SQS.
    pub sqs: Sqs,
    /// API Gateway.
    pub apigateway: ApiGateway,
    /// Marketplace Metering.
    pub marketplace: Marketplace,
}

impl Services {
    /// Answers a request of a JSON service. `service` is the signature's scope, `prefix` what stands before the dot of
    /// `X-Amz-Target`.
    pub(crate) async fn json(&self, service: &str, prefix: &str, request: &JsonRequest) -> Response<Bytes> {
        let answer = match (service, prefix) {
            ("kinesis", "Kinesis_20131202") => self.kinesis.call(request).await,
            ("firehose", "Firehose_20150804") => self.firehose.call(request).await,
            ("kinesisanalytics", "KinesisAnalytics_20150814") => self.analytics.call(request).await,
            ("logs", "Logs_20140328") => self.logs.call(request),
            ("aws-marketplace", "AWSMPMeteringService") => self.marketplace.call(request).await,
            // Its answers have their own content type and carry a checksum.
            ("dynamodb", "DynamoDB_20120810") => return dynamodb::answer(self.dynamodb.call(request).await),
            // Its errors say themselves twice.
            ("sqs", "AmazonSQS") => return self.sqs.answer(request).await,
            _ => Err(unknown(service, &format!("{prefix}.{}", request.operation))),
        };
        match answer {
            Ok(body) => json_answer(StatusCode::OK, JSON_1_1, body),
            Err(error) => json_error(&error),
        }
    }

    /// Whether a service, by its signature's scope, speaks REST.
    pub(crate) fn is_rest(service: &str) -> bool {
        matches!(service, "lambda" | "apigateway")
    }

    /// Answers a request of a query service.
    pub(crate) async fn query(&self, service: &str, request: QueryRequest) -> Response<Bytes> {
        let error = ServiceError { status: 404, ..ServiceError::unknown_operation(service, &request.action) };
        query_protocol::unserved(&error, &request.request_id)
    }

    /// Answers a request of a REST service.
    pub(crate) async fn rest(&self, service: &str, request: RestRequest) -> Response<Bytes> {
        match service {
            "lambda" => self.lambda.call(&request).await,
            "apigateway" => self.apigateway.call(&request).await,
            _ => {
                let error = unknown(service, &format!("{} {}", request.method, request.path));
                rest_protocol::error(&ServiceError { status: 404, ..error })
            }
        }
    }

    /// Answers what needs no signature: the deployed APIs. `None`: it is no such request.
    pub(crate) async fn public(&self, head: &http::request::Parts, body: &Bytes) -> Option<Response<Bytes>> {
        self.apigateway.public(head, body).await
    }
}

fn unknown(service: &str, operation: &str) -> ServiceError {
    ServiceError::unknown_operation(service, operation)
}
