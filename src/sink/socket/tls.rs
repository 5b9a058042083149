//! What TLS needs of a client: whom it trusts, and what it shows where the other side asks who it is
//! (RFC 5425, section 4.2; RFC 7011, section 11.3, has both sides do so).

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::settings::Settings;

/// A client that trusts the certificates of the settings' file, or those that browsers trust, and
/// has the certificate that the settings name, or none.
pub(super) fn config(settings: &Settings) -> io::Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    match &settings.ca {
        Some(path) => {
            for certificate in certificates(path)? {
                let added = roots.add(certificate);
                added.map_err(|error| about(path, &format!("cannot be trusted: {error}")))?;
            }
        }
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(roots);
    let config = match (&settings.cert, &settings.key) {
        (Some(certificate), Some(path)) => builder
            .with_client_auth_cert(certificates(certificate)?, key(path)?)
            .map_err(|error| about(path, &format!("does not fit the certificate: {error}")))?,
        _ => builder.with_no_client_auth(),
    };
    Ok(Arc::new(config))
}

/// The certificates in a file, of which there is at least one.
fn certificates(path: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    let pem = read(path)?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let certificates =
        certificates.map_err(|error| about(path, &format!("not a PEM certificate: {error}")))?;
    if certificates.is_empty() {
        return Err(about(path, "holds no certificate (BEGIN CERTIFICATE)"));
    }
    Ok(certificates)
}

fn key(path: &Path) -> io::Result<PrivateKeyDer<'static>> {
    PrivateKeyDer::from_pem_slice(&read(path)?).map_err(|error| {
        let text = format!("not a PEM private key without a password (BEGIN PRIVATE KEY): {error}");
        about(path, &text)
    })
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    fs::read(path).map_err(|error| {
        let text = format!("{}: {error}", path.display());
        io::Error::new(error.kind(), text)
    })
}

fn about(path: &Path, why: &str) -> io::Error {
    io::Error::other(format!("{}: {why}", path.display()))
}
