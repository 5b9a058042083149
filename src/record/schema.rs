//! JSON Schemas of records (draft 2020-12), by the tables of their fields.

use serde_json::{Map, Value, json};

use super::{Column, Kind, Record};

/// The schema of a record of JSON Lines; a later version may add fields.
pub fn schema<R: Record>(title: &str) -> Value {
    let mut top = Object::default();
    let mut inner: Vec<(&str, Object)> = Vec::new();
    for column in R::columns() {
        let Some(name) = column.object else {
            top.add(column.name, property(column), column.required);
            continue;
        };
        if inner.last().is_none_or(|&(last, _)| last != name) {
            inner.push((name, Object::default()));
        }
        if let Some((_, object)) = inner.last_mut() {
            object.add(column.name, property(column), column.required);
        }
    }
    for (name, object) in inner {
        let required = !object.required.is_empty();
        top.add(name, object.schema(), required);
    }
    let mut schema = top.schema();
    if let Some(members) = schema.as_object_mut() {
        let dialect = "https://json-schema.org/draft/2020-12/schema";
        members.insert("$schema".to_owned(), dialect.into());
        members.insert("title".to_owned(), title.into());
    }
    schema
}

/// The schema of an object, on its way.
#[derive(Debug, Default)]
struct Object {
    properties: Map<String, Value>,
    required: Vec<String>,
}

impl Object {
    fn add(&mut self, name: &str, schema: Value, required: bool) {
        self.properties.insert(name.to_owned(), schema);
        if required {
            self.required.push(name.to_owned());
        }
    }

    fn schema(self) -> Value {
        json!({
            "type": "object",
            "properties": self.properties,
            "required": self.required,
        })
    }
}

fn property(column: &Column) -> Value {
    let mut schema = match column.kind {
        Kind::Text | Kind::Code => json!({ "type": "string" }),
        Kind::Texts => {
            json!({ "type": "array", "items": { "type": "string" }, "minItems": 1 })
        }
        Kind::Unsigned(bits) => {
            json!({ "type": "integer", "minimum": 0, "maximum": u64::MAX >> (64 - bits) })
        }
        Kind::Numbers => json!({
            "type": "array",
            "items": { "type": "integer", "minimum": 0, "maximum": u16::MAX },
            "minItems": 1,
        }),
        Kind::WideNumbers => json!({
            "type": "array",
            "items": { "type": "integer", "minimum": 0, "maximum": u32::MAX },
            "minItems": 1,
        }),
        Kind::Flag => json!({ "const": true }),
        Kind::Time => json!({ "type": "string", "format": "date-time" }),
        Kind::Address => json!({
            "type": "string",
            "anyOf": [{ "format": "ipv4" }, { "format": "ipv6" }],
        }),
    };
    if let Some(members) = schema.as_object_mut() {
        members.insert("description".to_owned(), column.meaning.into());
    }
    schema
}
