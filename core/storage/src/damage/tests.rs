//! Bytes of a segment flipped at every place: no read gives anything else than what was written, and what is lost is the one
//! batch that was hit.

use std::sync::Arc;

use millstream_types::{EncodedRecords, LogId, RecordBatch};

use super::*;
use crate::blocks::Blocks;
use crate::disk::simulated::SimulatedDisk;
use crate::frame::checksum;
use crate::segment_writer::{Written, encode};

const LOG: LogId = LogId(3);

/// Batches of one to three records whose append times differ, so that each stands alone in the file.
fn batches(number: usize, data: &[u8]) -> Vec<RecordBatch> {
    let mut base_offset = 10;
    let batch = |number: usize| {
        let mut records = EncodedRecords::default();
        (0..=number % 3).for_each(|part| records.push(b"key", b"", &[data, &[number as u8, part as u8]].concat()));
        let (bytes, count) = records.freeze();
        let batch = RecordBatch { base_offset, count, append_time: 100 + number as i64, bytes };
        base_offset = batch.next_offset();
        batch
    };
    (0..number).map(batch).collect()
}

/// A disk with a segment that holds them, and how far that reaches.
fn written(batches: &[RecordBatch]) -> (SimulatedDisk, Reach) {
    let disk = SimulatedDisk::default();
    let segment = Arc::new(Segment::empty(LOG, 10));
    disk.create(&segment.path).unwrap();
    let written = Written::write(&disk, segment, batches, u64::MAX, &mut Blocks::default()).unwrap();
    written.sync().unwrap();
    written.publish();
    (disk, written.segment.reach())
}

/// Everything from an offset on in steps of a few bytes, and how much of it is lost. What is read follows what was read
/// before, to the end.
fn read(segment: &Segment, disk: &SimulatedDisk, mut offset: u64) -> (Vec<RecordBatch>, u64) {
    let (mut sound, mut lost) = (Vec::new(), 0);
    while offset < segment.reach().next {
        let found = segment.read(disk, offset, 40).unwrap();
        assert!(!found.is_empty(), "a reader at {offset} gets on");
        for batch in found {
            assert!(batch.base_offset <= offset && offset < batch.next_offset(), "{offset} {batch:?}");
            offset = batch.next_offset();
            if batch.is_lost() { lost += u64::from(batch.count) } else { sound.push(batch) }
        }
    }
    (sound, lost)
}

#[test]
fn a_flipped_bit_costs_the_batch_that_it_hits_and_no_other() {
    let all = batches(7, b"value");
    let (disk, reach) = written(&all);
    let ends = all.iter().scan(0, |end, batch| {
        *end += HEAD + batch.bytes.len();
        Some(*end)
    });
    let ends: Vec<usize> = ends.collect();
    for position in 0..reach.bytes as usize {
        let hit = ends.partition_point(|end| *end <= position);
        for bit in 0..8 {
            let segment = Segment::existing(LOG, 10, reach);
            disk.flip(&segment.path, position, bit);
            let left: Vec<_> = all.iter().enumerate().filter(|(at, _)| *at != hit).map(|(_, it)| it.clone()).collect();
            let count = u64::from(all[hit].count);
            assert_eq!(read(&segment, &disk, 10), (left, count), "byte {position}, bit {bit}");
            let [part] = &segment.damaged()[..] else { panic!("byte {position}: {:?}", segment.damaged()) };
            let shown = part.shown(&segment);
            let begin = ends[hit] - HEAD - all[hit].bytes.len();
            assert_eq!((shown.position, shown.bytes), (begin as u64, (ends[hit] - begin) as u64));
            assert_eq!((shown.first_offset, shown.records, shown.copied), (all[hit].base_offset, count, false));
            disk.flip(&segment.path, position, bit);
        }
    }
}

#[test]
fn readers_begin_at_any_offset_and_time_of_a_damaged_segment() {
    let all = batches(9, &[b'x'; 30_000]);
    let (disk, reach) = written(&all);
    for hit in 0..all.len() {
        let path = Segment::existing(LOG, 10, reach).path;
        let position = all[..hit].iter().map(|batch| HEAD + batch.bytes.len()).sum::<usize>();
        disk.flip(&path, position, 1);
        for offset in 10..reach.next {
            // The index is built over the damage by whoever reads first.
            let segment = Segment::existing(LOG, 10, reach);
            let (sound, lost) = read(&segment, &disk, offset);
            let wanted = all.iter().enumerate().filter(|(at, batch)| *at != hit && batch.next_offset() > offset);
            assert!(sound.iter().eq(wanted.map(|(_, batch)| batch)), "{hit} {offset}");
            assert_eq!(lost > 0, all[hit].next_offset() > offset);
        }
        let segment = Segment::existing(LOG, 10, reach);
        for time in 100..109 {
            let at = segment.offset_at_time(&disk, time).unwrap().unwrap_or(reach.next);
            let first = all.iter().enumerate().find(|(at, batch)| *at != hit && batch.append_time >= time);
            let first = first.map_or(reach.next, |(_, batch)| batch.base_offset);
            assert!(at <= first && read(&segment, &disk, at).0.first().is_none_or(|it| it.append_time >= time));
        }
        disk.flip(&path, position, 1);
    }
}

