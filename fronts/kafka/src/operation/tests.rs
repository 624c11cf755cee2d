#![allow(clippy::unwrap_used)]
//! Every operation in every version, with fields that are none and with the smallest that are.

use std::sync::Arc;

use bytes::{BufMut as _, Bytes, BytesMut};
use futures_util::FutureExt as _;
use millstream_access::Access;
use millstream_catalog::Catalog;
use millstream_group::Groups;
use millstream_insight::Insight;
use millstream_namespace::Namespaces;
use millstream_storage::Storage;
use millstream_stream::{Producers, Streams};
use millstream_types::{Clock, ManualClock};
use proptest::prelude::*;

use crate::api::SERVED;
use crate::connection::{Refused, begin};
use crate::service::{Kafka, KafkaOptions, KafkaParts};
use crate::session::Session;

pub fn kafka(open: bool) -> Kafka {
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(1_000));
    let storage = Storage::in_memory(Arc::clone(&clock));
    let catalog = Catalog::open(&storage).unwrap();
    let streams = Streams::new(storage.clone(), catalog.clone(), Arc::clone(&clock));
    let random = Arc::new(|| [7; 32]);
    Kafka::new(KafkaParts {
        namespaces: Namespaces::new(catalog.clone(), streams.clone(), Arc::clone(&clock), random, open),
        producers: Producers::open(storage.clone(), Arc::clone(&clock), streams.gate()).unwrap(),
        groups: Groups::open(storage.clone(), Arc::clone(&clock), Arc::new(|client| format!("{client}-1"))).unwrap(),
        access: Access::new(catalog.clone(), open),
        permits: Arc::new(|_, _, _| false),
        named_values: Arc::new(|_| Vec::new()),
        insight: Insight::open(&storage, Arc::clone(&clock)).unwrap(),
        options: KafkaOptions { open, create_topics: false },
        streams,
        catalog,
        clock,
    })
}

pub fn frame(key: i16, version: i16, flexible: bool, fields: &[u8]) -> Bytes {
    let mut frame = BytesMut::new();
    frame.put_i16(key);
    frame.put_i16(version);
    frame.put_i32(7);
    frame.put_i16(-1);
    if flexible {
        frame.put_u8(0);
    }
    frame.put_slice(fields);
    frame.freeze()
}

/// Takes a request and asks for its answer once: what waits is given up.
pub fn ask(kafka: &Kafka, frame: Bytes) -> Result<(), Refused> {
    let mut session = Session::new(kafka, "127.0.0.1".to_owned(), ("127.0.0.1".to_owned(), 9092));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let answer = begin(kafka, &mut session, frame).await?;
        let _ = answer.now_or_never();
        Ok(())
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_fields_do_any_harm(fields: Vec<u8>) {
        let kafka = kafka(true);
        for served in &SERVED {
            for version in served.versions.0..=served.versions.1 {
                let _ = ask(&kafka, frame(served.key, version, served.is_flexible(version), &fields));
            }
        }
    }

    #[test]
    fn no_frame_does_any_harm(frame: Vec<u8>) {
        let _ = ask(&kafka(true), frame.into());
    }
}

#[test]
fn zeros_are_a_request_of_most_operations() {
    let kafka = kafka(true);
    for served in &SERVED {
        for version in served.versions.0..=served.versions.1 {
            let request = frame(served.key, version, served.is_flexible(version), &[0; 64]);
            match ask(&kafka, request) {
                Ok(()) => {}
                // A text that may not be null, in the encoding where zero is null.
                Err(Refused::Decode(_)) if served.is_flexible(version) => {}
                Err(error) => panic!("{served:?} {version}: {error}"),
            }
        }
    }
}

#[test]
fn what_is_not_served_and_who_is_not_known_end_the_connection() {
    let (open, closed) = (kafka(true), kafka(false));
    assert!(matches!(ask(&open, frame(24, 0, false, &[])), Err(Refused::Version { key: 24, .. })));
    assert!(matches!(ask(&open, frame(3, 99, false, &[])), Err(Refused::Version { version: 99, .. })));
    assert!(ask(&open, frame(18, 99, false, &[])).is_ok(), "who asks for versions is told");
    assert!(matches!(ask(&closed, frame(3, 1, false, &[0xff; 4])), Err(Refused::Unauthenticated)));
    assert!(ask(&closed, frame(18, 0, false, &[])).is_ok());
}
