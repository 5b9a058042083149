//! DNS over UDP and TCP (RFC 1035), multicast DNS (RFC 6762) and LLMNR (RFC 4795).
//!
//! One message format under three names, told apart by port. On the port of the service a header
//! that adds up is enough, since servers and tunnels bend the rest; on any other port the whole
//! message must parse to its last byte. NetBIOS names look the same and are `netbios`'s. The
//! first message decides; what responses teach is read by [`answers()`].

mod answers;
mod message;

pub use answers::{
    NameAnswer, Target, Transaction, answers, answers_in_stream, targets, transaction,
};
pub use message::HEADER_LEN;

use self::message::{Header, NameText, Question, Record};
use super::{Facts, Outcome};
use crate::app::Proto;
use crate::flow::{Opening, Side, Transport};
use crate::wire::reader::Reader;

const PORT_DNS: u16 = 53;
const PORT_NETBIOS_NS: u16 = 137;
const PORT_MDNS: u16 = 5353;
const PORT_LLMNR: u16 = 5355;

const TYPE_TXT: u16 = 16;

/// More records than an honest message on a foreign port carries.
const MAX_RECORDS: u32 = 1024;

/// Reads the first message of either side.
pub(super) fn dissect(opening: &Opening<'_>, facts: &mut Facts) -> Outcome {
    let side = if opening.client.is_empty() {
        Side::Server
    } else {
        Side::Client
    };
    let service = Service::of(opening);
    // The name service of NetBIOS has the same form (RFC 1002 section 4.2).
    let is_netbios = opening.transport == Transport::Udp && opening.has_port(PORT_NETBIOS_NS);
    if is_netbios && !service.usual {
        return Outcome::NotMine;
    }
    let stream = opening.stream(side);
    let mut name = NameText::new();
    let read = match opening.transport {
        Transport::Udp => read_whole(stream.first(), service, &mut name),
        Transport::Tcp => read_framed(stream.bytes, stream.ended, service, &mut name),
        Transport::Other(_) => return Outcome::NotMine,
    };
    match read {
        Ok(Read { header, rr_type }) => {
            // Multicast responses are announcements: nobody asked, so nobody is the client.
            let announced =
                service.proto == Proto::MDNS && opening.client_port == opening.server_port;
            if header.is_response() && side == Side::Client && !announced {
                facts.swapped = true;
            }
            facts.proto = Some(service.proto);
            if let Some(rr_type) = rr_type {
                if asks_for_certificate(&name, rr_type) {
                    facts.proto = Some(Proto::DNSCRYPT);
                }
                let dns = facts.dns.get_or_insert_default();
                dns.query_name = Some(name.to_boxed());
                dns.query_type = Some(rr_type);
            }
            Outcome::Done
        }
        Err(outcome) => outcome,
    }
}

/// What the ports make of a message.
#[derive(Clone, Copy, Debug)]
struct Service {
    proto: Proto,
    /// It is on its own port.
    usual: bool,
    /// A message is a datagram, so what is missing at its end will not come.
    udp: bool,
}

impl Service {
    fn of(opening: &Opening<'_>) -> Self {
        let udp = opening.transport == Transport::Udp;
        let (proto, usual) = if opening.has_port(PORT_DNS) {
            (Proto::DNS, true)
        } else if udp && opening.has_port(PORT_MDNS) {
            (Proto::MDNS, true)
        } else if opening.has_port(PORT_LLMNR) {
            (Proto::LLMNR, true)
        } else {
            (Proto::DNS, false)
        };
        Self { proto, usual, udp }
    }
}

/// What a message said.
struct Read {
    header: Header,
    /// The type asked for, when the question could be read: then its name is in the buffer.
    rr_type: Option<u16>,
}

/// A message that is all there.
fn read_whole(message: &[u8], service: Service, name: &mut NameText) -> Result<Read, Outcome> {
    let header = Header::read(message).ok_or(Outcome::NotMine)?;
    let read = if service.usual {
        usual(message, header, message.len(), service, name)
    } else {
        unusual(message, header, name)
    };
    read.ok_or(Outcome::NotMine)
}

