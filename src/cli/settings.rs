//! Arguments that `read` and `explain` share, and what they turn into.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use clap::Args;

use crate::capture::error::Error;
use crate::capture::inputs::Inputs;
use crate::capture::stop::Stop;
use crate::capture::{LinkType, file, paths};
use crate::classify::behaviour::Behaviour;
use crate::classify::behaviour::model::{Forest, MOST_BYTES};
use crate::config::{self, Period, Problem, Settings, Size, option_of};
use crate::pipeline::Duplicates;
use crate::signature::{Diagnostic, Loader, SignatureSet};
use crate::usage::ledger::Ledger;
use crate::view::number::grouped;

/// What is read.
#[derive(Debug, Args)]
pub(super) struct Input {
    /// Capture files: pcap or pcapng, also compressed by gzip, zstd, xz, bzip2 or lz4; `-` is standard input, a folder stands for the captures in it, and a quoted pattern ('*.pcap') for what fits. Several are one stream, merged by time where they overlap.
    #[arg(required = true, value_name = "FILE")]
    pub(super) files: Vec<PathBuf>,

    /// Read only the frames this BPF filter passes (pcap-filter(7)).
    #[arg(long, value_name = "EXPRESSION")]
    pub(super) filter: Option<String>,

    /// Leave out second copies of frames, as a mirror of several ports gives: the same IP packet but for TTL and checksum. They are counted as `duplicate`.
    #[arg(long)]
    deduplicate: bool,

    /// How long after a frame the same bytes are its copy.
    #[arg(long, value_name = "DURATION", default_value_t = Period(Duplicates::default().window), value_parser = window)]
    duplicate_window: Period,

    /// A capture file that is damaged or cut, or of several one that cannot be read, is a failure (exit code 1), not only a warning.
    #[arg(long)]
    pub(super) strict: bool,
}

impl Input {
    /// Finds the files in what is named, once and for all: what comes into a folder later is not
    /// read. Says what else is there.
    ///
    /// # Errors
    ///
    /// A folder cannot be read, or there is no capture.
    pub(super) fn find(&mut self) -> anyhow::Result<()> {
        let found = paths::find(&self.files)?;
        self.files = found.files;
        if let Some(note) = skipped(&found.skipped) {
            eprintln!("ottometer: {note}");
        }
        Ok(())
    }

    /// Opens what is read, until `stop` is asked for.
    pub(super) fn open(&self, stop: &Stop) -> anyhow::Result<Inputs> {
        self.open_these(&self.files, stop)
    }

    /// Opens some of what is read.
    pub(super) fn open_these(&self, files: &[PathBuf], stop: &Stop) -> anyhow::Result<Inputs> {
        let options = file::Options {
            filter: self.filter.clone(),
            stop: stop.clone(),
            pass_by: !self.strict,
            ..file::Options::default()
        };
        match Inputs::open(files, &options) {
            // Not even a header had come yet: that is an input without frames.
            Err(
                Error::Empty { .. }
                | Error::HeaderCut { .. }
                | Error::NotACapture { .. }
                | Error::Read { .. },
            ) if stop.is_asked() => Ok(Inputs::open::<&Path>(&[], &options)?),
            opened => Ok(opened?),
        }
    }

    /// What is done about second copies of frames.
    pub(super) const fn duplicates(&self) -> Duplicates {
        Duplicates {
            leave_out: self.deduplicate,
            window: self.duplicate_window.0,
        }
    }

    /// Prints which link types were not decoded.
    pub(super) fn report_links(ledger: &Ledger) {
        for line in unknown_links(ledger) {
            eprintln!("ottometer: warning: {line}");
        }
    }

    /// Prints what was damaged, and whether the end was asked for. Returns whether there is a
    /// failure.
    pub(super) fn report_damage(&self, inputs: &Inputs, stop: &Stop) -> bool {
        if stop.is_asked() {
            eprintln!("ottometer: ended by a signal: what follows is of the input read until then");
        }
        for error in inputs.passed_by() {
            eprintln!("ottometer: warning: passed by: {error}");
        }
        for damage in inputs.damages() {
            eprintln!("ottometer: warning: {damage}");
        }
        self.strict && !inputs.damages().is_empty()
    }
}

/// What is said of files that were found and are no captures.
fn skipped(files: &[(PathBuf, &str)]) -> Option<String> {
    const TOLD: usize = 8;
    let told = files.iter().take(TOLD);
    let told: Vec<String> = told
        .map(|(path, what)| format!("{} ({what})", path.display()))
        .collect();
    let more = files.len().saturating_sub(TOLD);
    let more = (more > 0).then(|| format!(" and {} more", grouped(more as u64)));
    let more = more.unwrap_or_default();
    (!told.is_empty()).then(|| format!("not read: {}{more}", told.join(", ")))
}

/// What is said of link types that are not decoded, a line for each.
pub(super) fn unknown_links(ledger: &Ledger) -> Vec<String> {
    let frames = |frames: u64| match frames {
        1 => "1 frame".to_owned(),
        frames => format!("{} frames", grouped(frames)),
    };
    let links = &ledger.drops.links;
    let mut lines: Vec<String> = links
        .iter()
        .map(|(number, count)| {
            let name = LinkType(number).name().unwrap_or("without a name");
            let frames = frames(count);
            format!("link type {number} ({name}) is not decoded: {frames}")
        })
        .collect();
    if links.others() > 0 {
        let frames = frames(links.others());
        lines.push(format!("further link types are not decoded: {frames}"));
    }
    lines
}

