//! What is written is read back by a reader that knows RFC 7011 and nothing of records.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::field::{LONGEST_TEXT, NTP_TO_UNIX, VARIABLE, ntp};
use super::*;
use crate::record::{RunEnd, samples};
use crate::signature::SignatureSet;

/// Elements of a data record: enterprise and number to bytes.
type Elements = BTreeMap<(u32, u16), Vec<u8>>;

/// A reader of messages that knows what RFC 7011 says and nothing of records.
#[derive(Default)]
struct Reader {
    templates: BTreeMap<u16, Vec<Specifier>>,
    records: Vec<Elements>,
    applications: BTreeMap<u64, Vec<String>>,
}

fn take<'a>(bytes: &mut &'a [u8], count: usize) -> &'a [u8] {
    let (taken, rest) = bytes.split_at(count);
    *bytes = rest;
    taken
}

fn number(bytes: &mut &[u8], count: usize) -> u64 {
    let bytes = take(bytes, count).iter();
    bytes.fold(0, |number, &byte| (number << 8) | u64::from(byte))
}

impl Reader {
    fn read(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let mut header = bytes;
            assert_eq!(number(&mut header, 2), 10);
            let length = number(&mut header, 2) as usize;
            let mut message = &take(&mut bytes, length)[8..];
            // The sequence number is the sink's.
            assert_eq!(number(&mut message, 4), 0);
            assert!(number(&mut message, 4) > 0);
            while !message.is_empty() {
                let id = number(&mut message, 2) as u16;
                let length = number(&mut message, 2) as usize;
                let mut set = take(&mut message, length - 4);
                while !set.is_empty() {
                    match id {
                        2 => self.template(&mut set),
                        3 => self.options_template(&mut set),
                        256 => self.application(&mut set, &[48, 64]),
                        257 => self.application(&mut set, &[32]),
                        _ => self.data(id, &mut set),
                    }
                }
            }
        }
    }

    fn template(&mut self, set: &mut &[u8]) {
        let id = number(set, 2) as u16;
        let count = number(set, 2);
        let fields = (0..count).map(|_| {
            let element = number(set, 2) as u16;
            Specifier {
                number: element & 0x7fff,
                length: number(set, 2) as u16,
                enterprise: (element & 0x8000 > 0).then(|| number(set, 4) as u32),
            }
        });
        let fields = fields.collect();
        let before = self.templates.insert(id, fields);
        assert!(before.is_none_or(|before| before == self.templates[&id]));
    }

    fn options_template(&mut self, set: &mut &[u8]) {
        match number(set, 2) {
            256 => {
                let said = [3, 1, 95, 4, 96, 48, 94, 64];
                assert_eq!(said.map(|_| number(set, 2)), said);
            }
            257 => {
                let said = [2, 1, 95, 4, 372, 32];
                assert_eq!(said.map(|_| number(set, 2)), said);
            }
            other => {
                let (count, scopes) = (number(set, 2), number(set, 2));
                assert_eq!(scopes, 1);
                let fields = (0..count)
                    .map(|_| Specifier::plain(number(set, 2) as u16, number(set, 2) as u16));
                self.templates.insert(other as u16, fields.collect());
            }
        }
    }

    fn application(&mut self, set: &mut &[u8], lengths: &[usize]) {
        let names = self.applications.entry(number(set, 4)).or_default();
        for &length in lengths {
            let name = String::from_utf8(take(set, length).to_vec()).unwrap();
            names.push(name.trim_end_matches('\0').to_owned());
        }
    }

    fn data(&mut self, id: u16, set: &mut &[u8]) {
        let mut record = Elements::new();
        for field in &self.templates[&id] {
            let length = match field.length {
                VARIABLE => match number(set, 1) {
                    255 => number(set, 2),
                    length => length,
                },
                length => length.into(),
            };
            let value = take(set, length as usize).to_vec();
            let key = (field.enterprise.unwrap_or_default(), field.number);
            assert!(record.insert(key, value).is_none());
        }
        self.records.push(record);
    }
}

