//! The query protocol of older clients: forms become the members of the JSON protocol, and its answers XML.
//!
//! Source: the 2012-11-05 version of the API: the words of its lists and maps, and its errors.

use bytes::Bytes;
use http::Response;
use millstream_http::xml::Element;
use serde_json::{Map, Value, json};

use super::{Sqs, error};
use crate::json_protocol::{JsonRequest, ServiceError};
use crate::query_protocol::{self, Parameters, QueryRequest};

const NAMESPACE: &str = "http://queue.amazonaws.com/doc/2012-11-05/";

/// Lists of texts: the word of a form, the JSON member.
const TEXTS: [(&str, &str); 6] = [
    ("AttributeName", "AttributeNames"),
    ("MessageAttributeName", "MessageAttributeNames"),
    ("MessageSystemAttributeName", "MessageSystemAttributeNames"),
    ("TagKey", "TagKeys"),
    ("AWSAccountId", "AWSAccountIds"),
    ("ActionName", "Actions"),
];

/// Maps of texts: the words of a form for the map, its keys and values, the JSON member.
const MAPS: [(&str, &str, &str, &str); 2] =
    [("Attribute", "Name", "Value", "Attributes"), ("Tag", "Key", "Value", "Tags")];

/// Maps of typed values.
const TYPED: [(&str, &str); 2] =
    [("MessageAttribute", "MessageAttributes"), ("MessageSystemAttribute", "MessageSystemAttributes")];

/// Lists of structures.
const ENTRIES: [&str; 3] =
    ["SendMessageBatchRequestEntry", "DeleteMessageBatchRequestEntry", "ChangeMessageVisibilityBatchRequestEntry"];

/// Members that are numbers.
const NUMBERS: [&str; 6] = [
    "DelaySeconds",
    "MaxNumberOfMessages",
    "VisibilityTimeout",
    "WaitTimeSeconds",
    "MaxResults",
    "MaxNumberOfMessagesPerSecond",
];

pub(super) async fn answer(sqs: &Sqs, request: &QueryRequest) -> Response<Bytes> {
    let called = match input(request) {
        Ok(input) => {
            let request = JsonRequest {
                operation: request.action.clone(),
                body: Bytes::from(input.to_string()),
                request_id: request.request_id.clone(),
                headers: request.headers.clone(),
                scheme: request.scheme,
                caller: request.caller.clone(),
            };
            sqs.call(&request).await
        }
        Err(error) => Err(error),
    };
    match called {
        Ok(output) => query_protocol::answer(NAMESPACE, &request.action, &request.request_id, |result| {
            write_members(result, &request.action, &output);
        }),
        Err(fault) => {
            let code = error::query_code(&fault.code);
            query_protocol::error(NAMESPACE, &ServiceError { code, ..fault }, &request.request_id)
        }
    }
}

/// A form as the JSON protocol has it. The address of the queue may be that of the request.
fn input(request: &QueryRequest) -> Result<Value, ServiceError> {
    let mut input = structure(&request.parameters)?;
    if !input.contains_key("QueueUrl") && request.path.len() > 1 {
        input.insert("QueueUrl".to_owned(), json!(request.path));
    }
    for word in ENTRIES {
        let entries = request.parameters.structures_of(word, "");
        if !entries.is_empty() {
            let entries = entries.iter().map(structure).collect::<Result<Vec<_>, _>>()?;
            input.insert("Entries".to_owned(), json!(entries));
        }
    }
    Ok(Value::Object(input))
}

/// The members of a request or an entry. Of a list or a map one item alone may come without a number.
fn structure(parameters: &Parameters) -> Result<Map<String, Value>, ServiceError> {
    let mut members = Map::new();
    for (name, text) in parameters.iter().filter(|(name, _)| !name.contains('.')) {
        let value = if NUMBERS.contains(&name) { json!(number(name, text)?) } else { json!(text) };
        members.insert(name.to_owned(), value);
    }
    for (word, member) in TEXTS {
        let mut texts = parameters.texts_of(word, "");
        texts.extend(parameters.get(word).map(str::to_owned));
        if !texts.is_empty() {
            members.insert(member.to_owned(), json!(texts));
        }
    }
    for (word, key, value, member) in MAPS {
        let mut entries = parameters.entries(word, "", key, value);
        let alone = parameters.under(word);
        if let (Some(key), Some(value)) = (alone.get(key), alone.get(value)) {
            entries.push((key.to_owned(), value.to_owned()));
        }
        if !entries.is_empty() {
            let map: Map<String, Value> = entries.into_iter().map(|(key, value)| (key, json!(value))).collect();
            members.insert(member.to_owned(), Value::Object(map));
        }
    }
    for (word, member) in TYPED {
        let entries = parameters.structures_of(word, "");
        if !entries.is_empty() {
            let typed = |entry: &Parameters| {
                let value: Map<String, Value> =
                    entry.under("Value").iter().map(|(name, text)| (name.to_owned(), json!(text))).collect();
                (entry.get("Name").unwrap_or_default().to_owned(), Value::Object(value))
            };
            members.insert(member.to_owned(), Value::Object(entries.iter().map(typed).collect()));
        }
    }
    Ok(members)
}

