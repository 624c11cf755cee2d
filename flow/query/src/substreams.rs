//! Timelines of their own within a shard (`TIMESTAMP BY … OVER key`): which event is out of order is told from those of its key alone.
//!
//! What is late is told from arrivals, so rows of all keys are complete up to the arrivals less the late tolerance. That is the
//! shard's watermark then: no event raises it, and a key that is not ahead of it needs no clock.
//!
//! Source: "TIMESTAMP BY (Azure Stream Analytics)", "OVER clause interacts with event ordering".

use std::collections::BTreeMap;

use millstream_catalog::{EventOrder, OrderPolicy};

use crate::executor::state::{Reader, StateError, Writer};
use crate::time_policy::{Dropped, OrderCounts, ShardTime};

/// What the clocks of a shard may take.
const CLOCKS_BYTES_MAX: usize = 64 * 1024 * 1024;

/// What a clock takes besides its key.
const CLOCK_BYTES: usize = 96;

/// The clocks of a shard's substreams.
#[derive(Default)]
pub(crate) struct Substreams {
    /// By key how far its time has come, where that is further than the shard's.
    clocks: BTreeMap<Box<[u8]>, i64>,
    bytes: usize,
    /// As many clocks are let stand until those that are not ahead are looked for.
    swept: usize,
}

/// Too many keys are ahead of their shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "more than {} MiB of keys have timelines of their own at once; use fewer or shorter keys behind OVER, or a smaller late arrival tolerance",
    CLOCKS_BYTES_MAX / 1024 / 1024
)]
pub(crate) struct TooManyClocks;

impl Substreams {
    /// The time a row of a key goes by. `event` is its own time, `arrival` when the log took it.
    pub(crate) fn place(
        &mut self,
        key: &[u8],
        (event, arrival): (i64, i64),
        shard: &ShardTime,
        order: &EventOrder,
        counts: &mut OrderCounts,
    ) -> Result<i64, Dropped> {
        let mut time = counts.timely(event, arrival, order)?;
        let floor = shard.watermark();
        let clock = self.clocks.get(key).map_or(floor, |clock| floor.max(*clock));
        if time < clock {
            counts.out_of_order += 1;
            match order.policy {
                OrderPolicy::Drop => return Err(Dropped::OutOfOrder),
                OrderPolicy::Adjust => time = clock,
            }
        }
        let come = time.saturating_sub(order.out_of_order_tolerance_ms);
        if come > clock && self.clocks.insert(key.into(), come).is_none() {
            self.bytes += key.len() + CLOCK_BYTES;
        }
        Ok(time)
    }

    /// Lets go of clocks that are not ahead of the shard's time, when there may be many of them.
    pub(crate) fn sweep(&mut self, shard: &ShardTime) -> Result<(), TooManyClocks> {
        if self.clocks.len() > 2 * self.swept || self.bytes > CLOCKS_BYTES_MAX {
            self.clocks.retain(|_, clock| *clock > shard.watermark());
            self.swept = self.clocks.len().max(1_000);
            self.bytes = self.clocks.keys().map(|key| key.len() + CLOCK_BYTES).sum();
        }
        if self.bytes > CLOCKS_BYTES_MAX { Err(TooManyClocks) } else { Ok(()) }
    }

    pub(crate) fn write(&self, shard: &ShardTime, writer: &mut Writer) {
        let ahead = || self.clocks.iter().filter(|(_, clock)| **clock > shard.watermark());
        writer.count(ahead().count());
        for (key, clock) in ahead() {
            writer.bytes(key);
            writer.int(*clock);
        }
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, StateError> {
        let mut substreams = Self::default();
        for _ in 0..reader.count()? {
            let key: Box<[u8]> = reader.bytes()?.into();
            substreams.bytes += key.len() + CLOCK_BYTES;
            substreams.clocks.insert(key, reader.int()?);
        }
        substreams.swept = substreams.clocks.len();
        Ok(substreams)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORDER: EventOrder =
        EventOrder { late_tolerance_ms: 60_000, out_of_order_tolerance_ms: 2_000, policy: OrderPolicy::Drop };

    /// Rows of keys with their times and arrivals in seconds: what becomes of them.
    fn placed(order: &EventOrder, rows: &[(&str, i64, i64)]) -> Vec<Result<i64, Dropped>> {
        let (mut substreams, mut shard) = (Substreams::default(), ShardTime::default());
        let mut counts = OrderCounts::default();
        let mut place = |(key, event, arrival): &(&str, i64, i64)| {
            shard.caught_up(arrival * 1_000, Some(order));
            let placed = substreams.place(key.as_bytes(), (event * 1_000, arrival * 1_000), &shard, order, &mut counts);
            substreams.sweep(&shard).unwrap();
            placed.map(|time| time / 1_000)
        };
        rows.iter().map(&mut place).collect()
    }

    #[test]
    fn a_key_is_out_of_order_only_behind_its_own_events() {
        let rows = [("a", 100, 100), ("b", 60, 101), ("a", 98, 102), ("a", 97, 103), ("b", 58, 104), ("b", 57, 105)];
        let expected = [Ok(100), Ok(60), Ok(98), Err(Dropped::OutOfOrder), Ok(58), Err(Dropped::OutOfOrder)];
        assert_eq!(placed(&ORDER, &rows), expected);
        let adjusting = EventOrder { policy: OrderPolicy::Adjust, ..ORDER };
        assert_eq!(placed(&adjusting, &rows), [Ok(100), Ok(60), Ok(98), Ok(98), Ok(58), Ok(58)]);
    }

    /// Whether an event is late hangs on its arrival, whatever its key; so it is with one that is early.
    #[test]
    fn lateness_is_of_all_keys() {
        let rows = [("a", 100, 100), ("b", 39, 100), ("b", 401, 100), ("c", 40, 100)];
        assert_eq!(placed(&ORDER, &rows), [Ok(100), Err(Dropped::Late), Err(Dropped::Early), Ok(40)]);
    }

    #[test]
    fn clocks_that_are_not_ahead_are_let_go() {
        let (mut substreams, mut shard) = (Substreams::default(), ShardTime::default());
        for row in 0..10_000i64 {
            shard.caught_up(row * 1_000, Some(&ORDER));
            let times = (row * 1_000, row * 1_000);
            substreams.place(row.to_string().as_bytes(), times, &shard, &ORDER, &mut OrderCounts::default()).unwrap();
            substreams.sweep(&shard).unwrap();
        }
        assert!(substreams.clocks.len() <= 2_001, "{}", substreams.clocks.len());
        let mut writer = Writer::default();
        substreams.write(&shard, &mut writer);
        let read = Substreams::read(&mut Reader(&writer.0)).unwrap();
        assert_eq!(read.clocks.len(), 58, "those of the last minute, as far as they are ahead");
    }

    #[test]
    fn clocks_are_bounded() {
        let (mut substreams, shard) = (Substreams::default(), ShardTime::default());
        let told = (0..200u32).find_map(|number| {
            let key = [number.to_be_bytes().as_slice(), &[0; 1 << 20]].concat();
            let _ = substreams.place(&key, (0, 0), &shard, &ORDER, &mut OrderCounts::default());
            substreams.sweep(&shard).err()
        });
        assert_eq!(told, Some(TooManyClocks));
    }
}
