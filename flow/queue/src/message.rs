//! Messages as callers give and get them.

use std::fmt;
use std::str::FromStr;

use bytes::Bytes;
use millstream_types::Millis;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A message's number, never given twice on a node; rises with the order of sending. Shown as a UUID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(pub u64);

impl fmt::Display for MessageId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        Uuid::from_u128(self.0.into()).fmt(formatter)
    }
}

impl FromStr for MessageId {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let id = Uuid::try_parse(text).map_err(drop)?;
        u64::try_from(id.as_u128()).map(Self).map_err(drop)
    }
}

/// Names a message and one receive of it: the next receive, or a change that renews it, makes it an old one.
/// Shown as hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// The message.
    pub message: MessageId,
    /// Which of its receives and renewals, counted from 1.
    pub turn: u32,
}

impl fmt::Display for Receipt {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:016x}{:08x}", self.message.0, self.turn)
    }
}

impl FromStr for Receipt {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        if text.len() != 24 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(());
        }
        let (message, turn) = text.split_at(16);
        let message = MessageId(u64::from_str_radix(message, 16).map_err(drop)?);
        Ok(Self { message, turn: u32::from_str_radix(turn, 16).map_err(drop)? })
    }
}

/// A message to be sent.
#[derive(Debug, Clone, Default)]
pub struct NewMessage {
    /// The content, as it was given.
    pub body: Bytes,
    /// What is said of it.
    pub attributes: Vec<Attribute>,
    /// Milliseconds until it is visible; `None`: as its queue has it.
    pub delay: Option<Millis>,
    /// When it expires; `None`: as its queue has it.
    pub expires: Option<Millis>,
    /// The sender's trace, for the receiver; it counts for nothing in the message's size.
    pub trace: Option<String>,
    /// Whose message it is among several users of the queue, for the receiver; it does not change the order.
    pub group: Option<String>,
}

/// Something said of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attribute {
    /// Unique in its message.
    pub name: String,
    /// The sender's word for the value's type.
    pub kind: String,
    /// The value.
    pub value: AttributeValue,
}

/// The value of an attribute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum AttributeValue {
    Text(String),
    Binary(Vec<u8>),
}

impl Attribute {
    /// What it counts for in a message's size.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let value = match &self.value {
            AttributeValue::Text(text) => text.len(),
            AttributeValue::Binary(bytes) => bytes.len(),
        };
        self.name.len() + self.kind.len() + value
    }
}

/// A message that was taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// Its id.
    pub id: MessageId,
    /// When it was sent.
    pub sent: Millis,
    /// When it expires.
    pub expires: Millis,
    /// When it can be received.
    pub visible_at: Millis,
}

/// A message as a receiver gets it.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// Its id.
    pub id: MessageId,
    /// What deletes it; of a message that was only looked at, what would have after its last receive.
    pub receipt: Receipt,
    /// The content.
    pub body: Bytes,
    /// What is said of it.
    pub attributes: Vec<Attribute>,
    /// When it was sent.
    pub sent: Millis,
    /// When it expires.
    pub expires: Millis,
    /// When it can be received again.
    pub visible_at: Millis,
    /// How often it was received, this time included.
    pub receives: u32,
    /// When it was first received.
    pub first_received: Option<Millis>,
    /// The sender's trace.
    pub trace: Option<String>,
    /// Whose message it is.
    pub group: Option<String>,
    /// The queue that it is a dead letter of, while that is there.
    pub dead_from: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_receipts_are_told_and_read() {
        let receipt = Receipt { message: MessageId(0xab_0000_0001), turn: 7 };
        assert_eq!(receipt.message.to_string(), "00000000-0000-0000-0000-00ab00000001");
        assert_eq!(receipt.message.to_string().parse(), Ok(receipt.message));
        assert_eq!(receipt.to_string(), "000000ab0000000100000007");
        assert_eq!(receipt.to_string().parse(), Ok(receipt));
        for bad in ["", "x", "000000ab000000010000000", "+00000ab0000000100000007", "ä00000ab000000010000007"] {
            assert_eq!(bad.parse::<Receipt>(), Err(()), "{bad}");
            assert_eq!(bad.parse::<MessageId>(), Err(()), "{bad}");
        }
        assert_eq!("10000000-0000-0000-0000-00ab00000001".parse::<MessageId>(), Err(()));
    }
}
