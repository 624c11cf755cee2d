//! What requests are signed over with an account's key. Pure.
//!
//! Source: the Azure Storage REST reference, "Authorize with Shared Key", for versions from 2015-02-21 on.

use std::cmp::Ordering;

use super::target::Target;
use crate::request::AzureRequest;

/// The headers that are signed by their place, in this order.
const SIGNED_HEADERS: [&str; 11] = [
    "content-encoding",
    "content-language",
    "content-length",
    "content-md5",
    "content-type",
    "date",
    "if-modified-since",
    "if-match",
    "if-none-match",
    "if-unmodified-since",
    "range",
];

/// The texts that the client may have signed. The documents say that headers are sorted by their names, clients sort
/// them by the order of words, which leaves hyphens out: where both differ, either is right.
pub(crate) fn strings_to_sign(request: &AzureRequest, target: &Target) -> Vec<String> {
    let mut names: Vec<&str> =
        request.headers.keys().map(http::HeaderName::as_str).filter(|name| name.starts_with("x-ms-")).collect();
    names.sort_unstable();
    let mut words = names.clone();
    words.sort_by(|one, other| by_words(one, other));
    let mut texts = vec![string_to_sign(request, target, &names)];
    if words != names {
        texts.push(string_to_sign(request, target, &words));
    }
    texts
}

fn string_to_sign(request: &AzureRequest, target: &Target, names: &[&str]) -> String {
    let mut text = format!("{}\n", request.method);
    for name in SIGNED_HEADERS {
        let value = match name {
            // The time is signed with the service's own headers then.
            "date" if request.headers.contains_key("x-ms-date") => String::new(),
            _ => value(request, name),
        };
        if !(name == "content-length" && value == "0") {
            text.push_str(&value);
        }
        text.push('\n');
    }
    for name in names {
        text.push_str(&format!("{name}:{}\n", value(request, name)));
    }
    text.push_str(&resource(request, target));
    text
}

/// The account once more before the path, which begins with the account itself: addresses by path have it twice.
fn resource(request: &AzureRequest, target: &Target) -> String {
    let mut text = format!("/{}{}", target.account, request.path);
    let mut parameters: Vec<(&str, &str)> =
        target.parameters.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    parameters.sort_unstable();
    for same_name in parameters.chunk_by(|one, other| one.0 == other.0) {
        let values: Vec<&str> = same_name.iter().map(|(_, value)| *value).collect();
        text.push_str(&format!("\n{}:{}", same_name[0].0, values.join(",")));
    }
    text
}

fn value(request: &AzureRequest, name: &str) -> String {
    let values = request.headers.get_all(name).iter();
    let values: Vec<String> = values.map(|value| String::from_utf8_lossy(value.as_bytes()).trim().to_owned()).collect();
    values.join(",")
}

/// The order of header names as words: without hyphens, and marks before digits before letters.
fn by_words(one: &str, other: &str) -> Ordering {
    let rank = |byte: u8| match byte {
        b'0'..=b'9' => (1, byte),
        b'a'..=b'z' => (2, byte),
        mark => (0, mark),
    };
    let ranks = |name: &str| -> Vec<(u8, u8)> { name.bytes().filter(|byte| *byte != b'-').map(rank).collect() };
    ranks(one).cmp(&ranks(other)).then_with(|| one.cmp(other))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::{HeaderMap, HeaderName, HeaderValue, Method};

    use super::*;

    fn request(method: Method, path: &str, query: &str, headers: &[(&str, &str)]) -> AzureRequest {
        let pair = |(name, value): &(&str, &str)| {
            (HeaderName::try_from(*name).unwrap(), HeaderValue::from_str(value).unwrap())
        };
        AzureRequest {
            peer: std::net::Ipv4Addr::LOCALHOST.into(),
            method,
            path: path.into(),
            query: query.into(),
            headers: headers.iter().map(pair).collect::<HeaderMap>(),
            host: String::new(),
            scheme: "http",
            body: Bytes::new(),
            request_id: String::new(),
        }
    }

    #[test]
    fn the_signed_text_is_the_documented_one() {
        let headers = [
            ("x-ms-date", "Fri, 26 Jun 2015 23:39:12 GMT"),
            ("date", "not signed"),
            ("x-ms-version", "2015-02-21"),
            ("content-length", "0"),
            ("if-match", "\"0x1\""),
        ];
        let query = "restype=container&comp=metadata&include=b&include=a%20a";
        let request = request(Method::GET, "/acc/my%20c", query, &headers);
        let target = Target::of(&request).unwrap();
        let expected = "GET\n\n\n\n\n\n\n\n\"0x1\"\n\n\n\nx-ms-date:Fri, 26 Jun 2015 23:39:12 GMT\nx-ms-version:2015-02-21\n\
                        /acc/acc/my%20c\ncomp:metadata\ninclude:a a,b\nrestype:container";
        assert_eq!(strings_to_sign(&request, &target), [expected]);
    }

    #[test]
    fn both_orders_of_header_names_are_right() {
        let headers = [("x-ms-meta-a-b", "1"), ("x-ms-meta-aa", "2")];
        let request = request(Method::PUT, "/acc/c/b", "", &headers);
        let texts = strings_to_sign(&request, &Target::of(&request).unwrap());
        assert_eq!(texts.len(), 2);
        assert!(texts[0].contains("x-ms-meta-a-b:1\nx-ms-meta-aa:2\n"));
        assert!(texts[1].contains("x-ms-meta-aa:2\nx-ms-meta-a-b:1\n"));
    }
}
