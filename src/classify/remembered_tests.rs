//! Flows that go on between the sockets of one before, and those that do not.

use super::*;
use crate::flow::samples::{Host, dns_answer, tcp, udp};
use crate::flow::{Config, FlowTable};
use crate::signature::SourceFile;

const A: Host = (1, 50_000);
/// Of two ports that say nothing of who is the client.
const B: Host = (2, 7777);

const ACK: u8 = 16;
const JUNK: &[u8] = b"\xf1\x9ejunk that no protocol begins with";

const FILE: &str = "
[app]
id = 1
name = 'acme'
title = 'Acme'
category = 'messaging'
owner = 'Acme'

[[payload]]
name = 'proof'
transport = ['tcp', 'udp']
evidence = 'payload-proof'
at = [{ offset = 0, text = 'ACME-PROOF' }]
proto = 'acme-chat'
service = 'chat'
source = 'a test'

[[domain]]
suffix = ['acme.test']
service = 'file'

[[domain]]
suffix = ['video.acme.test']
service = 'video'
";

const OTHER: &str = "
[app]
id = 2
name = 'other'
title = 'Other'
category = 'messaging'
owner = 'Other'

[[payload]]
name = 'proof'
transport = ['tcp', 'udp']
evidence = 'payload-proof'
at = [{ offset = 0, text = 'OTHER-PROOF' }]
source = 'a test'

[[domain]]
suffix = ['other.test']
";

pub(super) struct Run {
    classifier: Classifier,
    table: FlowTable<Classification>,
    /// What flows were called, as far as they have ended: application, remembered, client's port.
    ended: Vec<(String, bool, u16)>,
}

impl Run {
    fn new() -> Self {
        let files = [
            SourceFile::new("signatures/messaging/acme.toml", FILE),
            SourceFile::new("signatures/messaging/other.toml", OTHER),
        ];
        let set = SignatureSet::compile(&files).unwrap_or_else(|found| panic!("{found:?}"));
        Self {
            classifier: Classifier::new(Arc::new(set), true),
            table: FlowTable::new(Config::default()),
            ended: Vec::new(),
        }
    }

    /// Reads a packet as a worker does.
    fn read(&mut self, packet: &Packet<'_>) {
        if Classifier::teaches(packet) {
            self.classifier.learn(packet);
        }
        let located = self.table.locate(packet);
        let touch = self.table.touch(packet, &located).unwrap();
        self.take_ended();
        let flow = self.table.flow(touch).unwrap();
        let mut side = touch.side;
        if touch.is_new && self.classifier.begin(flow) {
            side = !side;
        }
        if !flow.class.is_settled() {
            let config = Config::default();
            self.classifier.on_packet(flow, packet, side, &config);
        }
    }

    fn end_all(&mut self, reason: EndReason) {
        self.table.finish(reason);
        self.take_ended();
    }

    fn take_ended(&mut self) {
        while let Some((flow, reason)) = self.table.next_ended() {
            self.ended.push(end(&mut self.classifier, flow, reason));
        }
    }

