//! DNSCrypt version 2 (draft-denis-dprive-dnscrypt section 9): sealed queries, known by their
//! answers.
//!
//! An answer starts with the protocol's magic and repeats the query's nonce. A query alone shows
//! only what its resolver chose.

use super::{Facts, Outcome};
use crate::app::Proto;
use crate::flow::{Opening, Side, Transport};

const RESOLVER_MAGIC: [u8; 8] = *b"r6fnvWj8";

/// A query: the resolver's magic, a public key, half a nonce.
const QUERY_HEADER: usize = 8 + 32 + 12;
/// An answer: magic, the whole nonce, the tag of what is sealed.
const ANSWER_HEADER: usize = 8 + 24 + 16;

pub(super) fn dissect(opening: &Opening<'_>, facts: &mut Facts) -> Outcome {
    // Over TCP each message has its length in two octets before it.
    let prefix = match opening.transport {
        Transport::Tcp => 2,
        _ => 0,
    };
    let mut waiting = false;
    for side in [Side::Server, Side::Client] {
        let stream = opening.stream(side);
        let first = match opening.transport {
            Transport::Tcp => stream.bytes,
            _ => stream.first(),
        };
        let message = first.get(prefix..).unwrap_or_default();
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
                waiting |= may_be_query(first, prefix) && opening.stream(!side).is_empty();
            }
        }
    }
    match waiting {
        true => Outcome::NeedMore,
        false => Outcome::NotMine,
    }
}

/// Whether a side's first octets may be a query: what is sealed in it is padded to whole blocks of
/// 64 octets.
fn may_be_query(bytes: &[u8], prefix: usize) -> bool {
    let len = match (prefix, bytes) {
        (0, _) => bytes.len(),
        (_, [high, low, ..]) => usize::from(u16::from_be_bytes([*high, *low])),
        _ => return true,
    };
    len < 4096
        && len
            .checked_sub(QUERY_HEADER + 16)
            .is_some_and(|padded| padded % 64 == 0)
}

#[cfg(test)]
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
    fn withstands_mutations() {
        withstands(dissect, &[datagrams()]);
    }
}