#[test]
fn zeros_over_several_batches_and_a_short_file_cost_what_stood_there() {
    let all = batches(8, b"value");
    let (disk, reach) = written(&all);
    let segment = Segment::existing(LOG, 10, reach);
    let file = disk.open(&segment.path).unwrap();
    let begin = (HEAD + all[0].bytes.len()) as u64;
    file.write_at(&[0; 150], begin + 5).unwrap();
    let (sound, lost) = read(&segment, &disk, 10);
    assert_eq!(sound.first(), all.first());
    let behind = all.iter().position(|batch| Some(batch) == sound.get(1)).unwrap();
    assert_eq!(sound[1..], all[behind..]);
    assert_eq!(lost, all[behind].base_offset - all[1].base_offset);

    // A file whose successor tells how far it should reach.
    file.set_length(begin + 7).unwrap();
    let short = Segment::existing(LOG, 10, Reach { bytes: begin + 7, ..reach });
    assert_eq!(read(&short, &disk, 10), (all[..1].to_vec(), reach.next - all[1].base_offset));
    // Of one that is lost altogether nobody knows how old it was, so that no age takes those before it.
    assert_eq!(Segment::existing(LOG, 10, Reach { bytes: begin, ..reach }).first_time(&disk).unwrap(), Some(100));
    file.write_at(&vec![0; begin as usize], 0).unwrap();
    assert_eq!(Segment::existing(LOG, 10, Reach { bytes: begin, ..reach }).first_time(&disk).unwrap(), None);
    file.set_length(0).unwrap();
    let empty = Segment::existing(LOG, 10, Reach { bytes: 0, ..reach });
    assert_eq!(read(&empty, &disk, 10), (Vec::new(), reach.next - 10));
}

/// The same bytes as an earlier version would have written each batch of them.
fn unplaced(batches: &[RecordBatch]) -> Vec<u8> {
    let mut content = Vec::new();
    for batch in batches {
        let begin = content.len();
        content.extend(encode(std::slice::from_ref(batch), begin as u64));
        content[begin..begin + 4].copy_from_slice(b"msb1");
        let sum = checksum(&content[begin + 8..]);
        content[begin + 4..begin + 8].copy_from_slice(&sum.to_le_bytes());
    }
    content
}

#[test]
fn what_a_record_carries_does_not_pass_for_a_batch() {
    // A payload that is a part of a segment itself, with offsets that would fit.
    for carried in [encode(&batches(3, b"carried"), 0), unplaced(&batches(1, b"carried"))] {
        // One leaves the magic, the other does not, so that it is not known of which version the segment's batches are.
        for flipped in [9, 0] {
            carried_is_passed_over(&carried, flipped);
        }
    }
}

fn carried_is_passed_over(carried: &[u8], flipped: usize) {
    let mut all = batches(2, b"value");
    let mut records = EncodedRecords::default();
    records.push(b"", b"", carried);
    let (bytes, count) = records.freeze();
    all.insert(0, RecordBatch { base_offset: 10, count, append_time: 1, bytes });
    let mut next = 10;
    for batch in &mut all {
        batch.base_offset = next;
        next = batch.next_offset();
    }
    let (disk, reach) = written(&all);
    let segment = Segment::existing(LOG, 10, reach);
    disk.flip(&segment.path, flipped, 0);
    assert_eq!(read(&segment, &disk, 10), (all[1..].to_vec(), 1));
}

#[test]
fn segments_of_earlier_versions_are_read() {
    let all = batches(5, b"value");
    let content = unplaced(&all);
    let disk = SimulatedDisk::default();
    let reach = Reach { bytes: content.len() as u64, next: all[4].next_offset() };
    let segment = Segment::existing(LOG, 10, reach);
    let file = disk.create(&segment.path).unwrap();
    file.write_at(&content, 0).unwrap();
    file.sync().unwrap();
    assert_eq!(read(&segment, &disk, 10), (all.clone(), 0));
    assert!(segment.damaged().is_empty());
    let segment = Segment::existing(LOG, 10, reach);
    disk.flip(&segment.path, HEAD + all[0].bytes.len() + 40, 3);
    assert_eq!(read(&segment, &disk, 10).1, u64::from(all[1].count));
}

#[test]
fn a_segment_that_grows_behind_damage_is_read_to_its_end() {
    let all = batches(6, b"value");
    let (disk, reach) = written(&all[..3]);
    let segment = Arc::new(Segment::existing(LOG, 10, reach));
    disk.flip(&segment.path, reach.bytes as usize - 1, 0);
    assert_eq!(read(&segment, &disk, 10), (all[..2].to_vec(), u64::from(all[2].count)));
    let more = Written::write(&disk, Arc::clone(&segment), &all[3..], u64::MAX, &mut Blocks::default()).unwrap();
    more.publish();
    let left = [&all[..2], &all[3..]].concat();
    assert_eq!(read(&segment, &disk, 10), (left, u64::from(all[2].count)));
    assert_eq!(segment.damaged().len(), 1, "it is told once");
}
