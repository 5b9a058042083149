//! A conversation made of literal messages, run as a flow of a capture is: put into frames,
//! decoded, tracked and named by the real classifier. Tests of signatures go by it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::capture::{Envelope, Frame, InterfaceId, LinkType};
use crate::classify::explain::Event;
use crate::classify::{Classification, Classifier, Decider, Named, Verdict};
use crate::decode::{self, Decoded, Decoder};
use crate::flow::{self, EndReason, FlowTable, PerSide, Side, Transport};
use crate::signature::{Conversation, Fate, Observed, SignatureSet};
use crate::time::Timestamp;
use crate::verdict::RuleId;

/// The most bytes of a message in one frame: what an Ethernet frame carries.
const MAX_SEGMENT: usize = 1400;

const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const ACK: u8 = 0x10;

/// What became of a conversation.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Its names.
    pub named: Named,
    /// All rules that held at any message, in order.
    pub rules: Vec<RuleId>,
}

impl Outcome {
    /// What became of `rules`, any of which will do.
    pub fn fate(&self, rules: &[RuleId], set: &SignatureSet) -> Fate {
        let names = |rule: RuleId| {
            let Some(tag) = set.rule_tag(rule) else {
                return false;
            };
            let app = tag.app.is_none_or(|app| self.named.app == Some(app));
            let spoken = [self.named.proto, self.named.inner];
            let proto = tag.proto.is_none_or(|proto| spoken.contains(&Some(proto)));
            self.named.decider == Some(Decider::Rule(rule)) || app && proto
        };
        let mut held = rules
            .iter()
            .filter(|rule| self.rules.contains(rule))
            .peekable();
        if held.peek().is_none() {
            Fate::Missed
        } else if held.any(|&rule| names(rule)) {
            Fate::Named
        } else {
            Fate::Outranked(observed(&self.named, set))
        }
    }
}

/// What a flow is, by slugs.
pub fn observed(named: &Named, set: &SignatureSet) -> Observed {
    let catalog = set.catalog();
    Observed {
        app: named.app.map(|app| catalog.app_name(app).to_owned()),
        service: named.service,
        proto: named
            .proto
            .map(|proto| catalog.protocol_name(proto).to_owned()),
    }
}

/// Runs conversations one after the other; none learns from another.
#[derive(Debug)]
pub struct Trial {
    set: Arc<SignatureSet>,
    decoder: Decoder,
    config: flow::Config,
    frame: Vec<u8>,
    number: u64,
}

impl Trial {
    /// Names by `set`.
    pub fn new(set: &Arc<SignatureSet>) -> Self {
        let config = flow::Config {
            max_flows: 16,
            ..flow::Config::default()
        };
        Self {
            set: Arc::clone(set),
            decoder: Decoder::new(decode::Config::default()),
            config,
            frame: Vec::new(),
            number: 0,
        }
    }

    /// What the flow of `conversation` is called once it is over.
    pub fn run(&mut self, conversation: &Conversation) -> Outcome {
        let mut run = Run {
            classifier: Classifier::new(Arc::clone(&self.set), true),
            table: FlowTable::new(self.config.clone()),
            config: &self.config,
            outcome: Outcome::default(),
        };
        let is_tcp = conversation.transport == Transport::Tcp;
        let mut next = PerSide {
            client: 1_000_u32,
            server: 5_000_u32,
        };
        let mut send = |side: Side, flags: u8, payload: &[u8]| {
            let sequence = next[side];
            let begins_or_ends = flags & (SYN | FIN) != 0;
            let sent = u32::try_from(payload.len()).unwrap_or(u32::MAX);
            next[side] = sequence.wrapping_add(sent + u32::from(begins_or_ends));
            self.number += 1;
            build(
                &mut self.frame,
                conversation,
                side,
                (flags, sequence, next[!side]),
                payload,
            );
            let frame = Frame {
                at: Timestamp::new(1_000, 0).after(Duration::from_millis(self.number % 60_000)),
                number: self.number,
                link: LinkType::RAW,
                wire_len: u32::try_from(self.frame.len()).unwrap_or(u32::MAX),
                frames: 1,
                envelope: Envelope::None,
                interface: InterfaceId::default(),
                bytes: &self.frame,
            };
            if let Decoded::Packet(packet) = self.decoder.decode(frame) {
                run.packet(&packet);
            }
        };
        if is_tcp && !conversation.is_joined {
            send(Side::Client, SYN, b"");
            send(Side::Server, SYN | ACK, b"");
        }
        for (side, message) in &conversation.messages {
            let size = if is_tcp { MAX_SEGMENT } else { usize::MAX };
            for part in message.chunks(size) {
                send(*side, ACK, part);
            }
        }
        if is_tcp {
            send(Side::Client, FIN | ACK, b"");
            send(Side::Server, FIN | ACK, b"");
        }
        run.finish()
    }
}

