//! Promises 1 and 4 on made-up traffic: every byte is counted once, and any number of workers
//! gives the same records; and a run that cannot write ends.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::capture::file::Options;
use crate::flow::samples::{dns_answer, dns_question};
use crate::flow::{self, Counters, EndReason, PerSide};
use crate::record::FlowRecord;
use crate::signature::SourceFile;
use crate::usage::Cells;

const SIGNATURES: &str = "
[app]
id = 1
name = 'acme'
title = 'Acme'
category = 'messaging'
owner = 'Acme'

[[domain]]
suffix = ['acme.test']
service = 'chat'

[[stun]]
software = ['acme*']
service = 'voice'
source = 'a test'

[[address]]
prefix = ['10.0.0.4/32']
";

fn set() -> &'static Arc<SignatureSet> {
    static SET: OnceLock<Arc<SignatureSet>> = OnceLock::new();
    SET.get_or_init(|| {
        let file = SourceFile::new("signatures/messaging/acme.toml", SIGNATURES);
        let set = SignatureSet::compile(&[file]);
        Arc::new(set.unwrap_or_else(|found| panic!("{found:?}")))
    })
}

/// Keeps all it is given as text.
#[derive(Default)]
struct Log(Vec<String>);

impl Exporter for Log {
    fn flow(&mut self, record: &FlowRecord, _: &SignatureSet) -> io::Result<()> {
        self.0.push(format!("{record:?}"));
        Ok(())
    }

    fn interval(&mut self, closed: &Closed, sequence: u64, _: &SignatureSet) -> io::Result<()> {
        self.0.push(format!("{sequence} {closed:?}"));
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        self.0.push("finished".to_owned());
        Ok(())
    }
}

/// One frame of made-up traffic.
#[derive(Clone, Copy, Debug)]
struct Event {
    /// Milliseconds since the frame before.
    step: i64,
    from: u8,
    to: u8,
    port: u16,
    kind: Kind,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    /// Neither IP nor anything.
    Arp,
    /// An IP header that lies.
    Malformed,
    Datagram,
    /// TCP: control bits, sequence number, whether an HTTP request.
    Segment(u8, u32, bool),
    /// The question that these answer: for an application's name or another.
    Question(bool),
    /// The answer to what leads to an address.
    Answer(u8, bool),
    /// The same in fragments: which part.
    Fragment(u8, u8),
    /// STUN of the application.
    Stun,
}

fn event() -> impl Strategy<Value = Event> {
    let steps = [
        0, 0, 1, 1, 40, 900, 5_000, 20_000, 70_000, -900, -30_000, -400_000, 2_000_000,
    ];
    let kind = prop_oneof![
        1 => Just(Kind::Arp),
        1 => Just(Kind::Malformed),
        4 => Just(Kind::Datagram),
        6 => (prop::sample::select(vec![2_u8, 16, 16, 16, 17, 4]), 0..40_u32, any::<bool>())
            .prop_map(|(flags, sequence, http)| Kind::Segment(flags, sequence, http)),
        3 => any::<bool>().prop_map(Kind::Question),
        3 => (0..6_u8, any::<bool>()).prop_map(|(host, acme)| Kind::Answer(host, acme)),
        4 => (0..6_u8, 0..3_u8).prop_map(|(host, part)| Kind::Fragment(host, part)),
        2 => Just(Kind::Stun),
    ];
    let step = prop::sample::select(steps.to_vec());
    (step, 0..6_u8, 0..6_u8, 7000..7003_u16, kind).prop_map(|(step, from, to, port, kind)| Event {
        step,
        from,
        to,
        port,
        kind,
    })
}

/// A pcap file of these frames.
fn capture(events: &[Event]) -> Vec<u8> {
    let mut file = Vec::new();
    for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, 1] {
        file.extend(word.to_le_bytes());
    }
    let mut at = 1_000_000_i64;
    for event in events {
        at = (at + event.step).max(0);
        let frame = frame(event);
        let len = u32::try_from(frame.len()).unwrap();
        let seconds = u32::try_from(at / 1000).unwrap();
        let micros = u32::try_from(at % 1000 * 1000).unwrap();
        for word in [seconds, micros, len, len] {
            file.extend(word.to_le_bytes());
        }
        file.extend(frame);
    }
    file
}

