//! Names that do not come from a flow's own opening: by what other flows taught, by address, by port.

use super::behaviour::{features, shows_hello_only};
use super::explain::Step;
use super::ladder::{Source, Veto};
use super::{
    Classification, Classifier, Decider, Named, Pending, Verdict, ladder, packets, remembered,
    roles,
};
use crate::app::Proto;
use crate::dissect::host;
use crate::flow::{Flow, Opening, Side, Stream};
use crate::time::Timestamp;
use crate::verdict::{Evidence, Tag};

/// Whether the flow itself named a host. A client that asks an address for the address itself names
/// nobody, and an outer name is a placeholder.
fn has_name(state: &Classification, names: &Named) -> bool {
    let name = state
        .facts
        .as_deref()
        .and_then(|facts| facts.server_name.as_deref());
    name.is_some_and(|name| !host::is_address(name)) && names.evidence != Some(Evidence::OuterName)
}

impl Classifier {
    /// Names an application by what other flows taught, by what the flow does, by address or by port,
    /// where nothing better is known and nothing forbids it. If it `may_wait` for its next packets, to see
    /// what it does, what is weaker than that is left for then.
    pub(super) fn add_weak<T: AsMut<Classification>>(
        &mut self,
        flow: &mut Flow<T>,
        names: &mut Named,
        at: Timestamp,
        may_wait: bool,
    ) {
        let state = flow.class.as_mut();
        let Verdict::Pending(Pending { is_unheard_of, .. }) = state.verdict else {
            return;
        };
        let has_name = has_name(state, names);
        let before = (!is_unheard_of).then(|| self.remembered.of(flow)).flatten();
        let before = before.filter(|before| {
            let app = before.app;
            !has_name && app.is_none_or(|app| self.set.catalog().is_current(app))
        });
        // What was proved of the flow itself goes before what others teach of it.
        let is_own = |before: &Named| before.evidence.is_some_and(|it| it < Evidence::CallFamily);
        if let Some(before) = before.filter(is_own) {
            remembered::complete(names, &before);
        }
        if names.app.is_none() && !has_name {
            self.add_told(flow, names, at);
        }
        self.ask_weak(flow, names, has_name, at, (ladder::WEAK, may_wait));
        if let Some(before) = before {
            remembered::complete(names, &before);
        }
    }

    /// Asks `sources` in turn; a flow that `has_name` showed a host itself.
    fn ask_weak<T: AsMut<Classification>>(
        &mut self,
        flow: &mut Flow<T>,
        names: &mut Named,
        has_name: bool,
        at: Timestamp,
        (sources, may_wait): (&[(Source, Veto)], bool),
    ) {
        let state = flow.class.as_mut();
        let facts = state.facts.as_deref();
        let dissected = facts.and_then(|facts| facts.proto);
        // Behind a proxy the address it was told counts, not its own.
        let behind = facts.and_then(|facts| facts.destination.as_deref()?.ip);
        let Verdict::Pending(Pending {
            is_syn_seen,
            client_mac,
            ..
        }) = state.verdict
        else {
            return;
        };
        let number = packets(flow);
        for &(source, veto) in sources {
            let evidence = source.evidence();
            // An outer name stands until something better is known.
            let is_placeholder =
                names.evidence == Some(Evidence::OuterName) && evidence < Evidence::OuterName;
            let is_named = names.app.is_some() && !is_placeholder;
            if is_named || veto.holds(names, has_name) {
                continue;
            }
            let tag = match source {
                Source::Call => self.calls.of(flow, names.proto, at),
                Source::Relay | Source::CallPort => {
                    self.signalling
                        .of(flow, names.proto, evidence, at, &self.set)
                }
                Source::Dns => self.names.of(flow, client_mac, &self.set),
                Source::Server => self.servers.of(flow, names.proto, &self.names, &self.set),
                Source::Behaviour if self.waits(flow, names) => match may_wait {
                    true => return,
                    // What has not come does not tell.
                    false => continue,
                },
                Source::Behaviour => {
                    self.add_behaviour(flow, names);
                    continue;
                }
                Source::Address => behind
                    .or_else(|| {
                        roles::server(flow, is_syn_seen, dissected).map(|side| flow.ip(side))
                    })
                    .and_then(|address| self.set.by_address(address))
                    .filter(|tag| {
                        names.proto.is_none_or(|proto| {
                            ladder::carries_applications(proto)
                                || self.set.is_spoken_at_addresses(tag, proto)
                        })
                    }),
                Source::Port => self.set.by_port(flow.transport(), flow.port(Side::Server)),
            };
            let tag = tag.filter(|tag| !self.set.is_retired(tag));
            let Some(tag) = tag.map(|tag| Tag { evidence, ..tag }) else {
                continue;
            };
            if let Some(trace) = flow.class.as_mut().steps.as_deref_mut() {
                trace.remember(Step::inferred(number, tag));
            }
            if tag.app.is_some() {
                if names.app.is_some() {
                    names.service = None;
                }
                names.app = tag.app;
                names.service = names.service.or(tag.service);
            }
            names.proto = names.proto.or(tag.proto);
            if tag.app.is_some() || names.evidence.is_none() {
                names.evidence = Some(evidence);
                names.decider = Some(Decider::Rule(tag.rule));
                names.remembered = false;
            }
        }
    }

