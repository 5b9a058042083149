//! Signature files as they are built in: what a TOML parser made of each, and its text.
//!
//! `build.rs` packs them (`write`), so that a program with thousands of them starts without parsing
//! a text. What is not asked for (texts, tests) is not read either.

mod tag;
#[cfg(test)]
mod write;

use std::ops::Range;

use serde::Deserialize as _;
use serde::de::value::{BorrowedStrDeserializer, Error, MapAccessDeserializer};
use serde::de::{
    DeserializeSeed, Deserializer, Error as _, IntoDeserializer, MapAccess, SeqAccess, Visitor,
};
use serde::forward_to_deserialize_any;
use serde_spanned::de::{SpannedDeserializer, is_spanned};

use super::file::SignatureFile;

/// The table that only those ask for who write signatures.
const TESTS: &str = "test";

/// Path, text and what a parser made of it.
type File = (&'static str, &'static str, Tree);

/// The files of a packed set, in their order; none from where it is not one.
pub(super) fn files(packed: &'static [u8]) -> Vec<File> {
    let head = Cursor {
        bytes: packed,
        text: "",
    };
    read_files(head).unwrap_or_default()
}

fn read_files(mut head: Cursor<'static>) -> Option<Vec<File>> {
    let count = head.count()?;
    let mut heads = Vec::new();
    for _ in 0..count {
        heads.push((head.text()?, head.count()?, head.count()?));
    }
    let mut trees = 0_usize;
    for (_, _, tree) in &heads {
        trees = trees.checked_add(*tree)?;
    }
    let (mut trees, mut texts) = (head.inside(trees)?, head);
    let file = |(path, text, tree)| {
        let text = std::str::from_utf8(texts.take(text)?).ok()?;
        let bytes = trees.take(tree)?;
        Some((path, text, Tree(Cursor { bytes, text })))
    };
    heads.into_iter().map(file).collect()
}

/// What the parser made of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tree(Cursor<'static>);

impl Tree {
    /// The file, without its tests if they are not asked for; `None` where it is not as it should
    /// be: the text says what is wrong.
    pub(super) fn read(self, with_tests: bool) -> Option<SignatureFile> {
        let mut inside = self.0;
        let entries = Entries {
            left: inside.count()?,
            inside,
            value: None,
            skipped: (!with_tests).then_some(TESTS),
        };
        let file = SignatureFile::deserialize(MapAccessDeserializer::new(entries)).ok()?;
        (file.app.is_some() != file.protocol.is_some()).then_some(file)
    }
}

/// A value, and where it stands in the text.
#[derive(Clone, Debug)]
struct Value<'de> {
    span: Range<usize>,
    shape: Shape<'de>,
}

#[derive(Clone, Debug)]
enum Shape<'de> {
    Text(&'de str),
    Integer(i64),
    Float(f64),
    Boolean(bool),
    List(Cursor<'de>),
    Table(Cursor<'de>),
}

/// Bytes yet to be read. What is not there is `None`, and ends the reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cursor<'de> {
    bytes: &'de [u8],
    /// The text of the file that they are of.
    text: &'de str,
}

impl<'de> Cursor<'de> {
    fn byte(&mut self) -> Option<u8> {
        let (&byte, rest) = self.bytes.split_first()?;
        self.bytes = rest;
        Some(byte)
    }

    fn take(&mut self, len: usize) -> Option<&'de [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(len)?;
        self.bytes = rest;
        Some(taken)
    }

    /// The next `len` bytes, to be read by themselves.
    fn inside(&mut self, len: usize) -> Option<Self> {
        Some(Self {
            bytes: self.take(len)?,
            text: self.text,
        })
    }

    fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    fn count(&mut self) -> Option<usize> {
        usize::try_from(self.number()?).ok()
    }

    /// As many bytes as are said first, to be read by themselves.
    fn within(&mut self) -> Option<Self> {
        let len = self.count()?;
        self.inside(len)
    }

    fn text(&mut self) -> Option<&'de str> {
        std::str::from_utf8(self.within()?.bytes).ok()
    }

    fn place(&mut self) -> Option<Range<usize>> {
        let (start, len) = (self.count()?, self.count()?);
        Some(start..start.checked_add(len)?)
    }

    fn entry(&mut self) -> Option<(&'de str, Value<'de>)> {
        Some((self.text()?, self.value()?))
    }

    fn value(&mut self) -> Option<Value<'de>> {
        let tag = self.byte()?;
        let span = self.place()?;
        let shape = match tag {
            tag::TEXT => Shape::Text(self.text()?),
            tag::QUOTED => {
                let end = span.end.checked_sub(1)?;
                Shape::Text(self.text.get(span.start.checked_add(1)?..end)?)
            }
            tag::INTEGER => {
                let number = self.number()?;
                Shape::Integer((number >> 1) as i64 ^ -((number & 1) as i64))
            }
            tag::FLOAT => {
                let (bytes, rest) = self.bytes.split_first_chunk()?;
                self.bytes = rest;
                Shape::Float(f64::from_le_bytes(*bytes))
            }
            tag::BOOLEAN => Shape::Boolean(self.byte()? != 0),
            tag::LIST => Shape::List(self.within()?),
            tag::TABLE => Shape::Table(self.within()?),
            _ => return None,
        };
        Some(Value { span, shape })
    }
}

fn damaged() -> Error {
    Error::custom("the built-in signatures are damaged")
}

