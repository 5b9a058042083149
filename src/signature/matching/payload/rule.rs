//! A payload rule: what messages must look like, and whose.

use memchr::memmem::Finder;

use crate::flow::{Opening, Side, Transport};
use crate::signature::condition::{Input, Program};
use crate::signature::matching::address::AddressTable;
use crate::signature::matching::guard::Guard;
use crate::signature::pattern::HexPattern;
use crate::verdict::Tag;

/// How many of a side's messages are looked at for `any` rules: those an opening keeps.
pub(super) const MAX_MESSAGES: usize = 32;

/// Whose messages a rule is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::signature) enum Direction {
    Only(Side),
    Either,
    Both,
}

impl Direction {
    pub(super) fn includes(self, side: Side) -> bool {
        match self {
            Self::Only(only) => only == side,
            Self::Either | Self::Both => true,
        }
    }
}

/// Which of a side's messages a rule is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::signature) enum Messages {
    /// The start of the TCP stream, or the first message.
    First,
    /// The start of any message.
    Any,
    /// The start of a message of a TCP stream whose own start was not seen.
    Middle,
}

/// What a message must look like.
#[derive(Clone, Debug, Default)]
pub(in crate::signature) struct Matcher {
    pub(in crate::signature) at: Box<[At]>,
    pub(in crate::signature) contains: Box<[Contains]>,
    pub(in crate::signature) conditions: Box<[Program]>,
}

/// A pattern at a fixed place.
#[derive(Clone, Debug)]
pub(in crate::signature) struct At {
    /// From the start; negative: from the message's end.
    pub(in crate::signature) offset: i32,
    pub(in crate::signature) pattern: HexPattern,
}

/// Bytes anywhere near the start.
#[derive(Clone, Debug)]
pub(in crate::signature) struct Contains {
    pub(in crate::signature) needle: Box<[u8]>,
    pub(in crate::signature) finder: Finder<'static>,
    pub(in crate::signature) within: usize,
}

impl Matcher {
    /// Bytes it takes on the heap, about.
    pub(super) fn memory(&self) -> usize {
        let at = |one: &At| size_of::<At>() + one.pattern.memory();
        // The needle stands in its finder as well.
        let contains = |one: &Contains| size_of::<Contains>() + 2 * one.needle.len();
        let condition = |one: &Program| size_of::<Program>() + one.memory();
        self.at.iter().map(at).sum::<usize>()
            + self.contains.iter().map(contains).sum::<usize>()
            + self.conditions.iter().map(condition).sum::<usize>()
    }

    /// Whether the message is such a one.
    pub(in crate::signature) fn matches(&self, input: &Input<'_>) -> bool {
        self.at.iter().all(|at| at.matches(input))
            && self
                .conditions
                .iter()
                .all(|condition| condition.holds(input))
            && self.contains.iter().all(|contains| contains.matches(input))
    }

    /// How many bytes of the stream can change the answer.
    pub(super) fn reach(&self) -> usize {
        let at = self.at.iter().map(At::reach);
        let contains = self.contains.iter().map(|contains| contains.within);
        let conditions = self.conditions.iter().map(Program::reach);
        at.chain(contains)
            .chain(conditions)
            .max()
            .unwrap_or_default()
    }

    pub(super) fn peer_reach(&self) -> usize {
        self.conditions
            .iter()
            .map(Program::peer_reach)
            .max()
            .unwrap_or_default()
    }

    /// How many bits of a random message it fixes.
    pub(in crate::signature) fn fixed_bits(&self) -> u32 {
        let at = self.at.iter().map(|at| at.pattern.fixed_bits());
        let contains = self
            .contains
            .iter()
            .map(|contains| contains.needle.len() * 8);
        let contains = contains.map(|bits| u32::try_from(bits).unwrap_or(u32::MAX));
        let conditions = self.conditions.iter().map(Program::fixed_bits);
        at.chain(contains)
            .chain(conditions)
            .fold(0, u32::saturating_add)
    }

