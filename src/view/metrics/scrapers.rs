//! Who scrapes, and how far each has seen the series.
//!
//! `increase()` takes the first sample of a series for what was there before: all that it counts up
//! to then is lost. So a new series stands at 0 until everyone who scrapes has been given a page
//! with it, and has its value from the next page on. A series never goes back to 0: that would be
//! taken for a restart, and what it had counted, for new.

use std::collections::BTreeMap;
use std::net::IpAddr;

/// Scrapers that are remembered.
const MOST: usize = 64;
/// How long a scraper is waited for that has come once, in snapshots (a second each): the longest
/// usual interval is a minute.
const FIRST_WAIT: u64 = 120;
/// How long any is waited for.
const LONGEST_WAIT: u64 = 600;

/// Those who scrape, by address.
#[derive(Debug, Default)]
pub(super) struct Scrapers {
    known: BTreeMap<IpAddr, Scraper>,
}

/// One of them.
#[derive(Clone, Copy, Debug)]
struct Scraper {
    /// Number of the snapshot of its last page.
    last: u64,
    /// Snapshots between its last two pages; zero with one page.
    interval: u64,
    /// Series that were on its last page.
    seen: usize,
}

impl Scraper {
    /// Whether its next page is to be expected at the snapshot of this number.
    fn is_awaited(&self, now: u64) -> bool {
        let wait = match self.interval {
            0 => FIRST_WAIT,
            // One that fails, and a delay.
            interval => (3 * interval).clamp(5, LONGEST_WAIT),
        };
        now.saturating_sub(self.last) <= wait
    }
}

impl Scrapers {
    /// `address` asks for the snapshot of number `now`, which has so many series. Gives how many of
    /// them, the oldest, all who scrape have seen before.
    pub(super) fn ask(&mut self, address: IpAddr, now: u64, series: usize) -> usize {
        let awaited = self.known.values().filter(|one| one.is_awaited(now));
        let seen = awaited.map(|one| one.seen).min().unwrap_or_default();
        let before = self.known.get(&address);
        let interval = before.map_or(0, |before| match now.saturating_sub(before.last) {
            // Twice the same snapshot: a person, or two behind one address.
            0 => before.interval,
            since => since,
        });
        let now = Scraper {
            last: now,
            interval,
            seen: series,
        };
        self.known.insert(address, now);
        if self.known.len() > MOST {
            let oldest = self.known.iter().min_by_key(|(_, one)| one.last);
            if let Some((&oldest, _)) = oldest {
                self.known.remove(&oldest);
            }
        }
        seen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_waits_for_all_who_scrape() {
        let of = |last: u8| IpAddr::from([192, 0, 2, last]);
        // Who asks, at which snapshot, how many series there are, and how many all have seen.
        let rows = [
            (1, 10, 3, 0),
            (1, 25, 5, 3),
            // One that comes for the first time is waited for from now on, and does not take back.
            (2, 30, 6, 5),
            (1, 40, 6, 5),
            (2, 45, 6, 6),
            (1, 55, 9, 6),
            (2, 60, 9, 6),
            (1, 70, 9, 9),
            // The second comes no more: it is waited for three of its intervals.
            (1, 85, 10, 9),
            (1, 100, 10, 9),
            (1, 115, 10, 10),
            // Nobody came for long: none is known that has seen anything.
            (1, 900, 12, 0),
            (1, 900, 12, 12),
        ];
        let mut scrapers = Scrapers::default();
        for (place, (who, now, series, expected)) in rows.into_iter().enumerate() {
            assert_eq!(scrapers.ask(of(who), now, series), expected, "row {place}");
        }
        for number in 0..=255 {
            scrapers.ask(of(number), 1000 + u64::from(number), 1);
        }
        assert_eq!(scrapers.known.len(), MOST);
    }
}
