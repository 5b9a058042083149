//! The JSON Schema of a signature file, for editors: `signatures/schema.json`.

use super::file::SignatureFile;

/// The schema of one file.
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(SignatureFile).to_value()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::dissect::{FIELDS, Family};

    /// With `UPDATE_SCHEMA` set, the test writes the file it else compares.
    #[test]
    fn the_committed_schema_is_current() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/signatures/schema.json");
        let current = format!("{}\n", serde_json::to_string_pretty(&schema()).unwrap());
        if std::env::var_os("UPDATE_SCHEMA").is_some() {
            std::fs::write(path, &current).unwrap();
        }
        let committed = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            committed == current,
            "{path} is out of date: run the tests with UPDATE_SCHEMA=1"
        );
    }

    #[test]
    fn the_schema_names_every_table_the_parser_reads() {
        let schema = schema();
        let tables = schema["properties"].as_object().unwrap();
        for table in tables.keys() {
            let mut found = Vec::new();
            super::super::file::parse("x.toml", &format!("{table} = 1"), &mut found);
            assert!(
                found.iter().all(|one| !one.message.starts_with("unknown")),
                "{table}: {found:?}"
            );
        }
        assert_eq!(tables.len(), 14);
    }

    /// What every rule table over facts may hold.
    const COMMON: [&str; 8] = [
        "address_excluded",
        "address_required",
        "evidence",
        "name",
        "port",
        "proto",
        "service",
        "source",
    ];

    #[test]
    fn rule_tables_have_a_key_for_each_fact_that_says_so() {
        let schema = schema();
        for (family, table) in [
            (Family::Tls, "TlsTable"),
            (Family::Http, "HttpTable"),
            (Family::Stun, "StunTable"),
            (Family::Sip, "SipTable"),
        ] {
            let properties = schema["$defs"][table]["properties"].as_object().unwrap();
            let written: BTreeSet<&str> = properties
                .keys()
                .map(String::as_str)
                .filter(|key| !COMMON.contains(key))
                .collect();
            let keys = FIELDS.iter().flat_map(|field| field.keys);
            let tested: BTreeSet<&str> = keys
                .filter(|(of, _)| *of == family)
                .map(|&(_, key)| key)
                .collect();
            assert_eq!(written, tested, "{table}");
        }
    }
}
