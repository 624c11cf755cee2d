//! `List Containers`, `Get` and `Set Blob Service Properties`, `Get Account Information`

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE as MARKER;
use bytes::Bytes;
use http::{Response, StatusCode};
use millstream_object::Bucket;
use millstream_types::Millis;

use super::headers::{self, LeaseWords, is_identifier};
use super::{Blob, Call};
use crate::storage::error::ServiceError;
use crate::storage::xml;
use crate::time;

/// Settings of a document of service properties.
const SETTINGS_MAX: usize = 200;

/// Names of one page, as the service has it.
const RESULTS_MAX: usize = 5_000;

/// What pages of all lists are asked by.
pub(super) struct Paging {
    pub(super) prefix: String,
    /// The name behind which the page begins; empty for the first.
    pub(super) after: String,
    /// The marker as it was sent.
    pub(super) marker: String,
    pub(super) limit: usize,
    /// The limit as it was sent.
    pub(super) max_results: Option<String>,
}

impl Paging {
    pub(super) fn of(call: &Call) -> Result<Self, ServiceError> {
        let text = |name: &str| call.target.parameter(name).unwrap_or_default().to_owned();
        let (marker, max_results) = (text("marker"), call.target.parameter("maxresults").map(str::to_owned));
        let limit = match &max_results {
            None => RESULTS_MAX,
            Some(text) => match text.parse::<usize>() {
                Ok(0) => return Err(ServiceError::bad_request("OutOfRangeQueryParameterValue", OUT_OF_RANGE)),
                Ok(limit) => limit.min(RESULTS_MAX),
                Err(_) => return Err(ServiceError::invalid_parameter("maxresults", text)),
            },
        };
        let after = MARKER.decode(&marker).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let after = after.ok_or_else(|| ServiceError::invalid_parameter("marker", &marker))?;
        Ok(Self { prefix: text("prefix"), after, marker, limit, max_results })
    }

    /// The elements that lists begin with.
    pub(super) fn write(&self, root: &mut xml::Element) {
        root.text("Prefix", &self.prefix);
        root.text("Marker", &self.marker);
        root.optional("MaxResults", self.max_results.as_deref());
    }
}

const OUT_OF_RANGE: &str = "One of the query parameters specified in the request URI is outside the permissible range.";

/// A name as the marker of the page behind it.
pub(super) fn marker(after: Option<&str>) -> String {
    after.map(|name| MARKER.encode(name)).unwrap_or_default()
}

/// Whether `include` names something.
pub(super) fn includes(call: &Call, what: &str) -> bool {
    call.target.parameters.iter().any(|(name, value)| name == "include" && value.split(',').any(|word| word == what))
}

/// Where the lists say that the service is.
pub(super) fn endpoint(call: &Call) -> String {
    format!("{}/{}/", call.request.origin(), call.target.account)
}

pub(super) async fn list_containers(blob: &Blob, call: &Call) -> Result<Response<Bytes>, ServiceError> {
    let paging = Paging::of(call)?;
    let mut buckets = blob.objects.buckets().await?;
    buckets.retain(|bucket| bucket.name.starts_with(&paging.prefix) && bucket.name > paging.after);
    let more = buckets.len() > paging.limit;
    buckets.truncate(paging.limit);
    let last = buckets.last().filter(|_| more).map(|bucket| bucket.name.as_str());
    let (with_metadata, now) = (includes(call, "metadata"), blob.clock.now());
    let document = xml::document("EnumerationResults", &[("ServiceEndpoint", &endpoint(call))], |root| {
        paging.write(root);
        root.child("Containers", |containers| {
            buckets.iter().for_each(|bucket| write_container(containers, bucket, with_metadata, now));
        });
        root.text("NextMarker", &marker(last));
    });
    Ok(xml::answer(document))
}

fn write_container(containers: &mut xml::Element, bucket: &Bucket, with_metadata: bool, now: Millis) {
    containers.child("Container", |container| {
        container.text("Name", &bucket.name);
        container.child("Properties", |properties| {
            properties.text("Last-Modified", &time::rfc1123(bucket.modified));
            properties.text("Etag", &headers::quoted(&bucket.etag));
            let lease = LeaseWords::of(bucket.lease.as_ref(), now);
            properties.text("LeaseStatus", lease.status);
            properties.text("LeaseState", lease.state);
            properties.optional("LeaseDuration", lease.duration);
            properties.text("HasImmutabilityPolicy", "false");
            properties.text("HasLegalHold", "false");
        });
        if with_metadata {
            write_metadata(container, bucket.metadata.iter());
        }
    });
}

/// Metadata as children; a name that another protocol gave and no element can have is left out.
pub(super) fn write_metadata<'m>(parent: &mut xml::Element, metadata: impl Iterator<Item = (&'m String, &'m String)>) {
    parent.child("Metadata", |element| {
        metadata.filter(|(name, _)| is_identifier(name)).for_each(|(name, value)| element.text(name, value));
    });
}

/// What the service can be set to do, all of it off.
pub(super) fn service_properties() -> Response<Bytes> {
    let off = |element: &mut xml::Element, name: &str| element.child(name, |child| child.text("Enabled", "false"));
    let metrics = |root: &mut xml::Element, name: &str| {
        root.child(name, |metrics| {
            metrics.text("Version", "1.0");
            metrics.text("Enabled", "false");
            off(metrics, "RetentionPolicy");
        });
    };
    xml::answer(xml::document("StorageServiceProperties", &[], |root| {
        root.child("Logging", |logging| {
            logging.text("Version", "1.0");
            ["Delete", "Read", "Write"].iter().for_each(|name| logging.text(name, "false"));
            off(logging, "RetentionPolicy");
        });
        metrics(root, "HourMetrics");
        metrics(root, "MinuteMetrics");
        root.text("Cors", "");
        off(root, "DeleteRetentionPolicy");
        off(root, "StaticWebsite");
    }))
}

/// Setting what is so already is done; whatever would turn something on is refused by its name.
pub(super) fn set_service_properties(call: &Call) -> Result<Response<Bytes>, ServiceError> {
    for (path, text) in xml::leaves(&call.request.body, "StorageServiceProperties", SETTINGS_MAX)? {
        let off =
            path.last().is_some_and(|name| name == "Version") || text.is_empty() || text.eq_ignore_ascii_case("false");
        if !off {
            let message = format!(
                "One of the XML nodes specified in the request body is not supported: {} as {text}.",
                path.join("/")
            );
            return Err(ServiceError::bad_request("UnsupportedXmlNode", message));
        }
    }
    Ok(headers::empty(StatusCode::ACCEPTED))
}

pub(super) fn information() -> Response<Bytes> {
    let mut response = headers::empty(StatusCode::OK);
    headers::set(response.headers_mut(), "x-ms-sku-name", "Standard_LRS");
    headers::set(response.headers_mut(), "x-ms-account-kind", "StorageV2");
    headers::set(response.headers_mut(), "x-ms-is-hns-enabled", "false");
    response
}
