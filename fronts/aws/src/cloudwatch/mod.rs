//! CloudWatch metrics: the node's own under the services' names, and what clients put in.
//!
//! One input and one answer for the three protocols that SDKs of different age speak: CBOR, JSON and forms. Metrics are
//! kept by the minute over restarts: the node's own for a day, clients' for 15. Metric math, percentiles, dynamic labels,
//! linked accounts and entities are refused by name.

mod document;
mod get_metric_data;
mod get_metric_statistics;
mod input;
mod list_metrics;
mod names;
mod put_metric_data;
mod statistic;
mod token;
mod unit;

use std::sync::Arc;

use bytes::Bytes;
use http::{Response, StatusCode};
use millstream_insight::Insight;
use millstream_types::Clock;
use serde::de::DeserializeOwned;
use serde_json::Value;

use self::document::Document;
use crate::cbor_protocol;
use crate::front::{json_answer, json_error};
use crate::json_protocol::{self, JsonRequest, ServiceError};
use crate::query_protocol::{self, QueryRequest};

/// The service's name in the CBOR protocol, and what stands before the dot of `X-Amz-Target`.
pub(crate) const TARGET: &str = "GraniteServiceVersion20100801";

const NAMESPACE: &str = "http://monitoring.amazonaws.com/doc/2010-08-01/";

/// The service.
pub struct CloudWatch {
    insight: Insight,
    clock: Arc<dyn Clock>,
}

impl CloudWatch {
    /// The service over the node's metrics.
    #[must_use]
    pub fn new(insight: Insight, clock: Arc<dyn Clock>) -> Self {
        Self { insight, clock }
    }

    /// Answers a request of the CBOR protocol.
    pub(crate) async fn cbor(&self, operation: &str, body: &[u8]) -> Response<Bytes> {
        let answer = match cbor_protocol::read(body) {
            Ok(input) => self.call(operation, input).await,
            Err(error) => Err(error),
        };
        match answer {
            Ok(Some(document)) => cbor_protocol::answer(&document.to_cbor()),
            Ok(None) => cbor_protocol::answer(&Document::Structure(Vec::new()).to_cbor()),
            Err(error) => cbor_protocol::error(&error, query_code(&error.code)),
        }
    }

    /// Answers a request of the JSON protocol.
    pub(crate) async fn json(&self, request: &JsonRequest) -> Response<Bytes> {
        let answer = match json_protocol::parse(&request.body) {
            Ok(input) => self.call(&request.operation, input).await,
            Err(error) => Err(error),
        };
        match answer {
            Ok(document) => {
                let body = document.map(|document| document.to_json().to_string()).unwrap_or_default();
                json_answer(StatusCode::OK, "application/x-amz-json-1.0", Bytes::from(body))
            }
            Err(error) => cbor_protocol::with_query_code(json_error(&error), query_code(&error.code)),
        }
    }

    /// Answers a request of the query protocol.
    pub(crate) async fn query(&self, request: &QueryRequest) -> Response<Bytes> {
        match self.call(&request.action, document::of_form(&request.parameters)).await {
            Ok(document) => query_protocol::answer(NAMESPACE, &request.action, &request.request_id, |result| {
                if let Some(document) = document {
                    document.write_xml(result);
                }
            }),
            Err(error) => {
                let error = ServiceError { code: query_code(&error.code).to_owned(), ..error };
                query_protocol::error(NAMESPACE, &error, &request.request_id)
            }
        }
    }

    /// Every operation that there is; `None` for an answer without members.
    async fn call(&self, operation: &str, input: Value) -> Result<Option<Document>, ServiceError> {
        match operation {
            "PutMetricData" => put_metric_data::call(self, read(input)?).await.map(|()| None),
            "GetMetricData" => get_metric_data::call(self, read(input)?).map(Some),
            "GetMetricStatistics" => get_metric_statistics::call(self, read(input)?).map(Some),
            "ListMetrics" => list_metrics::call(self, read(input)?).map(Some),
            other => Err(ServiceError::unknown_operation("CloudWatch", other)),
        }
    }
}

fn read<T: DeserializeOwned>(input: Value) -> Result<T, ServiceError> {
    serde_json::from_value(input).map_err(|error| ServiceError::serialization(&error.to_string()))
}

/// An error's name in the query protocol.
fn query_code(code: &str) -> &str {
    match code {
        "InvalidParameterValueException" => "InvalidParameterValue",
        "MissingRequiredParameterException" => "MissingParameter",
        "InvalidParameterCombinationException" => "InvalidParameterCombination",
        "LimitExceededFault" => "LimitExceeded",
        other => other,
    }
}
