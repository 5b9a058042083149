//! DTLS 1.0 to 1.3 (RFC 4347, RFC 6347, RFC 9147), and the version 0x0100 that OpenSSL had
//! before the first of them: names, ALPN and JA4 of the client, names in the certificate.
//!
//! `tls` reads the handshake messages; this file finds records in datagrams and puts messages
//! together from their fragments. Any side's first datagram must be DTLS to its last octet, so
//! other UDP traffic is let go at its first octet or length.

use std::borrow::Cow;

use super::tls::{
    CERTIFICATE, CLIENT_HELLO, CertificateRead, HelloOver, HelloRead, SERVER_HELLO,
    SERVER_HELLO_DONE, chosen_version, read_certificate, read_client_hello, read_cut_client_hello,
};
use super::{Facts, Outcome};
use crate::app::Proto;
use crate::flow::{Opening, Stream};
use crate::wire::reader::Reader;

const CHANGE_CIPHER_SPEC: u8 = 20;
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const APPLICATION_DATA: u8 = 23;
const HEARTBEAT: u8 = 24;
/// RFC 9146. Its header has a connection identifier of a length that only the peers know.
const TLS12_CID: u8 = 25;

/// The version that chooses DTLS 1.3.
const DTLS_1_3: u16 = 0xfefc;

/// Reads the opening of a UDP flow.
pub(super) fn dissect(opening: &Opening<'_>, facts: &mut Facts) -> Outcome {
    let (client, server) = (opening.client, opening.server);
    if client.is_empty() && server.is_empty() {
        return Outcome::NeedMore;
    }
    if !is_dtls(client.first()) && !is_dtls(server.first()) {
        return Outcome::NotMine;
    }
    let (outcome, swapped) = read(client, server, facts);
    facts.swapped |= swapped;
    outcome
}

/// Reads the DTLS among datagrams of other protocols: after STUN, as WebRTC does (RFC 5764
/// section 5.1.2, RFC 7983). [`Outcome::NeedMore`] until there is some.
///
/// Which of two peers is DTLS's client was agreed elsewhere (RFC 5763 section 5) and says nothing of
/// who began the flow.
pub(super) fn dissect_muxed(opening: &Opening<'_>, facts: &mut Facts) -> Outcome {
    let (client, server) = (opening.client, opening.server);
    if client.messages().chain(server.messages()).any(is_dtls) {
        read(client, server, facts).0
    } else {
        Outcome::NeedMore
    }
}

/// What there is of DTLS, and whether the flow's server is its client.
fn read(client: Stream<'_>, server: Stream<'_>, facts: &mut Facts) -> (Outcome, bool) {
    let (client, server) = (Flight::of(client), Flight::of(server));
    let swapped = (client.sent(SERVER_HELLO) && !server.sent(SERVER_HELLO))
        || (server.sent(CLIENT_HELLO) && !client.sent(CLIENT_HELLO));
    let (client, server) = if swapped {
        (server, client)
    } else {
        (client, server)
    };
    facts.proto = Some(Proto::DTLS);

    let asked = read_request(&client, facts);
    let answered = read_answer(&server, facts);
    let client_final = match asked {
        Read::All => true,
        Read::Part => false,
        Read::Nothing => client.stream.ended || client.encrypted || server.encrypted,
    };
    let server_final = match answered {
        Read::All => true,
        Read::Part => false,
        Read::Nothing => server.stream.ended || client.encrypted,
    };
    let outcome = if client_final && server_final {
        Outcome::Done
    } else {
        Outcome::Partial
    };
    (outcome, swapped)
}

/// How much of a side's part is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Read {
    Nothing,
    Part,
    All,
}

