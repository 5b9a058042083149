//! What a row of [`FIELDS`](super::FIELDS) holds, whatever its type.

use std::net::SocketAddr;

use serde::{Serialize, Serializer};

use super::families::Destination;
use crate::app::Proto;
use crate::dissect::tls::ja4::Ja4;

/// The most there is of a fact: every dissector keeps to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    /// Bytes of a text, or of each text of a list.
    pub bytes: u16,
    /// Entries of a list.
    pub entries: u16,
}

/// A fact that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// Text, never empty.
    Text(&'a str),
    /// Texts, at least one.
    Texts(&'a Vec<Box<str>>),
    /// Names and texts, at least one.
    Headers(&'a Vec<(Box<str>, Box<str>)>),
    /// Numbers a standard assigns, at least one.
    Codes(&'a Vec<u16>),
    /// Addresses, at least one.
    Sockets(&'a Vec<SocketAddr>),
    /// An address, or a part of it.
    Destination(Destination),
    /// A number.
    Number(u16),
    /// The number of a version.
    Version(u32),
    /// A protocol.
    Proto(Proto),
    /// Something was offered.
    Offered,
}

impl Value<'_> {
    /// Whether `each` says yes to any text of it.
    pub fn any_text(self, mut each: impl FnMut(&str) -> bool) -> bool {
        match self {
            Self::Text(text) => each(text),
            Self::Texts(texts) => texts.iter().any(|text| each(text)),
            Self::Headers(headers) => headers.iter().any(|(_, text)| each(text)),
            _ => false,
        }
    }

    /// Whether it is no longer than `bound`.
    pub fn is_within(self, bound: Bound) -> bool {
        let fits = |text: &str| text.len() <= usize::from(bound.bytes);
        let entries = usize::from(bound.entries);
        match self {
            Self::Text(text) => fits(text),
            Self::Texts(texts) => texts.len() <= entries && texts.iter().all(|text| fits(text)),
            Self::Headers(headers) => {
                let fits = |(name, text): &(Box<str>, Box<str>)| fits(name) && fits(text);
                headers.len() <= entries && headers.iter().all(fits)
            }
            Self::Codes(codes) => codes.len() <= entries,
            Self::Sockets(addresses) => addresses.len() <= entries,
            Self::Destination(_)
            | Self::Number(_)
            | Self::Version(_)
            | Self::Proto(_)
            | Self::Offered => true,
        }
    }

    /// For people, under the label of its row.
    pub fn described(self, label: &'static str) -> (&'static str, String) {
        fn list<T>(values: &[T], each: impl Fn(&T) -> String, between: &str) -> String {
            values.iter().map(each).collect::<Vec<_>>().join(between)
        }
        let text = match self {
            Self::Text(text) => text.to_owned(),
            Self::Texts(texts) => texts.join(", "),
            Self::Headers(headers) => {
                list(headers, |(name, value)| format!("{name}: {value}"), ", ")
            }
            Self::Codes(codes) => list(codes, |code| format!("{code:04x}"), " "),
            Self::Sockets(addresses) => list(addresses, SocketAddr::to_string, ", "),
            Self::Destination(destination) => match (destination.ip, destination.port) {
                (Some(ip), Some(port)) => SocketAddr::new(ip, port).to_string(),
                (Some(ip), None) => ip.to_string(),
                (None, Some(port)) => return ("destination port", port.to_string()),
                (None, None) => String::new(),
            },
            Self::Number(number) => number.to_string(),
            Self::Version(version) => format!("{version:#010x}"),
            Self::Proto(proto) => proto.0.to_string(),
            Self::Offered => "offered".to_owned(),
        };
        (label, text)
    }
}

impl Serialize for Value<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match *self {
            Self::Text(text) => serializer.serialize_str(text),
            Self::Texts(texts) => serializer.collect_seq(texts),
            Self::Headers(headers) => serializer.collect_map(headers.iter().map(|(a, b)| (a, b))),
            Self::Codes(codes) => serializer.collect_seq(codes),
            Self::Sockets(addresses) => serializer.collect_seq(addresses),
            Self::Destination(Destination { ip, port }) => (ip, port).serialize(serializer),
            Self::Number(number) => serializer.serialize_u16(number),
            Self::Version(version) => serializer.serialize_u32(version),
            Self::Proto(proto) => serializer.serialize_u16(proto.0),
            Self::Offered => serializer.serialize_bool(true),
        }
    }
}

/// A type of a fact.
pub(super) trait Fact: Default {
    /// What is there, if anything is.
    fn value(&self) -> Option<Value<'_>>;

    /// Bytes it has on the heap, about.
    fn heap(&self) -> usize {
        0
    }

    /// Takes what `inside` has, if it has anything.
    fn absorb(&mut self, inside: &mut Self) {
        if inside.value().is_some() {
            *self = std::mem::take(inside);
        }
    }
}

impl Fact for Option<Box<str>> {
    fn value(&self) -> Option<Value<'_>> {
        self.as_deref().map(Value::Text)
    }

    fn heap(&self) -> usize {
        self.as_deref().map_or(0, str::len)
    }
}

