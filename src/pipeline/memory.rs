//! The most memory a run can use, known before it begins.
//!
//! Each stage says what it may take; here it is summed. What the allocator adds to that, and the
//! program's own code and stacks, are not in it.

use std::fmt;

use crate::capture::file::MAX_RECORD;
use crate::capture::live::MAX_BLOCK;
use crate::classify::Classifier;
use crate::flow::{FlowTable, Sequence};
use crate::record::FlowRecord;
use crate::signature::SignatureSet;
use crate::usage::{CellKey, Totals, Usage};
use crate::view::number::size;

use super::budget::RECORDS_MEMORY;
use super::halves::Matcher;
use super::parts::Told;
use super::worker::State;
use super::{BLOCKS_A_WORKER, Config, duplicates, live};

/// What one packet may add before it is looked at whether that is too much: its payload twice (an
/// allocation that grows exists twice for a moment), and what can be read in it.
const AT_ONCE: usize = 2 * (64 << 10) + (128 << 10);

/// Lists of frames beside the bytes of a block, and of what they were decoded to for each worker's share.
const BLOCK_LISTS: usize = 4 << 20;

/// The memory of a run, by what takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Memory {
    parts: Vec<(&'static str, usize)>,
    workers: usize,
}

impl Memory {
    /// The most that workers by `config` use with `sets` sets of the size of `set`: one, or two
    /// where sets are replaced while they are in use. Frames on their way to them left aside.
    pub fn of_workers(config: &Config, set: &SignatureSet, sets: usize) -> Self {
        let workers = config.workers.max(1);
        let share = config.flow.share(workers);
        let flows = workers.saturating_mul(share.max_flows);
        let at_once = workers.saturating_mul(share.opening_bytes.saturating_add(AT_ONCE));
        let unpacking = Classifier::unpacking_memory(share.opening_bytes);
        let mut parts = vec![
            (
                "flow table",
                workers.saturating_mul(FlowTable::<State>::memory_limit(&share)),
            ),
            (
                "openings",
                config
                    .flow
                    .opening_memory
                    .saturating_add(at_once)
                    .saturating_add(workers.saturating_mul(unpacking)),
            ),
        ];
        if config.records {
            // Of flows that end all at once, on their way out.
            let leaving = flows.saturating_mul(size_of::<FlowRecord>());
            let texts = config.flow.record_memory.saturating_add(at_once);
            let told = match config.active_timeout {
                Some(_) => flows.saturating_mul(Told::MEMORY),
                None => 0,
            };
            let bytes = leaving.saturating_add(texts).saturating_add(told);
            parts.push(("records", bytes));
            if config.first_packets {
                // In the table they are among what is kept for records; here on their way out.
                parts.push(("first packets", flows.saturating_mul(Sequence::MEMORY)));
            }
        }
        // The thread that steers puts datagrams together as well. Nodes of sparse trees can take
        // as much as what is held in them.
        let decoders = workers + usize::from(workers > 1);
        parts.extend([
            (
                "fragments",
                decoders
                    .saturating_mul(config.decode.fragment_bytes)
                    .saturating_mul(2),
            ),
            (
                "learned names",
                workers.saturating_mul(Classifier::memory_limit(&config.learning)),
            ),
            // Summed up at the end, beside those of each worker.
            (
                "counters",
                (workers + 1).saturating_mul(Usage::memory_limit(&config.usage, share.max_flows)),
            ),
            ("signatures", sets.saturating_mul(set.memory())),
        ]);
        if let Some(behaviour) = &config.behaviour {
            parts.push(("behaviour", behaviour.memory()));
        }
        Self { parts, workers }
    }

    /// The most that [`super::run`] uses.
    pub fn of_run(config: &Config, set: &SignatureSet) -> Self {
        let mut memory = Self::of_workers(config, set, 1);
        let workers = config.workers.max(1);
        // Empty ones, those on their way to the slowest worker, and one each at both ends.
        let blocks = BLOCKS_A_WORKER * (workers + 1) + BLOCKS_A_WORKER + 2;
        memory.add("blocks", blocks * (MAX_RECORD + BLOCK_LISTS));
        if config.duplicates.leave_out {
            memory.add("duplicates", duplicates::MEMORY);
        }
        memory
    }

