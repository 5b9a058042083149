//! Where an output goes, as a user says it: the name of a file, `-`, or a URL whose scheme names
//! encoding and transport (`ipfix+udp://collector:4739`).

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::way::{Named, Open, Opened, Opening, Place, Said, Way};
use crate::encode::{self, ENCODERS, Encoder, Framing, LEFT_OUT};

/// Where an output goes, and in which encoding.
#[derive(Clone, Debug)]
pub struct Target {
    said: PathBuf,
    encoder: &'static Encoder,
    options: encode::Options,
    way: &'static Way,
    place: Arc<dyn Place>,
}

/// A target with all that has to be found before rights are given up.
pub struct Prepared {
    framing: Framing,
    open: Open,
}

/// Why it is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// What was found, and what was expected.
    pub message: String,
    /// The part of it that is not known; empty where that is not the reason.
    pub said: String,
    /// What is known in its place.
    pub known: Vec<String>,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if !self.known.is_empty() {
            write!(f, ", expected {}", self.known.join(", "))?;
        }
        Ok(())
    }
}

impl std::error::Error for Refused {}

/// The same is said.
impl PartialEq for Target {
    fn eq(&self, other: &Self) -> bool {
        self.said == other.said
    }
}

impl Eq for Target {}

impl Target {
    /// Reads what a user said, of these ways.
    pub(super) fn find(said: &Path, ways: &'static [Way]) -> Result<Self, Refused> {
        let text = said.to_str().unwrap_or_default();
        if text.contains("://") {
            return Self::of_url(said, text, ways);
        }
        let is_word = |word: &str| !word.is_empty() && word.chars().all(char::is_alphanumeric);
        let (encoder, named) = match text.strip_suffix(":-") {
            Some(word) if is_word(word) => (by_stream(text, word)?, Named::Dash),
            _ if text == "-" => (first()?, Named::Dash),
            _ => (by_ending(said)?, Named::File),
        };
        let way = ways.iter().find(|way| way.named == named);
        let way = way.ok_or_else(|| Refused::new("there is no sink of files"))?;
        let place = Said {
            name: said,
            port: None,
            settings: Vec::new(),
        };
        Ok(Self {
            said: said.to_owned(),
            encoder,
            options: encode::Options::default(),
            way,
            place: (way.place)(&place).map_err(Refused::new)?,
        })
    }

    /// Of `ENCODING+TRANSPORT://PLACE?NAME=VALUE&...`.
    fn of_url(said: &Path, url: &str, ways: &'static [Way]) -> Result<Self, Refused> {
        let (scheme, rest) = url.split_once("://").unwrap_or_default();
        let (encoder, way, transport) = by_scheme(scheme, ways)?;
        let (name, query) = rest.split_once('?').unwrap_or((rest, ""));
        let mut ports = encoder.ports.iter();
        let port = ports.find(|(over, _)| *over == transport);
        let mut place = Said {
            name: Path::new(name),
            port: port.map(|&(_, port)| port),
            settings: Vec::new(),
        };
        let mut options = encode::Options::default();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let mut settings = encoder.settings.iter();
            if let Some(setting) = settings.find(|setting| setting.name == name) {
                (setting.check)(value)
                    .map_err(|why| Refused::new(format!("`{url}`: {name}: {why}")))?;
                options.set(setting, value);
            } else if way.settings.contains(&name) {
                place.settings.push((name, value));
            } else {
                let known = encoder.settings.iter().map(|one| one.name);
                let known = known.chain(way.settings.iter().copied());
                return Err(Refused {
                    message: format!("`{url}`: {scheme} has no setting `{name}`"),
                    said: name.to_owned(),
                    known: known.map(ToOwned::to_owned).collect(),
                });
            }
        }
        let place = (way.place)(&place);
        Ok(Self {
            said: said.to_owned(),
            encoder,
            options,
            way,
            place: place.map_err(|why| Refused::new(format!("`{url}`: {why}")))?,
        })
    }

    /// How records are written.
    pub const fn encoder(&self) -> &'static Encoder {
        self.encoder
    }

    /// What the encoder is made with.
    pub const fn options(&self) -> &encode::Options {
        &self.options
    }

    /// The file, if it is one; `-` is standard output.
    pub fn path(&self) -> Option<&Path> {
        self.place.path()
    }

    /// Whether it calls out to another host.
    pub fn connects(&self) -> bool {
        self.place.connects()
    }

    /// The files it is authenticated by: certificates that are trusted, its own, and the key.
    pub fn credentials(&self) -> Vec<&Path> {
        self.place.credentials()
    }

    /// Whether it is standard output.
    pub fn is_standard_output(&self) -> bool {
        self.way.named == Named::Dash
    }

    /// Looks up the host, and reads what TLS needs, if that is where it goes.
    ///
    /// # Errors
    ///
    /// When there is no such host or file.
    pub fn prepare(&self) -> io::Result<Prepared> {
        let open = self.place.prepare();
        Ok(Prepared {
            framing: self.encoder.framing,
            open: open.map_err(|error| io::Error::new(error.kind(), format!("{self}: {error}")))?,
        })
    }
}

