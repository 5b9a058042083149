//! The draft of a protocol's file out of flows, for whoever knows what they are: the bytes that
//! their first messages have in common, lengths that agree, and tests.
//!
//! Few flows show what they have in common with themselves. The draft says so.

use std::fmt::Write as _;

use crate::classify::explain::{Kept, Sent};
use crate::decode::IpProtocol;
use crate::flow::PerSide;
use crate::record::FlowRecord;

/// Messages of a flow that are compared.
const COMPARED: usize = 4;

/// How far into messages.
const REACH: usize = 32;

/// What is taken of a message that there is nothing to compare with: a magic number, a type, a
/// version are seldom longer.
const ALONE: usize = 8;

/// Fixed bits that stand alone, as `signatures check` asks.
const STANDALONE_BITS: usize = 28;

/// Flows whose messages are tests of a draft.
const TESTED: usize = 3;

/// The first messages of one side of a flow, as far as drafts look at them.
#[derive(Clone, Debug, Default)]
pub struct Beginning {
    messages: Vec<Message>,
    mid_stream: bool,
}

/// The head of a message, and how long it is.
#[derive(Clone, Debug)]
struct Message {
    head: Vec<u8>,
    len: usize,
}

/// What a draft is called, and of what flows it is.
#[derive(Clone, Copy, Debug)]
pub struct Named<'a> {
    /// The slug of the protocol, and the name of the file.
    pub name: &'a str,
    /// The name people know.
    pub title: &'a str,
    /// How it is known.
    pub source: &'a str,
    /// What carries the flows.
    pub protocol: IpProtocol,
    /// The ports of their servers; none, if there are too many.
    pub ports: &'a [u16],
}

impl Beginning {
    /// Of what was kept of a side.
    pub fn of(sent: &Sent) -> Self {
        let messages = sent.messages().take(COMPARED).map(|message| Message {
            head: message.get(..REACH).unwrap_or(message).to_vec(),
            len: message.len(),
        });
        Self {
            messages: messages.collect(),
            mid_stream: sent.mid_stream,
        }
    }

    /// Whether nothing is known of it.
    pub const fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// The beginning of the first message, unless that was not seen.
    pub fn first(&self) -> &[u8] {
        let first = self.messages.first().filter(|_| !self.mid_stream);
        first.map_or(&[], |message| &message.head)
    }
}

/// What a draft says of the messages of a side.
struct Pattern {
    /// By offset; `None`: any.
    bytes: Vec<Option<u8>>,
    /// A field that holds a length.
    length: Option<Field>,
    /// How many messages of a flow are so.
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

    /// Single bytes may be alike by chance, and one byte again and again says nothing.
    fn is_enough(&self) -> bool {
        let has_run = runs(&self.bytes).any(|(_, run)| run.len() >= 2);
        has_run && self.varies() || (self.bits() > 0 && self.length.is_some())
    }

    /// Whether not all bytes that it has are the same one.
    fn varies(&self) -> bool {
        let mut bytes = self.bytes.iter().flatten();
        let first = bytes.next();
        bytes.any(|byte| Some(byte) != first)
    }
}

/// A signature file that names this flow, in lines for people.
pub(crate) fn lines(record: &FlowRecord, kept: &Kept) -> Vec<String> {
    let named = Named {
        name: "draft",
        title: "Draft",
        source: "one flow in a capture",
        protocol: record.protocol,
        ports: &[record.server_port],
    };
    let flow = PerSide {
        client: Beginning::of(&kept.sides.client),
        server: Beginning::of(&kept.sides.server),
    };
    let Some(file) = draft(&named, &[flow]) else {
        return vec!["draft      none: its messages have no bytes in common".to_owned()];
    };
    let mut lines = vec![
        "draft      of a rule, by this one flow alone: compare others, and say how it is known"
            .to_owned(),
        "  # DRAFT: signatures/protocol/draft.toml".to_owned(),
    ];
    lines.extend(file.lines().map(|line| format!("  {line}")));
    lines
}

