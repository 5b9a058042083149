//! Which evidence beats which, and when a flow has seen enough: the tables.

use std::cmp::Reverse;

use super::{Decider, Named};
use crate::app::Proto;
use crate::dissect::Facts;
use crate::signature::SignatureSet;
use crate::verdict::{Evidence, Tag};

/// When evidence of a class ends the reading of an opening.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settles {
    /// At once: nothing stronger can follow.
    AtOnce,
    /// When no dissector can recognise the flow any more, or the one that has is done.
    WhenDissected,
    /// Only with the opening's end.
    AtEnd,
}

/// The evidence rules give, strongest first, and when it settles a flow. Inside a class the rule of
/// more weight (longer suffix, more fixed bytes) wins, then the earlier one.
pub const LADDER: &[(Evidence, Settles)] = &[
    (Evidence::PayloadProof, Settles::AtOnce),
    (Evidence::ServerName, Settles::AtOnce),
    (Evidence::Fingerprint, Settles::WhenDissected),
    (Evidence::Payload, Settles::WhenDissected),
    (Evidence::Flow, Settles::WhenDissected),
    (Evidence::CallFamily, Settles::AtEnd),
    (Evidence::Dns, Settles::AtEnd),
    (Evidence::SameServer, Settles::AtEnd),
    (Evidence::Behaviour, Settles::AtEnd),
    (Evidence::OuterName, Settles::WhenDissected),
    (Evidence::Address, Settles::AtEnd),
    (Evidence::Port, Settles::AtEnd),
];

/// A condition under which weak evidence may not name an application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Veto {
    /// The flow showed a server's name itself, or what is spoken is never an application's.
    OwnName,
    /// What is spoken was recognised.
    Recognised,
}

impl Veto {
    /// Whether it holds for a flow of these names so far, which `has_name` of a server.
    pub fn holds(self, names: &Named, has_name: bool) -> bool {
        match self {
            Self::OwnName => has_name || never_an_application(names),
            Self::Recognised => names.proto.is_some(),
        }
    }
}

/// What is asked of a flow whose own payload names no application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Whose call its sockets are of.
    Call,
    /// Which name led its client to its server.
    Dns,
    /// What its client showed of its server on another flow.
    Server,
    /// Whose flows of this site are like it.
    Behaviour,
    /// Whose call it may be of, at an address where such calls go while its client signals.
    Relay,
    /// Whose address its server has.
    Address,
    /// The same as [`Source::Relay`], at a port alone.
    CallPort,
    /// What its server's port is for.
    Port,
}

impl Source {
    /// What its word is worth.
    pub const fn evidence(self) -> Evidence {
        match self {
            Self::Call => Evidence::CallFamily,
            Self::Dns => Evidence::Dns,
            Self::Server => Evidence::SameServer,
            Self::Behaviour => Evidence::Behaviour,
            // That something happens at the same time adds nothing that could be relied on.
            Self::Relay | Self::Address => Evidence::Address,
            Self::CallPort | Self::Port => Evidence::Port,
        }
    }
}

/// The evidence that does not come from the flow's own payload, strongest first, and its vetoes.
/// It is asked once, when a flow settles without an application.
pub const WEAK: &[(Source, Veto)] = &[
    // Media belongs to its call whatever it looks like.
    (Source::Call, Veto::OwnName),
    // A name in the flow itself that no rule knows says more than a name asked for earlier.
    (Source::Dns, Veto::OwnName),
    (Source::Server, Veto::OwnName),
    // Only where nothing but an encrypted hello was shown, see [`super::behaviour::shows_hello_only`].
    (Source::Behaviour, Veto::OwnName),
    // Of those who share the address.
    (Source::Relay, Veto::OwnName),
    (Source::Address, Veto::OwnName),
    (Source::CallPort, Veto::OwnName),
    // A port never speaks against a recognised protocol.
    (Source::Port, Veto::Recognised),
];

/// Those of [`WEAK`] that are weaker than what a flow does.
pub fn weaker_than_behaviour() -> &'static [(Source, Veto)] {
    let place = WEAK
        .iter()
        .position(|&(source, _)| source == Source::Behaviour);
    place
        .and_then(|place| WEAK.get(place + 1..))
        .unwrap_or_default()
}

