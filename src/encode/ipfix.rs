//! IPFIX messages (RFC 7011), one record each, as they stand in a file (RFC 5655) or a session.
//!
//! A record carries the fields that have an information element, in the order of their table;
//! what the server sent of a flow is in reverse elements (RFC 5103). Templates stand in the head, and
//! so do the names of the applications that records have numbers of (RFC 6759, section 4): a sink puts
//! it where a reader begins.

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;

use super::framing::{MESSAGE_HEADER, MESSAGE_VERSION};
use super::{Encode, Options, Setting};
use crate::app::App;
use crate::record::{
    Column, Element, FlowView, Kind, Record, Records, RunRecord, UsageRecord, Value,
};
use crate::time::Timestamp;

/// The Set IDs of templates and options templates, section 3.3.2.
const TEMPLATES: u16 = 2;
const OPTIONS_TEMPLATES: u16 = 3;
/// The templates of what is told of applications: from the first Template ID on, section 3.4.1.
const NAMES_TEMPLATE: u16 = 256;
const ATTRIBUTES_TEMPLATE: u16 = 257;
/// The first of records.
const FIRST_TEMPLATE: u16 = 258;
/// A field of any length, section 7.
const VARIABLE: u16 = u16::MAX;
/// The enterprise number of reverse elements (RFC 5103, section 6.1).
const REVERSE: u32 = 29_305;
/// applicationId, which is no number: an engine and what that calls the application (RFC 6759,
/// section 4).
const APPLICATION_ID: u16 = 95;
/// The engine whose numbers the operator gives: "USER-Defined", section 4.1.
const USER_DEFINED: u8 = 6;
/// What is told of an application, by Template ID: applicationName and applicationDescription (RFC 6759,
/// section 6.4), and of its attributes applicationCategoryName (section 6.5). They have a length
/// because some collectors (nfdump 1.7) read no others here; what is shorter ends with zeros.
const OF_APPLICATIONS: [(u16, &[(u16, u16)]); 2] = [
    (NAMES_TEMPLATE, &[(96, 48), (94, 64)]),
    (ATTRIBUTES_TEMPLATE, &[(372, 32)]),
];
/// The elements of times in nanoseconds: flowStartNanoseconds and flowEndNanoseconds. All others are
/// in milliseconds.
const NANOSECONDS: [u16; 2] = [156, 157];
/// From these to those in milliseconds: flowStartMilliseconds (152) and flowEndMilliseconds. Many
/// collectors read only these.
const TO_MILLISECONDS: u16 = 4;
/// observationDomainId: what a run says is of all that is told in its domain.
const OBSERVATION_DOMAIN: u16 = 149;
/// What all flow records say beside their fields, an octet each: flowDirection is ingress, as frames
/// come in where they are observed; biflowDirection (RFC 5103, section 6.3) is initiator, as the source
/// is who began.
const OF_FLOWS: [(u16, u8); 2] = [(61, 0), (239, 1)];
/// Bytes of a text; what goes beyond is cut off. A message is to fit the smallest MTU of IPv6.
const LONGEST_TEXT: usize = 512;
/// From the epoch of NTP to that of Unix, in seconds (RFC 7011, section 6.1.9).
const NTP_TO_UNIX: u64 = 2_208_988_800;

/// `domain=7`
pub(super) const DOMAIN: Setting<Options> = Setting {
    name: "domain",
    set: |options, said| {
        // Zero is that of an exporter as a whole (RFC 7011, section 3.1).
        let number = said.parse().ok().filter(|&number| number > 0);
        let number =
            number.ok_or_else(|| format!("`{said}` is not a number from 1 to {}", u32::MAX))?;
        options.domain = Some(number);
        Ok(())
    },
};

/// Writes one message a record.
#[derive(Debug)]
pub struct Ipfix {
    /// The Observation Domain ID (RFC 7011, section 3.1): collectors that do not tell sessions of one
    /// host apart would mix up the templates of flows and usage.
    domain: u32,
    /// What records of one shape carry, by Template ID. There are few: shapes differ by address family
    /// and by numbers that are there or not.
    templates: Vec<Template>,
    /// The applications whose names were told. One that gets another name keeps the one that was told.
    applications: BTreeSet<u32>,
    head: Vec<u8>,
}

/// What records of one shape carry.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Template {
    /// How many of the fields, the first ones, say what the others are about; none of a template that
    /// is of no options.
    scopes: u16,
    fields: Vec<Specifier>,
}

/// A field specifier (RFC 7011, section 3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Specifier {
    number: u16,
    length: u16,
    enterprise: Option<u32>,
}

