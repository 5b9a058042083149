//! Whether the mirror shows all traffic once and whole: what tells that it does not, counted.
//!
//! Each [`Fault`] has what was looked at and what was found faulty. [`Health::faults`] gives those
//! that are clear: the bounds are in the table there, so that ordinary captures say nothing.

use crate::capture::InterfaceId;
use crate::decode::{IpProtocol, Packet};
use crate::flow::{Counters, PerSide, Side};

/// What can be wrong with a mirror.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// Frames come twice.
    Duplicate,
    /// Of flows one direction is missing.
    OneSided,
    /// Frames were cut while their flows were inspected.
    Cut,
    /// The two directions of flows come from different captures or interfaces.
    Split,
    /// Answers of DNS taught nothing, as nobody was seen to ask for them.
    DnsUnasked,
}

impl Fault {
    /// Every fault.
    pub const ALL: [Self; 5] = [
        Self::Duplicate,
        Self::OneSided,
        Self::Cut,
        Self::Split,
        Self::DnsUnasked,
    ];

    /// The slug of labels and of JSON.
    pub const fn slug(self) -> &'static str {
        match self {
            Self::Duplicate => "duplicate",
            Self::OneSided => "one-sided",
            Self::Cut => "cut",
            Self::Split => "split",
            Self::DnsUnasked => "dns-unasked",
        }
    }

    /// From how many that were looked at and how many found on, and above which share in percent,
    /// it is told.
    const fn bounds(self) -> (u64, u64, u64) {
        match self {
            // Some protocols repeat themselves, and so do radio links.
            Self::Duplicate => (20, 20, 10),
            // A capture begins and ends in the middle of flows.
            Self::OneSided => (20, 1, 50),
            Self::Cut | Self::Split => (20, 1, 10),
            // Anybody can send answers to a client that has not asked.
            Self::DnsUnasked => (100, 100, 90),
        }
    }
}

/// What was looked at for one fault.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// How many: frames for [`Fault::Duplicate`], answers for [`Fault::DnsUnasked`], else flows.
    pub checked: u64,
    /// How many of them were faulty.
    pub found: u64,
}

/// What was looked at for each fault.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Health([Checked; Fault::ALL.len()]);

impl Health {
    /// Counts what was looked at and found.
    pub const fn count(&mut self, fault: Fault, checked: u64, found: u64) {
        let sum = &mut self.0[fault as usize];
        sum.checked += checked;
        sum.found += found;
    }

    /// Adds another thread's.
    pub fn add(&mut self, other: &Self) {
        for (fault, theirs) in other.iter() {
            self.count(fault, theirs.checked, theirs.found);
        }
    }

    /// What came since `before`.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        let mut since = *self;
        for (mine, theirs) in since.0.iter_mut().zip(before.0) {
            mine.checked = mine.checked.saturating_sub(theirs.checked);
            mine.found = mine.found.saturating_sub(theirs.found);
        }
        since
    }

    /// Each fault and what was looked at for it.
    pub fn iter(&self) -> impl Iterator<Item = (Fault, Checked)> {
        Fault::ALL.into_iter().zip(self.0)
    }

    /// The faults that are clear.
    pub fn faults(&self) -> impl Iterator<Item = (Fault, Checked)> {
        self.iter().filter(|&(fault, Checked { checked, found })| {
            let (least_checked, least_found, percent) = fault.bounds();
            checked >= least_checked
                && found >= least_found
                && u128::from(found) * 100 > u128::from(checked) * u128::from(percent)
        })
    }

    /// Counts a flow that has ended, of which `seen` was noted while it was inspected.
    pub fn flow_ended(&mut self, protocol: IpProtocol, sides: &PerSide<Counters>, seen: &Seen) {
        if !seen.payload {
            return;
        }
        self.count(Fault::Cut, 1, seen.cut.into());
        let is_one_sided = sides.client.packets == 0 || sides.server.packets == 0;
        if protocol == IpProtocol::TCP {
            self.count(Fault::OneSided, 1, is_one_sided.into());
        }
        if let (Some(client), Some(server)) = (seen.interfaces.client, seen.interfaces.server) {
            let is_split = !seen.mixed && client != server;
            self.count(Fault::Split, 1, is_split.into());
        }
    }
}

/// What is noted of a flow while it is inspected, and of the first packet of each side.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen {
    payload: bool,
    cut: bool,
    /// One side's packets came in by several interfaces.
    mixed: bool,
    /// By which interface the first packet of each side came in.
    interfaces: PerSide<Option<InterfaceId>>,
}

