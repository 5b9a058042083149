//! What a live run says of itself, when it begins and when it ends, and the table of its fields.

use std::sync::Arc;

use super::Kind::{Text, Texts, Time, Unsigned};
use super::{Column, Field, Record, Value};
use crate::signature::SignatureSet;
use crate::time::{IntervalLength, Timestamp};

/// A live run, as it begins or has ended.
#[derive(Clone, Debug)]
pub struct RunRecord {
    /// When it began, by which its usage records name it.
    pub run: Timestamp,
    /// The interfaces it listens to.
    pub interfaces: Arc<[Box<str>]>,
    /// Length of its intervals.
    pub interval: Option<IntervalLength>,
    /// The rules in use.
    pub set: Arc<SignatureSet>,
    /// What there was, once it has ended.
    pub end: Option<RunEnd>,
}

/// What a run says at its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RunEnd {
    /// When that was.
    pub at: Timestamp,
    /// Intervals of this output, which are numbered from 0 on.
    pub intervals: u64,
    /// Frames that were captured.
    pub packets: u64,
    /// And their bytes.
    pub bytes: u64,
    /// Frames that were lost before they could be counted: by the kernel or the interface.
    pub packets_lost: u64,
}

/// Reads a field of a run record.
pub type Get = for<'r> fn(&'r RunRecord) -> Option<Value<'r>>;

/// The fields of a run record, in their order.
pub static FIELDS: &[Field<Get>] = &[
    Column::new(
        "timestamp",
        Time,
        "when it began; of the second record, when it ended",
    )
    .required()
    .ipfix(323)
    .read(|record| Some(Value::Time(record.end.map_or(record.run, |end| end.at)))),
    Column::new("event_type", Text, "`run`")
        .required()
        .read(|_| Some(Value::text("run"))),
    Column::new("run", Time, "when it began, as in its usage records")
        .required()
        .ipfix(160)
        .read(|record| Some(Value::Time(record.run))),
    Column::new(
        "state",
        Text,
        "`started` or `ended`; a run that was killed has no record of its end",
    )
    .required()
    .read(|record| {
        let has_ended = record.end.is_some();
        Some(Value::text(if has_ended { "ended" } else { "started" }))
    }),
    Column::new("version", Text, "of ottometer")
        .required()
        .read(|_| Some(Value::text(env!("CARGO_PKG_VERSION")))),
    Column::new("interfaces", Texts, "the interfaces it listens to")
        .read(|record| (!record.interfaces.is_empty()).then(|| Value::Texts(&record.interfaces))),
    Column::new(
        "interval",
        Unsigned(64),
        "length of an interval, if all have the same",
    )
    .unit("nanoseconds")
    .read(|record| match record.interval.as_ref()? {
        IntervalLength::Fixed(length) => Some(Value::Number(
            u64::try_from(length.as_nanos()).unwrap_or(u64::MAX),
        )),
        IntervalLength::Calendar(..) => None,
    }),
    Column::new(
        "calendar",
        Text,
        "`day`, `week` or `month`, if that is what intervals are",
    )
    .read(|record| match record.interval.as_ref()? {
        IntervalLength::Fixed(_) => None,
        IntervalLength::Calendar(unit, _) => Some(Value::text(unit.slug())),
    }),
    Column::new(
        "time_zone",
        Text,
        "where these begin, by its name in the IANA database",
    )
    .read(|record| match record.interval.as_ref()? {
        IntervalLength::Fixed(_) => None,
        IntervalLength::Calendar(_, zone) => Some(Value::text(zone.name())),
    }),
    Column::new("signature_set", Text, "SHA-256 of the rules in use")
        .required()
        .read(|record| Some(Value::text(record.set.hash()))),
    Column::new(
        "intervals",
        Unsigned(64),
        "intervals of this output, which are numbered from 0 on; at the end",
    )
    .read(|record| Some(Value::Number(record.end?.intervals))),
    Column::new(
        "captured_packets",
        Unsigned(64),
        "frames captured; at the end",
    )
    .unit("packets")
    .ipfix(86)
    .read(|record| Some(Value::Number(record.end?.packets))),
    Column::new(
        "captured_bytes",
        Unsigned(64),
        "their bytes, as on the wire; at the end",
    )
    .unit("octets")
    .ipfix(353)
    .read(|record| Some(Value::Number(record.end?.bytes))),
    Column::new(
        "lost_packets",
        Unsigned(64),
        "frames that the kernel or an interface dropped, which nobody can name; at the end",
    )
    .unit("packets")
    .ipfix(164)
    .read(|record| Some(Value::Number(record.end?.packets_lost))),
];

impl Record for RunRecord {
    fn columns() -> impl Iterator<Item = &'static Column> {
        FIELDS.iter().map(|field| &field.column)
    }

    fn value(&self, place: usize) -> Option<Value<'_>> {
        (FIELDS.get(place)?.get)(self)
    }
}
