//! The plain line a minute of a live run without a view, out of two successive [`Snapshot`]s.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use super::health;
use super::number::{
    bits_per_second, brief_percent, bytes, grouped, packets_per_second, per_second,
};
use super::snapshot::{Snapshot, SourceReport};
use super::summary::{By, label};
use super::text::harmless;
use crate::usage::Ledger;
use crate::usage::ledger::Volume;

/// Names on the line.
const TOP: usize = 3;

/// What happened between two snapshots, in a line of text without its end. Times are UTC.
///
/// Shares are of the bytes that were on the wire in between; what settled then may have come
/// before, so the shares of a short while can sum up to more than all.
pub fn line(before: &Snapshot, now: &Snapshot) -> String {
    let time = now.at.since(before.at);
    let wire = now
        .ledger
        .wire
        .bytes
        .saturating_sub(before.ledger.wire.bytes);
    let frames = now
        .ledger
        .wire
        .packets
        .saturating_sub(before.ledger.wire.packets);
    let mut text = minute(now);
    text.push(' ');
    text.push_str(&interfaces(&now.sources));
    let _ = write!(
        text,
        " {} {}; flows {}/{}",
        bits_per_second(wire, time),
        packets_per_second(frames, time),
        grouped(now.flows_held),
        grouped(now.flows_limit),
    );
    let top = top(before, now);
    if !top.is_empty() {
        text.push_str("; top ");
        for (place, (name, volume)) in top.iter().take(TOP).enumerate() {
            let comma = if place > 0 { ", " } else { "" };
            let _ = write!(text, "{comma}{name} {}", brief_percent(*volume, wire));
        }
    }
    let unknown = unknown(&now.ledger).saturating_sub(unknown(&before.ledger));
    let _ = write!(text, "; unknown {}", brief_percent(unknown, wire));
    let (lost, lost_before) = (Losses::of(now), Losses::of(before));
    let _ = write!(
        text,
        "; drops {} ring {} interface {} channel",
        grouped(lost.ring.saturating_sub(lost_before.ring)),
        grouped(lost.interface.saturating_sub(lost_before.interface)),
        grouped(lost.channel.saturating_sub(lost_before.channel)),
    );
    let unsettled = now.ledger.unsettled.bytes;
    let unsettled = if wire == 0 && unsettled > 0 {
        bytes(unsettled)
    } else {
        brief_percent(unsettled, wire)
    };
    let _ = write!(text, "; unsettled {unsettled}");
    text.push_str(&alarms(before, now));
    text
}

/// Frames and records that were lost, by where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Losses {
    /// Frames dropped because a ring was full.
    pub ring: u64,
    /// Frames an interface or its driver dropped.
    pub interface: u64,
    /// Frames dropped because a channel was full.
    pub channel: u64,
    /// Flow records nobody could write in time.
    pub records: u64,
}

impl Losses {
    /// What was lost since the start, over all sources.
    pub(crate) fn of(snapshot: &Snapshot) -> Self {
        let sum = |of: fn(&SourceReport) -> u64| {
            snapshot
                .sources
                .iter()
                .fold(0_u64, |sum, source| sum.saturating_add(of(source)))
        };
        Self {
            ring: sum(|source| source.dropped_ring),
            interface: sum(|source| source.dropped_interface),
            channel: snapshot.dropped_channel.packets,
            records: snapshot.records_lost,
        }
    }
}

/// Each interface once, with the worst of its threads' states, in the order of the sources.
pub(crate) fn links(sources: &[SourceReport]) -> Vec<&SourceReport> {
    let badness = |source: &SourceReport| match source.state {
        "up" => 0,
        "down" => 1,
        _ => 2,
    };
    let mut links: Vec<&SourceReport> = Vec::new();
    for source in sources {
        match links
            .iter_mut()
            .find(|link| link.interface == source.interface)
        {
            Some(link) if badness(source) > badness(link) => *link = source,
            Some(_) => {}
            None => links.push(source),
        }
    }
    links
}

/// Bytes of flows without a name.
pub(crate) fn unknown(ledger: &Ledger) -> u64 {
    let mut sum = Volume::default();
    for &volume in &ledger.unknown {
        sum.add(volume);
    }
    sum.bytes
}

/// `12:05Z`.
fn minute(now: &Snapshot) -> String {
    let text = now.at.to_string();
    format!("{}Z", text.get(11..16).unwrap_or_default())
}