/// A pcapng file of the same, by three interfaces: each address has one by which its frames come in,
/// so that flows have one or two.
fn capture_of_interfaces(events: &[Event]) -> Vec<u8> {
    let block = |kind: u32, body: &[u8]| {
        let padded = body.len().next_multiple_of(4);
        let len = u32::try_from(12 + padded).unwrap();
        let mut block = [kind.to_le_bytes(), len.to_le_bytes()].concat();
        block.extend(body);
        block.resize(8 + padded, 0);
        block.extend(len.to_le_bytes());
        block
    };
    let mut section = [0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0].to_vec();
    section.extend([0xff; 8]);
    let mut file = block(0x0a0d_0d0a, &section);
    for name in [Some(b"wan0"), Some(b"lan1"), None] {
        let mut description = [1, 0, 0, 0, 0, 0, 4, 0].to_vec();
        if let Some(name) = name {
            description.extend([2, 0, 4, 0]);
            description.extend(name);
        }
        file.extend(block(1, &description));
    }
    let mut at = 1_000_000_i64;
    for event in events {
        at = (at + event.step).max(0);
        let frame = frame(event);
        let micros = u64::try_from(at * 1000).unwrap();
        let len = u32::try_from(frame.len()).unwrap();
        let interface = u32::from(event.from % 3);
        let words = [interface, (micros >> 32) as u32, micros as u32, len, len];
        let mut body: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        body.extend(frame);
        file.extend(block(6, &body));
    }
    file
}

fn frame(event: &Event) -> Vec<u8> {
    let mut frame = vec![0; 12];
    let (from, to) = ((event.from, event.port), (event.to, 7000));
    match event.kind {
        Kind::Arp => frame.extend([8, 6, 0, 1, 2, 3]),
        Kind::Malformed => frame.extend([8, 0, 0x4f, 0, 0, 3, 0, 0]),
        Kind::Datagram => ip(
            &mut frame,
            event,
            17,
            (1, 0, false),
            &udp(from.1, to.1, b"junk"),
        ),
        Kind::Segment(flags, sequence, http) => {
            let body: &[u8] = match (flags, http) {
                (16, true) => b"GET / HTTP/1.1\r\nHost: www.acme.test\r\n\r\n",
                (16, false) => b"junk",
                _ => b"",
            };
            let mut segment = Vec::new();
            segment.extend(from.1.to_be_bytes());
            segment.extend(to.1.to_be_bytes());
            segment.extend(sequence.to_be_bytes());
            segment.extend([0, 0, 0, 0, 0x50, flags, 1, 0, 0, 0, 0, 0]);
            segment.extend(body);
            ip(&mut frame, event, 6, (1, 0, false), &segment);
        }
        Kind::Question(acme) => {
            let question = udp(40_000, 53, &dns_question(name(acme)));
            ip(&mut frame, event, 17, (1, 0, false), &question);
        }
        Kind::Answer(host, acme) => {
            ip(&mut frame, event, 17, (1, 0, false), &answer(host, acme));
        }
        Kind::Fragment(host, part) => {
            let datagram = answer(host, true);
            let start = usize::from(part) * 16;
            let end = if part == 2 {
                datagram.len()
            } else {
                start + 16
            };
            let place = (u16::from(host), u16::from(part) * 2, part != 2);
            ip(&mut frame, event, 17, place, &datagram[start..end]);
        }
        Kind::Stun => {
            let mut message = vec![0, 1, 0, 8, 0x21, 0x12, 0xa4, 0x42];
            message.extend([7; 12]);
            message.extend([0x80, 0x22, 0, 4]);
            message.extend(b"acme");
            ip(
                &mut frame,
                event,
                17,
                (1, 0, false),
                &udp(from.1, to.1, &message),
            );
        }
    }
    frame
}