/// Reads the head, and then the records.
fn read(ipfix: &Ipfix, out: &[u8]) -> Reader {
    let mut reader = Reader::default();
    reader.read(ipfix.head());
    reader.read(out);
    reader
}

fn written(records: &[crate::record::FlowRecord], set: &SignatureSet) -> Reader {
    let (mut ipfix, mut out) = (Ipfix::new(Records::Flows, &Options::default()), Vec::new());
    for record in records {
        let start = out.len();
        ipfix.flow(&FlowView::new(record, set), &mut out).unwrap();
        assert!(out.len() - start <= 1232, "the smallest MTU of IPv6");
    }
    read(&ipfix, &out)
}

#[test]
fn flows_come_back() {
    let set = SignatureSet::builtin();
    let read = written(&[samples::sparse(), samples::full(&set, "text")], &set);
    let [sparse, full] = read.records.as_slice() else {
        panic!("{:?}", read.records)
    };
    let v6 = |end: u8| [&[0x20, 1, 0xd, 0xb8][..], &[0; 11], &[end]].concat();
    let id = set
        .catalog()
        .app(set.catalog().app_named("wechat").unwrap());
    let app = id.unwrap();
    let id = app.id.to_be_bytes();
    let names = [&app.name, &app.title, &app.category].map(ToString::to_string);
    let told = u64::from(u32::from_be_bytes([6, id[1], id[2], id[3]]));
    assert_eq!(read.applications, [(told, names.into())].into());
    let octets = |number: u64| number.to_be_bytes().to_vec();
    for (record, key, expected) in [
        (sparse, (0, 8), Some(vec![10, 0, 0, 1])),
        (sparse, (0, 12), Some(vec![192, 0, 2, 1])),
        (sparse, (0, 27), None),
        (sparse, (0, 4), Some(vec![89])),
        (sparse, (0, 7), None),
        (sparse, (0, 95), None),
        (sparse, (0, 96), Some(Vec::new())),
        (sparse, (0, 136), Some(vec![1])),
        (sparse, (0, 148), Some(octets(7))),
        (sparse, (0, 61), Some(vec![0])),
        (sparse, (0, 239), Some(vec![1])),
        (full, (0, 8), None),
        (full, (0, 27), Some(v6(1))),
        (full, (0, 28), Some(v6(2))),
        (full, (0, 7), Some(vec![0xc3, 0x50])),
        (full, (0, 11), Some(vec![1, 0xbb])),
        (full, (0, 95), Some(vec![6, id[1], id[2], id[3]])),
        (full, (0, 96), Some(b"wechat".to_vec())),
        (full, (0, 468), Some(b"text".to_vec())),
        (full, (0, 136), Some(vec![3])),
        (full, (0, 371), Some(b"2001:db8::1".to_vec())),
        // The second part of the flow, and all of it.
        (full, (0, 2), Some(octets(1))),
        (full, (29_305, 2), Some(octets(2))),
        (full, (0, 352), Some(octets(400))),
        (full, (29_305, 352), Some(octets(1 << 39))),
        (full, (0, 1), Some(octets(400 - 14))),
        (full, (0, 86), Some(octets(3))),
        (full, (29_305, 86), Some(octets(5))),
        (full, (0, 353), Some(octets(1000))),
        (full, (29_305, 353), Some(octets(1 << 40))),
        (full, (0, 85), Some(octets(1000 - 42))),
        (full, (0, 152), Some(octets(1_767_323_046_000))),
        // 2026-01-02T03:04:05.000000006Z: 6 ns are 25.8 units.
        (
            sparse,
            (0, 156),
            Some(octets(((1_767_323_045 + NTP_TO_UNIX) << 32) | 26)),
        ),
        (sparse, (0, 152), Some(octets(1_767_323_045_000))),
    ] {
        assert_eq!(record.get(&key).cloned(), expected, "{key:?}");
    }
}

