//! Which link-layer addresses are one client's: what it asks over IPv6 it may use over IPv4.
//!
//! Below a router its MAC address fronts all who are behind it, and proves nothing. What tells the
//! two apart is who asks DNS questions from an address, which every worker sees alike.

use std::hash::BuildHasher;
use std::net::IpAddr;

use foldhash::fast::FixedState;

use super::generations::Generations;

/// An IEEE 802 address.
pub(super) type Mac = [u8; 6];

/// IPv6 addresses one client asks from: a stable one and temporary ones, of which those that are
/// deprecated stay in use (RFC 8981 section 3.4).
const MAX_V6: usize = 4;

/// After so many seconds who asks is counted anew: addresses are given to others.
const PERIOD: u32 = 3600;

/// Who asks from link-layer addresses.
#[derive(Debug)]
pub(super) struct Hosts(Generations<Mac, Askers>);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Askers {
    /// When counting began, in seconds of 1970.
    since: u32,
    /// Hashes; zero is nobody.
    v4: u32,
    v6: [u32; MAX_V6],
    /// More than one client asks.
    many: bool,
    /// In the period before, more than one did.
    many_before: bool,
}

impl Hosts {
    /// Nobody yet, in generations of `buckets`.
    pub(super) fn new(buckets: usize) -> Self {
        Self(Generations::new(buckets))
    }

    /// The most bytes they take.
    pub(super) const fn memory(buckets: usize) -> usize {
        Generations::<Mac, Askers>::memory(buckets)
    }

    /// `client` asked from `mac`.
    pub(super) fn asked(&mut self, mac: Mac, client: IpAddr, now: u32) {
        let known = self.0.get(&mac);
        let mut askers = known.unwrap_or_else(|| Askers {
            since: now,
            ..Askers::default()
        });
        if now.saturating_sub(askers.since) > PERIOD {
            askers = Askers {
                since: now,
                many_before: askers.many,
                ..Askers::default()
            };
        }
        let hash = hash(client);
        if client.is_ipv4() {
            askers.many |= ![0, hash].contains(&askers.v4);
            askers.v4 = hash;
        } else if !askers.v6.contains(&hash) {
            match askers.v6.iter_mut().find(|place| **place == 0) {
                Some(place) => *place = hash,
                None => askers.many = true,
            }
        }
        if known != Some(askers) {
            self.0.insert(mac, askers);
        }
    }

    /// Whether `client`, whose packets come from `mac`, is the one client that asks from there.
    pub(super) fn is_one(&self, mac: Mac, client: IpAddr, now: u32) -> bool {
        self.0.get(&mac).is_some_and(|askers| {
            let is_known = client.is_ipv6() || [0, hash(client)].contains(&askers.v4);
            let is_recent = now.saturating_sub(askers.since) <= 2 * PERIOD;
            is_known && is_recent && !askers.many && !askers.many_before
        })
    }
}

fn hash(client: IpAddr) -> u32 {
    // The upper half; never nobody's.
    ((FixedState::default().hash_one(client) >> 32) as u32).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_router_is_no_client() {
        let mac = [2, 0, 0, 0, 0, 1];
        let v4 = |last: u8| IpAddr::from([10, 0, 0, last]);
        let v6 = |last: u16| IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, last]);
        // Who asked and when; who connects and when; whether it is the one that asked.
        type Row<'a> = (&'a [(IpAddr, u32)], IpAddr, u32, bool);
        let rows: &[Row<'_>] = &[
            (&[], v4(1), 0, false),
            (&[(v6(1), 0)], v4(1), 0, true),
            (&[(v6(1), 0), (v4(1), 0)], v4(1), 0, true),
            (&[(v6(1), 0), (v4(1), 0)], v4(2), 0, false),
            (&[(v4(1), 0)], v6(1), 0, true),
            (&[(v4(1), 0), (v4(2), 1)], v6(1), 1, false),
            (
                &[(v6(1), 0), (v6(2), 0), (v6(3), 0), (v6(4), 0)],
                v4(1),
                0,
                true,
            ),
            (
                &[(v6(1), 0), (v6(2), 0), (v6(3), 0), (v6(4), 0), (v6(5), 0)],
                v4(1),
                0,
                false,
            ),
            // Counted anew, but not forgotten at once.
            (&[(v4(1), 0), (v4(2), 1), (v6(1), 4000)], v4(1), 4001, false),
            (
                &[(v4(1), 0), (v4(2), 1), (v6(1), 4000), (v6(1), 8000)],
                v4(1),
                8001,
                true,
            ),
            (&[(v6(1), 0)], v4(1), 8000, false),
        ];
        for (number, &(asked, client, now, expected)) in rows.iter().enumerate() {
            let mut hosts = Hosts::new(64);
            for &(client, at) in asked {
                hosts.asked(mac, client, at);
            }
            assert_eq!(hosts.is_one(mac, client, now), expected, "row {number}");
            assert!(!hosts.is_one([9; 6], client, now), "row {number}");
        }
    }
}
