//! Calls a day as bars, drawn here: no script, no style attribute, and a title that is read aloud.

use askama::Template;
use jiff::civil::Date;

use crate::format::{calls, day};

/// The chart's height and a day's width, in its own units.
const HEIGHT: u64 = 100;
const DAY_WIDTH: usize = 10;

/// Days with their calls, the oldest first.
#[derive(Template)]
#[template(path = "partials/chart.html")]
pub struct Chart {
    width: usize,
    bars: Vec<Bar>,
    first: String,
    last: String,
    peak: String,
    label: String,
}

struct Bar {
    x: usize,
    y: u64,
    height: u64,
    title: String,
}

impl Chart {
    /// A chart of days.
    pub fn of(days: &[(Date, u64)]) -> Self {
        let peak = days.iter().map(|(_, calls)| *calls).max().unwrap_or(0);
        let bar = |(index, (date, called)): (usize, &(Date, u64))| {
            // A single call is seen too.
            let height = if *called == 0 { 0 } else { (called.saturating_mul(HEIGHT) / peak.max(1)).max(2) };
            let title = format!("{}: {}", day(*date), calls(*called));
            Bar { x: index * DAY_WIDTH + 1, y: HEIGHT - height, height, title }
        };
        let shown = |date: Option<&(Date, u64)>| date.map(|(date, _)| day(*date)).unwrap_or_default();
        let sum = days.iter().map(|(_, calls)| *calls).sum();
        Self {
            width: days.len() * DAY_WIDTH,
            bars: days.iter().enumerate().map(bar).collect(),
            first: shown(days.first()),
            last: shown(days.last()),
            peak: calls(peak),
            label: format!("{} in {} days, {} on the busiest", calls(sum), days.len(), calls(peak)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_as_high_as_their_days() {
        let days: Vec<(Date, u64)> = [("2026-11-19", 0), ("2026-11-20", 1), ("2026-11-21", 1_000)]
            .map(|(day, calls)| (day.parse().unwrap(), calls))
            .into();
        let chart = Chart::of(&days);
        assert_eq!(chart.bars.iter().map(|bar| (bar.x, bar.height)).collect::<Vec<_>>(), [(1, 0), (11, 2), (21, 100)]);
        assert_eq!(chart.label, "1,001 calls in 3 days, 1,000 calls on the busiest");
        assert!(Chart::of(&[]).bars.is_empty());
    }
}