impl Seen {
    /// Notes a packet of `side`, which came in by `interface`.
    #[inline]
    pub fn packet(&mut self, packet: &Packet<'_>, side: Side, interface: InterfaceId) {
        self.payload |= packet.payload_len > 0;
        let first = self.interfaces[side].get_or_insert(interface);
        self.mixed |= *first != interface;
    }

    /// The interface by which one direction came in, if that is another than `interface`.
    pub fn other_than(&self, interface: InterfaceId) -> Option<InterfaceId> {
        let sides = [self.interfaces.client, self.interfaces.server];
        sides.into_iter().flatten().find(|&side| side != interface)
    }

    /// Whether a packet of `side` has been noted.
    #[inline]
    pub fn knows(&self, side: Side) -> bool {
        self.interfaces[side].is_some()
    }

    /// Whether any packet had a payload.
    pub const fn has_payload(&self) -> bool {
        self.payload
    }

    /// Notes that the flow has still no name after `packet`: what was cut off it was needed.
    #[inline]
    pub const fn nameless(&mut self, packet: &Packet<'_>) {
        self.cut |= packet.payload.len() < packet.payload_len as usize;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_clear_is_told() {
        // (fault, looked at, found, told)
        for (fault, checked, found, told) in [
            (Fault::Duplicate, 8192, 819, false),
            (Fault::Duplicate, 8192, 820, true),
            (Fault::Duplicate, 38, 19, false),
            (Fault::Duplicate, 40, 20, true),
            (Fault::OneSided, 19, 19, false),
            (Fault::OneSided, 20, 10, false),
            (Fault::OneSided, 20, 11, true),
            (Fault::Cut, 20, 2, false),
            (Fault::Cut, 20, 3, true),
            (Fault::Split, 1_000_000, 100_001, true),
            (Fault::Split, 0, 0, false),
            (Fault::DnsUnasked, 99, 99, false),
            (Fault::DnsUnasked, 112, 100, false),
            (Fault::DnsUnasked, 111, 100, true),
        ] {
            let mut health = Health::default();
            health.count(fault, checked, found);
            let faults: Vec<Fault> = health.faults().map(|(fault, _)| fault).collect();
            let expected: &[Fault] = if told { &[fault] } else { &[] };
            assert_eq!(faults, expected, "{fault:?} {checked} {found}");
        }
    }

    #[test]
    fn what_came_since_is_told_apart() {
        let mut before = Health::default();
        before.count(Fault::Cut, 100, 90);
        let mut now = before;
        now.count(Fault::Cut, 100, 5);
        assert_eq!(now.faults().count(), 1);
        assert_eq!(now.since(&before).faults().count(), 0);
    }

    #[test]
    fn a_flow_counts_by_what_was_seen_of_it() {
        let counted = |packets| Counters {
            packets,
            ..Counters::default()
        };
        let both = PerSide {
            client: counted(3),
            server: counted(1),
        };
        let one = PerSide {
            client: counted(3),
            server: counted(0),
        };
        let interfaces = |client, server| PerSide {
            client: Some(InterfaceId::new(client)),
            server: Some(InterfaceId::new(server)),
        };
        let seen = Seen {
            payload: true,
            ..Seen::default()
        };
        // (flow, sides, protocol) -> faults found
        let rows: [(Seen, PerSide<Counters>, IpProtocol, &[Fault]); 7] = [
            (Seen::default(), one, IpProtocol::TCP, &[]),
            (seen, both, IpProtocol::TCP, &[]),
            (seen, one, IpProtocol::TCP, &[Fault::OneSided]),
            (seen, one, IpProtocol::UDP, &[]),
            (
                Seen { cut: true, ..seen },
                both,
                IpProtocol::UDP,
                &[Fault::Cut],
            ),
            (
                Seen {
                    interfaces: interfaces(0, 256),
                    ..seen
                },
                both,
                IpProtocol::UDP,
                &[Fault::Split],
            ),
            // Both ports show both directions.
            (
                Seen {
                    interfaces: interfaces(0, 256),
                    mixed: true,
                    ..seen
                },
                both,
                IpProtocol::TCP,
                &[],
            ),
        ];
        for (seen, sides, protocol, expected) in rows {
            let mut health = Health::default();
            health.flow_ended(protocol, &sides, &seen);
            let found: Vec<Fault> = health
                .iter()
                .filter(|(_, checked)| checked.found > 0)
                .map(|(fault, _)| fault)
                .collect();
            assert_eq!(found, expected, "{seen:?}");
        }
    }
}
