//! Protection of Initial packets (RFC 9001 section 5): keys from the client's Destination
//! Connection ID, header protection, AES-128-GCM.
//!
//! Anyone who sees the first packet can derive these keys; they hide nothing from the path, but
//! they prove that bytes are QUIC: a packet that opens is not by chance what it seems.

use std::cell::OnceCell;
use std::ops::Range;
use std::sync::LazyLock;

use aes::cipher::{KeyIvInit, StreamCipher};
use ring::aead::quic::{AES_128 as AES_128_HEADER, HeaderProtectionKey};
use ring::aead::{AES_128_GCM, Aad, LessSafeKey, MAX_TAG_LEN, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf::{self, HKDF_SHA256, Prk};

use super::header::Long;
use super::version::{CLIENT_IN, Labels, SALTS, SERVER_IN, Salt};
use crate::flow::Side;

/// The salts, ready for HKDF-Extract: hashing them anew for each packet would be a quarter of
/// the cost of its keys.
static HKDF_SALTS: LazyLock<[hkdf::Salt; SALTS.len()]> =
    LazyLock::new(|| SALTS.map(|salt| hkdf::Salt::new(HKDF_SHA256, &salt)));

/// A length HKDF-Expand is asked for.
struct Len(usize);

impl hkdf::KeyType for Len {
    fn len(&self) -> usize {
        self.0
    }
}

fn expand<const N: usize>(secret: &Prk, label: &[u8]) -> Option<[u8; N]> {
    let mut out = [0; N];
    secret.expand(&[label], Len(N)).ok()?.fill(&mut out).ok()?;
    Some(out)
}

/// The keys of one side's Initial packets.
pub(super) struct Keys {
    header: HeaderProtectionKey,
    secret: Prk,
    labels: &'static Labels,
    /// Made for the first packet whose header shows, without protection, that it may be theirs.
    payload: OnceCell<Option<PayloadKeys>>,
}

/// The keys of payloads.
struct PayloadKeys {
    aead: LessSafeKey,
    iv: [u8; NONCE_LEN],
    /// For packets that were cut, where [`Self::aead`] refuses.
    key: [u8; 16],
}

impl PayloadKeys {
    fn derive(secret: &Prk, labels: &Labels) -> Option<Self> {
        let key = expand(secret, labels.key)?;
        Some(Self {
            aead: LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &key).ok()?),
            iv: expand(secret, labels.iv)?,
            key,
        })
    }

    /// RFC 9001 section 5.3.
    fn nonce(&self, number: u64) -> [u8; NONCE_LEN] {
        let mut nonce = self.iv;
        for (byte, number) in nonce.iter_mut().rev().zip(number.to_le_bytes()) {
            *byte ^= number;
        }
        nonce
    }
}

impl Keys {
    /// The keys of `sender`, when the client's first Initial (or the first after a Retry) went
    /// to `dcid`.
    pub(super) fn derive(
        salt: Salt,
        labels: &'static Labels,
        dcid: &[u8],
        sender: Side,
    ) -> Option<Self> {
        let initial_secret = HKDF_SALTS.get(salt as usize)?.extract(dcid);
        let label = match sender {
            Side::Client => CLIENT_IN,
            Side::Server => SERVER_IN,
        };
        let secret = initial_secret.expand(&[label], HKDF_SHA256).ok()?.into();
        let hp: [u8; 16] = expand(&secret, labels.hp)?;
        Some(Self {
            header: HeaderProtectionKey::new(&AES_128_HEADER, &hp).ok()?,
            secret,
            labels,
            payload: OnceCell::new(),
        })
    }

    fn payload(&self) -> Option<&PayloadKeys> {
        let derive = || PayloadKeys::derive(&self.secret, self.labels);
        self.payload.get_or_init(derive).as_ref()
    }

    /// Opens `packet` in `scratch` and tells where its frames are there; `None` when these are
    /// not its keys. `expected` is one more than the highest packet number opened so far.
    ///
    /// What is left of a packet that was cut is deciphered without the proof.
    pub(super) fn open(
        &self,
        packet: &Long<'_>,
        expected: &mut u64,
        scratch: &mut Vec<u8>,
    ) -> Option<Range<usize>> {
        // RFC 9001 section 5.4.2: the sample lies where it would with a number of four bytes.
        let sample_offset = packet.number_offset.checked_add(4)?;
        let sample = packet.bytes.get(sample_offset..)?.get(..16)?;
        let [mask, mask_number @ ..] = self.header.new_mask(sample).ok()?;
        let protected = packet.bytes.first()?;
        if (protected ^ mask) & RESERVED_BITS != 0 && !packet.version.google_frames {
            // Not theirs, or never to be accepted: most of what only looks like an Initial packet
            // ends here, before the costly half of its keys is made.
            return None;
        }
        let keys = self.payload()?;
        scratch.clear();
        scratch.extend_from_slice(packet.bytes);
        let first = scratch.first_mut()?;
        *first ^= mask & 0x0f;
        let number_len = usize::from(*first & 3) + 1;
        let start = packet.number_offset.checked_add(number_len)?;
        let (header, payload) = scratch.split_at_mut_checked(start)?;
        let mut truncated = 0;
        for (byte, mask) in header
            .get_mut(packet.number_offset..)?
            .iter_mut()
            .zip(mask_number)
        {
            *byte ^= mask;
            truncated = truncated << 8 | u64::from(*byte);
        }
        let number = decode_number(*expected, truncated, number_len);
        let nonce = keys.nonce(number);
        let len = if packet.cut {
            let mut counter = [0; 16];
            counter.first_chunk_mut().map(|it| *it = nonce)?;
            // Counter 1 is for the tag (NIST SP 800-38D section 7.1).
            *counter.last_mut()? = 2;
            ctr::Ctr32BE::<aes::Aes128>::new(&keys.key.into(), &counter.into())
                .apply_keystream(payload);
            payload.len()
        } else {
            let nonce = Nonce::assume_unique_for_key(nonce);
            keys.aead
                .open_in_place(nonce, Aad::from(&*header), payload)
                .ok()?
                .len()
        };
        *expected = (*expected).max(number.saturating_add(1));
        Some(start..start + len)
    }

