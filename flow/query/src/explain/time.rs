//! How time moves: which time events go by, what becomes of those that do not fit, and what the watermark waits for.

use millstream_catalog::{EventOrder, OrderPolicy};

use super::line;
use crate::plan::{Program, SourcePlan, TimeSource};
use crate::time_policy::EARLY_MS;

/// What is said of the time of a source.
pub(super) fn source_lines(text: &mut String, source: &SourcePlan, order: &EventOrder) {
    line(text, &format!("time of {}", source.name));
    let TimeSource::Event(time) = &source.time else {
        line(text, "  of an event: its arrival, so none is early, late or out of order");
        line(text, "  watermark of a shard: the time before which nothing can still arrive; it needs no events");
        return;
    };
    line(text, &format!("  of an event: {}", time.text));
    if let Some(behind) = source.watermark_ms {
        let behind = lasting(behind);
        line(text, &format!("  out of order, more than {behind} behind others of its shard: dropped"));
        line(
            text,
            &format!("  watermark of a shard: its latest time less {behind}; does not move while nothing arrives"),
        );
        return;
    }
    line(text, &format!("  early, more than {} ahead of its arrival: dropped", lasting(EARLY_MS)));
    let becomes = match order.policy {
        OrderPolicy::Adjust => "its time becomes the edge",
        OrderPolicy::Drop => "dropped",
    };
    let disorder = lasting(order.out_of_order_tolerance_ms);
    let unlimited = order.late_tolerance_ms == EventOrder::LATE_WITHOUT_LIMIT;
    let late = lasting(order.late_tolerance_ms);
    match unlimited {
        true => line(text, "  late: never, it may come any time after"),
        false => line(text, &format!("  late, more than {late} behind its arrival: {becomes}")),
    }
    if !source.timelines.is_empty() {
        let keys: Vec<&str> = source.timelines.iter().map(|key| key.text.as_str()).collect();
        let keys = keys.join(", ");
        line(text, &format!("  out of order, more than {disorder} behind others of its {keys}: {becomes}"));
        line(text, &format!("  watermark of a shard: the latest arrival less {late}"));
        line(text, "  state: the time of each timeline that is ahead of the watermark");
        return;
    }
    line(text, &format!("  out of order, more than {disorder} behind others of its shard: {becomes}"));
    let idle = match unlimited {
        true => "does not move while nothing arrives".to_owned(),
        false => format!("the clock's time less {late} while nothing arrives"),
    };
    line(text, &format!("  watermark of a shard: its latest time less {disorder}; {idle}"));
}

/// What is said of the watermark of the query.
pub(super) fn watermark_lines(text: &mut String, program: &Program) {
    let of = if program.sources.len() > 1 { " of all sources" } else { "" };
    line(text, &format!("watermark of the query: the least of all shards{of}; one that is behind holds up all"));
}

/// A length of time as people write it: `1 min`, `90 s`, `1500 ms`.
pub(super) fn lasting(millis: i64) -> String {
    const UNITS: [(i64, &str); 4] = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1_000, "s")];
    let whole = UNITS.iter().find(|(unit, _)| millis != 0 && millis % unit == 0);
    match whole {
        Some((unit, name)) => format!("{} {name}", millis / unit),
        None if millis == 0 => "0 s".to_owned(),
        None => format!("{millis} ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_written_in_the_largest_unit_that_is_whole() {
        for (millis, text) in [
            (0, "0 s"),
            (1, "1 ms"),
            (1_500, "1500 ms"),
            (90_000, "90 s"),
            (60_000, "1 min"),
            (-3_600_000, "-1 h"),
            (172_800_000, "2 d"),
        ] {
            assert_eq!(lasting(millis), text);
        }
    }
}