impl<'de> Deserializer<'de> for Value<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.shape {
            Shape::Text(text) => visitor.visit_borrowed_str(text),
            Shape::Integer(integer) => visitor.visit_i64(integer),
            Shape::Float(float) => visitor.visit_f64(float),
            Shape::Boolean(boolean) => visitor.visit_bool(boolean),
            Shape::List(mut inside) => {
                let left = inside.count().ok_or_else(damaged)?;
                visitor.visit_seq(Items { left, inside })
            }
            Shape::Table(mut inside) => {
                let left = inside.count().ok_or_else(damaged)?;
                visitor.visit_map(Entries {
                    left,
                    inside,
                    value: None,
                    skipped: None,
                })
            }
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        if is_spanned(name) {
            let span = self.span.clone();
            return visitor.visit_map(SpannedDeserializer::new(self, span));
        }
        self.deserialize_any(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.shape {
            Shape::Text(text) => {
                BorrowedStrDeserializer::new(text).deserialize_enum(name, variants, visitor)
            }
            _ => self.deserialize_any(visitor),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map identifier ignored_any
    }
}

impl<'de> IntoDeserializer<'de> for Value<'de> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

struct Items<'de> {
    left: usize,
    inside: Cursor<'de>,
}

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Error> {
        let Some(left) = self.left.checked_sub(1) else {
            return Ok(None);
        };
        self.left = left;
        seed.deserialize(self.inside.value().ok_or_else(damaged)?)
            .map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left)
    }
}

struct Entries<'de> {
    left: usize,
    inside: Cursor<'de>,
    value: Option<Value<'de>>,
    /// The key that is passed over.
    skipped: Option<&'static str>,
}

impl<'de> MapAccess<'de> for Entries<'de> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Error> {
        while let Some(left) = self.left.checked_sub(1) {
            self.left = left;
            let (key, value) = self.inside.entry().ok_or_else(damaged)?;
            if self.skipped != Some(key) {
                self.value = Some(value);
                return seed
                    .deserialize(BorrowedStrDeserializer::new(key))
                    .map(Some);
            }
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        seed.deserialize(self.value.take().ok_or_else(damaged)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signature::compile::parse_all;
    use crate::signature::{SignatureSet, SourceFile, builtin_files, check};

    fn unpacked(bytes: Vec<u8>) -> Vec<SourceFile> {
        files(bytes.leak())
            .into_iter()
            .map(|(path, text, tree)| SourceFile::packed(path, text, tree))
            .collect()
    }

    fn packed(files: &[SourceFile]) -> Vec<SourceFile> {
        let pairs = files
            .iter()
            .map(|file| (file.path.to_string(), file.text.to_string()))
            .collect::<Vec<_>>();
        unpacked(write::pack(&pairs).unwrap())
    }

    #[test]
    fn what_is_built_in_is_what_the_files_say() {
        let files = builtin_files();
        let packed = packed(&files);
        assert_eq!(packed.len(), files.len());
        for (file, packed) in files.iter().zip(&packed) {
            assert_eq!((&file.path, &file.text), (&packed.path, &packed.text));
            let (mut found, mut expected) = (Vec::new(), Vec::new());
            let read = parse_all(std::slice::from_ref(packed), &mut found);
            // Without the tree: from the text.
            let text = SourceFile::new(file.path.clone(), file.text.clone());
            let parsed = parse_all(std::slice::from_ref(&text), &mut expected);
            assert_eq!(
                format!("{:?}", read[0].file),
                format!("{:?}", parsed[0].file)
            );
            assert_eq!(found, expected);
        }
        let (set, found) = SignatureSet::compile_leniently(&packed);
        assert_eq!(found, []);
        let expected = SignatureSet::compile(&files).unwrap();
        assert_eq!(set.hash(), expected.hash());
        assert_eq!(set.rule_count(), expected.rule_count());
        assert_eq!(check(&packed), check(&files));
    }

    #[test]
    fn mistakes_are_found_where_they_stand() {
        let text = "[app]\nid = -1\nname = 'x'\n[[domain]]\nsuffix = ['a.test', 'B']\nnam = 1\n\
            [[domain]]\nsuffix = ['*']\n[[port]]\nport = [1.5, true]\n[[x]]\n[tls]\n";
        let files = [SourceFile::new("chat/x.toml", text)];
        let found = check(&packed(&files));
        assert!(found.len() > 3, "{found:#?}");
        assert_eq!(found, check(&files));
    }

    #[test]
    fn damage_is_no_panic() {
        let files = [SourceFile::new(
            "chat/x.toml",
            "[app]\nid = 1\nname = 'x'\n",
        )];
        let pairs = [(files[0].path.to_string(), files[0].text.to_string())];
        let whole = write::pack(&pairs).unwrap();
        for len in 0..whole.len() {
            let cut = unpacked(whole[..len].to_vec());
            assert!(cut.is_empty(), "{len}");
        }
        for at in 0..whole.len() {
            for value in [0, 1, 6, 0x7f, 0x80, 0xff] {
                let mut bytes = whole.clone();
                bytes[at] = value;
                parse_all(&unpacked(bytes), &mut Vec::new());
            }
        }
        assert!(write::pack(&[("x".into(), "a = 2026-11-27".into())]).is_err());
        assert!(write::pack(&[("x".into(), "a =".into())]).is_err());
    }
}
