//! IPFIX messages (RFC 7011), one record each, as they stand in a file (RFC 5655) or a datagram.
//!
//! A record carries the fields that have an information element, in the order of their table;
//! what the server sent of a flow is in reverse elements (RFC 5103). A template is told in the first
//! message that needs it, and again every [`TOLD_EVERY`] messages.

use std::io;
use std::net::IpAddr;

use super::Encode;
use crate::record::{Column, Element, FlowView, Kind, Record, UsageRecord, Value};
use crate::time::Timestamp;

/// RFC 7011, section 3.1.
const VERSION: u16 = 10;
const HEADER: usize = 16;
/// The Set ID of templates, section 3.3.2.
const TEMPLATES: u16 = 2;
/// The first Template ID, section 3.4.1.
const FIRST_TEMPLATE: u16 = 256;
/// A field of any length, section 7.
const VARIABLE: u16 = u16::MAX;
/// The enterprise number of reverse elements (RFC 5103, section 6.1).
const REVERSE: u32 = 29_305;
/// applicationId, which is no number: an engine and what that calls the application (RFC 6759,
/// section 4).
const APPLICATION_ID: u16 = 95;
/// The engine whose numbers the operator gives: "USER-Defined", section 4.1.
const USER_DEFINED: u8 = 6;
/// Bytes of a text; what goes beyond is cut off, so that a message has room for all.
const LONGEST_TEXT: usize = 1024;
/// Messages after which a template is told again, for who began to listen late (RFC 7011,
/// section 8.4).
const TOLD_EVERY: u32 = 512;
/// From the epoch of NTP to that of Unix, in seconds (RFC 7011, section 6.1.9).
const NTP_TO_UNIX: u64 = 2_208_988_800;

/// Writes one message a record.
#[derive(Debug, Default)]
pub struct Ipfix {
    templates: Vec<Template>,
    /// Data records so far, which messages tell.
    sequence: u32,
}

/// What records of one shape carry. There are few: shapes differ by address family and by numbers
/// that are there or not.
#[derive(Debug)]
struct Template {
    fields: Vec<Specifier>,
    /// Messages since it was told.
    since: u32,
}

/// A field specifier (RFC 7011, section 3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Specifier {
    number: u16,
    length: u16,
    enterprise: Option<u32>,
}

impl Encode for Ipfix {
    fn flow(&mut self, record: &FlowView<'_>, out: &mut Vec<u8>) -> io::Result<()> {
        let is_v6 = record.record().client_ip.is_ipv6();
        self.message(record, is_v6, record.record().last, out)
    }

    fn usage(&mut self, record: &UsageRecord<'_>, out: &mut Vec<u8>) -> io::Result<()> {
        self.message(record, false, record.interval.end, out)
    }
}

impl Ipfix {
    fn message(
        &mut self,
        record: &impl Record,
        is_v6: bool,
        at: Timestamp,
        out: &mut Vec<u8>,
    ) -> io::Result<()> {
        let mut fields = Vec::new();
        let mut data = Vec::new();
        for (column, value) in record.values() {
            if let Some(specifier) = Specifier::of(column, value.as_ref(), is_v6) {
                put(value.as_ref(), specifier, &mut data);
                fields.push(specifier);
            }
        }
        let known = self.templates.iter().position(|one| one.fields == fields);
        let place = known.unwrap_or(self.templates.len());
        if known.is_none() {
            let since = TOLD_EVERY;
            self.templates.push(Template { fields, since });
        }
        let too_many = || io::Error::other("too many shapes of records");
        let template = self.templates.get_mut(place).ok_or_else(too_many)?;
        let id = u16::try_from(place).map_err(|_| too_many())? + FIRST_TEMPLATE;

        let start = out.len();
        out.extend_from_slice(&VERSION.to_be_bytes());
        out.extend_from_slice(&[0; 2]);
        let seconds = at.0 / 1_000_000_000;
        out.extend_from_slice(&u32::try_from(seconds).unwrap_or(u32::MAX).to_be_bytes());
        out.extend_from_slice(&self.sequence.to_be_bytes());
        // No domain is told from others.
        out.extend_from_slice(&[0; 4]);
        debug_assert_eq!(out.len() - start, HEADER);
        if template.since >= TOLD_EVERY {
            template.since = 0;
            set(TEMPLATES, &template.record(id), out)?;
        }
        template.since += 1;
        set(id, &data, out)?;
        let length = u16::try_from(out.len() - start).map_err(io::Error::other)?;
        if let Some(place) = out.get_mut(start + 2..start + 4) {
            place.copy_from_slice(&length.to_be_bytes());
        }
        self.sequence = self.sequence.wrapping_add(1);
        Ok(())
    }
}