impl Fact for Option<Ja4> {
    fn value(&self) -> Option<Value<'_>> {
        self.as_deref().map(Value::Text)
    }

    fn heap(&self) -> usize {
        self.as_ref().map_or(0, Ja4::heap)
    }

    fn absorb(&mut self, inside: &mut Self) {
        // Not by its text, which nobody may ask for.
        if inside.is_some() {
            *self = inside.take();
        }
    }
}

impl Fact for Vec<Box<str>> {
    fn value(&self) -> Option<Value<'_>> {
        (!self.is_empty()).then_some(Value::Texts(self))
    }

    fn heap(&self) -> usize {
        let texts = self.iter().map(|text| text.len()).sum::<usize>();
        self.capacity() * size_of::<Box<str>>() + texts
    }
}

impl Fact for Vec<(Box<str>, Box<str>)> {
    fn value(&self) -> Option<Value<'_>> {
        (!self.is_empty()).then_some(Value::Headers(self))
    }

    fn heap(&self) -> usize {
        let texts = self.iter().map(|(name, text)| name.len() + text.len());
        self.capacity() * size_of::<(Box<str>, Box<str>)>() + texts.sum::<usize>()
    }
}

impl Fact for Vec<u16> {
    fn value(&self) -> Option<Value<'_>> {
        (!self.is_empty()).then_some(Value::Codes(self))
    }

    fn heap(&self) -> usize {
        self.capacity() * size_of::<u16>()
    }
}

impl Fact for Vec<SocketAddr> {
    fn value(&self) -> Option<Value<'_>> {
        (!self.is_empty()).then_some(Value::Sockets(self))
    }

    fn heap(&self) -> usize {
        self.capacity() * size_of::<SocketAddr>()
    }
}

impl Fact for Option<u8> {
    fn value(&self) -> Option<Value<'_>> {
        self.map(|number| Value::Number(number.into()))
    }
}

impl Fact for Option<u16> {
    fn value(&self) -> Option<Value<'_>> {
        self.map(Value::Number)
    }
}

impl Fact for Option<u32> {
    fn value(&self) -> Option<Value<'_>> {
        self.map(Value::Version)
    }
}

impl Fact for Option<Proto> {
    fn value(&self) -> Option<Value<'_>> {
        self.map(Value::Proto)
    }
}

impl Fact for bool {
    fn value(&self) -> Option<Value<'_>> {
        self.then_some(Value::Offered)
    }
}

impl Fact for Option<Box<Destination>> {
    fn value(&self) -> Option<Value<'_>> {
        self.as_deref()
            .filter(|destination| **destination != Destination::default())
            .map(|&destination| Value::Destination(destination))
    }

    fn absorb(&mut self, inside: &mut Self) {
        if let Some(Destination { ip, port }) = inside.as_deref().copied() {
            let outer = self.get_or_insert_default();
            outer.ip = ip.or(outer.ip);
            outer.port = port.or(outer.port);
        }
    }
}
