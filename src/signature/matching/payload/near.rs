//! Payload rules that came close, for whoever asks why a flow has no name: their bytes are there,
//! or begin to be, and something else is missing.
//!
//! Without the index, which leaves out just such rules: only for explaining.

use super::{
    AddressTable, Contains, Input, MAX_MESSAGES, Messages, Opening, PayloadRule, PayloadTable,
    Program, Side, Start, Transport, input_of_first, input_of_message, input_of_start,
};
use crate::verdict::Tag;

/// How many are told.
const MOST: usize = 8;

/// Two bytes: fewer are there by chance in every other message.
const LEAST_BITS: u32 = 16;

/// Three bytes, where the rest of a pattern is not there.
const LEAST_BITS_OF_PART: u32 = 24;

/// A payload rule that did not match for one reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Near {
    /// What it would have said.
    pub tag: Tag,
    /// Whose message came close.
    pub side: Side,
    /// Bits of the message that are as the rule says.
    pub bits: u32,
    /// What is missing.
    pub missing: Missing,
}

/// What a rule misses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// The first so many bytes of a pattern are there, of all it has.
    Bytes {
        /// Those that are there.
        there: usize,
        /// All.
        of: usize,
    },
    /// Bytes that may be anywhere (`contains`).
    Contains,
    /// This condition (`where`), from 1.
    Condition(usize),
    /// A port it requires.
    Port,
    /// Further messages of the kind, or that of the other side.
    Messages,
    /// What the other side answers.
    Reply,
    /// An address it requires or excludes.
    Address,
}

impl PayloadTable {
    /// The rules that came closest to `opening`, the closest first.
    pub(in crate::signature) fn near(
        &self,
        opening: &Opening<'_>,
        addresses: &AddressTable,
        found: &mut Vec<Near>,
    ) {
        let rules = match opening.transport {
            Transport::Tcp => &self.tcp,
            Transport::Udp => &self.udp,
            Transport::Other(_) => &self.other,
        };
        for rule in &rules.rules {
            let sides = [Side::Client, Side::Server].into_iter();
            let sides = sides.filter(|&side| rule.direction.includes(side));
            let best = sides
                .filter_map(|side| rule.near(opening, addresses, side))
                .max_by_key(|near| near.bits);
            found.extend(best);
        }
        found.sort_by_key(|near| std::cmp::Reverse(near.bits));
        found.truncate(MOST);
    }
}

impl PayloadRule {
    fn near(&self, opening: &Opening<'_>, addresses: &AddressTable, side: Side) -> Option<Near> {
        let near = |(bits, missing)| Near {
            tag: self.tag,
            side,
            bits,
            missing,
        };
        let mut best: Option<(u32, Missing)> = None;
        let mut look = |input: &Input<'_>| {
            if let Some(found) = self.miss(input, opening, addresses, side)
                && best.is_none_or(|(bits, _)| bits < found.0)
            {
                best = Some(found);
            }
        };
        match self.messages {
            Messages::First => {
                if let Some(input) = input_of_first(opening, side) {
                    look(&input);
                }
            }
            Messages::Any => {
                for message in opening.stream(side).messages().take(MAX_MESSAGES) {
                    look(&input_of_message(opening, side, message));
                }
            }
            Messages::Middle => {
                if let Some(input) = input_of_start(opening, Start::Middle, side) {
                    look(&input);
                }
            }
        }
        best.map(near)
    }

    /// What its messages begin.
    const fn start(&self) -> Start {
        match self.messages {
            Messages::Middle => Start::Middle,
            Messages::First | Messages::Any => Start::Flow,
        }
    }

    /// How many bits of this message are right, and what is not.
    fn miss(
        &self,
        input: &Input<'_>,
        opening: &Opening<'_>,
        addresses: &AddressTable,
        side: Side,
    ) -> Option<(u32, Missing)> {
        let matcher = &self.matcher;
        let mut bits = 0_u32;
        for at in &matcher.at {
            if at.matches(input) {
                bits = bits.saturating_add(at.pattern.fixed_bits());
                continue;
            }
            let start = usize::try_from(at.offset).ok()?;
            let (there, part) = at.pattern.prefix(input.bytes.get(start..)?);
            bits = bits.saturating_add(part);
            let missing = Missing::Bytes {
                there,
                of: at.pattern.len(),
            };
            return (part > 0 && bits >= LEAST_BITS_OF_PART).then_some((bits, missing));
        }
        let has = |contains: &&Contains| contains.matches(input);
        let contained = matcher.contains.iter().filter(has);
        let contained: usize = contained.map(|contains| contains.needle.len() * 8).sum();
        bits = bits.saturating_add(u32::try_from(contained).unwrap_or(u32::MAX));
        let fails = |condition: &Program| !condition.holds(input);
        let failing = matcher.conditions.iter().position(fails);
        if failing.is_none() {
            let conditions = matcher.conditions.iter().map(Program::fixed_bits);
            bits = conditions.fold(bits, u32::saturating_add);
        }
        if bits < LEAST_BITS {
            return None;
        }
        let missing = if !matcher
            .contains
            .iter()
            .all(|contains| contains.matches(input))
        {
            Missing::Contains
        } else if let Some(place) = failing {
            Missing::Condition(place + 1)
        } else if !self.guard.allows_ports(opening) {
            Missing::Port
        } else if !self.count_holds(opening, self.start(), side) {
            Missing::Messages
        } else if !self.reply_holds(opening, self.start(), side) {
            Missing::Reply
        } else if !self.guard.allows_addresses(opening, addresses) {
            Missing::Address
        } else {
            return None;
        };
        Some((bits, missing))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::opening::Script;
    use crate::signature::{SignatureSet, SourceFile};

    #[test]
    fn what_is_missing_is_told() {
        let rule = |more: &str| {
            format!(
                "[protocol]\nname = \"odd\"\ntitle = \"Odd\"\n[[payload]]\nname = \"rule\"\n\
                 transport = \"udp\"\nsource = \"a test\"\n\
                 at = [{{ offset = 0, hex = \"01 02 03 04\" }}]\n{more}"
            )
        };
        let message = [1, 2, 3, 4, 9, 9];
        for (more, message, missing) in [
            ("", &message[..], None),
            ("", &[1, 2, 3, 5], Some(Missing::Bytes { there: 3, of: 4 })),
            ("", &[1, 2, 9, 9], None),
            ("", b"", None),
            (
                "where = [\"len > 4\", \"u8(4) == 7\"]",
                &message,
                Some(Missing::Condition(2)),
            ),
            (
                "port = [7]\nport_required = true",
                &message,
                Some(Missing::Port),
            ),
            ("repeat = 2", &message, Some(Missing::Messages)),
            (
                "reply = { at = [{ offset = 0, hex = \"05\" }] }",
                &message,
                Some(Missing::Reply),
            ),
            (
                "contains = [{ text = \"there\" }]",
                &message,
                Some(Missing::Contains),
            ),
            (
                "address_excluded = [\"203.0.113.0/24\"]",
                &message,
                Some(Missing::Address),
            ),
        ] {
            let file = SourceFile::new("protocol/odd.toml", rule(more));
            let set = SignatureSet::compile(&[file]).unwrap();
            let script = Script::udp(9).client(message);
            let mut found = Vec::new();
            set.near_by_payload(&script.opening(), &mut found);
            let found: Vec<Missing> = found.iter().map(|near| near.missing).collect();
            assert_eq!(found, Vec::from_iter(missing), "{more}");
        }
    }
}
