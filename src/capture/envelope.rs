//! What a source has taken from around a frame before it hands it over.

/// The datagram in which a mirror has sent a frame to this host (RFC 7348, RFC 8926).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Envelope {
    /// There was none: the frame is as it was on the wire.
    #[default]
    None,
    /// VXLAN, with its network identifier.
    Vxlan(u32),
    /// GENEVE, with its network identifier.
    Geneve(u32),
    /// The mirror's protocol, with neither an Ethernet frame nor an IP packet in it. The bytes are those
    /// of the datagram.
    Other,
    /// None of the mirror's: the header does not hold. The bytes are those of the datagram.
    Malformed,
}
