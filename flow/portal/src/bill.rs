//! What a subscription costs, month by month: its price, the months in which it was there, the calls of each day.
//!
//! A month begun is paid as a whole; calls beyond those included are paid each. Amounts are exact until a month's sum is
//! rounded to hundredths. All in UTC.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::ToSpan as _;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use millstream_catalog::{Money, Price};
use millstream_types::Millis;

/// Months that a bill goes back: the gateway keeps the calls of a little more.
const MONTHS_MAX: usize = 13;

/// A month of a calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Month {
    /// The year.
    pub year: i16,
    /// 1 to 12.
    pub month: i8,
}

impl Month {
    /// The month of a time.
    #[must_use]
    pub fn of(time: Millis) -> Self {
        let date = date_of(time);
        Self { year: date.year(), month: date.month() }
    }

    /// The month after it.
    #[must_use]
    pub fn next(self) -> Self {
        if self.month == 12 { Self { year: self.year + 1, month: 1 } } else { Self { month: self.month + 1, ..self } }
    }

    /// The month before it.
    #[must_use]
    pub fn before(self) -> Self {
        if self.month == 1 { Self { year: self.year - 1, month: 12 } } else { Self { month: self.month - 1, ..self } }
    }

    /// Its first day.
    #[must_use]
    pub fn first(self) -> Date {
        Date::new(self.year, self.month, 1).unwrap_or(Date::ZERO)
    }

    /// Its last day.
    #[must_use]
    pub fn last(self) -> Date {
        self.first().last_of_month()
    }
}

/// `2026-11`.
impl std::fmt::Display for Month {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{:04}-{:02}", self.year, self.month)
    }
}

/// What one month cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The month.
    pub month: Month,
    /// All calls.
    pub calls: u64,
    /// Those beyond the included ones.
    pub paid_calls: u64,
    /// For the month.
    pub fee: Money,
    /// For the calls, exact.
    pub calls_cost: Money,
    /// Both, in whole hundredths.
    pub total: Money,
}

/// The months of a subscription, the latest first. `calls` are those of each day; `ended`: when it ended, if it did.
#[must_use]
pub fn bill(
    price: &Price,
    began: Millis,
    ended: Option<Millis>,
    now: Millis,
    calls: &BTreeMap<Date, u64>,
) -> Vec<Line> {
    let first = Month::of(began);
    let mut month = Month::of(ended.map_or(now, |ended| ended.min(now)).max(began));
    let mut lines = Vec::new();
    while month >= first && lines.len() < MONTHS_MAX {
        lines.push(line(price, month, calls.range(month.first()..=month.last()).map(|(_, calls)| *calls).sum()));
        month = month.before();
    }
    lines
}

fn line(price: &Price, month: Month, calls: u64) -> Line {
    let paid_calls = calls.saturating_sub(price.included_calls);
    let calls_cost = price.call.times(paid_calls);
    Line { month, calls, paid_calls, fee: price.month, calls_cost, total: price.month.plus(calls_cost).rounded() }
}

/// The day of a time, in UTC.
#[must_use]
pub fn date_of(time: Millis) -> Date {
    Timestamp::from_millisecond(time).unwrap_or(Timestamp::UNIX_EPOCH).to_zoned(TimeZone::UTC).date()
}

/// The first day of which bills know the calls.
#[must_use]
pub fn oldest_day(now: Millis) -> Date {
    let months = i64::try_from(MONTHS_MAX).unwrap_or(13) - 1;
    Month::of(now).first().checked_sub(months.months()).unwrap_or(Date::ZERO)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Millis {
        text.parse::<Timestamp>().unwrap().as_millisecond()
    }

    fn price(month: &str, included_calls: u64, call: &str) -> Price {
        Price { month: Money::parse(month).unwrap(), included_calls, call: Money::parse(call).unwrap() }
    }

    #[test]
    fn months_begun_and_calls_beyond_the_included_are_paid() {
        let calls = BTreeMap::from([
            ("2026-09-30".parse().unwrap(), 400),
            ("2026-10-01".parse().unwrap(), 900),
            ("2026-10-31".parse().unwrap(), 225),
            ("2026-12-01".parse().unwrap(), 7),
        ]);
        let (began, now) = (at("2026-09-30T23:59:59.999Z"), at("2026-11-02T00:00:00Z"));
        let found = bill(&price("29", 1_000, "0.0125"), began, None, now, &calls);
        let told: Vec<_> = found
            .iter()
            .map(|line| format!("{} {} {} {} {}", line.month, line.calls, line.paid_calls, line.calls_cost, line.total))
            .collect();
        assert_eq!(told, ["2026-11 0 0 0.00 29.00", "2026-10 1125 125 1.5625 30.56", "2026-09 400 0 0.00 29.00"]);
        let ended = bill(&price("29", 0, "0"), began, Some(at("2026-10-01T00:00:00Z")), now, &calls);
        assert_eq!(ended.iter().map(|line| line.month.to_string()).collect::<Vec<_>>(), ["2026-10", "2026-09"]);
    }

    #[test]
    fn years_end_and_bills_are_bounded() {
        let (december, january) = (Month { year: 2026, month: 12 }, Month { year: 2027, month: 1 });
        assert_eq!((december.next(), january.before()), (january, december));
        assert_eq!(
            (december.last().to_string(), january.first().to_string()),
            ("2026-12-31".into(), "2027-01-01".into())
        );
        let now = at("2026-11-02T00:00:00Z");
        assert_eq!(bill(&price("1", 0, "0"), 0, None, now, &BTreeMap::new()).len(), MONTHS_MAX);
        assert_eq!(oldest_day(now).to_string(), "2025-11-01");
        // A clock that went back: the month of the begin is there all the same.
        assert_eq!(bill(&price("1", 0, "0"), now, None, 0, &BTreeMap::new()).len(), 1);
    }
}
