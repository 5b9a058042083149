//! Parquet files: a column a field, in the order of their table, compressed by zstd.
//!
//! Records are gathered in row groups: a group ends when it is full, or when a record is of another hour,
//! so that who asks for a time reads few of them. A file is readable once its end is written.

use std::fmt;
use std::io;
use std::sync::Arc;

use parquet::basic::{Compression, LogicalType, Repetition, TimeUnit, Type as Physical, ZstdLevel};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, Int32Type, Int64Type};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::types::{Type, TypePtr};

use super::Encode;
use super::json::Json;
use crate::record::{Column, FlowView, Kind, Record, Records, RunRecord, UsageRecord, Value};
use crate::time::Timestamp;

/// Records of a row group: what is held in memory at most.
const ROWS: usize = 1 << 14;
/// A row group is of one such stretch of time.
const HOUR: u64 = 3_600_000_000_000;

/// Writes files as a whole.
pub struct Parquet {
    schema: TypePtr,
    columns: Vec<Cells>,
    rows: usize,
    /// The hour, since 1970, that the rows are of.
    hour: u64,
    /// The file that is made; what of it is not given out yet is in its buffer.
    file: Option<SerializedFileWriter<Vec<u8>>>,
    /// What the run said when it began, for the end of each file.
    started: Option<String>,
    /// What it said when it ended, for the end of the last one.
    ended: Option<String>,
}

/// The names in a file's metadata of what a run says: records as JSON has them.
const STARTED: &str = "ottometer.run.started";
const ENDED: &str = "ottometer.run.ended";

impl fmt::Debug for Parquet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parquet")
            .field("rows", &self.rows)
            .field("begun", &self.file.is_some())
            .finish_non_exhaustive()
    }
}

impl Encode for Parquet {
    fn flow(&mut self, record: &FlowView<'_>, out: &mut Vec<u8>) -> io::Result<()> {
        self.row(record, record.record().last, out)
    }

    fn usage(&mut self, record: &UsageRecord<'_>, out: &mut Vec<u8>) -> io::Result<()> {
        self.row(record, record.interval.start, out)
    }

    fn run(&mut self, record: &RunRecord, _: &mut Vec<u8>) -> io::Result<()> {
        let mut line = Vec::new();
        Json.run(record, &mut line)?;
        let said = String::from_utf8(line).map_err(io::Error::other)?;
        let said = Some(said.trim_end().to_owned());
        match record.end {
            None => self.started = said,
            Some(_) => self.ended = said,
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        self.end_group(out)?;
        if self.ended.is_some() {
            // Without any rows, if there have been none since the file before.
            self.begin().map_err(io::Error::other)?;
        }
        if let Some(mut file) = self.file.take() {
            for (name, said) in [(STARTED, self.started.clone()), (ENDED, self.ended.take())] {
                if said.is_some() {
                    file.append_key_value_metadata(KeyValue::new(name.to_owned(), said));
                }
            }
            out.extend(file.into_inner().map_err(io::Error::other)?);
        }
        Ok(())
    }

    fn held(&self) -> u64 {
        self.rows as u64 + u64::from(self.ended.is_some())
    }
}

impl Parquet {
    /// For records of this kind.
    pub fn new(records: Records) -> Self {
        let columns: Vec<&Column> = match records {
            Records::Flows => FlowView::columns().collect(),
            Records::Usage => UsageRecord::columns().collect(),
        };
        Self {
            schema: Arc::new(schema(records.slug(), &columns).unwrap_or_else(|error| {
                // The tables of fields are fixed, and a test has made a schema of each.
                unreachable!("{error}")
            })),
            columns: columns.into_iter().map(Cells::of).collect(),
            rows: 0,
            hour: 0,
            file: None,
            started: None,
            ended: None,
        }
    }

    fn row(&mut self, record: &impl Record, at: Timestamp, out: &mut Vec<u8>) -> io::Result<()> {
        let hour = at.0 / HOUR;
        if self.rows >= ROWS || (self.rows > 0 && hour != self.hour) {
            self.end_group(out)?;
        }
        self.hour = hour;
        for (cells, (_, value)) in self.columns.iter_mut().zip(record.values()) {
            cells.push(value);
        }
        self.rows += 1;
        Ok(())
    }

