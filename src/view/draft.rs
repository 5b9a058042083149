//! The draft of a signature file out of one flow, for whoever knows what the flow is: the bytes
//! that its first messages have in common, lengths that agree, and tests.
//!
//! One flow shows what it has in common with itself. The draft says so.

use std::fmt::Write as _;

use crate::classify::explain::{Kept, Sent};
use crate::decode::IpProtocol;
use crate::record::FlowRecord;

/// Messages that are compared.
const COMPARED: usize = 4;

/// How far into messages.
const REACH: usize = 32;

/// What is taken of a message that there is nothing to compare with: a magic number, a type, a
/// version are seldom longer.
const ALONE: usize = 8;

/// Fixed bits that stand alone, as `signatures check` asks.
const STANDALONE_BITS: usize = 28;

/// What a draft says of the messages of a side.
struct Pattern {
    /// By offset; `None`: any.
    bytes: Vec<Option<u8>>,
    /// A field that holds a length.
    length: Option<Field>,
    /// How many messages are so.
    messages: usize,
}

/// An integer in a message that grows with it.
#[derive(Clone, Copy)]
struct Field {
    term: &'static str,
    offset: usize,
    width: usize,
    /// What of the message it does not count.
    more: usize,
}

impl Pattern {
    fn bits(&self) -> usize {
        self.bytes.iter().flatten().count() * 8
    }
}

/// A signature file that names this flow.
pub(super) fn lines(record: &FlowRecord, kept: &Kept) -> Vec<String> {
    let Some(file) = draft(record.protocol, record.server_port, kept) else {
        return vec!["draft      none: its messages have no bytes in common".to_owned()];
    };
    let mut lines = vec![
        "draft      of a rule, by this one flow alone: compare others, and say how it is known"
            .to_owned(),
    ];
    lines.extend(file.lines().map(|line| format!("  {line}")));
    lines
}

fn draft(protocol: IpProtocol, port: u16, kept: &Kept) -> Option<String> {
    let client = ("client", &kept.sides.client);
    let server = ("server", &kept.sides.server);
    let is_datagram = protocol != IpProtocol::TCP;
    let patterns = [client, server].map(|(name, sent)| (name, sent, pattern(sent, is_datagram)));
    let (direction, sent, pattern) = patterns
        .into_iter()
        .filter_map(|(name, sent, pattern)| Some((name, sent, pattern?)))
        // Of two as good, the client's, which comes first.
        .rev()
        .max_by_key(|(_, _, pattern)| {
            pattern.bits() + 16 * usize::from(pattern.length.is_some())
        })?;
    file(protocol, port, direction, sent, &pattern)
}

fn file(
    protocol: IpProtocol,
    port: u16,
    direction: &str,
    sent: &Sent,
    pattern: &Pattern,
) -> Option<String> {
    let mut text = String::from(
        "# DRAFT: signatures/protocol/draft.toml\n\
         [protocol]\n\
         name = \"draft\"\n\
         title = \"Draft\"\n\
         \n\
         [[payload]]\n\
         name = \"draft-opening\"\n",
    );
    // Writing to a text does not fail.
    let transport = match protocol {
        IpProtocol::TCP => Some("tcp"),
        IpProtocol::UDP => Some("udp"),
        IpProtocol::SCTP => Some("sctp"),
        _ => None,
    };
    let _ = match transport {
        Some(name) => writeln!(text, "transport = \"{name}\""),
        None => writeln!(text, "ip_protocol = {}", protocol.0),
    };
    let _ = writeln!(text, "direction = \"{direction}\"");
    let is_repeated = pattern.messages > 1;
    let message = if is_repeated || sent.mid_stream {
        "any"
    } else {
        "first"
    };
    let _ = writeln!(text, "message = \"{message}\"");
    if is_repeated {
        let _ = writeln!(text, "repeat = {}", pattern.messages);
    }
    let is_weak = pattern.bits() < STANDALONE_BITS && pattern.length.is_none() && !is_repeated;
    if port > 0 {
        let _ = writeln!(text, "port = [{port}]");
        if is_weak {
            let _ = writeln!(text, "port_required = true");
        }
    } else if is_weak && transport.is_some() {
        return None;
    }
    let at: Vec<String> = runs(&pattern.bytes)
        .map(|(offset, run)| format!("{{ offset = {offset}, hex = \"{}\" }}", hex(run)))
        .collect();
    if !at.is_empty() {
        let _ = writeln!(text, "at = [{}]", at.join(", "));
    }
    if let Some(field) = pattern.length {
        let Field {
            term, offset, more, ..
        } = field;
        let _ = match more {
            0 => writeln!(text, "where = [\"{term}({offset}) == len\"]"),
            more => writeln!(text, "where = [\"{term}({offset}) + {more} == len\"]"),
        };
    }
    let _ = writeln!(text, "source = \"one flow in a capture\"");
    // One test that must match, and one that must not. What the rule does not look at is left out,
    // but for its length.
    for matches in [true, false] {
        let messages = sent.messages().take(COMPARED);
        let messages = messages.map(|message| {
            let head = message.get(..REACH).unwrap_or(message);
            let head: Vec<u8> = match matches {
                true => head.to_vec(),
                false => head.iter().map(|byte| !byte).collect(),
            };
            match message.len() - head.len() {
                0 => format!("\"{}\"", hex(head)),
                rest => format!("\"{} 00*{rest}\"", hex(head)),
            }
        });
        let messages: Vec<String> = messages.collect();
        text.push_str("\n[[test]]\nrule = \"draft-opening\"\n");
        if port > 0 {
            let _ = writeln!(text, "port = {port}");
        }
        let _ = writeln!(text, "{direction} = [{}]", messages.join(", "));
        if !matches {
            text.push_str("match = false\n");
        }
    }
    Some(text)
}