fn read_request(client: &Flight<'_>, facts: &mut Facts) -> Read {
    if !client.sent(CLIENT_HELLO) {
        return Read::Nothing;
    }
    if facts.tls.as_ref().is_some_and(|tls| tls.ja4.is_some()) {
        return Read::All;
    }
    let Some(message) = client.message(CLIENT_HELLO) else {
        return Read::Part;
    };
    let mut plain = vec![CLIENT_HELLO];
    plain.extend(message.len.to_be_bytes().iter().skip(1));
    plain.extend_from_slice(&message.body);
    let read = if client.stream.ended || client.encrypted {
        read_cut_client_hello
    } else {
        read_client_hello
    };
    match read(&plain, HelloOver::Dtls, facts) {
        HelloRead::NeedMore => Read::Part,
        HelloRead::Complete | HelloRead::NotAHello => Read::All,
    }
}

fn read_answer(server: &Flight<'_>, facts: &mut Facts) -> Read {
    if server.stream.is_empty() {
        return Read::Nothing;
    }
    let ended = server.stream.ended || server.encrypted;
    if let Some(hello) = server.message(SERVER_HELLO).filter(Message::is_whole) {
        let tls = facts.tls.get_or_insert_default();
        tls.version = chosen_version(&hello.body).or(tls.version);
        if tls.version == Some(DTLS_1_3) {
            return Read::All; // The certificate is encrypted.
        }
    }
    if let Some(message) = server.message(CERTIFICATE)
        && let CertificateRead::Names(names) = read_certificate(&message.body, ended)
    {
        facts.tls.get_or_insert_default().certificate = names;
        return Read::All;
    }
    let without_certificate = server.sent(SERVER_HELLO_DONE) && !server.sent(CERTIFICATE);
    if ended || without_certificate {
        Read::All
    } else {
        Read::Part
    }
}

/// A record and what its header says.
#[derive(Clone, Copy, Debug)]
struct Record<'a> {
    kind: u8,
    epoch: u16,
    body: &'a [u8],
    /// What the header says of the body's length; more than there is in a cut capture.
    len: usize,
}

impl<'a> Record<'a> {
    /// The next record of a datagram; `None` when there is none.
    fn next(reader: &mut Reader<'a>) -> Option<Self> {
        let &[kind, version_high, version_low, ..] = reader.array::<3>()?;
        let version = u16::from_be_bytes([version_high, version_low]);
        // 0xfefc is never in a record: DTLS 1.3 says 0xfefd there.
        if !matches!(kind, CHANGE_CIPHER_SPEC..=HEARTBEAT)
            || !matches!(version, 0xfeff | 0xfefd | 0x0100)
        {
            return None;
        }
        let epoch = reader.be16()?;
        // 32 bits of sequence number are more than any epoch uses.
        let sequence_high = reader.be16()?;
        reader.skip(4)?;
        let len = usize::from(reader.be16()?);
        let body = reader.take(len.min(reader.left()))?;
        let record = Self {
            kind,
            epoch,
            body,
            len,
        };
        (epoch <= 0xff && sequence_high == 0 && record.is_sound()).then_some(record)
    }

    /// Whether the body can be that of such a record.
    fn is_sound(&self) -> bool {
        match (self.kind, self.epoch) {
            // Three octets with a sequence number, in the version before DTLS 1.0.
            (CHANGE_CIPHER_SPEC, _) => matches!(self.len, 1 | 3),
            (ALERT, 0) => self.len == 2,
            (HANDSHAKE, 0) => Fragment::first(self.body).is_some(),
            (APPLICATION_DATA | HEARTBEAT, 0) => false,
            _ => self.len >= 16,
        }
    }

    const fn is_whole(&self) -> bool {
        self.body.len() == self.len
    }
}

/// The records of one datagram.
fn records(datagram: &[u8]) -> impl Iterator<Item = Record<'_>> {
    let mut reader = Reader::new(datagram);
    std::iter::from_fn(move || Record::next(&mut reader))
}

