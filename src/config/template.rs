//! What describes the settings file: the commented file itself and its JSON schema.

use std::fmt::Write as _;

use super::file::{File, TABLES};

/// Columns of the commented file.
const WIDTH: usize = 100;

const HEAD: &str = "\
Settings of `ottometer live`. Every key is here with its default; take away the `#` before a key \
to set it. The command line goes before this file. `ottometer config check FILE` says what is \
wrong with one.";

/// The settings file with every key, its description and its default.
pub fn template() -> String {
    let mut text = String::new();
    comment(&mut text, &[HEAD]);
    for table in TABLES {
        let _ = writeln!(text, "\n[{}]", table.name);
        comment(&mut text, table.about);
        for key in table.keys {
            text.push('\n');
            comment(&mut text, key.about);
            let _ = writeln!(text, "#{} = {}", key.name, key.default);
        }
    }
    text
}

/// The JSON schema of the settings file, for editors.
pub fn schema() -> serde_json::Value {
    let mut schema = schemars::schema_for!(File).to_value();
    for table in TABLES {
        for key in table.keys {
            let place = format!("/$defs/{}/properties/{}", table.type_name, key.name);
            if let Some(serde_json::Value::Object(property)) = schema.pointer_mut(&place)
                && let Some(default) = value(key.default)
            {
                property.insert("default".to_owned(), default);
            }
        }
    }
    schema
}

/// A value as TOML writes it.
fn value(text: &str) -> Option<serde_json::Value> {
    let table: toml::Table = toml::from_str(&format!("value = {text}")).ok()?;
    serde_json::to_value(table.get("value")?).ok()
}

/// Writes `lines` as a comment, wrapped anew.
fn comment(text: &mut String, lines: &[&str]) {
    let mut column = 0;
    for word in lines.iter().flat_map(|line| line.split_whitespace()) {
        let len = word.chars().count();
        if column == 0 || column + 1 + len > WIDTH {
            text.push_str(if column == 0 { "#" } else { "\n#" });
            column = 1;
        }
        text.push(' ');
        text.push_str(word);
        column += 1 + len;
    }
    text.push('\n');
}
