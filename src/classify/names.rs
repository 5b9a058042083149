//! Names learned from DNS: which application's address this is, for this client, for how long.
//!
//! Every worker reads every DNS message, in the order of the capture, so that all know the same
//! whichever flows they own. An answer teaches only if its question was seen, as the client itself
//! takes no other (RFC 5452 section 9.1). Memory is bounded by two generations of entries.

use std::hash::BuildHasher;
use std::net::IpAddr;
use std::time::Duration;

use foldhash::fast::RandomState;

use super::generations::{Generations, seconds};
use super::hosts::{Client, Hosts, Mac};
use super::signalling::Signalling;
use super::streams::Streams;
use crate::app::AppId;
use crate::decode::{IpProtocol, Packet, TcpSegment};
use crate::dissect::dns;
use crate::flow::{Flow, Side};
use crate::signature::SignatureSet;
use crate::time::Timestamp;
use crate::verdict::{Evidence, RuleId, Tag};

/// An answer is used by a connection that begins a little later than its time to live says.
const GRACE: Duration = Duration::from_secs(10);

/// Resolvers give up sooner (RFC 1035 section 7.2, RFC 9520 section 2.4).
const ANSWERED_WITHIN: u32 = 30;

const DNS_PORT: u16 = 53;

/// No set has so many rules, and no catalogue so many applications: entries are to be small.
pub(super) const NO_RULE: RuleId = RuleId(u32::MAX);
pub(super) const NO_APP: AppId = AppId(u16::MAX);

/// However little memory there is to be.
const LEAST_BUCKETS: usize = 64;

/// What may be learned of other flows, and how much of it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Learning {
    /// Bytes that what DNS taught takes at most, in each worker: all know the same.
    pub dns_memory: usize,
    /// Answers teach although their questions were not seen.
    pub dns_unsolicited: bool,
}

impl Default for Learning {
    fn default() -> Self {
        Self {
            dns_memory: 64 << 20,
            dns_unsolicited: false,
        }
    }
}

/// Answers of DNS, by whether they taught something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Answers {
    /// All that were read.
    pub read: u64,
    /// Those of which the questions were not seen, so that they were not believed.
    pub unasked: u64,
}

/// Whether `packet` may belong to a DNS message, or begin a stream of them.
#[inline]
pub(super) fn teaches(packet: &Packet<'_>) -> bool {
    if packet.source_port != DNS_PORT && packet.destination_port != DNS_PORT {
        return false;
    }
    match packet.tcp {
        Some(tcp) => !packet.payload.is_empty() || tcp.has(TcpSegment::SYN),
        None => packet.protocol == IpProtocol::UDP && packet.payload.len() > dns::HEADER_LEN,
    }
}

/// What DNS taught so far.
#[derive(Debug)]
pub(super) struct Names {
    streams: Streams,
    book: Book,
}

/// What is known of whole messages.
#[derive(Debug)]
struct Book {
    state: RandomState,
    unsolicited: bool,
    /// Questions that wait for their answers.
    questions: Generations<u64, Asked>,
    /// What a client was told of a server: by the hash of both.
    told: Generations<u64, Told>,
    /// Which applications' names lead to an address, for any client: by its hash.
    addresses: Generations<u64, Shared>,
    /// Names that stand for others, by the hash of the client that was told so and the name.
    aliases: Generations<u64, Told>,
    any_alias: bool,
    hosts: Hosts,
    /// Read in the packet at hand.
    answers: Answers,
}

#[derive(Clone, Copy, Debug)]
struct Asked {
    /// In seconds of 1970.
    at: u32,
}

#[derive(Clone, Copy, Debug)]
struct Told {
    /// [`NO_RULE`]: no rule knows the name.
    rule: RuleId,
    /// In seconds of 1970.
    until: u32,
}

#[derive(Clone, Copy, Debug)]
struct Shared {
    /// [`NO_APP`]: the names are of none.
    app: AppId,
    /// Names of different applications (or of none) lead here: the address proves nothing.
    mixed: bool,
    until: u32,
}