/// A message behind its length (RFC 1035 section 4.2.2), of which more may come.
fn read_framed(
    bytes: &[u8],
    ended: bool,
    service: Service,
    name: &mut NameText,
) -> Result<Read, Outcome> {
    let missing = if ended {
        Outcome::NotMine
    } else {
        Outcome::NeedMore
    };
    let mut reader = Reader::new(bytes);
    let len = usize::from(reader.be16().ok_or(missing)?);
    if len < HEADER_LEN {
        return Err(Outcome::NotMine);
    }
    let present = reader.rest();
    let message = present.get(..len).unwrap_or(present);
    let Some(header) = Header::read(message) else {
        // Four bytes decide the length and the identifier; the flags refuse what is not DNS.
        return Err(match message.get(2) {
            Some(flags) if !known_opcode((flags >> 3) & 0x0f) => Outcome::NotMine,
            _ => missing,
        });
    };
    if service.usual {
        let read = usual(message, header, len, service, name).ok_or(Outcome::NotMine)?;
        if read.rr_type.is_none() && header.questions > 0 && message.len() < len && !ended {
            return Err(Outcome::NeedMore);
        }
        return Ok(read);
    }
    if !plausible(header) || header.least_len() > len {
        return Err(Outcome::NotMine);
    }
    if message.len() < len {
        return Err(missing);
    }
    unusual(message, header, name).ok_or(Outcome::NotMine)
}

/// A message on its own port: its question must be one, as far as it is there, or its header must
/// add up.
fn usual(
    message: &[u8],
    header: Header,
    len: usize,
    service: Service,
    name: &mut NameText,
) -> Option<Read> {
    let is_query = header.opcode() == 0;
    let is_multicast = service.proto == Proto::MDNS;
    if !known_opcode(header.opcode()) {
        return None;
    }
    let entries = u32::from(header.questions) + header.records();
    let adds_up = header.least_len() <= len && (entries > 0 || header.is_response());
    // An announcement asks nothing: the name of its first record is what it is about, and the
    // type and class stand where a question has them.
    let announces = header.is_response() && is_multicast;
    let question = (header.questions > 0 || announces)
        .then(|| name.read(message, HEADER_LEN))
        .flatten()
        .and_then(|end| Question::read(message, end));
    // A type of somebody's own may be asked for, if all else is sound.
    // RFC 9619: a query, and what answers it, has one question or none; else the count is damaged.
    let many = is_query && !is_multicast && header.questions > 1;
    let known = |q: Question| {
        known_class(q.class)
            && (known_type(q.rr_type) || adds_up)
            && (!many || known_type(q.rr_type) && begins_name(message))
    };
    // One standard question, as nearly every message has, is enough of a header where the capture or
    // the sender cut the rest. In a stream all counts have to add up: there a TLS ClientHello of 512
    // bytes has its handshake type where this one is.
    let asks = is_query && header.questions == 1 && !header.has_reserved_bit();
    // Only answers say how it went.
    let says_rightly = header.is_response() || header.rcode() == 0;
    // Where nothing of the question is left, the other counts must be usual ones.
    let shows = message.len() > HEADER_LEN || is_plain(header, true);
    let cut = asks && says_rightly && shows && (service.udp || adds_up) && is_cut(message);
    // Random in every query; bytes without meaning often have zeros here.
    let has_id = service.proto == Proto::DNS && !message.starts_with(&[0, 0]);
    // Nine octets in which all but a few bits are fixed are enough, whatever became of the question.
    let plain =
        asks && service.udp && (is_plain(header, adds_up) || has_id && header.begins_plainly());
    // Some ask nothing: an answer of a header alone, an inverse query, a notice of a session.
    let bare = header.questions == 0
        && adds_up
        && match header.records() {
            0 => message.len() == HEADER_LEN,
            _ => Record::read(message, HEADER_LEN).is_some_and(|r| known_class(r.class)),
        };
    if !cut && !bare && !plain && !question.is_some_and(known) {
        return None;
    }
    Some(Read {
        header,
        rr_type: question.map(|q| q.rr_type),
    })
}

/// Whether the header of a query for one name, or of its answer, counts what such messages have: in a
/// query an OPT and a signature at most (RFC 6891, RFC 8945), in an answer what there is room for.
fn is_plain(header: Header, adds_up: bool) -> bool {
    if header.is_response() {
        header.rcode() <= 10 && adds_up && (header.records() > 0 || header.rcode() > 0)
    } else {
        header.rcode() == 0
            && header.answers == 0
            && header.authorities == 0
            && header.additionals <= 2
    }
}