fn number(name: &str, text: &str) -> Result<i64, ServiceError> {
    let wrong =
        |_| error::invalid(format!("Value {text} for parameter {name} is invalid. Reason: Must be an integer."));
    text.parse().map_err(wrong)
}

/// Writes the members of an answer of `action`.
fn write_members(parent: &mut Element, action: &str, members: &Value) {
    for (name, value) in members.as_object().into_iter().flatten() {
        match value {
            Value::Array(items) => {
                let word = item_word(action, name);
                items.iter().for_each(|item| write_value(parent, action, &word, item));
            }
            Value::Object(map) if name == "Tags" => write_map(parent, "Tag", "Key", map),
            Value::Object(map) => write_map(parent, name.trim_end_matches('s'), "Name", map),
            value => write_value(parent, action, name, value),
        }
    }
}

fn write_value(parent: &mut Element, action: &str, name: &str, value: &Value) {
    match value {
        Value::String(text) => parent.text(name, text),
        Value::Object(_) => parent.child(name, |child| write_members(child, action, value)),
        other => parent.text(name, &other.to_string()),
    }
}

/// A map of texts or of typed values: a repeated element with a key and a value.
fn write_map(parent: &mut Element, word: &str, key: &str, map: &Map<String, Value>) {
    for (name, value) in map {
        parent.child(word, |entry| {
            entry.text(key, name);
            write_value(entry, "", "Value", value);
        });
    }
}

/// How an item of a list is named.
fn item_word(action: &str, list: &str) -> String {
    match list {
        "QueueUrls" | "queueUrls" => "QueueUrl".to_owned(),
        "Messages" => "Message".to_owned(),
        "Successful" => format!("{action}ResultEntry"),
        "Failed" => "BatchResultErrorEntry".to_owned(),
        _ => format!("{action}ResultEntry"),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use millstream_http::xml;

    use super::*;

    fn read(form: &str) -> Value {
        let parameters = Parameters::parse(form.as_bytes()).unwrap();
        let request = QueryRequest {
            action: "X".into(),
            path: "/000000000000/q".into(),
            parameters,
            headers: HeaderMap::new(),
            scheme: "http",
            request_id: String::new(),
            caller: millstream_access::Caller::Root,
            origin: millstream_access::Origin::Development,
        };
        input(&request).unwrap()
    }

    #[test]
    fn forms_become_json() {
        assert_eq!(
            read(
                "MessageBody=b&DelaySeconds=5&MessageAttribute.1.Name=n&MessageAttribute.1.Value.DataType=String\
                  &MessageAttribute.1.Value.StringValue=v&AttributeName.1=All&Tag.1.Key=k&Tag.1.Value=t"
            ),
            json!({
                "DelaySeconds": 5, "MessageBody": "b", "AttributeNames": ["All"], "Tags": { "k": "t" },
                "MessageAttributes": { "n": { "DataType": "String", "StringValue": "v" } }, "QueueUrl": "/000000000000/q",
            })
        );
        let batch =
            read("QueueUrl=u&DeleteMessageBatchRequestEntry.1.Id=a&DeleteMessageBatchRequestEntry.1.ReceiptHandle=r");
        assert_eq!(batch, json!({ "QueueUrl": "u", "Entries": [{ "Id": "a", "ReceiptHandle": "r" }] }));
    }

    #[test]
    fn one_attribute_needs_no_number() {
        let form = read("Attribute.Name=DelaySeconds&Attribute.Value=7&AttributeName=All");
        assert_eq!((&form["Attributes"], &form["AttributeNames"]), (&json!({ "DelaySeconds": "7" }), &json!(["All"])));
    }

    #[test]
    fn answers_become_xml() {
        let output = json!({ "Messages": [{
            "Body": "<b>", "Attributes": { "SenderId": "1" },
            "MessageAttributes": { "n": { "DataType": "String", "StringValue": "v" } },
        }] });
        let document = xml::document("R", &[], |root| write_members(root, "ReceiveMessage", &output));
        let text = String::from_utf8(document.to_vec()).unwrap();
        assert!(
            text.ends_with(
                "<R><Message><Body>&lt;b&gt;</Body><Attribute><Name>SenderId</Name><Value>1</Value></Attribute>\
             <MessageAttribute><Name>n</Name><Value><DataType>String</DataType><StringValue>v</StringValue></Value>\
             </MessageAttribute></Message></R>"
            ),
            "{text}"
        );
    }
}
