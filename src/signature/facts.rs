//! Rules over what dissectors read: `[[tls]]`, `[[http]]`, `[[stun]]`, `[[sip]]`, `[[proto]]`.
//!
//! Each rule is indexed by its most telling key: a glob over one field, found by the text's first
//! character or by an automaton over the globs' longest pieces. Its other keys are compared only
//! then.

use super::address::AddressTable;
use super::glob::Glob;
use super::needles::{MAX_NEEDLES, Needles};
use super::rule::{Found, Guard};
use crate::app::Proto;
use crate::dissect::{Facts, Sip, Stun};
use crate::flow::Opening;
use crate::verdict::Tag;

/// A text, or a list of texts, that a rule may look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Field {
    ServerName,
    Alpn,
    Ja4,
    CommonName,
    Organisation,
    Issuer,
    IssuerOrganisation,
    Alternative,
    UserAgent,
    Path,
    Method,
    Upgrade,
    ContentType,
    Server,
    Header,
    Realm,
    Software,
    Username,
    Origin,
    RequestHost,
    FromHost,
    ToHost,
    Contact,
    SipServer,
}

impl Field {
    const COUNT: usize = Self::SipServer as usize + 1;
    const ALL: [Self; Self::COUNT] = [
        Self::ServerName,
        Self::Alpn,
        Self::Ja4,
        Self::CommonName,
        Self::Organisation,
        Self::Issuer,
        Self::IssuerOrganisation,
        Self::Alternative,
        Self::UserAgent,
        Self::Path,
        Self::Method,
        Self::Upgrade,
        Self::ContentType,
        Self::Server,
        Self::Header,
        Self::Realm,
        Self::Software,
        Self::Username,
        Self::Origin,
        Self::RequestHost,
        Self::FromHost,
        Self::ToHost,
        Self::Contact,
        Self::SipServer,
    ];

    /// Calls `each` with every text of the field, until it answers that it has enough.
    fn any(self, facts: &Facts, mut each: impl FnMut(&str) -> bool) -> bool {
        let one = match self {
            Self::ServerName => &facts.server_name,
            Self::Ja4 => &facts.ja4,
            Self::CommonName => &facts.certificate.common_name,
            Self::Organisation => &facts.certificate.organisation,
            Self::Issuer => &facts.certificate.issuer,
            Self::IssuerOrganisation => &facts.certificate.issuer_organisation,
            Self::UserAgent => &facts.user_agent,
            Self::Path => &facts.path,
            Self::Method => &facts.method,
            Self::Upgrade => &facts.upgrade,
            Self::ContentType => &facts.content_type,
            Self::Server => &facts.server,
            Self::Alpn => return facts.alpn.iter().any(|text| each(text)),
            Self::Alternative => {
                return facts.certificate.alternative.iter().any(|text| each(text));
            }
            Self::Header => return facts.headers.iter().any(|(_, value)| each(value)),
            Self::Realm | Self::Software | Self::Username | Self::Origin => {
                let stun = facts.stun.as_deref();
                return stun.and_then(|stun| self.of_stun(stun)).is_some_and(each);
            }
            Self::RequestHost | Self::FromHost | Self::ToHost | Self::Contact | Self::SipServer => {
                let sip = facts.sip.as_deref();
                return sip.and_then(|sip| self.of_sip(sip)).is_some_and(each);
            }
        };
        one.as_deref().is_some_and(each)
    }

    fn of_stun(self, stun: &Stun) -> Option<&str> {
        match self {
            Self::Realm => stun.realm.as_deref(),
            Self::Software => stun.software.as_deref(),
            Self::Username => stun.username.as_deref(),
            _ => stun.origin.as_deref(),
        }
    }

    fn of_sip(self, sip: &Sip) -> Option<&str> {
        match self {
            Self::RequestHost => sip.request_host.as_deref(),
            Self::FromHost => sip.from_host.as_deref(),
            Self::ToHost => sip.to_host.as_deref(),
            Self::Contact => sip.contact.as_deref(),
            _ => sip.server.as_deref(),
        }
    }
}