/// Protocols whose flows are infrastructure: their volume is never an application's.
const INFRASTRUCTURE: &[Proto] = &[
    Proto::DNS,
    Proto::MDNS,
    Proto::LLMNR,
    Proto::NETBIOS_NS,
    Proto::NETBIOS_DGM,
    Proto::DHCP,
    Proto::DHCPV6,
    Proto::NTP,
    Proto::SNMP,
    Proto::ICMP,
    Proto::ICMPV6,
    Proto::IGMP,
    Proto::SSDP,
];

/// Protocols in which applications are carried: that one is spoken says nothing of whose it is.
/// Any other that was recognised is no use of the application of the network it leads to, unless
/// the file of the application says so: a shell on a rented machine is not its landlord's service.
const CARRIERS: &[Proto] = &[
    Proto::TLS,
    Proto::DTLS,
    Proto::QUIC,
    Proto::GQUIC,
    Proto::HTTP,
    Proto::HTTP2,
    Proto::WEBSOCKET,
    Proto::STUN,
    Proto::TURN,
    Proto::RTP,
    Proto::RTCP,
    Proto::SRTP,
    Proto::SIP,
    Proto::RTSP,
    Proto::RTMP,
    Proto::XMPP,
    Proto::MQTT,
];

/// Whether `proto` carries applications of others.
pub fn carries_applications(proto: Proto) -> bool {
    CARRIERS.contains(&proto)
}

fn never_an_application(names: &Named) -> bool {
    let mut spoken = names.proto.into_iter().chain(names.inner);
    spoken.any(|proto| INFRASTRUCTURE.contains(&proto))
}

/// What is known of a flow while its opening is read.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// The rules.
    pub set: &'a SignatureSet,
    /// What the owner read.
    pub facts: Option<&'a Facts>,
    /// What rules said.
    pub tags: &'a [Tag],
    /// The dissector that recognised the flow.
    pub owner: Option<u8>,
    /// It has nothing more to learn.
    pub done: bool,
    /// Only the client has spoken: a server that speaks another protocol may follow.
    pub is_claim: bool,
    /// Some dissector may still recognise the flow.
    pub undecided: bool,
    /// What is known of the protocol that carries this one.
    pub outer: Option<&'a Self>,
}

