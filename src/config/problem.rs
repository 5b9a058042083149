//! What is wrong with the settings, and where: [`Problem`].

use std::fmt;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file; `None`: the command line, or a key that is in no file.
    pub path: Option<Box<str>>,
    /// Line and column in characters, both from 1; `None`: the file as a whole.
    pub place: Option<(u32, u32)>,
    /// The key, as `table.key`; empty when it is about none.
    pub key: Box<str>,
    /// What was found and what was expected.
    pub message: String,
    /// Where in the text that is the key's value, in bytes; `None`: it is about all of it.
    inside: Option<usize>,
}

impl Problem {
    pub(super) fn of_key(key: &str, message: impl Into<String>) -> Self {
        Self {
            path: None,
            place: None,
            key: key.into(),
            message: message.into(),
            inside: None,
        }
    }

    /// A finding at this byte of the `text` that is the value of a key.
    pub(super) fn inside(key: &str, text: &str, at: usize, message: impl Into<String>) -> Self {
        Self {
            place: Some(line_and_column(text, at)),
            inside: Some(at),
            ..Self::of_key(key, message)
        }
    }

    pub(super) fn of_file(path: &str, message: impl Into<String>) -> Self {
        Self {
            path: Some(path.into()),
            place: None,
            key: "".into(),
            message: message.into(),
            inside: None,
        }
    }

    /// A finding at these bytes of a file.
    pub(super) fn at(path: &str, text: &str, span: Range<usize>, message: &str) -> Self {
        let table = DeTable::parse_recoverable(text).0;
        Self {
            path: Some(path.into()),
            place: Some(line_and_column(text, span.start)),
            key: key_at(table.get_ref(), span.start).into(),
            message: message.to_owned(),
            inside: None,
        }
    }

    /// The same with the key's place in the file, if it is there.
    pub(super) fn located(mut self, path: &str, text: &str) -> Self {
        let table = DeTable::parse_recoverable(text).0;
        if let Some((table_name, key)) = self.key.split_once('.')
            && let Some(DeValue::Table(keys)) =
                get(table.get_ref(), table_name).map(|(_, v)| v.get_ref())
            && let Some((span, value)) = get(keys, key)
            && let value = value.span()
        {
            self.path = Some(path.into());
            // A text begins after its quote.
            let start = match self.inside {
                Some(at) => value.start.saturating_add(1 + at).min(value.end),
                None => span.start,
            };
            self.place = Some(line_and_column(text, start));
        }
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.path.as_deref().unwrap_or("settings"))?;
        if let Some((line, column)) = self.place {
            write!(f, ":{line}:{column}")?;
        }
        f.write_str(": ")?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for Problem {}

fn get<'a, 'de>(
    table: &'a DeTable<'de>,
    name: &str,
) -> Option<(Range<usize>, &'a Spanned<DeValue<'de>>)> {
    let found = table
        .iter()
        .find(|(key, _): &(&Spanned<DeString<'_>>, _)| key.get_ref().as_ref() == name);
    found.map(|(key, value)| (key.span(), value))
}

/// The key that the byte `offset` belongs to, as `table.key`.
fn key_at(table: &DeTable<'_>, offset: usize) -> String {
    for (name, value) in table {
        let name_is_it = name.span().contains(&offset);
        if let DeValue::Table(keys) = value.get_ref() {
            let inner = key_at(keys, offset);
            if !inner.is_empty() {
                return format!("{}.{inner}", name.get_ref());
            }
        } else if value.span().contains(&offset) {
            return name.get_ref().to_string();
        }
        if name_is_it {
            return name.get_ref().to_string();
        }
    }
    String::new()
}

/// Where the byte `offset` of `text` stands, both from 1.
pub fn line_and_column(text: &str, offset: usize) -> (u32, u32) {
    let before = text
        .char_indices()
        .take_while(|&(place, _)| place < offset)
        .map(|(_, c)| c);
    before.fold((1, 1), |(line, column), c| match c {
        '\n' => (line + 1, 1),
        _ => (line, column + 1),
    })
}
