//! The AWS wire protocols on one port: a folder a service, a file an operation. Decodes, calls an engine, encodes.
//!
//! Read next: [`front`] (how a request finds its service), [`json_protocol`], [`cbor_protocol`],
//! [`query_protocol`] and [`rest_protocol`] (the families), [`sigv4`] (signatures).

pub mod apigateway;
pub mod authorize;
mod batch_ids;
mod cbor_body;
pub mod cbor_protocol;
pub mod cloudwatch;
pub mod destination;
pub mod dynamodb;
pub mod dynamodbstreams;
pub mod firehose;
pub mod front;
pub mod iam;
pub mod json_protocol;
pub mod kinesis;
pub mod kinesisanalytics;
pub mod lambda;
pub mod logs;
pub mod marketplace;
pub mod place;
mod policy_statements;
pub mod query_protocol;
pub mod reach;
pub mod rest_protocol;
pub mod seal;
pub mod services;
pub mod sigv4;
pub mod sns;
pub mod sqs;
pub mod sts;