    /// Whether something in the message must agree with its length.
    pub(in crate::signature) fn agrees_with_length(&self) -> bool {
        self.conditions.iter().any(Program::agrees_with_length)
    }

    /// Whether it looks at nothing.
    pub(in crate::signature) const fn is_empty(&self) -> bool {
        self.at.is_empty() && self.contains.is_empty() && self.conditions.is_empty()
    }
}

impl At {
    pub(super) fn matches(&self, input: &Input<'_>) -> bool {
        let len = self.pattern.len();
        let bytes = match usize::try_from(self.offset) {
            Ok(start) => input.bytes.get(start..start + len),
            Err(_) => {
                let back = self.offset.unsigned_abs() as usize;
                let start = input.message.len().checked_sub(back);
                start.and_then(|start| input.message.get(start..start + len))
            }
        };
        bytes.is_some_and(|bytes| self.pattern.matches(bytes))
    }

    pub(super) fn reach(&self) -> usize {
        match usize::try_from(self.offset) {
            Ok(start) => start + self.pattern.len(),
            Err(_) => 1,
        }
    }
}

impl Contains {
    pub(super) fn matches(&self, input: &Input<'_>) -> bool {
        let searched = input.bytes.get(..self.within).unwrap_or(input.bytes);
        self.finder.find(searched).is_some()
    }
}

/// A compiled rule for one transport.
#[derive(Clone, Debug)]
pub(in crate::signature) struct PayloadRule {
    pub(in crate::signature) tag: Tag,
    pub(in crate::signature) direction: Direction,
    pub(in crate::signature) messages: Messages,
    /// It is also tried on a message of a TCP stream that is not known to be its first.
    pub(in crate::signature) middle: bool,
    /// How many messages must match; more than 1 only with [`Messages::Any`].
    pub(in crate::signature) repeat: u8,
    pub(in crate::signature) matcher: Matcher,
    /// What the other side's first message must be.
    pub(in crate::signature) reply: Option<Matcher>,
    pub(in crate::signature) guard: Guard,
    /// For transports other than TCP and UDP: the IP protocol, if it must be one.
    pub(in crate::signature) ip_protocol: Option<u8>,
}

impl PayloadRule {
    /// Bytes it takes, itself included, about.
    pub(super) fn memory(&self) -> usize {
        let reply = self.reply.as_ref().map_or(0, Matcher::memory);
        size_of::<Self>() + self.matcher.memory() + reply + self.guard.memory()
    }

    /// How many bytes of its side's stream can change the answer.
    pub(super) fn reach(&self) -> usize {
        self.matcher
            .reach()
            .max(self.reply.as_ref().map_or(0, Matcher::peer_reach))
    }

    /// How many bytes of the other side's can: 0 if it does not look there.
    pub(super) fn peer_reach(&self) -> usize {
        self.matcher
            .peer_reach()
            .max(self.reply.as_ref().map_or(0, |reply| reply.reach().max(1)))
    }

