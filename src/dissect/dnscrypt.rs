//! DNSCrypt version 2 (draft-denis-dprive-dnscrypt section 9): sealed queries, known by their
//! answers.
//!
//! An answer starts with the protocol's magic and repeats the query's nonce. A query alone shows
//! only what its resolver chose. Before that a client asks for the resolver's certificate: a query
//! in plain DNS, for `2.dnscrypt-cert` under the provider's name (section 8). Either may go by a
//! relay, and then says in front for which server (Anonymized DNSCrypt, section 2).

use std::net::Ipv6Addr;

use super::{Facts, Outcome};
use crate::app::Proto;
use crate::flow::{Opening, Side, Stream, Transport};
use crate::wire::reader::Reader;

const RESOLVER_MAGIC: [u8; 8] = *b"r6fnvWj8";

/// The first labels of every certificate's name, as DNS has them.
const CERTIFICATE_NAME: &[u8] = b"\x012\x0ddnscrypt-cert";
/// The DNS type of certificates.
const TXT: u16 = 16;

/// What stands before a query to a relay: the magic, the server's address and port.
const RELAY_MAGIC: [u8; 10] = [255, 255, 255, 255, 255, 255, 255, 255, 0, 0];

/// A query: the resolver's magic, a public key, half a nonce.
const QUERY_HEADER: usize = 8 + 32 + 12;
/// The least of a query by a relay.
const RELAYED: usize = RELAY_MAGIC.len() + 16 + 2 + 12 + CERTIFICATE_NAME.len();
/// The longest query.
const MAX_QUERY: usize = 4096;
/// What queries are padded to where fragments do not pass.
const UNFRAGMENTED: usize = 1252;

/// An answer: magic, the whole nonce, the tag of what is sealed.
const ANSWER_HEADER: usize = 8 + 24 + 16;

pub(super) fn dissect(opening: &Opening<'_>, facts: &mut Facts) -> Outcome {
    // Over TCP each message has its length in two octets before it.
    let prefix = match opening.transport {
        Transport::Tcp => 2,
        _ => 0,
    };
    let newest = match opening.transport {
        Transport::Tcp => opening.stream(opening.latest).bytes,
        _ => opening.newest(),
    };
    if prefix > 0 && is_other(opening, newest) {
        return Outcome::NotMine;
    }
    if let Some((answer, name)) = newest.get(prefix..).and_then(certificate_query) {
        facts.proto = Some(Proto::DNSCRYPT);
        facts.swapped = answer == (opening.latest == Side::Client);
        let dns = facts.dns.get_or_insert_default();
        dns.query_name = Some(name);
        dns.query_type = Some(TXT);
        return Outcome::Done;
    }
    let mut waiting = newest.len() < prefix + CERTIFICATE_NAME.len() + 12 && prefix > 0;
    for side in [Side::Server, Side::Client] {
        let stream = opening.stream(side);
        let first = match opening.transport {
            Transport::Tcp => stream.bytes,
            _ => stream.first(),
        };
        let message = first.get(prefix..).unwrap_or_default();
        if is_relayed(message) {
            facts.proto = Some(Proto::DNSCRYPT);
            facts.swapped = side == Side::Server;
            return Outcome::Done;
        }
        match message.strip_prefix(&RESOLVER_MAGIC) {
            Some(rest) if rest.len() + 8 >= ANSWER_HEADER => {
                facts.proto = Some(Proto::DNSCRYPT);
                facts.swapped = side == Side::Client;
                return Outcome::Done;
            }
            Some(_) => waiting = opening.transport == Transport::Tcp,
            None => {
                let agrees = message.iter().zip(&RESOLVER_MAGIC).all(|(a, b)| a == b);
                waiting |= prefix > 0 && !first.is_empty() && message.len() < 8 && agrees;
                let to_relay = message.iter().zip(&RELAY_MAGIC).all(|(a, b)| a == b);
                waiting |= prefix > 0 && !first.is_empty() && message.len() < RELAYED && to_relay;
                waiting |= may_be_query(first, prefix) && opening.stream(!side).is_empty();
            }
        }
    }
    match waiting {
        true => Outcome::NeedMore,
        false => Outcome::NotMine,
    }
}

