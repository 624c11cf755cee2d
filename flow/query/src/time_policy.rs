//! Event time: which time a row goes by, whether it is early, late or out of order, and how far time has come.
//!
//! The order of the rules is Stream Analytics': early (dropped), late (adjusted or dropped), out of order (adjusted or
//! dropped). Rows that go by their arrival are never any of these. Source: "Understand time handling in Azure Stream Analytics".

use millstream_catalog::{EventOrder, OrderPolicy};

use crate::executor::state::{Reader, StateError, Writer};

/// How far an event may be ahead of its arrival.
pub(crate) const EARLY_MS: i64 = 5 * 60 * 1_000;

/// Rows that a policy touched.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OrderCounts {
    /// More than five minutes ahead of their arrival: dropped.
    pub early: u64,
    /// Behind their arrival by more than the tolerance: adjusted or dropped.
    pub late: u64,
    /// Behind other events by more than the tolerance: adjusted or dropped.
    pub out_of_order: u64,
}

impl OrderCounts {
    /// The time of a row that is neither early nor late, or is adjusted so that it is not.
    pub(crate) fn timely(&mut self, event: i64, arrival: i64, order: &EventOrder) -> Result<i64, Dropped> {
        if event > arrival.saturating_add(EARLY_MS) {
            self.early += 1;
            return Err(Dropped::Early);
        }
        let oldest = arrival.saturating_sub(order.late_tolerance_ms);
        if event >= oldest {
            return Ok(event);
        }
        self.late += 1;
        match order.policy {
            OrderPolicy::Drop => Err(Dropped::Late),
            OrderPolicy::Adjust => Ok(oldest),
        }
    }
}

/// The time of one shard.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ShardTime {
    /// The greatest event time so far.
    greatest: i64,
    /// Complete up to here: every later row has this time or a later one.
    watermark: i64,
}

impl Default for ShardTime {
    fn default() -> Self {
        Self { greatest: i64::MIN, watermark: i64::MIN }
    }
}

/// Why a row is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dropped {
    Early,
    Late,
    OutOfOrder,
}

impl Dropped {
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::Early => "early",
            Self::Late => "late",
            Self::OutOfOrder => "out of order",
        }
    }
}

impl ShardTime {
    /// The time of a shard that joins others whose time has come so far.
    pub(crate) fn joining(watermark: i64) -> Self {
        Self { watermark, ..Self::default() }
    }

    pub(crate) fn watermark(&self) -> i64 {
        self.watermark
    }

    /// The time a row goes by. `event` is its own time, `arrival` when the log took it.
    pub(crate) fn place(
        &mut self,
        event: i64,
        arrival: i64,
        order: &EventOrder,
        counts: &mut OrderCounts,
    ) -> Result<i64, Dropped> {
        let mut time = counts.timely(event, arrival, order)?;
        if time < self.watermark {
            counts.out_of_order += 1;
            match order.policy {
                OrderPolicy::Drop => return Err(Dropped::OutOfOrder),
                OrderPolicy::Adjust => time = self.watermark,
            }
        }
        self.greatest = self.greatest.max(time);
        self.raise(self.greatest.saturating_sub(order.out_of_order_tolerance_ms));
        Ok(time)
    }

    /// The time of a row that goes by its own alone: it is dropped when it is further behind the latest than it may be.
    pub(crate) fn follow(&mut self, event: i64, behind_ms: i64, counts: &mut OrderCounts) -> Result<i64, Dropped> {
        if event < self.watermark {
            counts.out_of_order += 1;
            return Err(Dropped::OutOfOrder);
        }
        self.greatest = self.greatest.max(event);
        self.raise(self.greatest.saturating_sub(behind_ms));
        Ok(event)
    }

    /// A row that goes by its arrival.
    pub(crate) fn arrived(&mut self, arrival: i64) {
        self.raise(arrival);
    }

    /// All rows that arrived before `frontier` are here: time goes on without rows. With event time, rows may still be late
    /// by the tolerance.
    pub(crate) fn caught_up(&mut self, frontier: i64, event_time: Option<&EventOrder>) {
        let tolerance = event_time.map_or(0, |order| order.late_tolerance_ms);
        // Where rows may be late without limit, that nothing more has arrived says nothing.
        if tolerance < EventOrder::LATE_WITHOUT_LIMIT {
            self.raise(frontier.saturating_sub(tolerance));
        }
    }

    /// No row will come any more.
    pub(crate) fn ended(&mut self) {
        self.raise(i64::MAX);
    }

    fn raise(&mut self, watermark: i64) {
        self.watermark = self.watermark.max(watermark);
    }

    pub(crate) fn write(&self, writer: &mut Writer) {
        writer.int(self.greatest);
        writer.int(self.watermark);
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, StateError> {
        Ok(Self { greatest: reader.int()?, watermark: reader.int()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000;

    fn place(order: &EventOrder, events: &[(i64, i64)]) -> (Vec<Result<i64, Dropped>>, OrderCounts) {
        let (mut time, mut counts) = (ShardTime::default(), OrderCounts::default());
        let placed = events
            .iter()
            .map(|&(event, arrival)| {
                time.place(event * SECOND, arrival * SECOND, order, &mut counts).map(|placed| placed / SECOND)
            })
            .collect();
        (placed, counts)
    }

    /// Late 15 s, out of order 8 s, adjust: times of day in seconds after 00:10.
    #[test]
    fn late_and_disordered_events_are_adjusted() {
        let order =
            EventOrder { late_tolerance_ms: 15_000, out_of_order_tolerance_ms: 8_000, policy: OrderPolicy::Adjust };
        let (placed, counts) = place(&order, &[(0, 40), (30, 41), (42, 42), (38, 43), (35, 45), (20, 46)]);
        assert_eq!(placed, [Ok(25), Ok(30), Ok(42), Ok(38), Ok(35), Ok(34)]);
        assert_eq!(counts, OrderCounts { early: 0, late: 2, out_of_order: 1 });
    }

    /// Late 10 min, out of order 3 min, adjust.
    #[test]
    fn the_documents_second_example() {
        let order =
            EventOrder { late_tolerance_ms: 600_000, out_of_order_tolerance_ms: 180_000, policy: OrderPolicy::Adjust };
        let (placed, _) = place(&order, &[(0, 601), (1, 601), (600, 602), (540, 603), (360, 604)]);
        assert_eq!(placed, [Ok(1), Ok(1), Ok(600), Ok(540), Ok(420)]);
    }

    #[test]
    fn events_beyond_the_tolerances_are_dropped_and_counted() {
        let order = EventOrder { late_tolerance_ms: 5_000, out_of_order_tolerance_ms: 0, policy: OrderPolicy::Drop };
        let (placed, counts) = place(&order, &[(10, 10), (9, 10), (3, 10), (400, 10)]);
        assert_eq!(placed, [Ok(10), Err(Dropped::OutOfOrder), Err(Dropped::Late), Err(Dropped::Early)]);
        assert_eq!(counts, OrderCounts { early: 1, late: 1, out_of_order: 1 });
    }

    #[test]
    fn time_goes_on_without_events() {
        let mut time = ShardTime::default();
        time.caught_up(65_000, Some(&EventOrder::default()));
        assert_eq!(time.watermark(), 60_000);
        time.caught_up(
            70_000,
            Some(&EventOrder { late_tolerance_ms: EventOrder::LATE_WITHOUT_LIMIT, ..EventOrder::default() }),
        );
        assert_eq!(time.watermark(), 60_000, "only events move it then");
        time.caught_up(66_000, None);
        assert_eq!(time.watermark(), 66_000);
    }
}
