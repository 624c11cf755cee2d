//! Segments whose bits flip: what is read is what was written, what is lost is told, and a repair makes the folder whole.

use super::*;
use crate::recovery::log_records;
use crate::repair::segments::DamagedSegments;

impl World {
    /// A life of some transactions that checkpoints brought into segments.
    fn filled(seed: u64) -> Self {
        let mut world = Self::new(seed);
        let engine = world.open().unwrap();
        for number in 0..30 {
            let transaction = any_transaction(&mut world.random, number);
            let ticket = engine.submit(transaction.clone()).unwrap();
            world.submitted.push((transaction, ticket.receipt().append_time));
            engine.commit_once(&mut Blocks::default());
            if world.random.below(8) == 0 {
                engine.checkpoint(false).unwrap();
            }
        }
        engine.checkpoint(false).unwrap();
        world
    }

    /// Flips a bit of a segment; `false` when there is none.
    fn flip_a_segment(&mut self) -> bool {
        let mut segments = Vec::new();
        for (log, _) in self.disk.list("logs").unwrap() {
            let files = self.disk.list(&format!("logs/{log}")).unwrap().into_iter().filter(|(_, length)| *length > 0);
            segments.extend(files.map(|(name, length)| (format!("logs/{log}/{name}"), length as usize)));
        }
        if segments.is_empty() {
            return false;
        }
        let (name, length) = &segments[self.random.below(segments.len())];
        self.disk.flip(name, self.random.below(*length), self.random.below(8) as u8);
        true
    }

    /// Opens the folder again and compares what is read of it with the model; gives the records that are lost.
    fn lost_records(&self) -> Vec<(u64, u64)> {
        let stores = Stores {
            options: options(self.durability),
            clock: self.clock.clone(),
            disk: Arc::new(self.disk.clone()),
            keys: Arc::new(self.keys.clone()),
        };
        let (engine, _) = recovery::recover(stores).unwrap();
        let mut lost = Vec::new();
        for (id, (first, next, records)) in view_of_model(&self.submitted).0.into_iter().enumerate() {
            let Some(log) = engine.log(LogId(id as u64)) else { continue };
            assert_eq!((log.bounds().first, log.bounds().next), (first, next));
            let (mut offset, mut found) = (first, Vec::new());
            while offset < next {
                for batch in log.read(&*engine.disk, offset, 300).unwrap() {
                    assert!(batch.base_offset <= offset && offset < batch.next_offset());
                    if batch.is_lost() {
                        lost.extend((offset..batch.next_offset()).map(|offset| (id as u64, offset)));
                    }
                    found.extend(batch.records().filter(|record| record.offset >= offset));
                    offset = batch.next_offset();
                }
            }
            let is_lost = |record: &Record| lost.contains(&(id as u64, record.offset));
            let left: Vec<_> = records.into_iter().filter(|record| !is_lost(record)).collect();
            assert_eq!(found, left);
        }
        assert!(engine.segment_damage().len() < 2, "one bit damages one batch: {:?}", engine.segment_damage());
        lost
    }
}

#[test]
fn a_flipped_bit_in_a_segment_costs_one_batch_until_a_repair_gives_it_up() {
    let (mut told, mut lost_ever, mut copied) = (0, 0, 0);
    for seed in 1..=400 {
        let mut world = World::filled(seed);
        if !world.flip_a_segment() {
            continue;
        }
        let records = log_records(&world.keys).unwrap();
        let find = || DamagedSegments::find(&world.disk, &records).unwrap();
        let found = find().shown();
        told += found.len();
        copied += found.iter().filter(|damage| damage.copied).count();
        find().mend(&world.disk).unwrap();
        assert_eq!(find().shown(), [], "seed {seed}");
        let lost = world.lost_records();
        lost_ever += lost.len();
        let expected = found.iter().filter(|damage| !damage.copied).map(|damage| damage.records).sum::<u64>();
        // Those that retention let go of already are not missed.
        assert!(lost.len() as u64 <= expected, "seed {seed}: {lost:?} {found:?}");
    }
    assert!(told > 100 && lost_ever > 20 && copied > 20, "{told} {lost_ever} {copied}");
}

#[test]
fn a_flipped_bit_in_a_segment_keeps_no_reader_from_the_rest() {
    let mut lost = 0;
    for seed in 1..=400 {
        let mut world = World::filled(seed);
        if world.flip_a_segment() {
            lost += world.lost_records().len();
        }
    }
    assert!(lost > 20, "{lost}");
}
