//! The list of services: which of them answers a request. One line a service.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use millstream_http::serve::LiveBody;

use crate::apigateway::ApiGateway;
use crate::authorize::denied;
use crate::cbor_protocol;
use crate::cloudwatch::{self, CloudWatch};
use crate::dynamodb::{self, DynamoDb};
use crate::dynamodbstreams::DynamoDbStreams;
use crate::firehose::Firehose;
use crate::front::{json_answer, json_error, target};
use crate::iam::Iam;
use crate::json_protocol::{JsonRequest, ServiceError};
use crate::kinesis::Kinesis;
use crate::kinesisanalytics::KinesisAnalytics;
use crate::lambda::Lambda;
use crate::logs::CloudWatchLogs;
use crate::marketplace::Marketplace;
use crate::query_protocol::{self, QueryRequest};
use crate::rest_protocol::{self, RestRequest};
use crate::sns::Sns;
use crate::sqs::{self, Sqs};
use crate::sts::Sts;

const JSON_1_1: &str = "application/x-amz-json-1.1";
const EVENT_STREAM: &str = "application/vnd.amazon.eventstream";

/// All services of the front.
pub struct Services {
    /// Kinesis Data Streams.
    pub kinesis: Kinesis,
    /// Firehose.
    pub firehose: Firehose,
    /// DynamoDB.
    pub dynamodb: DynamoDb,
    /// DynamoDB Streams.
    pub dynamodb_streams: DynamoDbStreams,
    /// Lambda.
    pub lambda: Lambda,
    /// CloudWatch Logs.
    pub logs: CloudWatchLogs,
    /// Kinesis Analytics.
    pub analytics: KinesisAnalytics,
    /// CloudWatch metrics.
    pub cloudwatch: CloudWatch,
    /// SNS.
    pub sns: Sns,
    /// SQS.
    pub sqs: Sqs,
    /// IAM.
    pub iam: Iam,
    /// STS.
    pub sts: Sts,
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
            ("kinesisanalytics", "KinesisAnalytics_20180523") => self.analytics.call_v2(request).await,
            ("logs", "Logs_20140328") => self.logs.call(request).await,
            ("aws-marketplace", "AWSMPMeteringService") => self.marketplace.call(request).await,
            // Its answers have their own content type and carry a checksum.
            ("dynamodb", "DynamoDB_20120810") => return dynamodb::answer(self.dynamodb.call(request).await),
            ("monitoring", cloudwatch::TARGET) => return self.cloudwatch.json(request).await,
            ("dynamodb", "DynamoDBStreams_20120810") => {
                return dynamodb::answer(self.dynamodb_streams.call(request).await);
            }
            // Its errors say themselves twice.
            ("sqs", "AmazonSQS") => return self.sqs.answer(request).await,
            _ => Err(unknown(service, &format!("{prefix}.{}", request.operation))),
        };
        match answer {
            Ok(body) => json_answer(StatusCode::OK, JSON_1_1, body),
            Err(error) => json_error(&error),
        }
    }

    /// Whether a request is one whose answer comes by and by.
    pub(crate) fn is_subscription(service: &str, headers: &HeaderMap) -> bool {
        service == "kinesis" && target(headers) == "Kinesis_20131202.SubscribeToShard"
    }

    /// Answers such a request; in CBOR or in JSON.
    ///
    /// # Errors
    /// The service's own, before anything came.
    pub(crate) async fn subscribe(
        &self,
        request: &JsonRequest,
        cbor: bool,
    ) -> Result<Response<LiveBody>, ServiceError> {
        let mut response = Response::new(self.kinesis.subscribe(request, cbor).await?);
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(EVENT_STREAM));
        Ok(response)
    }

    /// Answers a request of a CBOR service.
    pub(crate) async fn cbor(&self, service: &str, operation: &str, body: &[u8]) -> Response<Bytes> {
        if service == cloudwatch::TARGET {
            return self.cloudwatch.cbor(operation, body).await;
        }
        let error = ServiceError { status: 404, ..ServiceError::unknown_operation(service, operation) };
        cbor_protocol::error(&error, &error.code)
    }

    /// Whether a service, by its signature's scope, speaks REST.
    pub(crate) fn is_rest(service: &str) -> bool {
        matches!(service, "lambda" | "apigateway")
    }

    /// Answers a request of a query service.
    pub(crate) async fn query(&self, service: &str, request: QueryRequest) -> Response<Bytes> {
        match service {
            "monitoring" => self.cloudwatch.query(&request).await,
            "iam" => self.iam.call(&request).await,
            "sts" => self.sts.call(&request),
            "sns" => self.sns.answer(&request).await,
            "sqs" => self.sqs.answer_query(&request).await,
            _ => {
                let error = ServiceError { status: 404, ..ServiceError::unknown_operation(service, &request.action) };
                query_protocol::unserved(&error, &request.request_id)
            }
        }
    }

    /// What a JSON service answers a caller who may not.
    pub(crate) fn json_denied(service: &str, message: String) -> Response<Bytes> {
        let error = denied(message);
        match service {
            "dynamodb" => dynamodb::answer(Err(error)),
            "sqs" => sqs::refusal(&ServiceError { status: 403, ..error }),
            _ => json_error(&error),
        }
    }

    /// What a query service answers a caller who may not.
    pub(crate) fn query_denied(service: &str, message: String, request_id: &str) -> Response<Bytes> {
        let code = if service == "sns" { "AuthorizationError" } else { "AccessDenied" };
        query_protocol::unserved(&ServiceError { status: 403, ..ServiceError::new(code, message) }, request_id)
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

    /// Answers what needs no signature: packages of functions, and what subscribers of topics call; `None`: it is no such request.
    pub(crate) async fn public(&self, head: &http::request::Parts) -> Option<Response<Bytes>> {
        match self.sns.public(head).await {
            Some(answer) => Some(answer),
            None => self.lambda.public(head).await,
        }
    }
}

fn unknown(service: &str, operation: &str) -> ServiceError {
    ServiceError::unknown_operation(service, operation)
}
