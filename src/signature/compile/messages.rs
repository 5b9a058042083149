//! `[[payload]]` and `[[flow]]`: rules over messages.

use memchr::memmem::Finder;
use toml::Spanned;

use super::{Common, Compiler, Context, SCTP, all, evidence, guard, inside, prefixes};
use crate::flow::Side;
use crate::flow::opening::PerSide;
use crate::signature::condition::Program;
use crate::signature::diagnostic::Findings;
use crate::signature::file::{
    self, AtTable, ContainsTable, DirectionName, MessageName, OneOrMany, TransportName,
};
use crate::signature::matching::flow::{FlowRule, Transports, parse_packet};
use crate::signature::matching::index::Outline;
use crate::signature::matching::payload::{
    At, Contains, Direction, Matcher, Messages, PayloadRule,
};
use crate::signature::pattern::{HexPattern, MAX_PATTERN};
use crate::signature::rule::RuleKind;
use crate::verdict::Evidence;

/// How far into a message patterns may look, and how far `contains` may search.
const MAX_WITHIN: u32 = 2048;
const DEFAULT_WITHIN: u32 = 512;

/// How many bits a proof fixes that holds on any message, not only on a stream's first; fewer, if a
/// length in it agrees with the message's.
const MIDDLE_BITS: u32 = 48;
const MIDDLE_BITS_WITH_LENGTH: u32 = 32;

impl Compiler {
    pub(super) fn payload(
        &mut self,
        table: &Spanned<file::PayloadTable>,
        context: &Context,
        findings: &mut Findings<'_>,
    ) {
        let at = table.span();
        let table = table.get_ref();
        let name_at = table.name.span();
        let transports = transports(
            &table.transport,
            table.ip_protocol,
            name_at.clone(),
            findings,
        );
        let matcher = matcher_of(&table.at, &table.contains, &table.conditions, findings);
        let reply = table.reply.as_ref().map(|reply| {
            let at = reply.span();
            let reply = reply.get_ref();
            let reply = matcher_of(&reply.at, &reply.contains, &reply.conditions, findings);
            if reply.as_ref().is_some_and(Matcher::is_empty) {
                findings.error(at, "expected `at`, `contains` or `where` in `reply`");
            }
            reply
        });
        if table.direction == DirectionName::Both
            && let Some(reply) = &table.reply
        {
            findings.error(
                reply.span(),
                "`direction = \"both\"` asks the same of each side: expected no `reply`",
            );
            return;
        }
        let allowed = [
            Evidence::Payload,
            Evidence::PayloadProof,
            Evidence::Flow,
            Evidence::Port,
        ];
        let evidence = evidence(&table.evidence, &allowed, findings);
        let excluded = prefixes(&table.address_excluded, findings);
        let repeat = table.repeat.as_ref().map_or(1, |repeat| *repeat.get_ref());
        if let Some(given) = &table.repeat
            && (!(1..=32).contains(&repeat)
                || repeat > 1 && !matches!(table.message, None | Some(MessageName::Any)))
        {
            findings.error(given.span(), "expected 1 to 32, and no `message` but `any`");
            return;
        }
        if table.port_required && table.port.is_empty() {
            findings.error(name_at, "`port_required` without `port`");
            return;
        }
        let (Some(transports), Some(matcher), Some(evidence), Some(excluded)) =
            (transports, matcher, evidence, excluded)
        else {
            return;
        };
        let reply = match reply {
            Some(Some(reply)) if !reply.is_empty() => Some(reply),
            Some(_) => return,
            None => None,
        };
        if matcher.is_empty() && reply.is_none() && table.ip_protocol.is_none() {
            findings.error(
                at,
                "expected `at`, `contains` or `where`: this rule says nothing of a message",
            );
            return;
        }
        let bits = matcher.fixed_bits();
        let reply_bits = reply.as_ref().map_or(0, Matcher::fixed_bits);
        let proof = evidence == Evidence::PayloadProof;
        let only_middle = table.message == Some(MessageName::Middle);
        let middle = match &table.middle {
            Some(given) if *given.get_ref() && !proof => {
                findings.error(
                    given.span(),
                    "`middle` goes with `evidence = \"payload-proof\"`",
                );
                return;
            }
            Some(given) => *given.get_ref() || only_middle,
            None => {
                let bits = bits.saturating_add(reply_bits);
                let enough = match matcher.agrees_with_length() {
                    true => MIDDLE_BITS_WITH_LENGTH,
                    false => MIDDLE_BITS,
                };
                only_middle || proof && repeat == 1 && bits >= enough
            }
        };
        if only_middle && (!proof || transports.udp || transports.other.is_some()) {
            findings.error(
                name_at,
                "`message = \"middle\"` goes with `transport = \"tcp\"` and `evidence = \"payload-proof\"`",
            );
            return;
        }
        let tag = self.add(
            context,
            RuleKind::Payload,
            &Common {
                name: table.name.get_ref(),
                service: table.service,
                proto: table.proto.as_deref(),
                evidence,
                source: table.source.get_ref(),
                weight: bits.saturating_add(reply_bits),
            },
        );
        let ports: &[_] = if table.port_required {
            &table.port
        } else {
            &[]
        };
        let guard = guard(context, ports, table.address_required, excluded);
        let rule = |default, ip_protocol| PayloadRule {
            tag,
            direction: match table.direction {
                DirectionName::Client => Direction::Only(Side::Client),
                DirectionName::Server => Direction::Only(Side::Server),
                DirectionName::Either => Direction::Either,
                DirectionName::Both => Direction::Both,
            },
            messages: match table.message {
                _ if repeat > 1 => Messages::Any,
                Some(MessageName::First) => Messages::First,
                Some(MessageName::Any) => Messages::Any,
                Some(MessageName::Middle) => Messages::Middle,
                None => default,
            },
            middle,
            repeat,
            matcher: matcher.clone(),
            reply: reply.clone(),
            guard: guard.clone(),
            ip_protocol,
        };
        let outline = Outline::of(&matcher);
        if outline.is_contradictory {
            findings.error(
                at,
                "no message can satisfy this rule: its patterns or conditions exclude one another",
            );
            return;
        }
        if transports.tcp {
            self.tcp.push((rule(Messages::First, None), outline));
        }
        if transports.udp {
            self.udp.push((rule(Messages::Any, None), outline));
        }
        if let Some(protocol) = transports.other {
            self.other.push((rule(Messages::Any, protocol), outline));
        }
    }