/// Whether `datagram` is records to its end. A record of the handshake in the clear has so many
/// fields that agree that its end may be missing.
fn is_dtls(datagram: &[u8]) -> bool {
    let mut reader = Reader::new(datagram);
    let Some(first) = Record::next(&mut reader) else {
        return false;
    };
    if !first.is_whole() {
        return first.kind == HANDSHAKE && first.epoch == 0;
    }
    loop {
        let ahead = reader;
        match Record::next(&mut reader) {
            Some(record) if record.is_whole() => {}
            Some(_) => return false,
            None => {
                return match ahead.rest().first() {
                    None | Some(&TLS12_CID) => true,
                    // The short header of encrypted records (RFC 9147 section 4).
                    Some(octet) => octet >> 5 == 1,
                };
            }
        }
    }
}

/// A piece of a handshake message (RFC 6347 section 4.2.2).
#[derive(Clone, Copy, Debug)]
struct Fragment<'a> {
    kind: u8,
    len: u32,
    sequence: u16,
    offset: u32,
    body: &'a [u8],
}

impl<'a> Fragment<'a> {
    /// The fragment `record_body` begins with.
    fn first(record_body: &'a [u8]) -> Option<Self> {
        Self::next(&mut Reader::new(record_body))
    }

    fn next(reader: &mut Reader<'a>) -> Option<Self> {
        let kind = reader
            .u8()
            .filter(|kind| matches!(kind, 0..=4 | 8 | 11..=16 | 20..=25))?;
        let len = reader.be24()?;
        let sequence = reader.be16()?;
        let offset = reader.be24()?;
        let fragment_len = reader.be24()?;
        if offset.checked_add(fragment_len)? > len || (fragment_len == 0 && len != 0) {
            return None;
        }
        let body = reader.take((fragment_len as usize).min(reader.left()))?;
        Some(Self {
            kind,
            len,
            sequence,
            offset,
            body,
        })
    }
}

/// A handshake message from its start, as far as its fragments are there.
#[derive(Debug)]
struct Message<'a> {
    len: u32,
    body: Cow<'a, [u8]>,
}

impl Message<'_> {
    fn is_whole(&self) -> bool {
        self.body.len() == self.len as usize
    }
}

/// What one side has sent.
struct Flight<'a> {
    stream: Stream<'a>,
    /// The fragments in the clear, in the order of arrival. The opening bounds them to some
    /// hundreds.
    fragments: Vec<Fragment<'a>>,
    /// A record that ends the handshake in the clear was seen.
    encrypted: bool,
}

impl<'a> Flight<'a> {
    /// What there is in those datagrams of `stream` that are DTLS.
    fn of(stream: Stream<'a>) -> Self {
        let (mut fragments, mut encrypted) = (Vec::new(), false);
        let datagrams = stream.messages().filter(|datagram| is_dtls(datagram));
        for record in datagrams.flat_map(records) {
            encrypted |= record.epoch > 0 || record.kind == CHANGE_CIPHER_SPEC;
            if record.kind == HANDSHAKE && record.epoch == 0 {
                let mut reader = Reader::new(record.body);
                fragments.extend(std::iter::from_fn(|| Fragment::next(&mut reader)));
            }
        }
        Self {
            stream,
            fragments,
            encrypted,
        }
    }

