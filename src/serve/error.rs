//! Why there is no server.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Why the server does not start, or keeps its old certificate and token.
#[derive(Debug)]
pub enum Error {
    /// Others could reach the address, and what that needs is missing.
    Open {
        /// The address.
        listen: SocketAddr,
        /// Certificate and key are missing.
        tls: bool,
        /// The token is missing.
        token: bool,
    },
    /// The address cannot be listened on.
    Bind(SocketAddr, io::Error),
    /// A file cannot be read.
    Read(PathBuf, io::Error),
    /// A file does not hold what it should.
    Content(PathBuf, String),
    /// The thread or its event loop cannot be made.
    Thread(io::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open { listen, tls, token } => {
                write!(f, "others can reach {listen}, which needs ")?;
                let certificate = "a certificate and its key (--tls-cert FILE --tls-key FILE)";
                let bearer = "a bearer token (--token-file FILE)";
                match (tls, token) {
                    (true, true) => write!(f, "{certificate} and {bearer}")?,
                    (true, false) => f.write_str(certificate)?,
                    _ => f.write_str(bearer)?,
                }
                let port = listen.port();
                write!(f, "; --listen 127.0.0.1:{port} needs none of it")
            }
            Self::Bind(address, error) => write!(f, "cannot listen on {address}: {error}"),
            Self::Read(path, error) => write!(f, "cannot read {}: {error}", path.display()),
            Self::Content(path, why) => write!(f, "{}: {why}", path.display()),
            Self::Thread(error) => write!(f, "cannot start the HTTP server: {error}"),
        }
    }
}

// What the system says is in the text already: as a source it would be printed twice.
impl std::error::Error for Error {}