/// The protocol a rule's table is about: some fields are shared, their meaning is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    Tls,
    Http,
    Stun,
    Sip,
}

impl Family {
    /// Whether `facts` are of this family.
    fn includes(self, facts: &Facts) -> bool {
        let speaks =
            |protocols: &[Proto]| facts.proto.is_some_and(|proto| protocols.contains(&proto));
        match self {
            // Also inside what asked for TLS: SMTP, XMPP, RDP, a proxy's tunnel.
            Self::Tls => {
                speaks(&[Proto::TLS, Proto::DTLS, Proto::QUIC, Proto::GQUIC])
                    || facts.tls_version.is_some()
                    || facts.ja4.is_some()
            }
            Self::Stun => facts.stun.is_some(),
            Self::Sip => facts.sip.is_some() || speaks(&[Proto::SIP, Proto::SIP_C]),
            Self::Http => speaks(&[Proto::HTTP, Proto::HTTP2, Proto::WEBSOCKET]),
        }
    }
}

/// A compiled rule.
#[derive(Clone, Debug)]
pub(super) struct FactRule {
    pub(super) tag: Tag,
    pub(super) family: Family,
    /// Of each field's globs one must match.
    pub(super) texts: Vec<(Field, Vec<Glob>)>,
    /// Of these headers one must be there with such a value.
    pub(super) headers: Vec<(Box<str>, Glob)>,
    /// One of these STUN message types must have been seen.
    pub(super) stun_types: Vec<u16>,
    /// One of these STUN attributes must have been seen.
    pub(super) stun_attributes: Vec<u16>,
    pub(super) guard: Guard,
}

impl FactRule {
    /// Bytes it takes, itself included, about.
    fn memory(&self) -> usize {
        let globs = |globs: &Vec<Glob>| {
            globs.capacity() * size_of::<Glob>() + globs.iter().map(Glob::memory).sum::<usize>()
        };
        let texts = |(_, list): &(Field, Vec<Glob>)| size_of::<(Field, Vec<Glob>)>() + globs(list);
        let header = |(name, glob): &(Box<str>, Glob)| {
            size_of::<(Box<str>, Glob)>() + name.len() + glob.memory()
        };
        size_of::<Self>()
            + self.texts.iter().map(texts).sum::<usize>()
            + self.headers.iter().map(header).sum::<usize>()
            + 2 * (self.stun_types.capacity() + self.stun_attributes.capacity())
            + self.guard.memory()
    }

    fn holds(&self, opening: &Opening<'_>, facts: &Facts, addresses: &AddressTable) -> bool {
        self.family.includes(facts)
            && self.texts.iter().all(|(field, globs)| {
                field.any(facts, |text| {
                    globs.iter().any(|glob| glob.matches(text.as_bytes()))
                })
            })
            && self.stun_holds(facts)
            && self.headers_hold(facts)
            && self.guard.allows(opening, addresses)
    }

    fn headers_hold(&self, facts: &Facts) -> bool {
        self.headers.is_empty()
            || facts.headers.iter().any(|(name, value)| {
                self.headers.iter().any(|(expected, glob)| {
                    name.eq_ignore_ascii_case(expected) && glob.matches(value.as_bytes())
                })
            })
    }

    fn stun_holds(&self, facts: &Facts) -> bool {
        let seen = |wanted: &[u16], seen: fn(&Stun) -> &[u16]| {
            wanted.is_empty()
                || facts
                    .stun
                    .as_deref()
                    .is_some_and(|stun| wanted.iter().any(|one| seen(stun).contains(one)))
        };
        seen(&self.stun_types, |stun| &stun.types)
            && seen(&self.stun_attributes, |stun| &stun.attributes)
    }

