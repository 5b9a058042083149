//! What TLS needs of a client: whom it trusts (RFC 5425, section 5; RFC 7011, section 11.3).

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::Settings;

/// A client that trusts the certificates of the settings' file, or those that browsers trust.
pub(super) fn config(settings: &Settings) -> io::Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    match &settings.ca {
        Some(path) => trust(path, &mut roots)
            .map_err(|why| io::Error::other(format!("{}: {why}", path.display())))?,
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

fn trust(path: &Path, roots: &mut RootCertStore) -> Result<(), String> {
    let pem = fs::read(path).map_err(|error| error.to_string())?;
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|error| format!("not a PEM certificate: {error}"))?;
        let added = roots.add(certificate);
        added.map_err(|error| format!("cannot be trusted: {error}"))?;
    }
    if roots.is_empty() {
        return Err("holds no certificate (BEGIN CERTIFICATE)".to_owned());
    }
    Ok(())
}