const fn name(acme: bool) -> &'static str {
    if acme {
        "cdn.acme.test"
    } else {
        "www.unheard-of.test"
    }
}

fn answer(host: u8, acme: bool) -> Vec<u8> {
    udp(53, 40_000, &dns_answer(name(acme), host, 60))
}

fn udp(from: u16, to: u16, payload: &[u8]) -> Vec<u8> {
    let mut datagram = Vec::new();
    datagram.extend(from.to_be_bytes());
    datagram.extend(to.to_be_bytes());
    datagram.extend(u16::try_from(8 + payload.len()).unwrap().to_be_bytes());
    datagram.extend([0, 0]);
    datagram.extend(payload);
    datagram
}

/// Identification, offset in eights, whether more fragments follow.
type Place = (u16, u16, bool);

fn ip(frame: &mut Vec<u8>, event: &Event, protocol: u8, (id, at, more): Place, body: &[u8]) {
    frame.extend([8, 0, 0x45, 0]);
    frame.extend(u16::try_from(20 + body.len()).unwrap().to_be_bytes());
    frame.extend(id.to_be_bytes());
    frame.extend((at | u16::from(more) << 13).to_be_bytes());
    frame.extend([64, protocol, 0, 0]);
    frame.extend([10, 0, 0, event.from, 10, 0, 0, event.to]);
    frame.extend(body);
}

/// What a run says: its records and its summary, but for what measures the program itself.
fn run_with(path: &Path, workers: usize, interval: Option<Duration>) -> (Vec<String>, Summary) {
    run_counting(
        path,
        workers,
        interval,
        Some(usage::Subjects::default()),
        1 << 17,
    )
}

/// The same, for these subjects and so many accounts.
fn run_counting(
    path: &Path,
    workers: usize,
    interval: Option<Duration>,
    subjects: Option<usage::Subjects>,
    max_accounts: usize,
) -> (Vec<String>, Summary) {
    let usage = usage::Config {
        interval: interval.map(Into::into),
        subjects: subjects.map(Arc::new),
        by_interface: false,
        max_accounts,
    };
    run_for(path, workers, usage)
}

fn run_for(path: &Path, workers: usize, usage: usage::Config) -> (Vec<String>, Summary) {
    let options = Options {
        block_size: 600,
        ..Options::default()
    };
    let mut inputs = Inputs::open(&[path], &options).unwrap();
    let config = Config {
        workers,
        usage,
        flow: flow::Config {
            opening_packets: 6,
            ..flow::Config::default()
        },
        records: true,
        active_timeout: Some(ACTIVE_TIMEOUT),
        ..Config::default()
    };
    let mut log = Log::default();
    let summary = run(&mut inputs, set(), &config, &mut log, &mut |_| {}).unwrap();
    (log.0, summary)
}

/// So short that many of the flows have several records.
const ACTIVE_TIMEOUT: Duration = Duration::from_secs(2);

/// Keeps flow records.
#[derive(Default)]
struct Kept(Vec<FlowRecord>);

impl Exporter for Kept {
    fn flow(&mut self, record: &FlowRecord, _: &SignatureSet) -> io::Result<()> {
        self.0.push(record.clone());
        Ok(())
    }

