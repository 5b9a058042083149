//! How time is divided into intervals: of a fixed length, or days, weeks and months of a time zone.

use std::time::Duration;

use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::Timestamp;

/// The length of intervals, and with it where they begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IntervalLength {
    /// All of this length; they begin at its multiples since 1970 (UTC).
    Fixed(Duration),
    /// Of the calendar.
    Calendar(Unit, Zone),
}

/// A unit of the calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// From midnight to midnight.
    Day,
    /// From Monday to Monday.
    Week,
    /// From the first to the first.
    Month,
}

/// A time zone of the IANA database, as it was when it was looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone(TimeZone);

impl Zone {
    /// UTC.
    pub const fn utc() -> Self {
        Self(TimeZone::UTC)
    }

    /// The zone of this name (`Asia/Shanghai`), whatever its case: of the system's database, or of
    /// that which is built in.
    pub fn named(name: &str) -> Option<Self> {
        TimeZone::get(name).ok().map(Self)
    }

    /// The names there are.
    pub fn names() -> Vec<String> {
        let names = jiff::tz::db().available();
        names.map(|name| name.as_str().to_owned()).collect()
    }

    /// As the database writes it.
    pub fn name(&self) -> &str {
        self.0.iana_name().unwrap_or("UTC")
    }

    /// The first moment of a day. Where clocks are set forward at midnight, that is not 0:00.
    fn begin(&self, date: Date) -> Option<Timestamp> {
        let midnight = date.to_datetime(jiff::civil::Time::midnight());
        let first = self.0.to_timestamp(midnight).ok()?.as_nanosecond();
        // What began before 1970 goes on from there.
        Some(Timestamp(u64::try_from(first.max(0)).ok()?))
    }

    fn date(&self, at: Timestamp) -> Option<Date> {
        let at = jiff::Timestamp::from_nanosecond(i128::from(at.0)).ok()?;
        Some(self.0.to_datetime(at).date())
    }
}

impl Unit {
    /// What records call it.
    pub const fn slug(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
        }
    }

    const fn days(self) -> u64 {
        match self {
            Self::Day => 1,
            Self::Week => 7,
            Self::Month => 30,
        }
    }

    /// The first day of the one that `date` is in.
    fn first(self, date: Date) -> Option<Date> {
        match self {
            Self::Day => Some(date),
            Self::Week => {
                let since = i64::from(date.weekday().to_monday_zero_offset());
                date.checked_sub(jiff::Span::new().days(since)).ok()
            }
            Self::Month => Some(date.first_of_month()),
        }
    }

    /// The first day of the one after that which begins with `first`.
    fn next(self, first: Date) -> Option<Date> {
        let span = match self {
            Self::Day => jiff::Span::new().days(1),
            Self::Week => jiff::Span::new().days(7),
            Self::Month => jiff::Span::new().months(1),
        };
        first.checked_add(span).ok()
    }
}

impl IntervalLength {
    /// The start of the interval that `at` is in.
    pub fn start(&self, at: Timestamp) -> Timestamp {
        self.around(at).0
    }

    /// The start of the interval that `at` is in, and its end: the first moment that is not in it.
    pub fn around(&self, at: Timestamp) -> (Timestamp, Timestamp) {
        match self {
            Self::Fixed(length) => {
                let start = at.floor(*length);
                (start, start.after(*length))
            }
            // The calendar goes far beyond what a timestamp holds.
            Self::Calendar(unit, zone) => calendar(at, *unit, zone).unwrap_or_else(|| {
                let length = Duration::from_secs(86_400 * unit.days());
                let start = at.floor(length);
                (start, start.after(length))
            }),
        }
    }
}

fn calendar(at: Timestamp, unit: Unit, zone: &Zone) -> Option<(Timestamp, Timestamp)> {
    let mut first = unit.first(zone.date(at)?)?;
    loop {
        let next = unit.next(first)?;
        let (start, end) = (zone.begin(first)?, zone.begin(next)?);
        // Clocks that are set back over midnight show the end of a day again after the next has begun.
        if at < end {
            return Some((start, end));
        }
        first = next;
    }
}