    pub(super) fn flow(
        &mut self,
        table: &Spanned<file::FlowTable>,
        context: &Context,
        findings: &mut Findings<'_>,
    ) {
        let at = table.span();
        let table = table.get_ref();
        let name_at = table.name.span();
        let transports = transports(
            &table.transport,
            table.ip_protocol,
            name_at.clone(),
            findings,
        );
        let packets = all(&table.packets, |text| {
            let packet = parse_packet(text.get_ref());
            if packet.is_none() {
                findings.error(
                    text.span(),
                    "expected a side and a length: `c 48`, `s 60-90` or `c *`",
                );
            }
            packet
        });
        let conditions = conditions(&table.conditions, findings);
        let allowed = [
            Evidence::Flow,
            Evidence::Payload,
            Evidence::PayloadProof,
            Evidence::Port,
        ];
        let evidence = evidence(&table.evidence, &allowed, findings);
        let excluded = prefixes(&table.address_excluded, findings);
        let entropy = table
            .entropy
            .as_ref()
            .map(|entropy| (entropy.span(), *entropy.get_ref()));
        let mut given = PerSide::default();
        if let Some((at, entropy)) = entropy.clone() {
            given = PerSide {
                client: entropy.client,
                server: entropy.server,
            };
            let sides = [entropy.client, entropy.server];
            if sides
                .iter()
                .flatten()
                .any(|bits| !(0.0..=8.0).contains(bits))
            {
                findings.error(at, "expected 0.0 to 8.0 bits a byte");
                return;
            }
        }
        if table.port_required && table.port.is_empty() {
            findings.error(name_at, "`port_required` without `port`");
            return;
        }
        let (Some(transports), Some(packets), Some(conditions), Some(evidence), Some(excluded)) =
            (transports, packets, conditions, evidence, excluded)
        else {
            return;
        };
        if packets.is_empty() && conditions.is_empty() && entropy.is_none() {
            findings.error(
                at,
                "expected `packets`, `entropy` or `where`: this rule says nothing of a flow",
            );
            return;
        }
        let bits = conditions.iter().map(Program::fixed_bits).sum::<u32>();
        let exact = packets
            .iter()
            .filter(|(_, length)| length.least == length.most)
            .count();
        let tag = self.add(
            context,
            RuleKind::Flow,
            &Common {
                name: table.name.get_ref(),
                service: table.service,
                proto: table.proto.as_deref(),
                evidence,
                source: table.source.get_ref(),
                weight: bits.saturating_add(u32::try_from(exact * 8).unwrap_or(u32::MAX)),
            },
        );
        let of = |wanted| {
            packets
                .iter()
                .filter(|(side, _)| *side == wanted)
                .map(|&(_, length)| length)
                .collect()
        };
        let ports: &[_] = if table.port_required {
            &table.port
        } else {
            &[]
        };
        self.flows.push(FlowRule {
            tag,
            transports,
            guard: guard(context, ports, table.address_required, excluded),
            lengths: PerSide {
                client: of(Side::Client),
                server: of(Side::Server),
            },
            entropy: given,
            minimum: usize::from(table.minimum.unwrap_or_default()).max(packets.len()),
            conditions,
            symmetric: table.symmetric,
        });
    }
}

