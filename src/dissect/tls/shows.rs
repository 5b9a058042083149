//! What streams begin with.

/// What the start of a stream shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shows {
    /// Nothing, or too little to tell.
    Nothing,
    /// Not TLS.
    Other,
    /// Records without a hello at their start.
    Records,
    /// The start of a ClientHello.
    ClientHello,
    /// The start of a ServerHello, or of the certificate after it where that alone was captured.
    ServerHello,
}
