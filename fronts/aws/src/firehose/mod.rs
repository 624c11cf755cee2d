//! Firehose over the delivery engine. Source: the Amazon Data Firehose API reference (2015-08-04).

mod create_delivery_stream;
mod describe_delivery_stream;
mod destination;
mod put;
mod tags;
mod update_destination;

use bytes::Bytes;
use millstream_catalog::DeliverySource;
use millstream_delivery::{Deliveries, DeliveryError};
use millstream_insight::Insight;
use millstream_storage::StorageError;
use millstream_stream::StreamError;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::authorize::{Authorizer, Service, ServiceRoles};
use crate::json_protocol::{Constraints, JsonRequest, ServiceError};
use crate::place::Place;

/// Names of a page of a listing unless told otherwise.
const LIST_DEFAULT: usize = 10;
/// What records may come from.
const SOURCE_TYPES: [&str; 4] = ["DirectPut", "KinesisStreamAsSource", "MSKAsSource", "DatabaseAsSource"];

/// The service.
pub struct Firehose {
    deliveries: Deliveries,
    insight: Insight,
    roles: ServiceRoles,
    place: Place,
}

/// The one member of many operations.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct NameInput {
    delivery_stream_name: Option<String>,
}

impl Firehose {
    /// The service over the delivery engine.
    #[must_use]
    pub fn new(deliveries: Deliveries, insight: Insight, authorizer: &Authorizer) -> Self {
        let roles = ServiceRoles::new(authorizer.clone(), Service::Firehose);
        Self { deliveries, insight, roles, place: authorizer.place.clone() }
    }

    /// A role that a delivery stream is to have must trust the service.
    fn check_role(&self, role: &str, name: &str) -> Result<(), ServiceError> {
        if self.roles.may_have(role, name) {
            return Ok(());
        }
        Err(invalid(format!("Firehose is unable to assume role {role}. Please check the role provided.")))
    }

    /// Answers a request: every operation that there is.
    pub(crate) async fn call(&self, request: &JsonRequest) -> Result<Bytes, ServiceError> {
        let document = match request.operation.as_str() {
            "PutRecord" => put::record(self, request).await?,
            "PutRecordBatch" => put::batch(self, request).await?,
            "CreateDeliveryStream" => create_delivery_stream::call(self, request).await?,
            "DescribeDeliveryStream" => describe_delivery_stream::call(self, request)?,
            "ListDeliveryStreams" => self.list(request)?,
            "UpdateDestination" => update_destination::call(self, request).await?,
            "DeleteDeliveryStream" => self.delete(request).await?,
            "TagDeliveryStream" => tags::add(self, request).await?,
            "UntagDeliveryStream" => tags::remove(self, request).await?,
            "ListTagsForDeliveryStream" => tags::list(self, request)?,
            other => return Err(ServiceError::unknown_operation("Firehose", other)),
        };
        Ok(Bytes::from(document.to_string()))
    }

    fn list(&self, request: &JsonRequest) -> Result<Value, ServiceError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Input {
            limit: Option<i64>,
            delivery_stream_type: Option<String>,
            exclusive_start_delivery_stream_name: Option<String>,
        }
        let input: Input = request.input()?;
        let (kind, after) = (input.delivery_stream_type, input.exclusive_start_delivery_stream_name);
        Constraints::new()
            .range("limit", input.limit, 1, 10_000)
            .one_of("deliveryStreamType", kind.as_deref(), &SOURCE_TYPES)
            .length("exclusiveStartDeliveryStreamName", after.as_deref(), 1, 64)
            .finish()?;
        let limit = input.limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(LIST_DEFAULT);
        let mut streams = self.deliveries.list();
        streams.retain(|stream| {
            after.as_ref().is_none_or(|after| stream.name > *after)
                && kind.as_ref().is_none_or(|kind| kind == source_type(&stream.source))
        });
        let mut names: Vec<&str> = streams.iter().map(|stream| stream.name.as_str()).collect();
        let more = names.len() > limit;
        names.truncate(limit);
        Ok(json!({ "DeliveryStreamNames": names, "HasMoreDeliveryStreams": more }))
    }

    async fn delete(&self, request: &JsonRequest) -> Result<Value, ServiceError> {
        let name = required_name(request)?;
        self.deliveries.delete(&name).await.map_err(|error| self.error(&error))?;
        Ok(json!({}))
    }

    fn arn(&self, name: &str) -> String {
        self.place.arn("firehose", &format!("deliverystream/{name}"))
    }

    /// From the engine's facts to the service's errors.
    fn error(&self, error: &DeliveryError) -> ServiceError {
        let account = &self.place.account;
        match error {
            DeliveryError::NotFound { name } => ServiceError::new(
                "ResourceNotFoundException",
                format!("Firehose {name} under account {account} not found."),
            ),
            DeliveryError::Exists { name } => ServiceError::new(
                "ResourceInUseException",
                format!("Firehose {name} under accountId {account} already exists"),
            ),
            DeliveryError::ReadsStream { name, .. } => invalid(format!(
                "This operation is not permitted on KinesisStreamAsSource delivery stream type: {name}"
            )),
            DeliveryError::Changed { .. } => ServiceError::new(
                "ConcurrentModificationException",
                "Another modification has already been performed. Fetch VersionId again and use it to update the destination.",
            ),
            DeliveryError::TooManyTags { .. } => ServiceError::new("LimitExceededException", error.to_string()),
            DeliveryError::BadBucket { .. }
            | DeliveryError::BadNaming { .. }
            | DeliveryError::Stream(StreamError::StreamNotFound { .. }) => invalid(error.to_string()),
            DeliveryError::Stream(StreamError::Storage(StorageError::Overloaded { .. } | StorageError::DiskFull)) => {
                ServiceError { status: 503, ..ServiceError::new("ServiceUnavailableException", "Slow down.") }
            }
            DeliveryError::Object { .. }
            | DeliveryError::NotAllowed { .. }
            | DeliveryError::Stream(_)
            | DeliveryError::Catalog(_)
            | DeliveryError::Storage(_) => ServiceError::internal("InternalFailure", error.to_string()),
        }
    }
}

/// A source as `DeliveryStreamType` names it.
fn source_type(source: &DeliverySource) -> &'static str {
    match source {
        DeliverySource::DirectPut => "DirectPut",
        DeliverySource::Stream { .. } => "KinesisStreamAsSource",
    }
}

fn invalid(message: String) -> ServiceError {
    ServiceError::new("InvalidArgumentException", message)
}

/// The error for a feature of the service that this node does not have.
fn unsupported(feature: &str) -> ServiceError {
    invalid(format!("{feature} is not supported by this node"))
}

fn required_name(request: &JsonRequest) -> Result<String, ServiceError> {
    let input: NameInput = request.input()?;
    check_name(input.delivery_stream_name.as_deref())?;
    Ok(input.delivery_stream_name.unwrap_or_default())
}

fn check_name(name: Option<&str>) -> Result<(), ServiceError> {
    let allowed = |char: char| char.is_ascii_alphanumeric() || matches!(char, '_' | '.' | '-');
    Constraints::new()
        .required("deliveryStreamName", name.as_ref())
        .length("deliveryStreamName", name, 1, 64)
        .characters("deliveryStreamName", name, allowed, "[a-zA-Z0-9_.-]+")
        .finish()
}