impl Names {
    /// Nothing yet.
    pub(super) fn new(learning: &Learning) -> Self {
        let buckets = Self::buckets(learning.dns_memory);
        let book = Book {
            state: RandomState::default(),
            unsolicited: learning.dns_unsolicited,
            questions: Generations::new(buckets / 4),
            told: Generations::new(buckets),
            addresses: Generations::new(buckets / 2),
            aliases: Generations::new(buckets / 16),
            any_alias: false,
            hosts: Hosts::new(buckets / 4),
            answers: Answers::default(),
        };
        Self {
            streams: Streams::new(learning.dns_memory / 8),
            book,
        }
    }

    /// Buckets of a generation of what clients were told, so that all fits into seven eighths of
    /// `memory`; the last one is for streams.
    fn buckets(memory: usize) -> usize {
        let room = memory - memory / 8;
        let mut buckets = LEAST_BUCKETS;
        while Self::of_buckets(2 * buckets) <= room {
            buckets *= 2;
        }
        buckets
    }

    const fn of_buckets(buckets: usize) -> usize {
        Generations::<u64, Asked>::memory(buckets / 4)
            + Generations::<u64, Told>::memory(buckets)
            + Generations::<u64, Shared>::memory(buckets / 2)
            + Generations::<u64, Told>::memory(buckets / 16)
            + Hosts::memory(buckets / 4)
    }

    /// Learns from a packet of which [`teaches`] holds. Returns the answers that ended with it.
    /// Hosts of calls that clients asked for go to `signalling`.
    pub(super) fn learn(
        &mut self,
        packet: &Packet<'_>,
        set: &SignatureSet,
        signalling: &mut Signalling,
    ) -> Answers {
        let Self { streams, book } = self;
        match packet.tcp {
            None => book.message(packet, packet.payload, set, signalling),
            Some(tcp) => streams.read(packet, tcp, &mut |message| {
                book.message(packet, message, set, signalling)
            }),
        }
        std::mem::take(&mut book.answers)
    }

    /// The application whose name led this flow's client, whose packets came from `mac`, to its
    /// server.
    pub(super) fn of<T>(
        &self,
        flow: &Flow<T>,
        mac: Option<Mac>,
        set: &SignatureSet,
    ) -> Option<Tag> {
        let book = &self.book;
        let (client, server) = (flow.ip(Side::Client), flow.ip(Side::Server));
        let began = seconds(flow.first);
        let told = |client, server| book.told_of(client, server, began, set);
        told(book.client(client).hash, server)
            .or_else(|| told(book.client(server).hash, client))
            .or_else(|| {
                // What it asked over the other version of IP.
                let mut all = book.hosts.all_of(mac?, book.client(client), began);
                all.find_map(|hash| told(hash, server))
            })
    }

    /// Whether names of different applications led clients to `server` when a flow of `began` did.
    pub(super) fn is_shared(&self, server: IpAddr, began: Timestamp) -> bool {
        let shared = self.book.addresses.get(&self.book.state.hash_one(server));
        shared.is_some_and(|it| it.mixed && it.until >= seconds(began))
    }
}

impl Book {
    /// Learns from a whole message, which `packet` ends.
    fn message(
        &mut self,
        packet: &Packet<'_>,
        message: &[u8],
        set: &SignatureSet,
        signalling: &mut Signalling,
    ) {
        let source = packet.source.to_ip(packet.version);
        let destination = packet.destination.to_ip(packet.version);
        let read = dns::transaction(message, |transaction| {
            let (client, server, port) = if transaction.is_response {
                (destination, source, packet.destination_port)
            } else {
                (source, destination, packet.source_port)
            };
            let key = (client, server, port, transaction.id, transaction.name);
            (transaction.is_response, self.state.hash_one(key))
        });
        let Some((is_response, key)) = read else {
            return;
        };
        let now = seconds(packet.at);
        if !is_response {
            if let Some(&mac) = packet.source_mac {
                self.hosts.asked(mac, self.client(source), now);
            }
            return self.questions.insert(key, Asked { at: now });
        }
        let question = self
            .questions
            .remove(&key)
            .filter(|question| now.saturating_sub(question.at) <= ANSWERED_WITHIN);
        self.answers.read += 1;
        if question.is_none() && !self.unsolicited {
            self.answers.unasked += 1;
        } else {
            self.answered(destination, message, packet.at, set, signalling);
        }
    }

