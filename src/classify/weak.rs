//! Names that do not come from a flow's own opening: by what other flows taught, by address, by port.

use super::explain::Step;
use super::{
    Classification, Classifier, Decider, Named, Pending, Verdict, ladder, packets, remembered,
    roles,
};
use crate::flow::{Flow, Side};
use crate::verdict::{Evidence, Tag};

impl Classifier {
    /// Names an application by what other flows taught, by address or by port, where nothing
    /// better is known and nothing forbids it.
    pub(super) fn add_weak<T: AsMut<Classification>>(
        &mut self,
        flow: &mut Flow<T>,
        names: &mut Named,
        at: crate::time::Timestamp,
    ) {
        let state = flow.class.as_mut();
        let facts = state.facts.as_deref();
        let has_name = facts.is_some_and(|facts| facts.server_name.is_some())
            && names.evidence != Some(Evidence::OuterName);
        let dissected = facts.and_then(|facts| facts.proto);
        // Behind a proxy the address it was told counts, not its own.
        let behind = facts.and_then(|facts| facts.destination.as_deref()?.ip);
        let Verdict::Pending(Pending {
            is_syn_seen,
            is_unheard_of,
            client_mac,
            ..
        }) = state.verdict
        else {
            return;
        };
        let number = packets(flow);
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
        for &(evidence, ref vetoed) in ladder::WEAK {
            // An outer name stands until something better is known.
            let is_placeholder =
                names.evidence == Some(Evidence::OuterName) && evidence < Evidence::OuterName;
            let is_named = names.app.is_some() && !is_placeholder;
            if is_named || vetoed(names, has_name) {
                continue;
            }
            let tag = match evidence {
                Evidence::CallFamily => self.calls.of(flow, at),
                Evidence::Dns => self.names.of(flow, client_mac, &self.set),
                Evidence::Address => behind
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
                _ => self.set.by_port(flow.transport(), flow.port(Side::Server)),
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
        if let Some(before) = before {
            remembered::complete(names, &before);
        }
    }
}
