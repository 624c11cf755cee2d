//! `Set Blob Tags`, `Get Blob Tags`, and tags in a header of other operations.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{Response, StatusCode};
use millstream_object::{TAGS_MAX, check_tags};
use percent_encoding::percent_decode_str;
use serde::Deserialize;

use super::headers::{self, empty};
use super::{Blob, Call, snapshot};
use crate::request::AzureRequest;
use crate::storage::error::ServiceError;
use crate::storage::xml;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Tags {
    tag_set: TagSet,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TagSet {
    #[serde(default)]
    tag: Vec<Tag>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Tag {
    key: String,
    #[serde(default)]
    value: String,
}

pub(super) async fn set(blob: &Blob, call: &Call) -> Result<Response<Bytes>, ServiceError> {
    let text = std::str::from_utf8(&call.request.body).map_err(ServiceError::invalid_document)?;
    let read: Tags = quick_xml::de::from_str(text).map_err(ServiceError::invalid_document)?;
    let pairs = read.tag_set.tag.into_iter().map(|tag| (tag.key, tag.value));
    let conditions = headers::conditions(&call.request)?;
    let (bucket, key) = (call.target.container(), call.target.blob());
    blob.objects.set_tags(bucket, key, conditions, distinct(pairs)?).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

pub(super) async fn get(blob: &Blob, call: &Call) -> Result<Response<Bytes>, ServiceError> {
    let conditions = headers::conditions(&call.request)?;
    let object = blob.objects.head_version(snapshot::version(&call.target)?, &conditions).await?;
    Ok(xml::answer(xml::document("Tags", &[], |root| write_set(root, &object.properties.tags))))
}

/// Tags as documents have them.
pub(super) fn write_set(parent: &mut xml::Element, tags: &BTreeMap<String, String>) {
    parent.child("TagSet", |set| {
        for (name, value) in tags {
            set.child("Tag", |tag| {
                tag.text("Key", name);
                tag.text("Value", value);
            });
        }
    });
}

/// The tags that a request gives the blob which it makes: `a=1&b=2`, percent-encoded.
pub(super) fn of_header(request: &AzureRequest) -> Result<BTreeMap<String, String>, ServiceError> {
    let text = request.header("x-ms-tags").unwrap_or_default();
    let decoded = |part: &str| percent_decode_str(&part.replace('+', " ")).decode_utf8_lossy().into_owned();
    let pairs = text.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let tags = distinct(pairs.map(|(name, value)| (decoded(name), decoded(value))))?;
    check_tags(&tags)?;
    Ok(tags)
}

/// A name may come once.
fn distinct(pairs: impl Iterator<Item = (String, String)>) -> Result<BTreeMap<String, String>, ServiceError> {
    let mut tags = BTreeMap::new();
    for (name, value) in pairs.take(TAGS_MAX + 1) {
        if tags.insert(name, value).is_some() {
            return Err(ServiceError::bad_request("InvalidTag", "The tags specified are invalid. A name comes twice."));
        }
    }
    Ok(tags)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_read_from_documents() {
        let text = "<?xml version='1.0' encoding='utf-8'?><Tags><TagSet><Tag><Key>a</Key><Value>1</Value></Tag>\
                    <Tag><Key>b</Key><Value /></Tag></TagSet></Tags>";
        let read: Tags = quick_xml::de::from_str(text).unwrap();
        let pairs: Vec<_> = read.tag_set.tag.iter().map(|tag| (tag.key.as_str(), tag.value.as_str())).collect();
        assert_eq!(pairs, [("a", "1"), ("b", "")]);
        let none: Tags = quick_xml::de::from_str("<Tags><TagSet /></Tags>").unwrap();
        assert!(none.tag_set.tag.is_empty());
    }
}