/// Whether over TCP no message of any kind begins what was sent, told by the first octets. `newest` is
/// the stream that grew.
fn is_other(opening: &Opening<'_>, newest: &[u8]) -> bool {
    let begins = |stream: Stream<'_>| match stream.bytes.first_chunk::<10>() {
        Some([high, low, magic @ ..]) => {
            usize::from(u16::from_be_bytes([*high, *low])) <= MAX_QUERY
                || *magic == RESOLVER_MAGIC
                || RELAY_MAGIC.starts_with(magic)
        }
        None => !stream.is_empty(),
    };
    // The number of questions in plain DNS.
    let asks_one = newest.get(6..8) == Some(&[0, 1]);
    newest.len() >= 2 + CERTIFICATE_NAME.len() + 12
        && !asks_one
        && !begins(opening.client)
        && !begins(opening.server)
}

/// Whether a DNS message is an answer, and the name it is about, if that is a certificate's.
fn certificate_query(bytes: &[u8]) -> Option<(bool, Box<str>)> {
    let mut reader = Reader::new(bytes);
    reader.skip(2)?;
    let flags = reader.be16()?;
    let questions = reader.be16()?;
    reader.skip(6)?;
    if questions != 1 || !reader.rest().starts_with(CERTIFICATE_NAME) {
        return None;
    }
    let mut name = String::with_capacity(reader.rest().len().min(254));
    loop {
        let len = reader.u8()?;
        if len == 0 {
            break;
        }
        // A name has at most 255 octets (RFC 1035 section 2.3.4), and is not compressed here.
        let label = reader.take(usize::from(len)).filter(|_| len < 64)?;
        let text = std::str::from_utf8(label).ok()?;
        if name.len() + text.len() > 254 {
            return None;
        }
        if !name.is_empty() {
            name.push('.');
        }
        name.extend(text.chars().map(|letter| letter.to_ascii_lowercase()));
    }
    let kind = reader.be16()?;
    (kind == TXT).then(|| (flags & 0x8000 != 0, name.into()))
}

/// Whether a message is a query to a relay: for a server that the relay could reach, with enough
/// behind it for a query of the shortest name.
fn is_relayed(message: &[u8]) -> bool {
    let Some(rest) = message.strip_prefix(&RELAY_MAGIC) else {
        return false;
    };
    let mut reader = Reader::new(rest);
    let (Some(address), Some(port)) = (reader.array::<16>(), reader.be16()) else {
        return false;
    };
    let is_global = match Ipv6Addr::from(*address).to_ipv4_mapped() {
        Some(v4) => !v4.is_unspecified() && !v4.is_multicast() && !v4.is_broadcast(),
        // All that IANA has given out so far.
        None => address.first().is_some_and(|first| first >> 5 == 1),
    };
    is_global && port != 0 && message.len() >= RELAYED
}