    fn interval(&mut self, _: &Closed, _: u64, _: &SignatureSet) -> io::Result<()> {
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What each end of a flow sent, whichever of them is called the client.
fn by_end(record: &FlowRecord, sides: &PerSide<Counters>) -> Ends {
    let mut ends = Ends::new();
    for (ip, port, counters) in [
        (record.client_ip, record.client_port, &sides.client),
        (record.server_ip, record.server_port, &sides.server),
    ] {
        ends.entry((ip, port)).or_default().add(counters);
    }
    ends
}

type Ends = BTreeMap<(IpAddr, u16), Counters>;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// The parts of a flow are all of it, they are told one after the other, and what is counted hangs
    /// not on them.
    #[test]
    fn parts_add_up_to_flows(
        events in prop::collection::vec(event(), 1..120),
        workers in 1..3_usize,
    ) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), capture(&events)).unwrap();
        let run_with = |active_timeout| {
            let mut inputs = Inputs::open(&[file.path()], &Options::default()).unwrap();
            let config = Config {
                workers,
                records: true,
                active_timeout,
                usage: usage::Config {
                    subjects: Some(usage::Subjects::default().into()),
                    ..usage::Config::default()
                },
                ..Config::default()
            };
            let mut kept = Kept::default();
            let summary = run(&mut inputs, set(), &config, &mut kept, &mut |_| {}).unwrap();
            (kept.0, summary)
        };
        let (mut whole, expected) = run_with(None);
        whole.sort_by_key(|record| record.flow_id);
        let (parts, summary) = run_with(Some(ACTIVE_TIMEOUT));
        prop_assert_eq!(&summary.cells, &expected.cells);
        prop_assert_eq!(&summary.ledger, &expected.ledger);
        prop_assert_eq!(summary.flows, expected.flows);
        let mut flows: BTreeMap<u64, Vec<&FlowRecord>> = BTreeMap::new();
        for record in &parts {
            flows.entry(record.flow_id).or_default().push(record);
        }
        prop_assert_eq!(flows.len(), whole.len());
        for (flow, whole) in flows.values().zip(whole) {
            let mut sum = Ends::new();
            let mut start = whole.first;
            for (number, record) in (1..).zip(flow) {
                let is_last = number as usize == flow.len();
                prop_assert_eq!(record.part.number, number);
                prop_assert_eq!(record.reason == EndReason::ActiveTimeout, !is_last);
                prop_assert_eq!(record.part.start, start);
                prop_assert!(record.subject.is_some());
                if !is_last {
                    prop_assert!(record.last.since(start) >= ACTIVE_TIMEOUT);
                }
                start = record.last;
                for (end, counters) in by_end(record, &record.part.counters) {
                    sum.entry(end).or_default().add(&counters);
                }
                prop_assert_eq!(&sum, &by_end(record, &record.counters));
            }
            let last = flow.last().unwrap();
            prop_assert_eq!(last.reason, whole.reason);
            prop_assert_eq!(last.counters, whole.counters);
            prop_assert_eq!((last.named, last.last), (whole.named, whole.last));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn any_number_of_workers_says_the_same(
        events in prop::collection::vec(event(), 1..120),
        interval in prop::sample::select(vec![None, Some(1), Some(60)]),
    ) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), capture(&events)).unwrap();
        let interval = interval.map(Duration::from_secs);
        let (records, one) = run_with(file.path(), 1, interval);
        let bytes: usize = events.iter().map(|event| frame(event).len()).sum();
        prop_assert!(one.ledger.closes(), "{}", one.ledger);
        prop_assert_eq!(one.ledger.wire.bytes, bytes as u64);
        prop_assert_eq!(one.ledger.wire.packets, events.len() as u64);
        for workers in [2, 3] {
            let (others, many) = run_with(file.path(), workers, interval);
            prop_assert_eq!(&records, &others, "{} workers", workers);
            prop_assert_eq!(&one.cells, &many.cells);
            prop_assert_eq!(&one.ledger, &many.ledger);
            prop_assert_eq!((one.flows, one.span), (many.flows, many.span));
        }
    }
}

