//! The flow that a packet is of, and from which end it comes.

use std::hash::{Hash, Hasher};
use std::net::IpAddr;

use crate::decode::{Address, Packet};
use crate::score::key::FlowKey;

/// The flow of a packet.
pub(super) fn key(packet: &Packet<'_>) -> FlowKey {
    let [source, destination] = ends(packet);
    FlowKey::new(packet.protocol, source, destination)
}

/// Source and destination of a packet.
pub(super) fn ends(packet: &Packet<'_>) -> [(IpAddr, u16); 2] {
    let ip = |address: Address| address.to_ip(packet.version);
    [
        (ip(packet.source), packet.source_port),
        (ip(packet.destination), packet.destination_port),
    ]
}

/// Whether the packet comes from the end that sorts first.
pub(super) fn is_from_low(packet: &Packet<'_>, key: &FlowKey) -> bool {
    let (_, [low, _]) = key.parts();
    let [source, _] = ends(packet);
    // Without ports as the key has them.
    source == low || source.0 == low.0 && low.1 == 0
}

/// The same in every run, which the standard library does not promise of its own.
pub(super) fn hash(key: &FlowKey) -> u64 {
    struct Fnv(u64);
    impl Hasher for Fnv {
        fn finish(&self) -> u64 {
            self.0
        }

        fn write(&mut self, bytes: &[u8]) {
            for &byte in bytes {
                self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
            }
        }
    }
    // FNV-1a.
    let mut hasher = Fnv(0xcbf2_9ce4_8422_2325);
    key.hash(&mut hasher);
    hasher.finish()
}
