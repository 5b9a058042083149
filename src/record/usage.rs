//! Volume of an interval under one name in one direction, and the table of its fields.

use std::sync::Arc;

use super::Kind::{Code, Text, Time, Unsigned};
use super::{Column, Field, Record, Value};
use crate::app::{App, Service};
use crate::capture::Interfaces;
use crate::classify::UnknownReason;
use crate::flow::Counters;
use crate::signature::SignatureSet;
use crate::time::{IntervalLength, Timestamp};
use crate::usage::{CellKey, Cells, Closed, Totals};
use crate::verdict::Evidence;

/// What usage records say of the intervals they are of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intervals {
    /// Length of each, and where they begin.
    pub length: IntervalLength,
    /// When the run began: with the sequence number it names an interval uniquely. Not when
    /// reading captures, where the same input gives the same records.
    pub run: Option<Timestamp>,
    /// Names of the interfaces.
    pub interfaces: Arc<Interfaces>,
}

/// What all usage records of an interval say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval {
    /// Its first moment.
    pub start: Timestamp,
    /// The first moment after it.
    pub end: Timestamp,
    /// From when on the run saw it.
    pub covered_from: Timestamp,
    /// Up to when.
    pub covered_until: Timestamp,
    /// When the run began, if that is said.
    pub run: Option<Timestamp>,
    /// Its number in its run, from 0.
    pub sequence: u64,
    /// Records it has.
    pub records: usize,
}

impl Interval {
    /// What the records of `closed` say, of which each cell has a pair.
    pub fn new(closed: &Closed, sequence: u64, of: &Intervals) -> Self {
        Self {
            start: closed.start,
            end: of.length.around(closed.start).1,
            covered_from: closed.covered_from,
            covered_until: closed.covered_until,
            run: of.run,
            sequence,
            records: usage_records(&closed.cells),
        }
    }
}

/// Usage records of a cell.
const DIRECTIONS: usize = 2;

/// Usage records of an interval.
pub(crate) fn usage_records(cells: &Cells) -> usize {
    cells.len() * DIRECTIONS
}

/// One cell of an interval, one direction.
#[derive(Debug)]
pub struct UsageRecord<'r> {
    /// The interval.
    pub interval: &'r Interval,
    /// What the volume is counted under.
    pub key: CellKey,
    /// The interface, where they are kept apart.
    pub interface: Option<&'r str>,
    /// `toserver` or `toclient`; of a subject `up` or `down`.
    pub direction: &'static str,
    /// What was sent in this direction.
    pub counters: Counters,
    /// Flows that settled, counted once, with what the client sent.
    pub flows: u64,
    app: Option<&'r App>,
    set: &'r SignatureSet,
}

/// Reads a field of a usage record.
pub type Get = for<'r> fn(&UsageRecord<'r>) -> Option<Value<'r>>;