impl Template {
    /// A Template Record (RFC 7011, section 3.4.1).
    fn record(&self, id: u16) -> Vec<u8> {
        let mut record = id.to_be_bytes().to_vec();
        let count = u16::try_from(self.fields.len()).unwrap_or(u16::MAX);
        record.extend_from_slice(&count.to_be_bytes());
        for field in &self.fields {
            let bit = if field.enterprise.is_some() {
                0x8000
            } else {
                0
            };
            record.extend_from_slice(&(field.number | bit).to_be_bytes());
            record.extend_from_slice(&field.length.to_be_bytes());
            if let Some(enterprise) = field.enterprise {
                record.extend_from_slice(&enterprise.to_be_bytes());
            }
        }
        record
    }
}

impl Specifier {
    /// How a field is carried, if it is: a text always, empty where there is none; a number only
    /// where there is one.
    fn of(column: &Column, value: Option<&Value<'_>>, is_v6: bool) -> Option<Self> {
        let (number, enterprise) = match column.element {
            Element::None => return None,
            Element::Number(number) => (number, None),
            Element::ByFamily { v6, .. } if is_v6 => (v6, None),
            Element::ByFamily { v4, .. } => (v4, None),
            Element::Reverse(number) => (number, Some(REVERSE)),
        };
        let length = match column.kind {
            Kind::Text => VARIABLE,
            // Lists have no element here.
            Kind::Texts | Kind::Numbers => return None,
            _ if value.is_none() => return None,
            Kind::Unsigned(bits) => u16::from(bits / 8),
            Kind::Code | Kind::Flag => 1,
            Kind::Time => 8,
            Kind::Address if is_v6 => 16,
            Kind::Address => 4,
        };
        Some(Self {
            number,
            length,
            enterprise,
        })
    }
}

/// A set with its header (RFC 7011, section 3.3.2), without padding.
fn set(id: u16, records: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    let length = u16::try_from(records.len() + 4).map_err(io::Error::other)?;
    out.extend_from_slice(&id.to_be_bytes());
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(records);
    Ok(())
}

fn put(value: Option<&Value<'_>>, specifier: Specifier, out: &mut Vec<u8>) {
    let length = usize::from(specifier.length);
    match value {
        Some(Value::Text(one)) => text(one, out),
        Some(Value::Number(number)) => {
            let start = out.len();
            out.extend_from_slice(number.to_be_bytes().get(8 - length..).unwrap_or_default());
            // The engine takes the place of the highest of four bytes: ids need three.
            if let (APPLICATION_ID, Some(engine)) = (specifier.number, out.get_mut(start)) {
                *engine = USER_DEFINED;
            }
        }
        Some(Value::Code { number, .. }) => out.push(*number),
        // RFC 7011, section 6.1.5: true.
        Some(Value::Flag) => out.push(1),
        Some(Value::Time(time)) => out.extend_from_slice(&ntp(*time).to_be_bytes()),
        Some(Value::Address(IpAddr::V4(address))) if length == 4 => {
            out.extend_from_slice(&address.octets());
        }
        Some(Value::Address(IpAddr::V6(address))) if length == 16 => {
            out.extend_from_slice(&address.octets());
        }
        // Both addresses of a flow are of one family; what is not keeps its length.
        Some(Value::Address(_)) => out.resize(out.len() + length, 0),
        Some(Value::Texts(_) | Value::Numbers(_)) => {}
        None => text("", out),
    }
}

/// A text of variable length (RFC 7011, section 7).
fn text(text: &str, out: &mut Vec<u8>) {
    let text = text.get(..text.floor_char_boundary(LONGEST_TEXT));
    let text = text.unwrap_or_default().as_bytes();
    match u8::try_from(text.len()) {
        Ok(length) if length < u8::MAX => out.push(length),
        _ => {
            out.push(u8::MAX);
            let length = u16::try_from(text.len()).unwrap_or_default();
            out.extend_from_slice(&length.to_be_bytes());
        }
    }
    out.extend_from_slice(text);
}

