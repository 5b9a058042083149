//! Payload rules: bytes of messages, and which of them a new message can make true.
//!
//! A rule is compiled once for each transport it is for; [`PayloadTable`] keeps them in one index
//! for each side and kind of message (`first` or `any`), so that a message meets only the rules
//! that are about such messages. No state is kept between calls: what was seen before is in the
//! opening.

mod near;

pub use near::{Missing, Near};

use memchr::memmem::Finder;

use super::address::AddressTable;
use super::condition::{Input, Program};
pub(super) use super::index::Which;
use super::index::{Entry, MessageIndex, head_of};
use super::pattern::HexPattern;
use super::rule::{Found, Guard};
use crate::flow::opening::PerSide;
use crate::flow::{Opening, Side, Stream, Transport};
use crate::verdict::Tag;

/// How many of a side's messages are looked at for `any` rules: those an opening keeps.
const MAX_MESSAGES: usize = 32;

/// Whose messages a rule is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    Only(Side),
    Either,
    Both,
}

impl Direction {
    fn includes(self, side: Side) -> bool {
        match self {
            Self::Only(only) => only == side,
            Self::Either | Self::Both => true,
        }
    }
}

/// Which of a side's messages a rule is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Messages {
    /// The start of the TCP stream, or the first message.
    First,
    /// The start of any message.
    Any,
    /// The start of a message of a TCP stream whose own start was not seen.
    Middle,
}

/// What a message must look like.
#[derive(Clone, Debug, Default)]
pub(super) struct Matcher {
    pub(super) at: Box<[At]>,
    pub(super) contains: Box<[Contains]>,
    pub(super) conditions: Box<[Program]>,
}

/// A pattern at a fixed place.
#[derive(Clone, Debug)]
pub(super) struct At {
    /// From the start; negative: from the message's end.
    pub(super) offset: i32,
    pub(super) pattern: HexPattern,
}

/// Bytes anywhere near the start.
#[derive(Clone, Debug)]
pub(super) struct Contains {
    pub(super) needle: Box<[u8]>,
    pub(super) finder: Finder<'static>,
    pub(super) within: usize,
}

impl Matcher {
    /// Bytes it takes on the heap, about.
    fn memory(&self) -> usize {
        let at = |one: &At| size_of::<At>() + one.pattern.memory();
        // The needle stands in its finder as well.
        let contains = |one: &Contains| size_of::<Contains>() + 2 * one.needle.len();
        let condition = |one: &Program| size_of::<Program>() + one.memory();
        self.at.iter().map(at).sum::<usize>()
            + self.contains.iter().map(contains).sum::<usize>()
            + self.conditions.iter().map(condition).sum::<usize>()
    }

    /// Whether the message is such a one.
    pub(super) fn matches(&self, input: &Input<'_>) -> bool {
        self.at.iter().all(|at| at.matches(input))
            && self
                .conditions
                .iter()
                .all(|condition| condition.holds(input))
            && self.contains.iter().all(|contains| contains.matches(input))
    }

    /// How many bytes of the stream can change the answer.
    fn reach(&self) -> usize {
        let at = self.at.iter().map(At::reach);
        let contains = self.contains.iter().map(|contains| contains.within);
        let conditions = self.conditions.iter().map(Program::reach);
        at.chain(contains)
            .chain(conditions)
            .max()
            .unwrap_or_default()
    }

    fn peer_reach(&self) -> usize {
        self.conditions
            .iter()
            .map(Program::peer_reach)
            .max()
            .unwrap_or_default()
    }