impl Encode for Ipfix {
    fn head(&self) -> &[u8] {
        &self.head
    }

    fn flow(&mut self, record: &FlowView<'_>, out: &mut Vec<u8>) -> io::Result<()> {
        let is_v6 = record.record().client_ip.is_ipv6();
        self.record(record, is_v6, &OF_FLOWS, record.record().last, out)
    }

    fn usage(&mut self, record: &UsageRecord<'_>, out: &mut Vec<u8>) -> io::Result<()> {
        self.record(record, false, &[], record.interval.end, out)
    }

    /// As what the Metering Process tells of itself (RFC 7011, sections 4.1 and 4.2).
    fn run(&mut self, record: &RunRecord, out: &mut Vec<u8>) -> io::Result<()> {
        let at = record.end.map_or(record.run, |end| end.at);
        let mut data = self.domain.to_be_bytes().to_vec();
        let mut fields = vec![Specifier::plain(OBSERVATION_DOMAIN, 4)];
        carry(record, false, &mut fields, &mut data);
        let id = self.template(Template { scopes: 1, fields }, at)?;
        message(self.domain, at, out, |out| set(id, &data, out))
    }
}

impl Ipfix {
    /// For records of this kind.
    pub fn new(records: Records, options: &Options) -> Self {
        let own = match records {
            Records::Flows => 1,
            Records::Usage => 2,
        };
        Self {
            domain: options.domain.unwrap_or(own),
            templates: Vec::new(),
            applications: BTreeSet::new(),
            head: Vec::new(),
        }
    }

    fn record(
        &mut self,
        record: &impl Record,
        is_v6: bool,
        constants: &[(u16, u8)],
        at: Timestamp,
        out: &mut Vec<u8>,
    ) -> io::Result<()> {
        let mut fields = Vec::new();
        let mut data = Vec::new();
        carry(record, is_v6, &mut fields, &mut data);
        for &(number, value) in constants {
            data.push(value);
            fields.push(Specifier::plain(number, 1));
        }
        if let Some(app) = record.app()
            && !self.applications.contains(&app.id)
        {
            self.name(app, at)?;
        }
        let id = self.template(Template { scopes: 0, fields }, at)?;
        message(self.domain, at, out, |out| set(id, &data, out))
    }

    /// The Template ID of records of this shape; a new one is told in the head.
    fn template(&mut self, template: Template, at: Timestamp) -> io::Result<u16> {
        let known = self.templates.iter().position(|one| *one == template);
        let place = known.unwrap_or(self.templates.len());
        let id = u16::try_from(place)
            .ok()
            .and_then(|place| place.checked_add(FIRST_TEMPLATE))
            .ok_or_else(|| io::Error::other("too many shapes of records"))?;
        if known.is_none() {
            // A Template Record (RFC 7011, section 3.4.1), or one of options (section 3.4.2).
            let Template { scopes, fields } = &template;
            let mut record = id.to_be_bytes().to_vec();
            let count = u16::try_from(fields.len()).unwrap_or(u16::MAX);
            record.extend_from_slice(&count.to_be_bytes());
            let mut kind = TEMPLATES;
            if *scopes > 0 {
                record.extend_from_slice(&scopes.to_be_bytes());
                kind = OPTIONS_TEMPLATES;
            }
            fields.iter().for_each(|field| field.put(&mut record));
            message(self.domain, at, &mut self.head, |out| {
                set(kind, &record, out)
            })?;
            self.templates.push(template);
        }
        Ok(id)
    }

    /// Tells what an application's number stands for, in the head.
    fn name(&mut self, app: &App, at: Timestamp) -> io::Result<()> {
        let mut said = [&app.name, &app.title, &app.category].into_iter();
        for (template, fields) in OF_APPLICATIONS {
            if self.applications.is_empty() {
                // An Options Template Record (RFC 7011, section 3.4.2): the scope is the application.
                let mut record = template.to_be_bytes().to_vec();
                let count = u16::try_from(1 + fields.len()).unwrap_or(u16::MAX);
                record.extend_from_slice(&count.to_be_bytes());
                record.extend_from_slice(&1_u16.to_be_bytes());
                Specifier::plain(APPLICATION_ID, 4).put(&mut record);
                for &(number, length) in fields {
                    Specifier::plain(number, length).put(&mut record);
                }
                message(self.domain, at, &mut self.head, |out| {
                    set(OPTIONS_TEMPLATES, &record, out)
                })?;
            }
            let mut data = application_id(app.id).to_vec();
            for (&(_, length), said) in fields.iter().zip(&mut said) {
                let length = usize::from(length);
                let end = data.len() + length;
                let said = said.get(..said.floor_char_boundary(length));
                data.extend_from_slice(said.unwrap_or_default().as_bytes());
                data.resize(end, 0);
            }
            message(self.domain, at, &mut self.head, |out| {
                set(template, &data, out)
            })?;
        }
        self.applications.insert(app.id);
        Ok(())
    }
}