/// Whether a side's first octets may be a query, whose answer would tell. What is sealed in it is
/// padded to whole blocks of 64 octets (section 5.3); dnscrypt-proxy pads the whole message so, or
/// to what fits a datagram that must not be fragmented (`MaxDNSUDPSafePacketSize`).
fn may_be_query(bytes: &[u8], prefix: usize) -> bool {
    let len = match (prefix, bytes) {
        (0, _) => bytes.len(),
        (_, [high, low, ..]) => usize::from(u16::from_be_bytes([*high, *low])),
        _ => return true,
    };
    let Some(padded) = len.checked_sub(QUERY_HEADER + 16) else {
        return false;
    };
    len <= MAX_QUERY && (padded % 64 == 0 || len % 64 == 0 || len == UNFRAGMENTED)
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use super::super::trial::{Trial, hex, withstands};
    use super::*;

    const QUERY: &str = "51 36 66 6e 76 57 6a 38 aa*32 bb*12 cc*272";
    const ANSWER: &str = "72 36 66 6e 76 57 6a 38 bb*12 dd*12 ee*64";

    fn datagrams() -> Trial {
        Trial::udp(443).client(hex(QUERY)).server(hex(ANSWER))
    }

    #[test]
    fn answers_are_recognised() {
        assert_eq!(datagrams().facts(dissect).proto, Some(Proto::DNSCRYPT));
        assert!(datagrams().turned().facts(dissect).swapped);
        let stream = Trial::tcp(443)
            .client(hex(&format!("01 44 {QUERY}")))
            .server(hex(&format!("00 60 {ANSWER}")));
        stream.facts(dissect);
        stream.same_by_octets(dissect);
        Trial::udp(443)
            .client(hex(ANSWER))
            .refused_below(ANSWER_HEADER, dissect);
    }

    #[test]
    fn queries_wait_for_their_answer() {
        assert_eq!(
            Trial::udp(443).client(hex(QUERY)).ask(dissect).0,
            Outcome::NeedMore
        );
        let other = Trial::udp(443)
            .client(hex(QUERY))
            .server(hex("72 36 66 6e 76 57 6a 39 bb*60"));
        assert_eq!(other.ask(dissect).0, Outcome::NotMine);
        assert_eq!(
            Trial::udp(443).client(hex("aa*40")).ask(dissect).0,
            Outcome::NotMine
        );
    }

    #[test]
    fn queries_are_padded_in_three_ways() {
        for (len, waits) in [
            (68, true),
            (68 + 256, true),
            (576, true),
            (1252, true),
            (4096, true),
            (64, false),
            (577, false),
            (4160, false),
        ] {
            let query = Trial::udp(443).client(vec![0xaa; len]);
            assert_eq!(query.ask(dissect).0 == Outcome::NeedMore, waits, "{len}");
            if waits {
                let both = query.server(hex(ANSWER));
                assert_eq!(both.facts(dissect).proto, Some(Proto::DNSCRYPT), "{len}");
            }
        }
    }

    #[test]
    fn relays_are_told_the_server() {
        let to = |address: &str, port: &str| {
            let magic = "ff*8 00*2";
            Trial::udp(443).client(hex(&format!("{magic} {address} {port} {QUERY}")))
        };
        let mapped = "00*10 ff ff c0 00 02 01";
        assert_eq!(
            to(mapped, "01 bb").facts(dissect).proto,
            Some(Proto::DNSCRYPT)
        );
        to("20 01 0d b8 00*11 01", "01 bb").facts(dissect);
        to(mapped, "00 00").refused(dissect);
        to("00*10 ff ff 00*4", "01 bb").refused(dissect);
        to("fe 80 00*13 01", "01 bb").refused(dissect);
        let relayed = format!("ff*8 00*2 {mapped} 01 bb {QUERY}");
        let stream = Trial::tcp(443).client(hex(&format!("01 60 {relayed}")));
        stream.facts(dissect);
        stream.same_by_octets(dissect);
        Trial::udp(443)
            .client(hex(&relayed))
            .refused_below(RELAYED, dissect);
    }

    fn certificate(kind: u8) -> Vec<u8> {
        let mut bytes = hex("7f 47 01 00 00 01 00 00 00 00 00 00");
        bytes.extend(b"\x012\x0ddnscrypt-cert\x07Example\x03com\0");
        bytes.extend([0, kind, 0, 1]);
        bytes
    }

    #[test]
    fn certificates_are_asked_for_in_the_clear() {
        let query = certificate(16);
        let framed = [&[0, query.len() as u8], &query[..]].concat();
        let mut answer = query.clone();
        answer[2] |= 0x80;
        for (trial, swapped) in [
            (Trial::udp(443).client(&query), false),
            (Trial::tcp(443).client(framed), false),
            (Trial::udp(443).client(answer), true),
        ] {
            let facts = trial.facts(dissect);
            assert_eq!(
                (facts.proto, facts.swapped),
                (Some(Proto::DNSCRYPT), swapped)
            );
            let name = facts.dns.unwrap().query_name.unwrap();
            assert_eq!(&*name, "2.dnscrypt-cert.example.com");
        }
        Trial::udp(443)
            .client(&query)
            .refused_below(query.len() - 2, dissect);
        Trial::udp(443).client(certificate(1)).refused(dissect);
    }

    #[test]
    fn withstands_mutations() {
        withstands(
            dissect,
            &[datagrams(), Trial::udp(443).client(certificate(16))],
        );
    }
}
