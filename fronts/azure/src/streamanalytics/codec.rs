//! The body in which result rows go to functions: an array of the rows. Whatever the function answers without failing, it
//! has taken all of them.
//!
//! Source: the Stream Analytics documentation, "Azure Functions output".

use bytes::Bytes;
use millstream_query::{DeliveryAnswer, DeliveryRecord, OutputCodec};

/// Rows of one body: the service's own default batch count.
const RECORDS_MAX: usize = 100;

/// The shape of the service.
#[derive(Debug, Clone, Copy, Default)]
pub struct FunctionOutputCodec;

impl OutputCodec for FunctionOutputCodec {
    fn encode(&self, _query: &str, records: &[DeliveryRecord]) -> Bytes {
        let mut body = Vec::with_capacity(records.iter().map(|record| record.data.len() + 1).sum::<usize>() + 2);
        body.push(b'[');
        for (index, record) in records.iter().enumerate() {
            if index > 0 {
                body.push(b',');
            }
            body.extend_from_slice(&record.data);
        }
        body.push(b']');
        Bytes::from(body)
    }

    fn decode(&self, records: &[DeliveryRecord], _answer: &[u8]) -> Option<Vec<DeliveryAnswer>> {
        Some(records.iter().map(|record| DeliveryAnswer { id: record.id.clone(), ok: true }).collect())
    }

    fn records_max(&self) -> usize {
        RECORDS_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_one_array_and_taken_together() {
        let record = |id: &str, data: &'static [u8]| DeliveryRecord {
            id: id.into(),
            attempts: 0,
            data: Bytes::from_static(data),
        };
        let records = [record("1", b"{\"a\":1}"), record("2", b"{\"a\":2}")];
        assert_eq!(&FunctionOutputCodec.encode("q", &records)[..], b"[{\"a\":1},{\"a\":2}]");
        assert_eq!(&FunctionOutputCodec.encode("q", &[])[..], b"[]");
        let said = FunctionOutputCodec.decode(&records, b"").unwrap();
        assert!(said.len() == 2 && said.iter().all(|answer| answer.ok));
    }
}
