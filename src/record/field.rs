//! What a field of a record is, and how an encoder sees records: by the tables of their fields.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;

use crate::app::App;
use crate::time::Timestamp;

/// A row of a table of fields: what the field is, and how it is read from a record.
#[derive(Clone, Copy, Debug)]
pub struct Field<G> {
    /// What it is.
    pub column: Column,
    /// Reads it; `None` where the record has no value.
    pub get: G,
}

/// What a field is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name, unique in its record.
    pub name: &'static str,
    /// The object of JSON it is a member of; without, the record itself. Members of one object
    /// stand together.
    pub object: Option<&'static str>,
    /// The type of its values.
    pub kind: Kind,
    /// What a number counts; empty where that has no name.
    pub unit: &'static str,
    /// How IPFIX carries it.
    pub element: Element,
    /// Every record has it.
    pub required: bool,
    /// One sentence or two for who reads records, in Markdown.
    pub meaning: &'static str,
}

/// The type of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// UTF-8.
    Text,
    /// The name of a number that a standard assigns, below 256.
    Code,
    /// Texts, at least one.
    Texts,
    /// A number below 2 to the power of 8, 16, 32 or 64.
    Unsigned(u8),
    /// Numbers below 65,536, at least one.
    Numbers,
    /// Numbers below 4,294,967,296, at least one.
    WideNumbers,
    /// Something is so; it has no value where it is not.
    Flag,
    /// Nanoseconds since 1970, UTC.
    Time,
    /// An IPv4 or IPv6 address.
    Address,
}

/// The information element of IPFIX (RFC 7012, IANA registry) that carries a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    /// There is none.
    None,
    /// The element of this number.
    Number(u16),
    /// One element where the flow's addresses are IPv4, another where they are IPv6.
    ByFamily {
        /// With IPv4.
        v4: u16,
        /// With IPv6.
        v6: u16,
    },
    /// The element of this number, of the server's direction (RFC 5103).
    Reverse(u16),
}

/// What a record says in a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// Of [`Kind::Text`].
    Text(Cow<'a, str>),
    /// Of [`Kind::Code`].
    Code {
        /// What people call it.
        name: Cow<'a, str>,
        /// What the standard calls it.
        number: u8,
    },
    /// Of [`Kind::Texts`].
    Texts(&'a [Box<str>]),
    /// Of [`Kind::Unsigned`].
    Number(u64),
    /// Of [`Kind::Numbers`].
    Numbers(&'a [u16]),
    /// Of [`Kind::WideNumbers`].
    WideNumbers(&'a [u32]),
    /// Of [`Kind::Flag`].
    Flag,
    /// Of [`Kind::Time`].
    Time(Timestamp),
    /// Of [`Kind::Address`].
    Address(IpAddr),
}

impl<'a> Value<'a> {
    /// A text.
    pub fn text(text: impl Into<Cow<'a, str>>) -> Self {
        Self::Text(text.into())
    }

    /// Whether it is of this kind.
    pub const fn is_of(&self, kind: Kind) -> bool {
        match (self, kind) {
            (Self::Number(number), Kind::Unsigned(bits)) => bits >= 64 || *number < 1 << bits,
            (Self::Text(_), Kind::Text)
            | (Self::Code { .. }, Kind::Code)
            | (Self::Texts(_), Kind::Texts)
            | (Self::Numbers(_), Kind::Numbers)
            | (Self::WideNumbers(_), Kind::WideNumbers)
            | (Self::Flag, Kind::Flag)
            | (Self::Time(_), Kind::Time)
            | (Self::Address(_), Kind::Address) => true,
            _ => false,
        }
    }
}

/// As it stands in a text, of many things one behind the other: texts with `;` between them, numbers with
/// `.`, a flag as `true`, a time as RFC 3339 has it.
impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) | Self::Code { name: text, .. } => f.write_str(text),
            Self::Texts(texts) => f.write_str(&texts.join(";")),
            Self::Number(number) => number.fmt(f),
            Self::Numbers(numbers) => list(numbers, f),
            Self::WideNumbers(numbers) => list(numbers, f),
            Self::Flag => f.write_str("true"),
            Self::Time(time) => time.fmt(f),
            Self::Address(address) => address.fmt(f),
        }
    }
}

/// Numbers with a dot between them.
fn list(numbers: &[impl fmt::Display], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (place, number) in numbers.iter().enumerate() {
        let between = if place > 0 { "." } else { "" };
        write!(f, "{between}{number}")?;
    }
    Ok(())
}

/// What an encoder sees of a record: its fields in the order of their table.
pub trait Record {
    /// Its fields.
    fn columns() -> impl Iterator<Item = &'static Column>;

    /// Its fields with what it says in them.
    fn values(&self) -> impl Iterator<Item = (&'static Column, Option<Value<'_>>)> {
        let columns = Self::columns().enumerate();
        columns.map(|(place, column)| (column, self.value(place)))
    }

    /// What it says in the field at this place of its table.
    fn value(&self, place: usize) -> Option<Value<'_>>;

    /// The application that names it, if one does.
    fn app(&self) -> Option<&App> {
        None
    }
}

impl Column {
    /// A field that some records have.
    pub(super) const fn new(name: &'static str, kind: Kind, meaning: &'static str) -> Self {
        Self {
            name,
            object: None,
            kind,
            unit: "",
            element: Element::None,
            required: false,
            meaning,
        }
    }

    /// Every record has it.
    pub(super) const fn required(self) -> Self {
        Self {
            required: true,
            ..self
        }
    }

    /// Its numbers count these.
    pub(super) const fn unit(self, unit: &'static str) -> Self {
        Self { unit, ..self }
    }

    /// The information element of this number carries it.
    pub(super) const fn ipfix(self, number: u16) -> Self {
        self.element(Element::Number(number))
    }

    pub(super) const fn element(self, element: Element) -> Self {
        Self { element, ..self }
    }

    /// It is a member of this object.
    pub(super) const fn object(self, object: &'static str) -> Self {
        Self {
            object: Some(object),
            ..self
        }
    }

    /// Read from a record so.
    pub(super) const fn read<G>(self, get: G) -> Field<G> {
        Field { column: self, get }
    }
}
