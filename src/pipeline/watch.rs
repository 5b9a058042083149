//! What somebody who watches a live run is told of flows: by each worker how those go on that it
//! told of, and all workers' latest flows, each once.
//!
//! Both cost something once a second and when a flow settles or ends, nothing for a packet.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use crate::classify::Classification;
use crate::flow::{Attachment, EndReason, Flow, FlowKey, FlowTable};
use crate::record::FlowRecord;

/// Settled flows told of between two reports, the last ones: what a person can follow.
const NEWS: usize = 64;

/// Flows that are told of again while they go on.
const FOLLOWED: usize = 256;

/// A worker's flows that somebody is told of.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// By their numbers.
    followed: BTreeMap<u64, Followed>,
    /// Those nothing was told of yet, in the order they settled.
    fresh: VecDeque<u64>,
}

#[derive(Debug)]
struct Followed {
    key: FlowKey,
    /// What the flow itself may have let go of.
    class: Classification,
    /// How many packets it had when it was told of last.
    packets: u64,
    ended: Option<FlowRecord>,
}

impl Followed {
    /// What there is to tell, of the flow that now is so.
    fn news<T>(&mut self, flow: Option<&Flow<T>>) -> Option<FlowRecord> {
        if self.ended.is_some() {
            return self.ended.take();
        }
        let flow = flow?;
        let before = std::mem::replace(&mut self.packets, packets(flow));
        (before != self.packets).then(|| FlowRecord::ongoing(flow, &self.class))
    }
}

impl Watch {
    /// A flow has settled as `class` says.
    pub(super) fn settled<T>(&mut self, flow: &Flow<T>, class: Classification) {
        if self.fresh.len() == NEWS
            && let Some(untold) = self.fresh.pop_front()
        {
            self.followed.remove(&untold);
        }
        let followed = Followed {
            key: flow.key(),
            class,
            packets: 0,
            ended: None,
        };
        self.fresh.push_back(flow.first_number);
        self.followed.insert(flow.first_number, followed);
    }

    /// A flow has ended.
    pub(super) fn ended<T>(&mut self, flow: &Flow<T>, reason: EndReason) {
        if let Some(followed) = self.followed.get_mut(&flow.first_number) {
            let class = std::mem::take(&mut followed.class);
            followed.ended = Some(FlowRecord::new(flow, class, reason));
        }
    }

    /// What there is to tell: how the flows told of went on in `flows` or ended, then those that
    /// have settled.
    pub(super) fn take<T: Attachment>(&mut self, flows: &FlowTable<T>) -> Vec<FlowRecord> {
        let find = |number: u64, key: &FlowKey| {
            let flow = flows.find(key);
            flow.filter(|flow| flow.first_number == number)
        };
        let mut told = Vec::new();
        let mut silent = Vec::new();
        self.followed.retain(|&number, followed| {
            if followed.packets == 0 {
                // A fresh one.
                return true;
            }
            let flow = find(number, &followed.key);
            match followed.news(flow) {
                Some(record) => told.push(record),
                None => silent.push(number),
            }
            flow.is_some()
        });
        for number in self.fresh.drain(..) {
            let Some(followed) = self.followed.get_mut(&number) else {
                continue;
            };
            let flow = find(number, &followed.key);
            told.extend(followed.news(flow));
            if flow.is_none() {
                self.followed.remove(&number);
            }
        }
        // Room for others: those go first that send nothing, the oldest first.
        let excess = self.followed.len().saturating_sub(FOLLOWED);
        for number in silent.into_iter().take(excess) {
            self.followed.remove(&number);
        }
        while self.followed.len() > FOLLOWED {
            self.followed.pop_first();
        }
        told
    }
}

fn packets<T>(flow: &Flow<T>) -> u64 {
    flow.counters.client.packets + flow.counters.server.packets
}

/// The latest flows of all workers: each once, as it was told of last.
#[derive(Debug, Default)]
pub(super) struct Recent {
    /// By when they were told of.
    records: BTreeMap<u64, Arc<FlowRecord>>,
    /// Where each flow is in `records`.
    places: HashMap<u64, u64>,
    told: u64,
}

impl Recent {
    /// Flows shown to a person at most.
    pub(super) const MOST: usize = 1000;

    /// Takes the place of what was told of this flow before, unless that was its end.
    pub(super) fn tell(&mut self, record: FlowRecord) {
        let number = record.flow_id;
        if let Some(place) = self.places.get(&number) {
            let ended = |before: &Arc<FlowRecord>| before.reason != EndReason::Ongoing;
            if record.reason == EndReason::Ongoing && self.records.get(place).is_some_and(ended) {
                return;
            }
            self.records.remove(place);
        } else if self.records.len() == Self::MOST
            && let Some((_, oldest)) = self.records.pop_first()
        {
            self.places.remove(&oldest.flow_id);
        }
        self.told += 1;
        self.places.insert(number, self.told);
        self.records.insert(self.told, Arc::new(record));
    }

