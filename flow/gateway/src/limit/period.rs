//! The periods of quotas: the calendar's days, weeks and months in UTC.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};
use millstream_catalog::{PlanQuota, QuotaPeriod};
use millstream_types::Millis;

/// A day, milliseconds.
pub(crate) const DAY: Millis = 86_400_000;

/// The day of a time, counted from 1970-01-01.
pub(crate) fn day(time: Millis) -> i64 {
    time.div_euclid(DAY)
}

/// The begin and the end of the period that a time is in.
pub(crate) fn bounds(quota: &PlanQuota, now: Millis) -> (Millis, Millis) {
    let offset = i64::from(quota.offset);
    match quota.period {
        QuotaPeriod::Day => {
            let begin = day(now) * DAY;
            (begin, begin + DAY)
        }
        QuotaPeriod::Week => {
            // 1970-01-01 was a Thursday, four days after a Sunday.
            let into = (day(now) + 4 - offset).rem_euclid(7);
            let begin = (day(now) - into) * DAY;
            (begin, begin + 7 * DAY)
        }
        QuotaPeriod::Month => month(offset, now).unwrap_or((now, now + DAY)),
    }
}

/// `None` outside the years that a calendar knows.
fn month(offset: i64, now: Millis) -> Option<(Millis, Millis)> {
    let date = Timestamp::from_millisecond(now).ok()?.to_zoned(TimeZone::UTC).date();
    let begins = |first: Date| first.checked_add(offset.days()).ok();
    let this = date.first_of_month();
    let other = |months: i64| this.checked_add(months.months()).ok().and_then(begins);
    let (begin, end) = match begins(this)? {
        begin if begin <= date => (begin, other(1)?),
        end => (other(-1)?, end),
    };
    let at = |date: Date| Some(date.to_zoned(TimeZone::UTC).ok()?.timestamp().as_millisecond());
    Some((at(begin)?, at(end)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_begin_where_the_calendar_and_the_offset_say() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap().as_millisecond();
        let date = |millis| Timestamp::from_millisecond(millis).unwrap().strftime("%F").to_string();
        for (period, offset, now, begin, end) in [
            (QuotaPeriod::Day, 0, "2026-11-21T23:59:59.999Z", "2026-11-21", "2026-11-22"),
            (QuotaPeriod::Day, 0, "1969-12-31T12:00:00Z", "1969-12-31", "1970-01-01"),
            // 2026-11-21 is a Saturday.
            (QuotaPeriod::Week, 0, "2026-11-21T10:00:00Z", "2026-11-15", "2026-11-22"),
            (QuotaPeriod::Week, 6, "2026-11-21T10:00:00Z", "2026-11-21", "2026-11-28"),
            (QuotaPeriod::Week, 1, "2026-11-22T10:00:00Z", "2026-11-16", "2026-11-23"),
            (QuotaPeriod::Month, 0, "2026-02-28T10:00:00Z", "2026-02-01", "2026-03-01"),
            (QuotaPeriod::Month, 27, "2026-02-28T00:00:00Z", "2026-02-28", "2026-03-28"),
            (QuotaPeriod::Month, 27, "2026-03-27T23:00:00Z", "2026-02-28", "2026-03-28"),
            (QuotaPeriod::Month, 4, "2027-01-02T00:00:00Z", "2026-12-05", "2027-01-05"),
        ] {
            let found = bounds(&PlanQuota { limit: 1, offset, period }, at(now));
            assert_eq!((date(found.0), date(found.1)), (begin.to_owned(), end.to_owned()), "{now} {period:?} {offset}");
        }
    }
}
