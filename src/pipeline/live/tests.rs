//! The live run on sources that give the project's captures: what comes out is what `read` gives.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::*;
use crate::capture::file::Options;
use crate::capture::inputs::Inputs;
use crate::capture::live::{Arrival, Counts, LinkState};
use crate::decode::{Decoded, Decoder};
use crate::record::{FlowRecord, Records};
use crate::signature::SignatureSet;
use crate::sink::Exporter;
use crate::time::Timestamp;
use crate::usage::{CellKey, Cells, Closed, Totals};

/// Records as text, without what tells one run from another.
#[derive(Default)]
struct Log {
    flows: Vec<String>,
    intervals: Vec<(Timestamp, u64, Cells)>,
    /// Who gets it all at the end.
    reader: Option<Sender<Self>>,
}

impl Exporter for Log {
    fn flow(&mut self, record: &FlowRecord, set: &SignatureSet) -> io::Result<()> {
        let app = record.named.app.map(|app| set.catalog().app_name(app));
        self.flows.push(format!(
            "{} {}:{} {}:{} {app:?} {:?} {} {:?} {} {:?}",
            record.first,
            record.client_ip,
            record.client_port,
            record.server_ip,
            record.server_port,
            record.named,
            record.settled_at_packet,
            record.counters,
            record.last,
            record.facts,
        ));
        Ok(())
    }

    fn interval(&mut self, closed: &Closed, sequence: u64, _: &SignatureSet) -> io::Result<()> {
        self.intervals
            .push((closed.start, sequence, closed.cells.clone()));
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        self.flows.sort();
        if let Some(reader) = self.reader.take() {
            let _ = reader.send(std::mem::take(self));
        }
        Ok(())
    }
}

/// Gives blocks, then is quiet.
struct Replay {
    blocks: VecDeque<Block>,
    watermark: Timestamp,
    frames: u64,
    behind: Duration,
    name: String,
}

impl Source for Replay {
    fn next_block(&mut self, block: &mut Block, wait: Duration) -> Arrival {
        match self.blocks.pop_front() {
            Some(next) => {
                *block = next;
                self.frames += block.frames.len() as u64;
                self.watermark = self.watermark.max(block.watermark);
                block.watermark = self.watermark;
                Arrival::Frames
            }
            None => {
                block.clear();
                block.watermark = self.watermark;
                thread::sleep(wait.min(Duration::from_millis(5)));
                Arrival::Quiet
            }
        }
    }

    fn behind(&self) -> Duration {
        self.behind
    }

    fn counts(&mut self) -> Counts {
        Counts {
            received: self.frames,
            ..Counts::default()
        }
    }

    fn state(&self) -> (LinkState, Timestamp) {
        (LinkState::Up, Timestamp::default())
    }

    fn name(&self) -> &str {
        &self.name
    }
}

/// Gives what several sources give, with the clock set back between them.
struct SetBack {
    sources: VecDeque<Box<dyn Source>>,
    /// When each begins.
    starts: VecDeque<Timestamp>,
}

impl Source for SetBack {
    fn next_block(&mut self, block: &mut Block, wait: Duration) -> Arrival {
        let arrival = self.sources[0].next_block(block, wait);
        if arrival == Arrival::Quiet && self.sources.len() > 1 {
            self.sources.pop_front();
            self.starts.pop_front();
            block.watermark = self.starts[0];
            return Arrival::SetBack;
        }
        arrival
    }

    fn behind(&self) -> Duration {
        self.sources[0].behind()
    }

    fn counts(&mut self) -> Counts {
        self.sources[0].counts()
    }

    fn state(&self) -> (LinkState, Timestamp) {
        self.sources[0].state()
    }

    fn name(&self) -> &str {
        self.sources[0].name()
    }
}

/// Gives nothing before it is told to stop.
struct Last {
    source: Box<dyn Source>,
    is_stopped: bool,
}

