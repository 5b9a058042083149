//! What carries a handshake of TLS.

/// What carries the handshake.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum HelloOver {
    /// TLS records over a byte stream.
    #[default]
    Tcp,
    /// CRYPTO frames (RFC 9001).
    Quic,
    /// Datagrams (RFC 9147, RFC 6347): the hello has a cookie. The message is given with the
    /// four-byte header of TLS, without the fragment fields.
    Dtls,
}
