//! The table of QUIC versions: which salt, labels, packet types and handshake each one has.
//!
//! Numbers are from the IANA registry "QUIC Versions" and, for those outside it, the list of
//! versions in the wiki of github.com/quicwg/base-drafts. `header` reads packets by it, `crypto`
//! derives keys by it.

/// What is known of one version.
#[derive(Debug)]
pub(super) struct Version {
    /// Salts the Initial secret may be made with. More than one where a range of experimental
    /// versions has followed the drafts without changing its number.
    pub(super) salts: &'static [Salt],
    /// HKDF labels.
    pub(super) labels: &'static Labels,
    /// What the two type bits of a long header mean, by their value.
    pub(super) types: &'static [PacketType; 4],
    /// What the CRYPTO frames of the client's Initial carry.
    pub(super) handshake: Handshake,
    /// Frames are those of gQUIC, not of RFC 9000 section 19.
    pub(super) google_frames: bool,
}

/// What is inside CRYPTO frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Handshake {
    /// TLS 1.3 (RFC 9001).
    Tls,
    /// QUIC Crypto of gQUIC: a CHLO message.
    QuicCrypto,
}

/// The long packet types (RFC 9000 section 17.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PacketType {
    /// Carries the ClientHello.
    Initial,
    /// Early data.
    ZeroRtt,
    /// Under handshake keys.
    Handshake,
    /// The server asks for the same Initial with a token.
    Retry,
}

/// HKDF-Expand-Label inputs (RFC 8446 section 7.1), encoded with length and empty context.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Labels {
    pub(super) key: &'static [u8],
    pub(super) iv: &'static [u8],
    pub(super) hp: &'static [u8],
}

/// The index of an initial salt in [`SALTS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Salt {
    Draft22,
    Draft23,
    Draft29,
    V1,
    V2Draft,
    V2,
    Q050,
    T050,
    T051,
}

/// The initial salts, in the order of [`Salt`].
pub(super) const SALTS: [[u8; 20]; 9] = [
    // draft-ietf-quic-tls-21 and -22
    *b"\x7f\xbc\xdb\x0e\x7c\x66\xbb\xe9\x19\x3a\x96\xcd\x21\x51\x9e\xbd\x7a\x02\x64\x4a",
    // draft-ietf-quic-tls-23 to -28
    *b"\xc3\xee\xf7\x12\xc7\x2e\xbb\x5a\x11\xa7\xd2\x43\x2b\xb4\x63\x65\xbe\xf9\xf5\x02",
    // draft-ietf-quic-tls-29 to -32
    *b"\xaf\xbf\xec\x28\x99\x93\xd2\x4c\x9e\x97\x86\xf1\x9c\x61\x11\xe0\x43\x90\xa8\x99",
    // draft-ietf-quic-tls-33, -34 and RFC 9001 section 5.2
    *b"\x38\x76\x2c\xf7\xf5\x59\x34\xb3\x4d\x17\x9a\xe6\xa4\xc8\x0c\xad\xcc\xbb\x7f\x0a",
    // draft-ietf-quic-v2-00 to -05
    *b"\xa7\x07\xc2\x03\xa5\x9b\x47\x18\x4a\x1d\x62\xca\x57\x04\x06\xea\x7a\xe3\xe5\xd3",
    // RFC 9369 section 3.3.1
    *b"\x0d\xed\xe3\xde\xf7\x00\xa6\xdb\x81\x93\x81\xbe\x6e\x26\x9d\xcb\xf9\xbd\x2e\xd9",
    // Google's Q050, T050 and T051
    *b"\x50\x45\x74\xef\xd0\x66\xfe\x2f\x9d\x94\x5c\xfc\xdb\xd3\xa7\xf0\xd3\xb5\x6b\x45",
    *b"\x7f\xf5\x79\xe5\xac\xd0\x72\x91\x55\x80\x30\x4c\x43\xa2\x36\x7c\x60\x48\x83\x10",
    *b"\x7a\x4e\xde\xf4\xe7\xcc\xee\x5f\xa4\x50\x6c\x19\x12\x4f\xc8\xcc\xda\x6e\x03\x3d",
];

/// RFC 9001 section 5.1.
pub(super) const V1_LABELS: Labels = Labels {
    key: b"\x00\x10\x0etls13 quic key\x00",
    iv: b"\x00\x0c\x0dtls13 quic iv\x00",
    hp: b"\x00\x10\x0dtls13 quic hp\x00",
};

/// RFC 9369 section 3.3.2.
pub(super) const V2_LABELS: Labels = Labels {
    key: b"\x00\x10\x10tls13 quicv2 key\x00",
    iv: b"\x00\x0c\x0ftls13 quicv2 iv\x00",
    hp: b"\x00\x10\x0ftls13 quicv2 hp\x00",
};