    /// All flows that these packets are, in the order they end.
    pub(super) fn of(packets: &[Packet<'_>]) -> Vec<(String, bool, u16)> {
        let mut run = Self::new();
        for packet in packets {
            run.read(packet);
        }
        run.end_all(EndReason::EndOfInput);
        run.ended
    }
}

/// What a flow that has ended was called, whether that was remembered, and the client's port.
fn end(
    classifier: &mut Classifier,
    flow: &mut Flow<Classification>,
    reason: EndReason,
) -> (String, bool, u16) {
    if !flow.class.is_settled() {
        let at = flow.last;
        classifier.finish(flow, at);
    }
    let Verdict::Settled { named, .. } = flow.class.verdict else {
        panic!("a finished flow has settled");
    };
    classifier.end(flow, &named, reason);
    let catalog = classifier.set().catalog();
    let app = named.app.map_or("", |app| catalog.app_name(app));
    (app.to_owned(), named.remembered, flow.port(Side::Client))
}

#[test]
fn a_flow_that_goes_on_keeps_its_name() {
    let proof = b"ACME-PROOF and more";
    let hello = [tcp(1, A, B, (2, 99), b""), tcp(1, A, B, (ACK, 100), proof)];
    let beat = |at, from, to, sequence| tcp(at, from, to, (ACK, sequence), JUNK);
    let datagrams = [udp(1, A, B, proof), udp(1, B, A, b"yes")];
    type Ended = (&'static str, bool, u16);
    let named: Ended = ("acme", false, A.1);
    let again: Ended = ("acme", true, A.1);
    let unknown: Ended = ("", false, A.1);
    let cases: &[(&str, Vec<Packet<'_>>, &[Ended])] = &[
        (
            "the client goes on",
            vec![hello[0], hello[1], beat(1000, A, B, 300)],
            &[named, again],
        ),
        (
            "the server goes on",
            vec![hello[0], hello[1], beat(1000, B, A, 300)],
            &[named, again],
        ),
        (
            "again and again",
            vec![
                hello[0],
                hello[1],
                beat(1681, B, A, 300),
                beat(3361, A, B, 300),
                beat(5041, B, A, 400),
            ],
            &[named, again, again, again],
        ),
        (
            "after more than an hour",
            vec![hello[0], hello[1], beat(3602, A, B, 300)],
            &[named, unknown],
        ),
        (
            "another connection",
            vec![
                hello[0],
                hello[1],
                tcp(1000, A, B, (2, 5000), b""),
                beat(1000, A, B, 5001),
                beat(2000, A, B, 6000),
            ],
            &[named, unknown, unknown],
        ),
        (
            "a better name",
            vec![
                datagrams[0],
                datagrams[1],
                udp(200, A, B, b"OTHER-PROOF and more"),
            ],
            &[named, ("other", false, A.1)],
        ),
        (
            "another protocol",
            vec![
                hello[0],
                hello[1],
                tcp(
                    1000,
                    A,
                    B,
                    (ACK, 300),
                    b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n",
                ),
            ],
            &[named, unknown],
        ),
        (
            "datagrams",
            vec![datagrams[0], datagrams[1], udp(200, B, A, JUNK)],
            &[named, again],
        ),
        (
            "other sockets",
            vec![datagrams[0], datagrams[1], udp(200, A, (3, 7777), JUNK)],
            &[named, unknown],
        ),
    ];
    for (name, packets, expected) in cases {
        let got = Run::of(packets);
        let got: Vec<Ended> = got
            .iter()
            .map(|(app, remembered, client)| {
                let known = expected
                    .iter()
                    .find(|it| it.0 == app)
                    .map_or("?", |it| it.0);
                (known, *remembered, *client)
            })
            .collect();
        assert_eq!(got, *expected, "{name}");
    }
}

/// What DNS says of the address is weaker than what the flow itself showed before.
#[test]
fn what_was_proved_goes_before_what_others_teach() {
    let answer = dns_answer("www.other.test", B.0, 9000);
    let ended = Run::of(&[
        udp(1, (9, 53), (A.0, 5000), &answer),
        tcp(1, A, B, (2, 99), b""),
        tcp(1, A, B, (ACK, 100), b"ACME-PROOF and more"),
        tcp(1000, A, B, (ACK, 300), JUNK),
    ]);
    let last = ended.last().unwrap();
    assert_eq!((&*last.0, last.1), ("acme", true));
}

#[test]
fn what_is_remembered_is_bounded() {
    let mut run = Run::new();
    for index in 0..100_000_u32 {
        let port = 1 + (index % 60_000) as u16;
        let host = (3 + (index / 60_000) as u8, port);
        run.read(&udp(1, host, B, b"ACME-PROOF and more"));
        if index % 1000 == 999 {
            run.end_all(EndReason::Idle);
        }
    }
    assert!(run.classifier.remembered.len() <= remembered::MOST);
}
