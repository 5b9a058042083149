//! What each side of a flow sent.

use crate::decode::Packet;

/// Packets and bytes of one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Captured frames.
    pub packets: u64,
    /// Whole frames as on the wire.
    pub bytes: u64,
    /// Innermost IP packets: what is rated.
    pub ip_bytes: u64,
}

impl Counters {
    /// Adds one packet.
    #[inline]
    pub const fn count(&mut self, packet: &Packet<'_>) {
        self.packets += packet.frames as u64;
        self.bytes += packet.wire_len as u64;
        self.ip_bytes += packet.ip_len as u64;
    }

    /// What came since `before`.
    #[must_use]
    pub const fn since(&self, before: &Self) -> Self {
        Self {
            packets: self.packets.saturating_sub(before.packets),
            bytes: self.bytes.saturating_sub(before.bytes),
            ip_bytes: self.ip_bytes.saturating_sub(before.ip_bytes),
        }
    }

    /// Adds what another counted.
    pub const fn add(&mut self, other: &Self) {
        self.packets += other.packets;
        self.bytes += other.bytes;
        self.ip_bytes += other.ip_bytes;
    }
}