/// Which rules are used.
#[derive(Debug, Args)]
pub(super) struct Signatures {
    /// Add the signature files under this folder to the built-in ones.
    #[arg(long, value_name = "DIR")]
    pub(super) signatures: Option<PathBuf>,

    /// Use only the files of --signatures, not the built-in ones.
    #[arg(long, requires = "signatures")]
    pub(super) signatures_replace: bool,
}

impl Signatures {
    /// Where the rules come from, now and when they are loaded again.
    pub(super) fn loader(&self) -> Loader {
        Loader {
            dir: self.signatures.clone(),
            replace: self.signatures_replace,
        }
    }

    pub(super) fn load(&self) -> anyhow::Result<Arc<SignatureSet>> {
        let loader = self.loader();
        let set = load_first(&loader)?;
        if let Some(warning) = loader.warning() {
            eprintln!("ottometer: {warning}");
        }
        Ok(set)
    }
}

/// The model that names flows by what they do, if there is one.
///
/// # Errors
///
/// When it cannot be read, or is none.
pub(super) fn load_behaviour(
    path: Option<&Path>,
    set: &SignatureSet,
) -> anyhow::Result<Option<Behaviour>> {
    let Some(path) = path else { return Ok(None) };
    let shown = path.display();
    let file = File::open(path).with_context(|| shown.to_string())?;
    let mut bytes = Vec::new();
    let most = MOST_BYTES as u64;
    let read = file.take(most + 1).read_to_end(&mut bytes);
    let read = read.with_context(|| shown.to_string())?;
    anyhow::ensure!(
        read as u64 <= most,
        "{shown}: is larger than a model may be, {}",
        Size(most)
    );
    let forest = Forest::from_bytes(&bytes).map_err(|fault| anyhow!("{shown}: {fault}"))?;
    Ok(Some(Behaviour::new(forest, set)))
}

/// What is said of applications that a model may name and the signatures do not have.
pub(super) fn strange_to(behaviour: &Behaviour) -> Option<String> {
    const TOLD: usize = 5;
    let unknown: Vec<&str> = behaviour.unknown().collect();
    let told = unknown.get(..TOLD).unwrap_or(&unknown).join(", ");
    let count = unknown.len();
    (count > 0).then(|| {
        format!("the model of behaviour has {count} applications that the signatures do not have ({told}): they name nothing")
    })
}

/// The rules a run begins with.
pub(super) fn load_first(loader: &Loader) -> anyhow::Result<Arc<SignatureSet>> {
    loader.load_first().map_err(|findings| {
        let folder = loader.dir.as_deref().unwrap_or_else(|| Path::new("."));
        anyhow!(
            "the signatures in {} cannot be used:\n{}",
            folder.display(),
            lines(&findings)
        )
    })
}

/// What `findings` say, a line each.
pub(super) fn lines(findings: &[Diagnostic]) -> String {
    let lines: Vec<String> = findings.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

/// Settings out of options, the rest as it is without.
///
/// # Errors
///
/// What is wrong with them, a line each.
pub(super) fn checked(given: config::File) -> Result<Settings, String> {
    Settings::check(given).map_err(|problems| as_options(&problems))
}

/// Problems of settings that options gave, a line each.
pub(super) fn as_options(problems: &[Problem]) -> String {
    let lines = problems
        .iter()
        .map(|Problem { key, message, .. }| match option_of(key) {
            Some(option) => format!("--{option}: {message}"),
            None => format!("{key}: {message}"),
        });
    lines.collect::<Vec<_>>().join("\n")
}

/// A length of time that is one.
pub(super) fn idle(text: &str) -> Result<Period, String> {
    let period: Period = text.parse()?;
    if period.0 < Duration::from_millis(1) {
        return Err("must be at least 1ms".to_owned());
    }
    Ok(period)
}

fn window(text: &str) -> Result<Period, String> {
    let period: Period = text.parse()?;
    if period.0 > Duplicates::LONGEST_WINDOW {
        return Err(format!(
            "must be at most {}",
            Period(Duplicates::LONGEST_WINDOW)
        ));
    }
    Ok(period)
}

pub(super) fn positive(text: &str) -> Result<usize, String> {
    match text.replace('_', "").parse() {
        Ok(0) => Err("must be at least 1".to_owned()),
        Ok(value) => Ok(value),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn link_types_are_named() {
        let mut ledger = Ledger::default();
        for (link, frames) in [(239, 1204), (189, 1), (208, 2)] {
            ledger.drops.links.count(link, frames);
        }
        let lines = [
            "link type 189 (USB_LINUX) is not decoded: 1 frame",
            "link type 208 (without a name) is not decoded: 2 frames",
            "link type 239 (NFLOG) is not decoded: 1,204 frames",
        ];
        assert_eq!(unknown_links(&ledger), lines);
        for link in 300..310 {
            ledger.drops.links.count(link, 100);
        }
        let last = "further link types are not decoded: 500 frames";
        assert_eq!(unknown_links(&ledger).last().unwrap(), last);
    }
}
