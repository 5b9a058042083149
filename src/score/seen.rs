//! What a run has called the flows of a capture.

use std::collections::HashMap;

use super::key::FlowKey;
use crate::app::Service;
use crate::classify::UnknownReason;
use crate::record::FlowRecord;
use crate::signature::SignatureSet;
use crate::verdict::Evidence;

/// The flows of a capture, by their five-tuples.
#[derive(Debug, Default)]
pub struct Seen {
    flows: HashMap<FlowKey, Flow>,
}

/// All flows of a five-tuple.
#[derive(Debug, Default)]
pub(super) struct Flow {
    /// Whole frames as on the wire.
    pub(super) bytes: u64,
    /// What they were called, with the bytes that each answer has: few, so a list does.
    answers: Vec<(Answer, u64)>,
    /// Packets of payload and bytes until each of them was settled.
    pub(super) settled: Vec<(u32, u64)>,
    /// Some packet carried a payload.
    pub(super) has_payload: bool,
}

/// What a flow was called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The application's slug.
    pub app: Option<String>,
    /// Who runs it.
    pub owner: Option<String>,
    /// The protocol's slug.
    pub protocol: Option<String>,
    /// What is done in it.
    pub service: Option<Service>,
    /// What the name rests on.
    pub evidence: Option<Evidence>,
}

impl Seen {
    /// Adds the record of a flow that has ended.
    pub fn add(&mut self, record: &FlowRecord, set: &SignatureSet) {
        let named = &record.named;
        let catalog = set.catalog();
        let answer = Answer {
            app: named.app.map(|app| catalog.app_name(app).to_owned()),
            owner: named
                .app
                .and_then(|app| catalog.app(app))
                .map(|app| app.owner.to_string()),
            protocol: named
                .proto
                .map(|proto| catalog.protocol_name(proto).to_owned()),
            service: named.service,
            evidence: named.evidence,
        };
        let bytes = record.counters.client.bytes + record.counters.server.bytes;
        let flow = self.flows.entry(FlowKey::of(record)).or_default();
        flow.bytes += bytes;
        flow.has_payload |= named.unknown != Some(UnknownReason::NoPayload);
        let settled = record.steps.as_deref().and_then(|trace| trace.settled);
        flow.settled
            .extend(settled.map(|settled| (settled.payloads, settled.bytes)));
        // A flow of no length is still one.
        let weight = bytes + 1;
        let of_old = flow
            .answers
            .iter_mut()
            .find(|(old, _)| (&old.app, &old.protocol) == (&answer.app, &answer.protocol));
        match of_old {
            Some((_, sum)) => *sum += weight,
            None => flow.answers.push((answer, weight)),
        }
    }

    pub(super) fn flow(&self, key: &FlowKey) -> Option<&Flow> {
        self.flows.get(key)
    }
}

impl Flow {
    /// What most of its bytes were called; of answers as heavy, the first.
    pub(super) fn answer(&self) -> Answer {
        let mut best: Option<&(Answer, u64)> = None;
        for answer in &self.answers {
            if best.is_none_or(|best| answer.1 > best.1) {
                best = Some(answer);
            }
        }
        best.map(|(answer, _)| answer.clone()).unwrap_or_default()
    }
}
