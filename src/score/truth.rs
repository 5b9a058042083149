//! What is known of flows: a table, a flow a line.

use std::collections::{BTreeMap, HashMap};
use std::error;
use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use super::key::FlowKey;

/// Names of the columns: ours first, which are those of flow records.
const COLUMNS: &[(Column, &[&str])] = &[
    (Column::Capture, &["capture", "pcap", "file"]),
    (Column::Transport, &["proto", "l4"]),
    (Column::Source, &["src_ip"]),
    (Column::SourcePort, &["src_port"]),
    (Column::Destination, &["dest_ip", "dst_ip"]),
    (Column::DestinationPort, &["dest_port", "dst_port"]),
    (Column::Bytes, &["bytes"]),
    (Column::App, &["app"]),
    (Column::Service, &["service"]),
    (Column::Protocol, &["app_proto", "protocol"]),
    (Column::Strength, &["strength"]),
];

/// Columns without which no flow is found.
const NEEDED: [Column; 3] = [Column::Transport, Column::Source, Column::Destination];

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Column {
    Capture,
    Transport,
    Source,
    SourcePort,
    Destination,
    DestinationPort,
    Bytes,
    App,
    Service,
    Protocol,
    Strength,
}

/// How much a label is worth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Strength {
    /// The flow was looked at.
    #[default]
    Sure,
    /// Guessed by a port or an address.
    Weak,
    /// Whoever labelled did not know.
    Unknown,
}

impl Strength {
    /// What a table says.
    fn of(text: &str) -> Result<Self, String> {
        match text {
            "" | "-" | "sure" | "dpi" => Ok(Self::Sure),
            "weak" => Ok(Self::Weak),
            "unknown" => Ok(Self::Unknown),
            _ => Err(format!(
                "`{text}` is no strength: it is `sure` (or `dpi`), `weak` or `unknown`"
            )),
        }
    }
}

/// What is known of the flows of one five-tuple.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Label {
    /// Applications that are right, the best one first.
    pub apps: Vec<String>,
    /// Services that are right, the best one first.
    pub services: Vec<String>,
    /// Protocols that are right, the best one first.
    pub protocols: Vec<String>,
    /// How much the label is worth.
    pub(super) strength: Strength,
    /// Bytes of the flow, whole frames as on the wire, where the table says so.
    pub bytes: Option<u64>,
}

/// Labels of flows, by captures.
#[derive(Debug, Default)]
pub struct Truth {
    /// By the name of the capture; under no name, where the table has no such column.
    captures: BTreeMap<String, Labels>,
    names_captures: bool,
    /// Lines whose addresses cannot be read: no flow is found for them.
    unreadable: Vec<u64>,
}

/// The labels of a capture.
#[derive(Debug, Default)]
pub(super) struct Labels {
    pub(super) flows: Vec<(FlowKey, Label)>,
    places: HashMap<FlowKey, usize>,
    /// Labels of flows that nobody can find, since their addresses are none.
    pub(super) lost: Vec<(String, Label)>,
}

/// Why a table cannot be used.
#[derive(Debug)]
pub struct TruthError {
    path: PathBuf,
    line: Option<u64>,
    reason: String,
}

impl fmt::Display for TruthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        write!(f, ": {}", self.reason)
    }
}

impl error::Error for TruthError {}

