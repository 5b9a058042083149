//! Payload rules: bytes of messages, and which of them a new message can make true.
//!
//! A rule is compiled once for each transport it is for; [`PayloadTable`] keeps them in one index
//! for each side and kind of message (`first` or `any`), so that a message meets only the rules
//! that are about such messages. No state is kept between calls: what was seen before is in the
//! opening.

pub(in crate::signature) mod near;
mod rule;

pub(in crate::signature) use rule::{
    At, Contains, Direction, Matcher, Messages, PayloadRule, input_of_first,
};

use self::rule::{MAX_MESSAGES, Start, input_of_message, input_of_start};
use super::address::AddressTable;
use super::guard::Found;
pub(in crate::signature) use super::index::Which;
use super::index::{Entry, MessageIndex, Outline};
use crate::flow::opening::PerSide;
use crate::flow::{Opening, Side, Transport};
use crate::signature::condition::{Input, Program};

/// All payload rules.
#[derive(Debug, Default)]
pub(in crate::signature) struct PayloadTable {
    tcp: TransportRules,
    udp: TransportRules,
    other: TransportRules,
}

/// Rules, and what each says of all messages it can hold for.
pub(in crate::signature) type Outlined = Vec<(PayloadRule, Outline)>;

/// The rules of one transport.
#[derive(Debug, Default)]
struct TransportRules {
    rules: Vec<PayloadRule>,
    first: PerSide<MessageIndex>,
    any: PerSide<MessageIndex>,
    /// By the side the rules are about: those about its first message that look at the other side as
    /// well.
    first_waiting: PerSide<MessageIndex>,
    /// Those about any message that do.
    any_waiting: PerSide<Vec<Entry>>,
    /// The rules that are tried on messages of a stream that are not known to be its first.
    middle: PerSide<MessageIndex>,
    /// Of those, the ones that look at the other side as well.
    middle_waiting: PerSide<MessageIndex>,
}

impl PayloadTable {
    /// Bytes it takes on the heap, about.
    pub(in crate::signature) fn memory(&self) -> usize {
        [&self.tcp, &self.udp, &self.other]
            .map(TransportRules::memory)
            .iter()
            .sum()
    }

    /// A table of rules for TCP, for UDP and for everything else.
    pub(in crate::signature) fn new(tcp: Outlined, udp: Outlined, other: Outlined) -> Self {
        Self {
            tcp: TransportRules::new(tcp, true),
            udp: TransportRules::new(udp, false),
            other: TransportRules::new(other, false),
        }
    }

    const fn of(&self, transport: Transport) -> &TransportRules {
        match transport {
            Transport::Tcp => &self.tcp,
            Transport::Udp => &self.udp,
            Transport::Other(_) => &self.other,
        }
    }

    /// The rules, of those `wanted`, that the newest message of `opening` makes true.
    pub(in crate::signature) fn find(
        &self,
        opening: &Opening<'_>,
        wanted: Which,
        addresses: &AddressTable,
        found: &mut Found<'_>,
    ) {
        self.of(opening.transport)
            .find(opening, wanted, addresses, found);
    }

    /// The rules that hold where the streams of `opening` begin with messages that are not known to
    /// be the first ones.
    pub(in crate::signature) fn find_middle(
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
    pub(in crate::signature) fn find_naive(
        &self,
        opening: &Opening<'_>,
        addresses: &AddressTable,
        found: &mut Found<'_>,
    ) {
        for rule in &self.of(opening.transport).rules {
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
        let waiting = self.any_waiting.client.capacity() + self.any_waiting.server.capacity();
        self.rules.iter().map(PayloadRule::memory).sum::<usize>()
            + sides(&self.first)
            + sides(&self.any)
            + sides(&self.first_waiting)
            + sides(&self.middle)
            + sides(&self.middle_waiting)
            + waiting * size_of::<Entry>()
    }

    fn new(rules: Outlined, is_stream: bool) -> Self {
        let (rules, outlines): (Vec<_>, Vec<_>) = rules.into_iter().unzip();
        let mut first = PerSide::<Vec<Entry>>::default();
        let mut any = PerSide::<Vec<Entry>>::default();
        let mut first_waiting = PerSide::<Vec<Entry>>::default();
        let mut any_waiting = PerSide::<Vec<Entry>>::default();
        let mut middle = PerSide::<Vec<Entry>>::default();
        let mut middle_waiting = PerSide::<Vec<Entry>>::default();
        for (number, (rule, outline)) in (0..).zip(rules.iter().zip(&outlines)) {
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
                let entry = Entry::new(number, rule, outline, reach);
                if rule.middle {
                    middle[side].push(entry.clone());
                    if peer_reach > 0 {
                        middle_waiting[side].push(entry.waiting_for(peer_reach));
                    }
                }
                let (these, waiting) = match rule.messages {
                    Messages::First => (&mut first, &mut first_waiting),
                    Messages::Any => (&mut any, &mut any_waiting),
                    Messages::Middle => continue,
                };
                if peer_reach > 0 {
                    waiting[side].push(entry.waiting_for(peer_reach));
                }
                these[side].push(entry);
            }
        }
        let index = |entries: PerSide<Vec<Entry>>| PerSide {
            client: MessageIndex::new(entries.client, &rules, &outlines),
            server: MessageIndex::new(entries.server, &rules, &outlines),
        };
        let (first, any, middle) = (index(first), index(any), index(middle));
        let (first_waiting, middle_waiting) = (index(first_waiting), index(middle_waiting));
        Self {
            rules,
            first,
            any,
            first_waiting,
            any_waiting,
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
        if let Some(input) = input_of_start(opening, Start::Middle, !side) {
            let which = (0, Which::All);
            self.middle_waiting[!side]
                .candidates(&input, opening, which, |rule| attempt(rule, !side));
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
        if let Some(input) = input_of_first(opening, side) {
            let which = (seen, wanted);
            self.first_waiting[side]
                .candidates(&input, opening, which, |rule| attempt(rule, side, None));
        }
        if opening.stream(side).is_empty() {
            return;
        }
        for entry in &self.any_waiting[side] {
            if entry.is(wanted) && (seen == 0 || seen < entry.reach) {
                attempt(entry.rule, side, None);
            }
        }
    }
}

#[cfg(test)]
mod tests;