    /// How many bits of a random message it fixes.
    pub(super) fn fixed_bits(&self) -> u32 {
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
    pub(super) fn agrees_with_length(&self) -> bool {
        self.conditions.iter().any(Program::agrees_with_length)
    }

    /// Whether it looks at nothing.
    pub(super) const fn is_empty(&self) -> bool {
        self.at.is_empty() && self.contains.is_empty() && self.conditions.is_empty()
    }
}

impl At {
    fn matches(&self, input: &Input<'_>) -> bool {
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

    fn reach(&self) -> usize {
        match usize::try_from(self.offset) {
            Ok(start) => start + self.pattern.len(),
            Err(_) => 1,
        }
    }
}

impl Contains {
    fn matches(&self, input: &Input<'_>) -> bool {
        let searched = input.bytes.get(..self.within).unwrap_or(input.bytes);
        self.finder.find(searched).is_some()
    }
}

/// A compiled rule for one transport.
#[derive(Clone, Debug)]
pub(super) struct PayloadRule {
    pub(super) tag: Tag,
    pub(super) direction: Direction,
    pub(super) messages: Messages,
    /// It is also tried on a message of a TCP stream that is not known to be its first.
    pub(super) middle: bool,
    /// How many messages must match; more than 1 only with [`Messages::Any`].
    pub(super) repeat: u8,
    pub(super) matcher: Matcher,
    /// What the other side's first message must be.
    pub(super) reply: Option<Matcher>,
    pub(super) guard: Guard,
    /// For transports other than TCP and UDP: the IP protocol, if it must be one.
    pub(super) ip_protocol: Option<u8>,
}

impl PayloadRule {
    /// Bytes it takes, itself included, about.
    fn memory(&self) -> usize {
        let reply = self.reply.as_ref().map_or(0, Matcher::memory);
        size_of::<Self>() + self.matcher.memory() + reply + self.guard.memory()
    }

    /// How many bytes of its side's stream can change the answer.
    fn reach(&self) -> usize {
        self.matcher
            .reach()
            .max(self.reply.as_ref().map_or(0, Matcher::peer_reach))
    }

    /// How many bytes of the other side's can: 0 if it does not look there.
    fn peer_reach(&self) -> usize {
        self.matcher
            .peer_reach()
            .max(self.reply.as_ref().map_or(0, |reply| reply.reach().max(1)))
    }

    /// Whether the rule holds for `side`, given what its newest message may have changed.
    ///
    /// `newest` is the message to look at for [`Messages::Any`]; without it all are looked at.
    fn holds(
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

    fn message_holds(
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

    fn first_holds(&self, opening: &Opening<'_>, start: Start, side: Side) -> bool {
        input_of_start(opening, start, side).is_some_and(|input| self.matcher.matches(&input))
    }

    /// `direction = "both"` and `repeat`, once one message matched.
    fn count_holds(&self, opening: &Opening<'_>, start: Start, side: Side) -> bool {
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
    fn counts_both_sides(&self) -> bool {
        self.direction == Direction::Either && self.repeat > 1
    }

    /// How many of a side's messages match, counted up to `enough`.
    fn count(&self, opening: &Opening<'_>, side: Side, enough: usize) -> usize {
        let messages = opening.stream(side).messages().take(MAX_MESSAGES);
        let matching = messages.filter(|message| {
            self.matcher
                .matches(&input_of_message(opening, side, message))
        });
        matching.take(enough).count()
    }

    fn reply_holds(&self, opening: &Opening<'_>, start: Start, side: Side) -> bool {
        self.reply.as_ref().is_none_or(|reply| {
            input_of_start(opening, start, !side).is_some_and(|input| reply.matches(&input))
        })
    }
}

/// What an opening shown to rules begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Start {
    /// The start of the flow, or for a stream that says so, what was seen first of it.
    Flow,
    /// Messages that are not known to be the first.
    Middle,
}

/// The start of a side's stream or its first message; `None` if it was not seen.
pub(super) fn input_of_first<'a>(opening: &Opening<'a>, side: Side) -> Option<Input<'a>> {
    input_of_start(opening, Start::Flow, side)
}

fn input_of_start<'a>(opening: &Opening<'a>, start: Start, side: Side) -> Option<Input<'a>> {
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

fn input_of_message<'a>(opening: &Opening<'a>, side: Side, message: &'a [u8]) -> Input<'a> {
    input(opening, Start::Flow, side, message, message)
}

fn input<'a>(
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

/// All payload rules.
#[derive(Debug, Default)]
pub(super) struct PayloadTable {
    tcp: TransportRules,
    udp: TransportRules,
    other: TransportRules,
}

/// The rules of one transport.
#[derive(Debug, Default)]
struct TransportRules {
    rules: Vec<PayloadRule>,
    first: PerSide<MessageIndex>,
    any: PerSide<MessageIndex>,
    /// By the side the rules are about: those that look at the other side as well.
    waiting: PerSide<Vec<Entry>>,
    /// The rules that are tried on messages of a stream that are not known to be its first.
    middle: PerSide<MessageIndex>,
    /// Of those, the ones that look at the other side as well.
    middle_waiting: PerSide<Vec<Entry>>,
}

impl PayloadTable {
    /// Bytes it takes on the heap, about.
    pub(super) fn memory(&self) -> usize {
        [&self.tcp, &self.udp, &self.other]
            .map(TransportRules::memory)
            .iter()
            .sum()
    }