impl Source for Last {
    fn next_block(&mut self, block: &mut Block, wait: Duration) -> Arrival {
        if self.is_stopped {
            return self.source.next_block(block, wait);
        }
        block.clear();
        Arrival::Quiet
    }

    fn behind(&self) -> Duration {
        self.source.behind()
    }

    fn stop(&mut self) {
        self.is_stopped = true;
    }

    fn counts(&mut self) -> Counts {
        self.source.counts()
    }

    fn state(&self) -> (LinkState, Timestamp) {
        self.source.state()
    }

    fn name(&self) -> &str {
        self.source.name()
    }
}

fn captures() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("pcaps");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|kind| kind == "pcap"))
        .collect();
    files.sort();
    assert!(files.len() > 50);
    files
}

fn inputs(file: &Path) -> Inputs {
    Inputs::open(&[file.to_owned()], &Options::default()).unwrap()
}

/// The capture in small blocks, each frame given to one of the sources as the kernel would: by
/// its outermost addresses.
fn sources(file: &Path, count: usize) -> Vec<Box<dyn Source>> {
    sources_later(file, count, Duration::ZERO)
}

/// The same, so much later.
fn sources_later(file: &Path, count: usize, later: Duration) -> Vec<Box<dyn Source>> {
    // One source gives no more blocks than the channels behind it hold: it would lose the others.
    let size = if count == 1 { 64 } else { 7 };
    let mut whole = Block::default();
    let mut inputs = inputs(file);
    let mut blocks: Vec<VecDeque<Block>> = (0..count).map(|_| VecDeque::new()).collect();
    let mut last = Timestamp::default();
    while inputs.next_block(&mut whole).unwrap() {
        for index in 0..whole.frames.len() {
            let frame = whole.frame(index).unwrap();
            let at = frame.at.after(later);
            last = last.max(at);
            let mut decoder = Decoder::new(crate::decode::Config {
                max_depth: 0,
                ..crate::decode::Config::default()
            });
            let source = match decoder.decode(frame) {
                Decoded::Packet(packet) => {
                    let sum =
                        |bytes: [u8; 16]| bytes.iter().map(|&b| usize::from(b)).sum::<usize>();
                    sum(packet.source.0) + sum(packet.destination.0)
                }
                // Fragments and the rest need only stay together.
                _ => 0,
            } % count;
            let blocks = &mut blocks[source];
            if blocks.back().is_none_or(|block| block.frames.len() >= size) {
                blocks.push_back(Block {
                    first_number: frame.number,
                    ..Block::default()
                });
            }
            let block = blocks.back_mut().unwrap();
            block.frames.push(crate::capture::FrameRef {
                at,
                offset: u32::try_from(block.bytes.len()).unwrap(),
                ..whole.frames[index]
            });
            block.bytes.extend_from_slice(frame.bytes);
            block.watermark = block.watermark.max(at);
        }
    }
    (0..)
        .zip(blocks)
        .map(|(number, blocks): (usize, _)| -> Box<dyn Source> {
            // Quiet means that nothing up to the end is outstanding.
            let mut blocks = blocks;
            blocks.push_back(Block {
                watermark: last,
                ..Block::default()
            });
            Box::new(Replay {
                blocks,
                watermark: Timestamp::default(),
                frames: 0,
                behind: Duration::ZERO,
                name: format!("{}-{number}", file.file_stem().unwrap().display()),
            })
        })
        .collect()
}

fn set() -> Arc<SignatureSet> {
    static SET: std::sync::OnceLock<Arc<SignatureSet>> = std::sync::OnceLock::new();
    Arc::clone(SET.get_or_init(|| Arc::new(SignatureSet::builtin())))
}

fn config(steering: Steering, workers: usize) -> Config {
    let mut config = Config {
        steering,
        tick: Duration::from_millis(5),
        ..Config::default()
    };
    config.run.workers = workers;
    config.run.records = true;
    config
}