    /// Whether the rule holds for `side`, given what its newest message may have changed.
    ///
    /// `newest` is the message to look at for [`Messages::Any`]; without it all are looked at.
    pub(super) fn holds(
        &self,
        (opening, start): (&Opening<'_>, Start),
        addresses: &AddressTable,
        side: Side,
        newest: Option<&[u8]>,
    ) -> bool {
        if let (Transport::Other(protocol), Some(expected)) = (opening.transport, self.ip_protocol)
            && protocol != expected
        {
            return false;
        }
        self.guard.allows_ports(opening)
            && self.message_holds(opening, start, side, newest)
            && self.count_holds(opening, start, side)
            && self.reply_holds(opening, start, side)
            && self.guard.allows_addresses(opening, addresses)
    }

    pub(super) fn message_holds(
        &self,
        opening: &Opening<'_>,
        start: Start,
        side: Side,
        newest: Option<&[u8]>,
    ) -> bool {
        match (self.messages, newest) {
            (Messages::First | Messages::Middle, _) => self.first_holds(opening, start, side),
            (Messages::Any, Some(message)) => self
                .matcher
                .matches(&input_of_message(opening, side, message)),
            (Messages::Any, None) => self.count(opening, side, 1) == 1,
        }
    }

    pub(super) fn first_holds(&self, opening: &Opening<'_>, start: Start, side: Side) -> bool {
        input_of_start(opening, start, side).is_some_and(|input| self.matcher.matches(&input))
    }

    /// `direction = "both"` and `repeat`, once one message matched.
    pub(super) fn count_holds(&self, opening: &Opening<'_>, start: Start, side: Side) -> bool {
        let repeat = usize::from(self.repeat);
        let both = self.direction == Direction::Both;
        match self.messages {
            Messages::First | Messages::Middle => !both || self.first_holds(opening, start, !side),
            Messages::Any if repeat <= 1 && !both => true,
            Messages::Any => {
                let mine = self.count(opening, side, repeat);
                match self.direction {
                    Direction::Only(_) => mine >= repeat,
                    Direction::Both => {
                        mine >= repeat && self.count(opening, !side, repeat) >= repeat
                    }
                    Direction::Either => {
                        mine >= repeat || mine + self.count(opening, !side, repeat - mine) >= repeat
                    }
                }
            }
        }
    }

    /// Whether `repeat` is met by the messages of both sides together.
    pub(super) fn counts_both_sides(&self) -> bool {
        self.direction == Direction::Either && self.repeat > 1
    }

    /// How many of a side's messages match, counted up to `enough`.
    pub(super) fn count(&self, opening: &Opening<'_>, side: Side, enough: usize) -> usize {
        let messages = opening.stream(side).messages().take(MAX_MESSAGES);
        let matching = messages.filter(|message| {
            self.matcher
                .matches(&input_of_message(opening, side, message))
        });
        matching.take(enough).count()
    }

    pub(super) fn reply_holds(&self, opening: &Opening<'_>, start: Start, side: Side) -> bool {
        self.reply.as_ref().is_none_or(|reply| {
            input_of_start(opening, start, !side).is_some_and(|input| reply.matches(&input))
        })
    }
}

/// What an opening shown to rules begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    /// The start of the flow, or for a stream that says so, what was seen first of it.
    Flow,
    /// Messages that are not known to be the first.
    Middle,
}

/// The start of a side's stream or its first message; `None` if it was not seen.
pub(in crate::signature) fn input_of_first<'a>(
    opening: &Opening<'a>,
    side: Side,
) -> Option<Input<'a>> {
    input_of_start(opening, Start::Flow, side)
}

pub(super) fn input_of_start<'a>(
    opening: &Opening<'a>,
    start: Start,
    side: Side,
) -> Option<Input<'a>> {
    let stream = opening.stream(side);
    if stream.is_empty() || stream.mid_stream && start == Start::Flow {
        return None;
    }
    let message = stream.first();
    let bytes = if opening.transport == Transport::Tcp {
        stream.bytes
    } else {
        message
    };
    Some(input(opening, start, side, bytes, message))
}

pub(super) fn input_of_message<'a>(
    opening: &Opening<'a>,
    side: Side,
    message: &'a [u8],
) -> Input<'a> {
    input(opening, Start::Flow, side, message, message)
}

pub(super) fn input<'a>(
    opening: &Opening<'a>,
    start: Start,
    side: Side,
    bytes: &'a [u8],
    message: &'a [u8],
) -> Input<'a> {
    let peer = opening.stream(!side);
    // Of a stream whose start was not seen, there is no first message to read.
    let (peer_bytes, peer_message) = match opening.transport {
        _ if peer.mid_stream && start == Start::Flow => (&[][..], &[][..]),
        Transport::Tcp => (peer.bytes, peer.first()),
        _ => (peer.first(), peer.first()),
    };
    Input {
        bytes,
        message,
        total: opening.stream(side).bytes.len(),
        peer_bytes,
        peer_message,
        client_port: opening.client_port,
        server_port: opening.server_port,
    }
}
