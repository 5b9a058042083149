//! What a URL may say of how a host is spoken to, behind its `?`.

use std::path::PathBuf;
use std::time::Duration;

/// What was said, or is so where nothing was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Settings {
    /// After how long the head (IPFIX: templates) is said again where datagrams may be lost (RFC 7011,
    /// section 8.4).
    pub(super) refresh: Duration,
    /// PEM file of certificates that are trusted, in place of the well-known ones.
    pub(super) ca: Option<PathBuf>,
    /// PEM file of the certificate this side shows, with those between it and the root.
    pub(super) cert: Option<PathBuf>,
    /// PEM file of its private key.
    pub(super) key: Option<PathBuf>,
}

impl Settings {
    /// Reads names and values; a later one takes the place of an earlier.
    pub(super) fn read(said: &[(&str, &str)]) -> Result<Self, String> {
        let mut settings = Self::default();
        for &(name, value) in said {
            match name {
                "refresh" => {
                    let length = humantime::parse_duration(value).ok();
                    let length = length.filter(|length| length.as_secs() > 0);
                    settings.refresh = length.ok_or_else(|| {
                        format!(
                            "refresh: `{value}` is not a length of time of at least 1s (30s, 10m)"
                        )
                    })?;
                }
                "ca" => settings.ca = Some(value.into()),
                "cert" => settings.cert = Some(value.into()),
                "key" => settings.key = Some(value.into()),
                other => return Err(format!("there is no setting `{other}`")),
            }
        }
        match (&settings.cert, &settings.key) {
            (Some(_), None) => Err("cert needs key=FILE as well".to_owned()),
            (None, Some(_)) => Err("key needs cert=FILE as well".to_owned()),
            _ => Ok(settings),
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            refresh: Duration::from_secs(600),
            ca: None,
            cert: None,
            key: None,
        }
    }
}
