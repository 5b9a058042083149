//! Protocols whose messages say how long they are, where the beginning of the flow was not seen: a row
//! of [`FRAMINGS`] each.
//!
//! A stream that was joined in its middle is searched for a segment that begins with a message; from
//! there on each message must begin where the one before it ends. What types, lengths and contents
//! fix is added up over both sides; from [`ENOUGH`] bits on it is the protocol. Where the beginning
//! was seen, rules and dissectors of the protocol itself say more.

mod brokers;
mod databases;
mod frame;
mod lines;
mod storage;

use self::frame::Frame;
use super::{Facts, Outcome};
use crate::app::Proto;
use crate::flow::{Opening, Side, Stream};

/// How many bits must be fixed.
const ENOUGH: u32 = 48;

/// What a message's end adds that is a segment's as well.
const EXACT: u32 = 8;

/// What a registered port adds to what the bytes say.
const PORT: u32 = 16;

/// How many segments of a side are tried as the beginning.
const MAX_SEARCHED: usize = 8;

/// How many messages of a chain are read.
const MAX_FRAMES: usize = 32;

/// So many octets of a message are compared with the one before.
const HEAD: usize = 32;

/// A longer message is not believed.
const MAX_LEN: usize = 64 << 20;

/// A protocol.
struct Framing {
    proto: Proto,
    /// The registered ports of its servers.
    ports: &'static [u16],
    /// Reads the message at the front of the bytes, of which so many came before in the chain.
    frame: fn(&[u8], usize) -> Frame,
}

/// The protocols, in the order they are tried.
const FRAMINGS: &[Framing] = &[
    framing(Proto::POSTGRES, &[5432], databases::postgres),
    framing(Proto::MYSQL, &[3306], databases::mysql),
    framing(Proto::MSSQL_TDS, &[1433], databases::tds),
    framing(Proto::ORACLE, &[1521], databases::oracle),
    framing(Proto::MONGODB, &[27017], databases::mongodb),
    framing(Proto::CASSANDRA, &[9042], databases::cassandra),
    framing(Proto::KAFKA, &[9092], brokers::kafka),
    framing(Proto::AMQP, &[5672], brokers::amqp),
    framing(Proto::AMQP, &[5672], brokers::amqp_1),
    framing(Proto::REDIS, &[6379], lines::redis),
    framing(Proto::NATS, &[4222], lines::nats),
    framing(Proto::MEMCACHED, &[11211], lines::memcached),
    framing(Proto::ISCSI, &[3260], storage::iscsi),
    framing(Proto::HTTP2, &[], brokers::http2),
];

const fn framing(proto: Proto, ports: &'static [u16], frame: fn(&[u8], usize) -> Frame) -> Framing {
    Framing {
        proto,
        ports,
        frame,
    }
}

/// Messages in a row.
#[derive(Clone, Copy, Debug, Default)]
struct Chain {
    bits: u32,
    /// Who sends such messages.
    sender: Option<Side>,
    /// More bytes may add to it.
    open: bool,
}

pub(super) fn dissect(opening: &Opening<'_>, facts: &mut Facts) -> Outcome {
    if !opening.client.mid_stream && !opening.server.mid_stream {
        return Outcome::NotMine;
    }
    let mut open = false;
    for framing in FRAMINGS {
        let client = framing.search(opening.client);
        let server = framing.search(opening.server);
        open |= client.open || server.open;
        // Messages of the same end cannot come from both.
        let agree = client.sender.is_none() || client.sender != server.sender;
        let bits = match agree {
            true => client.bits.saturating_add(server.bits),
            false => client.bits.max(server.bits),
        };
        let port = framing.ports.iter().any(|&port| opening.has_port(port));
        if bits + if port && bits > EXACT { PORT } else { 0 } >= ENOUGH {
            let turned_ports = framing.ports.contains(&opening.client_port)
                && !framing.ports.contains(&opening.server_port);
            facts.proto = Some(framing.proto);
            facts.swapped = match (client.sender, server.sender) {
                (Some(sender), _) => sender == Side::Server,
                (_, Some(sender)) => sender == Side::Client,
                (None, None) => turned_ports,
            };
            return Outcome::Done;
        }
    }
    let searching =
        |stream: Stream<'_>| stream.mid_stream && !stream.ended && stream.count() < MAX_SEARCHED;
    match open || searching(opening.client) || searching(opening.server) {
        true => Outcome::NeedMore,
        false => Outcome::NotMine,
    }
}

impl Framing {
    /// The best chain that begins with one of the first segments.
    fn search(&self, stream: Stream<'_>) -> Chain {
        let mut best = Chain::default();
        let mut start = 0;
        for message in stream.messages().take(MAX_SEARCHED) {
            if message.is_empty() {
                continue;
            }
            let chain = self.chain(stream, start);
            best.open |= chain.open;
            if chain.bits > best.bits {
                (best.bits, best.sender) = (chain.bits, chain.sender);
            }
            start += message.len();
        }
        best
    }

    fn chain(&self, stream: Stream<'_>, start: usize) -> Chain {
        let mut chain = Chain::default();
        let mut at = start;
        let mut last: &[u8] = &[];
        for number in 0..MAX_FRAMES {
            let rest = stream.bytes.get(at..).unwrap_or_default();
            if rest.is_empty() {
                break;
            }
            match (self.frame)(rest, number) {
                // A chain that breaks is none, however far it went.
                Frame::Other => return Chain::default(),
                Frame::Short => {
                    chain.open = !stream.ended;
                    break;
                }
                Frame::Message { len, bits, sender } => {
                    if len == 0 || len > MAX_LEN {
                        return Chain::default();
                    }
                    if chain.sender.is_some() && sender.is_some() && sender != chain.sender {
                        return Chain::default();
                    }
                    chain.sender = chain.sender.or(sender);
                    // What only repeats what stood before it says nothing more.
                    let head = rest.get(..len.min(HEAD)).unwrap_or(rest);
                    if head != last {
                        chain.bits = chain.bits.saturating_add(bits);
                    }
                    last = head;
                    at = at.saturating_add(len);
                    if len > rest.len() {
                        chain.open = !stream.ended;
                        break;
                    }
                }
            }
        }
        let end = u32::try_from(at).unwrap_or(u32::MAX);
        if chain.bits > 0 && stream.ends.binary_search(&end).is_ok() {
            chain.bits = chain.bits.saturating_add(EXACT);
        }
        chain
    }
}

#[cfg(test)]
mod tests;