impl Truth {
    /// Reads a table: values apart by commas if the name ends with `.csv`, else by tabs. The first line names
    /// the columns, in any order; those with other names are passed over.
    ///
    /// # Errors
    ///
    /// When it cannot be read, a column is missing, or a value is none.
    pub fn read(path: &Path) -> Result<Self, TruthError> {
        let is_csv = path.extension().is_some_and(|ending| ending == "csv");
        let failed = |line: Option<u64>, reason: String| TruthError {
            path: path.to_owned(),
            line,
            reason,
        };
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(if is_csv { b',' } else { b'\t' })
            .quoting(is_csv)
            .flexible(true)
            .comment(Some(b'#'))
            .from_path(path)
            .map_err(|error| failed(None, error.to_string()))?;
        let headers = reader
            .headers()
            .map_err(|error| failed(None, error.to_string()))?;
        let mut places = BTreeMap::new();
        for &(column, names) in COLUMNS {
            let place = headers.iter().position(|header| names.contains(&header));
            if let Some(place) = place {
                places.insert(column, place);
            } else if NEEDED.contains(&column) {
                let name = names.first().copied().unwrap_or_default();
                let reason = format!("the first line must name the columns, and has no `{name}`");
                return Err(failed(Some(1), reason));
            }
        }
        let mut truth = Self {
            names_captures: places.contains_key(&Column::Capture),
            ..Self::default()
        };
        for row in reader.records() {
            let row = row.map_err(|error| failed(None, error.to_string()))?;
            let line = row.position().map(csv::Position::line);
            let field = |column: Column| -> &str {
                let place = places.get(&column);
                place.and_then(|&place| row.get(place)).unwrap_or("").trim()
            };
            truth
                .add(&field, line.unwrap_or(0))
                .map_err(|reason| failed(line, reason))?;
        }
        Ok(truth)
    }

    fn add<'a>(&mut self, field: &impl Fn(Column) -> &'a str, line: u64) -> Result<(), String> {
        let transport = field(Column::Transport);
        let protocol = FlowKey::protocol(transport)
            .ok_or_else(|| format!("`{transport}` is no transport protocol"))?;
        let port = |column| match field(column) {
            "" | "-" => Ok(0),
            text => text.parse().map_err(|_| format!("`{text}` is no port")),
        };
        let bytes = match field(Column::Bytes) {
            "" | "-" => None,
            text => Some(
                text.parse()
                    .map_err(|_| format!("`{text}` is no number of bytes"))?,
            ),
        };
        let label = Label {
            apps: names(field(Column::App)),
            services: names(field(Column::Service)),
            protocols: names(field(Column::Protocol)),
            strength: Strength::of(field(Column::Strength))?,
            bytes,
        };
        let (from, to) = (field(Column::Source), field(Column::Destination));
        let (from_port, to_port) = (port(Column::SourcePort)?, port(Column::DestinationPort)?);
        let labels = self
            .captures
            .entry(field(Column::Capture).to_owned())
            .or_default();
        let (Ok(source), Ok(destination)) = (from.parse::<IpAddr>(), to.parse::<IpAddr>()) else {
            self.unreadable.push(line);
            let name = format!("{transport} {from} {from_port} {to} {to_port}");
            labels.lost.push((name, label));
            return Ok(());
        };
        labels.add(
            FlowKey::new(protocol, (source, from_port), (destination, to_port)),
            label,
        );
        Ok(())
    }

    /// Whether labels say which capture they are of. If they do not, all of what is read is one.
    pub const fn names_captures(&self) -> bool {
        self.names_captures
    }

    /// The captures that labels are of.
    pub fn captures(&self) -> impl Iterator<Item = &str> {
        self.captures.keys().map(String::as_str)
    }

    /// Whether there are labels of this capture.
    pub fn has(&self, capture: &str) -> bool {
        self.captures.contains_key(capture)
    }

    /// Lines whose addresses cannot be read.
    pub fn unreadable(&self) -> &[u64] {
        &self.unreadable
    }

    pub(super) fn labels(&self, capture: &str) -> Option<&Labels> {
        self.captures.get(capture)
    }
}

impl Labels {
    /// Adds a label. Of two of the same five-tuple that of the larger flow is kept, for both.
    fn add(&mut self, key: FlowKey, mut label: Label) {
        let known = self.places.get(&key).copied();
        let Some((_, old)) = known.and_then(|place| self.flows.get_mut(place)) else {
            self.places.insert(key.clone(), self.flows.len());
            self.flows.push((key, label));
            return;
        };
        let sum = match (old.bytes, label.bytes) {
            (Some(old), Some(new)) => Some(old.saturating_add(new)),
            (old, new) => old.or(new),
        };
        if label.bytes > old.bytes {
            std::mem::swap(old, &mut label);
        }
        old.bytes = sum;
    }
}

/// Names with `|` between them; `-` is none.
fn names(text: &str) -> Vec<String> {
    let names = text.split('|').map(str::trim);
    let names = names.filter(|name| !matches!(*name, "" | "-"));
    names.map(str::to_owned).collect()
}
