//! Packs signature files. `build.rs` has this file as well, and knows nothing else of the crate.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::tag;

/// The set of `files`, each a path and a text.
pub(super) fn pack(files: &[(String, String)]) -> Result<Vec<u8>, String> {
    let (mut out, mut trees) = (Vec::new(), Vec::new());
    number(files.len() as u64, &mut out);
    for (path, text) in files {
        let tree = tree(text).map_err(|fault| format!("{path}: {fault}"))?;
        bytes(path.as_bytes(), &mut out);
        number(text.len() as u64, &mut out);
        number(tree.len() as u64, &mut out);
        trees.extend(tree);
    }
    out.extend(trees);
    for (_, text) in files {
        out.extend(text.as_bytes());
    }
    Ok(out)
}

fn tree(text: &str) -> Result<Vec<u8>, String> {
    let document = DeTable::parse(text).map_err(|fault| fault.to_string())?;
    let mut out = Vec::new();
    table(document.get_ref(), text, &mut out)?;
    Ok(out)
}

/// The inside of a table of the file that has this `text`.
fn table(table: &DeTable<'_>, text: &str, out: &mut Vec<u8>) -> Result<(), String> {
    number(table.len() as u64, out);
    for (key, inside) in table {
        bytes(key.get_ref().as_bytes(), out);
        value(inside, text, out)?;
    }
    Ok(())
}

fn value(value: &Spanned<DeValue<'_>>, text: &str, out: &mut Vec<u8>) -> Result<(), String> {
    let span = value.span();
    let mut tagged = |tag| {
        out.push(tag);
        place(span.clone(), out);
    };
    match value.get_ref() {
        DeValue::String(string) => {
            let quoted = text.get(span.start + 1..span.end.saturating_sub(1));
            if quoted == Some(string.as_ref()) {
                tagged(tag::QUOTED);
            } else {
                tagged(tag::TEXT);
                bytes(string.as_bytes(), out);
            }
        }
        DeValue::Integer(integer) => {
            tagged(tag::INTEGER);
            let integer = i64::from_str_radix(integer.as_str(), integer.radix())
                .map_err(|fault| format!("{}: {fault}", integer.as_str()))?;
            number(((integer << 1) ^ (integer >> 63)) as u64, out);
        }
        DeValue::Float(float) => {
            tagged(tag::FLOAT);
            let float: f64 = float
                .as_str()
                .parse()
                .map_err(|fault| format!("{}: {fault}", float.as_str()))?;
            out.extend(float.to_le_bytes());
        }
        DeValue::Boolean(boolean) => {
            tagged(tag::BOOLEAN);
            out.push(u8::from(*boolean));
        }
        DeValue::Datetime(date) => return Err(format!("{date}: no rule has a date")),
        DeValue::Array(values) => {
            tagged(tag::LIST);
            let mut inside = Vec::new();
            number(values.len() as u64, &mut inside);
            for one in values {
                self::value(one, text, &mut inside)?;
            }
            bytes(&inside, out);
        }
        DeValue::Table(inner) => {
            tagged(tag::TABLE);
            let mut inside = Vec::new();
            table(inner, text, &mut inside)?;
            bytes(&inside, out);
        }
    }
    Ok(())
}

fn place(span: Range<usize>, out: &mut Vec<u8>) {
    number(span.start as u64, out);
    number(span.len() as u64, out);
}

fn bytes(bytes: &[u8], out: &mut Vec<u8>) {
    number(bytes.len() as u64, out);
    out.extend(bytes);
}

fn number(mut number: u64, out: &mut Vec<u8>) {
    while number > 0x7f {
        out.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}
