//! A change as clients read it and as functions get it in an event.

use millstream_catalog::ChangeView;
use millstream_table::{Change, ChangeCause, ChangeKind, TableError};
use millstream_types::{LogId, Record};
use serde_json::{Value, json};

use super::name;
use crate::dynamodb::value;
use crate::place::Place;

/// A record of a stream of changes, as `GetRecords` answers it.
#[must_use]
pub fn encode(log: LogId, offset: u64, change: &Change, place: &Place) -> Value {
    let mut shown = described(change, log, offset, place);
    if change.cause == ChangeCause::Expiry {
        shown["userIdentity"] = json!({ "PrincipalId": "dynamodb.amazonaws.com", "Type": "Service" });
    }
    shown
}

/// A record of a stream of changes, as a function gets it in the `Records` of its event; `source_arn` is the stream's.
///
/// # Errors
/// [`TableError::UnreadableChange`].
pub fn event(log: LogId, record: &Record, source_arn: &str, place: &Place) -> Result<Value, TableError> {
    let change = Change::decode(record.data.clone())?;
    let mut shown = described(&change, log, record.offset, place);
    shown["eventSourceARN"] = json!(source_arn);
    if change.cause == ChangeCause::Expiry {
        shown["userIdentity"] = json!({ "principalId": "dynamodb.amazonaws.com", "type": "Service" });
    }
    Ok(shown)
}

/// What both show alike. The id is the record's place in the node: the same however often it is read.
fn described(change: &Change, log: LogId, offset: u64, place: &Place) -> Value {
    let mut shown = json!({
        "eventID": format!("{:016x}{offset:016x}", log.0),
        "eventName": match change.kind {
            ChangeKind::Insert => "INSERT",
            ChangeKind::Modify => "MODIFY",
            ChangeKind::Remove => "REMOVE",
        },
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": place.region,
        "dynamodb": {
            // Whole seconds, as the service has it.
            "ApproximateCreationDateTime": change.time / 1_000,
            "Keys": value::encode_item(&change.keys),
            "SequenceNumber": name::sequence_number(log, offset),
            "SizeBytes": change.size(),
            "StreamViewType": view_type(change.view),
        },
    });
    for (member, image) in [("OldImage", &change.old), ("NewImage", &change.new)] {
        if let Some(image) = image {
            shown["dynamodb"][member] = json!(value::encode_item(image));
        }
    }
    shown
}

/// The service's name of a view.
#[must_use]
pub fn view_type(view: ChangeView) -> &'static str {
    match view {
        ChangeView::KeysOnly => "KEYS_ONLY",
        ChangeView::NewImage => "NEW_IMAGE",
        ChangeView::OldImage => "OLD_IMAGE",
        ChangeView::NewAndOldImages => "NEW_AND_OLD_IMAGES",
    }
}

/// The view of the service's name.
#[must_use]
pub fn parse_view_type(text: &str) -> Option<ChangeView> {
    use ChangeView::{KeysOnly, NewAndOldImages, NewImage, OldImage};
    [KeysOnly, NewImage, OldImage, NewAndOldImages].into_iter().find(|view| view_type(*view) == text)
}