impl Prepared {
    /// Opens it. Of a connection of a live run that need not be there yet.
    ///
    /// # Errors
    ///
    /// When nothing can be written there.
    pub fn open(self, opening: &Opening) -> io::Result<Opened> {
        (self.open)(self.framing, opening)
    }
}

impl fmt::Debug for Prepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prepared")
            .field("framing", &self.framing)
            .finish_non_exhaustive()
    }
}

/// As it was said; standard output by its name.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_standard_output() {
            return f.write_str("standard output");
        }
        self.said.display().fmt(f)
    }
}

impl Refused {
    fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            said: String::new(),
            known: Vec::new(),
        }
    }
}

/// The encoding where none is named.
fn first() -> Result<&'static Encoder, Refused> {
    let first = ENCODERS.first();
    first.ok_or_else(|| Refused::new("there is no encoding"))
}

/// The encoding of files with this name.
fn by_ending(path: &Path) -> Result<&'static Encoder, Refused> {
    let Some(ending) = path.extension() else {
        return first();
    };
    let known = || ENCODERS.iter().flat_map(|row| row.endings);
    let mut rows = ENCODERS.iter();
    let is_it = |one: &&str| ending.eq_ignore_ascii_case(one);
    match rows.find(|row| row.endings.iter().any(is_it)) {
        Some(row) => Ok(row),
        None => Err(Refused {
            message: match LEFT_OUT.iter().find(|one| is_it(one)) {
                Some(feature) => format!(
                    "{}: this build writes no files with the ending `.{feature}`: it needs `cargo build \
                     --features {feature}`, as `make build` does",
                    path.display()
                ),
                None => format!(
                    "{}: no records are written into files with the ending `.{}`",
                    path.display(),
                    ending.display()
                ),
            },
            said: format!(".{}", ending.display()),
            known: known().map(|one| format!(".{one}")).collect(),
        }),
    }
}

/// The encoding of this name, for a stream.
fn by_stream(said: &str, word: &str) -> Result<&'static Encoder, Refused> {
    let mut rows = ENCODERS.iter();
    let found = rows.find(|row| row.scheme.eq_ignore_ascii_case(word));
    match found {
        Some(row) if row.framing.is_stream() => Ok(row),
        other => Err(Refused {
            message: match other {
                Some(row) => format!(
                    "`{said}`: {} is written into files only, it cannot go to standard output",
                    row.name
                ),
                None => format!(
                    "`{said}`: there is no encoding `{word}` (a file of that name is `./{said}`)"
                ),
            },
            said: format!("{word}:-"),
            known: streams().map(|row| format!("{}:-", row.scheme)).collect(),
        }),
    }
}

/// The encodings whose records can be sent one by one.
fn streams() -> impl Iterator<Item = &'static Encoder> {
    ENCODERS.iter().filter(|row| row.framing.is_stream())
}

