//! Messages as bytes on disk. Pure.
//!
//! A message has two values: its state, which every receive writes again and which is small, and its content, which stays.
//! The content is kept by the message's id alone, so that a message moves to another queue without being copied.

use bytes::Bytes;
use millstream_types::Millis;
use serde::{Deserialize, Serialize};

use crate::message::{Attribute, MessageId};

/// The form of both values; a later one gets another number.
const FORM: u8 = 1;
const STATE_BYTES: usize = 1 + 4 * 8 + 2 * 4;
/// The form of a state with the queue that its message is a dead letter of, and of a content whose head is a [`Head`].
const LONG_FORM: u8 = 2;
/// Stands for a time that there is not.
const NO_TIME: Millis = Millis::MIN;

/// What changes of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) sent: Millis,
    /// When it can be received.
    pub(crate) visible_at: Millis,
    /// Its own time; `None`: the queue's retention decides.
    pub(crate) expires: Option<Millis>,
    pub(crate) first_received: Option<Millis>,
    pub(crate) receives: u32,
    /// The turn of the receipt that counts.
    pub(crate) turn: u32,
    /// The number of the queue that it is a dead letter of.
    pub(crate) dead_from: Option<u64>,
}

/// The key of a message's state: its queue, then its id.
pub(crate) fn state_key(queue: u64, id: MessageId) -> Vec<u8> {
    [queue.to_be_bytes(), id.0.to_be_bytes()].concat()
}

/// The queue and the message of a state's key.
pub(crate) fn read_state_key(key: &[u8]) -> Option<(u64, MessageId)> {
    let (queue, id) = key.split_first_chunk()?;
    Some((u64::from_be_bytes(*queue), MessageId(u64::from_be_bytes(id.try_into().ok()?))))
}

/// The key of a message's content.
pub(crate) fn content_key(id: MessageId) -> Vec<u8> {
    id.0.to_be_bytes().to_vec()
}

impl State {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(STATE_BYTES);
        bytes.push(if self.dead_from.is_some() { LONG_FORM } else { FORM });
        let times =
            [self.sent, self.visible_at, self.expires.unwrap_or(NO_TIME), self.first_received.unwrap_or(NO_TIME)];
        times.iter().for_each(|time| bytes.extend(time.to_be_bytes()));
        [self.receives, self.turn].iter().for_each(|count| bytes.extend(count.to_be_bytes()));
        bytes.extend(self.dead_from.iter().flat_map(|queue| queue.to_be_bytes()));
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (rest, dead_from) = match bytes.split_first()? {
            (&FORM, rest) if bytes.len() == STATE_BYTES => (rest, None),
            (&LONG_FORM, rest) => {
                let (rest, queue) = rest.split_last_chunk().filter(|_| bytes.len() == STATE_BYTES + 8)?;
                (rest, Some(u64::from_be_bytes(*queue)))
            }
            _ => return None,
        };
        let time = |at: usize| Some(Millis::from_be_bytes(rest.get(at * 8..at * 8 + 8)?.try_into().ok()?));
        let count = |at: usize| Some(u32::from_be_bytes(rest.get(32 + at * 4..36 + at * 4)?.try_into().ok()?));
        let maybe = |time: Millis| Some(time).filter(|time| *time != NO_TIME);
        Some(Self {
            sent: time(0)?,
            visible_at: time(1)?,
            expires: maybe(time(2)?),
            first_received: maybe(time(3)?),
            receives: count(0)?,
            turn: count(1)?,
            dead_from,
        })
    }
}

/// What is said of a message beside its body.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Head {
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) trace: Option<String>,
    #[serde(default)]
    pub(crate) group: Option<String>,
}

/// The head as JSON behind its length, only the attributes where there is nothing else, then the body as it is.
pub(crate) fn encode_content(head: &Head, body: &[u8]) -> Vec<u8> {
    // Names, texts and bytes can always be written.
    let (form, head) = match head {
        Head { attributes, trace: None, group: None } if attributes.is_empty() => (FORM, Vec::new()),
        Head { attributes, trace: None, group: None } => (FORM, serde_json::to_vec(attributes).unwrap_or_default()),
        head => (LONG_FORM, serde_json::to_vec(head).unwrap_or_default()),
    };
    let mut bytes = Vec::with_capacity(5 + head.len() + body.len());
    bytes.push(form);
    bytes.extend(u32::try_from(head.len()).unwrap_or(u32::MAX).to_be_bytes());
    bytes.extend(head);
    bytes.extend(body);
    bytes
}

/// The head and the body of a content.
pub(crate) fn decode_content(bytes: &Bytes) -> Option<(Head, Bytes)> {
    let (form, rest) = bytes.split_first()?;
    let (length, rest) = rest.split_first_chunk()?;
    let head = rest.get(..u32::from_be_bytes(*length) as usize)?;
    let body = bytes.slice(5 + head.len()..);
    let head = match *form {
        FORM if head.is_empty() => Head::default(),
        FORM => Head { attributes: serde_json::from_slice(head).ok()?, ..Head::default() },
        LONG_FORM => serde_json::from_slice(head).ok()?,
        _ => return None,
    };
    Some((head, body))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::AttributeValue;

    #[test]
    fn messages_are_written_and_read() {
        let (expires, turn) = (Some(3), u32::MAX);
        let state =
            State { sent: 1, visible_at: -2, expires, first_received: None, receives: 4, turn, dead_from: None };
        for state in [state, State { dead_from: Some(7), ..state }] {
            let bytes = state.encode();
            assert_eq!(State::decode(&bytes), Some(state));
            assert_eq!(State::decode(&bytes[1..]), None);
        }
        assert_eq!(State::decode(&[]), None);
        assert_eq!(read_state_key(&state_key(7, MessageId(9))), Some((7, MessageId(9))));
        assert_eq!(read_state_key(b"short"), None);
        let binary = Attribute { name: "a".into(), kind: "Binary".into(), value: AttributeValue::Binary(vec![0, 255]) };
        for attributes in [vec![], vec![binary]] {
            for (trace, group) in [(None, None), (Some("Root=1"), None), (None, Some("g"))] {
                let (trace, group) = (trace.map(str::to_owned), group.map(str::to_owned));
                let head = Head { attributes: attributes.clone(), trace, group };
                let content = Bytes::from(encode_content(&head, b"body"));
                assert_eq!(decode_content(&content), Some((head, Bytes::from_static(b"body"))));
            }
        }
        let before = Bytes::from([&[2, 0, 0, 0, 34][..], br#"{"attributes":[],"trace":"Root=1"}x"#].concat());
        assert_eq!(decode_content(&before).map(|(head, _)| head.trace), Some(Some("Root=1".to_owned())));
        for bad in [&b""[..], &[1, 0, 0], &[1, 0, 0, 0, 9, 1], &[2, 0, 0, 0, 0], &[1, 0, 0, 0, 1, b'{']] {
            assert_eq!(decode_content(&Bytes::copy_from_slice(bad)), None);
        }
    }
}
