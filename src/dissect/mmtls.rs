//! mmtls, the transport security of WeChat's long link: TLS 1.3 by design, not on the wire.
//!
//! A record is a type, the version `f1 03` or `f1 04`, a length and that many octets. A handshake
//! record begins with a message: its length in four octets, a type and the version turned round.
//! No document of the owner's describes it; this is what public clients of it write. Short links
//! carry the same records in bodies of `POST /mmtls/..`, which are `http`'s business.

use super::{Facts, Outcome};
use crate::app::Proto;
use crate::flow::{Opening, Side, Stream};
use crate::wire::reader::Reader;

const ALERT: u8 = 0x15;
const HANDSHAKE: u8 = 0x16;
const DATA: u8 = 0x17;
/// Data under the key of an earlier session, sent before the handshake is answered.
const EARLY: u8 = 0x19;

const CLIENT_HELLO: u8 = 1;
const SERVER_HELLO: u8 = 2;

/// In the middle of a stream, how many messages may pass before one begins with a record.
const MAX_MESSAGES: usize = 8;

/// What one side's bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    Other,
    Short,
    Records,
    /// Records, and which side sends such a handshake.
    Hello(Side),
}

pub(super) fn dissect(opening: &Opening<'_>, facts: &mut Facts) -> Outcome {
    let seen = [Side::Client, Side::Server].map(|side| (side, look(opening.stream(side))));
    let mut outcome = Outcome::NeedMore;
    for (side, seen) in seen {
        match seen {
            Seen::Other => return Outcome::NotMine,
            Seen::Short => {}
            Seen::Records => outcome = Outcome::Done,
            Seen::Hello(of) => {
                facts.proto = Some(Proto::MMTLS);
                facts.swapped = of != side;
                return Outcome::Done;
            }
        }
    }
    if outcome == Outcome::Done {
        facts.proto = Some(Proto::MMTLS);
    }
    outcome
}

fn look(stream: Stream<'_>) -> Seen {
    match records(stream.bytes, stream.ends, 0) {
        Seen::Other if stream.mid_stream => {}
        seen => return seen,
    }
    // A record may have begun before the capture did: the next one likely begins a segment.
    let start = match stream.ends {
        [.., start, _] => *start,
        _ => 0,
    };
    match stream.bytes.get(start as usize..) {
        Some(newest) if start > 0 => match records(newest, stream.ends, start) {
            Seen::Other if stream.count() < MAX_MESSAGES => Seen::Short,
            seen => seen,
        },
        _ => Seen::Short,
    }
}

/// Judges `bytes`, which stand at `offset` in a stream whose segments end at `ends`.
///
/// Sure are: a handshake message that agrees with its record, two records in a row, and one whose
/// end is that of a segment.
fn records(bytes: &[u8], ends: &[u32], offset: u32) -> Seen {
    let mut reader = Reader::new(bytes);
    let mut version = None;
    for whole in 0..2 {
        let Some(content) = reader.u8() else {
            return Seen::Short;
        };
        if !matches!(content, ALERT | HANDSHAKE | DATA | EARLY) {
            return Seen::Other;
        }
        match reader.rest() {
            [0xf1, minor @ (3 | 4), ..] if version.is_none_or(|before| before == *minor) => {
                version = Some(*minor);
            }
            [] | [0xf1] => return Seen::Short,
            _ => return Seen::Other,
        }
        if reader.skip(2).is_none() {
            return Seen::Short;
        }
        let Some(len) = reader.be16() else {
            return Seen::Short;
        };
        if len == 0 {
            return Seen::Other;
        }
        if whole == 1 {
            return Seen::Records;
        }
        if content == HANDSHAKE {
            match hello(reader.rest(), len) {
                // The newer version's handshake may differ: it has to pass as records do.
                Seen::Other if version == Some(4) => {}
                seen => return seen,
            }
        }
        if reader.skip(usize::from(len)).is_none() {
            return Seen::Short;
        }
        let end = u32::try_from(bytes.len() - reader.left()).unwrap_or(u32::MAX);
        if ends.binary_search(&offset.saturating_add(end)).is_ok() {
            return Seen::Records;
        }
    }
    Seen::Records
}