struct Run<'a> {
    classifier: Classifier,
    table: FlowTable<Classification>,
    config: &'a flow::Config,
    outcome: Outcome,
}

impl Run<'_> {
    fn packet(&mut self, packet: &decode::Packet<'_>) {
        if Classifier::teaches(packet) {
            self.classifier.learn(packet);
        }
        let located = self.table.locate(packet);
        let touch = self.table.touch(packet, &located);
        // Of flows that end before the last one nothing is asked.
        while self.table.next_ended().is_some() {}
        let Ok(touch) = touch else { return };
        if let Some(flow) = self.table.flow(touch)
            && !flow.class.is_settled()
        {
            self.classifier
                .on_packet(flow, packet, touch.side, self.config);
        }
    }

    fn finish(mut self) -> Outcome {
        self.table.finish(EndReason::EndOfInput);
        while let Some((flow, _)) = self.table.next_ended() {
            if !flow.class.is_settled() {
                let at = flow.last;
                self.classifier.finish(flow, at);
            }
            if let Verdict::Settled { named, .. } = flow.class.verdict {
                self.outcome.named = named;
            }
            for step in flow.class.steps.iter().flat_map(|trace| &trace.steps) {
                if let Event::Matched(tag) | Event::Inferred(tag) = step.event {
                    self.outcome.rules.push(tag.rule);
                }
            }
        }
        self.outcome
    }
}

