//! Which link-layer addresses are one client's: what it asks over IPv6 it may use over IPv4.
//!
//! Below a router its MAC address fronts all who are behind it, and proves nothing. What tells the
//! two apart is who asks DNS questions from an address, which every worker sees alike.

use super::generations::Generations;

/// An IEEE 802 address.
pub(super) type Mac = [u8; 6];

/// A client's address, as far as it matters which one it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Client {
    /// A hash of the address; never zero.
    pub(super) hash: u32,
    pub(super) is_v4: bool,
}

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
    pub(super) fn asked(&mut self, mac: Mac, client: Client, now: u32) {
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
        if client.is_v4 {
            askers.many |= ![0, client.hash].contains(&askers.v4);
            askers.v4 = client.hash;
        } else if !askers.v6.contains(&client.hash) {
            match askers.v6.iter_mut().find(|place| **place == 0) {
                Some(place) => *place = client.hash,
                None => askers.many = true,
            }
        }
        if known != Some(askers) {
            self.0.insert(mac, askers);
        }
    }

    /// The hashes of all addresses that `client`, whose packets come from `mac`, asks from; none if
    /// it is not the one client that asks from there.
    pub(super) fn all_of(
        &self,
        mac: Mac,
        client: Client,
        now: u32,
    ) -> impl Iterator<Item = u32> + use<> {
        let askers = self.0.get(&mac).filter(|askers| {
            let is_known = !client.is_v4 || [0, client.hash].contains(&askers.v4);
            let is_recent = now.saturating_sub(askers.since) <= 2 * PERIOD;
            is_known && is_recent && !askers.many && !askers.many_before
        });
        let all = askers.into_iter().flat_map(|askers| {
            let [first, second, third, fourth] = askers.v6;
            [askers.v4, first, second, third, fourth]
        });
        all.filter(|&hash| hash != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_router_is_no_client() {
        let mac = [2, 0, 0, 0, 0, 1];
        let v4 = |hash: u32| Client { hash, is_v4: true };
        let v6 = |hash: u32| Client {
            hash: 100 + hash,
            is_v4: false,
        };
        // Who asked and when; who connects and when; whether it is the one that asked.
        type Row<'a> = (&'a [(Client, u32)], Client, u32, bool);
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
            let all: Vec<_> = hosts.all_of(mac, client, now).collect();
            assert_eq!(!all.is_empty(), expected, "row {number}");
            let last = asked.last().map(|(client, _)| client.hash);
            assert!(
                !expected || last.is_some_and(|hash| all.contains(&hash)),
                "row {number}"
            );
            assert_eq!(hosts.all_of([9; 6], client, now).count(), 0, "row {number}");
        }
    }
}
