//! Where an output goes, as a user says it: the name of a file, `-`, or a URL whose scheme names
//! encoding and transport (`ipfix+udp://collector:4739`).

use std::fmt;
use std::path::{Path, PathBuf};

use super::socket::{Host, Settings};
use super::{SINKS, Way};
use crate::encode::{self, ENCODERS, Encoder, LEFT_OUT, Setting};

/// Where an output goes, and in which encoding.
#[derive(Clone, Debug)]
pub struct Target {
    said: PathBuf,
    encoder: &'static Encoder,
    /// A row of [`SINKS`].
    way: &'static Way,
    place: Place,
    options: encode::Options,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    File(PathBuf),
    StandardOutput,
    Host(Host),
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
    /// Reads what a user said. A name without an ending, and `-`, are in the first encoding.
    ///
    /// # Errors
    ///
    /// When ending or scheme are not known: they are never guessed.
    pub fn parse(said: &Path) -> Result<Self, Refused> {
        if let Some(url) = said.to_str().filter(|said| said.contains("://")) {
            return Self::of_url(said, url);
        }
        let mut ways = SINKS.iter();
        let way = ways.find(|way| way.scheme.is_none());
        let (Some(way), Some(encoder)) = (way, ENCODERS.first()) else {
            return Err(Refused::new("there is no sink of files"));
        };
        let (encoder, place) = if said.as_os_str() == "-" {
            (encoder, Place::StandardOutput)
        } else {
            let encoder = by_ending(said)?.unwrap_or(encoder);
            (encoder, Place::File(said.to_owned()))
        };
        Ok(Self {
            said: said.to_owned(),
            encoder,
            way,
            place,
            options: encode::Options::default(),
        })
    }

    /// Of `ENCODING+TRANSPORT://HOST:PORT?NAME=VALUE&...`.
    fn of_url(said: &Path, url: &str) -> Result<Self, Refused> {
        let (scheme, rest) = url.split_once("://").unwrap_or_default();
        let (encoder, way) = by_scheme(scheme)?;
        let (authority, query) = rest.split_once('?').unwrap_or((rest, ""));
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        let (name, port) = host_and_port(authority)
            .ok_or_else(|| Refused::new(format!("`{url}`: `{authority}` is not HOST:PORT")))?;
        let transport = way.scheme.unwrap_or_default();
        let usual = || {
            let mut ports = encoder.ports.iter();
            ports
                .find(|(over, _)| *over == transport)
                .map(|&(_, port)| port)
        };
        let port = port
            .or_else(usual)
            .ok_or_else(|| Refused::new(format!("`{url}` says no port, and {scheme} has none")))?;
        let mut options = encode::Options::default();
        let mut settings = Settings::default();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let taken = set(encoder.settings, &mut options, name, value)
                .or_else(|| set(way.settings, &mut settings, name, value));
            match taken {
                Some(Ok(())) => {}
                Some(Err(why)) => return Err(Refused::new(format!("`{url}`: {name}: {why}"))),
                None => {
                    let known = encoder.settings.iter().map(|one| one.name);
                    let known = known.chain(way.settings.iter().map(|one| one.name));
                    return Err(Refused {
                        message: format!("`{url}`: {scheme} has no setting `{name}`"),
                        said: name.to_owned(),
                        known: known.map(ToOwned::to_owned).collect(),
                    });
                }
            }
        }
        settings
            .check()
            .map_err(|why| Refused::new(format!("`{url}`: {why}")))?;
        Ok(Self {
            said: said.to_owned(),
            encoder,
            way,
            place: Place::Host(Host {
                name: name.into(),
                port,
                settings,
            }),
            options,
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

    /// How they go.
    pub const fn way(&self) -> &'static Way {
        self.way
    }

    /// The file, if it is one; `-` is standard output.
    pub fn path(&self) -> Option<&Path> {
        match &self.place {
            Place::File(path) => Some(path),
            Place::StandardOutput => Some(&self.said),
            Place::Host(_) => None,
        }
    }

    /// Whether it calls out to another host.
    pub const fn connects(&self) -> bool {
        matches!(self.place, Place::Host(_))
    }

    /// The files it is authenticated by: certificates that are trusted, its own, and the key.
    pub fn credentials(&self) -> impl Iterator<Item = &PathBuf> {
        let files = match &self.place {
            Place::Host(Host { settings, .. }) => [&settings.ca, &settings.cert, &settings.key],
            _ => [&None; 3],
        };
        files.into_iter().flatten()
    }

    /// Whether it is standard output.
    pub fn is_standard_output(&self) -> bool {
        self.place == Place::StandardOutput
    }

    pub(super) const fn place(&self) -> &Place {
        &self.place
    }
}

/// As it was said; standard output by its name.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place {
            Place::StandardOutput => f.write_str("standard output"),
            Place::File(_) | Place::Host(_) => self.said.display().fmt(f),
        }
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

