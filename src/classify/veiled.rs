//! Streams that are encrypted from their first byte, without a hello: what obfuscated tunnels look like.
//!
//! The measures are those that were published of a filter that looks for such tunnels (Wu et al., "How
//! the Great Firewall of China Detects and Blocks Fully Encrypted Traffic", USENIX Security 2023,
//! section 4): bits set per byte, and how much is printable, of the first message. They tell a stream from texts and
//! from most formats, not from whatever is encrypted or compressed without a header: so both sides must
//! be like that, their entropy must be that of random bytes, and the first bytes must not repeat. That
//! makes a flow one that is *like* a tunnel, never one of an application.

use crate::flow::{Opening, Stream, Transport};
use crate::signature::entropy;

/// Bytes of a side that must have come: with fewer, much is like random.
const LEAST: usize = 256;

/// Entropy in bits a byte of at least so many bytes: four standard deviations below that of random bytes,
/// of which 600 runs each had 7.175 ± 0.053 in 256 bytes, 7.590 ± 0.034 in 512, 7.811 ± 0.018 in 1024 and
/// 7.908 ± 0.008 in 2048.
const ENTROPY: [(usize, f64); 4] = [(2048, 7.875), (1024, 7.735), (512, 7.45), (LEAST, 6.96)];

/// Bits set per byte of the first message, of one that is *not* like random: up to the first, from the second on.
const BITS: (f64, f64) = (3.4, 4.6);

/// Bytes of a message that are compared with one another.
const HEAD: usize = 24;

/// Different ones among them, at least: of random ones hardly ever fewer.
const DIFFERENT: usize = 19;

/// The first of them, in which a number, a length or a type would show, and the least different ones of
/// these.
const START: (usize, usize) = (8, 6);

/// Printable bytes in a row that random bytes do not have.
const RUN: usize = 20;

/// Whether both sides of a stream are like random bytes from the first on.
pub(super) fn is_veiled(opening: &Opening<'_>) -> bool {
    opening.transport == Transport::Tcp
        && [opening.client, opening.server].into_iter().all(is_random)
}

fn is_random(stream: Stream<'_>) -> bool {
    let (bytes, first) = (stream.bytes, stream.first());
    if stream.mid_stream || bytes.len() < LEAST || first.len() < HEAD {
        return false;
    }
    let least = ENTROPY.iter().find(|&&(length, _)| bytes.len() >= length);
    least.is_some_and(|&(_, least)| entropy(bytes) >= least)
        && bits_are_even(first)
        && !is_text(first)
        && differs(first)
}

fn bits_are_even(bytes: &[u8]) -> bool {
    let set: u32 = bytes.iter().map(|byte| byte.count_ones()).sum();
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    let share = f64::from(set) / f64::from(length);
    share > BITS.0 && share < BITS.1
}

/// Whether it begins with printable bytes, is so for the most part, or has a run of them.
fn is_text(bytes: &[u8]) -> bool {
    let printable = bytes.iter().filter(|&&byte| is_printable(byte)).count();
    let begins = bytes.iter().take(6).all(|&byte| is_printable(byte));
    let mut runs = bytes.split(|&byte| !is_printable(byte));
    begins || printable * 2 > bytes.len() || runs.any(|run| run.len() > RUN)
}

const fn is_printable(byte: u8) -> bool {
    matches!(byte, 0x20..=0x7e)
}

/// Whether the first bytes are as different as random ones: numbers, lengths and types have zeros.
fn differs(bytes: &[u8]) -> bool {
    let (start, least) = START;
    different(bytes, HEAD) >= DIFFERENT && different(bytes, start) >= least
}

/// How many different ones there are among the first bytes.
fn different(bytes: &[u8], among: usize) -> usize {
    let mut seen = [0_u64; 4];
    for byte in bytes.iter().take(among) {
        if let Some(word) = seen.get_mut(usize::from(byte >> 6)) {
            *word |= 1 << (byte & 63);
        }
    }
    let different: u32 = seen.iter().map(|word| word.count_ones()).sum();
    different as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::opening::Script;

    /// Bytes as if by chance (SplitMix64).
    fn random(seed: u64, length: usize) -> Vec<u8> {
        let mut state = seed.wrapping_mul(0x2545_f491_4f6c_dd1d);
        std::iter::repeat_with(|| {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut mixed = state;
            mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
            (mixed ^ mixed >> 31) as u8
        })
        .take(length)
        .collect()
    }

    #[test]
    fn random_streams_are_veiled_and_others_not() {
        let with = |head: &[u8]| [head, &random(1, 600)].concat();
        let is = |script: Script| is_veiled(&script.opening());
        let mut veiled = 0;
        for seed in 0..400 {
            let length = 256 + 7 * seed as usize;
            let (client, server) = (random(seed + 1, length), random(seed + 1000, 2 * length));
            veiled += usize::from(is(Script::tcp(8388).client(&client).server(&server)));
        }
        // Some begin by chance as a text or a number would.
        assert!(veiled > 390, "{veiled}");
        let (short, long) = (random(1, 255), random(2, 1500));
        for (what, client, server) in [
            ("too short", short, long.clone()),
            (
                "a length first",
                with(&[0, 0, 2, 88, 0, 0, 0, 1]),
                long.clone(),
            ),
            ("a text first", with(b"HELLO there"), long.clone()),
            (
                "a text",
                b"some words of no meaning, ".repeat(20),
                long.clone(),
            ),
            ("zeros", vec![0; 600], long.clone()),
            (
                "counting",
                (0..600_u32).map(|place| place as u8).collect(),
                long.clone(),
            ),
            ("one side", long.clone(), b"OK\r\n".repeat(100)),
            (
                "base64",
                random(3, 600).iter().map(|byte| b'A' + byte % 26).collect(),
                long.clone(),
            ),
            ("silence", long.clone(), Vec::new()),
        ] {
            let script = Script::tcp(8388).client(&client);
            let script = if server.is_empty() {
                script
            } else {
                script.server(&server)
            };
            assert!(!is(script), "{what}");
        }
        let udp = Script::udp(8388).client(&random(1, 900)).server(&long);
        assert!(!is(udp));
    }
}