    /// Keeps what a flow that has just settled shows of its server.
    pub(super) fn learn_server<T: AsMut<Classification>>(
        &mut self,
        flow: &mut Flow<T>,
        at: Timestamp,
    ) {
        let Verdict::Settled { named, .. } = flow.class.as_mut().verdict else {
            return;
        };
        let facts = flow.class.as_mut().facts.take();
        self.servers.learn(flow, &named, facts.as_deref(), at);
        flow.class.as_mut().facts = facts;
    }

    /// Names a flow that has shown no more than an encrypted hello by what it does.
    fn add_behaviour<T: AsMut<Classification>>(&mut self, flow: &mut Flow<T>, names: &mut Named) {
        let Some(behaviour) = &self.behaviour else {
            return;
        };
        let (transport, port) = (flow.protocol().0, flow.port(Side::Server));
        let client_is_low = flow.client_is_low();
        let class = flow.class.as_mut();
        let Some(sequence) = class.first_packets.as_deref() else {
            return;
        };
        if !shows_hello_only(names, class.facts.as_deref()) {
            return;
        }
        let sequence = sequence.sides(client_is_low);
        let app = behaviour.name(sequence, transport, port, &mut self.votes);
        let app = app.filter(|&app| self.set.catalog().is_current(app));
        if app.is_some() {
            names.app = app;
            names.service = None;
            names.evidence = Some(Evidence::Behaviour);
            names.decider = Some(Decider::Behaviour);
            names.remembered = false;
        }
    }

    /// Whether what a flow does may name it, once more of its packets have come.
    pub(super) fn waits<T: AsMut<Classification>>(
        &self,
        flow: &mut Flow<T>,
        names: &Named,
    ) -> bool {
        let client_is_low = flow.client_is_low();
        let class = flow.class.as_mut();
        self.behaviour.is_some()
            && names.inner.is_none()
            && shows_hello_only(names, class.facts.as_deref())
            && class
                .first_packets
                .as_deref()
                .is_some_and(|sequence| !features::is_complete(sequence.sides(client_is_low)))
    }

    /// Waits for the next packets of a flow that is called so if they tell nothing.
    pub(super) fn wait<T: AsMut<Classification>>(&mut self, flow: &mut Flow<T>, names: Named) {
        self.end_inspection(flow);
        if let Some(pending) = flow.class.as_mut().pending() {
            pending.waiting = Some(Box::new(names));
        }
    }

    /// Another packet of a flow that waits has come. Returns whether it settled on it.
    pub(super) fn go_on_waiting<T: AsMut<Classification>>(
        &mut self,
        flow: &mut Flow<T>,
        at: Timestamp,
    ) -> bool {
        let client_is_low = flow.client_is_low();
        let sequence = flow.class.as_mut().first_packets.as_deref();
        let is_complete =
            sequence.is_none_or(|sequence| features::is_complete(sequence.sides(client_is_low)));
        is_complete && self.end_waiting(flow, at)
    }

    /// Settles a flow that waits, if it does, by what has come; else by what is weaker.
    pub(super) fn end_waiting<T: AsMut<Classification>>(
        &mut self,
        flow: &mut Flow<T>,
        at: Timestamp,
    ) -> bool {
        let pending = flow.class.as_mut().pending();
        let Some(names) = pending.and_then(|pending| pending.waiting.take()) else {
            return false;
        };
        let mut names = *names;
        let has_name = has_name(flow.class.as_mut(), &names);
        self.add_behaviour(flow, &mut names);
        let weaker = ladder::weaker_than_behaviour();
        self.ask_weak(flow, &mut names, has_name, at, (weaker, false));
        self.settle(flow, names);
        true
    }

    /// Names a flow by what other flows said of its places, if it may be what they said.
    fn add_told<T: AsMut<Classification>>(
        &mut self,
        flow: &mut Flow<T>,
        names: &mut Named,
        at: Timestamp,
    ) {
        let Some(told) = self.places.of(flow, names.proto, at) else {
            return;
        };
        let tag = told
            .rule
            .and_then(|rule| self.set.rule_tag(rule))
            .or_else(|| self.by_protocol(flow, told.proto))
            .filter(|tag| tag.app.is_some() && !self.set.is_retired(tag));
        if tag.is_none() && names.proto.is_some() {
            return;
        }
        let evidence = Evidence::CallFamily;
        names.proto = names.proto.or(Some(told.proto));
        names.evidence = Some(evidence);
        names.decider = super::decider(told.by);
        names.remembered = false;
        if let Some(tag) = tag.map(|tag| Tag { evidence, ..tag }) {
            names.app = tag.app;
            names.service = tag.service;
            names.decider = Some(Decider::Rule(tag.rule));
            let number = packets(flow);
            if let Some(trace) = flow.class.as_mut().steps.as_deref_mut() {
                trace.remember(Step::inferred(number, tag));
            }
        }
    }

    /// Whose `proto` is wherever it is spoken.
    fn by_protocol<T>(&mut self, flow: &Flow<T>, proto: Proto) -> Option<Tag> {
        let opening = Opening {
            transport: flow.transport(),
            client_ip: flow.ip(Side::Client),
            server_ip: flow.ip(Side::Server),
            client_port: flow.port(Side::Client),
            server_port: flow.port(Side::Server),
            client: Stream::default(),
            server: Stream::default(),
            latest: Side::Client,
        };
        let mut facts = std::mem::take(&mut self.scratch);
        facts.proto = Some(proto);
        self.found.clear();
        self.set.by_facts(&opening, &facts, &mut self.found);
        facts.proto = None;
        self.scratch = facts;
        self.found.iter().copied().find(|tag| tag.app.is_some())
    }
}
