//! `Put Message`, `Get Messages`, `Peek Messages`, `Delete Message`, `Update Message`, `Clear Messages`

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode};
use millstream_queue::{Message, MessageId, NewMessage, Receipt, Receive, Update};
use millstream_types::Millis;
use quick_xml::Reader;
use quick_xml::events::Event;

use super::{Call, Queue, ServiceError, empty, error};
use crate::storage::xml;
use crate::time::rfc1123;

/// Messages of one call.
const MESSAGES_MAX: i64 = 32;
/// Bytes of a message.
const TEXT_BYTES_MAX: usize = 64 << 10;
/// The longest time for which a message is hidden, in seconds.
const WEEK: i64 = 7 * 24 * 3_600;
/// When messages expire that never do: the end of the year 9999.
const NEVER: Millis = 253_402_300_799_000;

pub(super) async fn put(service: &Queue, call: &Call<'_>) -> Result<Response<Bytes>, ServiceError> {
    let body = read_text(&call.request.body)?.unwrap_or_default();
    let delay = call.number("visibilitytimeout", 0, (0, WEEK))? * 1_000;
    let expires = match call.number("messagettl", WEEK, (-1, i64::from(u32::MAX)))? {
        -1 => NEVER,
        0 => return Err(error::out_of_range("messagettl", 0, (1, i64::from(u32::MAX)))),
        seconds => service.clock.now() + seconds * 1_000,
    };
    let message =
        NewMessage { body: checked(body)?, delay: Some(delay), expires: Some(expires), ..NewMessage::default() };
    let sent = service.queues.send(call.queue(), vec![message]).await?;
    let document = xml::document("QueueMessagesList", &[], |list| {
        for sent in &sent {
            list.child("QueueMessage", |element| {
                element.text("MessageId", &sent.id.to_string());
                element.text("InsertionTime", &rfc1123(sent.sent));
                element.text("ExpirationTime", &rfc1123(sent.expires));
                element.text("PopReceipt", &Receipt { message: sent.id, turn: 0 }.to_string());
                element.text("TimeNextVisible", &rfc1123(sent.visible_at));
            });
        }
    });
    let mut response = xml::answer(document);
    *response.status_mut() = StatusCode::CREATED;
    Ok(response)
}

pub(super) async fn get(service: &Queue, call: &Call<'_>) -> Result<Response<Bytes>, ServiceError> {
    let max = usize::try_from(call.number("numofmessages", 1, (1, MESSAGES_MAX))?).unwrap_or(1);
    if call.target.parameter("peekonly") == Some("true") {
        return Ok(list(&service.queues.peek(call.queue(), max).await?, false));
    }
    let hidden = match call.target.parameter("visibilitytimeout") {
        Some(_) => Some(call.number("visibilitytimeout", 0, (1, WEEK))? * 1_000),
        None => None,
    };
    let receive = Receive { max, hidden, wait: Some(Duration::ZERO) };
    Ok(list(&service.queues.receive(call.queue(), receive).await?, true))
}