/// A file of a protocol that names these flows, if they have something in common.
pub fn draft(named: &Named<'_>, flows: &[PerSide<Beginning>]) -> Option<String> {
    let is_datagram = named.protocol != IpProtocol::TCP;
    let client: Vec<&Beginning> = flows.iter().map(|flow| &flow.client).collect();
    let server: Vec<&Beginning> = flows.iter().map(|flow| &flow.server).collect();
    let speaks = |side: &[&Beginning]| side.iter().any(|one| !one.messages.is_empty());
    let both = speaks(&client) && speaks(&server);
    // Of datagrams from a port of a service alone it is not known which end that is.
    if is_datagram && !speaks(&client) {
        return None;
    }
    let sides = [("client", client), ("server", server)];
    let patterns = sides.map(|(name, side)| {
        let pattern = pattern(&side, is_datagram);
        (name, side, pattern)
    });
    let (sender, side, pattern) = patterns
        .into_iter()
        .filter_map(|(name, side, pattern)| Some((name, side, pattern?)))
        // Of two as good, the client's, which comes first.
        .rev()
        .max_by_key(|(_, _, pattern)| {
            pattern.bits() + 16 * usize::from(pattern.length.is_some())
        })?;
    // Of datagrams of one side alone it is not sure which one that is.
    let direction = if is_datagram && !both {
        "either"
    } else {
        sender
    };
    // The end that sends the first datagram is taken for the client: the server's need a question.
    let is_answer = is_datagram && both && sender == "server";
    let question = |flow: &PerSide<Beginning>| {
        let first = flow.client.messages.first();
        first.filter(|_| is_answer).cloned()
    };
    let questions: Vec<Option<Message>> = flows.iter().map(question).collect();
    file(named, (sender, direction), (&side, &questions), &pattern)
}

