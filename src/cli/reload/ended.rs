//! The flows of the last hour, out of files of flow records: their volume by all that another set of
//! signatures can be asked of them.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::Context;
use serde::{Deserialize, Serialize};

use crate::classify::again::Ended;
use crate::config::Settings;
use crate::flow::Transport;
use crate::record::Records;
use crate::verdict::Evidence;

/// Different flows kept apart; what further ones count is told as not asked.
const MOST: usize = 1 << 20;

/// The longest line: a record has some kilobytes.
const LONGEST: u64 = 1 << 20;

/// The endings of files that have lines of JSON.
const JSON: [&str; 3] = ["jsonl", "ndjson", "json"];

/// What a flow record says that matters here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(default)]
pub(super) struct Said {
    proto: String,
    pub(super) app: Option<String>,
    pub(super) service: Option<String>,
    pub(super) app_proto: Option<String>,
    evidence: Option<Evidence>,
    pub(super) signature: Option<String>,
    pub(super) server_name: Option<String>,
    ech: bool,
    remembered: bool,
    /// Without a host, where the flow went.
    pub(super) dest_ip: Option<IpAddr>,
    pub(super) dest_port: u16,
}

/// The rest of it.
#[derive(Debug, Deserialize)]
struct Rest<'a> {
    #[serde(borrow)]
    event_type: Cow<'a, str>,
    flow: Counted<'a>,
}

#[derive(Debug, Deserialize)]
struct Counted<'a> {
    bytes_toserver: u64,
    bytes_toclient: u64,
    /// Of several records of a flow each tells its part.
    part_bytes_toserver: Option<u64>,
    part_bytes_toclient: Option<u64>,
    #[serde(borrow)]
    end: Cow<'a, str>,
    /// None in a record of a flow that goes on.
    #[serde(borrow)]
    reason: Option<Cow<'a, str>>,
}

/// Flows and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Sum {
    pub(super) flows: u64,
    pub(super) bytes: u64,
}

impl Sum {
    pub(super) const fn add(&mut self, other: Self) {
        self.flows += other.flows;
        self.bytes += other.bytes;
    }
}

impl Said {
    /// As the classifier takes it.
    pub(super) fn ended(&self) -> Ended<'_> {
        Ended {
            app: self.app.as_deref(),
            service: self.service.as_deref(),
            proto: self.app_proto.as_deref(),
            evidence: self.evidence,
            rule: self.signature.as_deref(),
            server_name: self.server_name.as_deref(),
            ech: self.ech,
            remembered: self.remembered,
            transport: match &*self.proto {
                "TCP" => Some(Transport::Tcp),
                "UDP" => Some(Transport::Udp),
                _ => None,
            },
            server_ip: self.dest_ip,
            server_port: self.dest_port,
        }
    }
}

/// Flows by what they say, for each minute in which some ended.
#[derive(Debug, Default)]
pub(super) struct Flows {
    minutes: BTreeMap<u64, HashMap<Said, Sum>>,
    kept: usize,
    /// Of flows beyond [`MOST`].
    pub(super) untold: Sum,
    /// Lines that are no records of flows.
    pub(super) others: u64,
}

impl Flows {
    /// Reads the records of flows that ended in the `last` while before the latest of them all.
    pub(super) fn read(files: &[PathBuf], last: Duration) -> anyhow::Result<Self> {
        let mut flows = Self::default();
        for file in files {
            flows
                .read_file(file, last)
                .with_context(|| format!("cannot read {}", file.display()))?;
        }
        Ok(flows)
    }

    /// The first and the last minute, as times since 1970; the last is its end.
    pub(super) fn span(&self) -> Option<(Duration, Duration)> {
        let time = |minute: u64| Duration::from_secs(60 * minute);
        let (first, _) = self.minutes.first_key_value()?;
        let (last, _) = self.minutes.last_key_value()?;
        Some((time(*first), time(last + 1)))
    }

    /// All flows that say the same, once.
    pub(super) fn sums(self) -> HashMap<Said, Sum> {
        let mut sums: HashMap<Said, Sum> = HashMap::new();
        for (said, sum) in self.minutes.into_values().flatten() {
            sums.entry(said).or_default().add(sum);
        }
        sums
    }

