//! The AWS wire protocols on one port: a folder a service, a file an operation. Decodes, calls an engine, encodes.
//!
//! Read next: [`front`] (how a request finds its service), [`json_protocol`], [`query_protocol`] and [`rest_protocol`] (the
//! families), [`sigv4`] (signatures).

pub mod apigateway;
pub mod dynamodb;
pub mod firehose;
pub mod front;
pub mod json_protocol;
pub mod kinesis;
pub mod kinesisanalytics;
pub mod lambda;
pub mod logs;
pub mod marketplace;
pub mod place;
pub mod query_protocol;
pub mod rest_protocol;
pub mod services;
pub mod sigv4;
pub mod sqs;