#[test]
fn usage_comes_back() {
    let set = SignatureSet::builtin();
    let cells = samples::cells(&set);
    let interval = samples::interval(&cells, None);
    let (mut ipfix, mut out) = (Ipfix::new(Records::Usage, &Options::default()), Vec::new());
    for record in samples::usage(&interval, &cells, &set) {
        ipfix.usage(&record, &mut out).unwrap();
    }
    let reader = read(&ipfix, &out);
    let sum = |key| {
        let values = reader.records.iter().map(|record| &record[&(0, key)]);
        values
            .map(|value| number(&mut value.as_slice(), 8))
            .sum::<u64>()
    };
    assert_eq!((sum(2), sum(352), sum(3)), (6, 600, 2));
    let directions: Vec<u8> = reader.records.iter().map(|one| one[&(0, 239)][0]).collect();
    assert_eq!(directions, [1, 2, 1, 2]);
}

#[test]
fn a_run_comes_back() {
    let mut run = RunRecord {
        run: Timestamp::new(1_767_323_045, 6_000_000),
        interfaces: [Box::from("eth0")].into(),
        interval: None,
        set: SignatureSet::default().into(),
        end: None,
    };
    let (mut ipfix, mut out) = (Ipfix::new(Records::Usage, &Options::default()), Vec::new());
    ipfix.run(&run, &mut out).unwrap();
    run.end = Some(RunEnd {
        at: Timestamp::new(1_767_323_105, 0),
        intervals: 1,
        packets: 7,
        bytes: 700,
        packets_lost: 3,
    });
    ipfix.run(&run, &mut out).unwrap();
    let read = read(&ipfix, &out);
    let numbers = read.records.iter().map(|record| {
        let numbers = record.iter();
        let numbers =
            numbers.map(|(&(_, key), value)| (key, number(&mut value.as_slice(), value.len())));
        numbers.collect::<Vec<_>>()
    });
    let began = 1_767_323_045_006;
    assert_eq!(
        numbers.collect::<Vec<_>>(),
        [
            vec![(149, 2), (160, began), (323, began)],
            vec![
                (86, 7),
                (149, 2),
                (160, began),
                (164, 3),
                (323, 1_767_323_105_000),
                (353, 700)
            ],
        ]
    );
}

#[test]
fn the_head_grows_with_what_is_new() {
    let set = SignatureSet::builtin();
    let mut ipfix = Ipfix::new(Records::Flows, &Options::default());
    let [sparse, full] = [samples::sparse(), samples::full(&set, "text")];
    let lengths = [&sparse, &sparse, &full, &full, &sparse].map(|record| {
        let view = FlowView::new(record, &set);
        ipfix.flow(&view, &mut Vec::new()).unwrap();
        ipfix.head().len()
    });
    assert!(0 < lengths[0] && lengths[0] == lengths[1]);
    assert!(lengths[1] < lengths[2] && lengths[2] == lengths[4]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// Whatever a sender says, messages hold together, and a text is the start of what was said.
    #[test]
    fn hostile_texts_come_back(said in "\\PC{0,30}|[a微]{200,2000}") {
        let set = SignatureSet::default();
        let read = written(&[samples::full(&set, &said), samples::sparse()], &set).records;
        let text = String::from_utf8(read[0][&(0, 468)].clone()).unwrap();
        prop_assert!(said.starts_with(&text));
        prop_assert!(text == said || text.len() > LONGEST_TEXT - 4);
    }

    #[test]
    fn nanoseconds_come_back(nanos in any::<u64>()) {
        let fraction = ntp(Timestamp(nanos));
        let back = ((fraction & 0xffff_ffff) * 1_000_000_000) >> 32;
        prop_assert_eq!(back, nanos % 1_000_000_000);
    }
}