/// Writes the IP packet of `side` with this payload. Checksums are left out: nothing asks for them.
fn build(
    frame: &mut Vec<u8>,
    ends: &Conversation,
    side: Side,
    (flags, sequence, acknowledgement): (u8, u32, u32),
    payload: &[u8],
) {
    let (from, to) = match side {
        Side::Client => (ends.client, ends.server),
        Side::Server => (ends.server, ends.client),
    };
    let (protocol, header_len) = match ends.transport {
        Transport::Tcp => (6, 20),
        Transport::Udp => (17, 8),
        // RFC 9260 section 3.1: the common header.
        Transport::Other(132) => (132, 12),
        Transport::Other(number) => (number, 0),
    };
    let len = u16::try_from(header_len + payload.len()).unwrap_or(u16::MAX);
    frame.clear();
    match (from.ip(), to.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            frame.extend([0x45, 0]);
            frame.extend(len.saturating_add(20).to_be_bytes());
            frame.extend([0, 0, 0x40, 0, 64, protocol, 0, 0]);
            frame.extend(from.octets());
            frame.extend(to.octets());
        }
        (from, to) => {
            let octets = |ip: IpAddr| match ip {
                IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
                IpAddr::V6(v6) => v6.octets(),
            };
            frame.extend([0x60, 0, 0, 0]);
            frame.extend(len.to_be_bytes());
            frame.extend([protocol, 64]);
            frame.extend(octets(from));
            frame.extend(octets(to));
        }
    }
    if header_len > 0 {
        frame.extend(from.port().to_be_bytes());
        frame.extend(to.port().to_be_bytes());
    }
    match ends.transport {
        Transport::Tcp => {
            frame.extend(sequence.to_be_bytes());
            frame.extend(acknowledgement.to_be_bytes());
            frame.extend([0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
        }
        Transport::Udp => {
            frame.extend(len.to_be_bytes());
            frame.extend([0, 0]);
        }
        Transport::Other(132) => frame.extend([0; 8]),
        Transport::Other(_) => {}
    }
    frame.extend_from_slice(payload);
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::signature::{Runner, SourceFile, test};

    const ACME: &str = "
[app]
id = 1
name = 'acme'
title = 'Acme'
category = 'messaging'
owner = 'Acme'

[[payload]]
name = 'p'
source = 's'
transport = 'udp'
direction = 'client'
port = [7000]
port_required = true
at = [{ offset = 0, hex = '01' }]
reply = { at = [{ offset = 0, hex = '02' }] }

[[payload]]
name = 'a'
source = 's'
at = [{ offset = 0, text = 'ABCD' }]
address_required = true

[[address]]
prefix = ['198.51.100.0/24', '2001:db8::/32']

[[payload]]
name = 'request'
source = 's'
transport = 'tcp'
at = [{ offset = 0, text = 'GET /' }]

[[flow]]
name = 'f'
source = 's'
transport = 'tcp'
packets = ['c 3']

[[payload]]
name = 'sctp'
source = 's'
transport = 'sctp'
at = [{ offset = 0, text = 'ABCD' }]
";

    struct Real;

    impl Runner for Real {
        fn capture(&mut self, _: &Arc<SignatureSet>, _: &Path) -> Result<Vec<Observed>, String> {
            Err(String::new())
        }

        fn converse(
            &mut self,
            set: &Arc<SignatureSet>,
            conversation: &Conversation,
            rules: &[RuleId],
        ) -> Fate {
            Trial::new(set).run(conversation).fate(rules, set)
        }
    }

    #[test]
    fn rules_are_tried_as_flows_are_named() {
        let cases = [
            ("rule = 'p'\nclient = ['01']\nserver = ['02']", None),
            (
                "rule = 'p'\nclient = ['01']\nserver = ['03']",
                Some("does not match"),
            ),
            (
                "rule = 'p'\nclient = ['01']\nserver = ['03']\nmatch = false",
                None,
            ),
            (
                "rule = 'p'\nclient = ['01']\nserver = ['02']\nmatch = false",
                Some("must not"),
            ),
            (
                "rule = 'p'\nclient = ['01']\nserver = ['02']\nport = 7001",
                Some("does not match"),
            ),
            (
                "rule = 'p'\ntransport = 'tcp'\nclient = ['01']\nserver = ['02']",
                Some("does not match"),
            ),
            (
                "rule = 'a'\nclient = ['t:ABCD']\nserver_ip = '198.51.100.7'",
                None,
            ),
            (
                "rule = 'a'\nclient = ['t:ABCD']\nserver_ip = '2001:db8::7'",
                None,
            ),
            ("rule = 'a'\nclient = ['t:ABCD']", Some("does not match")),
            ("rule = 'f'\nclient = ['00*3']", None),
            ("rule = 'sctp'\nclient = ['t:ABCD']", None),
            // What a dissector claims is no weak pattern's, however well it fits.
            (
                "rule = 'request'\nclient = ['t:GET / HTTP/1.1\\r\\nHost: x.test\\r\\n\\r\\n']",
                Some("does not match"),
            ),
        ];
        for (keys, expected) in cases {
            let text = format!("{ACME}[[test]]\n{keys}\n");
            let files = [SourceFile::new("messaging/acme.toml", text)];
            let results = test(&files, Path::new("."), &mut Real);
            let results = results.unwrap_or_else(|found| panic!("{found:?}"));
            match (&results[0].failure, expected) {
                (None, None) => {}
                (Some(failure), Some(expected)) if failure.contains(expected) => {}
                (failure, expected) => panic!("{keys}: {failure:?} instead of {expected:?}"),
            }
        }
    }
}