impl<'a> View<'a> {
    /// This one and those that carry it, outwards.
    fn levels(&'a self) -> impl Iterator<Item = &'a Self> {
        std::iter::successors(Some(self), |view| view.outer)
    }

    /// What is spoken here.
    fn spoken(&self) -> Option<Proto> {
        // A rule that proves its application also knows what is spoken inside the recognised carrier.
        let proved = self.best(|tag| tag.app.is_some());
        let proved = proved.filter(|tag| tag.evidence == Evidence::PayloadProof);
        proved
            .and_then(|tag| tag.proto)
            .or_else(|| self.recognised())
            .or_else(|| self.best(|tag| tag.proto.is_some())?.proto)
    }

    fn recognised(&self) -> Option<Proto> {
        self.facts.and_then(|facts| facts.proto)
    }

    /// What the rules of a protocol say is carried in what was recognised here: IPP in HTTP, DNS in TLS.
    fn carried(&self) -> Option<Proto> {
        let carrier = self.recognised()?;
        let carried = self.best(|tag| {
            tag.app.is_none()
                && tag.proto.is_some_and(|proto| proto != carrier)
                && (tag.evidence == Evidence::PayloadProof || self.set.rule_reads_carrier(tag.rule))
        });
        carried?.proto
    }

    /// The strongest tag of this level for which `wanted` holds.
    fn best(&self, wanted: impl Fn(&Tag) -> bool) -> Option<Tag> {
        let mut best: Option<Tag> = None;
        for &tag in self.tags.iter().filter(|tag| wanted(tag)) {
            let weight = |tag: Tag| (Reverse(tag.evidence), self.set.rule_weight(tag.rule));
            if best.is_none_or(|best| weight(tag) > weight(best)) {
                best = Some(tag);
            }
        }
        best
    }

    /// The strongest tag of all levels for which `wanted` holds; of two that are as strong, the one
    /// further inside. A name that is shown inside says better than one outside whom it is for.
    fn best_of_all(&'a self, wanted: impl Fn(&Tag) -> bool) -> Option<(Tag, &'a Self)> {
        let mut best: Option<(Tag, &'a Self)> = None;
        let mut named = false;
        for level in self.levels() {
            let counts =
                |tag: &Tag| wanted(tag) && !(named && tag.evidence == Evidence::ServerName);
            if let Some(tag) = level.best(counts)
                && best.is_none_or(|(best, _)| tag.evidence < best.evidence)
            {
                best = Some((tag, level));
            }
            named |= level.facts.is_some_and(|facts| facts.server_name.is_some());
        }
        best
    }
}

/// The names of a flow, if it has seen enough (or `at_end`: whatever there is). `view` is of what is
/// spoken innermost.
pub fn settles(view: &View<'_>, at_end: bool) -> Option<Named> {
    let dissected = if view.owner.is_some() {
        view.done
    } else {
        !view.undecided
    };
    let best = view.best_of_all(|tag| tag.app.is_some());
    let enough = at_end
        || match best.map(|(tag, level)| (when(tag.evidence), level)) {
            // What a carrier shows waits for what is inside.
            Some((Settles::AtOnce, level)) => std::ptr::eq(level, view) || dissected,
            Some((Settles::WhenDissected, _)) => dissected,
            Some((Settles::AtEnd, _)) => false,
            // Without an application the flow is still read as long as a dissector may learn more:
            // rules over bytes need the whole opening to be sure that none fits.
            // A protocol that only the client's bytes claim waits for what the server says.
            None => {
                !view.is_claim
                    && (view.owner.is_some() && view.done
                        || protocol_rule_is_final(view, dissected))
            }
        };
    enough.then(|| names(view, best.map(|(tag, _)| tag)))
}

/// A rule that names a protocol, not an application, settles a flow no dissector knows.
fn protocol_rule_is_final(view: &View<'_>, dissected: bool) -> bool {
    view.owner.is_none()
        && view
            .best(|tag| tag.proto.is_some())
            .is_some_and(|tag| tag.evidence == Evidence::PayloadProof || dissected)
}

fn names(view: &View<'_>, best_app: Option<Tag>) -> Named {
    let outermost = view.levels().last().unwrap_or(view);
    let recognised = outermost.recognised();
    let tagged = outermost.best(|tag| tag.proto.is_some());
    let service = best_app.and_then(|winner| {
        let other = |tag: &Tag| tag.app == winner.app && tag.service.is_some();
        winner
            .service
            .or_else(|| view.best_of_all(other)?.0.service)
    });
    let (evidence, decider) = match (best_app, recognised, tagged) {
        (Some(tag), ..) => (Some(tag.evidence), Some(Decider::Rule(tag.rule))),
        // A rule that proves what a dissector has recognised says more than that.
        (None, Some(proto), Some(tag))
            if tag.proto == Some(proto) && tag.evidence == Evidence::PayloadProof =>
        {
            (Some(tag.evidence), Some(Decider::Rule(tag.rule)))
        }
        (None, Some(_), _) => (
            Some(Evidence::Payload),
            outermost.owner.map(Decider::Dissector),
        ),
        (None, None, Some(tag)) => (Some(tag.evidence), Some(Decider::Rule(tag.rule))),
        (None, None, None) => (None, None),
    };
    Named {
        app: best_app.and_then(|tag| tag.app),
        service,
        proto: outermost.spoken(),
        inner: inner(view),
        evidence,
        decider,
        unknown: None,
        remembered: false,
    }
}

/// What is spoken innermost, as far as it is known, in or behind what carries it: read, or else announced.
fn inner(view: &View<'_>) -> Option<Proto> {
    let read = view.levels().find_map(|level| {
        level.carried().or_else(|| {
            let outer = level.outer?;
            level
                .spoken()
                .or_else(|| outer.facts?.http.as_deref()?.announced)
        })
    });
    read.or_else(|| inside_by_name(view.levels().last()?))
}

/// What a rule over the server's name says is carried by a protocol of which no more can be read.
fn inside_by_name(view: &View<'_>) -> Option<Proto> {
    let carrier = view
        .recognised()
        .filter(|&proto| carries_applications(proto))?;
    let by_name = view.best(|tag| tag.proto.is_some())?;
    by_name
        .proto
        .filter(|&proto| by_name.evidence == Evidence::ServerName && proto != carrier)
}

fn when(evidence: Evidence) -> Settles {
    LADDER
        .iter()
        .find(|&&(rung, _)| rung == evidence)
        .map_or(Settles::AtEnd, |&(_, settles)| settles)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::AppId;
    use crate::verdict::RuleId;

    fn tag(app: Option<u16>, proto: Option<Proto>, evidence: Evidence, rule: u32) -> Tag {
        Tag {
            app: app.map(AppId),
            service: None,
            proto,
            evidence,
            rule: RuleId(rule),
        }
    }

    fn decide(tags: &[Tag], owner: bool, done: bool, undecided: bool, end: bool) -> Option<Named> {
        let set = SignatureSet::default();
        let facts = Facts {
            proto: Some(Proto::TLS),
            ..Facts::default()
        };
        let view = View {
            set: &set,
            facts: owner.then_some(&facts),
            tags,
            owner: owner.then_some(0),
            done,
            is_claim: false,
            undecided,
            outer: None,
        };
        settles(&view, end)
    }

    #[test]
    fn ladder_is_whole_and_in_order() {
        assert!(LADDER.iter().map(|rung| rung.0).eq(Evidence::ALL));
    }

    #[test]
    fn settles_when_nothing_stronger_can_follow() {
        use Evidence::{Flow, Payload, PayloadProof, ServerName};
        let app = |evidence| vec![tag(Some(1), None, evidence, 1)];
        let proto = |evidence| vec![tag(None, Some(Proto::SIP), evidence, 1)];
        // tags, owner, done, undecided, at end, settled
        type Case = (Vec<Tag>, bool, bool, bool, bool, bool);
        let cases: &[Case] = &[
            (vec![], false, false, true, false, false),
            (vec![], false, false, true, true, true),
            (app(PayloadProof), false, false, true, false, true),
            (app(ServerName), true, false, true, false, true),
            (app(Payload), false, false, true, false, false),
            (app(Payload), false, false, false, false, true),
            (app(Payload), true, false, true, false, false),
            (app(Payload), true, true, true, false, true),
            (app(Flow), false, false, true, true, true),
            (vec![], true, false, true, false, false),
            (vec![], true, true, true, false, true),
            (proto(PayloadProof), false, false, true, false, true),
            (proto(Payload), false, false, true, false, false),
            (proto(Payload), false, false, false, false, true),
        ];
        for (row, &(ref tags, owner, done, undecided, end, settled)) in cases.iter().enumerate() {
            let got = decide(tags, owner, done, undecided, end);
            assert_eq!(got.is_some(), settled, "row {row}");
        }
    }

    #[test]
    fn stronger_evidence_wins_in_any_order() {
        let weak = tag(Some(1), None, Evidence::Payload, 1);
        let strong = tag(Some(2), None, Evidence::ServerName, 2);
        for tags in [[weak, strong], [strong, weak]] {
            let names = decide(&tags, true, true, false, false).unwrap();
            assert_eq!((names.app, names.proto), (Some(AppId(2)), Some(Proto::TLS)));
            assert_eq!(names.decider, Some(Decider::Rule(RuleId(2))));
        }
    }

    #[test]
    fn names_in_the_flow_veto_weak_evidence() {
        let dns = Named {
            proto: Some(Proto::DNS),
            ..Named::default()
        };
        let tls = Named {
            proto: Some(Proto::TLS),
            ..Named::default()
        };
        for &(source, veto) in WEAK {
            assert!(
                veto.holds(&dns, false),
                "{source:?}: dns is never an application's volume"
            );
            if source != Source::Port {
                assert!(
                    veto.holds(&tls, true),
                    "{source:?}: the flow has a name of its own"
                );
                assert!(!veto.holds(&tls, false), "{source:?}");
            }
        }
        assert!(WEAK.is_sorted_by_key(|(source, _)| source.evidence()));
    }
}
