//! JSON Lines: one object a record. A field without a value is left out.

use std::io::{self, Write};

use super::{Encode, line};
use crate::record::{FlowView, Record, RunRecord, UsageRecord, Value};

/// Writes one object a line.
#[derive(Clone, Copy, Debug, Default)]
pub struct Json;

impl Encode for Json {
    fn flow(&mut self, record: &FlowView<'_>, out: &mut Vec<u8>) -> io::Result<()> {
        line::fitting(out, |without, out| object(record, without, out))
    }

    fn usage(&mut self, record: &UsageRecord<'_>, out: &mut Vec<u8>) -> io::Result<()> {
        object(record, &[], out)
    }

    fn run(&mut self, record: &RunRecord, out: &mut Vec<u8>) -> io::Result<()> {
        object(record, &[], out)
    }
}

/// A record without the fields of these names.
fn object(record: &impl Record, without: &[&str], out: &mut Vec<u8>) -> io::Result<()> {
    out.push(b'{');
    let mut inside = None;
    let mut is_first = true;
    for (column, value) in record.values() {
        let Some(value) = value else { continue };
        if without.contains(&column.name) {
            continue;
        }
        if inside.is_some() && inside != column.object {
            out.push(b'}');
            inside = None;
        }
        if !is_first {
            out.push(b',');
        }
        if let Some(object) = column.object
            && inside.is_none()
        {
            write!(out, "\"{object}\":{{")?;
            inside = column.object;
        }
        is_first = false;
        write!(out, "\"{}\":", column.name)?;
        put(&value, out)?;
    }
    if inside.is_some() {
        out.push(b'}');
    }
    out.extend_from_slice(b"}\n");
    Ok(())
}

fn put(value: &Value<'_>, out: &mut Vec<u8>) -> io::Result<()> {
    match value {
        Value::Text(text) | Value::Code { name: text, .. } => serde_json::to_writer(out, text)?,
        Value::Texts(texts) => serde_json::to_writer(out, texts)?,
        Value::Numbers(numbers) => serde_json::to_writer(out, numbers)?,
        Value::WideNumbers(numbers) => serde_json::to_writer(out, numbers)?,
        Value::Number(_) | Value::Flag => write!(out, "{value}")?,
        Value::Time(_) | Value::Address(_) => write!(out, "\"{value}\"")?,
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::samples;
    use crate::signature::SignatureSet;
    use crate::time::Timestamp;

    fn objects(lines: &[u8]) -> Vec<serde_json::Value> {
        let lines = lines.split_inclusive(|&byte| byte == b'\n');
        lines
            .map(|line| serde_json::from_slice(line).unwrap())
            .collect()
    }

    #[test]
    fn a_record_has_its_values_and_no_others() {
        let set = SignatureSet::builtin();
        let mut out = Vec::new();
        for record in [samples::sparse(), samples::full(&set, "x\"\n\u{1}微")] {
            let view = FlowView::new(&record, &set);
            out.clear();
            Json.flow(&view, &mut out).unwrap();
            let object = objects(&out).remove(0);
            for (column, value) in view.values() {
                let of = column
                    .object
                    .map_or(&object, |object_name| &object[object_name]);
                let written = of.get(column.name);
                assert_eq!(written.is_some(), value.is_some(), "{}", column.name);
                if let (Some(Value::Text(text)), Some(written)) = (&value, written) {
                    assert_eq!(written, &**text);
                }
            }
            let top = view
                .values()
                .filter(|(column, value)| column.object.is_none() && value.is_some());
            assert_eq!(object.as_object().unwrap().len(), top.count() + 1);
        }
    }

    #[test]
    fn usage_records_name_their_interval() {
        let set = SignatureSet::default();
        let cells = samples::cells(&set);
        let run = Timestamp::new(1_767_323_045, 5);
        for (run, expected) in [
            (None, None),
            (Some(run), Some("2026-01-02T03:04:05.000000005Z")),
        ] {
            let interval = samples::interval(&cells, run);
            let mut out = Vec::new();
            for record in samples::usage(&interval, &cells, &set) {
                Json.usage(&record, &mut out).unwrap();
            }
            let lines = objects(&out);
            assert_eq!(lines.len(), interval.records);
            for line in lines {
                assert_eq!(line["timestamp"], "1970-01-01T00:02:00.000000000Z");
                assert_eq!(line["end"], "1970-01-01T00:03:00.000000000Z");
                assert_eq!(line.get("run").and_then(|run| run.as_str()), expected);
                assert_eq!(line["sequence"], 7);
                assert_eq!(line["records"], interval.records);
                assert!(line["signature_set"].is_string());
            }
        }
    }
}