fn live(sources: Vec<Box<dyn Source>>, config: &Config) -> (Log, Arc<Snapshot>) {
    let control = Control::new(set(), crate::flow::Config::default());
    let (logs_out, logs) = bounded(2);
    let outputs = [Records::Flows, Records::Usage].map(|records| Output {
        name: "log".to_owned(),
        records,
        exporter: Box::new(Log {
            reader: Some(logs_out.clone()),
            ..Log::default()
        }),
    });
    control.stop();
    let snapshot = run(sources, &control, config, outputs.into()).unwrap();
    let mut log = Log::default();
    for other in logs.try_iter() {
        log.flows.extend(other.flows);
        log.intervals.extend(other.intervals);
    }
    (log, snapshot)
}

#[test]
fn records_and_ledger_are_those_of_read() {
    for file in captures() {
        let mut expected = Log::default();
        let offline = crate::pipeline::Config {
            records: true,
            ..crate::pipeline::Config::default()
        };
        let mut capture = inputs(&file);
        let summary =
            crate::pipeline::run(&mut capture, &set(), &offline, &mut expected, &mut |_| {});
        let summary = summary.unwrap_or_else(|failure| panic!("{failure:?}"));
        // (how frames are shared out, capture threads, workers)
        for (steering, threads, workers) in [
            (Steering::Kernel, 1, 1),
            (Steering::Kernel, 2, 2),
            (Steering::Inner, 1, 3),
        ] {
            let name = format!("{} {steering:?} {threads}", file.display());
            let (log, snapshot) = live(sources(&file, threads), &config(steering, workers));
            assert!(snapshot.ledger.closes(), "{name}: {}", snapshot.ledger);
            assert_eq!(snapshot.ledger.wire, summary.ledger.wire, "{name}");
            assert_eq!(snapshot.ledger.drops, summary.ledger.drops, "{name}");
            assert_eq!(snapshot.ledger.unsettled.packets, 0, "{name}");
            assert_eq!(*snapshot.cells, summary.cells, "{name}");
            // A tunnel's outer addresses may part what the inner ones hold together.
            if !name.contains("tunnels") || steering == Steering::Inner {
                assert_eq!(log.flows, expected.flows, "{name}");
            }
        }
    }
}

#[test]
fn what_a_source_gives_once_it_is_told_to_stop_is_taken_in() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("pcaps/recorded-tls13.pcap");
    let mut frames = 0;
    let mut block = Block::default();
    let mut inputs = inputs(&file);
    while inputs.next_block(&mut block).unwrap() {
        frames += block.frames.len() as u64;
    }
    for steering in [Steering::Kernel, Steering::Inner] {
        let last = sources(&file, 1)
            .into_iter()
            .map(|source| -> Box<dyn Source> {
                Box::new(Last {
                    source,
                    is_stopped: false,
                })
            });
        let (_, snapshot) = live(last.collect(), &config(steering, 1));
        assert!(snapshot.ledger.closes());
        assert_eq!(snapshot.ledger.wire.packets, frames, "{steering:?}");
    }
}

#[test]
fn a_source_that_is_behind_has_new_flows_counted_without_a_look() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("pcaps/recorded-tls13.pcap");
    for steering in [Steering::Kernel, Steering::Inner] {
        let mut blocks = VecDeque::new();
        let mut whole = Block::default();
        let mut inputs = inputs(&file);
        while inputs.next_block(&mut whole).unwrap() {
            blocks.push_back(std::mem::take(&mut whole));
        }
        let replay = Replay {
            blocks,
            watermark: Timestamp::default(),
            frames: 0,
            behind: Duration::from_secs(1),
            name: "replay0".to_owned(),
        };
        let (log, snapshot) = live(vec![Box::new(replay)], &config(steering, 2));
        assert!(snapshot.overloaded && snapshot.ledger.closes());
        let overload = crate::classify::UnknownReason::Overload as usize;
        assert_eq!(snapshot.ledger.unknown[overload], snapshot.ledger.wire);
        assert!(!log.flows.is_empty());
    }
}