    /// Writes the row group, if there is one, and gives out what is made of the file.
    fn end_group(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        if self.rows > 0 {
            self.write_group().map_err(io::Error::other)?;
        }
        if let Some(file) = &mut self.file {
            file.flush()?;
            out.append(file.inner_mut());
        }
        Ok(())
    }

    /// Begins a file, unless one is begun.
    fn begin(&mut self) -> Result<()> {
        if self.file.is_none() {
            let properties = WriterProperties::builder()
                .set_compression(Compression::ZSTD(ZstdLevel::default()))
                .set_created_by(concat!("ottometer ", env!("CARGO_PKG_VERSION")).to_owned())
                .build();
            let schema = Arc::clone(&self.schema);
            let file = SerializedFileWriter::new(Vec::new(), schema, Arc::new(properties))?;
            self.file = Some(file);
        }
        Ok(())
    }

    fn write_group(&mut self) -> Result<()> {
        self.begin()?;
        let Some(file) = &mut self.file else {
            return Ok(());
        };
        let mut group = file.next_row_group()?;
        for cells in &mut self.columns {
            let missing = || ParquetError::General("a column is missing".to_owned());
            let mut column = group.next_column()?.ok_or_else(missing)?;
            cells.write(&mut column)?;
            column.close()?;
        }
        group.close()?;
        self.rows = 0;
        Ok(())
    }
}

/// The values of a column in a row group, with the levels that say which rows have one.
struct Cells {
    values: Values,
    required: bool,
    definition: Vec<i16>,
    /// Of a list: whether a value goes on with it.
    repetition: Option<Vec<i16>>,
}

enum Values {
    Flags(Vec<bool>),
    Narrow(Vec<i32>),
    Wide(Vec<i64>),
    Texts(Vec<ByteArray>),
}

/// The levels of a list's value, and of one that is not in a list.
const IN_LIST: i16 = 2;
const ALONE: i16 = 1;

impl Cells {
    fn of(column: &Column) -> Self {
        Self {
            values: match column.kind {
                Kind::Flag => Values::Flags(Vec::new()),
                Kind::Unsigned(64) | Kind::Time => Values::Wide(Vec::new()),
                Kind::Unsigned(_) | Kind::Numbers | Kind::WideNumbers => Values::Narrow(Vec::new()),
                Kind::Text | Kind::Code | Kind::Texts | Kind::Address => Values::Texts(Vec::new()),
            },
            required: column.required,
            definition: Vec::new(),
            repetition: is_list(column).then(Vec::new),
        }
    }

    fn push(&mut self, value: Option<Value<'_>>) {
        let mut count = 1;
        match (&mut self.values, value) {
            (Values::Flags(all), Some(_)) => all.push(true),
            (Values::Wide(all), Some(Value::Number(number))) => all.push(number.cast_signed()),
            (Values::Wide(all), Some(Value::Time(time))) => all.push(time.0.cast_signed()),
            (Values::Narrow(all), Some(Value::Number(number))) => {
                all.push(u32::try_from(number).unwrap_or(u32::MAX).cast_signed());
            }
            (Values::Narrow(all), Some(Value::Numbers(numbers))) => {
                count = numbers.len();
                all.extend(numbers.iter().map(|&number| i32::from(number)));
            }
            (Values::Narrow(all), Some(Value::WideNumbers(numbers))) => {
                count = numbers.len();
                all.extend(numbers.iter().map(|&number| number.cast_signed()));
            }
            (Values::Texts(all), Some(Value::Texts(texts))) => {
                count = texts.len();
                all.extend(texts.iter().map(|text| ByteArray::from(&**text)));
            }
            (Values::Texts(all), Some(value)) => {
                all.push(ByteArray::from(value.to_string().into_bytes()));
            }
            _ => count = 0,
        }
        match &mut self.repetition {
            None if count == 0 => self.definition.push(0),
            None => self.definition.push(ALONE),
            Some(repetition) => {
                repetition.extend((0..count.max(1)).map(|place| i16::from(place > 0)));
                let level = if count == 0 { 0 } else { IN_LIST };
                self.definition.extend((0..count.max(1)).map(|_| level));
            }
        }
    }