/// Volume by name of a summary, whatever subjects and interfaces it is of.
fn by_name(cells: &Cells) -> BTreeMap<usage::CellKey, (u64, u64, u64)> {
    let mut names = BTreeMap::new();
    for (&key, totals) in cells {
        let name = usage::CellKey {
            subject: None,
            interface: None,
            ..key
        };
        let sum: &mut (u64, u64, u64) = names.entry(name).or_default();
        sum.0 += totals.flows;
        sum.1 += totals.packets();
        sum.2 += totals.bytes();
    }
    names
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Subjects put together or not: what is counted under a name is the same, and so with any number
    /// of workers, as long as none has more than twice the accounts there may be.
    #[test]
    fn accounts_add_up_to_the_names(
        events in prop::collection::vec(event(), 1..120),
        interval in prop::sample::select(vec![None, Some(1), Some(60)]),
        ipv4_prefix in prop::sample::select(vec![0, 31, 32]),
        max_accounts in prop::sample::select(vec![1, 4, 1 << 17]),
    ) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), capture(&events)).unwrap();
        let interval = interval.map(Duration::from_secs);
        let (_, plain) = run_counting(file.path(), 1, interval, None, max_accounts);
        prop_assert!(plain.cells.keys().all(|key| key.subject.is_none()));
        let subjects = usage::Subjects {
            ipv4_prefix,
            ..usage::Subjects::default()
        };
        for workers in [1, 2, 4] {
            let subjects = Some(subjects.clone());
            let (_, counted) = run_counting(file.path(), workers, interval, subjects, max_accounts);
            prop_assert!(counted.ledger.closes(), "{}", counted.ledger);
            prop_assert_eq!(&counted.ledger, &plain.ledger);
            prop_assert!(counted.cells.keys().all(|key| key.subject.is_some()));
            prop_assert_eq!(by_name(&counted.cells), by_name(&plain.cells));
            let kept = counted.cells.keys();
            let kept = kept.filter(|key| matches!(key.subject, Some(usage::Subject::Prefix(_))));
            let kept = kept.count();
            prop_assert!(kept <= max_accounts, "{} accounts", kept);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// All interfaces together have what there is without them, to the byte, and any number of workers
    /// says the same.
    #[test]
    fn interfaces_add_up_to_the_names(
        events in prop::collection::vec(event(), 1..120),
        interval in prop::sample::select(vec![None, Some(1), Some(60)]),
        has_subjects in any::<bool>(),
    ) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), capture_of_interfaces(&events)).unwrap();
        let usage = |by_interface| usage::Config {
            interval: interval.map(|seconds| Duration::from_secs(seconds).into()),
            subjects: has_subjects.then(Arc::default),
            by_interface,
            ..usage::Config::default()
        };
        let (_, plain) = run_for(file.path(), 1, usage(false));
        prop_assert!(plain.cells.keys().all(|key| key.interface.is_none()));
        let (records, one) = run_for(file.path(), 1, usage(true));
        prop_assert_eq!(&one.ledger, &plain.ledger);
        prop_assert_eq!(by_name(&one.cells), by_name(&plain.cells));
        let unnamed = format!("{}:2", file.path().display());
        for key in one.cells.keys() {
            let name = one.interfaces.name(key.interface.unwrap());
            prop_assert!(["wan0", "lan1", &unnamed].contains(&name), "{}", name);
        }
        for workers in [2, 4] {
            let (others, many) = run_for(file.path(), workers, usage(true));
            prop_assert!(many.ledger.closes(), "{}", many.ledger);
            prop_assert_eq!(&one.cells, &many.cells);
            prop_assert_eq!(&records, &others, "{} workers", workers);
        }
    }
}

#[test]
fn a_flow_belongs_to_the_interface_of_its_first_packet() {
    let event = |from, to| Event {
        step: 1,
        from,
        to,
        port: 7000,
        kind: Kind::Datagram,
    };
    // By wan0 and lan1, by lan1 alone, and a packet of the first that goes astray.
    let events = [
        event(0, 1),
        event(1, 0),
        event(1, 4),
        event(4, 1),
        event(0, 1),
    ];
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), capture_of_interfaces(&events)).unwrap();
    let usage = usage::Config {
        by_interface: true,
        ..usage::Config::default()
    };
    let (records, summary) = run_for(file.path(), 1, usage);
    let said = |text: &str| {
        records
            .iter()
            .filter(|record| record.contains(text))
            .count()
    };
    assert_eq!(
        said("interface: Some(\"wan0\"), reverse_interface: Some(\"lan1\")"),
        1,
        "{records:?}"
    );
    assert_eq!(
        said("interface: Some(\"lan1\"), reverse_interface: None"),
        1
    );
    let packets = |name: &str| {
        let cells = summary.cells.iter();
        let cells =
            cells.filter(|(key, _)| summary.interfaces.name(key.interface.unwrap()) == name);
        cells.map(|(_, totals)| totals.packets()).sum::<u64>()
    };
    assert_eq!((packets("wan0"), packets("lan1")), (3, 2));
}