/// Judges the message at the front of a handshake record of `len` octets.
fn hello(body: &[u8], len: u16) -> Seen {
    if len < 7 {
        return Seen::Other;
    }
    let mut reader = Reader::new(body);
    let (Some(message_len), Some(message)) = (reader.be32(), reader.u8()) else {
        return Seen::Short;
    };
    if message_len.checked_add(4) != Some(u32::from(len)) {
        return Seen::Other;
    }
    let Some(version) = reader.le16() else {
        return Seen::Short;
    };
    match (message, version) {
        (CLIENT_HELLO, 0xf103 | 0xf104) => Seen::Hello(Side::Client),
        (SERVER_HELLO, 0xf103 | 0xf104) => Seen::Hello(Side::Server),
        _ => Seen::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::super::trial::{Trial, hex, withstands};
    use super::*;

    fn client_hello() -> Vec<u8> {
        hex("16 f1 03 00 d4 00 00 00 d0 01 03 f1 01 c0 2b 5a*201")
    }

    fn record(content: u8, len: u8) -> Vec<u8> {
        let mut bytes = vec![content, 0xf1, 3, 0, len];
        bytes.extend((0..len).map(|i| i ^ 0xa5));
        bytes
    }

    fn recognised() -> Vec<(&'static str, Trial, bool)> {
        let two = [record(DATA, 40), record(DATA, 9)].concat();
        vec![
            (
                "full handshake",
                Trial::tcp(8080).client(client_hello()),
                false,
            ),
            (
                "handshake from the server's side",
                Trial::tcp(8080).client(hex("16 f1 03 00 7a 00 00 00 76 02 03 f1 c0 2b")),
                true,
            ),
            (
                "hello whose version is turned already",
                Trial::tcp(80).client(hex("16 f1 04 00 10 00 00 00 0c 01 04 f1 02")),
                false,
            ),
            (
                "newer handshake of another form, as long as its segment",
                Trial::tcp(80).client(hex("16 f1 04 00 04 aa bb cc dd")),
                false,
            ),
            (
                "resumption with early data",
                Trial::tcp(443).client([record(EARLY, 30), record(DATA, 20)].concat()),
                false,
            ),
            (
                "one exact record",
                Trial::tcp(443).mid_stream().server(record(DATA, 60)),
                false,
            ),
            (
                "two records, the segment ends later",
                Trial::tcp(443).client([&two[..], &[DATA, 0xf1]].concat()),
                false,
            ),
            (
                "the end of a record, then whole ones",
                Trial::tcp(443)
                    .mid_stream()
                    .client(hex("99*20"))
                    .client(two),
                false,
            ),
        ]
    }

    #[test]
    fn records_are_recognised_whatever_side_and_place() {
        for (what, trial, swapped) in recognised() {
            let facts = trial.facts(dissect);
            assert_eq!(facts.proto, Some(Proto::MMTLS), "{what}");
            assert_eq!(facts.swapped, swapped, "{what}");
        }
        Trial::tcp(8080)
            .client(client_hello())
            .same_by_octets(dissect);
    }

    #[test]
    fn tls_and_lying_lengths_are_not() {
        for (what, bytes) in [
            ("TLS", hex("16 03 01 00 05 01 00 00 01 00")),
            (
                "handshake shorter than its record",
                hex("16 f1 03 00 d4 00 00 00 d1 01 03 f1 01"),
            ),
            (
                "message length about to overflow",
                hex("16 f1 03 00 03 ff ff ff ff 01 03 f1"),
            ),
            (
                "no such message",
                hex("16 f1 03 00 d4 00 00 00 d0 09 03 f1 01"),
            ),
            ("empty record", hex("17 f1 03 00 00 17 f1 03 00 00")),
            (
                "record and something else",
                hex("17 f1 03 00 01 aa 47 45 54 20 2f"),
            ),
            (
                "versions mixed",
                hex("17 f1 03 00 01 aa 17 f1 04 00 01 bb cc"),
            ),
            ("type 18", hex("18 f1 03 00 01 aa")),
        ] {
            let (outcome, _) = Trial::tcp(443).client(bytes).ask(dissect);
            assert_eq!(outcome, Outcome::NotMine, "{what}");
        }
        Trial::tcp(443)
            .client(hex("17 f1 03 00 40 aa*20"))
            .refused(dissect);
    }

    #[test]
    fn the_middle_of_something_else_is_given_up() {
        let mut trial = Trial::tcp(443).mid_stream();
        for _ in 0..MAX_MESSAGES {
            trial = trial.client(b"just text");
        }
        assert_eq!(trial.ask(dissect).0, Outcome::NotMine);
    }

    #[test]
    fn withstands_mutations() {
        let seeds: Vec<_> = recognised()
            .into_iter()
            .map(|(_, trial, _)| trial)
            .collect();
        withstands(dissect, &seeds);
    }
}