#[test]
fn intervals_are_closed_by_all_threads_once() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("pcaps/recorded-turn-tcp.pcap");
    let length = Duration::from_millis(50);
    for (steering, threads) in [
        (Steering::Kernel, 1),
        (Steering::Kernel, 2),
        (Steering::Inner, 1),
    ] {
        let mut config = config(steering, 2);
        config.run.usage.interval = Some(length.into());
        let (log, snapshot) = live(sources(&file, threads), &config);
        assert!(log.intervals.len() > 1);
        let mut sum = Cells::new();
        for (place, (start, sequence, cells)) in (0..).zip(&log.intervals) {
            assert_eq!((start.floor(length), *sequence), (*start, place));
            for (key, totals) in cells {
                sum.entry(*key).or_default().add(totals);
            }
        }
        assert!(log.intervals.is_sorted_by_key(|(start, ..)| *start));
        assert_eq!(sum, *snapshot.cells, "{steering:?}");
    }
}

#[test]
fn a_clock_set_back_ends_flows_and_intervals_and_all_goes_on() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("pcaps/recorded-turn-tcp.pcap");
    let length = Duration::from_millis(50);
    let hours = Duration::from_secs(2 * 3600);
    let mut first = Block::default();
    assert!(inputs(&file).next_block(&mut first).unwrap());
    let start = first.frames[0].at;
    for (steering, threads) in [
        (Steering::Kernel, 1),
        (Steering::Kernel, 2),
        (Steering::Inner, 1),
    ] {
        let name = format!("{steering:?} {threads}");
        let mut config = config(steering, 2);
        config.run.usage.interval = Some(length.into());
        let (once, before) = live(sources(&file, threads), &config);
        let both = sources_later(&file, threads, hours)
            .into_iter()
            .zip(sources(&file, threads))
            .map(|(later, sooner)| -> Box<dyn Source> {
                Box::new(SetBack {
                    sources: [later, sooner].into(),
                    starts: [start.after(hours), start].into(),
                })
            });
        let (log, snapshot) = live(both.collect(), &config);
        assert!(snapshot.ledger.closes(), "{name}: {}", snapshot.ledger);
        let (twice, wire) = (snapshot.ledger.wire, before.ledger.wire);
        assert_eq!(
            (twice.packets, twice.bytes),
            (2 * wire.packets, 2 * wire.bytes)
        );
        assert_eq!(snapshot.flows, 2 * before.flows, "{name}");

        let names = |log: &Log| {
            let mut names: Vec<String> = log
                .flows
                .iter()
                .map(|flow| flow.split_once(' ').unwrap().1.to_owned())
                .map(|flow| flow.split(" Some(").next().unwrap().to_owned())
                .collect();
            names.sort();
            names
        };
        let doubled: Vec<String> = names(&once)
            .into_iter()
            .flat_map(|flow| [flow.clone(), flow])
            .collect();
        assert_eq!(names(&log), doubled, "{name}");

        // Each interval twice, with the same in it, as the clock said then.
        let (then, again): (Vec<_>, Vec<_>) = log
            .intervals
            .iter()
            .partition(|(at, ..)| *at >= start.after(hours / 2));
        let volume = |intervals: &[&(Timestamp, u64, Cells)], by: Duration| -> Vec<_> {
            let sum = |cells: &Cells| cells.values().map(Totals::bytes).sum::<u64>();
            intervals
                .iter()
                .map(|(at, _, cells)| (at.after(by), sum(cells)))
                .collect()
        };
        let expected: Vec<_> = once.intervals.iter().collect();
        assert_eq!(
            volume(&again, hours),
            volume(&then, Duration::ZERO),
            "{name}"
        );
        assert_eq!(
            volume(&again, Duration::ZERO),
            volume(&expected, Duration::ZERO)
        );
        let sequence: Vec<u64> = log.intervals.iter().map(|(_, number, _)| *number).collect();
        assert!(
            sequence.iter().copied().eq(0..sequence.len() as u64),
            "{name}"
        );
    }
}

