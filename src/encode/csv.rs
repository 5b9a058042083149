//! CSV (RFC 4180): a column a field, in the order of their table. A field without a value is empty.

use std::borrow::Cow;
use std::io::{self, Write};

use super::{Encode, line};
use crate::record::{FlowView, Record, Records, UsageRecord, Value};

/// Writes one record a line.
#[derive(Clone, Debug)]
pub struct Csv {
    header: Vec<u8>,
}

impl Csv {
    /// For records of this kind.
    pub fn new(records: Records) -> Self {
        let mut csv = Self { header: Vec::new() };
        match records {
            Records::Flows => header::<FlowView<'_>>(&mut csv.header),
            Records::Usage => header::<UsageRecord<'_>>(&mut csv.header),
        }
        csv
    }
}

impl Encode for Csv {
    fn head(&self) -> &[u8] {
        &self.header
    }

    fn flow(&mut self, record: &FlowView<'_>, out: &mut Vec<u8>) -> io::Result<()> {
        line::fitting(out, |without, out| row(record, without, out))
    }

    fn usage(&mut self, record: &UsageRecord<'_>, out: &mut Vec<u8>) -> io::Result<()> {
        row(record, &[], out)
    }
}

fn header<R: Record>(out: &mut Vec<u8>) {
    for (place, column) in R::columns().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        text(column.name, out);
    }
    out.push(b'\n');
}

/// A record without what it says in the fields of these names.
fn row(record: &impl Record, without: &[&str], out: &mut Vec<u8>) -> io::Result<()> {
    for (place, (column, value)) in record.values().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        match value.filter(|_| !without.contains(&column.name)) {
            Some(Value::Text(one) | Value::Code { name: one, .. }) => text(&one, out),
            Some(value @ Value::Texts(_)) => text(&value.to_string(), out),
            Some(value) => write!(out, "{value}")?,
            None => {}
        }
    }
    out.push(b'\n');
    Ok(())
}

/// A text, in quotes where it has to be (RFC 4180, section 2). A record shall be one line, so
/// line ends in it become blanks.
fn text(text: &str, out: &mut Vec<u8>) {
    const ENDS: [char; 3] = ['\n', '\r', '\0'];
    let text: Cow<'_, str> = if text.contains(ENDS) {
        text.replace(ENDS, " ").into()
    } else {
        text.into()
    };
    if !text.contains([',', '"']) {
        out.extend_from_slice(text.as_bytes());
        return;
    }
    out.push(b'"');
    out.extend_from_slice(text.replace('"', "\"\"").as_bytes());
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::record::samples;
    use crate::signature::SignatureSet;

    #[test]
    fn texts_are_quoted_where_they_must_be() {
        for (given, expected) in [
            ("plain", "plain"),
            ("", ""),
            ("a b", "a b"),
            ("a,b", "\"a,b\""),
            ("a\nb\r\nc", "a b  c"),
            ("a\"\n", "\"a\"\" \""),
        ] {
            let mut out = Vec::new();
            text(given, &mut out);
            assert_eq!(String::from_utf8_lossy(&out), expected);
        }
    }

    #[test]
    fn usage_rows_have_all_columns() {
        let set = SignatureSet::builtin();
        let cells = samples::cells(&set);
        let interval = samples::interval(&cells, None);
        let mut csv = Csv::new(Records::Usage);
        let mut out = csv.head().to_vec();
        for record in samples::usage(&interval, &cells, &set) {
            csv.usage(&record, &mut out).unwrap();
        }
        let mut reader = csv::Reader::from_reader(out.as_slice());
        let header = reader.headers().unwrap().clone();
        let names: Vec<&str> = UsageRecord::columns().map(|column| column.name).collect();
        assert_eq!(header.iter().collect::<Vec<_>>(), names);
        let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
        assert_eq!(rows.len(), interval.records);
        let place = |name| names.iter().position(|one| *one == name).unwrap();
        for row in rows {
            assert_eq!(&row[place("sequence")], "7");
            assert_eq!(&row[place("records")], "4");
            assert_eq!(&row[place("run")], "");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        /// Whatever a sender says, a record is one line with a field for each column, and the
        /// text comes out as it went in but for line ends.
        #[test]
        fn hostile_texts_stay_in_their_column(said in ".{0,40}|[,\"\r\n a]{0,20}") {
            let set = SignatureSet::default();
            let record = samples::full(&set, &said);
            let view = FlowView::new(&record, &set);
            let mut csv = Csv::new(Records::Flows);
            let mut out = csv.head().to_vec();
            csv.flow(&view, &mut out).unwrap();
            prop_assert_eq!(memchr::memchr_iter(b'\n', &out).count(), 2);
            let mut reader = csv::Reader::from_reader(out.as_slice());
            let row = reader.records().next().unwrap().unwrap();
            let place = FlowView::columns().position(|column| column.name == "server_name");
            prop_assert_eq!(&row[place.unwrap()], said.replace(['\n', '\r', '\0'], " "));
        }
    }
}
