//! The ids of applications: which a folder gives out, and which are never given again.
//!
//! A folder of signatures may hold `tombstones.toml` beside its categories. Without one it is a
//! site's own, and its new files get ids that the project does not use.

use std::collections::HashSet;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use serde::Deserialize;
use toml::Spanned;
use toml::value::Datetime;

use super::builtin::builtin_tombstones;
use super::compile::parse_all;
use super::diagnostic::{Diagnostic, Findings};
use super::source::{SourceFile, TOMBSTONES};

/// The first id for sites' own files.
pub const FIRST_OF_SITES: u32 = 60_000;
/// The largest that IPFIX can say: a selector of three octets (RFC 6759 section 4).
const LAST: u32 = 0x00ff_ffff;

/// What `tombstones.toml` says.
#[derive(Clone, Debug)]
pub struct Ids {
    path: String,
    file: File,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    first: Option<u32>,
    last: Option<u32>,
    tombstone: Vec<Tombstone>,
}

/// An application that is gone.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tombstone {
    id: Spanned<u32>,
    name: String,
    reason: Spanned<String>,
    date: Spanned<Datetime>,
}

impl Ids {
    /// Those of the files built into the binary.
    pub fn builtin() -> Self {
        let path = format!("signatures/{TOMBSTONES}");
        let file = toml::from_str(&builtin_tombstones()).unwrap_or_default();
        Self { path, file }
    }

    /// Those of the folder `dir`.
    ///
    /// # Errors
    ///
    /// What is wrong in its `tombstones.toml`, if it has one.
    pub fn of_folder(dir: &Path) -> Result<Self, Vec<Diagnostic>> {
        let path = dir.join(TOMBSTONES);
        let shown = path.display().to_string();
        match fs::read_to_string(&path) {
            Ok(text) => Self::parse(&shown, &text),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Self {
                path: shown,
                file: File::default(),
            }),
            Err(error) => {
                let message = format!("cannot be read: {error}");
                Err(vec![Diagnostic::of_file(&shown, message)])
            }
        }
    }

    fn parse(path: &str, text: &str) -> Result<Self, Vec<Diagnostic>> {
        let mut found = Vec::new();
        let mut findings = Findings::new(path, text, &mut found);
        let file: File = match toml::from_str(text) {
            Ok(file) => file,
            Err(error) => {
                findings.error(error.span().unwrap_or(0..0), error.message());
                return Err(found);
            }
        };
        let mut seen = HashSet::new();
        for one in &file.tombstone {
            if !seen.insert(*one.id.get_ref()) {
                findings.error(
                    one.id.span(),
                    format!("{} stands here twice", one.id.get_ref()),
                );
            }
            if one.reason.get_ref().trim().is_empty() {
                findings.error(one.reason.span(), "`reason` is empty: why is it gone?");
            }
            let date = one.date.get_ref();
            if date.date.is_none() || date.time.is_some() {
                findings.error(one.date.span(), "expected a date: 2026-11-27");
            }
        }
        if found.is_empty() {
            let path = path.to_owned();
            return Ok(Self { path, file });
        }
        Err(found)
    }

    /// What the folder's `files` do against it: ids that are not the folder's to give, and ids of
    /// what is gone.
    pub fn check(&self, files: &[SourceFile]) -> Vec<Diagnostic> {
        self.faults(files, true)
    }

    /// What `files` of another folder do against it: ids of what is gone.
    pub fn check_gone(&self, files: &[SourceFile]) -> Vec<Diagnostic> {
        self.faults(files, false)
    }

    fn faults(&self, files: &[SourceFile], are_own: bool) -> Vec<Diagnostic> {
        let mut found = Vec::new();
        for one in parse_all(files, &mut Vec::new()) {
            let Some(app) = one.file.app.as_ref().map(Spanned::get_ref) else {
                continue;
            };
            let mut findings = Findings::new(&one.source.path, &one.source.text, &mut found);
            let (at, id) = (app.id.span(), *app.id.get_ref());
            let gone = self
                .file
                .tombstone
                .iter()
                .find(|gone| *gone.id.get_ref() == id);
            if let Some(gone) = gone {
                findings.error(
                    at,
                    format!(
                        "{id} was the id of `{}` ({}): ids are never given again, see {}",
                        gone.name,
                        gone.reason.get_ref(),
                        self.path
                    ),
                );
            } else if are_own
                && (self.file.first.is_some_and(|first| id < first)
                    || self.file.last.is_some_and(|last| id > last))
            {
                let (first, last) = self.range();
                findings.error(
                    at,
                    format!("expected an id from {first} to {last}, see {}", self.path),
                );
            }
        }
        found
    }

    /// Ids for new files beside `files`: all above those there are and were, or, with `from`, those
    /// from there on that are free.
    pub fn free(&self, files: &[SourceFile], from: Option<u32>) -> impl Iterator<Item = u32> {
        let (first, last) = self.range();
        let taken: HashSet<u32> = super::list(files)
            .iter()
            .filter_map(|row| row.id)
            .chain(self.file.tombstone.iter().map(|gone| *gone.id.get_ref()))
            .collect();
        let highest = taken.iter().filter(|id| (first..=last).contains(*id)).max();
        let after = highest.map_or(first, |id| id.saturating_add(1));
        (from.unwrap_or(after).max(first)..=last).filter(move |id| !taken.contains(id))
    }

    fn range(&self) -> (u32, u32) {
        (
            self.file.first.unwrap_or(FIRST_OF_SITES),
            self.file.last.unwrap_or(LAST),
        )
    }
}