    /// The fragments of messages of type `kind`.
    fn of_kind(&self, kind: u8) -> impl DoubleEndedIterator<Item = Fragment<'a>> {
        self.fragments
            .iter()
            .copied()
            .filter(move |it| it.kind == kind)
    }

    /// Whether any of a message of type `kind` was seen.
    fn sent(&self, kind: u8) -> bool {
        self.of_kind(kind).next().is_some()
    }

    /// The first message of type `kind`; the last one, where that is whole and the first is
    /// not (a client asks a second time with the server's cookie).
    fn message(&self, kind: u8) -> Option<Message<'a>> {
        let first = self.of_kind(kind).next()?;
        let last = self.of_kind(kind).next_back()?;
        let message = Self::join(self.of_kind(kind), first);
        if message.is_whole() || first.sequence == last.sequence {
            return Some(message);
        }
        Some(Self::join(self.of_kind(kind), last))
            .filter(Message::is_whole)
            .or(Some(message))
    }

    /// Puts together what `fragments` hold of the message that `one` belongs to.
    fn join(fragments: impl Iterator<Item = Fragment<'a>>, one: Fragment<'a>) -> Message<'a> {
        let len = one.len;
        if one.body.len() == len as usize {
            return Message {
                len,
                body: Cow::Borrowed(one.body),
            };
        }
        let mut pieces: Vec<_> = fragments
            .filter(|it| it.sequence == one.sequence && it.len == len)
            .collect();
        pieces.sort_by_key(|it| it.offset);
        let mut body = Vec::new();
        for piece in pieces {
            let Some(known) = body.len().checked_sub(piece.offset as usize) else {
                break; // A gap.
            };
            body.extend_from_slice(piece.body.get(known..).unwrap_or_default());
        }
        Message {
            len,
            body: Cow::Owned(body),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing)]

    use proptest::prelude::{ProptestConfig, any, prop, proptest};

    use super::*;
    use crate::dissect::tls::tests::{certificate_body, hello_for, server_hello_body};
    use crate::flow::opening::Script;

    fn record(kind: u8, epoch: u16, body: &[u8]) -> Vec<u8> {
        record_of(0xfefd, kind, epoch, body)
    }

    fn record_of(version: u16, kind: u8, epoch: u16, body: &[u8]) -> Vec<u8> {
        let mut bytes = vec![kind];
        bytes.extend(version.to_be_bytes());
        bytes.extend(epoch.to_be_bytes());
        bytes.extend([0, 0, 0, 0, 0, 3]);
        bytes.extend((body.len() as u16).to_be_bytes());
        bytes.extend(body);
        bytes
    }

    fn fragment(kind: u8, sequence: u16, body: &[u8], offset: usize, len: usize) -> Vec<u8> {
        let octets = |value: usize| (value as u32).to_be_bytes()[1..].to_vec();
        let mut bytes = vec![kind];
        bytes.extend(octets(body.len()));
        bytes.extend(sequence.to_be_bytes());
        bytes.extend(octets(offset));
        bytes.extend(octets(len));
        bytes.extend(&body[offset..offset + len]);
        bytes
    }

    fn whole(kind: u8, sequence: u16, body: &[u8]) -> Vec<u8> {
        record(HANDSHAKE, 0, &fragment(kind, sequence, body, 0, body.len()))
    }

    fn hello() -> Vec<u8> {
        hello_for(0xfefd, Some(&[]))
    }

    fn run(script: &Script) -> (Outcome, Facts) {
        let mut facts = Facts::default();
        let outcome = dissect(&script.opening(), &mut facts);
        let mine = matches!(outcome, Outcome::Partial | Outcome::Done);
        assert_eq!(facts.proto, mine.then_some(Proto::DTLS));
        if !mine {
            assert_eq!(facts, Facts::default());
        }
        (outcome, facts)
    }

    #[test]
    fn conversations() {
        use Outcome::{Done, NeedMore, NotMine, Partial};
        let udp = || Script::udp(443);
        let client = whole(CLIENT_HELLO, 0, &hello());
        let verify = whole(3, 0, &[0xfe, 0xff, 4, 1, 2, 3, 4]);
        let answer = |version| whole(SERVER_HELLO, 1, &server_hello_body(version));
        let certificate = whole(CERTIFICATE, 2, &certificate_body());
        let done = whole(SERVER_HELLO_DONE, 3, &[]);
        let data = record(APPLICATION_DATA, 1, &[0x33; 40]);
        let finished = [
            record(CHANGE_CIPHER_SPEC, 0, &[1]),
            record(HANDSHAKE, 1, &[9; 40]),
        ]
        .concat();
        let with_13 = [answer(0xfefc), vec![0x2e, 1, 2, 0, 3, 7, 7, 7]].concat();
        let cases = [
            ("ClientHello", udp().client(&client), Partial),
            (
                "HelloVerifyRequest",
                udp().client(&client).server(&verify),
                Partial,
            ),
            (
                "ServerHello",
                udp().client(&client).server(&answer(0xfefd)),
                Partial,
            ),
            (
                "DTLS 1.2",
                udp()
                    .client(&client)
                    .server(&answer(0xfefd))
                    .server(&certificate),
                Done,
            ),
            (
                "one datagram",
                udp()
                    .client(&client)
                    .server(&[answer(0xfefd), certificate, done.clone()].concat()),
                Done,
            ),
            ("DTLS 1.3", udp().client(&client).server(&with_13), Done),
            (
                "no certificate",
                udp().client(&client).server(&answer(0xfefd)).server(&done),
                Done,
            ),
            (
                "resumption",
                udp()
                    .client(&client)
                    .server(&[answer(0xfefd), finished].concat()),
                Done,
            ),
            ("client only", udp().client(&client).client(&data), Done),
            ("data only", udp().client(&data), Done),
            (
                "data, one octet more",
                udp().client(&[data.clone(), vec![0]].concat()),
                NotMine,
            ),
            (
                "data, one octet less",
                udp().client(&data[..data.len() - 1]),
                NotMine,
            ),
            (
                "two records, one cut",
                udp().client(&[&data[..], &data[..30]].concat()),
                NotMine,
            ),
            ("cut hello", udp().client(&client[..60]), Partial),
            (
                "data of epoch 0",
                udp().client(&record(APPLICATION_DATA, 0, &[0x33; 40])),
                NotMine,
            ),
            (
                "another version",
                udp().client(&record_of(0xfdfd, HANDSHAKE, 1, &[0x33; 40])),
                NotMine,
            ),
            ("alert", udp().server(&record(ALERT, 0, &[2, 40])), Partial),
            (
                "before DTLS 1.0",
                udp().client(&record_of(0x0100, APPLICATION_DATA, 1, &[3; 40])),
                Done,
            ),
            (
                "STUN",
                udp().client(&[0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42]),
                NotMine,
            ),
            ("nothing", udp(), NeedMore),
        ];
        for (what, script, expected) in cases {
            assert_eq!(run(&script).0, expected, "{what}");
        }
    }

    #[test]
    fn facts_of_both_sides() {
        let client = whole(CLIENT_HELLO, 0, &hello());
        let answer = [
            whole(SERVER_HELLO, 1, &server_hello_body(0xfefd)),
            whole(CERTIFICATE, 2, &certificate_body()),
        ]
        .concat();
        for (script, swapped) in [
            (Script::udp(443).client(&client).server(&answer), false),
            (Script::udp(443).server(&client).client(&answer), true),
        ] {
            let (_, facts) = run(&script);
            assert_eq!(facts.server_name.as_deref(), Some("www.example.com"));
            assert_eq!(facts.tls.as_ref().unwrap().version, Some(0xfefd));
            assert_eq!(
                facts
                    .tls
                    .as_ref()
                    .unwrap()
                    .certificate
                    .organisation
                    .as_deref(),
                Some("Müller GmbH")
            );
            assert!(facts.tls.unwrap().ja4.unwrap().starts_with("dd2d0202h2_"));
            assert_eq!(facts.swapped, swapped);
        }
    }

    #[test]
    fn among_other_protocols() {
        let stun = [
            0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12,
        ];
        let script = Script::udp(443).client(&stun).server(&stun);
        let mut facts = Facts::default();
        assert_eq!(
            dissect_muxed(&script.opening(), &mut facts),
            Outcome::NeedMore
        );
        assert_eq!(facts, Facts::default());
        let script = script
            .client(&whole(CLIENT_HELLO, 0, &hello()))
            .server(&[0x80, 0, 1]);
        assert_eq!(dissect(&script.opening(), &mut facts), Outcome::NotMine);
        assert_eq!(
            dissect_muxed(&script.opening(), &mut facts),
            Outcome::Partial
        );
        assert_eq!(facts.server_name.as_deref(), Some("www.example.com"));
        // The one who answered ICE may begin DTLS.
        let script = Script::udp(443)
            .client(&stun)
            .server(&whole(CLIENT_HELLO, 0, &hello()));
        let mut facts = Facts::default();
        dissect_muxed(&script.opening(), &mut facts);
        assert_eq!(facts.server_name.as_deref(), Some("www.example.com"));
        assert!(!facts.swapped);
    }

    #[test]
    fn fragments_come_in_any_order() {
        let body = hello();
        let third = body.len() / 3;
        let pieces: Vec<Vec<u8>> = [
            (0, third),
            (third, third),
            (2 * third, body.len() - 2 * third),
        ]
        .iter()
        .map(|&(offset, len)| record(HANDSHAKE, 0, &fragment(CLIENT_HELLO, 0, &body, offset, len)))
        .collect();
        for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2], [0, 2, 1]] {
            let script = Script::udp(443)
                .client(&pieces[order[0]])
                .client(&pieces[order[1]]);
            assert_eq!(run(&script).1.server_name, None);
            // What came twice, and what overlaps, changes nothing.
            let overlap = record(HANDSHAKE, 0, &fragment(CLIENT_HELLO, 0, &body, 5, third));
            let script = script
                .client(&pieces[order[1]])
                .client(&overlap)
                .client(&pieces[order[2]]);
            let (_, facts) = run(&script);
            assert_eq!(
                facts.server_name.as_deref(),
                Some("www.example.com"),
                "{order:?}"
            );
            assert!(facts.tls.unwrap().ja4.is_some());
        }
        // The first hello stays incomplete, the second one with a cookie is whole.
        let second = whole(CLIENT_HELLO, 1, &hello_for(0xfefd, Some(&[5; 20])));
        let (_, facts) = run(&Script::udp(443).client(&pieces[1]).client(&second));
        assert_eq!(facts.server_name.as_deref(), Some("www.example.com"));
    }

    #[test]
    fn prefixes_and_lying_lengths() {
        let datagram = whole(CLIENT_HELLO, 0, &hello());
        for len in 1..datagram.len() {
            let (outcome, facts) = run(&Script::udp(443).client(&datagram[..len]));
            let expected = if len < 25 {
                Outcome::NotMine
            } else {
                Outcome::Partial
            };
            assert_eq!(outcome, expected, "{len}");
            assert_eq!(facts.server_name, None);
        }
        // Offset and length of the fragment past the message, and a message of 16 MiB.
        for (at, value) in [(19, 0x01), (22, 0xff), (13, 99)] {
            let mut lying = datagram.clone();
            lying[at] = value;
            assert_eq!(
                run(&Script::udp(443).client(&lying)).0,
                Outcome::NotMine,
                "octet {at}"
            );
        }
        let mut lying = datagram;
        lying[14] = 0xff;
        assert_eq!(run(&Script::udp(443).client(&lying)).1.server_name, None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn no_bytes_panic(
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
            noise in prop::collection::vec(any::<u8>(), 1..300),
        ) {
            let mut client = whole(CLIENT_HELLO, 0, &hello());
            let mut server = whole(CERTIFICATE, 2, &certificate_body());
            for (at, value) in changes {
                let at_client = at.index(client.len());
                client[at_client] = value;
                let at_server = at.index(server.len());
                server[at_server] = value;
            }
            run(&Script::udp(443).client(&client).server(&server));
            run(&Script::udp(443).client(&client).client(&noise).server(&noise));
            assert_eq!(run(&Script::udp(443).client(&noise)).0, Outcome::NotMine);
        }
    }
}
