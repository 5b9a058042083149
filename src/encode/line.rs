//! Records that are lines: how long one may be.

use std::io;

use crate::record::flow::EXPENDABLE;

/// Bytes of a line of a flow record, its line feed included: what a page of a file holds, so that no
/// line need go beyond one. Texts that others chose decide how long a record is.
pub(super) const LONGEST: usize = 4096;

/// Appends the line of a flow record that `write` makes without fields of these names: none, or as many
/// of [`EXPENDABLE`] as it takes for the line to be no longer than [`LONGEST`].
pub(super) fn fitting(
    out: &mut Vec<u8>,
    mut write: impl FnMut(&[&str], &mut Vec<u8>) -> io::Result<()>,
) -> io::Result<()> {
    let start = out.len();
    for left_out in 0..=EXPENDABLE.len() {
        out.truncate(start);
        write(EXPENDABLE.get(..left_out).unwrap_or_default(), out)?;
        if out.len() - start <= LONGEST {
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::dissect::{Dns, Facts, Http, Tls};
    use crate::encode::{ENCODERS, Encode as _, Framing, Options, csv::Csv, json::Json};
    use crate::record::{FlowView, Record as _, Records, samples};
    use crate::signature::SignatureSet;

    use super::*;

    /// A record of which an outsider chose all texts, with so many protocols of ALPN.
    fn hostile(entries: usize) -> crate::record::FlowRecord {
        let wild = |len: usize| Some("\u{1}".repeat(len).into());
        let facts = Facts {
            server_name: wild(255),
            tls: Some(Box::new(Tls {
                alpn: vec!["a".repeat(255).into(); entries],
                ..Tls::default()
            })),
            http: Some(Box::new(Http {
                user_agent: wild(512),
                ..Http::default()
            })),
            dns: Some(Box::new(Dns {
                query_name: wild(255),
                ..Dns::default()
            })),
            ..Facts::default()
        };
        let mut record = samples::sparse();
        record.facts = Some(Box::new(facts));
        record
    }

    #[test]
    fn hostile_texts_make_no_line_too_long() {
        let set = SignatureSet::default();
        let lines = ENCODERS.iter();
        let lines = lines.filter(|row| matches!(row.framing, Framing::Lines { .. }));
        for row in lines {
            for entries in [0, 3, 32] {
                let mut encoder = (row.make)(Records::Flows, &Options::default());
                let (record, mut out) = (hostile(entries), b"before".to_vec());
                let view = FlowView::new(&record, &set);
                encoder.flow(&view, &mut out).unwrap();
                let line = out.strip_prefix(b"before").unwrap();
                assert!(line.len() <= LONGEST, "{}: {}", row.name, line.len());
                assert_eq!(line.last(), Some(&b'\n'), "{}", row.name);
            }
        }
    }

    #[test]
    fn what_can_be_spared_goes_first() {
        let set = SignatureSet::default();
        // (list entries, whether JSON has the user agent, whether CSV has it)
        for (entries, in_json, in_csv) in [(0, false, true), (3, false, true), (32, false, true)] {
            let record = hostile(entries);
            let view = FlowView::new(&record, &set);
            let mut out = Vec::new();
            Json.flow(&view, &mut out).unwrap();
            let value: serde_json::Value = serde_json::from_slice(&out).unwrap();
            assert_eq!(value["server_name"].as_str().unwrap().len(), 255);
            assert!(value.get("alpn").is_none());
            assert_eq!(value.get("user_agent").is_some(), in_json);
            assert!(value.get("query_name").is_some());

            out.clear();
            Csv::new(Records::Flows).flow(&view, &mut out).unwrap();
            let mut reader = csv::ReaderBuilder::new();
            let mut reader = reader.has_headers(false).from_reader(out.as_slice());
            let row = reader.records().next().unwrap().unwrap();
            let said = |name| {
                let place = FlowView::columns().position(|column| column.name == name);
                row[place.unwrap()].len()
            };
            assert_eq!((said("server_name"), said("query_name")), (255, 255));
            assert_eq!(said("user_agent") > 0, in_csv);
            assert_eq!(said("alpn") > 0, entries == 3, "{entries}");
        }
    }
}