/// What `file` holds, from a source of its own.
fn source(file: &str) -> Box<dyn Source> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("pcaps")
        .join(file);
    sources(&path, 1).remove(0)
}

#[test]
fn two_directions_on_two_interfaces_are_noticed() {
    use crate::usage::health::Fault;
    for (steering, flows, one_sided) in [(Steering::Kernel, 48, 48), (Steering::Inner, 24, 0)] {
        let both = vec![source("mirror-there.pcap"), source("mirror-back.pcap")];
        let (_, snapshot) = live(both, &config(steering, 2));
        let found = |fault| {
            let mut counts = snapshot.health.iter();
            counts.find(|(other, _)| *other == fault).unwrap().1.found
        };
        assert_eq!(snapshot.flows, flows, "{steering:?}");
        assert_eq!(found(Fault::OneSided), one_sided, "{steering:?}");
        // Which interface is first to be worked on is not certain; that there are two is.
        let split = found(Fault::Split);
        assert!(split > 12, "{steering:?}: {:?}", snapshot.health);
        let faults: Vec<Fault> = snapshot.health.faults().map(|(fault, _)| fault).collect();
        assert!(faults.contains(&Fault::Split), "{steering:?} {faults:?}");
    }
}

/// Each thread reads all answers; they are counted once.
#[test]
fn answers_that_nobody_asked_for_are_noticed() {
    use crate::usage::health::{Checked, Fault};
    let expected = Checked {
        checked: 120,
        found: 114,
    };
    for steering in [Steering::Kernel, Steering::Inner] {
        for threads in [1, 3] {
            let source = source("mirror-answers.pcap");
            let (_, snapshot) = live(vec![source], &config(steering, threads));
            let faults: Vec<_> = snapshot.health.faults().collect();
            assert_eq!(faults, [(Fault::DnsUnasked, expected)], "{steering:?}");
        }
    }
}

#[test]
fn copies_are_left_out_where_they_meet() {
    let (_, once) = live(vec![source("http.pcap")], &config(Steering::Kernel, 1));
    let twice = || vec![source("http.pcap"), source("http.pcap")];
    let one = || vec![source("mirror-twice.pcap")];
    // (how frames are shared out, sources, copies are found)
    type Sources<'a> = &'a dyn Fn() -> Vec<Box<dyn Source>>;
    let rows: [(Steering, Sources<'_>, u64); 4] = [
        (Steering::Kernel, &one, 192),
        (Steering::Inner, &one, 192),
        (Steering::Inner, &twice, once.ledger.wire.packets),
        // Each interface has a thread and a table of its own.
        (Steering::Kernel, &twice, 0),
    ];
    for (steering, sources, copies) in rows {
        let mut config = config(steering, 3);
        let (_, snapshot) = live(sources(), &config);
        let mut found = snapshot.health.iter();
        let (_, checked) = found.next().unwrap();
        assert_eq!(checked.found, copies, "{steering:?}");
        assert!(snapshot.ledger.closes());

        config.run.duplicates.leave_out = true;
        let (_, snapshot) = live(sources(), &config);
        assert!(snapshot.ledger.closes(), "{}", snapshot.ledger);
        let duplicate = crate::decode::DropReason::Duplicate;
        let mut drops = snapshot.ledger.drops.iter();
        let (_, left_out) = drops.find(|&(reason, _)| reason == duplicate).unwrap();
        assert_eq!(left_out.packets, copies, "{steering:?}");
        assert_eq!(snapshot.health.faults().count(), 0, "{steering:?}");
        if copies == once.ledger.wire.packets {
            assert_eq!(*snapshot.cells, *once.cells);
        }
    }
}

#[test]
fn accounts_add_up_to_the_names() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("pcaps/recorded-turn-tcp.pcap");
    for (steering, threads) in [
        (Steering::Kernel, 1),
        (Steering::Kernel, 2),
        (Steering::Inner, 1),
    ] {
        for interval in [None, Some(Duration::from_millis(10))] {
            let name = format!("{steering:?} {threads} {interval:?}");
            let mut config = config(steering, 2);
            config.run.usage.interval = interval.map(Into::into);
            config.run.usage.subjects = Some(crate::usage::Subjects::default().into());
            let (log, snapshot) = live(sources(&file, threads), &config);
            assert!(snapshot.ledger.closes(), "{name}: {}", snapshot.ledger);
            let volume = |cells: &mut dyn Iterator<Item = (&CellKey, &Totals)>| {
                let mut names = std::collections::BTreeMap::new();
                for (&key, totals) in cells {
                    let key = CellKey {
                        subject: None,
                        ..key
                    };
                    let sum: &mut (u64, u64) = names.entry(key).or_default();
                    sum.0 += totals.flows;
                    sum.1 += totals.bytes();
                }
                names
            };
            let accounts = snapshot.accounts.as_ref().unwrap();
            assert!(accounts.keys().all(|key| key.subject.is_some()), "{name}");
            assert!(snapshot.cells.keys().all(|key| key.subject.is_none()));
            let expected = volume(&mut snapshot.cells.iter());
            assert_eq!(volume(&mut accounts.iter()), expected, "{name}");
            let mut closed = log.intervals.iter().flat_map(|(_, _, cells)| cells.iter());
            if interval.is_some() {
                assert_eq!(volume(&mut closed), expected, "{name}");
            }
        }
    }
}

