//! The JSON Schema of a signature file, for editors: `signatures/schema.json`.

use super::file::SignatureFile;

/// The schema of one file.
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(SignatureFile).to_value()
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(tables.len(), 13);
    }
}