    fn read_file(&mut self, path: &Path, last: Duration) -> io::Result<()> {
        let input: Box<dyn Read> = match path.to_str() {
            Some("-") => Box::new(io::stdin().lock()),
            _ => Box::new(File::open(path)?),
        };
        let ending = path.extension().and_then(|ending| ending.to_str());
        let input: Box<dyn Read> = match ending {
            Some("gz") => Box::new(flate2::read::MultiGzDecoder::new(input)),
            Some("zst") => Box::new(zstd::Decoder::new(input)?),
            _ => input,
        };
        let mut input = BufReader::new(input);
        let mut line = Vec::new();
        loop {
            line.clear();
            // A line that is longer is no record, and neither is the rest of it.
            if input.by_ref().take(LONGEST).read_until(b'\n', &mut line)? == 0 {
                return Ok(());
            }
            self.take(&line, last);
        }
    }

    fn take(&mut self, line: &[u8], last: Duration) {
        let Some((minute, said, sum)) = parse(line) else {
            self.others += 1;
            return;
        };
        let minutes = (last.as_secs() / 60).max(1);
        let latest = self
            .minutes
            .last_key_value()
            .map_or(minute, |(last, _)| minute.max(*last));
        if minute + minutes <= latest {
            return;
        }
        while let Some(first) = self.minutes.first_entry()
            && first.key() + minutes <= latest
        {
            self.kept -= first.remove().len();
        }
        let flows = self.minutes.entry(minute).or_default();
        if let Some(known) = flows.get_mut(&said) {
            known.add(sum);
        } else if self.kept < MOST {
            self.kept += 1;
            flows.insert(said, sum);
        } else {
            self.untold.add(sum);
        }
    }
}

/// The minute since 1970 in which a flow ended, and what its record says.
fn parse(line: &[u8]) -> Option<(u64, Said, Sum)> {
    let rest: Rest<'_> = serde_json::from_slice(line).ok()?;
    if rest.event_type != "flow" {
        return None;
    }
    let mut said: Said = serde_json::from_slice(line).ok()?;
    if said.server_name.is_some() {
        // Nothing more is asked of it.
        (said.dest_ip, said.dest_port) = (None, 0);
    }
    let end = humantime::parse_rfc3339(&rest.flow.end).ok()?;
    let end = end.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    let flow = &rest.flow;
    let up = flow.part_bytes_toserver.unwrap_or(flow.bytes_toserver);
    let down = flow.part_bytes_toclient.unwrap_or(flow.bytes_toclient);
    let sum = Sum {
        flows: u64::from(flow.reason.is_some()),
        bytes: up.saturating_add(down),
    };
    Some((end.as_secs() / 60, said, sum))
}

/// The files that a run with these settings writes flow records to: of each output those that were
/// written last.
pub(super) fn files_of(settings: &Settings, last: Duration) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let outs = settings.records.outs.iter();
    for out in outs.filter(|out| out.records == Records::Flows) {
        let Some(path) = out.target.path() else {
            continue;
        };
        let part = |part: Option<&std::ffi::OsStr>| {
            part.and_then(|part| part.to_str())
                .unwrap_or_default()
                .to_owned()
        };
        let (stem, ending) = (part(path.file_stem()), part(path.extension()));
        if !JSON.contains(&&*ending) {
            continue;
        }
        let folder = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        let mut found = Vec::new();
        for entry in fs::read_dir(folder.unwrap_or_else(|| Path::new(".")))? {
            let entry = entry?;
            let name = entry.file_name();
            let Some(rest) = name.to_str().and_then(|name| name.strip_prefix(&*stem)) else {
                continue;
            };
            // `flows.jsonl`, `flows-20260102T030405Z-2.jsonl.zst`
            let rest = rest
                .strip_suffix(".gz")
                .or_else(|| rest.strip_suffix(".zst"))
                .unwrap_or(rest);
            let time = rest
                .strip_suffix(&*ending)
                .and_then(|rest| rest.strip_suffix('.'));
            if time.is_some_and(|time| time.is_empty() || time.starts_with('-')) {
                found.push((entry.metadata()?.modified()?, entry.path()));
            }
        }
        found.sort();
        let newest = found.last().map(|(modified, _)| *modified);
        let is_recent = |modified: SystemTime| {
            newest.is_none_or(|newest| newest.duration_since(modified).unwrap_or_default() <= last)
        };
        let recent = found
            .into_iter()
            .filter(|(modified, _)| is_recent(*modified));
        files.extend(recent.map(|(_, path)| path));
        // One output has all of them; another would count them twice.
        if !files.is_empty() {
            break;
        }
    }
    Ok(files)
}
