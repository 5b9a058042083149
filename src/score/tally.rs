//! What is right of all labels together, by groups, applications and services.

use std::collections::BTreeMap;

use super::judge::{Group, Judged, Outcome};

/// Packets of payload within which a flow should be settled.
pub const WITHIN: u32 = 6;

/// Flows, and bytes of whole frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Volume {
    /// Flows.
    pub flows: u64,
    /// Bytes.
    pub bytes: u64,
}

impl Volume {
    fn add(&mut self, bytes: u64) {
        self.flows += 1;
        self.bytes += bytes;
    }
}

/// What became of the flows of an application, or of a service of one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Name {
    /// Labels have it as the best name.
    pub labelled: Volume,
    /// Of these the answer is right: out of `labelled` it is the recall.
    pub found: Volume,
    /// Answers have it, where a label asks for an application.
    pub answered: Volume,
    /// Of these it is right: out of `answered` it is the precision.
    pub right: Volume,
}

/// How far flows had come when they were settled.
#[derive(Clone, Debug, Default)]
pub struct Settled {
    packets: Vec<u32>,
    bytes: Vec<u64>,
}

impl Settled {
    /// How many flows there are.
    pub const fn flows(&self) -> u64 {
        self.packets.len() as u64
    }

    /// How many of them were settled within so many packets of payload.
    pub fn within(&self, packets: u32) -> u64 {
        self.packets.iter().filter(|&&it| it <= packets).count() as u64
    }

    /// Packets of payload within which so many of a hundred flows were settled.
    pub fn packets_at(&self, percentile: u64) -> u64 {
        at(&self.packets, percentile).into()
    }

    /// Bytes within which so many of a hundred flows were settled.
    pub fn bytes_at(&self, percentile: u64) -> u64 {
        at(&self.bytes, percentile)
    }
}

/// The smallest of `values` that so many of a hundred are not above.
fn at<T: Copy + Default + Ord>(values: &[T], percentile: u64) -> T {
    let mut values = values.to_vec();
    values.sort_unstable();
    let place = (values.len() as u64 * percentile).div_ceil(100).max(1) - 1;
    let place = usize::try_from(place).unwrap_or(usize::MAX);
    values.get(place).copied().unwrap_or_default()
}

/// What is right of the labels of some captures.
#[derive(Clone, Debug, Default)]
pub struct Score {
    /// By what is asked and what became of it.
    pub outcomes: BTreeMap<(Group, Outcome), Volume>,
    /// Labelled flows that no record is of.
    pub unseen: u64,
    /// Labelled flows that have neither application nor protocol.
    pub unknown: Volume,
    /// Labelled flows that have no application.
    pub without_app: Volume,
    /// All labelled flows that are judged.
    pub all: Volume,
    /// By the application's slug.
    pub apps: BTreeMap<String, Name>,
    /// By `application/service`, where labels have a service.
    pub services: BTreeMap<String, Name>,
    /// By the label's application and what it was called, where that is not right. `-` is nothing.
    pub confusion: BTreeMap<(String, String), Volume>,
    /// The flows whose application is asked for.
    pub settled: Settled,
}

impl Score {
    /// Adds what became of a flow.
    pub fn add(&mut self, judged: &Judged<'_>) {
        let (bytes, outcome) = (judged.bytes, judged.outcome);
        let key = (judged.group, outcome);
        self.outcomes.entry(key).or_default().add(bytes);
        if outcome == Outcome::Gone {
            return;
        }
        self.unseen += u64::from(judged.is_unseen);
        self.all.add(bytes);
        let answer = &judged.answer;
        if answer.app.is_none() {
            self.without_app.add(bytes);
            if answer.protocol.is_none() {
                self.unknown.add(bytes);
            }
        }
        if judged.group == Group::Application {
            self.add_application(judged);
        }
    }

    fn add_application(&mut self, judged: &Judged<'_>) {
        for &(packets, bytes) in &judged.settled {
            self.settled.packets.push(packets);
            self.settled.bytes.push(bytes);
        }
        let (bytes, answer) = (judged.bytes, &judged.answer);
        let best = judged.label.apps.first().map_or("-", String::as_str);
        let given = answer.app.as_deref();
        let is_right = judged.outcome == Outcome::Right;
        count(&mut self.apps, best, given, is_right, bytes);
        if !is_right {
            let key = (best.to_owned(), given.unwrap_or("-").to_owned());
            self.confusion.entry(key).or_default().add(bytes);
        }
        let wanted = judged.label.services.first();
        if let (Some(outcome), Some(wanted)) = (judged.service, wanted) {
            let wanted = format!("{best}/{wanted}");
            let given = given.zip(answer.service);
            let given = given.map(|(app, service)| format!("{app}/{}", service.slug()));
            let is_right = outcome == Outcome::Right;
            count(
                &mut self.services,
                &wanted,
                given.as_deref(),
                is_right,
                bytes,
            );
        }
    }

    /// Flows of a group that are judged, and those of them with this outcome.
    pub fn share(&self, group: Group, outcome: Outcome) -> (Volume, Volume) {
        let mut all = Volume::default();
        for (&(of, outcome), volume) in &self.outcomes {
            if of == group && outcome != Outcome::Gone {
                all.flows += volume.flows;
                all.bytes += volume.bytes;
            }
        }
        (self.volume(group, outcome), all)
    }

    /// Flows of a group with this outcome.
    pub fn volume(&self, group: Group, outcome: Outcome) -> Volume {
        let volume = self.outcomes.get(&(group, outcome));
        volume.copied().unwrap_or_default()
    }
}

fn count(
    names: &mut BTreeMap<String, Name>,
    wanted: &str,
    given: Option<&str>,
    is_right: bool,
    bytes: u64,
) {
    let name = names.entry(wanted.to_owned()).or_default();
    name.labelled.add(bytes);
    if is_right {
        name.found.add(bytes);
    }
    if let Some(given) = given {
        let name = names.entry(given.to_owned()).or_default();
        name.answered.add(bytes);
        if is_right {
            name.right.add(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_occurred() {
        let values: Vec<u32> = (1..=200).rev().collect();
        assert_eq!(
            [50, 95, 99, 100].map(|p| at(&values, p)),
            [100, 190, 198, 200]
        );
        assert_eq!(at::<u32>(&[], 50), 0);
        assert_eq!(at(&[7_u32], 1), 7);
    }
}
