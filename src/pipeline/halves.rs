//! Flows of which a thread saw one direction: another may have the other, where interfaces have
//! threads and flow tables of their own.

use std::net::IpAddr;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use std::hash::BuildHasher;

use crate::decode::IpProtocol;
use crate::flow::{Flow, Side};

/// Flows told of in one report; any further ones are not looked at.
const MOST: usize = 1024;

/// Flows that wait for their other half; the older of them are forgotten by twice as many.
const WAITING: usize = 1 << 15;

/// What a thread tells of such flows.
#[derive(Debug, Default)]
pub(super) struct Halves(Vec<Half>);

/// A flow, and which of its ends sent.
#[derive(Clone, Copy, Debug)]
struct Half {
    /// Hash of its endpoints, the same for both directions.
    flow: u64,
    low_sent: bool,
}

impl Halves {
    /// Adds a flow that has ended, if it is TCP and showed one direction only.
    pub(super) fn add<T>(&mut self, flow: &Flow<T>) {
        let sides = &flow.counters;
        let sender = match (sides.client.packets, sides.server.packets) {
            (_, 0) => Side::Client,
            (0, _) => Side::Server,
            _ => return,
        };
        if flow.protocol() != IpProtocol::TCP || self.0.len() >= MOST {
            return;
        }
        let end = |side: Side| (flow.ip(side), flow.port(side));
        self.0.push(Half::new(end(sender), end(!sender)));
    }

    /// Adds what was told before these.
    pub(super) fn join(&mut self, mut earlier: Self) {
        earlier.0.append(&mut self.0);
        earlier.0.truncate(MOST);
        *self = earlier;
    }
}

impl Half {
    fn new(sender: (IpAddr, u16), receiver: (IpAddr, u16)) -> Self {
        let (low, high) = (sender.min(receiver), sender.max(receiver));
        Self {
            flow: FixedState::default().hash_one((low, high)),
            low_sent: sender == low,
        }
    }
}

/// Brings together what several threads tell.
#[derive(Debug, Default)]
pub(super) struct Matcher {
    young: HashMap<u64, (usize, bool)>,
    old: HashMap<u64, (usize, bool)>,
}

impl Matcher {
    /// The most memory it takes.
    pub(super) const MEMORY: usize = 2 * 2 * WAITING * (size_of::<(u64, (usize, bool))>() + 1);

    /// Takes what `thread` tells: how many flows, and how many of those told of so far have their
    /// other direction on another thread.
    pub(super) fn take(&mut self, thread: usize, halves: Halves) -> (u64, u64) {
        let told = halves.0.len() as u64;
        let mut found = 0;
        for Half { flow, low_sent } in halves.0 {
            let other = self.young.get(&flow).or_else(|| self.old.get(&flow));
            match other {
                Some(&(other, low)) if other != thread && low != low_sent => {
                    self.young.remove(&flow);
                    self.old.remove(&flow);
                    found += 2;
                }
                _ => {
                    self.young.insert(flow, (thread, low_sent));
                }
            }
            if self.young.len() >= WAITING {
                self.old = std::mem::take(&mut self.young);
            }
        }
        (told, found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_directions_on_two_threads_are_one_flow() {
        let end = |port: u16| (IpAddr::from([10, 0, 0, 1]), port);
        let half = |from, to| Halves(vec![Half::new(end(from), end(to))]);
        let mut matcher = Matcher::default();
        // (thread, sender, receiver) -> found
        for (thread, from, to, found) in [
            (0, 1, 2, 0),
            // The same direction, or on the same thread: no other half.
            (1, 1, 2, 0),
            (1, 2, 1, 0),
            (0, 3, 4, 0),
            (1, 4, 3, 2),
            // It is not found twice.
            (1, 4, 3, 0),
        ] {
            assert_eq!(
                matcher.take(thread, half(from, to)),
                (1, found),
                "{from} {to}"
            );
        }
    }

    #[test]
    fn what_waits_is_bounded() {
        let mut matcher = Matcher::default();
        for port in 1..=u16::MAX {
            for address in 0..3 {
                let half = Half::new(
                    ([10, 0, 0, address].into(), port),
                    ([192, 0, 2, 1].into(), 443),
                );
                matcher.take(0, Halves(vec![half]));
            }
        }
        assert!(matcher.young.len() < WAITING && matcher.old.len() <= WAITING);
    }
}