/// What the first messages of a side have in common; of one alone, its first bytes.
fn pattern(sent: &Sent, is_datagram: bool) -> Option<Pattern> {
    let messages: Vec<&[u8]> = sent.messages().take(COMPARED).collect();
    let (&first, others) = messages.split_first()?;
    let compared = |messages: &[&[u8]], reach: usize| {
        let mut bytes: Vec<Option<u8>> = first.iter().take(reach).copied().map(Some).collect();
        for other in messages {
            bytes.truncate(other.len());
            for (byte, other) in bytes.iter_mut().zip(*other) {
                *byte = byte.filter(|byte| byte == other);
            }
        }
        let length = length(first, messages);
        if let Some(field) = length {
            let place = bytes.iter_mut().skip(field.offset);
            place.take(field.width).for_each(|byte| *byte = None);
        }
        Pattern {
            bytes,
            length,
            messages: messages.len() + 1,
        }
    };
    let together = compared(others, REACH);
    // Single bytes may be alike by chance.
    let is_enough = |pattern: &Pattern| {
        let has_run = runs(&pattern.bytes).any(|(_, run)| run.len() >= 2);
        has_run || (pattern.bits() > 0 && pattern.length.is_some())
    };
    if !others.is_empty() && is_enough(&together) {
        return Some(together);
    }
    // Segments go on where the one before ended, and need not begin alike; datagrams that do not
    // have nothing to begin with.
    if (others.is_empty() || !is_datagram) && !sent.mid_stream {
        let alone = compared(&[], ALONE);
        return (alone.bits() >= 16).then_some(alone);
    }
    None
}

/// A field near the start of all these messages that says how long they are.
fn length(first: &[u8], others: &[&[u8]]) -> Option<Field> {
    type Read = fn(&[u8]) -> Option<u64>;
    const TERMS: [(&str, usize, Read); 4] = [
        ("be32", 4, |bytes| {
            bytes
                .first_chunk()
                .map(|&four| u32::from_be_bytes(four).into())
        }),
        ("le32", 4, |bytes| {
            bytes
                .first_chunk()
                .map(|&four| u32::from_le_bytes(four).into())
        }),
        ("be16", 2, |bytes| {
            bytes
                .first_chunk()
                .map(|&two| u16::from_be_bytes(two).into())
        }),
        ("le16", 2, |bytes| {
            bytes
                .first_chunk()
                .map(|&two| u16::from_le_bytes(two).into())
        }),
    ];
    for (term, width, read) in TERMS {
        for offset in 0..16_usize {
            let more = |message: &[u8]| -> Option<u64> {
                let value = read(message.get(offset..)?)?;
                let more = (message.len() as u64).checked_sub(value)?;
                // It counts all, what follows it, or what follows a header.
                (value > 0 && more <= 16 && (more == 0 || more >= (offset + width) as u64))
                    .then_some(more)
            };
            let Some(one) = more(first) else { continue };
            if others.iter().all(|other| more(other) == Some(one)) {
                return Some(Field {
                    term,
                    offset,
                    width,
                    more: usize::try_from(one).unwrap_or_default(),
                });
            }
        }
    }
    None
}