    /// A table of rules for TCP, for UDP and for everything else.
    pub(super) fn new(
        tcp: Vec<PayloadRule>,
        udp: Vec<PayloadRule>,
        other: Vec<PayloadRule>,
    ) -> Self {
        Self {
            tcp: TransportRules::new(tcp, true),
            udp: TransportRules::new(udp, false),
            other: TransportRules::new(other, false),
        }
    }

    /// The rules, of those `wanted`, that the newest message of `opening` makes true.
    pub(super) fn find(
        &self,
        opening: &Opening<'_>,
        wanted: Which,
        addresses: &AddressTable,
        found: &mut Found<'_>,
    ) {
        let rules = match opening.transport {
            Transport::Tcp => &self.tcp,
            Transport::Udp => &self.udp,
            Transport::Other(_) => &self.other,
        };
        rules.find(opening, wanted, addresses, found);
    }

    /// The rules that hold where the streams of `opening` begin with messages that are not known to
    /// be the first ones.
    pub(super) fn find_middle(
        &self,
        opening: &Opening<'_>,
        addresses: &AddressTable,
        found: &mut Found<'_>,
    ) {
        match opening.transport {
            Transport::Tcp => self.tcp.find_middle(opening, addresses, found),
            Transport::Udp => self.udp.find_middle(opening, addresses, found),
            Transport::Other(_) => {}
        }
    }

    /// The same without an index: what the index must agree with.
    #[cfg(test)]
    pub(super) fn find_naive(
        &self,
        opening: &Opening<'_>,
        addresses: &AddressTable,
        found: &mut Found<'_>,
    ) {
        let rules = match opening.transport {
            Transport::Tcp => &self.tcp,
            Transport::Udp => &self.udp,
            Transport::Other(_) => &self.other,
        };
        for rule in &rules.rules {
            for side in [Side::Client, Side::Server] {
                if rule.messages != Messages::Middle
                    && rule.direction.includes(side)
                    && rule.holds((opening, Start::Flow), addresses, side, None)
                {
                    found.push(rule.tag);
                }
            }
        }
    }
}

impl TransportRules {
    /// Bytes they take on the heap, about.
    fn memory(&self) -> usize {
        let sides = |sides: &PerSide<MessageIndex>| sides.client.memory() + sides.server.memory();
        let waiting: usize = [&self.waiting, &self.middle_waiting]
            .map(|sides| sides.client.capacity() + sides.server.capacity())
            .iter()
            .sum();
        self.rules.iter().map(PayloadRule::memory).sum::<usize>()
            + sides(&self.first)
            + sides(&self.any)
            + sides(&self.middle)
            + waiting * size_of::<Entry>()
    }