    /// The most that [`super::live::run`] uses with so many sources, whose rings have so many bytes
    /// each. During a reload two sets are there, and the one that is made.
    pub fn of_live(config: &live::Config, set: &SignatureSet, sources: usize, ring: u64) -> Self {
        let mut memory = Self::of_workers(&config.run, set, 3);
        let rings = usize::try_from(ring).unwrap_or(usize::MAX);
        memory.add("rings", sources.saturating_mul(rings));
        let block = MAX_BLOCK + BLOCK_LISTS;
        if config.steering == live::Steering::Kernel && sources > 1 {
            memory.add("lessons", live::lessons_memory(sources));
            memory.add("halves of flows", Matcher::MEMORY);
        }
        if config.run.duplicates.leave_out {
            let threads = sources + config.run.workers.max(1);
            memory.add("duplicates", threads.saturating_mul(duplicates::MEMORY));
        }
        let blocks = live::blocks_in_use(config, sources);
        memory.add("blocks", blocks.saturating_mul(block));
        if config.run.records {
            memory.add("records under way", RECORDS_MEMORY);
        }
        if config.run.usage.interval.is_some() {
            memory.add("intervals", live::intervals_memory(1, &config.run.usage));
        }
        if config.run.usage.subjects.is_some() {
            // Those of the whole run, in maps with nodes half full, and the same once more at the end.
            // Where somebody watches, what each worker has told, twice: it has twice as many at most.
            let told = match config.follow {
                true => 4 * config.run.workers.max(1),
                false => 0,
            };
            let accounts = config.run.usage.max_accounts.saturating_mul(4 + told);
            let bytes = accounts.saturating_mul(2 * size_of::<(CellKey, Totals)>());
            memory.add("accounts of the run", bytes);
        }
        memory
    }

    /// Adds what `part` may take.
    pub fn add(&mut self, part: &'static str, bytes: usize) {
        self.parts.push((part, bytes));
    }

    /// All parts together.
    pub fn bytes(&self) -> usize {
        self.parts
            .iter()
            .fold(0, |sum, &(_, bytes)| sum.saturating_add(bytes))
    }
}

/// `memory: at most 812MiB (flow table 480MiB, ...); ... a limit for each of 4 workers`
impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // In whole MiB: of what runs take, nobody asks for less.
        let mebibytes = |bytes: usize| size((bytes as u64).div_ceil(1 << 20) << 20);
        write!(f, "memory: at most {} (", mebibytes(self.bytes()))?;
        for (place, &(name, bytes)) in self.parts.iter().enumerate() {
            let separator = if place > 0 { ", " } else { "" };
            write!(f, "{separator}{name} {}", mebibytes(bytes))?;
        }
        write!(f, ")")?;
        if self.workers > 1 {
            // Which flows leave a full table, and when, hangs on how many tables there are.
            write!(
                f,
                "; flows, openings, records and learned names have a limit for each of {} workers",
                self.workers
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{flow, usage};

    fn config(workers: usize, max_flows: usize) -> Config {
        Config {
            workers,
            flow: flow::Config {
                max_flows,
                ..flow::Config::default()
            },
            ..Config::default()
        }
    }

    #[test]
    fn the_figure_is_the_sum_of_its_parts() {
        let set = SignatureSet::builtin();
        let memory = Memory::of_run(&config(1, 1 << 20), &set);
        let text = memory.to_string();
        for part in [
            "flow table",
            "openings 257MiB",
            "fragments 8MiB",
            "signatures",
            "blocks",
        ] {
            assert!(text.contains(part), "{text}");
        }
        assert!(!text.contains("records"), "{text}");
        assert_eq!(
            memory.bytes(),
            memory.parts.iter().map(|part| part.1).sum::<usize>()
        );
        assert!((256 << 20..2 << 30).contains(&memory.bytes()), "{text}");
    }

    #[test]
    fn a_live_run_says_what_may_be_under_way() {
        let set = SignatureSet::default();
        for (records, expected) in [(false, false), (true, true)] {
            let mut live = live::Config::default();
            live.run.records = records;
            let text = Memory::of_live(&live, &set, 1, 64 << 20).to_string();
            assert_eq!(text.contains("records under way 256"), expected, "{text}");
            assert!(text.contains("rings 64"), "{text}");
        }
    }

    #[test]
    fn settings_move_it() {
        let set = SignatureSet::default();
        let small = Memory::of_run(&config(1, 1000), &set).bytes();
        let records = Config {
            records: true,
            ..config(1, 1000)
        };
        let first_packets = Config {
            first_packets: true,
            ..records.clone()
        };
        assert!(
            Memory::of_run(&first_packets, &set).bytes() > Memory::of_run(&records, &set).bytes()
        );
        let subjects = Config {
            usage: usage::Config {
                subjects: Some(usage::Subjects::default().into()),
                ..usage::Config::default()
            },
            ..config(1, 1000)
        };
        for (name, config) in [
            ("flows", config(1, 1 << 20)),
            ("workers", config(4, 1000)),
            ("records", records),
            ("subjects", subjects),
        ] {
            assert!(Memory::of_run(&config, &set).bytes() > small, "{name}");
        }
        // No setting overflows it.
        let huge = Config {
            records: true,
            ..config(3, usize::MAX / 4)
        };
        Memory::of_run(&huge, &set).to_string();
    }
}