#[test]
fn interfaces_add_up_to_the_names() {
    let one = || vec![source("recorded-turn-tcp.pcap")];
    let two = || vec![source("mirror-there.pcap"), source("mirror-back.pcap")];
    // (how frames are shared out, workers, sources, how many of them flows come in by)
    type Sources<'a> = &'a dyn Fn() -> Vec<Box<dyn Source>>;
    let rows: [(Steering, usize, Sources<'_>, usize); 4] = [
        (Steering::Kernel, 1, &one, 1),
        (Steering::Kernel, 2, &two, 2),
        (Steering::Inner, 1, &one, 1),
        (Steering::Inner, 4, &one, 1),
    ];
    for (steering, workers, sources, expected_interfaces) in rows {
        for subjects in [false, true] {
            let name = format!("{steering:?} {workers} {subjects}");
            let mut config = config(steering, workers);
            let plain = live(sources(), &config).1;
            config.run.usage.interval = Some(Duration::from_millis(10).into());
            config.run.usage.by_interface = true;
            config.run.usage.subjects = subjects.then(Arc::default);
            let (log, snapshot) = live(sources(), &config);
            assert!(snapshot.ledger.closes(), "{name}: {}", snapshot.ledger);
            let mut interfaces = std::collections::BTreeSet::new();
            let mut volume = |cells: &mut dyn Iterator<Item = (&CellKey, &Totals)>| {
                let mut names = std::collections::BTreeMap::new();
                for (&key, totals) in cells {
                    interfaces.extend(snapshot.interface(&key).map(str::to_owned));
                    let key = CellKey {
                        subject: None,
                        interface: None,
                        ..key
                    };
                    let sum: &mut (u64, u64, u64) = names.entry(key).or_default();
                    sum.0 += totals.flows;
                    sum.1 += totals.packets();
                    sum.2 += totals.bytes();
                }
                names
            };
            let expected = volume(&mut plain.cells.iter());
            assert_eq!(volume(&mut snapshot.cells.iter()), expected, "{name}");
            let mut closed = log.intervals.iter().flat_map(|(_, _, cells)| cells.iter());
            assert_eq!(volume(&mut closed), expected, "{name}");
            assert!(snapshot.cells.keys().all(|key| key.interface.is_some()));
            assert_eq!(
                interfaces.len(),
                expected_interfaces,
                "{name}: {interfaces:?}"
            );
        }
    }
}