impl From<Duration> for IntervalLength {
    fn from(length: Duration) -> Self {
        Self::Fixed(length)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> Timestamp {
        let at: jiff::Timestamp = text.parse().unwrap();
        Timestamp(at.as_nanosecond().try_into().unwrap())
    }

    /// Offsets of zones are in the database; hours of days follow.
    #[test]
    fn days_weeks_and_months_begin_where_people_say() {
        use Unit::{Day, Month, Week};
        for (zone, unit, moment, start, end, hours) in [
            (
                "UTC",
                Day,
                "2026-01-02T03:04:05Z",
                "2026-01-02T00:00:00Z",
                "2026-01-03T00:00:00Z",
                24,
            ),
            // Eight hours before Greenwich, all year.
            (
                "Asia/Shanghai",
                Day,
                "2026-01-02T15:59:59.999999999Z",
                "2026-01-01T16:00:00Z",
                "2026-01-02T16:00:00Z",
                24,
            ),
            (
                "Asia/Shanghai",
                Day,
                "2026-01-02T16:00:00Z",
                "2026-01-02T16:00:00Z",
                "2026-01-03T16:00:00Z",
                24,
            ),
            (
                "asia/shanghai",
                Week,
                "2026-01-04T15:59:59Z",
                "2025-12-28T16:00:00Z",
                "2026-01-04T16:00:00Z",
                168,
            ),
            (
                "Asia/Shanghai",
                Month,
                "2026-02-28T16:00:00Z",
                "2026-02-28T16:00:00Z",
                "2026-03-31T16:00:00Z",
                31 * 24,
            ),
            // Summer time begins on 29 March 2026 and ends on 25 October: days of 23 and of 25 hours.
            (
                "Europe/Berlin",
                Day,
                "2026-03-29T12:00:00Z",
                "2026-03-28T23:00:00Z",
                "2026-03-29T22:00:00Z",
                23,
            ),
            (
                "Europe/Berlin",
                Day,
                "2026-10-25T00:30:00Z",
                "2026-10-24T22:00:00Z",
                "2026-10-25T23:00:00Z",
                25,
            ),
            (
                "Europe/Berlin",
                Day,
                "2026-10-25T01:30:00Z",
                "2026-10-24T22:00:00Z",
                "2026-10-25T23:00:00Z",
                25,
            ),
            (
                "Europe/Berlin",
                Week,
                "2026-03-29T21:59:59Z",
                "2026-03-22T23:00:00Z",
                "2026-03-29T22:00:00Z",
                167,
            ),
            (
                "Europe/Berlin",
                Month,
                "2026-10-25T01:30:00Z",
                "2026-09-30T22:00:00Z",
                "2026-10-31T23:00:00Z",
                31 * 24 + 1,
            ),
            (
                "America/New_York",
                Day,
                "2026-03-08T12:00:00Z",
                "2026-03-08T05:00:00Z",
                "2026-03-09T04:00:00Z",
                23,
            ),
            // Half an hour of summer time.
            (
                "Australia/Lord_Howe",
                Week,
                "2026-04-05T00:00:00Z",
                "2026-03-29T13:00:00Z",
                "2026-04-05T13:30:00Z",
                168,
            ),
            // Midnight of 15 October 2017 did not exist: the day began at 1:00.
            (
                "America/Sao_Paulo",
                Day,
                "2017-10-15T12:00:00Z",
                "2017-10-15T03:00:00Z",
                "2017-10-16T02:00:00Z",
                23,
            ),
            // A day that did not exist: 30 December 2011.
            (
                "Pacific/Apia",
                Day,
                "2011-12-30T09:59:59Z",
                "2011-12-29T10:00:00Z",
                "2011-12-30T10:00:00Z",
                24,
            ),
            (
                "Asia/Kolkata",
                Month,
                "1970-01-01T00:00:00Z",
                "1970-01-01T00:00:00Z",
                "1970-01-31T18:30:00Z",
                30 * 24 + 18,
            ),
            (
                "UTC",
                Month,
                "2028-02-29T23:59:59Z",
                "2028-02-01T00:00:00Z",
                "2028-03-01T00:00:00Z",
                29 * 24,
            ),
        ] {
            let length = IntervalLength::Calendar(unit, Zone::named(zone).unwrap());
            let found = length.around(at(moment));
            assert_eq!(found, (at(start), at(end)), "{zone} {unit:?} {moment}");
            let found = found.1.since(found.0).as_secs() / 3600;
            assert_eq!(found, hours, "{zone} {unit:?} {moment}");
        }
        assert_eq!(Zone::named("Asia/Shangai"), None);
    }

    #[test]
    fn fixed_lengths_are_aligned_to_1970() {
        let week = IntervalLength::Fixed(Duration::from_secs(7 * 86_400));
        // A Thursday, as 1 January 1970 was.
        assert_eq!(
            week.start(at("2026-01-07T00:00:00Z")),
            at("2026-01-01T00:00:00Z")
        );
    }

    proptest! {
        /// No moment is in two intervals or in none, in any zone, the days on which Samoa left out one
        /// and those that clocks set back over midnight showed twice included.
        #[test]
        fn intervals_are_next_to_one_another(
            zone in prop::sample::select(vec![
                "UTC", "Asia/Shanghai", "Europe/Berlin", "America/Sao_Paulo", "Pacific/Apia",
                "America/Goose_Bay", "Australia/Lord_Howe", "Africa/Casablanca", "Asia/Beirut",
            ]),
            unit in prop::sample::select(vec![Unit::Day, Unit::Week, Unit::Month]),
            seconds in 0..4_102_444_800_u64,
        ) {
            let length = IntervalLength::Calendar(unit, Zone::named(zone).unwrap());
            let at = Timestamp::new(seconds, 7);
            let (start, end) = length.around(at);
            prop_assert!(start <= at && at < end);
            prop_assert_eq!(length.around(start), (start, end));
            prop_assert_eq!(length.start(Timestamp(end.0 - 1)), start);
            prop_assert_eq!(length.start(end), end);
        }

        #[test]
        fn any_moment_has_one(at in any::<u64>()) {
            let zone = Zone::named("Europe/Berlin").unwrap();
            let (start, _) = IntervalLength::Calendar(Unit::Month, zone).around(Timestamp(at));
            prop_assert!(start <= Timestamp(at));
        }
    }
}
