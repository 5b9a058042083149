//! What a reviewer should know of a set of files before it is used.

use super::diagnostic::{Diagnostic, Findings};
use super::file::{self, SignatureFile};
use super::source::SourceFile;
use super::{condition::Program, glob::Glob, pattern::HexPattern};

/// All findings in `files`.
pub fn check(files: &[SourceFile]) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for source in files {
        let file = file::parse(&source.path, &source.text, &mut found);
        let mut f = Findings::new(&source.path, &source.text, &mut found);
        texts(&file, &mut f);
        if let Some(app) = &file.app {
            let app = app.get_ref();
            if app.name.get_ref() != source.stem() {
                f.error(
                    app.name.span(),
                    format!(
                        "the file is called `{}.toml`: expected the same name",
                        source.stem()
                    ),
                );
            }
            if app.category.get_ref() != source.folder() {
                f.error(
                    app.category.span(),
                    format!(
                        "the folder is called `{}`: expected the same category",
                        source.folder()
                    ),
                );
            }
        }
        if let Some(p) = &file.protocol {
            let p = p.get_ref();
            if p.name.get_ref() != source.stem() {
                f.error(
                    p.name.span(),
                    format!(
                        "the file is called `{}.toml`: expected the same name",
                        source.stem()
                    ),
                );
            }
        }
    }
    found
}

fn texts(file: &SignatureFile, f: &mut Findings<'_>) {
    let hex = |at: &[toml::Spanned<file::AtTable>], f: &mut Findings<'_>| {
        for at in at {
            if let Some(h) = &at.get_ref().hex
                && let Err(e) = HexPattern::parse(h.get_ref())
            {
                f.error(h.span().start + 1 + e.at..h.span().end, e.message);
            }
        }
    };
    let conds = |list: &[toml::Spanned<String>], f: &mut Findings<'_>| {
        for c in list {
            if let Err(e) = Program::parse(c.get_ref()) {
                f.error(c.span().start + 1 + e.at..c.span().end, e.message);
            }
        }
    };
    for p in &file.payload {
        let p = p.get_ref();
        hex(&p.at, f);
        conds(&p.conditions, f);
        if let Some(r) = &p.reply {
            hex(&r.get_ref().at, f);
            conds(&r.get_ref().conditions, f);
        }
    }
    for p in &file.flow {
        conds(&p.get_ref().conditions, f);
    }
    for h in &file.http {
        for g in &h.get_ref().user_agent {
            if let Err(e) = Glob::parse(g.get_ref()) {
                f.error(g.span(), e.message);
            }
        }
    }
}
