//! What of an answer is right.

use super::seen::{Answer, Flow, Seen};
use super::truth::{Label, Strength, Truth};
use crate::signature::SignatureSet;
use crate::verdict::Evidence;

/// Names of one protocol: that of a label, and what is as right.
const SAME: &[(&str, &[&str])] = &[
    ("can", &["can-over-ethernet"]),
    ("cip", &["ethernet-ip", "enip"]),
    ("knxnet-ip", &["knx"]),
    ("stratum", &["monero", "mining"]),
    // What begins as HTTP and is upgraded (RFC 6455).
    ("http", &["websocket"]),
    // The same protocols over TLS.
    ("pop3s", &["pop3"]),
    ("imaps", &["imap"]),
    ("smtps", &["smtp"]),
];

/// What is asked of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// Its application.
    Application,
    /// Its protocol: it is no application's, or nobody knows which one's.
    Protocol,
    /// Either, by a label that was guessed itself.
    Weak,
    /// Nothing: nobody knows.
    Unlabelled,
}

impl Group {
    /// Every group.
    pub const ALL: [Self; 4] = [
        Self::Application,
        Self::Protocol,
        Self::Weak,
        Self::Unlabelled,
    ];

    /// The slug of tables.
    pub const fn slug(self) -> &'static str {
        match self {
            Self::Application => "application",
            Self::Protocol => "protocol",
            Self::Weak => "weak",
            Self::Unlabelled => "unlabelled",
        }
    }
}

/// What became of a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// The answer is one of those that are right.
    Right,
    /// There is no answer.
    Missed,
    /// It is another of the same owner, and rests on nothing but the address: many of his applications share
    /// it, so that nothing better could be said.
    Owner,
    /// It is another.
    Wrong,
    /// The label asks for nothing, and there is an answer.
    Extra,
    /// Nothing of the flow is left that could be named: its packets were taken out of the capture.
    Gone,
}

impl Outcome {
    /// The slug of tables.
    pub const fn slug(self) -> &'static str {
        match self {
            Self::Right => "right",
            Self::Missed => "missed",
            Self::Owner => "owner",
            Self::Wrong => "wrong",
            Self::Extra => "extra",
            Self::Gone => "gone",
        }
    }
}

/// A labelled flow, and what a run made of it.
#[derive(Clone, Debug)]
pub struct Judged<'t> {
    /// The flow: protocol, then address and port of both ends.
    pub flow: String,
    /// What is known of it.
    pub label: &'t Label,
    /// What is asked of it.
    pub group: Group,
    /// What it was called.
    pub answer: Answer,
    /// What of that is right.
    pub outcome: Outcome,
    /// Whether the service is right, where the label has one.
    pub service: Option<Outcome>,
    /// Bytes of it: as the label says, else as they were counted.
    pub bytes: u64,
    /// Packets of payload and bytes until each of its flows was settled.
    pub settled: Vec<(u32, u64)>,
    /// No record has this five-tuple.
    pub is_unseen: bool,
}

impl Truth {
    /// What became of the labels of `capture`, where applications are as `set` has them. `whole` is what
    /// was seen before something was taken out of the capture: what was there and is not any more is gone.
    pub fn judge(
        &self,
        capture: &str,
        seen: &Seen,
        whole: Option<&Seen>,
        set: &SignatureSet,
    ) -> Vec<Judged<'_>> {
        let Some(labels) = self.labels(capture) else {
            return Vec::new();
        };
        let has_payload = |seen: &Seen, key| seen.flow(key).is_some_and(|flow| flow.has_payload);
        let found = labels.flows.iter().map(|(key, label)| {
            let is_gone =
                whole.is_some_and(|whole| has_payload(whole, key) && !has_payload(seen, key));
            judge(key.to_string(), label, seen.flow(key), is_gone, set)
        });
        let lost = labels.lost.iter();
        let lost = lost.map(|(name, label)| judge(name.clone(), label, None, false, set));
        found.chain(lost).collect()
    }
}

fn judge<'t>(
    flow: String,
    label: &'t Label,
    seen: Option<&Flow>,
    is_gone: bool,
    set: &SignatureSet,
) -> Judged<'t> {
    let answer = seen.map(Flow::answer).unwrap_or_default();
    let outcome = match is_gone {
        true => Outcome::Gone,
        false => match label.outcome(&answer) {
            Outcome::Wrong if label.is_of_owner(&answer, set) => Outcome::Owner,
            outcome => outcome,
        },
    };
    let bytes = label.bytes.or_else(|| seen.map(|flow| flow.bytes));
    Judged {
        flow,
        group: label.group(),
        service: label.service(&answer).filter(|_| !is_gone),
        label,
        outcome,
        bytes: bytes.unwrap_or(0),
        settled: seen.map(|flow| flow.settled.clone()).unwrap_or_default(),
        is_unseen: seen.is_none(),
        answer,
    }
}

impl Label {
    /// Whether the answer names no more than the address does: an application of the same owner.
    fn is_of_owner(&self, answer: &Answer, set: &SignatureSet) -> bool {
        let catalog = set.catalog();
        let owner = |name: &String| {
            let app = catalog.app_named(name).and_then(|id| catalog.app(id));
            app.map(|app| &*app.owner)
        };
        self.asks_for_app()
            && answer.evidence == Some(Evidence::Address)
            && answer.owner.is_some()
            && self
                .apps
                .iter()
                .any(|name| owner(name) == answer.owner.as_deref())
    }

    /// Whether an application is asked for. Flows of DNS are no application's volume: a label that has
    /// one tells whose name was asked for.
    fn asks_for_app(&self) -> bool {
        !self.apps.is_empty() && !matches!(self.protocols.as_slice(), [only] if only == "dns")
    }

    fn group(&self) -> Group {
        match self.strength {
            Strength::Unknown => Group::Unlabelled,
            Strength::Weak => Group::Weak,
            Strength::Sure if self.asks_for_app() => Group::Application,
            Strength::Sure => Group::Protocol,
        }
    }

    fn outcome(&self, answer: &Answer) -> Outcome {
        if self.asks_for_app() {
            return one_of(&self.apps, answer.app.as_deref());
        }
        let protocols = self.protocols.iter();
        let mut protocols = protocols.filter(|name| *name != "unknown").peekable();
        let has_answer = answer.app.is_some() || answer.protocol.is_some();
        if protocols.peek().is_none() {
            return match has_answer {
                true => Outcome::Extra,
                false => Outcome::Right,
            };
        }
        let given = [answer.protocol.as_deref(), answer.app.as_deref()];
        let is_right = |name: &String| {
            let same = SAME.iter().find(|(label, _)| label == name);
            let same = same.map_or(&[][..], |&(_, same)| same);
            let mut given = given.iter().flatten();
            given.any(|given| given == name || same.contains(given))
        };
        match protocols.any(is_right) {
            true => Outcome::Right,
            false if has_answer => Outcome::Wrong,
            false => Outcome::Missed,
        }
    }

    /// What became of the service, where the label has one and it is of an application.
    fn service(&self, answer: &Answer) -> Option<Outcome> {
        let is_asked = self.asks_for_app() && !self.services.is_empty();
        let given = answer.service.map(|service| service.slug());
        is_asked.then(|| match one_of(&self.apps, answer.app.as_deref()) {
            Outcome::Right => one_of(&self.services, given),
            other => other,
        })
    }
}

fn one_of(names: &[String], given: Option<&str>) -> Outcome {
    match given {
        None => Outcome::Missed,
        Some(given) if names.iter().any(|name| name == given) => Outcome::Right,
        Some(_) => Outcome::Wrong,
    }
}