    /// The flows, those told of last behind the others.
    pub(super) fn flows(&self) -> impl Iterator<Item = &Arc<FlowRecord>> {
        self.records.values()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::capture::Block;
    use crate::capture::file::Options;
    use crate::capture::inputs::Inputs;
    use crate::classify::Classifier;
    use crate::pipeline::{Config, Worker};
    use crate::signature::SignatureSet;
    use crate::usage::{Cells, Totals};

    /// All frames of a capture, one block each.
    fn blocks(name: &str) -> Vec<Block> {
        let file = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("pcaps")
            .join(name);
        let mut inputs = Inputs::open(&[file], &Options::default()).unwrap();
        let mut whole = Block::default();
        let mut blocks = Vec::new();
        while inputs.next_block(&mut whole).unwrap() {
            for index in 0..whole.frames.len() {
                let frame = whole.frame(index).unwrap();
                blocks.push(Block {
                    bytes: frame.bytes.to_vec(),
                    frames: vec![crate::capture::FrameRef {
                        offset: 0,
                        ..whole.frames[index]
                    }],
                    first_number: frame.number,
                    watermark: frame.at,
                    ..Block::default()
                });
            }
        }
        blocks
    }

    fn volume(record: &FlowRecord) -> u64 {
        record.counters.client.bytes + record.counters.server.bytes
    }

    #[test]
    fn a_flow_that_goes_on_grows_and_is_there_once() {
        let set = Arc::new(SignatureSet::builtin());
        let blocks = blocks("recorded-tls13.pcap");
        for records in [false, true] {
            let config = Config {
                records,
                ..Config::default()
            };
            let mut worker = Worker::new(&config, Classifier::new(Arc::clone(&set), false));
            worker.follow();
            let mut recent = Recent::default();
            let mut seen: HashMap<u64, u64> = HashMap::new();
            let mut grown = 0;
            for block in &blocks {
                worker.run_block(block);
                for record in worker.take_news() {
                    assert_eq!(record.reason, EndReason::Ongoing);
                    recent.tell(record);
                }
                let mut once = std::collections::HashSet::new();
                for record in recent.flows() {
                    assert!(once.insert(record.flow_id), "{record:?}");
                    let before = seen.insert(record.flow_id, volume(record));
                    assert!(before.is_none_or(|before| before <= volume(record)));
                    grown += usize::from(before.is_some_and(|before| before < volume(record)));
                }
            }
            assert!(grown > 3, "{grown}");
            worker.end_all(EndReason::EndOfInput);
            let ended = worker.take().records;
            assert_eq!(!ended.is_empty(), records);
            for record in ended {
                recent.tell(record);
            }
            for record in worker.take_news() {
                recent.tell(record);
            }
            assert_eq!(recent.flows().count() as u64, worker.tally().flows);
            assert!(recent.flows().all(|r| r.reason != EndReason::Ongoing));
            let server_name = |record: &Arc<FlowRecord>| {
                let facts = record.facts.as_deref();
                facts.is_some_and(|facts| facts.server_name.is_some())
            };
            assert!(recent.flows().any(server_name));
            let shown: u64 = recent.flows().map(|record| volume(record)).sum();
            let wire: u64 = blocks.iter().map(|b| u64::from(b.frames[0].wire_len)).sum();
            assert_eq!(shown, wire);
        }
    }

    #[test]
    fn accounts_are_told_up_to_the_moment() {
        let usage = crate::usage::Config {
            subjects: Some(Arc::default()),
            ..crate::usage::Config::default()
        };
        let config = Config {
            usage,
            ..Config::default()
        };
        let set = Arc::new(SignatureSet::builtin());
        let mut worker = Worker::new(&config, Classifier::new(set, false));
        assert!(worker.accounts(false).is_none(), "nobody watches");
        worker.follow();
        let bytes = |cells: &Cells| cells.values().map(Totals::bytes).sum::<u64>();
        let mut before = 0;
        for block in blocks("recorded-tls13.pcap") {
            worker.run_block(&block);
            let accounts = bytes(&worker.accounts(false).unwrap());
            assert_eq!(accounts, bytes(&worker.tally().open));
            before = accounts.max(before);
        }
        worker.end_all(EndReason::EndOfInput);
        let closed: u64 = worker
            .take()
            .closed
            .iter()
            .map(|(_, cells)| bytes(cells))
            .sum();
        assert!(before > 0 && before <= closed, "{before} of {closed}");
    }

    #[test]
    fn the_last_flows_are_told_of_and_as_many_as_are_allowed() {
        let mut table: FlowTable<()> = FlowTable::new(crate::flow::Config::default());
        let mut watch = Watch::default();
        let mut recent = Recent::default();
        let mut next = 0;
        for round in 1..=20 {
            for _ in 0..100 {
                next += 1;
                let flow = begin(&mut table, next);
                watch.settled(flow, Classification::default());
            }
            let news = watch.take(&table);
            assert_eq!(news.len(), NEWS);
            assert_eq!(news.last().unwrap().flow_id, round * 100);
            assert_eq!(news[0].flow_id, round * 100 - NEWS as u64 + 1);
            assert!(watch.followed.len() <= FOLLOWED);
            for record in news {
                recent.tell(record);
            }
        }
        assert_eq!(recent.flows().count(), Recent::MOST);
        assert_eq!(recent.places.len(), Recent::MOST);
        assert_eq!(recent.flows().last().unwrap().flow_id, 2000);
        // The end comes first where the channel turned them around.
        for reason in [EndReason::Fin, EndReason::Ongoing] {
            let flow = begin(&mut table, 9999);
            recent.tell(FlowRecord::new(flow, Classification::default(), reason));
        }
        let last = recent.flows().last().unwrap();
        assert_eq!((last.flow_id, last.reason), (9999, EndReason::Fin));
    }

    fn begin(table: &mut FlowTable<()>, number: u16) -> &mut Flow<()> {
        let packet = crate::decode::Packet {
            number: number.into(),
            ..crate::flow::samples::udp(1, (1, number), (2, 53), b"x")
        };
        let located = table.locate(&packet);
        let touch = table.touch(&packet, &located);
        table.flow(touch.unwrap()).unwrap()
    }
}
