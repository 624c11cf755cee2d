//! Requests and batches under changed bytes: no panic, no memory that the bytes do not pay for, and a batch that is taken is
//! written and taken the same. See `millstream_fuzz`.

use bytes::Bytes;
use millstream_fuzz::{Memory, Target, as_it_is};

use crate::api::SERVED;
use crate::operation::tests::{ask, frame, kafka};
use crate::records::tests::{batch, mend, packed_batch, record};
use crate::records::{RecordBytes, decode};

/// What librdkafka 2.16 and the Java client 4.1 were recorded to say: one request a line, in hexadecimal digits.
const RECORDED: &str = include_str!("recorded.txt");

fn recorded() -> impl Iterator<Item = Vec<u8>> {
    RECORDED.lines().map(|line| hex::decode(line).unwrap())
}

#[test]
fn requests() {
    let mut corpus: Vec<Vec<u8>> = recorded().collect();
    for served in &SERVED {
        let (first, last) = served.versions;
        corpus.extend(
            [first, last].map(|version| frame(served.key, version, served.is_flexible(version), &[0; 64]).to_vec()),
        );
    }
    // A request may ask for topics of 32 partitions each and be told of all of them.
    let memory = Memory { fixed: 8 << 20, per_byte: 4 << 10 };
    let target = Target { name: "Kafka requests", corpus: &corpus, mend: as_it_is, memory, rounds: 4_000 };
    let mut taken = 0;
    target.run(|input| taken += u32::from(ask(&kafka(true), Bytes::copy_from_slice(input)).is_ok()));
    assert!(taken > 1_000, "changes leave many requests that are taken: {taken}");
}

#[test]
fn what_clients_were_recorded_to_say_is_taken() {
    for request in recorded() {
        let taken = ask(&kafka(true), Bytes::from(request.clone()));
        assert!(taken.is_ok(), "{}: {}", hex::encode(request), taken.unwrap_err());
    }
}

#[test]
fn batches() {
    let value = Bytes::from(b"value ".repeat(50));
    let records = [record(5), RecordBytes { key: None, value: Some(value), ..record(3) }, record(-1)];
    let mut corpus = vec![batch(&records).to_vec(), batch(&records[..1]).to_vec()];
    corpus.extend((1..=4).map(|codec| packed_batch(codec, &records)));
    /// Bytes that a batch may unpack to; a decoder has a history besides (zstd: 8 MiB).
    const ROOM: usize = 64 << 10;
    let memory = Memory { fixed: 12 << 20, per_byte: 256 };
    let target = Target { name: "Kafka batches", corpus: &corpus, mend, memory, rounds: 20_000 };
    let mut taken = 0;
    target.run(|input| {
        let Ok(unpacked) = decode(Bytes::copy_from_slice(input), ROOM) else { return };
        assert!(unpacked.len() <= ROOM.max(input.len()));
        let records: Result<Vec<RecordBytes>, _> = unpacked.records().collect();
        let Ok(records) = records else { return };
        taken += 1;
        // Without a time of its own a record is given one.
        let timed: Vec<_> = records.into_iter().map(|r| RecordBytes { time: r.time.or(Some(0)), ..r }).collect();
        let again: Vec<_> = decode(batch(&timed), usize::MAX / 2).unwrap().records().map(Result::unwrap).collect();
        // A base time below zero says that there is none.
        let untimed = |records: &[RecordBytes]| {
            records.iter().map(|r| (r.key.clone(), r.value.clone(), r.headers.clone())).collect::<Vec<_>>()
        };
        assert_eq!(untimed(&again), untimed(&timed));
    });
    assert!(taken > 1_000, "changes leave many batches that are taken: {taken}");
}