/// The labels of the Initial secrets, the same in all versions.
pub(super) const CLIENT_IN: &[u8] = b"\x00\x20\x0ftls13 client in\x00";
/// The server's.
pub(super) const SERVER_IN: &[u8] = b"\x00\x20\x0ftls13 server in\x00";

/// RFC 9000 section 17.2.
const V1_TYPES: [PacketType; 4] = [
    PacketType::Initial,
    PacketType::ZeroRtt,
    PacketType::Handshake,
    PacketType::Retry,
];

/// RFC 9369 section 3.2.
const V2_TYPES: [PacketType; 4] = [
    PacketType::Retry,
    PacketType::Initial,
    PacketType::ZeroRtt,
    PacketType::Handshake,
];

/// Version 1 with another salt.
const fn like_v1(salts: &'static [Salt]) -> Version {
    Version {
        salts,
        labels: &V1_LABELS,
        types: &V1_TYPES,
        handshake: Handshake::Tls,
        google_frames: false,
    }
}

/// Google's versions with IETF headers and their own frames.
const fn google(salts: &'static [Salt], handshake: Handshake) -> Version {
    Version {
        handshake,
        google_frames: true,
        ..like_v1(salts)
    }
}

/// A version of RFC 9369 or its drafts.
const fn like_v2(salts: &'static [Salt], types: &'static [PacketType; 4]) -> Version {
    Version {
        labels: &V2_LABELS,
        types,
        ..like_v1(salts)
    }
}

/// Version numbers from the first to the last, and what they mean; the commonest first.
const VERSIONS: &[(u32, u32, Version)] = &[
    (0x0000_0001, 0x0000_0001, like_v1(&[Salt::V1])),
    (0x6b33_43cf, 0x6b33_43cf, like_v2(&[Salt::V2], &V2_TYPES)),
    // mvfst (Facebook). The number says which draft it began as, the code which salt it kept.
    (0xface_b001, 0xface_b001, like_v1(&[Salt::Draft22])),
    (
        0xface_b003,
        0xface_b004,
        like_v1(&[Salt::V1, Salt::Draft29]),
    ),
    (
        0xface_b000,
        0xface_b01f,
        like_v1(&[Salt::Draft23, Salt::V1]),
    ),
    (
        0xface_feed,
        0xface_feed,
        like_v1(&[Salt::V1, Salt::Draft23]),
    ),
    // draft-ietf-quic-transport
    (0xff00_0016, 0xff00_0016, like_v1(&[Salt::Draft22])),
    (0xff00_0017, 0xff00_001c, like_v1(&[Salt::Draft23])),
    (0xff00_001d, 0xff00_0020, like_v1(&[Salt::Draft29])),
    (0xff00_0021, 0xff00_0022, like_v1(&[Salt::V1])),
    // draft-ietf-quic-v2: -00 still had the packet types of version 1
    (
        0xff02_0000,
        0xff02_0000,
        like_v2(&[Salt::V2Draft], &V1_TYPES),
    ),
    (
        0x709a_50c4,
        0x709a_50c4,
        like_v2(&[Salt::V2Draft], &V2_TYPES),
    ),
    // Google: Q050 to Q059, Q099
    (
        0x5130_3530,
        0x5130_3539,
        google(&[Salt::Q050], Handshake::QuicCrypto),
    ),
    (
        0x5130_3939,
        0x5130_3939,
        google(&[Salt::Q050], Handshake::QuicCrypto),
    ),
    // Google over TLS: T048 to T050, T051, T052 to T059, T099
    (
        0x5430_3438,
        0x5430_3530,
        google(&[Salt::T050], Handshake::Tls),
    ),
    (
        0x5430_3531,
        0x5430_3531,
        google(&[Salt::T051], Handshake::Tls),
    ),
    (
        0x5430_3532,
        0x5430_3539,
        google(&[Salt::T051, Salt::V1], Handshake::Tls),
    ),
    (
        0x5430_3939,
        0x5430_3939,
        google(&[Salt::T051, Salt::V1], Handshake::Tls),
    ),
    // MsQuic
    (
        0xabcd_0000,
        0xabcd_000f,
        like_v1(&[Salt::V1, Salt::Draft29]),
    ),
    // TencentQuic
    (
        0x0700_7000,
        0x0700_700f,
        like_v1(&[Salt::V1, Salt::Draft29]),
    ),
    // Proxied QUIC ("PROX"), quic-go ("QGO"), picoquic ("PCQ"), quicly, quant, Anapaya (SCION)
    (0x5052_4f58, 0x5052_4f58, like_v1(&[Salt::V1])),
    (
        0x5147_4f00,
        0x5147_4fff,
        like_v1(&[Salt::V1, Salt::Draft29]),
    ),
    (
        0x5043_5130,
        0x5043_513f,
        like_v1(&[Salt::V1, Salt::Draft29]),
    ),
    (
        0x91c1_7000,
        0x91c1_70ff,
        like_v1(&[Salt::V1, Salt::Draft29]),
    ),
    (
        0x4547_4700,
        0x4547_47ff,
        like_v1(&[Salt::V1, Salt::Draft29]),
    ),
    (0x5c10_0000, 0x5c10_000f, like_v1(&[Salt::V1])),
    // MozQuic
    (0xf123_f0c0, 0xf123_f0cf, like_v1(&[Salt::V1])),
    // Measurement experiments (ETH Zürich, Telecom Italia) and quinn-noise
    (0xf0f0_f0f0, 0xf0f0_f0ff, like_v1(&[Salt::V1])),
    (0xf0f0_f1f0, 0xf0f0_f1ff, like_v1(&[Salt::V1])),
    (0xf0f0_f2f0, 0xf0f0_f2ff, like_v1(&[Salt::V1])),
];