/// Whether the first label of a host or service name stands where the question does.
fn begins_name(message: &[u8]) -> bool {
    let in_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    message.get(HEADER_LEN).is_some_and(|&len| {
        let label = message.get(HEADER_LEN + 1..HEADER_LEN + 1 + usize::from(len));
        (1..=63).contains(&len) && label.is_some_and(|label| label.iter().all(in_name))
    })
}

/// Whether the question ends where the bytes do, sound so far.
fn is_cut(message: &[u8]) -> bool {
    let mut at = HEADER_LEN;
    loop {
        match message.get(at) {
            None => return true,
            // Then type and class.
            Some(0) => return message.len() < at + 5,
            Some(&len @ 1..=63) => at += 1 + usize::from(len),
            Some(_) => return false,
        }
    }
}

/// A message on a port that says nothing: every byte must have its place.
fn unusual(message: &[u8], header: Header, name: &mut NameText) -> Option<Read> {
    if !plausible(header) || header.least_len() > message.len() {
        return None;
    }
    let end = name.read(message, HEADER_LEN)?;
    let question = Question::read(message, end)?;
    if !known_class(question.class) || !known_type(question.rr_type) || is_netbios(name) {
        return None;
    }
    let mut at = question.end;
    for _ in 0..header.records() {
        let record = Record::read(message, at)?;
        if !known_type(record.rr_type) {
            return None;
        }
        at = record.end;
    }
    (at == message.len()).then_some(Read {
        header,
        rr_type: Some(question.rr_type),
    })
}

/// A header that a resolver or a name server would send: nothing reserved, one question.
fn plausible(header: Header) -> bool {
    let sections = if header.is_response() {
        header.rcode() <= 10
    } else {
        let update = header.opcode() == 5;
        header.rcode() == 0 && (update || header.answers == 0 && header.authorities == 0)
    };
    matches!(header.opcode(), 0 | 4 | 5)
        && !header.has_reserved_bit()
        && header.questions == 1
        && header.records() <= MAX_RECORDS
        && sections
}

/// Opcodes assigned by IANA: query, inverse query, status, notify, update, stateful operations.
const fn known_opcode(opcode: u8) -> bool {
    matches!(opcode, 0 | 1 | 2 | 4..=6)
}

/// Internet, Chaos, Hesiod, none and any; the top bit is mDNS's (RFC 6762 section 5.4).
const fn known_class(class: u16) -> bool {
    matches!(class & 0x7fff, 1 | 3 | 4 | 254 | 255)
}

/// Types assigned by IANA.
const fn known_type(rr_type: u16) -> bool {
    matches!(rr_type, 1..=69 | 99..=109 | 128 | 249..=264 | 32_768 | 32_769)
}

/// Whether this is how a DNSCrypt client begins: it asks a resolver, on the port it will encrypt
/// to, for the certificate of its provider (DNSCrypt protocol, section "Certificates").
fn asks_for_certificate(name: &NameText, rr_type: u16) -> bool {
    let prefixes = ["2.dnscrypt-cert.", "1.dnscrypt-cert."];
    rr_type == TYPE_TXT
        && prefixes
            .iter()
            .any(|prefix| name.as_str().starts_with(prefix))
}