/// How many bits of random messages a payload rule fixes, without its reply; `None` if it has an
/// error.
pub(in crate::signature) fn fixed_bits(table: &file::PayloadTable) -> Option<u32> {
    let mut unheard = Vec::new();
    let mut findings = Findings::new("", "", &mut unheard);
    let matcher = matcher_of(&table.at, &table.contains, &table.conditions, &mut findings)?;
    let sides = if table.direction == DirectionName::Both {
        2
    } else {
        1
    };
    let repeat = table
        .repeat
        .as_ref()
        .map_or(1, |repeat| u32::from(*repeat.get_ref()));
    Some(
        matcher
            .fixed_bits()
            .saturating_mul(sides)
            .saturating_mul(repeat),
    )
}

fn transports(
    names: &Option<OneOrMany<TransportName>>,
    ip_protocol: Option<u8>,
    at: std::ops::Range<usize>,
    findings: &mut Findings<'_>,
) -> Option<Transports> {
    let names = match (names, ip_protocol) {
        (Some(names), _) => names.0.as_slice(),
        (None, Some(_)) => &[TransportName::Ip],
        (None, None) => &[TransportName::Tcp, TransportName::Udp],
    };
    if ip_protocol.is_some() && names != [TransportName::Ip] {
        findings.error(at, "`ip_protocol` goes with `transport = \"ip\"` alone");
        return None;
    }
    if matches!(ip_protocol, Some(6 | 17)) {
        findings.error(
            at,
            "write `transport = \"tcp\"` or `\"udp\"` for these protocols",
        );
        return None;
    }
    let mut transports = Transports::default();
    for name in names {
        match name {
            TransportName::Tcp => transports.tcp = true,
            TransportName::Udp => transports.udp = true,
            TransportName::Sctp => transports.other = Some(Some(SCTP)),
            TransportName::Ip => transports.other = Some(ip_protocol),
        }
    }
    Some(transports)
}

fn matcher_of(
    at: &[Spanned<AtTable>],
    contains: &[Spanned<ContainsTable>],
    texts: &[Spanned<String>],
    findings: &mut Findings<'_>,
) -> Option<Matcher> {
    let at = all(at, |at| self::at(at, findings));
    let contains = all(contains, |contains| self::contains(contains, findings));
    let conditions = conditions(texts, findings);
    Some(Matcher {
        at: at?.into(),
        contains: contains?.into(),
        conditions: conditions?.into(),
    })
}

fn conditions(texts: &[Spanned<String>], findings: &mut Findings<'_>) -> Option<Vec<Program>> {
    all(texts, |text| {
        Program::parse(text.get_ref())
            .map_err(|error| findings.error(inside(text.span(), &error), error.message))
            .ok()
    })
}

fn at(table: &Spanned<AtTable>, findings: &mut Findings<'_>) -> Option<At> {
    let at = table.span();
    let table = table.get_ref();
    let pattern = bytes(&table.hex, &table.text, at.clone(), findings)?;
    let end = i64::from(table.offset) + i64::try_from(pattern.len()).unwrap_or(i64::MAX);
    if table.offset < 0 && end > 0 {
        findings.error(
            at,
            "the pattern runs over the message's end: expected a lower offset",
        );
        return None;
    }
    if end > i64::from(MAX_WITHIN) || table.offset < -0x1_0000 {
        findings.error(at, format!("expected bytes within the first {MAX_WITHIN}"));
        return None;
    }
    Some(At {
        offset: table.offset,
        pattern,
    })
}

fn contains(table: &Spanned<ContainsTable>, findings: &mut Findings<'_>) -> Option<Contains> {
    let at = table.span();
    let table = table.get_ref();
    let pattern = bytes(&table.hex, &table.text, at.clone(), findings)?;
    let Some(needle) = pattern.as_literal() else {
        findings.error(
            at,
            "expected whole bytes: what is searched for has no `?` or `|`",
        );
        return None;
    };
    let (within, at) = match &table.within {
        Some(within) => (*within.get_ref(), within.span()),
        None => (DEFAULT_WITHIN, at),
    };
    let least = u32::try_from(needle.len()).unwrap_or(u32::MAX);
    if !(least..=MAX_WITHIN).contains(&within) {
        findings.error(
            at,
            format!("expected {least} to {MAX_WITHIN} bytes to search in"),
        );
        return None;
    }
    Some(Contains {
        needle: needle.into(),
        finder: Finder::new(needle).into_owned(),
        within: within as usize,
    })
}

/// `hex` or `text`, one of which must be given.
fn bytes(
    hex: &Option<Spanned<String>>,
    text: &Option<Spanned<String>>,
    at: std::ops::Range<usize>,
    findings: &mut Findings<'_>,
) -> Option<HexPattern> {
    match (hex, text) {
        (Some(hex), None) => HexPattern::parse(hex.get_ref())
            .map_err(|error| findings.error(inside(hex.span(), &error), error.message))
            .ok(),
        (None, Some(text)) => {
            let literal = text.get_ref().as_bytes();
            if literal.is_empty() || literal.len() > MAX_PATTERN {
                findings.error(text.span(), format!("expected 1 to {MAX_PATTERN} bytes"));
                return None;
            }
            Some(HexPattern::literal(literal))
        }
        _ => {
            findings.error(at, "expected one of `hex` and `text`");
            None
        }
    }
}