/// The fields of a usage record, in their order.
pub static FIELDS: &[Field<Get>] = &[
    Column::new(
        "timestamp",
        Time,
        "the interval begins: at a multiple of its length since 1970 (UTC), so `5m` begins at minutes \
         0, 5, 10, ...; days, weeks and months begin at midnight, on Mondays, on the first of \
         the month in the time zone of the run",
    )
    .required()
    .ipfix(156)
    .read(|record| Some(Value::Time(record.interval.start))),
    Column::new("event_type", Text, "`usage`")
        .required()
        .read(|_| Some(Value::text("usage"))),
    Column::new(
        "end",
        Time,
        "the interval goes up to but not with this time",
    )
    .required()
    .ipfix(157)
    .read(|record| Some(Value::Time(record.interval.end))),
    Column::new(
        "covered_from",
        Time,
        "from when on the run saw the interval: later than `timestamp` where the run, or the capture, \
         began in it, and earlier where volume of an interval before could not be written in time",
    )
    .required()
    .read(|record| Some(Value::Time(record.interval.covered_from))),
    Column::new(
        "covered_until",
        Time,
        "up to when: `end`, but earlier where the run ended in it, or the clock was set back; the last \
         frame of a capture",
    )
    .required()
    .read(|record| Some(Value::Time(record.interval.covered_until))),
    Column::new("run", Time, "when the run began; only of live runs")
        .read(|record| record.interval.run.map(Value::Time)),
    Column::new(
        "sequence",
        Unsigned(64),
        "number of the interval in its run, from 0. An interval without traffic has no \
         records and no number",
    )
    .required()
    .read(|record| Some(Value::Number(record.interval.sequence))),
    Column::new(
        "records",
        Unsigned(64),
        "how many records the interval has, this one included",
    )
    .required()
    .read(|record| Some(Value::Number(record.interval.records as u64))),
    Column::new(
        "subject",
        Text,
        "whose volume it is, where subjects are kept apart: an address, a prefix, `other` or \
         `nobody`",
    )
    .ipfix(371)
    .read(|record| {
        record
            .key
            .subject
            .map(|subject| Value::text(subject.to_string()))
    }),
    Column::new(
        "interface",
        Text,
        "the interface by which the flows' first frames came in, where interfaces are kept apart; \
         named as in flow records",
    )
    .ipfix(82)
    .read(|record| record.interface.map(Value::text)),
    Column::new("app", Text, "as in flow records")
        .ipfix(96)
        .read(|record| record.app.map(|app| Value::text(&*app.name))),
    Column::new("app_id", Unsigned(32), "as in flow records")
        .ipfix(95)
        .read(|record| record.app.map(|app| Value::Number(app.id.into()))),
    Column::new("service", Text, "as in flow records")
        .read(|record| record.key.service.map(Service::slug).map(Value::text)),
    Column::new("app_proto", Text, "as in flow records").read(|record| record.protocol()),
    Column::new("category", Text, "as in flow records")
        .ipfix(372)
        .read(|record| record.app.map(|app| Value::text(&*app.category))),
    Column::new("evidence", Text, "as in flow records")
        .read(|record| record.key.evidence.map(Evidence::slug).map(Value::text)),
    Column::new("unknown", Text, "as in flow records")
        .read(|record| record.key.unknown.map(UnknownReason::slug).map(Value::text)),
    Column::new(
        "direction",
        Code,
        "`toserver` or `toclient`; of a subject `up` (sent by it) or `down` (to it)",
    )
    .required()
    .ipfix(239)
    .read(|record| Some(record.direction())),
    Column::new("packets", Unsigned(64), "captured frames")
        .required()
        .unit("packets")
        .ipfix(2)
        .read(|record| Some(Value::Number(record.counters.packets))),
    Column::new(
        "bytes",
        Unsigned(64),
        "bytes of whole frames as on the wire",
    )
    .required()
    .unit("octets")
    .ipfix(352)
    .read(|record| Some(Value::Number(record.counters.bytes))),
    Column::new(
        "ip_bytes",
        Unsigned(64),
        "bytes of the innermost IP packets: what is rated",
    )
    .required()
    .unit("octets")
    .ipfix(1)
    .read(|record| Some(Value::Number(record.counters.ip_bytes))),
    Column::new(
        "flows",
        Unsigned(64),
        "flows that settled, counted once, in the `toserver` or `up` record",
    )
    .required()
    .unit("flows")
    .ipfix(3)
    .read(|record| Some(Value::Number(record.flows))),
    Column::new("signature_set", Text, "SHA-256 of the rules in use")
        .required()
        .read(|record| Some(Value::text(record.set.hash()))),
];

impl<'r> UsageRecord<'r> {
    /// The records of an interval, named by `set` and `interfaces`.
    pub fn all(
        interval: &'r Interval,
        cells: &'r Cells,
        set: &'r SignatureSet,
        interfaces: &'r Interfaces,
    ) -> impl Iterator<Item = Self> {
        cells
            .iter()
            .flat_map(move |(key, totals)| Self::of(interval, key, totals, (set, interfaces)))
    }

    fn of(
        interval: &'r Interval,
        key: &CellKey,
        totals: &Totals,
        (set, interfaces): (&'r SignatureSet, &'r Interfaces),
    ) -> [Self; DIRECTIONS] {
        let app = key.app.and_then(|id| set.catalog().app(id));
        let half = |direction, counters, flows| Self {
            interval,
            key: *key,
            interface: key.interface.map(|id| interfaces.name(id)),
            direction,
            counters,
            flows,
            app,
            set,
        };
        // Of a subject, what it sent stands as the client's.
        let [sent, got] = match key.subject {
            Some(_) => ["up", "down"],
            None => ["toserver", "toclient"],
        };
        [
            half(sent, totals.sides.client, totals.flows),
            half(got, totals.sides.server, 0),
        ]
    }

    fn direction(&self) -> Value<'r> {
        // biflowDirection (RFC 5103, section 6.3): the source is who began it, or is not.
        let number = if matches!(self.direction, "toserver" | "up") {
            1
        } else {
            2
        };
        Value::Code {
            name: self.direction.into(),
            number,
        }
    }

    fn protocol(&self) -> Option<Value<'r>> {
        let proto = self.key.proto?;
        Some(Value::text(self.set.catalog().protocol_name(proto)))
    }
}

impl Record for UsageRecord<'_> {
    fn columns() -> impl Iterator<Item = &'static Column> {
        FIELDS.iter().map(|field| &field.column)
    }

    fn value(&self, place: usize) -> Option<Value<'_>> {
        (FIELDS.get(place)?.get)(self)
    }

    fn app(&self) -> Option<&App> {
        self.app
    }
}