/// A first label as RFC 1001 section 14.1 encodes NetBIOS names: `netbios` reads those.
fn is_netbios(name: &NameText) -> bool {
    let label = name.as_str().as_bytes().split(|&byte| byte == b'.').next();
    label.is_some_and(|label| label.len() == 32 && label.iter().all(|b| matches!(b, b'a'..=b'p')))
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::flow::opening::Script;

    fn run(script: &Script) -> (Outcome, Facts) {
        let mut facts = Facts::default();
        let outcome = dissect(&script.opening(), &mut facts);
        if !matches!(outcome, Outcome::Done | Outcome::Partial) {
            assert_eq!(facts, Facts::default());
        }
        (outcome, facts)
    }

    /// Flags, four counts, then the sections.
    fn message(flags: u16, counts: [u16; 4], sections: &[u8]) -> Vec<u8> {
        let mut message = vec![0x12, 0x34];
        message.extend_from_slice(&flags.to_be_bytes());
        for count in counts {
            message.extend_from_slice(&count.to_be_bytes());
        }
        message.extend_from_slice(sections);
        message
    }

    const QUESTION: &[u8] = b"\x03WWW\x07example\x03com\0\0\x01\0\x01";
    const ANSWER: &[u8] = b"\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\xc0\0\x02\x01";

    fn query() -> Vec<u8> {
        message(0x0100, [1, 0, 0, 0], QUESTION)
    }

    fn response() -> Vec<u8> {
        message(0x8180, [1, 1, 0, 0], &[QUESTION, ANSWER].concat())
    }

    fn framed(message: &[u8]) -> Vec<u8> {
        [&(message.len() as u16).to_be_bytes(), message].concat()
    }

    #[test]
    fn reads_the_question() {
        let rows = [
            (Script::udp(53).client(&query()), Proto::DNS, false),
            (Script::udp(9953).client(&query()), Proto::DNS, false),
            (Script::udp(53).server(&response()), Proto::DNS, false),
            (
                Script::new(Transport::Udp, 53, 40000).client(&response()),
                Proto::DNS,
                true,
            ),
            (
                Script::new(Transport::Udp, 5353, 5353).client(&response()),
                Proto::MDNS,
                false,
            ),
            (Script::udp(5353).client(&query()), Proto::MDNS, false),
            (Script::udp(5355).client(&query()), Proto::LLMNR, false),
            (
                Script::tcp(5355).client(&framed(&query())),
                Proto::LLMNR,
                false,
            ),
            (Script::tcp(53).client(&framed(&query())), Proto::DNS, false),
            (
                Script::tcp(53).client(&[0]).client(&framed(&query())[1..]),
                Proto::DNS,
                false,
            ),
            (
                Script::tcp(9953).client(&framed(&response())),
                Proto::DNS,
                true,
            ),
        ];
        for (script, proto, swapped) in rows {
            let (outcome, facts) = run(&script);
            assert_eq!(outcome, Outcome::Done, "{script:?}");
            assert_eq!(
                (facts.proto, facts.swapped),
                (Some(proto), swapped),
                "{script:?}"
            );
            assert_eq!(
                facts.dns.as_ref().unwrap().query_name.as_deref(),
                Some("www.example.com")
            );
            assert_eq!(facts.dns.unwrap().query_type, Some(1));
        }
    }

    #[test]
    fn names_an_announcement_after_its_first_record() {
        let record = b"\x05_raop\x04_tcp\x05local\0\0\x0c\x80\x01\0\0\x11\x94\0\x02\xc0\x0c";
        let script =
            Script::new(Transport::Udp, 5353, 5353).client(&message(0x8400, [0, 1, 0, 0], record));
        let (outcome, facts) = run(&script);
        assert_eq!((outcome, facts.swapped), (Outcome::Done, false));
        assert_eq!(
            facts.dns.as_ref().unwrap().query_name.as_deref(),
            Some("_raop._tcp.local")
        );
        assert_eq!(facts.dns.unwrap().query_type, Some(12));
    }

    #[test]
    fn certificates_of_dnscrypt_are_its_own() {
        let ask = |label: &[u8], rr_type: u8| {
            let question = [label, b"\x07example\x03com\0\0", &[rr_type], b"\0\x01"].concat();
            run(&Script::udp(443).client(&message(0x0100, [1, 0, 0, 0], &question)))
                .1
                .proto
        };
        assert_eq!(ask(b"\x012\x0ddnscrypt-cert", 16), Some(Proto::DNSCRYPT));
        assert_eq!(ask(b"\x012\x0ddnscrypt-cert", 1), Some(Proto::DNS));
        assert_eq!(ask(b"\x0ddnscrypt-cert", 16), Some(Proto::DNS));
    }

    #[test]
    fn bent_messages_are_dns_on_its_own_port_only() {
        let rows: &[(&str, Vec<u8>)] = &[
            (
                "question cut",
                message(0x0100, [1, 0, 0, 0], b"\x03www\x07exa"),
            ),
            (
                "count of questions damaged",
                message(0x0100, [0xb401, 0, 0, 0], QUESTION),
            ),
            (
                "a query's flags and counts, then damage",
                message(0x0100, [1, 0, 0xaaaa, 0xaaaa], b"\xaa\xaa\xaa"),
            ),
            (
                "label too long",
                message(0x0100, [1, 0, 0, 0], b"\x7fwww\0\0\x01\0\x01"),
            ),
            (
                "pointer loop",
                message(0x0100, [1, 0, 0, 0], b"\xc0\x0c\0\x01\0\x01"),
            ),
            (
                "unknown type",
                message(0x0100, [1, 0, 0, 0], b"\x01a\0\x77\x77\0\x01"),
            ),
            ("bytes left over", [query(), vec![0; 3]].concat()),
            (
                "inverse query",
                message(0x0900, [0, 1, 0, 0], b"\0\0\x01\0\x01\0\0\0\0\0\x04abcd"),
            ),
            ("header alone", message(0x8184, [0, 0, 0, 0], b"")),
            ("cut off", message(0x8380, [1, 9, 0, 0], QUESTION)),
            (
                "NetBIOS name",
                message(
                    0,
                    [1, 0, 0, 0],
                    b"\x20CKAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\0\0\x21\0\x01",
                ),
            ),
        ];
        for (what, bytes) in rows {
            let (outcome, facts) = run(&Script::udp(53).client(bytes));
            assert_eq!(
                (outcome, facts.proto),
                (Outcome::Done, Some(Proto::DNS)),
                "{what}"
            );
            assert_eq!(
                run(&Script::udp(9999).client(bytes)).0,
                Outcome::NotMine,
                "{what}"
            );
        }
    }

    #[test]
    fn refuses_what_does_not_add_up() {
        let rows: &[(&str, Vec<u8>)] = &[
            ("empty", vec![]),
            ("eleven bytes", query()[..11].to_vec()),
            (
                "no entries in a query",
                message(0x0100, [0, 0, 0, 0], QUESTION),
            ),
            (
                "garbage behind the question count",
                message(0x0100, [1, 0xaaaa, 0xaaaa, 0xaaaa], b"\xaa\xaa"),
            ),
            (
                "two questions of which the first is none",
                message(2, [2, 2, 2, 2], &[0, 2].repeat(60)),
            ),
            ("opcode 3", message(0x1900, [1, 0, 0, 0], QUESTION)),
            ("opcode 15", message(0x7900, [1, 0, 0, 0], QUESTION)),
            (
                "too many records",
                message(0x8180, [2, 500, 0, 0], b"\x03www"),
            ),
            (
                "text",
                b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n".to_vec(),
            ),
        ];
        for (what, bytes) in rows {
            for port in [53, 5353, 5355, 9999] {
                let outcome = run(&Script::udp(port).client(bytes)).0;
                assert_eq!(outcome, Outcome::NotMine, "{what} on {port}");
            }
        }
    }

    #[test]
    fn every_prefix_of_a_stream_waits_or_decides() {
        let bytes = framed(&query());
        for end in 0..bytes.len() {
            for (port, want) in [(53, Outcome::NeedMore), (9953, Outcome::NeedMore)] {
                let (outcome, _) = run(&Script::tcp(port).client(&bytes[..end]));
                assert_eq!(outcome, want, "{end} bytes to {port}");
            }
        }
        let refused = [
            &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03abcd"[..],
            b"GET / HTTP/1.1\r\n",
            b"\0\x05abcdefgh",
            b"SSH-2.0-OpenSSH_9",
        ];
        for bytes in refused {
            assert_eq!(
                run(&Script::tcp(9953).client(bytes)).0,
                Outcome::NotMine,
                "{bytes:?}"
            );
        }
        let hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x9a\x1f\x7e\x41\xd0\x33\x58";
        for bytes in [&b"GET /index.html HTTP/1.1\r\n"[..], hello] {
            assert_eq!(
                run(&Script::tcp(53).client(bytes)).0,
                Outcome::NotMine,
                "{bytes:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn random_bytes_on_other_ports_are_not_dns(
            bytes in prop::collection::vec(any::<u8>(), 0..600),
            flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        ) {
            prop_assert_eq!(run(&Script::udp(9999).client(&bytes)).0, Outcome::NotMine);
            run(&Script::tcp(53).client(&bytes));
            let mut message = response();
            for (at, value) in flips {
                let at = at.index(message.len());
                message[at] = value;
            }
            for port in [53, 5353, 9999] {
                run(&Script::udp(port).client(&message));
            }
        }
    }
}
