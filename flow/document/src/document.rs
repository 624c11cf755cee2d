//! A document with the properties that the node adds, and how it lies in a table's item. Pure.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use millstream_catalog::DocumentContainerDefinition;
use millstream_table::{AttributeValue, Item, Number};
use millstream_types::Millis;
use serde_json::{Map, Value};

use crate::error::DocumentError;

/// Characters of a database's, a container's or a document's name: the service family's own limit.
pub const RESOURCE_NAME_CHARS_MAX: usize = 255;

/// Attributes of a document's item. On disk for good.
pub(crate) const PARTITION: &str = "partition";
pub(crate) const ID: &str = "id";
pub(crate) const ETAG: &str = "etag";
const BODY: &str = "body";
pub(crate) const SECONDS: &str = "seconds";
pub(crate) const LIFETIME: &str = "lifetime";

/// What the node adds to each document; clients cannot set it.
pub(crate) const SYSTEM_PROPERTIES: [&str; 5] = ["_rid", "_self", "_etag", "_attachments", "_ts"];

/// A document as it is read.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// An object: what was written, and `_rid`, `_self`, `_etag`, `_attachments` and `_ts`.
    pub value: Value,
    /// A new one with each write, in quotes.
    pub etag: String,
}

impl Document {
    /// The document of a stored item.
    pub(crate) fn of_item(container: &DocumentContainerDefinition, item: &Item) -> Result<Self, DocumentError> {
        let (Some(AttributeValue::Binary(partition)), Some(AttributeValue::String(id))) =
            (item.get(PARTITION), item.get(ID))
        else {
            return Err(DocumentError::Unreadable { id: String::new() });
        };
        let unreadable = || DocumentError::Unreadable { id: id.clone() };
        let (Some(AttributeValue::String(body)), Some(AttributeValue::String(etag)), Some(AttributeValue::Number(at))) =
            (item.get(BODY), item.get(ETAG), item.get(SECONDS))
        else {
            return Err(unreadable());
        };
        let mut value: Value = serde_json::from_str(body).map_err(|_| unreadable())?;
        let properties = value.as_object_mut().ok_or_else(unreadable)?;
        let rid = document_rid(container, partition, id);
        properties.insert("_rid".into(), rid.clone().into());
        let link =
            format!("dbs/{}/colls/{}/docs/{rid}/", database_rid(container.database_number), container_rid(container));
        properties.insert("_self".into(), link.into());
        properties.insert("_etag".into(), etag.as_str().into());
        properties.insert("_attachments".into(), "attachments/".into());
        properties.insert("_ts".into(), at.to_string().parse::<i64>().map_err(|_| unreadable())?.into());
        Ok(Self { etag: etag.clone(), value })
    }
}

/// When an item was written, in seconds since 1970.
pub(crate) fn written(item: &Item) -> i64 {
    match item.get(SECONDS) {
        Some(AttributeValue::Number(at)) => at.to_string().parse().unwrap_or_default(),
        _ => 0,
    }
}

/// A document's item to be put. `lifetime`: how long it says that it stays, in seconds.
pub(crate) fn to_item(
    partition: Bytes,
    id: &str,
    body: String,
    etag: &str,
    now: Millis,
    lifetime: Option<i64>,
) -> Result<Item, DocumentError> {
    let number = |number: i64| number.to_string().parse::<Number>().map(AttributeValue::Number);
    let unreadable = |_| DocumentError::Unreadable { id: id.to_owned() };
    let mut item = key(partition, id);
    item.insert(BODY.into(), AttributeValue::String(body));
    item.insert(ETAG.into(), AttributeValue::String(etag.to_owned()));
    item.insert(SECONDS.into(), number(now.div_euclid(1000)).map_err(unreadable)?);
    if let Some(lifetime) = lifetime {
        item.insert(LIFETIME.into(), number(lifetime).map_err(unreadable)?);
    }
    Ok(item)
}

/// The key of a document's item.
pub(crate) fn key(partition: Bytes, id: &str) -> Item {
    Item::from([
        (PARTITION.to_owned(), AttributeValue::Binary(partition)),
        (ID.to_owned(), AttributeValue::String(id.to_owned())),
    ])
}

/// The id that a document names, checked.
pub(crate) fn id_of(body: &Map<String, Value>) -> Result<String, DocumentError> {
    match body.get(ID) {
        Some(Value::String(id)) => check_name(id).map(|()| id.clone()),
        _ => Err(DocumentError::IdMissing),
    }
}

/// Refuses names that no link could hold.
pub(crate) fn check_name(name: &str) -> Result<(), DocumentError> {
    let refuse = |why| Err(DocumentError::Name { name: name.chars().take(RESOURCE_NAME_CHARS_MAX).collect(), why });
    if name.is_empty() || name.chars().nth(RESOURCE_NAME_CHARS_MAX).is_some() {
        return refuse("expected 1 to 255 characters");
    }
    if name.contains(['/', '\\', '?', '#']) {
        return refuse("`/`, `\\`, `?` and `#` are not allowed in it");
    }
    if name.ends_with(' ') {
        return refuse("a space is not allowed at its end");
    }
    Ok(())
}

/// A database's resource id: its number in four bytes, in the text form that links use.
#[must_use]
pub fn database_rid(number: u32) -> String {
    text(&number.to_be_bytes())
}

/// A container's resource id: its database's and its own number.
#[must_use]
pub fn container_rid(container: &DocumentContainerDefinition) -> String {
    text(&container_bytes(container))
}

/// A document's resource id. Nothing finds a document by it, so a hash of the document's name is unique enough, and it
/// stays the same as long as the name does.
fn document_rid(container: &DocumentContainerDefinition, partition: &Bytes, id: &str) -> String {
    let name = [partition, id.as_bytes()].concat();
    let number = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc64Nvme, &name);
    text(&[&container_bytes(container)[..], &number.to_be_bytes()].concat())
}

fn container_bytes(container: &DocumentContainerDefinition) -> [u8; 8] {
    let numbers = (u64::from(container.database_number) << 32) | u64::from(container.number);
    numbers.to_be_bytes()
}

/// Base 64 with a `-` for the slash, which would end a link's segment.
fn text(bytes: &[u8]) -> String {
    STANDARD.encode(bytes).replace('/', "-")
}
