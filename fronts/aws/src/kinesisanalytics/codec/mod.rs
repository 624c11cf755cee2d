//! The events in which an application's rows and records go to functions, and what these answer.

mod input;
mod output;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::place::Place;

/// Records of one event.
const RECORDS_MAX: usize = 500;

/// The shapes of the service: of records that go through a function before a query reads them, and of rows that go to one.
pub struct LambdaCodec {
    place: Place,
}

impl LambdaCodec {
    /// For applications of a place.
    #[must_use]
    pub fn new(place: Place) -> Self {
        Self { place }
    }

    /// An event for an application with its records, and what else it says.
    fn event(&self, application: &str, records: Vec<Value>, more: Map<String, Value>) -> Bytes {
        let mut event = more;
        event.insert("invocationId".to_owned(), json!(uuid::Uuid::new_v4().to_string()));
        let arn = self.place.arn("kinesisanalytics", &format!("application/{application}"));
        event.insert("applicationArn".to_owned(), json!(arn));
        event.insert("records".to_owned(), Value::Array(records));
        Bytes::from(Value::Object(event).to_string())
    }
}

#[derive(Deserialize)]
struct Answer {
    records: Vec<AnsweredRecord>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AnsweredRecord {
    record_id: String,
    result: String,
    /// Of records that a query reads; rows have none.
    data: Option<Value>,
}
