//! Flow rules: lengths, directions and entropy of the first messages, where no single message
//! says what it is.

use super::address::AddressTable;
use super::guard::{Found, Guard};
use super::payload::input_of_first;
use crate::flow::opening::PerSide;
use crate::flow::{Opening, Side, Stream, Transport};
use crate::signature::condition::Program;
use crate::verdict::Tag;

/// How many bytes of a side entropy is measured over: more say nothing new.
const MAX_MEASURED: usize = 2048;
/// Fewer bytes say nothing.
const MIN_MEASURED: usize = 64;

/// A compiled rule.
#[derive(Clone, Debug)]
pub(in crate::signature) struct FlowRule {
    pub(in crate::signature) tag: Tag,
    pub(in crate::signature) transports: Transports,
    pub(in crate::signature) guard: Guard,
    /// Lengths of the first messages of each side.
    pub(in crate::signature) lengths: PerSide<Vec<Length>>,
    pub(in crate::signature) entropy: PerSide<Option<f64>>,
    pub(in crate::signature) minimum: usize,
    pub(in crate::signature) conditions: Vec<Program>,
    pub(in crate::signature) symmetric: bool,
}

/// What may carry a rule's messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::signature) struct Transports {
    pub(in crate::signature) tcp: bool,
    pub(in crate::signature) udp: bool,
    /// Other IP protocols: all, or the one given.
    pub(in crate::signature) other: Option<Option<u8>>,
}

impl Transports {
    pub(in crate::signature) fn include(self, transport: Transport) -> bool {
        match transport {
            Transport::Tcp => self.tcp,
            Transport::Udp => self.udp,
            Transport::Other(protocol) => self
                .other
                .is_some_and(|only| only.is_none_or(|only| only == protocol)),
        }
    }
}

/// A message's length: a range, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::signature) struct Length {
    pub(in crate::signature) least: u32,
    pub(in crate::signature) most: u32,
}

/// Reads an entry of `packets`: `c 48`, `s 60-90`, `c *`.
pub(in crate::signature) fn parse_packet(text: &str) -> Option<(Side, Length)> {
    let (side, length) = text.trim().split_once(' ')?;
    let side = match side {
        "c" => Side::Client,
        "s" => Side::Server,
        _ => return None,
    };
    let length = length.trim();
    if length == "*" {
        return Some((
            side,
            Length {
                least: 1,
                most: u32::MAX,
            },
        ));
    }
    let (least, most) = length.split_once('-').unwrap_or((length, length));
    let length = Length {
        least: least.trim().parse().ok()?,
        most: most.trim().parse().ok()?,
    };
    (length.least <= length.most).then_some((side, length))
}

/// All flow rules.
#[derive(Debug, Default)]
pub(in crate::signature) struct FlowTable(Vec<FlowRule>);

impl FlowTable {
    pub(in crate::signature) const fn new(rules: Vec<FlowRule>) -> Self {
        Self(rules)
    }

    /// Bytes it takes on the heap, about.
    pub(in crate::signature) fn memory(&self) -> usize {
        let rule = |rule: &FlowRule| {
            let lengths = rule.lengths.client.capacity() + rule.lengths.server.capacity();
            size_of::<FlowRule>()
                + lengths * size_of::<Length>()
                + rule
                    .conditions
                    .iter()
                    .map(|one| size_of::<Program>() + one.memory())
                    .sum::<usize>()
                + rule.guard.memory()
        };
        self.0.iter().map(rule).sum()
    }

    /// The rules that `opening` makes true.
    pub(in crate::signature) fn find(
        &self,
        opening: &Opening<'_>,
        addresses: &AddressTable,
        found: &mut Found<'_>,
    ) {
        let mut measured = Measured::default();
        for rule in &self.0 {
            if !found.is_full() && rule.holds(opening, addresses, &mut measured) {
                found.push(rule.tag);
            }
        }
    }
}

impl FlowRule {
    fn holds(
        &self,
        opening: &Opening<'_>,
        addresses: &AddressTable,
        measured: &mut Measured,
    ) -> bool {
        let sides = [Side::Client, Side::Server];
        self.transports.include(opening.transport)
            && self.guard.allows_ports(opening)
            && opening.client.count() + opening.server.count() >= self.minimum
            && (!self.symmetric || sides.iter().all(|&side| !opening.stream(side).is_empty()))
            && sides
                .iter()
                .all(|&side| lengths_hold(&self.lengths[side], opening.stream(side)))
            && self.conditions_hold(opening)
            && self.guard.allows_addresses(opening, addresses)
            && sides.iter().all(|&side| {
                let stream = opening.stream(side);
                self.entropy[side].is_none_or(|least| {
                    stream.bytes.len() >= MIN_MEASURED && measured.of(side, stream) >= least
                })
            })
    }

    fn conditions_hold(&self, opening: &Opening<'_>) -> bool {
        self.conditions.is_empty()
            || input_of_first(opening, Side::Client)
                .is_some_and(|input| self.conditions.iter().all(|program| program.holds(&input)))
    }
}

fn lengths_hold(lengths: &[Length], stream: Stream<'_>) -> bool {
    // Messages of a stream whose start was not seen are not the first ones.
    lengths.is_empty()
        || !stream.mid_stream
            && stream.count() >= lengths.len()
            && lengths
                .iter()
                .zip(stream.messages())
                .all(|(length, message)| {
                    let len = u32::try_from(message.len()).unwrap_or(u32::MAX);
                    length.least <= len && len <= length.most
                })
}

/// Entropy of each side, measured at most once a call.
#[derive(Debug, Default)]
struct Measured(PerSide<Option<f64>>);

impl Measured {
    fn of(&mut self, side: Side, stream: Stream<'_>) -> f64 {
        *self.0[side].get_or_insert_with(|| entropy(stream.bytes))
    }
}

/// Shannon entropy in bits a byte, of the first [`MAX_MEASURED`] bytes.
pub(crate) fn entropy(bytes: &[u8]) -> f64 {
    let bytes = bytes.get(..MAX_MEASURED).unwrap_or(bytes);
    let mut counts = [0_u32; 256];
    for &byte in bytes {
        if let Some(count) = counts.get_mut(usize::from(byte)) {
            *count += 1;
        }
    }
    // At most MAX_MEASURED, so every count is exact in a float.
    let total = f64::from(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
    let terms = counts.iter().filter(|&&count| count > 0).map(|&count| {
        let share = f64::from(count) / total;
        -share * share.log2()
    });
    terms.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_a_side_and_a_length() {
        let length = |least, most| Length { least, most };
        for (text, expected) in [
            ("c 48", Some((Side::Client, length(48, 48)))),
            ("s 60-90", Some((Side::Server, length(60, 90)))),
            ("c *", Some((Side::Client, length(1, u32::MAX)))),
            (" s  7 - 9 ", Some((Side::Server, length(7, 9)))),
            ("x 48", None),
            ("c", None),
            ("c 9-7", None),
            ("c48", None),
            ("c 4x", None),
        ] {
            assert_eq!(parse_packet(text), expected, "{text}");
        }
    }

    #[test]
    fn entropy_is_shannons() {
        let all: Vec<u8> = (0..=255).collect();
        for (bytes, expected) in [
            (&[7; 100][..], 0.0),
            (&[0, 1].repeat(50), 1.0),
            (&[0, 1, 2, 3].repeat(16), 2.0),
            (&all, 8.0),
        ] {
            assert!(
                (entropy(bytes) - expected).abs() < 1e-9,
                "{} bytes",
                bytes.len()
            );
        }
    }
}