    /// The field to find the rule by: the one whose least telling glob tells most.
    fn key(&self) -> Option<(Field, Vec<&Glob>)> {
        let headers = (!self.headers.is_empty()).then(|| {
            (
                Field::Header,
                self.headers.iter().map(|(_, glob)| glob).collect(),
            )
        });
        let texts = self
            .texts
            .iter()
            .map(|(field, globs)| (*field, globs.iter().collect()));
        texts
            .chain(headers)
            .max_by_key(|(_, globs): &(Field, Vec<&Glob>)| {
                globs.iter().map(|glob| glob.longest_literal().len()).min()
            })
    }
}

/// A compiled `[[proto]]` rule.
#[derive(Clone, Debug)]
pub(super) struct ProtoRule {
    pub(super) tag: Tag,
    pub(super) guard: Guard,
}

/// All rules over facts.
#[derive(Debug, Default)]
pub(super) struct FactTable {
    rules: Vec<FactRule>,
    /// By [`Field`].
    by_field: Vec<GlobIndex>,
    /// Rules without any text: STUN types and attributes, TLS towards a port of an operator.
    bare: Vec<u32>,
    /// By [`Proto`].
    by_proto: Vec<Vec<ProtoRule>>,
}

impl FactTable {
    pub(super) fn new(rules: Vec<FactRule>, protos: Vec<(Proto, ProtoRule)>) -> Self {
        let mut by_field = vec![Vec::new(); Field::COUNT];
        let mut bare = Vec::new();
        for (number, rule) in (0..).zip(&rules) {
            match rule.key() {
                Some((field, globs)) => {
                    if let Some(list) = by_field.get_mut(field as usize) {
                        list.extend(globs.into_iter().map(|glob| (glob.clone(), number)));
                    }
                }
                None => bare.push(number),
            }
        }
        let mut by_proto = Vec::new();
        for (proto, rule) in protos {
            let place = usize::from(proto.0);
            if by_proto.len() <= place {
                by_proto.resize(place + 1, Vec::new());
            }
            if let Some(list) = by_proto.get_mut(place) {
                list.push(rule);
            }
        }
        let by_field = by_field.into_iter().map(GlobIndex::new).collect();
        Self {
            rules,
            by_field,
            bare,
            by_proto,
        }
    }

    /// Bytes it takes on the heap, about.
    pub(super) fn memory(&self) -> usize {
        let index = |index: &GlobIndex| {
            let anchored = index.anchored.iter().map(|(_, glob, _)| glob.memory());
            let others = index.floating.iter().chain(&index.rest);
            size_of::<GlobIndex>()
                + anchored.sum::<usize>()
                + others.map(|(glob, _)| glob.memory()).sum::<usize>()
                + index.anchored.capacity() * size_of::<(u8, Glob, u32)>()
                + (index.floating.capacity() + index.rest.capacity()) * size_of::<(Glob, u32)>()
                + index.needles.as_ref().map_or(0, Needles::memory)
        };
        let proto = |rules: &Vec<ProtoRule>| {
            size_of::<Vec<ProtoRule>>() + rules.capacity() * size_of::<ProtoRule>()
        };
        self.rules.iter().map(FactRule::memory).sum::<usize>()
            + self.by_field.iter().map(index).sum::<usize>()
            + self.bare.capacity() * size_of::<u32>()
            + self.by_proto.iter().map(proto).sum::<usize>()
    }

    /// The rules that `facts` make true.
    pub(super) fn find(
        &self,
        opening: &Opening<'_>,
        facts: &Facts,
        addresses: &AddressTable,
        found: &mut Found<'_>,
    ) {
        let mut attempt = |number: u32| {
            if let Some(rule) = self.rules.get(number as usize)
                && !found.is_full()
                && !found.has(rule.tag.rule)
                && rule.holds(opening, facts, addresses)
            {
                found.push(rule.tag);
            }
        };
        for (field, index) in Field::ALL.iter().zip(&self.by_field) {
            if !index.is_empty() {
                field.any(facts, |text| {
                    index.find(text.as_bytes(), &mut attempt);
                    false
                });
            }
        }
        self.bare.iter().copied().for_each(attempt);
        let rules = facts
            .proto
            .and_then(|proto| self.by_proto.get(usize::from(proto.0)));
        for rule in rules.into_iter().flatten() {
            if rule.guard.allows(opening, addresses) {
                found.push(rule.tag);
            }
        }
    }
}

