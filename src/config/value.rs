//! Values of settings as people write them: `"64MiB"`, `"5m"`, `"127.0.0.1:9464"`, `"inner"`.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use clap::ValueEnum;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};

use super::closest::{closest, did_you_mean};
use crate::time::{IntervalLength, Unit, Zone};
use crate::view::number;

/// Bytes: a number, or a number with a unit in quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size(pub u64);

/// Units, longest first where one ends with another.
const UNITS: &[(&str, u64)] = &[
    ("kib", 1 << 10),
    ("mib", 1 << 20),
    ("gib", 1 << 30),
    ("tib", 1 << 40),
    ("kb", 1_000),
    ("mb", 1_000_000),
    ("gb", 1_000_000_000),
    ("tb", 1_000_000_000_000),
    ("b", 1),
];

const SIZE: &str = "a size: bytes, or a whole number with a unit (64MiB, 512KiB, 1GB)";

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let lower = text.trim().to_ascii_lowercase();
        let unit = UNITS
            .iter()
            .find_map(|&(unit, bytes)| Some((lower.strip_suffix(unit)?, bytes)));
        let (number, unit) = unit.unwrap_or((&lower, 1));
        let number = number.trim_end().replace('_', "");
        // Not by `parse` alone: that takes a sign.
        let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        let size = number.parse::<u64>().ok().filter(|_| digits);
        size.and_then(|size| size.checked_mul(unit))
            .map(Self)
            .ok_or_else(|| format!("`{text}` is not {SIZE}"))
    }
}

/// As it is written.
impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&number::size(self.0))
    }
}

/// A length of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Period(pub Duration);

const PERIOD: &str = "a length of time with its unit (10s, 5m, 1h, 1h 30m, 1day)";

impl FromStr for Period {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        humantime::parse_duration(text)
            .map(Self)
            .map_err(|_| format!("`{text}` is not {PERIOD}"))
    }
}

/// As it is written.
impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&number::period(self.0))
    }
}

/// The length of intervals of usage: of time, or a unit of the calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Every {
    /// A length of time.
    Length(Duration),
    /// A day, a week or a month.
    Unit(Unit),
}

const EVERY: &str =
    "a length of time with its unit (10s, 5m, 1h), or 1d, 1w or 1month of the calendar";

impl Every {
    /// As intervals are reckoned with, the calendar's in this `zone`.
    pub fn length(self, zone: &Zone) -> IntervalLength {
        match self {
            Self::Length(length) => length.into(),
            Self::Unit(unit) => IntervalLength::Calendar(unit, zone.clone()),
        }
    }
}

impl FromStr for Every {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let unit = match text.trim() {
            "1d" | "1day" | "1 day" => Some(Unit::Day),
            "1w" | "1week" | "1 week" => Some(Unit::Week),
            "1month" | "1 month" => Some(Unit::Month),
            _ => None,
        };
        if let Some(unit) = unit {
            return Ok(Self::Unit(unit));
        }
        // What humantime calls a month or a year is none of the calendar.
        let is_calendar = ["month", "M", "y"].iter().any(|unit| text.contains(unit));
        let length = humantime::parse_duration(text).ok();
        length
            .filter(|_| !is_calendar)
            .map(Self::Length)
            .ok_or_else(|| format!("`{text}` is not {EVERY}"))
    }
}

/// A time zone of the IANA database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimeZone(pub Zone);

const TIME_ZONE: &str = "a time zone of the IANA database (UTC, Asia/Shanghai, Europe/Berlin)";

impl FromStr for TimeZone {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Zone::named(text).map(Self).ok_or_else(|| {
            let names = Zone::names();
            let meant = closest(text, names.iter().map(String::as_str));
            format!("`{text}` is not {TIME_ZONE}{}", did_you_mean(meant))
        })
    }
}

/// An address to listen on, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listen(pub Option<SocketAddr>);

const LISTEN: &str =
    "an address and a port (127.0.0.1:9464, [::1]:9464), or a port alone for loopback";

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Ok(Self(None));
        }
        let port = || {
            let port = text.parse().ok()?;
            Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port))
        };
        let address = text.parse().ok().or_else(port);
        match address {
            Some(address) => Ok(Self(Some(address))),
            None => Err(format!("`{text}` is not {LISTEN}")),
        }
    }
}

/// Reads a text, or a number where that says the same.
struct Text<T> {
    expected: &'static str,
    numbers: bool,
    made: std::marker::PhantomData<T>,
}

impl<T: FromStr<Err = String>> serde::de::Visitor<'_> for Text<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<T, E> {
        if self.numbers {
            number.to_string().parse().map_err(E::custom)
        } else {
            Err(E::invalid_type(
                serde::de::Unexpected::Signed(number),
                &self,
            ))
        }
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<T, E> {
        self.visit_i64(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

macro_rules! text {
    ($type:ident, $expected:ident, $numbers:literal, $schema:tt) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(Text {
                    expected: $expected,
                    numbers: $numbers,
                    made: std::marker::PhantomData,
                })
            }
        }

        impl JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    };
}