/// What a reserved version may be: clients that force negotiation often send the Initial of a
/// version they know under a number that nobody does.
static RESERVED: Version = like_v1(&[Salt::V1, Salt::Draft29, Salt::Draft23, Salt::Draft22]);

/// What is known of version `number`.
pub(super) fn version(number: u32) -> Option<&'static Version> {
    if is_reserved(number) {
        return Some(&RESERVED);
    }
    VERSIONS
        .iter()
        .find(|(first, last, _)| (*first..=*last).contains(&number))
        .map(|(_, _, version)| version)
}

/// Whether `number` is one of those set aside to exercise version negotiation (RFC 9000
/// section 15): a client may open with it, a server list it.
pub(super) const fn is_reserved(number: u32) -> bool {
    number & 0x0f0f_0f0f == 0x0a0a_0a0a
}

#[cfg(test)]
mod tests {
    use super::*;

    /// HkdfLabel of RFC 8446 section 7.1 with an empty context.
    fn encoded(label: &str, len: u16) -> Vec<u8> {
        let label = format!("tls13 {label}");
        let mut bytes = len.to_be_bytes().to_vec();
        bytes.push(u8::try_from(label.len()).unwrap());
        bytes.extend_from_slice(label.as_bytes());
        bytes.push(0);
        bytes
    }

    #[test]
    fn labels_are_encoded_as_in_tls() {
        for (bytes, label, len) in [
            (V1_LABELS.key, "quic key", 16),
            (V1_LABELS.iv, "quic iv", 12),
            (V1_LABELS.hp, "quic hp", 16),
            (V2_LABELS.key, "quicv2 key", 16),
            (V2_LABELS.iv, "quicv2 iv", 12),
            (V2_LABELS.hp, "quicv2 hp", 16),
            (CLIENT_IN, "client in", 32),
            (SERVER_IN, "server in", 32),
        ] {
            assert_eq!(bytes, encoded(label, len), "{label}");
        }
    }

    #[test]
    fn versions_have_their_salts() {
        for (number, salts) in [
            (1, Some(&[Salt::V1][..])),
            (2, None),
            (0, None),
            (0xff00_0015, None),
            (0xff00_0016, Some(&[Salt::Draft22])),
            (0xff00_001b, Some(&[Salt::Draft23])),
            (0xff00_001d, Some(&[Salt::Draft29])),
            (0xff00_0020, Some(&[Salt::Draft29])),
            (0xff00_0022, Some(&[Salt::V1])),
            (0xff00_0023, None),
            (0xface_b001, Some(&[Salt::Draft22])),
            (0xface_b002, Some(&[Salt::Draft23, Salt::V1])),
            (0xface_b00e, Some(&[Salt::Draft23, Salt::V1])),
            (0xface_b003, Some(&[Salt::V1, Salt::Draft29])),
            (u32::from_be_bytes(*b"Q050"), Some(&[Salt::Q050])),
            (u32::from_be_bytes(*b"Q046"), None),
            (u32::from_be_bytes(*b"T050"), Some(&[Salt::T050])),
            (u32::from_be_bytes(*b"T051"), Some(&[Salt::T051])),
        ] {
            assert_eq!(version(number).map(|it| it.salts), salts, "{number:#x}");
        }
        assert!(is_reserved(0x1a2a_3a4a) && !is_reserved(1));
    }
}