fn interfaces(sources: &[SourceReport]) -> String {
    let links: Vec<String> = links(sources)
        .into_iter()
        .map(|link| format!("{} {}", harmless(&link.interface), link.state))
        .collect();
    if links.is_empty() {
        return "no interface".to_owned();
    }
    links.join(", ")
}

/// Applications and protocols by what they grew, most first.
fn top(before: &Snapshot, now: &Snapshot) -> Vec<(String, u64)> {
    let sums = |snapshot: &Snapshot| {
        let mut sums: BTreeMap<String, u64> = BTreeMap::new();
        for (key, totals) in snapshot.cells.iter() {
            if key.app.is_some() || key.proto.is_some() {
                let name = label(key, &snapshot.set, By::App).name;
                *sums.entry(name).or_default() += totals.bytes();
            }
        }
        sums
    };
    let earlier = sums(before);
    let mut grown: Vec<(String, u64)> = sums(now)
        .into_iter()
        .map(|(name, bytes)| {
            let grown = bytes.saturating_sub(earlier.get(&name).copied().unwrap_or_default());
            (name.trim_matches(['(', ')']).to_owned(), grown)
        })
        .filter(|&(_, grown)| grown > 0)
        .collect();
    grown.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    grown
}

/// What should not be, and is said only when it is.
fn alarms(before: &Snapshot, now: &Snapshot) -> String {
    let mut text = String::new();
    if now.overloaded {
        text.push_str("; OVERLOAD: new flows are counted without inspection");
    }
    let lost = now.records_lost.saturating_sub(before.records_lost);
    if lost > 0 {
        let _ = write!(text, "; {} flow records lost", grouped(lost));
    }
    // One may be on its way.
    if now.intervals_waiting > 1 {
        let waiting = grouped(now.intervals_waiting);
        let _ = write!(
            text,
            "; {waiting} usage intervals cannot be written and wait"
        );
    }
    if !now.ledger.closes() {
        let counted = now.ledger.counted();
        let _ = write!(
            text,
            "; LEDGER DOES NOT CLOSE: {} of {} bytes, {} of {} frames counted",
            grouped(counted.bytes),
            grouped(now.ledger.wire.bytes),
            grouped(counted.packets),
            grouped(now.ledger.wire.packets),
        );
    }
    if now.reloads.refused > before.reloads.refused {
        let why = now.reloads.last_refusal.as_deref().unwrap_or("no reason");
        let why = why.lines().next().unwrap_or_default();
        let _ = write!(text, "; signatures refused: {}", harmless(why));
    } else if now.reloads.accepted > before.reloads.accepted {
        let hash = now.set.hash();
        let _ = write!(text, "; signatures now {}", hash.get(..8).unwrap_or(hash));
    }
    for fault in health::brief(&now.health.since(&before.health)) {
        let _ = write!(text, "; mirror: {fault}");
    }
    let began = now.flows.saturating_sub(before.flows);
    // The table turns over faster than flows end by themselves: sizes should be looked at.
    if now.flows_held >= now.flows_limit && now.flows_limit > 0 {
        let rate = per_second(began, now.at.since(before.at));
        let _ = write!(text, "; flow table full at {rate:.0} new flows/s");
    }
    text
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::app::{AppId, Proto};
    use crate::classify::UnknownReason;
    use crate::flow::{Counters, PerSide};
    use crate::signature::{SignatureSet, SourceFile};
    use crate::time::Timestamp;
    use crate::usage::{CellKey, Cells, Totals};

    fn set() -> Arc<SignatureSet> {
        let file = |id: u32, name: &str| {
            SourceFile::new(
                format!("video/{name}.toml"),
                format!(
                    "[app]\nid = {id}\nname = \"{name}\"\ntitle = \"{name}\"\ncategory = \"video\"\n\
                     owner = \"x\"\n[[domain]]\nsuffix = [\"{name}.example\"]\n"
                ),
            )
        };
        let files = [file(1, "netflix"), file(2, "youtube")];
        Arc::new(SignatureSet::compile_leniently(&files).0)
    }

    /// Bytes of youtube, netflix, tls and unknown, and what is unsettled; packets of 1,000 bytes.
    fn snapshot(seconds: u64, volume: [u64; 4], unsettled: u64) -> Snapshot {
        let set = set();
        let app = |name: &str| set.catalog().app_named(name);
        let key = |app: Option<AppId>, proto| CellKey {
            app,
            proto,
            ..CellKey::default()
        };
        let keys = [
            key(app("youtube"), None),
            key(app("netflix"), None),
            key(None, Some(Proto::TLS)),
            CellKey {
                unknown: Some(UnknownReason::NoMatch),
                ..CellKey::default()
            },
        ];
        let mut cells = Cells::new();
        let mut ledger = Ledger::default();
        for (key, bytes) in keys.into_iter().zip(volume) {
            let totals = Totals {
                sides: PerSide {
                    client: Counters {
                        packets: bytes / 1000,
                        bytes,
                        ip_bytes: bytes,
                    },
                    server: Counters::default(),
                },
                flows: 1,
            };
            ledger.add_cell(&key, &totals);
            cells.insert(key, totals);
        }
        ledger.unsettled.count(unsettled / 1000, unsettled);
        ledger.wire = ledger.counted();
        Snapshot {
            at: Timestamp::new(1_767_268_800 + seconds, 0),
            set,
            cells: Arc::new(cells),
            ledger,
            flows: 3 * seconds,
            flows_held: 81_233,
            flows_limit: 1_048_576,
            sources: vec![source("eth0", "up", 0)],
            ..Snapshot::default()
        }
    }

    fn source(interface: &str, state: &'static str, dropped_ring: u64) -> SourceReport {
        SourceReport {
            interface: interface.to_owned(),
            state,
            dropped_ring,
            dropped_interface: 2 * dropped_ring,
            ..SourceReport::default()
        }
    }

    const BEFORE: [u64; 4] = [1_000_000, 9_000_000, 0, 5_000_000];
    const NOW: [u64; 4] = [3_494_000_000, 1_031_000_000, 740_000_000, 270_000_000];

    #[test]
    fn says_what_happened_in_between() {
        let quiet = |now: &mut Snapshot| now.sources.clear();
        type Change = fn(&mut Snapshot);
        let cases: &[(u64, [u64; 4], u64, Change, &str)] = &[
            (
                60,
                NOW,
                30_000_000,
                |_| {},
                "12:01Z eth0 up 740 Mbit/s 92.5 kpps; flows 81,233/1,048,576; \
                 top youtube 63 %, netflix 18 %, tls 13 %; unknown 4.8 %; \
                 drops 0 ring 0 interface 0 channel; unsettled 0.5 %",
            ),
            (
                300,
                BEFORE,
                0,
                quiet,
                "12:05Z no interface 0 bit/s 0 pps; flows 81,233/1,048,576; unknown -; \
                 drops 0 ring 0 interface 0 channel; unsettled -",
            ),
            (
                60,
                BEFORE,
                0,
                |now| {
                    now.sources = vec![
                        source("eth0", "up", 1000),
                        source("eth0", "down", 234),
                        source("e\u{1b}th1", "gone", 0),
                    ];
                    now.dropped_channel.count(7, 700);
                    now.overloaded = true;
                    now.records_lost = 1_500;
                    now.ledger.wire.count(1, 100);
                    now.reloads.refused = 1;
                    now.reloads.last_refusal = Some("a.toml:3: no \u{1b}[0m\nmore".into());
                    now.flows_limit = 81_233;
                },
                "12:01Z eth0 down, e\\u{1b}th1 gone 13 bit/s 0 pps; flows 81,233/81,233; \
                 unknown 0 %; drops 1,234 ring 2,468 interface 7 channel; unsettled 0 %; \
                 OVERLOAD: new flows are counted without inspection; 1,500 flow records lost; \
                 LEDGER DOES NOT CLOSE: 15,000,000 of 15,000,100 bytes, 15,000 of 15,001 frames \
                 counted; signatures refused: a.toml:3: no \\u{1b}[0m; \
                 flow table full at 3 new flows/s",
            ),
        ];
        let before = snapshot(0, BEFORE, 0);
        for (seconds, volume, unsettled, change, text) in cases {
            let mut now = snapshot(*seconds, *volume, *unsettled);
            change(&mut now);
            assert_eq!(line(&before, &now), *text);
        }
    }

    #[test]
    fn the_first_line_has_nothing_before_it() {
        let text = line(&Snapshot::default(), &Snapshot::default());
        assert!(text.starts_with("00:00Z no interface 0 bit/s"), "{text}");
    }
}