/// Appends the fields of a record that have an information element, and what it says in them.
fn carry(record: &impl Record, is_v6: bool, fields: &mut Vec<Specifier>, data: &mut Vec<u8>) {
    for (column, value) in record.values() {
        if let Some(specifier) = Specifier::of(column, value.as_ref(), is_v6) {
            put(value.as_ref(), specifier, data);
            fields.push(specifier);
            if let Some(Value::Time(time)) = value
                && NANOSECONDS.contains(&specifier.number)
            {
                data.extend_from_slice(&milliseconds(time).to_be_bytes());
                fields.push(Specifier::plain(specifier.number - TO_MILLISECONDS, 8));
            }
        }
    }
}

/// Appends a message (RFC 7011, section 3.1) with what `sets` appends to it. Its sequence number is
/// the sink's to say.
fn message(
    domain: u32,
    at: Timestamp,
    out: &mut Vec<u8>,
    sets: impl FnOnce(&mut Vec<u8>) -> io::Result<()>,
) -> io::Result<()> {
    let start = out.len();
    out.extend_from_slice(&MESSAGE_VERSION);
    out.extend_from_slice(&[0; 2]);
    let seconds = at.0 / 1_000_000_000;
    out.extend_from_slice(&u32::try_from(seconds).unwrap_or(u32::MAX).to_be_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&domain.to_be_bytes());
    debug_assert_eq!(out.len() - start, MESSAGE_HEADER);
    let length =
        sets(out).and_then(|()| u16::try_from(out.len() - start).map_err(io::Error::other));
    match (length, out.get_mut(start + 2..start + 4)) {
        (Ok(length), Some(place)) => {
            place.copy_from_slice(&length.to_be_bytes());
            Ok(())
        }
        (length, _) => {
            out.truncate(start);
            length.map(drop)
        }
    }
}

/// An application as IPFIX calls it: ids need three bytes, and the engine goes before them.
const fn application_id(id: u32) -> [u8; 4] {
    let [_, high, middle, low] = id.to_be_bytes();
    [USER_DEFINED, high, middle, low]
}

impl Specifier {
    /// Of one of IANA's elements.
    const fn plain(number: u16, length: u16) -> Self {
        Self {
            number,
            length,
            enterprise: None,
        }
    }

    fn put(&self, out: &mut Vec<u8>) {
        let bit = if self.enterprise.is_some() { 0x8000 } else { 0 };
        out.extend_from_slice(&(self.number | bit).to_be_bytes());
        out.extend_from_slice(&self.length.to_be_bytes());
        if let Some(enterprise) = self.enterprise {
            out.extend_from_slice(&enterprise.to_be_bytes());
        }
    }

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
            Kind::Texts | Kind::Numbers | Kind::WideNumbers => return None,
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
        Some(Value::Number(id)) if specifier.number == APPLICATION_ID => {
            out.extend_from_slice(&application_id(u32::try_from(*id).unwrap_or(u32::MAX)));
        }
        Some(Value::Number(number)) => {
            out.extend_from_slice(number.to_be_bytes().get(8 - length..).unwrap_or_default());
        }
        Some(Value::Code { number, .. }) => out.push(*number),
        // RFC 7011, section 6.1.5: true.
        Some(Value::Flag) => out.push(1),
        Some(Value::Time(time)) if NANOSECONDS.contains(&specifier.number) => {
            out.extend_from_slice(&ntp(*time).to_be_bytes());
        }
        Some(Value::Time(time)) => out.extend_from_slice(&milliseconds(*time).to_be_bytes()),
        Some(Value::Address(IpAddr::V4(address))) if length == 4 => {
            out.extend_from_slice(&address.octets());
        }
        Some(Value::Address(IpAddr::V6(address))) if length == 16 => {
            out.extend_from_slice(&address.octets());
        }
        // Both addresses of a flow are of one family; what is not keeps its length.
        Some(Value::Address(_)) => out.resize(out.len() + length, 0),
        Some(Value::Texts(_) | Value::Numbers(_) | Value::WideNumbers(_)) => {}
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

/// dateTimeMilliseconds (RFC 7011, section 6.1.8).
const fn milliseconds(time: Timestamp) -> u64 {
    time.0 / 1_000_000
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
}