/// The text of a new file.
#[derive(Clone, Debug)]
pub struct Draft<'a> {
    /// Its id.
    pub id: u32,
    /// The slug.
    pub name: &'a str,
    /// The name people know.
    pub title: &'a str,
    /// The category.
    pub category: &'a str,
    /// Who runs it.
    pub owner: &'a str,
    /// What it and all below it is named by.
    pub hosts: &'a [String],
}

impl Draft<'_> {
    /// The file.
    pub fn text(&self) -> String {
        let quoted = |text: &str| toml::Value::from(text).to_string();
        let mut text = format!(
            "[app]\nid = {}\nname = {}\ntitle = {}\ncategory = {}\nowner = {}\n",
            self.id,
            quoted(self.name),
            quoted(self.title),
            quoted(self.category),
            quoted(self.owner),
        );
        if !self.hosts.is_empty() {
            let hosts: Vec<String> = self.hosts.iter().map(|host| quoted(host)).collect();
            text.push_str(&format!("\n[[domain]]\nsuffix = [{}]\n", hosts.join(", ")));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signature::{builtin_files, check};

    fn app(name: &str, id: u32) -> SourceFile {
        let draft = Draft {
            id,
            name,
            title: "A \"title\" \\ 微",
            category: "chat",
            owner: "Acme",
            hosts: &[format!("{name}.example")],
        };
        SourceFile::new(format!("chat/{name}.toml"), draft.text())
    }

    const TEXT: &str = "first = 10\nlast = 20\n\
        [[tombstone]]\nid = 14\nname = \"gone\"\nreason = \"it ended\"\ndate = 2026-11-27\n";

    #[test]
    fn ids_are_given_once() {
        let ids = Ids::parse("t.toml", TEXT).unwrap();
        let files = [app("a", 10), app("b", 12), app("site", 60_001)];
        for (from, expected) in [
            (None, vec![15, 16, 17, 18, 19, 20]),
            (Some(1), vec![11, 13, 15, 16, 17, 18, 19, 20]),
            (Some(18), vec![18, 19, 20]),
            (Some(21), vec![]),
        ] {
            assert_eq!(
                ids.free(&files, from).collect::<Vec<_>>(),
                expected,
                "{from:?}"
            );
        }
        assert_eq!(ids.free(&[], None).next(), Some(15));
        let site = Ids::of_folder(Path::new("/nonexistent")).unwrap();
        assert_eq!(site.free(&files, None).next(), Some(60_002));
        assert_eq!(site.free(&[], None).next(), Some(FIRST_OF_SITES));
        assert_eq!(site.free(&files, None).last(), Some(LAST));
    }

    #[test]
    fn ids_of_others_are_refused() {
        let ids = Ids::parse("t.toml", TEXT).unwrap();
        for (id, expected) in [
            (10, None),
            (20, None),
            (
                14,
                Some("14 was the id of `gone` (it ended): ids are never given again, see t.toml"),
            ),
            (9, Some("expected an id from 10 to 20, see t.toml")),
            (60_000, Some("expected an id from 10 to 20, see t.toml")),
        ] {
            let found = ids.check(&[app("a", id)]);
            let found: Vec<String> = found.iter().map(ToString::to_string).collect();
            let expected: Vec<String> = expected
                .map(|message| format!("chat/a.toml:2:6: {message}"))
                .into_iter()
                .collect();
            assert_eq!(found, expected, "{id}");
            let is_gone = id == 14;
            assert_eq!(ids.check_gone(&[app("a", id)]).is_empty(), !is_gone, "{id}");
        }
    }

    #[test]
    fn tombstones_say_what_why_and_when() {
        for (from, to, expected) in [
            ("id = 14", "id = 0x1_0000_0000", "u32"),
            (
                "\"it ended\"",
                "' '",
                "t.toml:6:10: `reason` is empty: why is it gone?",
            ),
            (
                "2026-11-27",
                "2026-11-27T10:00:00",
                "t.toml:7:8: expected a date: 2026-11-27",
            ),
            ("name = \"gone\"\n", "", "missing field `name`"),
            ("name", "nam", "unknown field `nam`"),
            (
                "last",
                "[[tombstone]]\nid = 14\nname = 'x'\nreason = 'y'\ndate = 2026-01-01\n#",
                "14 stands here twice",
            ),
        ] {
            let found = Ids::parse("t.toml", &TEXT.replacen(from, to, 1)).unwrap_err();
            let found = found.iter().map(ToString::to_string).collect::<String>();
            assert!(found.contains(expected), "{found}");
        }
    }

    #[test]
    fn the_projects_ids_are_its_own() {
        let ids = Ids::parse("signatures/tombstones.toml", &builtin_tombstones()).unwrap();
        assert_eq!(ids.check(&builtin_files()), []);
        assert_eq!(ids.range().1, FIRST_OF_SITES - 1);
    }

    #[test]
    fn a_draft_is_a_file() {
        assert_eq!(check(&[app("acme", 60_000)]), []);
    }
}