/// The traffic of the test above has all there is in it.
#[test]
fn made_up_traffic_is_read_as_meant() {
    let event = |kind, from, to| Event {
        step: 1,
        from,
        to,
        port: 7001,
        kind,
    };
    let events = [
        event(Kind::Arp, 0, 0),
        event(Kind::Malformed, 0, 0),
        event(Kind::Question(true), 1, 5),
        event(Kind::Answer(2, true), 5, 1),
        event(Kind::Datagram, 1, 2),
        event(Kind::Question(true), 1, 5),
        event(Kind::Fragment(3, 2), 5, 1),
        event(Kind::Fragment(3, 0), 5, 1),
        event(Kind::Fragment(3, 1), 5, 1),
        event(Kind::Fragment(4, 0), 5, 1),
        event(Kind::Datagram, 1, 3),
        event(Kind::Segment(2, 9, false), 0, 5),
        event(Kind::Segment(16, 10, true), 0, 5),
        event(Kind::Stun, 0, 1),
        event(Kind::Datagram, 0, 4),
        event(Kind::Datagram, 0, 2),
    ];
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), capture(&events)).unwrap();
    let (_, summary) = run_with(file.path(), 2, None);
    let mut evidence: Vec<String> = summary
        .cells
        .iter()
        .filter(|(key, _)| key.app.is_some())
        .map(|(key, totals)| format!("{} {}", key.evidence.unwrap(), totals.flows))
        .collect();
    evidence.sort();
    assert_eq!(
        evidence,
        ["call-family 2", "dns 2", "payload 1", "server-name 1"]
    );
    let dropped: Vec<(&str, u64)> = summary
        .ledger
        .drops
        .iter()
        .filter(|(_, volume)| volume.packets > 0)
        .map(|(reason, volume)| (reason.slug(), volume.packets))
        .collect();
    assert_eq!(
        dropped,
        [("non-ip", 1), ("malformed", 1), ("fragment-incomplete", 1)]
    );
    assert!(summary.ledger.closes());
}

/// Fails as a full disk does.
struct Full;

impl Exporter for Full {
    fn flow(&mut self, _: &FlowRecord, _: &SignatureSet) -> io::Result<()> {
        Err(io::ErrorKind::StorageFull.into())
    }

    fn interval(&mut self, _: &Closed, _: u64, _: &SignatureSet) -> io::Result<()> {
        Err(io::ErrorKind::StorageFull.into())
    }

    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_run_that_cannot_write_ends_soon() {
    let events = vec![
        Event {
            step: 2_000,
            from: 1,
            to: 2,
            port: 7001,
            kind: Kind::Datagram,
        };
        5_000
    ];
    let bytes = capture(&events);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &bytes).unwrap();
    for workers in [1, 3] {
        let options = Options {
            block_size: 600,
            ..Options::default()
        };
        let mut inputs = Inputs::open(&[file.path()], &options).unwrap();
        let config = Config {
            workers,
            usage: usage::Config {
                interval: Some(Duration::from_secs(1).into()),
                ..usage::Config::default()
            },
            ..Config::default()
        };
        let mut read = 0;
        let failure = run(&mut inputs, set(), &config, &mut Full, &mut |at| read = at);
        match failure {
            Err(Failure::Write(error)) => assert_eq!(error.kind(), io::ErrorKind::StorageFull),
            other => panic!("{other:?}"),
        }
        assert!(read < bytes.len() as u64 / 2, "{read} of {}", bytes.len());
    }
}
