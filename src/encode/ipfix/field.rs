//! Fields of records in information elements (RFC 7011, section 6), and what says how they are carried.

use std::net::IpAddr;

use crate::record::{Column, Element, Kind, Record, Value};
use crate::time::Timestamp;

/// A field of any length, section 7.
pub(super) const VARIABLE: u16 = u16::MAX;
/// The enterprise number of reverse elements (RFC 5103, section 6.1).
const REVERSE: u32 = 29_305;
/// applicationId, which is no number: an engine and what that calls the application (RFC 6759,
/// section 4).
pub(super) const APPLICATION_ID: u16 = 95;
/// The engine whose numbers the operator gives: "USER-Defined", section 4.1.
const USER_DEFINED: u8 = 6;
/// The elements of times in nanoseconds: flowStartNanoseconds and flowEndNanoseconds. All others are
/// in milliseconds.
const NANOSECONDS: [u16; 2] = [156, 157];
/// From these to those in milliseconds: flowStartMilliseconds (152) and flowEndMilliseconds. Many
/// collectors read only these.
const TO_MILLISECONDS: u16 = 4;
/// Bytes of a text; what goes beyond is cut off. A message is to fit the smallest MTU of IPv6.
pub(super) const LONGEST_TEXT: usize = 512;
/// From the epoch of NTP to that of Unix, in seconds (RFC 7011, section 6.1.9).
pub(super) const NTP_TO_UNIX: u64 = 2_208_988_800;

/// A field specifier (RFC 7011, section 3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Specifier {
    pub(super) number: u16,
    pub(super) length: u16,
    pub(super) enterprise: Option<u32>,
}

/// Appends the fields of a record that have an information element, and what it says in them.
pub(super) fn carry(
    record: &impl Record,
    is_v6: bool,
    fields: &mut Vec<Specifier>,
    data: &mut Vec<u8>,
) {
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

/// An application as IPFIX calls it: ids need three bytes, and the engine goes before them.
pub(super) const fn application_id(id: u32) -> [u8; 4] {
    let [_, high, middle, low] = id.to_be_bytes();
    [USER_DEFINED, high, middle, low]
}

impl Specifier {
    /// Of one of IANA's elements.
    pub(super) const fn plain(number: u16, length: u16) -> Self {
        Self {
            number,
            length,
            enterprise: None,
        }
    }

    /// Appends it.
    pub(super) fn put(&self, out: &mut Vec<u8>) {
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
pub(super) fn ntp(time: Timestamp) -> u64 {
    let nanos = time.0;
    let seconds = (nanos / 1_000_000_000).wrapping_add(NTP_TO_UNIX) & u64::from(u32::MAX);
    let fraction = ((nanos % 1_000_000_000) << 32).div_ceil(1_000_000_000);
    (seconds << 32) | fraction
}
