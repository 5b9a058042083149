//! What a forest sees of a flow: lengths, senders and times of its first packets from the server's first
//! answer on.
//!
//! The client's hello is left out: with a name in it, it is longer than one without, and the flows that
//! are learned from have names.

use std::time::Duration;

use crate::flow::Side;
use crate::flow::sequence::Sided;

/// Packets that are looked at, from the server's first on.
pub const LOOKED_AT: usize = 16;

/// Fewer packets say nothing.
pub const FEWEST: usize = 6;

/// Pauses between packets that are looked at.
const PAUSES: usize = 8;

/// Where sums are taken.
const SUMS: [usize; 3] = [4, 8, 16];

/// How many numbers there are.
pub const COUNT: usize = 2 + LOOKED_AT + PAUSES + 2 * SUMS.len() + 2 + 2 + 1;

/// A pause of more tells of people, not of programs: 60 s.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// The numbers a forest looks at.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Features([f32; COUNT]);

/// Whether all packets that are looked at have come.
pub fn is_complete(sequence: Sided<'_>) -> bool {
    sequence.sequence().is_full() || after_hello(sequence).count() >= LOOKED_AT
}

/// The packets from the server's first on: who sent each, how long it was, and when it came.
fn after_hello(sequence: Sided<'_>) -> impl Iterator<Item = (Side, u16, u32)> {
    let packets = sequence.senders().zip(sequence.sequence().lengths());
    let packets = packets.zip(sequence.sequence().times());
    packets
        .map(|((side, &length), &time)| (side, length, time))
        .skip_while(|&(side, ..)| side == Side::Client)
}

impl Features {
    /// Of a flow that begins so. `None`: too few packets have come.
    pub fn of(sequence: Sided<'_>, transport: u8, port: u16) -> Option<Self> {
        let mut all = [0.0; COUNT];
        let mut rest = all.iter_mut();
        let mut put = |value: f32| {
            if let Some(place) = rest.next() {
                *place = value;
            }
        };
        put(f32::from(transport));
        put(f32::from(port));
        let mut packets = [(Side::Client, 0, 0); LOOKED_AT];
        let mut count = 0;
        for (place, packet) in packets.iter_mut().zip(after_hello(sequence)) {
            *place = packet;
            count += 1;
        }
        if count < FEWEST {
            return None;
        }
        let packets = packets.get(..count).unwrap_or_default();
        let signed = |&(side, length, _): &(Side, u16, u32)| match side {
            Side::Client => f32::from(length),
            Side::Server => -f32::from(length),
        };
        for place in 0..LOOKED_AT {
            put(packets.get(place).map_or(0.0, signed));
        }
        for place in 0..PAUSES {
            let pause = packets.get(place).zip(packets.get(place + 1));
            put(pause.map_or(-1.0, |(before, after)| {
                magnitude(after.2.saturating_sub(before.2))
            }));
        }
        for most in SUMS {
            for side in [Side::Client, Side::Server] {
                let of_side = packets.iter().take(most).filter(|packet| packet.0 == side);
                // At most 16 of 65,535: exact in a float.
                put(of_side.map(|packet| f32::from(packet.1)).sum());
            }
        }
        for most in [8, LOOKED_AT] {
            let clients = packets
                .iter()
                .take(most)
                .filter(|packet| packet.0 == Side::Client);
            put(clients.fold(0.0, |sum, _| sum + 1.0));
        }
        for side in [Side::Client, Side::Server] {
            let of_side = packets.iter().filter(|packet| packet.0 == side);
            put(f32::from(of_side.map(|packet| packet.1).max().unwrap_or(0)));
        }
        let turns = packets.windows(2).filter(|pair| match pair {
            [one, next] => one.0 != next.0,
            _ => false,
        });
        put(turns.fold(0.0, |sum, _| sum + 1.0));
        Some(Self(all))
    }

    /// The numbers.
    pub const fn values(&self) -> &[f32; COUNT] {
        &self.0
    }
}

/// In which power of two of microseconds a pause lies: networks are not the same from day to day.
fn magnitude(micros: u32) -> f32 {
    let longest = u32::try_from(LONGEST_PAUSE.as_micros()).unwrap_or(u32::MAX);
    let bits = u32::BITS - micros.min(longest).leading_zeros();
    // Below 33.
    u8::try_from(bits).map_or(0.0, f32::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::{End, Sequence};

    fn sequence(packets: &[(End, u32)]) -> Sequence {
        let mut sequence = Sequence::default();
        for (place, &(end, length)) in (0..).zip(packets) {
            sequence.push(end, length, Duration::from_millis(place));
        }
        sequence
    }

    #[test]
    fn the_hello_is_left_out_and_sides_are_signs() {
        let (c, s) = (End::Low, End::High);
        let of = |sequence: &Sequence, low| Features::of(sequence.sides(low), 6, 443);
        let answer = [(s, 1400), (s, 900), (c, 80), (c, 200), (s, 60), (s, 1400)];
        let short = sequence(&[&[(c, 517)][..], &answer].concat());
        let long = sequence(&[&[(c, 1400), (c, 300)][..], &answer].concat());
        let features = of(&short, true).unwrap();
        assert_eq!(of(&long, true), Some(features));
        let values = features.values();
        assert_eq!(
            values[..9],
            [
                6.0, 443.0, -1400.0, -900.0, 80.0, 200.0, -60.0, -1400.0, 0.0
            ]
        );
        // Five pauses of a millisecond, and then none.
        assert_eq!(
            values[18..26],
            [10.0, 10.0, 10.0, 10.0, 10.0, -1.0, -1.0, -1.0]
        );
        assert_eq!(
            values[26..32],
            [280.0, 2300.0, 280.0, 3760.0, 280.0, 3760.0]
        );
        assert_eq!(values[32..], [2.0, 2.0, 200.0, 1400.0, 2.0]);
        // Seen from the other side, the first of the server is the hello.
        assert_eq!(of(&short, false).map(|it| it.values()[2]), Some(-517.0));
        assert!(!is_complete(short.sides(true)));
        assert_eq!(of(&sequence(&answer[..5]), true), None);
        assert_eq!(of(&Sequence::default(), true), None);
        let full = sequence(&[(c, 1); Sequence::MAX]);
        assert!(is_complete(full.sides(true)));
        assert_eq!(of(&full, true), None);
    }
}