/// Encoding and transport of a scheme, and what the transport is called.
fn by_scheme(
    scheme: &str,
    ways: &'static [Way],
) -> Result<(&'static Encoder, &'static Way, &'static str), Refused> {
    let ways = || {
        ways.iter().filter_map(|way| match way.named {
            Named::Url { scheme, .. } => Some((way, scheme)),
            Named::Dash | Named::File => None,
        })
    };
    let all = streams().flat_map(|row| ways().map(move |(way, transport)| (row, way, transport)));
    let name = |(row, _, transport): &(&Encoder, &Way, &str)| format!("{}+{transport}", row.scheme);
    let all: Vec<_> = all.collect();
    let found = all
        .iter()
        .find(|one| name(one).eq_ignore_ascii_case(scheme));
    found.copied().ok_or_else(|| Refused {
        message: format!("there is no scheme `{scheme}`"),
        said: scheme.to_owned(),
        known: all.iter().map(name).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endings_are_known_or_refused() {
        for (said, expected) in [
            ("-", Ok("JSON Lines")),
            ("flows", Ok("JSON Lines")),
            ("/dev/null", Ok("JSON Lines")),
            ("dir.d/flows", Ok("JSON Lines")),
            ("flows.jsonl", Ok("JSON Lines")),
            ("flows.CSV", Ok("CSV")),
            ("a.b.ipfix", Ok("IPFIX")),
            ("flows.txt", Err(".txt")),
            ("flows.jsonl.gz", Err(".gz")),
            ("flows.", Err(".")),
        ] {
            let target = Target::parse(Path::new(said));
            let found = target
                .as_ref()
                .map(|target| target.encoder().name)
                .map_err(|refused| refused.said.as_str());
            assert_eq!(found, expected, "{said}");
            if let Err(refused) = &target {
                let text = refused.to_string();
                let all = ENCODERS.iter().flat_map(|row| row.endings);
                for ending in all {
                    assert!(text.contains(&format!(".{ending}")), "{text}");
                }
            }
        }
    }

    #[test]
    fn every_encoding_that_is_a_stream_goes_to_standard_output() {
        for row in ENCODERS {
            let said = format!("{}:-", row.scheme);
            match Target::parse(Path::new(&said)) {
                Ok(target) => {
                    assert!(row.framing.is_stream(), "{said}");
                    assert_eq!(target.encoder().name, row.name);
                    assert!(target.is_standard_output());
                    assert_eq!(target.path(), Some(Path::new("-")));
                    assert_eq!(target.to_string(), "standard output");
                }
                Err(refused) => {
                    assert!(!row.framing.is_stream(), "{refused}");
                    assert!(refused.to_string().contains("into files only"), "{refused}");
                }
            }
        }
        let refused = Target::parse(Path::new("cvs:-")).unwrap_err();
        assert_eq!(refused.said, "cvs:-");
        assert!(refused.known.contains(&"csv:-".to_owned()));
        // What could not be meant so is the name of a file.
        for said in ["./csv:-", "a.b:-.csv", ":-", "csv:"] {
            let target = Target::parse(Path::new(said)).unwrap();
            assert_eq!(target.path(), Some(Path::new(said)));
        }
    }

    #[test]
    fn urls_are_known_or_refused() {
        // (URL, encoding, transport, host, port), or a part of what is said.
        for (said, expected) in [
            ("ipfix+udp://c", Ok(("IPFIX", "udp", "c", 4739))),
            ("ipfix+tls://c/", Ok(("IPFIX", "tls", "c", 4740))),
            (
                "IPFIX+TCP://10.0.0.1:9",
                Ok(("IPFIX", "tcp", "10.0.0.1", 9)),
            ),
            (
                "ipfix+udp://[::1]:9?refresh=30s&domain=5",
                Ok(("IPFIX", "udp", "::1", 9)),
            ),
            ("syslog+udp://c", Ok(("syslog", "udp", "c", 514))),
            (
                "syslog+tls://c?facility=local4&ca=/x",
                Ok(("syslog", "tls", "c", 6514)),
            ),
            (
                "ipfix+tls://c?ca=/x&cert=/y&key=/z",
                Ok(("IPFIX", "tls", "c", 4740)),
            ),
            ("ipfix+tls://c?cert=/y", Err("cert needs key=FILE")),
            ("ipfix+tls://c?key=/z", Err("key needs cert=FILE")),
            (
                "ipfix+tcp://c?cert=/y&key=/z",
                Err("no setting `cert`, expected domain"),
            ),
            ("syslog+tcp://c:601", Ok(("syslog", "tcp", "c", 601))),
            ("json+tcp://c:1", Ok(("JSON Lines", "tcp", "c", 1))),
            ("syslog+tcp://c", Err("says no port")),
            ("json+udp://c", Err("says no port")),
            ("ipfx+udp://c", Err("expected json+udp, ")),
            ("http://c", Err("no scheme `http`")),
            ("ipfix+udp://", Err("is not HOST:PORT")),
            ("ipfix+udp://c:0", Err("is not HOST:PORT")),
            ("ipfix+udp://c:99999", Err("is not HOST:PORT")),
            ("ipfix+udp://u@c", Err("is not HOST:PORT")),
            ("ipfix+udp://c/path", Err("is not HOST:PORT")),
            ("ipfix+udp://[::1", Err("is not HOST:PORT")),
            ("ipfix+udp://c?refresh=0s", Err("at least 1s")),
            (
                "ipfix+udp://c?ca=x",
                Err("no setting `ca`, expected domain, refresh"),
            ),
            ("ipfix+udp://c?domain=0", Err("from 1 to")),
            ("syslog+udp://c?facility=local9", Err("none of kern, ")),
        ] {
            match (Target::parse(Path::new(said)), expected) {
                (Ok(target), Ok((encoding, transport, name, port))) => {
                    assert_eq!(target.encoder().name, encoding, "{said}");
                    let Named::Url { scheme, .. } = target.way.named else {
                        panic!("{said}")
                    };
                    assert_eq!(scheme, transport, "{said}");
                    let place = format!("{:?}", target.place);
                    let host = format!("name: {name:?}, port: {port} ");
                    assert!(place.contains(&host), "{place}");
                    assert_eq!(target.path(), None);
                    assert!(target.connects());
                }
                (Err(refused), Err(part)) => {
                    assert!(refused.to_string().contains(part), "{refused}");
                }
                (target, _) => panic!("{said}: {target:?}"),
            }
        }
    }
}
