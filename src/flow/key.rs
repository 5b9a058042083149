//! Which packets make one flow: the unordered pair of innermost endpoints and the protocol.

use std::hash::{BuildHasher, Hash, Hasher};
use std::net::IpAddr;

use crate::decode::{Address, IpProtocol, Packet};

/// Identifies a flow: the same for both directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowKey {
    low: Address,
    high: Address,
    low_port: u16,
    high_port: u16,
    protocol: IpProtocol,
    version: u8,
    /// What else keeps flows apart (VLAN or tunnel identifier), zero unless asked for.
    scope: u32,
}

/// One of the two endpoints of a [`FlowKey`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The one that sorts first.
    Low,
    /// The other.
    High,
}

/// What keeps flows with the same endpoints apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// Nothing: one flow wherever its packets are seen.
    #[default]
    None,
    /// The VLAN identifiers of the frame.
    Vlan,
    /// The identifier of the outermost tunnel.
    Tunnel,
}

impl FlowKey {
    /// The flow of `packet`, and the end that sent it.
    #[inline(always)]
    pub fn of(packet: &Packet<'_>, scope: Scope) -> (Self, End) {
        let scope = match scope {
            Scope::None => 0,
            Scope::Vlan => packet
                .vlans
                .as_slice()
                .iter()
                .fold(0, |ids, &id| ids << 13 | (u32::from(id) + 1)),
            Scope::Tunnel => packet.tunnel_id,
        };
        let source = (packet.source, packet.source_port);
        let destination = (packet.destination, packet.destination_port);
        // As numbers, which have the order of the octets.
        let rank = |(address, port): (Address, u16)| (u128::from_be_bytes(address.0), port);
        let (low, high, end) = if rank(source) <= rank(destination) {
            (source, destination, End::Low)
        } else {
            (destination, source, End::High)
        };
        let key = Self {
            low: low.0,
            high: high.0,
            low_port: low.1,
            high_port: high.1,
            protocol: packet.protocol,
            version: packet.version,
            scope,
        };
        (key, end)
    }

    /// The address of `end`.
    pub const fn ip(&self, end: End) -> IpAddr {
        self.address(end).to_ip(self.version)
    }

    /// The address of `end` as it is stored.
    pub const fn address(&self, end: End) -> Address {
        match end {
            End::Low => self.low,
            End::High => self.high,
        }
    }

    /// The port of `end`.
    pub const fn port(&self, end: End) -> u16 {
        match end {
            End::Low => self.low_port,
            End::High => self.high_port,
        }
    }

    /// The transport protocol.
    pub const fn protocol(&self) -> IpProtocol {
        self.protocol
    }

    /// The hash a flow table uses; `state` is seeded at random, so senders cannot choose collisions.
    #[inline(always)]
    pub fn hash_with(&self, state: &impl BuildHasher) -> u64 {
        state.hash_one(self)
    }
}

impl Hash for FlowKey {
    #[inline]
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        // Few wide words: the hasher's cost is per write.
        hasher.write_u128(u128::from_ne_bytes(self.low.0));
        hasher.write_u128(u128::from_ne_bytes(self.high.0));
        hasher.write_u64(
            u64::from(self.low_port)
                | u64::from(self.high_port) << 16
                | u64::from(self.protocol.0) << 32
                | u64::from(self.version) << 40,
        );
        hasher.write_u32(self.scope);
    }
}

impl std::ops::Not for End {
    type Output = Self;

    fn not(self) -> Self {
        match self {
            Self::Low => Self::High,
            Self::High => Self::Low,
        }
    }
}