/// The encoding of files with this name; `None` where it has no ending.
fn by_ending(path: &Path) -> Result<Option<&'static Encoder>, Refused> {
    let Some(ending) = path.extension() else {
        return Ok(None);
    };
    let known = || ENCODERS.iter().flat_map(|row| row.endings);
    let mut rows = ENCODERS.iter();
    let is_it = |one: &&str| ending.eq_ignore_ascii_case(one);
    match rows.find(|row| row.endings.iter().any(is_it)) {
        Some(row) => Ok(Some(row)),
        None => Err(Refused {
            message: match LEFT_OUT.iter().find(|one| is_it(one)) {
                Some(feature) => format!(
                    "{}: this build writes no Parquet: it needs `cargo build --features {feature}`, as \
                     `make build` does",
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

/// Encoding and transport of a scheme.
fn by_scheme(scheme: &str) -> Result<(&'static Encoder, &'static Way), Refused> {
    let ways = || SINKS.iter().filter_map(|way| Some((way, way.scheme?)));
    let encoders = ENCODERS.iter().filter_map(|row| Some((row, row.scheme?)));
    let all = encoders.flat_map(|(encoder, encoding)| {
        ways().map(move |(way, transport)| (format!("{encoding}+{transport}"), encoder, way))
    });
    let all: Vec<_> = all.collect();
    let found = all
        .iter()
        .find(|(name, ..)| name.eq_ignore_ascii_case(scheme));
    match found {
        Some(&(_, encoder, way)) => Ok((encoder, way)),
        None => Err(Refused {
            message: format!("there is no scheme `{scheme}`"),
            said: scheme.to_owned(),
            known: all.into_iter().map(|(name, ..)| name).collect(),
        }),
    }
}

/// `HOST`, `HOST:PORT`, `[V6]` or `[V6]:PORT`.
fn host_and_port(authority: &str) -> Option<(&str, Option<u16>)> {
    let (name, rest) = match authority.strip_prefix('[') {
        Some(v6) => v6.split_once(']')?,
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    let is_name = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '%');
    if name.is_empty() || !name.chars().all(is_name) {
        return None;
    }
    match rest.strip_prefix(':') {
        Some(port) => Some((name, Some(port.parse().ok().filter(|&port| port > 0)?))),
        None => rest.is_empty().then_some((name, None)),
    }
}

/// Gives the value to the setting of this name; `None` if there is none.
fn set<T>(
    settings: &[Setting<T>],
    all: &mut T,
    name: &str,
    value: &str,
) -> Option<Result<(), String>> {
    let setting = settings.iter().find(|setting| setting.name == name)?;
    Some((setting.set)(all, value))
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
                assert!(text.contains(".csv, .ipfix"), "{text}");
            }
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
                    let Place::Host(host) = target.place() else {
                        panic!("{said}")
                    };
                    let found = (target.encoder().name, target.way().scheme.unwrap());
                    assert_eq!(found, (encoding, transport), "{said}");
                    assert_eq!((&*host.name, host.port), (name, port), "{said}");
                    assert_eq!(target.path(), None);
                }
                (Err(refused), Err(part)) => {
                    assert!(refused.to_string().contains(part), "{refused}");
                }
                (target, _) => panic!("{said}: {target:?}"),
            }
        }
    }
}
