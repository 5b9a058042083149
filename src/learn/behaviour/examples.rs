//! Flows to learn from, and which ones are.

use std::collections::HashMap;
use std::net::IpAddr;

use crate::classify::behaviour::features::Features;
use crate::classify::behaviour::may_teach;
use crate::classify::behaviour::model::MOST_CLASSES;
use crate::record::FlowRecord;
use crate::signature::SignatureSet;
use crate::time::Timestamp;
use crate::verdict::Evidence;

/// Flows of one application that are kept to learn from.
const MOST_OF_A_CLASS: usize = 2000;

/// Flows that are kept to learn from.
const MOST: usize = 60_000;

/// A flow to learn from.
#[derive(Clone, Debug)]
pub struct Example {
    /// What it does.
    pub features: Features,
    /// Whose it is: a place in [`Examples::classes`].
    pub class: u16,
    /// Whose flow it is.
    pub client: IpAddr,
    /// When it began.
    pub at: Timestamp,
}

/// Flows to learn from, in the order they came.
#[derive(Debug)]
pub struct Examples {
    /// Slugs of applications; the first is empty: of hosts that no signature knows.
    classes: Vec<Box<str>>,
    numbers: HashMap<Box<str>, u16>,
    /// How many of each class came.
    came: Vec<usize>,
    flows: Vec<Example>,
}

impl Default for Examples {
    fn default() -> Self {
        Self {
            classes: vec!["".into()],
            numbers: HashMap::from([("".into(), 0)]),
            came: vec![0],
            flows: Vec::new(),
        }
    }
}

impl Examples {
    /// Adds a flow, if its name is proved by itself: by a host that the client named, or by payload.
    /// One to a host that no signature knows is an example of what is none of the applications.
    pub fn add(&mut self, record: &FlowRecord, set: &SignatureSet) {
        let named = &record.named;
        let facts = record.facts.as_deref();
        let class = match (named.app, named.evidence) {
            (Some(app), Some(Evidence::ServerName | Evidence::PayloadProof)) => {
                set.catalog().app_name(app)
            }
            (None, _) if facts.is_some_and(|facts| facts.server_name.is_some()) => "",
            _ => return,
        };
        let Some(sequence) = record.first_packets.as_deref() else {
            return;
        };
        let sequence = sequence.sides(record.client_is_low);
        let features = Features::of(sequence, record.protocol.0, record.server_port);
        if let Some(features) = features
            && may_teach(named, facts)
        {
            self.push(features, class, record.client_ip, record.first);
        }
    }

    /// Adds a flow of this class.
    pub fn push(&mut self, features: Features, class: &str, client: IpAddr, at: Timestamp) {
        let number = match self.numbers.get(class) {
            Some(&number) => number,
            None if self.classes.len() >= MOST_CLASSES => return,
            None => {
                let number = u16::try_from(self.classes.len()).unwrap_or(u16::MAX);
                self.classes.push(class.into());
                self.came.push(0);
                self.numbers.insert(class.into(), number);
                number
            }
        };
        let Some(came) = self.came.get_mut(usize::from(number)) else {
            return;
        };
        *came += 1;
        if *came <= MOST_OF_A_CLASS && self.flows.len() < MOST {
            self.flows.push(Example {
                features,
                class: number,
                client,
                at,
            });
        }
    }

    /// What the flows are of.
    pub fn classes(&self) -> &[Box<str>] {
        &self.classes
    }

    /// The flows.
    pub fn flows(&self) -> &[Example] {
        &self.flows
    }
}