    /// Writes what there is, and begins anew.
    fn write(&mut self, column: &mut SerializedColumnWriter<'_>) -> Result<()> {
        let definition = (!self.required).then_some(self.definition.as_slice());
        let repetition = self.repetition.as_deref();
        match &self.values {
            Values::Flags(all) => column
                .typed::<BoolType>()
                .write_batch(all, definition, repetition),
            Values::Narrow(all) => column
                .typed::<Int32Type>()
                .write_batch(all, definition, repetition),
            Values::Wide(all) => column
                .typed::<Int64Type>()
                .write_batch(all, definition, repetition),
            Values::Texts(all) => column
                .typed::<ByteArrayType>()
                .write_batch(all, definition, repetition),
        }?;
        match &mut self.values {
            Values::Flags(all) => all.clear(),
            Values::Narrow(all) => all.clear(),
            Values::Wide(all) => all.clear(),
            Values::Texts(all) => all.clear(),
        }
        self.definition.clear();
        if let Some(repetition) = &mut self.repetition {
            repetition.clear();
        }
        Ok(())
    }
}

const fn is_list(column: &Column) -> bool {
    matches!(column.kind, Kind::Texts | Kind::Numbers | Kind::WideNumbers)
}

fn schema(name: &str, columns: &[&Column]) -> Result<Type> {
    let fields = columns.iter().map(|column| field(column).map(Arc::new));
    let fields = fields.collect::<Result<Vec<_>>>()?;
    Type::group_type_builder(name).with_fields(fields).build()
}

fn field(column: &Column) -> Result<Type> {
    let (physical, logical) = match column.kind {
        Kind::Flag => (Physical::BOOLEAN, None),
        Kind::Unsigned(64) => (Physical::INT64, Some(LogicalType::integer(64, false))),
        Kind::Unsigned(bits) => {
            let bits = i8::try_from(bits).unwrap_or(32);
            (Physical::INT32, Some(LogicalType::integer(bits, false)))
        }
        Kind::Numbers => (Physical::INT32, Some(LogicalType::integer(16, false))),
        Kind::WideNumbers => (Physical::INT32, Some(LogicalType::integer(32, false))),
        Kind::Time => {
            let nanoseconds = LogicalType::timestamp(true, TimeUnit::NANOS);
            (Physical::INT64, Some(nanoseconds))
        }
        Kind::Text | Kind::Code | Kind::Texts | Kind::Address => {
            (Physical::BYTE_ARRAY, Some(LogicalType::String))
        }
    };
    let one = |name: &str, repetition| {
        Type::primitive_type_builder(name, physical)
            .with_logical_type(logical.clone())
            .with_repetition(repetition)
            .build()
    };
    if !is_list(column) {
        let repetition = match column.required {
            true => Repetition::REQUIRED,
            false => Repetition::OPTIONAL,
        };
        return one(column.name, repetition);
    }
    // "Lists" of LogicalTypes.md of the format.
    let group = |name: &str, of: Type, repetition, logical| {
        Type::group_type_builder(name)
            .with_fields(vec![Arc::new(of)])
            .with_repetition(repetition)
            .with_logical_type(logical)
            .build()
    };
    let element = one("element", Repetition::REQUIRED)?;
    let list = group("list", element, Repetition::REPEATED, None)?;
    group(
        column.name,
        list,
        Repetition::OPTIONAL,
        Some(LogicalType::List),
    )
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::record::{Field, RowAccessor};

    use super::*;
    use crate::capture::Interfaces;
    use crate::record::samples;
    use crate::signature::SignatureSet;

    #[test]
    fn flows_come_back() {
        let set = SignatureSet::builtin();
        let [sparse, full] = [samples::sparse(), samples::full(&set, "微 text")];
        let mut parquet = Parquet::new(Records::Flows);
        // Two files, one after the other.
        for _ in 0..2 {
            let mut out = Vec::new();
            let mut later = sparse.clone();
            later.last = Timestamp(later.last.0 + HOUR);
            let records: Vec<_> = [&sparse, &full]
                .into_iter()
                .cycle()
                .take(ROWS + 3)
                .collect();
            for record in records.iter().copied().chain([&later]) {
                parquet
                    .flow(&FlowView::new(record, &set), &mut out)
                    .unwrap();
            }
            assert_eq!(parquet.held(), 1);
            parquet.finish(&mut out).unwrap();
            assert_eq!(parquet.held(), 0);
            let reader = SerializedFileReader::new(Bytes::from(out)).unwrap();
            let groups = reader.metadata().row_groups().iter();
            let rows: Vec<i64> = groups.map(|group| group.num_rows()).collect();
            assert_eq!(
                rows,
                [ROWS as i64, 3, 1],
                "full, of the hour, and the next hour's"
            );
            let place = |name| {
                FlowView::columns()
                    .position(|one| one.name == name)
                    .unwrap()
            };
            for (number, row) in reader.get_row_iter(None).unwrap().enumerate() {
                let row = row.unwrap();
                let record = if number == ROWS + 3 {
                    &later
                } else {
                    records[number]
                };
                let view = FlowView::new(record, &set);
                for (place, (column, value)) in view.values().enumerate() {
                    let (_, found) = row.get_column_iter().nth(place).unwrap();
                    assert_eq!(*found == Field::Null, value.is_none(), "{}", column.name);
                    if let Some(Value::Text(text)) = &value {
                        assert_eq!(*found, Field::Str(text.clone().into_owned()));
                    }
                }
                assert_eq!(row.get_ulong(place("flow_id")).unwrap(), record.flow_id);
                let bytes = row.get_ulong(place("bytes_toclient")).unwrap();
                assert_eq!(bytes, record.counters.server.bytes);
            }
        }
    }

    /// Each file says which run it is of, and the last one that the run has ended.
    #[test]
    fn a_run_is_told_in_the_metadata() {
        let set = SignatureSet::builtin();
        let cells = samples::cells(&set);
        let interval = samples::interval(&cells, None);
        let mut run = RunRecord {
            run: Timestamp::new(120, 0),
            interfaces: [Box::from("eth0")].into(),
            interval: None,
            set: SignatureSet::default().into(),
            end: None,
        };
        let mut parquet = Parquet::new(Records::Usage);
        parquet.run(&run, &mut Vec::new()).unwrap();
        let mut said = Vec::new();
        for (rows, ends) in [(true, false), (true, true), (false, true), (false, false)] {
            let mut out = Vec::new();
            if rows {
                for record in UsageRecord::all(&interval, &cells, &set, &Interfaces::default()) {
                    parquet.usage(&record, &mut out).unwrap();
                }
            }
            if ends {
                run.end = Some(crate::record::RunEnd::default());
                parquet.run(&run, &mut out).unwrap();
            }
            parquet.finish(&mut out).unwrap();
            assert_eq!(parquet.held(), 0);
            if out.is_empty() {
                said.push((0, Vec::new()));
                continue;
            }
            let reader = SerializedFileReader::new(Bytes::from(out)).unwrap();
            let file = reader.metadata().file_metadata();
            let states = file.key_value_metadata().unwrap().iter().map(|said| {
                let record: serde_json::Value =
                    serde_json::from_str(said.value.as_deref().unwrap()).unwrap();
                assert_eq!(record["run"], "1970-01-01T00:02:00.000000000Z");
                record["state"].as_str().unwrap().to_owned()
            });
            said.push((file.num_rows(), states.collect::<Vec<_>>()));
        }
        let states = |states: &[&str]| states.iter().map(ToString::to_string).collect();
        assert_eq!(
            said,
            [
                (4, states(&["started"])),
                (4, states(&["started", "ended"])),
                (0, states(&["started", "ended"])),
                (0, states(&[])),
            ]
        );
    }

    #[test]
    fn usage_comes_back() {
        let set = SignatureSet::builtin();
        let cells = samples::cells(&set);
        let interval = samples::interval(&cells, None);
        let (mut parquet, mut out) = (Parquet::new(Records::Usage), Vec::new());
        for record in samples::usage(&interval, &cells, &set) {
            parquet.usage(&record, &mut out).unwrap();
        }
        parquet.finish(&mut out).unwrap();
        let reader = SerializedFileReader::new(Bytes::from(out)).unwrap();
        let place = UsageRecord::columns()
            .position(|one| one.name == "bytes")
            .unwrap();
        let rows = reader.get_row_iter(None).unwrap();
        let bytes = rows.map(|row| row.unwrap().get_ulong(place).unwrap());
        assert_eq!(bytes.sum::<u64>(), 600);
    }
}