    fn new(rules: Vec<PayloadRule>, is_stream: bool) -> Self {
        let mut first = PerSide::<Vec<Entry>>::default();
        let mut any = PerSide::<Vec<Entry>>::default();
        let mut waiting = PerSide::<Vec<Entry>>::default();
        let mut middle = PerSide::<Vec<Entry>>::default();
        let mut middle_waiting = PerSide::<Vec<Entry>>::default();
        for (number, rule) in (0..).zip(&rules) {
            // Of a datagram nothing comes later; what the side has sent in all does.
            let grows = rule.reach() == usize::MAX;
            let reach = if is_stream || grows { rule.reach() } else { 0 };
            let peer_reach = rule.peer_reach();
            let peer_reach = if is_stream {
                peer_reach
            } else {
                peer_reach.min(1)
            };
            for side in [Side::Client, Side::Server] {
                if !rule.direction.includes(side) {
                    continue;
                }
                let entry = Entry::new(number, rule, reach);
                if rule.middle {
                    middle[side].push(entry.clone());
                    if peer_reach > 0 {
                        middle_waiting[side].push(entry.waiting_for(peer_reach));
                    }
                }
                match rule.messages {
                    Messages::First => first[side].push(entry.clone()),
                    Messages::Any => any[side].push(entry.clone()),
                    Messages::Middle => continue,
                }
                if peer_reach > 0 {
                    waiting[side].push(entry.waiting_for(peer_reach));
                }
            }
        }
        let index = |entries: PerSide<Vec<Entry>>| PerSide {
            client: MessageIndex::new(entries.client, &rules),
            server: MessageIndex::new(entries.server, &rules),
        };
        let (first, any, middle) = (index(first), index(any), index(middle));
        Self {
            rules,
            first,
            any,
            waiting,
            middle,
            middle_waiting,
        }
    }

    fn find(
        &self,
        opening: &Opening<'_>,
        wanted: Which,
        addresses: &AddressTable,
        found: &mut Found<'_>,
    ) {
        let side = opening.latest;
        let stream = opening.stream(side);
        let newest = stream.last();
        // What of the stream the last call has seen: nothing before the first message.
        let seen = stream.bytes.len().saturating_sub(newest.len());
        if newest.is_empty() {
            return;
        }
        let mut attempt = |number: u32, side: Side, newest: Option<&[u8]>| {
            if let Some(rule) = self.rules.get(number as usize)
                && !found.is_full()
                && !found.has(rule.tag.rule)
                && rule.holds((opening, Start::Flow), addresses, side, newest)
            {
                found.push(rule.tag);
            }
        };
        if let Some(input) = input_of_first(opening, side) {
            let which = (seen, wanted);
            self.first[side].candidates(&input, opening, which, |rule| attempt(rule, side, None));
        }
        let input = input_of_message(opening, side, newest);
        self.any[side].candidates(&input, opening, (0, wanted), |rule| {
            attempt(rule, side, Some(newest));
            // The message may be the last one that the other side's were short of.
            if self
                .rules
                .get(rule as usize)
                .is_some_and(PayloadRule::counts_both_sides)
            {
                attempt(rule, !side, None);
            }
        });
        self.woken(opening, !side, (seen, wanted), attempt);
    }

    fn find_middle(&self, opening: &Opening<'_>, addresses: &AddressTable, found: &mut Found<'_>) {
        let side = opening.latest;
        let mut attempt = |number: u32, side: Side| {
            if let Some(rule) = self.rules.get(number as usize)
                && !found.is_full()
                && !found.has(rule.tag.rule)
                && rule.holds((opening, Start::Middle), addresses, side, None)
            {
                found.push(rule.tag);
            }
        };
        if let Some(input) = input_of_start(opening, Start::Middle, side) {
            let which = (0, Which::All);
            self.middle[side].candidates(&input, opening, which, |rule| attempt(rule, side));
        }
        let other = opening.stream(!side);
        if !other.is_empty() {
            let head = head_of(other.bytes);
            for entry in &self.middle_waiting[!side] {
                if entry.fits_head(head) {
                    attempt(entry.rule, !side);
                }
            }
        }
    }

    /// Rules about `side` that wait for what the other side said just now.
    fn woken(
        &self,
        opening: &Opening<'_>,
        side: Side,
        (seen, wanted): (usize, Which),
        mut attempt: impl FnMut(u32, Side, Option<&[u8]>),
    ) {
        let waiting = &self.waiting[side];
        let stream: Stream<'_> = opening.stream(side);
        if stream.is_empty() {
            return;
        }
        let head = head_of(stream.bytes);
        for entry in waiting.iter().filter(|entry| entry.is(wanted)) {
            let first = self
                .rules
                .get(entry.rule as usize)
                .map(|rule| rule.messages);
            let plausible = first != Some(Messages::First) || entry.fits_head(head);
            if (seen == 0 || seen < entry.reach) && plausible {
                attempt(entry.rule, side, None);
            }
        }
    }
}

#[cfg(test)]
mod tests;
