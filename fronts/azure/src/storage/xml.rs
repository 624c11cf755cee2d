//! XML as the services answer and read it; how it is written is in `millstream_http::xml`. Pure.

use bytes::Bytes;
use http::{HeaderValue, Response, header};
pub(crate) use millstream_http::xml::{Element, document};
use quick_xml::Reader;
use quick_xml::events::Event;

use super::error::ServiceError;

pub(crate) const CONTENT_TYPE: &str = "application/xml";

/// Elements within each other.
const DEPTH_MAX: usize = 8;

/// A document as a successful answer.
pub(crate) fn answer(document: Bytes) -> Response<Bytes> {
    let mut response = Response::new(document);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
    response
}

/// The children of a document's root that hold text, with their names, at most `limit`. Anything nested deeper, another
/// root, and references are errors: the documents that are read here have none.
pub(crate) fn read_list(document: &[u8], root: &str, limit: usize) -> Result<Vec<(String, String)>, ServiceError> {
    let mut reader = Reader::from_reader(document);
    let mut open: Vec<String> = Vec::new();
    let mut found: Vec<(String, String)> = Vec::new();
    let mut ended = false;
    loop {
        match reader.read_event().map_err(ServiceError::invalid_document)? {
            Event::Start(start) => {
                let name = String::from_utf8_lossy(start.name().as_ref()).into_owned();
                match open.len() {
                    0 if name == root && !ended => {}
                    1 if found.len() < limit => found.push((name.clone(), String::new())),
                    1 => return Err(ServiceError::bad_request("BlockListTooLong", "The block list is too long.")),
                    _ => return Err(ServiceError::invalid_document(format!("unexpected element {name}"))),
                }
                open.push(name);
            }
            Event::End(_) => {
                open.pop();
                ended = open.is_empty();
            }
            Event::Empty(empty) if open.is_empty() && empty.name().as_ref() == root.as_bytes() => ended = true,
            Event::Text(text) => match (open.len(), found.last_mut()) {
                (2, Some((_, value))) => value.push_str(&String::from_utf8_lossy(&text)),
                _ if text.iter().all(u8::is_ascii_whitespace) => {}
                _ => return Err(ServiceError::invalid_document("unexpected text")),
            },
            Event::Eof if ended => break,
            Event::Eof => return Err(ServiceError::invalid_document(format!("expected the element {root}"))),
            Event::Decl(_) | Event::Comment(_) => {}
            _ => return Err(ServiceError::invalid_document("unexpected markup")),
        }
    }
    found.iter_mut().for_each(|(_, value)| *value = value.trim().to_owned());
    Ok(found)
}

/// The elements of a document that hold nothing but text, each with the names that lead to it below the root. At most `limit`,
/// and no deeper than [`DEPTH_MAX`]. Text beside an element is an error.
pub(crate) fn leaves(document: &[u8], root: &str, limit: usize) -> Result<Vec<(Vec<String>, String)>, ServiceError> {
    let mut reader = Reader::from_reader(document);
    let mut open: Vec<String> = Vec::new();
    let mut found: Vec<(Vec<String>, String)> = Vec::new();
    // What the innermost element holds, as long as that is nothing but text.
    let (mut text, mut ended) = (None::<String>, false);
    loop {
        let event = reader.read_event().map_err(ServiceError::invalid_document)?;
        let closes = matches!(event, Event::End(_) | Event::Empty(_));
        match event {
            Event::Start(element) | Event::Empty(element) => {
                let name = String::from_utf8_lossy(element.name().as_ref()).into_owned();
                let beside_text = text.as_ref().is_some_and(|text| !text.trim().is_empty());
                if (open.is_empty() && (ended || name != root)) || open.len() == DEPTH_MAX || beside_text {
                    return Err(ServiceError::invalid_document(format!("unexpected element {name}")));
                }
                open.push(name);
                text = Some(String::new());
            }
            Event::Text(more) => match &mut text {
                Some(text) => text.push_str(&String::from_utf8_lossy(&more)),
                None if more.iter().all(u8::is_ascii_whitespace) => {}
                None => return Err(ServiceError::invalid_document("unexpected text")),
            },
            Event::Eof if ended => return Ok(found),
            Event::Eof => return Err(ServiceError::invalid_document(format!("expected the element {root}"))),
            Event::End(_) | Event::Decl(_) | Event::Comment(_) => {}
            _ => return Err(ServiceError::invalid_document("unexpected markup")),
        }
        if closes {
            // What closes behind another element's end held more than text.
            if let Some(text) = text.take().filter(|_| open.len() > 1) {
                if found.len() == limit {
                    return Err(ServiceError::invalid_document(format!("more than {limit} elements")));
                }
                found.push((open[1..].to_vec(), text.trim().to_owned()));
            }
            open.pop();
            ended = open.is_empty();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaves_are_found_with_their_way() {
        let document =
            b"<P><Logging><Version>1.0</Version><Retention><Enabled>false</Enabled></Retention></Logging><Cors /></P>";
        let found = leaves(document, "P", 9).unwrap();
        let found: Vec<_> = found.iter().map(|(path, text)| (path.join("/"), text.as_str())).collect();
        let expected = [("Logging/Version", "1.0"), ("Logging/Retention/Enabled", "false"), ("Cors", "")];
        assert_eq!(found, expected.map(|(path, text)| (path.to_owned(), text)));
        assert!(leaves(document, "P", 2).is_err() && leaves(b"<Q/>", "P", 9).is_err() && leaves(b"", "P", 9).is_err());
        for bad in
            ["<P><a>true<x/></a></P>", "<P><a>true<x>1</x></a></P>", "<P><a><x/>true</a></P>", "<P>1<a/></P>", "1<P/>"]
        {
            assert!(leaves(bad.as_bytes(), "P", 9).is_err(), "{bad}");
        }
        assert_eq!(leaves(b"<P>\n <a>\n <x/>\n </a>\n</P>\n", "P", 9).unwrap().len(), 1);
    }

    #[test]
    fn lists_are_read_strictly() {
        let list = b"<?xml version='1.0'?>\n<BlockList>\n <Latest>QQ==</Latest><Committed>Qg==</Committed></BlockList>";
        let pair = |name: &str, text: &str| (name.to_owned(), text.to_owned());
        assert_eq!(read_list(list, "BlockList", 2).unwrap(), [pair("Latest", "QQ=="), pair("Committed", "Qg==")]);
        assert_eq!(read_list(b"<BlockList />", "BlockList", 2).unwrap(), []);
        assert!(read_list(list, "BlockList", 1).is_err());
        for bad in
            ["", "<Other/>", "<BlockList>", "<BlockList><a><b/></a></BlockList>", "<BlockList>x</BlockList>", "{}"]
        {
            assert!(read_list(bad.as_bytes(), "BlockList", 9).is_err(), "{bad}");
        }
    }
}