fn file(
    named: &Named<'_>,
    (sender, direction): (&str, &str),
    (side, questions): (&[&Beginning], &[Option<Message>]),
    pattern: &Pattern,
) -> Option<String> {
    let Named {
        name,
        title,
        source,
        protocol,
        ports,
    } = *named;
    let quoted = |text: &str| toml::Value::from(text).to_string();
    let mut text = format!(
        "[protocol]\nname = {}\ntitle = {}\n\n[[payload]]\nname = \"{name}-opening\"\n",
        quoted(name),
        quoted(title)
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
    let message = if is_repeated || side.iter().any(|one| one.mid_stream) {
        "any"
    } else {
        "first"
    };
    let _ = writeln!(text, "message = \"{message}\"");
    if is_repeated {
        let _ = writeln!(text, "repeat = {}", pattern.messages);
    }
    let is_weak = pattern.bits() < STANDALONE_BITS && pattern.length.is_none() && !is_repeated;
    let ports: Vec<String> = ports
        .iter()
        .filter(|&&port| port > 0)
        .map(u16::to_string)
        .collect();
    if !ports.is_empty() {
        let _ = writeln!(text, "port = [{}]", ports.join(", "));
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
    let _ = writeln!(text, "source = {}", quoted(source));
    // Flows that must match, and one that must not. What the rule does not look at is left out,
    // but for its length.
    let shown = side
        .iter()
        .zip(questions)
        .filter(|(one, _)| !one.messages.is_empty());
    let must = shown.clone().take(TESTED).map(|one| (one, true));
    let must_not = shown.take(1).map(|one| (one, false));
    for ((one, question), matches) in must.chain(must_not) {
        let _ = writeln!(text, "\n[[test]]\nrule = \"{name}-opening\"");
        if let Some(port) = ports.first() {
            let _ = writeln!(text, "port = {port}");
        }
        if let Some(question) = question {
            let client = written(&question.head, question.len);
            let _ = writeln!(text, "client = [\"{client}\"]");
        }
        let messages = one.messages.iter().map(|message| {
            let head: Vec<u8> = match matches {
                true => message.head.clone(),
                false => message.head.iter().map(|byte| !byte).collect(),
            };
            format!("\"{}\"", written(&head, message.len))
        });
        let messages: Vec<String> = messages.collect();
        let _ = writeln!(text, "{sender} = [{}]", messages.join(", "));
        if !matches {
            text.push_str("match = false\n");
        }
    }
    Some(text)
}

/// A message of a test: its beginning, and zeros for what no rule looks at.
fn written(head: &[u8], len: usize) -> String {
    match len - head.len() {
        0 => hex(head),
        rest => format!("{} 00*{rest}", hex(head)),
    }
}

/// What the first messages of a side have in common.
fn pattern(side: &[&Beginning], is_datagram: bool) -> Option<Pattern> {
    match side {
        [alone] => of_one(alone, is_datagram),
        flows => of_several(flows, is_datagram),
    }
}

/// Of one flow; of a message alone, its first bytes.
fn of_one(flow: &Beginning, is_datagram: bool) -> Option<Pattern> {
    let messages: Vec<&Message> = flow.messages.iter().collect();
    let (first, others) = messages.split_first()?;
    let together = compared(first, others, REACH, messages.len());
    if !others.is_empty() && together.is_enough() {
        return Some(together);
    }
    // Segments go on where the one before ended, and need not begin alike; datagrams that do not
    // have nothing to begin with.
    if (others.is_empty() || !is_datagram) && !flow.mid_stream {
        let alone = compared(first, &[], ALONE, 1);
        return (alone.bits() >= 16 && alone.varies()).then_some(alone);
    }
    None
}

/// Of several: of all their datagrams, or else of the first message of each.
fn of_several(flows: &[&Beginning], is_datagram: bool) -> Option<Pattern> {
    // Where one side said nothing at all, it may have been another time.
    let flows = flows.iter().filter(|flow| !flow.messages.is_empty());
    let all: Vec<&Message> = flows.clone().flat_map(|flow| &flow.messages).collect();
    let fewest = flows.clone().map(|flow| flow.messages.len()).min()?;
    if is_datagram && fewest > 1 {
        let (first, others) = all.split_first()?;
        let together = compared(first, others, REACH, fewest);
        if together.is_enough() {
            return Some(together);
        }
    }
    let begun = flows.filter(|flow| !flow.mid_stream);
    let firsts: Vec<&Message> = begun.filter_map(|flow| flow.messages.first()).collect();
    let (first, others) = firsts.split_first()?;
    let together = compared(first, others, REACH, 1);
    (!others.is_empty() && together.is_enough()).then_some(together)
}

/// What `others` have in common with `first`, so far into them.
fn compared(first: &Message, others: &[&Message], reach: usize, messages: usize) -> Pattern {
    let mut bytes: Vec<Option<u8>> = first.head.iter().take(reach).copied().map(Some).collect();
    for other in others {
        bytes.truncate(other.head.len());
        for (byte, other) in bytes.iter_mut().zip(&other.head) {
            *byte = byte.filter(|byte| byte == other);
        }
    }
    let length = length(first, others);
    if let Some(field) = length {
        let place = bytes.iter_mut().skip(field.offset);
        place.take(field.width).for_each(|byte| *byte = None);
    }
    Pattern {
        bytes,
        length,
        messages,
    }
}

/// A field near the start of all these messages that says how long they are.
fn length(first: &Message, others: &[&Message]) -> Option<Field> {
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
            let more = |message: &Message| -> Option<u64> {
                let value = read(message.head.get(offset..)?)?;
                let more = (message.len as u64).checked_sub(value)?;
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

    fn flow(client: &[Vec<u8>], server: &[Vec<u8>]) -> PerSide<Beginning> {
        PerSide {
            client: Beginning::of(&sent(client)),
            server: Beginning::of(&sent(server)),
        }
    }

    const fn named(protocol: IpProtocol, ports: &[u16]) -> Named<'_> {
        Named {
            name: "draft",
            title: "A \"title\"",
            source: "flows in a capture",
            protocol,
            ports,
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
            let text = draft(&named(*protocol, &[4000]), &[flow(&messages, &[])]);
            assert_eq!(text.is_some(), !parts.is_empty(), "{messages:?}: {text:?}");
            for part in *parts {
                let text = text.as_deref().unwrap_or_default();
                assert!(text.contains(part), "{part}: {text}");
            }
        }
    }

    #[test]
    fn what_flows_have_in_common_is_drafted() {
        type Case<'a> = (IpProtocol, &'a [&'a [&'a [u8]]], &'a [&'a str]);
        let cases: &[Case<'_>] = &[
            (
                IpProtocol::TCP,
                &[&[b"MAGI\x00\x01ab"], &[b"MAGI\x00\x02cd", b"xx"]],
                &[
                    "message = \"first\"",
                    "hex = \"4d 41 47 49 00\"",
                    "match = false",
                ],
            ),
            (
                IpProtocol::UDP,
                &[
                    &[b"\x01\x02\x00\x03abc", b"\x01\x02\x00\x01a"],
                    &[b"\x01\x02\x00\x02ab", b"\x01\x02\x00\x01z"],
                ],
                &["repeat = 2", "be16(2) + 4 == len"],
            ),
            // All datagrams have nothing in common, the first have.
            (
                IpProtocol::UDP,
                &[&[b"hello", b"1234"], &[b"hello", b"5678"]],
                &["message = \"first\"", "hex = \"68 65 6c 6c 6f\""],
            ),
            (IpProtocol::TCP, &[&[b"abcdef"], &[b"123456"]], &[]),
            (IpProtocol::TCP, &[&[], &[b"123456"]], &[]),
        ];
        for (protocol, flows, parts) in cases {
            let flows: Vec<PerSide<Beginning>> = flows
                .iter()
                .map(|one| flow(&one.iter().map(|one| one.to_vec()).collect::<Vec<_>>(), &[]))
                .collect();
            let text = draft(&named(*protocol, &[4000, 4001]), &flows);
            assert_eq!(text.is_some(), !parts.is_empty(), "{text:?}");
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
            more in prop::collection::vec(messages(), 0..4),
            is_tcp in any::<bool>(),
            port in prop_oneof![Just(0_u16), any::<u16>()],
        ) {
            let protocol = if is_tcp { IpProtocol::TCP } else { IpProtocol::UDP };
            let mut flows = vec![flow(&client, &server)];
            flows.extend(more.iter().map(|client| flow(client, &[])));
            if let Some(text) = draft(&named(protocol, &[port]), &flows) {
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
