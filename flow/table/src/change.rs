//! Change records: what a write made of an item, as the table's stream of changes holds it.
//!
//! A record lies in the stream `changes/TABLE` and is committed with the write it tells of, so there is one for each
//! durable change and none else. Knows how a record lies on disk; who writes it is `engine/writing.rs`.

use bytes::{BufMut, Bytes, BytesMut};
use millstream_catalog::ChangeView;
use millstream_types::Millis;

use crate::error::TableError;
use crate::item::{self, Item};
use crate::stored::{Reader, put_map};

/// How long change records stay readable: the service family's own 24 hours.
pub const CHANGES_RETENTION_HOURS: u32 = 24;

/// The first byte of version 1: `version | kind | view | cause | time (8) | keys | presence | old image | new image`.
const V1: u8 = 1;
/// Bits of the presence byte.
const HAS_OLD: u8 = 1;
const HAS_NEW: u8 = 2;

/// One change of one item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// What was done.
    pub kind: ChangeKind,
    /// What the record was to show.
    pub view: ChangeView,
    /// Who did it.
    pub cause: ChangeCause,
    /// When it was done.
    pub time: Millis,
    /// The item's key attributes.
    pub keys: Item,
    /// The item before the change, if the view shows it and there was one.
    pub old: Option<Item>,
    /// The item after the change, if the view shows it and there is one.
    pub new: Option<Item>,
}

/// What a change did to an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    /// There was none before.
    Insert,
    /// It is another now.
    Modify,
    /// There is none any more.
    Remove,
}

/// Who made a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeCause {
    /// A caller.
    Caller,
    /// The table, when the item's time was over.
    Expiry,
}

impl Change {
    /// The name of the stream that holds a table's changes.
    #[must_use]
    pub fn stream(table: &str) -> String {
        format!("changes/{table}")
    }

    /// Bytes that its keys and images count for.
    #[must_use]
    pub fn size(&self) -> usize {
        [Some(&self.keys), self.old.as_ref(), self.new.as_ref()].into_iter().flatten().map(item::size).sum()
    }

    /// The record's payload.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(self.size() * 2 + 32);
        out.put_u8(V1);
        out.put_u8(match self.kind {
            ChangeKind::Insert => 0,
            ChangeKind::Modify => 1,
            ChangeKind::Remove => 2,
        });
        out.put_u8(match self.view {
            ChangeView::KeysOnly => 0,
            ChangeView::NewImage => 1,
            ChangeView::OldImage => 2,
            ChangeView::NewAndOldImages => 3,
        });
        out.put_u8(match self.cause {
            ChangeCause::Caller => 0,
            ChangeCause::Expiry => 1,
        });
        out.put_i64(self.time);
        put_map(&mut out, &self.keys);
        out.put_u8(self.old.as_ref().map_or(0, |_| HAS_OLD) | self.new.as_ref().map_or(0, |_| HAS_NEW));
        [&self.old, &self.new].into_iter().flatten().for_each(|image| put_map(&mut out, image));
        out.freeze()
    }

    /// The change that a payload tells of.
    ///
    /// # Errors
    /// [`TableError::UnreadableChange`] for what no version up to this one wrote.
    pub fn decode(payload: Bytes) -> Result<Self, TableError> {
        let mut reader = Reader(payload);
        read(&mut reader).filter(|_| reader.0.is_empty()).ok_or(TableError::UnreadableChange)
    }
}

fn read(reader: &mut Reader) -> Option<Change> {
    if reader.byte()? != V1 {
        return None;
    }
    let kind = match reader.byte()? {
        0 => ChangeKind::Insert,
        1 => ChangeKind::Modify,
        2 => ChangeKind::Remove,
        _ => return None,
    };
    let view = match reader.byte()? {
        0 => ChangeView::KeysOnly,
        1 => ChangeView::NewImage,
        2 => ChangeView::OldImage,
        3 => ChangeView::NewAndOldImages,
        _ => return None,
    };
    let cause = match reader.byte()? {
        0 => ChangeCause::Caller,
        1 => ChangeCause::Expiry,
        _ => return None,
    };
    let time = reader.integer()?;
    let keys = reader.map(0)?;
    let present = reader.byte()?;
    let old = if present & HAS_OLD != 0 { Some(reader.map(0)?) } else { None };
    let new = if present & HAS_NEW != 0 { Some(reader.map(0)?) } else { None };
    Some(Change { kind, view, cause, time, keys, old, new })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::item::AttributeValue;

    fn change(view: ChangeView) -> Change {
        let keys = Item::from([("id".into(), AttributeValue::String("a".into()))]);
        let mut new = keys.clone();
        new.insert("n".into(), AttributeValue::Bool(true));
        Change {
            kind: ChangeKind::Modify,
            view,
            cause: ChangeCause::Expiry,
            time: 1_700_000_000_123,
            old: view.shows_old().then(|| keys.clone()),
            new: view.shows_new().then_some(new),
            keys,
        }
    }

    #[test]
    fn changes_come_back() {
        for (view, size) in [
            (ChangeView::KeysOnly, 3),
            (ChangeView::NewImage, 8),
            (ChangeView::OldImage, 6),
            (ChangeView::NewAndOldImages, 11),
        ] {
            let change = change(view);
            assert_eq!(change.size(), size);
            assert_eq!(Change::decode(change.encode()).unwrap(), change);
        }
    }

    #[test]
    fn what_is_no_change_is_refused() {
        let whole = change(ChangeView::NewAndOldImages).encode();
        for cut in 0..whole.len() {
            assert!(Change::decode(whole.slice(..cut)).is_err(), "{cut}");
        }
        let mut later = whole.to_vec();
        later[0] = 2;
        assert!(matches!(Change::decode(later.into()), Err(TableError::UnreadableChange)));
        let mut longer = whole.to_vec();
        longer.push(0);
        assert!(Change::decode(longer.into()).is_err());
    }
}