pub(super) async fn clear(service: &Queue, call: &Call<'_>) -> Result<Response<Bytes>, ServiceError> {
    service.queues.purge(call.queue()).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

pub(super) async fn delete(service: &Queue, call: &Call<'_>, id: &str) -> Result<Response<Bytes>, ServiceError> {
    service.queues.delete_message(call.queue(), receipt(call, id)?).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

pub(super) async fn update(service: &Queue, call: &Call<'_>, id: &str) -> Result<Response<Bytes>, ServiceError> {
    let receipt = receipt(call, id)?;
    let hidden = call.number("visibilitytimeout", 0, (0, WEEK))? * 1_000;
    // Without a document the message keeps its text.
    let body = if call.request.body.is_empty() { None } else { read_text(&call.request.body)? };
    let update = Update { hidden, body: body.map(checked).transpose()?, renew: true };
    let changed = service.queues.update(call.queue(), receipt, update).await?;
    let mut response = empty(StatusCode::NO_CONTENT);
    let told =
        [("x-ms-popreceipt", changed.receipt.to_string()), ("x-ms-time-next-visible", rfc1123(changed.visible_at))];
    for (name, value) in told {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(name, value);
        }
    }
    Ok(response)
}

/// The receipt of a message that the address names.
fn receipt(call: &Call<'_>, id: &str) -> Result<Receipt, ServiceError> {
    let id: MessageId = id.parse().map_err(|()| error::message_not_found())?;
    let text = call.target.parameter("popreceipt").unwrap_or_default();
    let receipt: Receipt = text.parse().map_err(|()| ServiceError::invalid_parameter("popreceipt", text))?;
    if receipt.message == id { Ok(receipt) } else { Err(error::old_receipt()) }
}

fn list(messages: &[Message], taken: bool) -> Response<Bytes> {
    xml::answer(xml::document("QueueMessagesList", &[], |list| {
        for message in messages {
            list.child("QueueMessage", |element| {
                element.text("MessageId", &message.id.to_string());
                element.text("InsertionTime", &rfc1123(message.sent));
                element.text("ExpirationTime", &rfc1123(message.expires));
                if taken {
                    element.text("PopReceipt", &message.receipt.to_string());
                    element.text("TimeNextVisible", &rfc1123(message.visible_at));
                }
                element.text("DequeueCount", &message.receives.to_string());
                element.text("MessageText", &String::from_utf8_lossy(&message.body));
            });
        }
    }))
}

fn checked(text: String) -> Result<Bytes, ServiceError> {
    if text.len() > TEXT_BYTES_MAX { Err(ServiceError::body_too_large(TEXT_BYTES_MAX)) } else { Ok(Bytes::from(text)) }
}

/// The text of `<QueueMessage><MessageText>…`; `None` when the document has no such element.
fn read_text(document: &[u8]) -> Result<Option<String>, ServiceError> {
    let mut reader = Reader::from_reader(document);
    let mut open: Vec<String> = Vec::new();
    let mut found: Option<String> = None;
    loop {
        let event = reader.read_event().map_err(ServiceError::invalid_document)?;
        let piece = match event {
            Event::Start(start) => {
                open.push(String::from_utf8_lossy(start.name().as_ref()).into_owned());
                String::new()
            }
            Event::End(_) => {
                open.pop();
                continue;
            }
            Event::Text(text) => String::from_utf8_lossy(&text).into_owned(),
            Event::CData(text) => String::from_utf8_lossy(&text).into_owned(),
            Event::GeneralRef(reference) => match reference.resolve_char_ref() {
                Ok(Some(char)) => char.to_string(),
                _ => named_character(&reference)?.to_string(),
            },
            Event::Eof if open.is_empty() => return Ok(found),
            Event::Eof => return Err(ServiceError::invalid_document("an element is not closed")),
            Event::Empty(_) | Event::Decl(_) | Event::Comment(_) => continue,
            _ => return Err(ServiceError::invalid_document("unexpected markup")),
        };
        if open == ["QueueMessage", "MessageText"] {
            found.get_or_insert_default().push_str(&piece);
        }
    }
}

fn named_character(name: &[u8]) -> Result<char, ServiceError> {
    match name {
        b"lt" => Ok('<'),
        b"gt" => Ok('>'),
        b"amp" => Ok('&'),
        b"quot" => Ok('"'),
        b"apos" => Ok('\''),
        _ => Err(ServiceError::invalid_document("an unknown entity")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read_as_they_were_meant() {
        let message = |text: &str| {
            format!("<?xml version='1.0'?>\n<QueueMessage> <MessageText>{text}</MessageText></QueueMessage>")
        };
        for (text, expected) in [
            ("plain", "plain"),
            ("&lt;a b=&quot;c&quot;&gt; &amp;&#38;&#x26;", "<a b=\"c\"> &&&"),
            ("<![CDATA[<raw>]]>", "<raw>"),
            ("", ""),
        ] {
            assert_eq!(read_text(message(text).as_bytes()).unwrap().as_deref(), Some(expected), "{text}");
        }
        assert_eq!(read_text(b"<QueueMessage/>").unwrap(), None);
        for bad in ["<QueueMessage>", "<a>&nbsp;</a>"] {
            assert!(read_text(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
