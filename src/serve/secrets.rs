//! Certificate, key and bearer token: read from files, checked, and compared.

use std::fmt;
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use subtle::ConstantTimeEq;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::config::{Config, Tls};
use super::error::Error;

/// A file larger than this is not one of ours.
const MAX_FILE: u64 = 1 << 20;

/// 16 characters of base64 are 96 bits; less could be guessed.
const MIN_TOKEN: usize = 16;

/// What is not for everyone's eyes.
pub(super) struct Secrets {
    pub(super) tls: Option<Arc<ServerConfig>>,
    token: Option<Box<[u8]>>,
}

/// Says what there is, never what it is.
impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secrets")
            .field("tls", &self.tls.is_some())
            .field("token", &self.token.is_some())
            .finish()
    }
}

impl Secrets {
    pub(super) fn load(config: &Config) -> Result<Self, Error> {
        Ok(Self {
            tls: config.tls.as_ref().map(server_config).transpose()?,
            token: config.token.as_deref().map(token).transpose()?,
        })
    }

    /// The same from the files as they are now. A certificate with its key, or a token, that may not
    /// be read any more is the old one, and why is told.
    pub(super) fn again(&self, config: &Config) -> Result<(Self, Vec<Error>), Error> {
        let mut kept = Vec::new();
        let tls = config.tls.as_ref().map(server_config);
        let token = config.token.as_deref().map(token);
        let secrets = Self {
            tls: or_old(tls.transpose(), || self.tls.clone(), &mut kept)?,
            token: or_old(token.transpose(), || self.token.clone(), &mut kept)?,
        };
        Ok((secrets, kept))
    }

    /// Whether this `Authorization` header (RFC 6750) opens the door; it does where there is none.
    pub(super) fn admit(&self, authorization: Option<&[u8]>) -> bool {
        let Some(token) = &self.token else {
            return true;
        };
        let given = authorization.and_then(|value| {
            let (scheme, rest) = value.split_at_checked(b"bearer ".len())?;
            scheme
                .eq_ignore_ascii_case(b"bearer ")
                .then(|| rest.trim_ascii())
        });
        // Takes the same time wherever the first difference is; only the length may show.
        given.is_some_and(|given| bool::from(given.ct_eq(token)))
    }
}

/// What was read, or the old where reading it is not allowed any more.
fn or_old<T>(
    read: Result<T, Error>,
    old: impl FnOnce() -> T,
    kept: &mut Vec<Error>,
) -> Result<T, Error> {
    match read {
        Err(Error::Read(path, error)) if error.kind() == ErrorKind::PermissionDenied => {
            kept.push(Error::Read(path, error));
            Ok(old())
        }
        read => read,
    }
}

fn server_config(tls: &Tls) -> Result<Arc<ServerConfig>, Error> {
    let content = |path: &Path, why: String| Error::Content(path.to_owned(), why);
    let pem = read(&tls.certificate)?;
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<_, _>>()
        .map_err(|error| content(&tls.certificate, format!("not a PEM certificate: {error}")))?;
    if certificates.is_empty() {
        let why = "holds no certificate (BEGIN CERTIFICATE)".to_owned();
        return Err(content(&tls.certificate, why));
    }
    warn_if_open(&tls.key, "the private key")?;
    let key = PrivateKeyDer::from_pem_slice(&read(&tls.key)?)
        .map_err(|error| content(&tls.key, format!("not a PEM private key: {error}")))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| {
            builder
                .with_no_client_auth()
                .with_single_cert(certificates, key)
        })
        .map_err(|error| content(&tls.key, format!("does not fit the certificate: {error}")))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn token(path: &Path) -> Result<Box<[u8]>, Error> {
    warn_if_open(path, "the token")?;
    let bytes = read(path)?;
    let token = bytes.trim_ascii();
    let content = |why: &str| Err(Error::Content(path.to_owned(), why.to_owned()));
    if token.len() < MIN_TOKEN {
        return content("a token needs at least 16 characters");
    }
    if !token.iter().all(u8::is_ascii_graphic) {
        return content("a token is one line of visible ASCII characters");
    }
    Ok(token.into())
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    let error = |error| Error::Read(path.to_owned(), error);
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(error)?;
    file.take(MAX_FILE + 1)
        .read_to_end(&mut bytes)
        .map_err(error)?;
    if bytes.len() as u64 > MAX_FILE {
        let why = "larger than any certificate, key or token (1 MiB)".to_owned();
        return Err(Error::Content(path.to_owned(), why));
    }
    Ok(bytes)
}

fn warn_if_open(path: &Path, what: &str) -> Result<(), Error> {
    if world_readable(path).map_err(|error| Error::Read(path.to_owned(), error))? {
        let path = path.display();
        tracing::warn!("everyone on this machine can read {what} in {path}; chmod o-r {path}");
    }
    Ok(())
}

/// Whether users other than the owner and the group may read the file.
pub(super) fn world_readable(path: &Path) -> io::Result<bool> {
    Ok(std::fs::metadata(path)?.mode() & 0o004 != 0)
}