/// dateTimeNanoseconds (RFC 7011, section 6.1.10): seconds since 1900, and their fraction in units
/// of 2 to the power of -32, rounded up so that whole nanoseconds come back as they were. The
/// seconds go round in 2036, when NTP's era ends.
fn ntp(time: Timestamp) -> u64 {
    let nanos = time.0;
    let seconds = (nanos / 1_000_000_000).wrapping_add(NTP_TO_UNIX) & u64::from(u32::MAX);
    let fraction = ((nanos % 1_000_000_000) << 32).div_ceil(1_000_000_000);
    (seconds << 32) | fraction
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::record::samples;
    use crate::signature::SignatureSet;

    /// Elements of a data record: enterprise and number to bytes.
    type Elements = BTreeMap<(u32, u16), Vec<u8>>;

    /// A reader of messages that knows what RFC 7011 says and nothing of records.
    #[derive(Default)]
    struct Reader {
        templates: BTreeMap<u16, Vec<Specifier>>,
        records: Vec<Elements>,
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
                assert_eq!(number(&mut message, 4), self.records.len() as u64);
                assert_eq!(number(&mut message, 4), 0);
                while !message.is_empty() {
                    let id = number(&mut message, 2) as u16;
                    let length = number(&mut message, 2) as usize;
                    let mut set = take(&mut message, length - 4);
                    while !set.is_empty() {
                        match id {
                            2 => self.template(&mut set),
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

    fn written(records: &[crate::record::FlowRecord], set: &SignatureSet) -> Vec<Elements> {
        let (mut ipfix, mut out) = (Ipfix::default(), Vec::new());
        for record in records {
            ipfix.flow(&FlowView::new(record, set), &mut out).unwrap();
        }
        let mut reader = Reader::default();
        reader.read(&out);
        reader.records
    }

    #[test]
    fn flows_come_back() {
        let set = SignatureSet::builtin();
        let read = written(&[samples::sparse(), samples::full(&set, "text")], &set);
        let [sparse, full] = read.as_slice() else {
            panic!("{read:?}")
        };
        let v6 = |end: u8| [&[0x20, 1, 0xd, 0xb8][..], &[0; 11], &[end]].concat();
        let id = set
            .catalog()
            .app(set.catalog().app_named("wechat").unwrap());
        let id = id.unwrap().id.to_be_bytes();
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
            (full, (0, 8), None),
            (full, (0, 27), Some(v6(1))),
            (full, (0, 28), Some(v6(2))),
            (full, (0, 7), Some(vec![0xc3, 0x50])),
            (full, (0, 11), Some(vec![1, 0xbb])),
            (full, (0, 95), Some(vec![6, id[1], id[2], id[3]])),
            (full, (0, 96), Some(b"wechat".to_vec())),
            (full, (0, 468), Some(b"text".to_vec())),
            (full, (0, 136), Some(vec![3])),
            (full, (0, 2), Some(octets(3))),
            (full, (29_305, 2), Some(octets(5))),
            (full, (0, 352), Some(octets(1000))),
            (full, (29_305, 352), Some(octets(1 << 40))),
            (full, (0, 1), Some(octets(1000 - 42))),
            // 2026-01-02T03:04:05.000000006Z: 6 ns are 25.8 units.
            (
                full,
                (0, 156),
                Some(octets(((1_767_323_045 + NTP_TO_UNIX) << 32) | 26)),
            ),
        ] {
            assert_eq!(record.get(&key).cloned(), expected, "{key:?}");
        }
    }

    #[test]
    fn usage_comes_back() {
        let set = SignatureSet::builtin();
        let cells = samples::cells(&set);
        let interval = samples::interval(&cells, None);
        let (mut ipfix, mut out) = (Ipfix::default(), Vec::new());
        for record in UsageRecord::all(&interval, &cells, &set) {
            ipfix.usage(&record, &mut out).unwrap();
        }
        let mut reader = Reader::default();
        reader.read(&out);
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
    fn templates_are_told_again() {
        let set = SignatureSet::default();
        let records = vec![samples::sparse(); 2 * TOLD_EVERY as usize];
        let mut ipfix = Ipfix::default();
        let view = FlowView::new(&records[0], &set);
        let lengths = records.iter().map(|_| {
            let mut out = Vec::new();
            ipfix.flow(&view, &mut out).unwrap();
            out.len()
        });
        let lengths: Vec<usize> = lengths.collect();
        let shortest = lengths.iter().min().unwrap();
        let told = (0..lengths.len()).filter(|&place| lengths[place] > *shortest);
        assert_eq!(told.collect::<Vec<_>>(), [0, TOLD_EVERY as usize]);
        assert_eq!(written(&records, &set).len(), records.len());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(100))]

        /// Whatever a sender says, messages hold together, and a text is the start of what was said.
        #[test]
        fn hostile_texts_come_back(said in "\\PC{0,30}|[a微]{200,2000}") {
            let set = SignatureSet::default();
            let read = written(&[samples::full(&set, &said), samples::sparse()], &set);
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
}
