//! The first packets of a flow that carry a payload: how long, from whom, when.
//!
//! These are packets as they came, with what was sent again; what `[[flow]]` rules and `explain` see
//! are the messages of an [`Opening`](super::Opening), in order and each once.

use std::fmt;
use std::time::Duration;

use super::key::End;
use super::opening::Side;

/// Lengths, senders and times of a flow's first packets with a payload, [`Sequence::MAX`] at most.
#[derive(Clone, PartialEq, Eq)]
pub struct Sequence {
    count: u8,
    /// A bit for each packet, from the lowest on: set where the end that sorts first sent it. Which
    /// side that is may turn out later.
    senders: u32,
    lengths: [u16; Self::MAX],
    times: [u32; Self::MAX],
}

impl Sequence {
    /// Packets that are noted.
    pub const MAX: usize = 30;

    /// Bytes it takes.
    pub const MEMORY: usize = size_of::<Self>();

    /// A sequence without packets.
    pub const fn new() -> Self {
        Self {
            count: 0,
            senders: 0,
            lengths: [0; Self::MAX],
            times: [0; Self::MAX],
        }
    }

    /// Notes a packet of `end` with so many bytes of payload, so long after the flow's first frame.
    /// One beyond the last is passed by.
    pub fn push(&mut self, end: End, length: u32, after: Duration) {
        let place = usize::from(self.count);
        let places = self.lengths.get_mut(place).zip(self.times.get_mut(place));
        if let Some((noted_length, noted_time)) = places {
            *noted_length = u16::try_from(length).unwrap_or(u16::MAX);
            *noted_time = u32::try_from(after.as_micros()).unwrap_or(u32::MAX);
            self.senders |= u32::from(end == End::Low) << place;
            self.count += 1;
        }
    }

    /// Whether there is no room for more.
    pub const fn is_full(&self) -> bool {
        self.count as usize >= Self::MAX
    }

    /// How many packets are noted.
    pub const fn len(&self) -> usize {
        self.count as usize
    }

    /// Whether no packet is noted.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The same as sides see it, if the client is the end that sorts first or is not.
    pub const fn sides(&self, client_is_low: bool) -> Sided<'_> {
        Sided {
            sequence: self,
            client_is_low,
        }
    }

    /// Bytes of payload of each packet, 65,535 where there were more.
    pub fn lengths(&self) -> &[u16] {
        self.lengths.get(..self.len()).unwrap_or_default()
    }

    /// Microseconds from the flow's first frame to each packet, 2³²-1 where there were more.
    pub fn times(&self) -> &[u32] {
        self.times.get(..self.len()).unwrap_or_default()
    }
}

/// A sequence of which it is known who is the client.
#[derive(Clone, Copy, Debug)]
pub struct Sided<'s> {
    sequence: &'s Sequence,
    client_is_low: bool,
}

impl<'s> Sided<'s> {
    /// Who sent each packet.
    pub fn senders(self) -> impl Iterator<Item = Side> + use<'s> {
        let senders = self.sequence.senders;
        (0..self.sequence.len()).map(move |place| {
            match (senders >> place & 1 == 1) == self.client_is_low {
                true => Side::Client,
                false => Side::Server,
            }
        })
    }

    /// The sequence.
    pub const fn sequence(self) -> &'s Sequence {
        self.sequence
    }
}

impl Default for Sequence {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sequence")
            .field("senders", &format_args!("{:b}", self.senders))
            .field("lengths", &self.lengths())
            .field("times", &self.times())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_packets_are_noted_and_no_more() {
        let mut sequence = Sequence::default();
        assert!(sequence.is_empty());
        sequence.push(End::High, 517, Duration::from_millis(2));
        sequence.push(End::Low, 70_000, Duration::from_secs(5000));
        assert_eq!(sequence.lengths(), [517, u16::MAX]);
        assert_eq!(sequence.times(), [2000, u32::MAX]);
        let senders = |low| sequence.sides(low).senders().collect::<Vec<_>>();
        assert_eq!(senders(false), [Side::Client, Side::Server]);
        assert_eq!(senders(true), [Side::Server, Side::Client]);
        for more in 0..40 {
            sequence.push(End::Low, more, Duration::ZERO);
        }
        assert!(sequence.is_full());
        assert_eq!(sequence.len(), Sequence::MAX);
        assert_eq!(sequence.lengths().last(), Some(&27));
        let last = sequence.sides(true).senders().last();
        assert_eq!(last, Some(Side::Client));
    }
}