    /// Protects the packet `bytes`: its header up to a packet number of four bytes at
    /// `number_offset`, and its frames.
    pub(super) fn seal(&self, mut bytes: Vec<u8>, number_offset: usize) -> Option<Vec<u8>> {
        let payload_offset = number_offset.checked_add(4)?;
        let (header, payload) = bytes.split_at_mut_checked(payload_offset)?;
        let number = u32::from_be_bytes(*header.last_chunk()?);
        let keys = self.payload()?;
        let nonce = Nonce::assume_unique_for_key(keys.nonce(number.into()));
        let tag = keys
            .aead
            .seal_in_place_separate_tag(nonce, Aad::from(&*header), payload)
            .ok()?;
        bytes.extend_from_slice(tag.as_ref());
        let sample = bytes.get(payload_offset..)?.get(..16)?;
        let [mask, mask_number @ ..] = self.header.new_mask(sample).ok()?;
        *bytes.first_mut()? ^= mask & 0x0f;
        for (byte, mask) in bytes.get_mut(number_offset..)?.iter_mut().zip(mask_number) {
            *byte ^= mask;
        }
        Some(bytes)
    }
}

/// Bits of the first byte that are zero before protection (RFC 9000 section 17.2).
const RESERVED_BITS: u8 = 0x0c;

/// What the tag adds to a packet's frames.
pub(super) const TAG_LEN: usize = MAX_TAG_LEN;

/// The whole packet number of which `truncated` are the last `len` bytes (RFC 9000 appendix A.3).
fn decode_number(expected: u64, truncated: u64, len: usize) -> u64 {
    let window = 1_u64 << (8 * len.min(4));
    let candidate = expected & !(window - 1) | truncated;
    if candidate.saturating_add(window / 2) <= expected && candidate < (1 << 62) - window {
        candidate + window
    } else if candidate > expected.saturating_add(window / 2) && candidate >= window {
        candidate - window
    } else {
        candidate
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dissect::quic::version::{V1_LABELS, V2_LABELS};

    const DCID: &[u8] = b"\x83\x94\xc8\xf0\x3e\x51\x57\x08";

    /// RFC 9001 appendix A.1, RFC 9369 appendix A.1, draft-ietf-quic-tls-29 appendix A.1.
    #[test]
    fn keys_of_the_documents() {
        for (salt, labels, sender, key, iv) in [
            (
                Salt::V1,
                &V1_LABELS,
                Side::Client,
                0x1f36_9613_dd76_d546_7730_efcb_e3b1_a22d,
                b"\xfa\x04\x4b\x2f\x42\xa3\xfd\x3b\x46\xfb\x25\x5c",
            ),
            (
                Salt::V1,
                &V1_LABELS,
                Side::Server,
                0xcf3a_5331_653c_364c_88f0_f379_b606_7e37,
                b"\x0a\xc1\x49\x3c\xa1\x90\x58\x53\xb0\xbb\xa0\x3e",
            ),
            (
                Salt::V2,
                &V2_LABELS,
                Side::Client,
                0x8b1a_0bc1_2128_4290_a29e_0971_b5cd_045d,
                b"\x91\xf7\x3e\x23\x51\xd8\xfa\x91\x66\x0e\x90\x9f",
            ),
            (
                Salt::V2,
                &V2_LABELS,
                Side::Server,
                0x82db_6378_61d5_5e1d_011f_19ea_71d5_d2a7,
                b"\xdd\x13\xc2\x76\x49\x9c\x02\x49\xd3\x31\x06\x52",
            ),
            (
                Salt::Draft29,
                &V1_LABELS,
                Side::Client,
                0x1752_57a3_1eb0_9dea_9366_d8bb_79ad_80ba,
                b"\x6b\x26\x11\x4b\x9c\xba\x2b\x63\xa9\xe8\xdd\x4f",
            ),
        ] {
            let keys = Keys::derive(salt, labels, DCID, sender).unwrap();
            let keys = keys.payload().unwrap();
            assert_eq!(u128::from_be_bytes(keys.key), key, "{salt:?} {sender:?}");
            assert_eq!(&keys.iv, iv, "{salt:?} {sender:?}");
        }
    }

    #[test]
    fn numbers_of_rfc_9000_appendix_a_3() {
        for (expected, truncated, len, number) in [
            (0xa82f_30eb, 0x9b32, 2, 0xa82f_9b32),
            (0, 0, 1, 0),
            (0, 255, 1, 255),
            (256, 255, 1, 255),
            (0x1ff, 0x01, 1, 0x201),
            (u64::MAX, u64::from(u32::MAX), 4, u64::MAX),
        ] {
            assert_eq!(decode_number(expected, truncated, len), number);
        }
    }
}
