//! What is wrong with a signature file, and where: [`Diagnostic`].

use std::fmt;
use std::ops::Range;

/// How bad a [`Diagnostic`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The set can't be used as it is.
    Error,
    /// The set works; a reviewer should look.
    Warning,
}

/// One finding in one file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Diagnostic {
    /// The file, as the caller named it.
    pub path: Box<str>,
    /// Line, from 1; 0 when the finding is about the file as a whole.
    pub line: u32,
    /// Column in characters, from 1; 0 when the finding is about the file as a whole.
    pub column: u32,
    /// What was found and what was expected.
    pub message: String,
    /// How bad it is.
    pub severity: Severity,
}

impl Diagnostic {
    /// An error about a file as a whole.
    pub fn of_file(path: &str, message: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            line: 0,
            column: 0,
            message: message.into(),
            severity: Severity::Error,
        }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            path,
            line,
            column,
            message,
            severity,
        } = self;
        f.write_str(path)?;
        if *line > 0 {
            write!(f, ":{line}:{column}")?;
        }
        let severity = match severity {
            Severity::Error => "",
            Severity::Warning => "warning: ",
        };
        write!(f, ": {severity}{message}")
    }
}

impl std::error::Error for Diagnostic {}

/// Collects findings of one file at a time, turning byte offsets into lines and columns.
#[derive(Debug)]
pub(super) struct Findings<'a> {
    path: &'a str,
    text: &'a str,
    found: &'a mut Vec<Diagnostic>,
}

impl<'a> Findings<'a> {
    pub(super) const fn new(path: &'a str, text: &'a str, found: &'a mut Vec<Diagnostic>) -> Self {
        Self { path, text, found }
    }

    pub(super) fn error(&mut self, at: Range<usize>, message: impl Into<String>) {
        self.push(at, message.into(), Severity::Error);
    }

    pub(super) fn warning(&mut self, at: Range<usize>, message: impl Into<String>) {
        self.push(at, message.into(), Severity::Warning);
    }

    fn push(&mut self, at: Range<usize>, message: String, severity: Severity) {
        let (line, column) = line_and_column(self.text, at.start);
        self.found.push(Diagnostic {
            path: self.path.into(),
            line,
            column,
            message,
            severity,
        });
    }
}

/// Where the byte `offset` of `text` stands, both from 1.
pub(super) fn line_and_column(text: &str, offset: usize) -> (u32, u32) {
    let mut offset = offset.min(text.len());
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    let (before, _) = text.split_at(offset);
    let line = before.bytes().filter(|&b| b == b'\n').count() + 1;
    let column = before
        .rsplit('\n')
        .next()
        .map_or(0, |last| last.chars().count())
        + 1;
    let small = |n| u32::try_from(n).unwrap_or(u32::MAX);
    (small(line), small(column))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_become_lines_and_columns() {
        let text = "ab\nc微d\n";
        for (offset, expected) in [
            (0, (1, 1)),
            (1, (1, 2)),
            (3, (2, 1)),
            (7, (2, 3)),
            (5, (2, 2)),
            (9, (3, 1)),
            (99, (3, 1)),
        ] {
            assert_eq!(line_and_column(text, offset), expected, "offset {offset}");
        }
    }

    #[test]
    fn a_finding_reads_like_a_compiler_message() {
        let mut found = Vec::new();
        let mut findings = Findings::new("signatures/x/y.toml", "a = 1\nb = 2\n", &mut found);
        findings.error(10..11, "expected a string");
        findings.warning(0..1, "odd");
        assert_eq!(
            found[0].to_string(),
            "signatures/x/y.toml:2:5: expected a string"
        );
        assert_eq!(
            found[1].to_string(),
            "signatures/x/y.toml:1:1: warning: odd"
        );
        let whole = Diagnostic::of_file("a.toml", "cannot be read");
        assert_eq!(whole.to_string(), "a.toml: cannot be read");
    }
}
