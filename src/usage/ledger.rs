//! The ledger: every byte on the wire under one name or one reason.
//!
//! `wire` is tallied where frames are read, all else where they are counted, so that the two can
//! be held against each other.

use std::fmt;

use serde::Serialize;

use super::links::UnknownLinks;
use super::{CellKey, Totals};
use crate::classify::UnknownReason;
use crate::decode::DropReason;

/// Frames and their bytes on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Volume {
    /// Captured frames.
    pub packets: u64,
    /// Their bytes as on the wire.
    pub bytes: u64,
}

impl Volume {
    /// Adds frames.
    pub const fn count(&mut self, packets: u64, bytes: u64) {
        self.packets += packets;
        self.bytes += bytes;
    }

    /// Adds another volume.
    pub const fn add(&mut self, other: Self) {
        self.count(other.packets, other.bytes);
    }

    /// Takes away what was added before.
    pub const fn take_away(&mut self, packets: u64, bytes: u64) {
        self.packets = self.packets.saturating_sub(packets);
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}

/// Frames that belong to no flow, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drops {
    volumes: [Volume; DropReason::ALL.len()],
    /// Of [`DropReason::UnknownLink`], the frames by link type.
    pub links: UnknownLinks,
}

impl Drops {
    /// Counts frames under `reason`.
    pub fn count(&mut self, reason: DropReason, packets: u64, bytes: u64) {
        if let Some(volume) = self.volumes.get_mut(reason as usize) {
            volume.count(packets, bytes);
        }
    }

    /// Adds another worker's.
    pub fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.volumes.iter_mut().zip(other.volumes) {
            mine.add(theirs);
        }
        self.links.add(&other.links);
    }

    /// Each reason and its volume.
    pub fn iter(&self) -> impl Iterator<Item = (DropReason, Volume)> {
        DropReason::ALL.into_iter().zip(self.volumes)
    }
}

/// Where every byte went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// All frames read (and passed by the filter).
    pub wire: Volume,
    /// Frames the filter left out: not part of `wire`.
    pub filtered: Volume,
    /// Record headers whose original length no link allows: counted as far as it does.
    pub lying_lengths: u64,
    /// Volume of applications.
    pub applications: Volume,
    /// Volume of recognised protocols that are no application's.
    pub protocols: Volume,
    /// Volume of flows without a name, by reason.
    pub unknown: [Volume; UnknownReason::ALL.len()],
    /// Volume of flows whose name is not settled yet, and of fragments that wait for others.
    pub unsettled: Volume,
    /// Frames of no flow, by reason.
    pub drops: Drops,
    /// Live: frames read but lost on the way to a worker that was behind.
    pub channel: Volume,
}

impl Ledger {
    /// Adds what one cell counted.
    pub fn add_cell(&mut self, key: &CellKey, totals: &Totals) {
        let volume = Volume {
            packets: totals.packets(),
            bytes: totals.bytes(),
        };
        match (key.app, key.proto) {
            (Some(_), _) => self.applications.add(volume),
            (None, Some(_)) => self.protocols.add(volume),
            (None, None) => {
                let reason = key.unknown.unwrap_or(UnknownReason::NoMatch);
                if let Some(unknown) = self.unknown.get_mut(reason as usize) {
                    unknown.add(volume);
                }
            }
        }
    }

    /// Everything that was counted under a name or a reason.
    pub fn counted(&self) -> Volume {
        let mut sum = self.applications;
        sum.add(self.protocols);
        for &unknown in &self.unknown {
            sum.add(unknown);
        }
        sum.add(self.unsettled);
        sum.add(self.channel);
        for (_, dropped) in self.drops.iter() {
            sum.add(dropped);
        }
        sum
    }

    /// Whether every frame and byte is counted exactly once.
    pub fn closes(&self) -> bool {
        self.counted() == self.wire
    }

    /// The lines of the ledger: name and volume, those with a volume.
    pub fn lines(&self) -> Vec<(String, Volume)> {
        let mut lines = vec![
            ("applications".to_owned(), self.applications),
            ("protocols".to_owned(), self.protocols),
        ];
        lines.extend(
            UnknownReason::ALL
                .into_iter()
                .zip(self.unknown)
                .map(|(reason, volume)| {
                    (format!("unknown{{reason=\"{}\"}}", reason.slug()), volume)
                }),
        );
        lines.push(("unsettled".to_owned(), self.unsettled));
        lines.extend(
            self.drops
                .iter()
                .map(|(reason, volume)| (reason.slug().to_owned(), volume)),
        );
        lines.push(("dropped{stage=\"channel\"}".to_owned(), self.channel));
        lines.retain(|(_, volume)| *volume != Volume::default());
        lines
    }
}

/// One line a name or reason, and whether they sum up to the wire.
impl fmt::Display for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "ledger: {} bytes in {} frames on the wire",
            self.wire.bytes, self.wire.packets
        )?;
        for (name, volume) in self.lines() {
            writeln!(
                f,
                "  {name:<28} {:>16} bytes {:>12} frames",
                volume.bytes, volume.packets
            )?;
        }
        if self.filtered.packets > 0 {
            writeln!(
                f,
                "  (left out by the filter: {} bytes)",
                self.filtered.bytes
            )?;
        }
        if self.lying_lengths > 0 {
            writeln!(
                f,
                "  ({} frames claim more than their link allows: counted as far as it does)",
                self.lying_lengths
            )?;
        }
        if self.closes() {
            write!(f, "  closes: every byte is counted once")
        } else {
            let counted = self.counted();
            write!(
                f,
                "  DOES NOT CLOSE: {} bytes in {} frames counted",
                counted.bytes, counted.packets
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::AppId;
    use crate::flow::{Counters, PerSide};

    #[test]
    fn closes_only_when_all_is_counted() {
        let mut ledger = Ledger::default();
        ledger.wire.count(3, 300);
        let totals = Totals {
            sides: PerSide {
                client: Counters {
                    packets: 1,
                    bytes: 100,
                    ip_bytes: 86,
                },
                server: Counters::default(),
            },
            flows: 1,
        };
        ledger.add_cell(
            &CellKey {
                app: Some(AppId(0)),
                ..CellKey::default()
            },
            &totals,
        );
        ledger.add_cell(
            &CellKey {
                unknown: Some(UnknownReason::TableFull),
                ..CellKey::default()
            },
            &totals,
        );
        assert!(!ledger.closes());
        ledger.drops.count(DropReason::NonIp, 1, 100);
        assert!(ledger.closes());
        assert!(
            ledger
                .to_string()
                .contains("unknown{reason=\"table-full\"}")
        );
    }

    #[test]
    fn every_reason_has_its_own_line() {
        let mut drops = Drops::default();
        for (count, reason) in (1..).zip(DropReason::ALL) {
            drops.count(reason, count, count);
        }
        let counts: Vec<u64> = drops.iter().map(|(_, volume)| volume.packets).collect();
        assert_eq!(
            counts,
            (1..=DropReason::ALL.len() as u64).collect::<Vec<_>>()
        );
    }
}
