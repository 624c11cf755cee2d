//! `List Blobs`, flat and by hierarchy

use bytes::Bytes;
use http::Response;
use millstream_object::{Listed, Object, ObjectKind, Select};
use millstream_types::Millis;

use super::account::{Paging, endpoint, includes, marker, write_metadata};
use super::headers::{CONTENT_TYPE, LeaseWords, blob_type, md5_text};
use super::{Blob, Call, tags};
use crate::storage::error::ServiceError;
use crate::storage::xml;
use crate::time;

/// What `include` may name. Of the parts that are not served there are none, so leaving them out is the right answer.
const INCLUDES: [&str; 11] = [
    "metadata",
    "copy",
    "snapshots",
    "versions",
    "deleted",
    "deletedwithversions",
    "tags",
    "immutabilitypolicy",
    "legalhold",
    "permissions",
    "uncommittedblobs",
];

pub(super) async fn call(blob: &Blob, call: &Call) -> Result<Response<Bytes>, ServiceError> {
    let paging = Paging::of(call)?;
    check_includes(call)?;
    let delimiter = call.target.parameter("delimiter").map(str::to_owned);
    let select = Select {
        prefix: paging.prefix.clone(),
        delimiter: delimiter.clone(),
        after: paging.after.clone(),
        snapshots: includes(call, "snapshots"),
        limit: paging.limit,
    };
    let listing = blob.objects.list(call.target.container(), select).await?;
    let with = With {
        metadata: includes(call, "metadata"),
        copy: includes(call, "copy"),
        tags: includes(call, "tags"),
        now: blob.clock.now(),
    };
    let attributes = [("ServiceEndpoint", endpoint(call)), ("ContainerName", call.target.container().to_owned())];
    let attributes = attributes.each_ref().map(|(name, value)| (*name, value.as_str()));
    let document = xml::document("EnumerationResults", &attributes, |root| {
        paging.write(root);
        root.optional("Delimiter", delimiter.as_deref());
        root.child("Blobs", |blobs| {
            for found in &listing.found {
                match found {
                    Listed::Object(object) => blobs.child("Blob", |element| write_blob(element, object, with)),
                    Listed::Prefix(prefix) => blobs.child("BlobPrefix", |element| element.text("Name", prefix)),
                }
            }
        });
        root.text("NextMarker", &marker(listing.next.as_deref()));
    });
    Ok(xml::answer(document))
}

/// What was asked to be included, and when.
#[derive(Clone, Copy)]
struct With {
    metadata: bool,
    copy: bool,
    tags: bool,
    now: Millis,
}

fn check_includes(call: &Call) -> Result<(), ServiceError> {
    for (_, value) in call.target.parameters.iter().filter(|(name, _)| name == "include") {
        if let Some(unknown) = value.split(',').find(|word| !word.is_empty() && !INCLUDES.contains(word)) {
            return Err(ServiceError::invalid_parameter("include", unknown));
        }
        // Blobs of which only blocks are there yet are not listed: an answer without them would be wrong.
        if value.split(',').any(|word| word == "uncommittedblobs") {
            return Err(ServiceError::unsupported_parameter("include", "uncommittedblobs"));
        }
    }
    Ok(())
}

fn write_blob(element: &mut xml::Element, object: &Object, with: With) {
    element.text("Name", &object.key);
    element.optional("Snapshot", object.snapshot.map(time::iso8601_micros).as_deref());
    element.child("Properties", |properties| {
        let said = &object.properties;
        properties.text("Creation-Time", &time::rfc1123(object.created));
        properties.text("Last-Modified", &time::rfc1123(object.modified));
        properties.text("Etag", &format!("0x{}", object.etag));
        properties.text("Content-Length", &object.length.to_string());
        properties.text("Content-Type", said.content_type.as_deref().unwrap_or(CONTENT_TYPE));
        properties.optional("Content-Encoding", said.content_encoding.as_deref());
        properties.optional("Content-Language", said.content_language.as_deref());
        properties.optional("Content-MD5", said.md5.map(md5_text).as_deref());
        properties.optional("Cache-Control", said.cache_control.as_deref());
        properties.optional("Content-Disposition", said.content_disposition.as_deref());
        properties.text("BlobType", blob_type(object.kind));
        // Snapshots cannot be leased.
        if object.snapshot.is_none() {
            let lease = LeaseWords::of(object.lease.as_ref(), with.now);
            properties.text("LeaseStatus", lease.status);
            properties.text("LeaseState", lease.state);
            properties.optional("LeaseDuration", lease.duration);
        }
        properties.text("ServerEncrypted", "false");
        if object.kind == ObjectKind::Append {
            properties.text("CommittedBlockCount", &object.append_blocks.to_string());
        }
        if let Some(copy) = object.copy.as_ref().filter(|_| with.copy) {
            properties.text("CopyId", &copy.id);
            properties.text("CopyStatus", "success");
            properties.text("CopySource", &copy.source);
            properties.text("CopyProgress", &format!("{0}/{0}", object.length));
            properties.text("CopyCompletionTime", &time::rfc1123(copy.done));
        }
    });
    if with.metadata {
        write_metadata(element, object.properties.metadata.iter());
    }
    if with.tags && !object.properties.tags.is_empty() {
        element.child("Tags", |tags| tags::write_set(tags, &object.properties.tags));
    }
}