/// Runs of known bytes, with their offsets.
fn runs(bytes: &[Option<u8>]) -> impl Iterator<Item = (usize, Vec<u8>)> {
    let mut runs: Vec<(usize, Vec<u8>)> = Vec::new();
    for (offset, byte) in bytes.iter().enumerate() {
        let Some(byte) = *byte else { continue };
        match runs.last_mut() {
            Some((start, run)) if *start + run.len() == offset => run.push(byte),
            _ => runs.push((offset, vec![byte])),
        }
    }
    runs.into_iter()
}

fn hex(bytes: impl AsRef<[u8]>) -> String {
    let mut text = String::new();
    for (place, byte) in bytes.as_ref().iter().enumerate() {
        let separator = if place > 0 { " " } else { "" };
        let _ = write!(text, "{separator}{byte:02x}");
    }
    text
}

impl Sent {
    /// The messages that were kept whole.
    fn messages(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts
            .zip(&self.ends)
            .map_while(|(start, &end)| self.bytes.get(start as usize..end as usize))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::flow::PerSide;
    use crate::signature::{Severity, SourceFile, check};

    fn sent(messages: &[Vec<u8>]) -> Sent {
        let mut sent = Sent::default();
        for message in messages {
            sent.bytes.extend_from_slice(message);
            sent.ends.push(sent.bytes.len() as u32);
        }
        sent.len = sent.bytes.len();
        sent
    }

    fn kept(client: &[Vec<u8>], server: &[Vec<u8>]) -> Kept {
        Kept {
            sides: PerSide {
                client: sent(client),
                server: sent(server),
            },
            ..Kept::default()
        }
    }

    #[test]
    fn what_messages_have_in_common_is_drafted() {
        type Case<'a> = (IpProtocol, &'a [&'a [u8]], &'a [&'a str]);
        let cases: &[Case<'_>] = &[
            (
                IpProtocol::UDP,
                &[b"\x07\x09\x00\x04abcd", b"\x07\x09\x00\x02xy"],
                &["hex = \"07 09\"", "be16(2) + 4 == len", "repeat = 2"],
            ),
            (
                IpProtocol::UDP,
                &[b"\x01\x02\x03\x04\x05", b"\x01\x02\x03\x09\x05"],
                &["{ offset = 0, hex = \"01 02 03\" }, { offset = 4, hex = \"05\" }"],
            ),
            // Nothing in common: datagrams have no rule, a stream has its start.
            (IpProtocol::UDP, &[b"\x01\x02\x03", b"\x04\x05\x06"], &[]),
            (
                IpProtocol::TCP,
                &[b"HELO 12345678", b"\x01\x02\x03"],
                &["message = \"first\"", "hex = \"48 45 4c 4f 20 31 32 33\""],
            ),
            (IpProtocol::TCP, &[b"HI"], &["port_required = true"]),
            (IpProtocol::TCP, &[b"x"], &[]),
            (IpProtocol::TCP, &[], &[]),
        ];
        for (protocol, messages, parts) in cases {
            let messages: Vec<Vec<u8>> = messages.iter().map(|one| one.to_vec()).collect();
            let text = draft(*protocol, 4000, &kept(&messages, &[]));
            assert_eq!(text.is_some(), !parts.is_empty(), "{messages:?}: {text:?}");
            for part in *parts {
                let text = text.as_deref().unwrap_or_default();
                assert!(text.contains(part), "{part}: {text}");
            }
        }
    }

    fn messages() -> impl Strategy<Value = Vec<Vec<u8>>> {
        let byte = prop_oneof![Just(0_u8), Just(7), 0..=40_u8, any::<u8>()];
        prop::collection::vec(prop::collection::vec(byte, 1..60), 0..6)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        /// A draft can be used as it is, whatever was sent.
        #[test]
        fn every_draft_is_a_valid_file(
            client in messages(),
            server in messages(),
            is_tcp in any::<bool>(),
            port in prop_oneof![Just(0_u16), any::<u16>()],
        ) {
            let protocol = if is_tcp { IpProtocol::TCP } else { IpProtocol::UDP };
            if let Some(text) = draft(protocol, port, &kept(&client, &server)) {
                let files = [SourceFile::new("protocol/draft.toml", text.clone())];
                let errors: Vec<String> = check(&files)
                    .into_iter()
                    .filter(|finding| finding.severity == Severity::Error)
                    .map(|finding| finding.to_string())
                    .collect();
                prop_assert!(errors.is_empty(), "{errors:?}\n{text}");
            }
        }
    }
}