text!(Size, SIZE, true, {
    "description": SIZE,
    "anyOf": [
        { "type": "integer", "minimum": 0 },
        { "type": "string", "pattern": "^[0-9_]+ *([KMGTkmgt]?[Ii]?[Bb])?$" },
    ],
});
text!(Period, PERIOD, false, { "description": PERIOD, "type": "string" });
text!(Every, EVERY, false, { "description": EVERY, "type": "string" });
text!(TimeZone, TIME_ZONE, false, { "description": TIME_ZONE, "type": "string" });
text!(Listen, LISTEN, true, {
    "description": LISTEN,
    "anyOf": [
        { "type": "integer", "minimum": 0, "maximum": 65535 },
        { "type": "string" },
    ],
});

/// How frames are shared between threads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Steer {
    /// The kernel splits an interface's frames between the capture threads by their outer addresses.
    #[default]
    Fanout,
    /// One capture thread for each interface spreads frames over the workers by their innermost
    /// addresses: for links where all traffic is in one tunnel.
    Inner,
}

/// What keeps flows with the same endpoints apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Nothing: the same endpoints are one flow wherever they are seen.
    #[default]
    None,
    /// VLAN identifiers.
    Vlan,
    /// The identifier of the outermost tunnel (VNI, TEID, GRE key).
    Tunnel,
}

/// How rotated files are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Compress {
    /// They are not.
    None,
    /// `.gz`
    Gzip,
    /// `.zst`
    #[default]
    Zstd,
}

/// What the log holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// What failed.
    Error,
    /// And what an operator should look at.
    Warn,
    /// And what happens: start, reload, interfaces up and down, end.
    #[default]
    Info,
    /// And how it is done.
    Debug,
    /// All there is.
    Trace,
}

/// How the log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Lines for people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, expected) in [
            ("0", Some(0)),
            ("65536", Some(65_536)),
            ("1_000", Some(1000)),
            ("64MiB", Some(64 << 20)),
            ("64 mib", Some(64 << 20)),
            ("10MB", Some(10_000_000)),
            ("3 KB", Some(3000)),
            ("7B", Some(7)),
            ("2TiB", Some(2 << 40)),
            ("", None),
            ("MiB", None),
            ("-1", None),
            ("+1", None),
            ("1.5GiB", None),
            ("64M", None),
            ("64 apples", None),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
            ("17179869184GiB", None),
        ] {
            assert_eq!(text.parse().ok(), expected.map(Size), "{text}");
        }
    }

    #[test]
    fn intervals_and_zones() {
        let length = |seconds| Some(Every::Length(Duration::from_secs(seconds)));
        for (text, expected) in [
            ("60s", length(60)),
            ("24h", length(86_400)),
            ("7d", length(604_800)),
            ("1d", Some(Every::Unit(Unit::Day))),
            ("1day", Some(Every::Unit(Unit::Day))),
            ("1w", Some(Every::Unit(Unit::Week))),
            ("1month", Some(Every::Unit(Unit::Month))),
            ("2months", None),
            ("1M", None),
            ("1y", None),
            ("60", None),
        ] {
            assert_eq!(text.parse().ok(), expected, "{text}");
        }
        let refusal = "Asia/Shangai".parse::<TimeZone>().unwrap_err();
        assert!(
            refusal.ends_with("did you mean `Asia/Shanghai`?"),
            "{refusal}"
        );
        let zone: TimeZone = "asia/shanghai".parse().unwrap();
        assert_eq!(zone.0.name(), "Asia/Shanghai");
    }

    #[test]
    fn what_is_said_can_be_given() {
        for bytes in [0, 1, 1500, 65_536, 3 << 29, u64::MAX] {
            assert_eq!(Size(bytes).to_string().parse(), Ok(Size(bytes)));
        }
        for milliseconds in [0, 5, 1500, 300_000, 5_400_000, 86_400_000] {
            let period = Period(Duration::from_millis(milliseconds));
            assert_eq!(period.to_string().parse(), Ok(period));
        }
    }

    #[test]
    fn addresses() {
        for (text, expected) in [
            ("9464", Some("127.0.0.1:9464")),
            ("0.0.0.0:9464", Some("0.0.0.0:9464")),
            ("[::1]:1", Some("[::1]:1")),
            ("localhost:9464", None),
            ("127.0.0.1", None),
            ("70000", None),
        ] {
            let expected = expected.map(|text| Listen(Some(text.parse().unwrap())));
            assert_eq!(text.parse().ok(), expected, "{text}");
        }
        assert_eq!("".parse(), Ok(Listen(None)));
    }
}