/// Globs over one field, each with the number of its rule.
#[derive(Debug, Default)]
struct GlobIndex {
    /// Globs that begin with a character, sorted by it.
    anchored: Vec<(u8, Glob, u32)>,
    /// Globs whose longest piece is not their beginning, to be searched for by it.
    floating: Vec<(Glob, u32)>,
    needles: Option<Needles>,
    /// Globs that say next to nothing.
    rest: Vec<(Glob, u32)>,
}

impl GlobIndex {
    fn new(globs: Vec<(Glob, u32)>) -> Self {
        let mut index = Self::default();
        for (glob, rule) in globs {
            let piece = glob.longest_literal().len();
            if let Some(&first) = glob.prefix().first()
                && glob.prefix().len() >= piece
            {
                index.anchored.push((first, glob, rule));
            } else if piece > 1 && index.floating.len() < MAX_NEEDLES {
                index.floating.push((glob, rule));
            } else {
                index.rest.push((glob, rule));
            }
        }
        index.anchored.sort_by_key(|&(first, ..)| first);
        let pieces: Vec<_> = index
            .floating
            .iter()
            .map(|(glob, _)| glob.longest_literal())
            .collect();
        index.needles = Needles::new(&pieces, true);
        if index.needles.is_none() {
            index.rest.append(&mut index.floating);
        }
        index
    }

    const fn is_empty(&self) -> bool {
        self.anchored.is_empty() && self.floating.is_empty() && self.rest.is_empty()
    }

    /// Calls `attempt` with the rule of each glob that matches.
    fn find(&self, text: &[u8], mut attempt: impl FnMut(u32)) {
        if let Some(first) = text.first().map(u8::to_ascii_lowercase) {
            let start = self.anchored.partition_point(|&(byte, ..)| byte < first);
            let same = self.anchored.get(start..).unwrap_or_default();
            for (_, glob, rule) in same.iter().take_while(|&&(byte, ..)| byte == first) {
                if glob.matches(text) {
                    attempt(*rule);
                }
            }
        }
        if let Some(needles) = &self.needles {
            needles.find(text, |number| {
                if let Some((glob, rule)) = self.floating.get(number)
                    && glob.matches(text)
                {
                    attempt(*rule);
                }
            });
        }
        for (glob, rule) in &self.rest {
            if glob.matches(text) {
                attempt(*rule);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn fields_stand_in_the_order_of_their_numbers() {
        for (number, field) in Field::ALL.iter().enumerate() {
            assert_eq!(*field as usize, number);
        }
    }

    proptest! {
        #[test]
        fn the_index_equals_trying_every_glob(
            globs in prop::collection::vec("[ab*]{1,6}", 0..20),
            texts in prop::collection::vec("[aAbB]{0,10}", 1..10),
        ) {
            let globs: Vec<(Glob, u32)> =
                globs.iter().map(|text| Glob::parse(text).unwrap()).zip(0..).collect();
            let index = GlobIndex::new(globs.clone());
            for text in &texts {
                let mut found = Vec::new();
                index.find(text.as_bytes(), |rule| found.push(rule));
                found.sort_unstable();
                let expected: Vec<u32> = globs
                    .iter()
                    .filter(|(glob, _)| glob.matches(text.as_bytes()))
                    .map(|&(_, rule)| rule)
                    .collect();
                prop_assert_eq!(found, expected);
            }
        }
    }
}