    /// Learns the answers in `message` to a client that is believed to have asked.
    fn answered(
        &mut self,
        asker: IpAddr,
        message: &[u8],
        at: Timestamp,
        set: &SignatureSet,
        signalling: &mut Signalling,
    ) {
        let client = self.client(asker).hash;
        // What stands before an encrypted hello is no application.
        let by_name = |name: &str| {
            set.by_name(name)
                .filter(|tag| tag.evidence != Evidence::OuterName)
        };
        dns::targets(message, &mut |target| {
            let tag = by_name(target.name).filter(|tag| tag.app.is_some());
            if let Some(tag) = tag.or_else(|| self.alias(client, target.name, at, set)) {
                let time_to_live = Duration::from_secs(u64::from(target.ttl));
                let until = seconds(at.after(time_to_live.saturating_add(GRACE)));
                let key = self.state.hash_one((client, target.target));
                let rule = tag.rule;
                self.aliases.insert(key, Told { rule, until });
                self.any_alias = true;
            }
        });
        dns::answers(message, &mut |answer| {
            let time_to_live = Duration::from_secs(u64::from(answer.ttl)).saturating_add(GRACE);
            let until = seconds(at.after(time_to_live));
            let tag = self
                .alias(client, answer.name, at, set)
                .or_else(|| by_name(answer.name));
            if let Some(tag) = &tag {
                signalling.names(asker, tag, at, set);
            }
            let app = tag.and_then(|tag| tag.app).unwrap_or(NO_APP);
            let place = self.state.hash_one(answer.address);
            let shared = match self.addresses.get(&place) {
                Some(old) if old.until >= seconds(at) => Shared {
                    app: old.app,
                    mixed: old.mixed || old.app != app,
                    until: old.until.max(until),
                },
                _ => Shared {
                    app,
                    mixed: false,
                    until,
                },
            };
            self.addresses.insert(place, shared);
            let rule = tag.map_or(NO_RULE, |tag| tag.rule);
            let key = self.state.hash_one((client, answer.address));
            self.told.insert(key, Told { rule, until });
        });
    }

    /// The application for whose name `client` was told to take `name`.
    fn alias(&self, client: u32, name: &str, at: Timestamp, set: &SignatureSet) -> Option<Tag> {
        if !self.any_alias {
            return None;
        }
        let told = self.aliases.get(&self.state.hash_one((client, name)))?;
        set.rule_tag(told.rule)
            .filter(|_| told.until >= seconds(at))
    }

    /// A client whose address this is. Two that have one hash are no matter: they would have to
    /// connect to the same server.
    fn client(&self, address: IpAddr) -> Client {
        Client {
            hash: ((self.state.hash_one(address) >> 32) as u32).max(1),
            is_v4: address.is_ipv4(),
        }
    }

    /// What was told of `server` to the client with this hash.
    fn told_of(&self, client: u32, server: IpAddr, began: u32, set: &SignatureSet) -> Option<Tag> {
        let told = self
            .told
            .get(&self.state.hash_one((client, server)))
            .filter(|told| told.until >= began)?;
        let shared = self.addresses.get(&self.state.hash_one(server))?;
        set.rule_tag(told.rule)
            .filter(|tag| !shared.mixed && tag.app.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_what_was_given() {
        for memory in [1 << 20, 10_000_000, 64 << 20, 1 << 30] {
            let buckets = Names::buckets(memory);
            let taken = Names::of_buckets(buckets);
            assert!(taken <= memory - memory / 8, "{memory}: {taken}");
            assert!(
                Names::of_buckets(2 * buckets) > memory - memory / 8,
                "{memory}"
            );
        }
        // What the manual says of the default.
        let entries = Names::buckets(Learning::default().dns_memory) / 8 * 7 * 2;
        assert!(entries > 900_000, "{entries}");
    }
}
