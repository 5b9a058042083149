//! Trials of dissectors for their tests: conversations shown as a flow shows them, cut and mutated.
//!
//! [`Trial::ask`] holds a dissector to the contract of [`Dissector`](super::Dissector): facts stay
//! untouched until it is sure, and what is sure stays so.
#![allow(clippy::indexing_slicing)]

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, TestRunner};

use super::{DISSECTORS, Facts, Outcome};
use crate::flow::opening::Script;
use crate::flow::{Opening, Side, Transport};

type Dissect = fn(&Opening<'_>, &mut Facts) -> Outcome;

/// A conversation to be shown to a dissector.
#[derive(Clone, Debug)]
pub(super) struct Trial {
    transport: Transport,
    ports: (u16, u16),
    mid_stream: bool,
    messages: Vec<(Side, Vec<u8>)>,
}

impl Trial {
    /// A TCP conversation with `port`.
    pub(super) fn tcp(port: u16) -> Self {
        Self::new(Transport::Tcp, port)
    }

    /// An exchange of datagrams with `port`.
    pub(super) fn udp(port: u16) -> Self {
        Self::new(Transport::Udp, port)
    }

    fn new(transport: Transport, port: u16) -> Self {
        Self {
            transport,
            ports: (50_000, port),
            mid_stream: false,
            messages: Vec::new(),
        }
    }

    /// The client sends `message`.
    pub(super) fn client(mut self, message: impl AsRef<[u8]>) -> Self {
        self.messages
            .push((Side::Client, message.as_ref().to_vec()));
        self
    }

    /// The server sends `message`.
    pub(super) fn server(mut self, message: impl AsRef<[u8]>) -> Self {
        self.messages
            .push((Side::Server, message.as_ref().to_vec()));
        self
    }

    /// The beginning of the flow was not captured.
    pub(super) fn mid_stream(mut self) -> Self {
        self.mid_stream = true;
        self
    }

    /// The client's port is `port`.
    pub(super) fn client_port(mut self, port: u16) -> Self {
        self.ports.0 = port;
        self
    }

    /// The same conversation with the sides exchanged.
    pub(super) fn turned(mut self) -> Self {
        for (side, _) in &mut self.messages {
            *side = !*side;
        }
        self.ports = (self.ports.1, self.ports.0);
        self
    }

    /// The last answer of `dissect`, which is asked again after each message.
    pub(super) fn ask(&self, dissect: Dissect) -> (Outcome, Facts) {
        let mut script = Script::new(self.transport, self.ports.0, self.ports.1);
        let (mut outcome, mut facts) = (Outcome::NeedMore, Facts::default());
        for (side, message) in self.messages.iter().filter(|(_, bytes)| !bytes.is_empty()) {
            script = script.message(*side, message);
            let mut opening = script.opening();
            opening.client.mid_stream = self.mid_stream;
            opening.server.mid_stream = self.mid_stream;
            let (before, was_sure) = (
                facts.clone(),
                matches!(
                    outcome,
                    Outcome::Partial | Outcome::UpToDate | Outcome::Wraps(_)
                ),
            );
            outcome = dissect(&opening, &mut facts);
            let sure = outcome.is_sure();
            if sure {
                assert!(facts.proto.is_some(), "sure, but of what? {self:?}");
                assert_eq!(facts.beyond_bounds(), None, "too long: {self:?}");
                let mut again = facts.clone();
                let answer = dissect(&opening, &mut again);
                assert_eq!((answer, &again), (outcome, &facts), "asked again: {self:?}");
                if outcome == Outcome::UpToDate {
                    let mut over = opening;
                    (over.client.ended, over.server.ended) = (true, true);
                    dissect(&over, &mut again);
                    assert_eq!(again, facts, "not up to date: {self:?}");
                }
            } else {
                assert_eq!(facts, before, "facts of a protocol that is not sure");
                assert!(!was_sure, "what was sure was taken back: {self:?}");
            }
            if matches!(outcome, Outcome::NotMine | Outcome::Done) {
                break;
            }
        }
        (outcome, facts)
    }

    /// Asserts that `dissect` recognises this, and gives what it read.
    pub(super) fn facts(&self, dissect: Dissect) -> Facts {
        let (outcome, facts) = self.ask(dissect);
        assert!(outcome.is_sure(), "{outcome:?} for {self:?}");
        facts
    }

    /// Asserts that `dissect` does not recognise this.
    pub(super) fn refused(&self, dissect: Dissect) {
        let (outcome, _) = self.ask(dissect);
        assert!(!outcome.is_sure(), "{outcome:?} for {self:?}");
    }

    /// TCP: asserts that one octet a segment gives the same facts as whole messages do.
    pub(super) fn same_by_octets(&self, dissect: Dissect) {
        let mut cut = self.clone();
        cut.messages = Vec::new();
        for (side, message) in &self.messages {
            cut.messages
                .extend(message.iter().map(|&octet| (*side, vec![octet])));
        }
        assert_eq!(cut.facts(dissect), self.facts(dissect));
    }

    /// UDP: asserts that no prefix of the first datagram alone is recognised.
    pub(super) fn refused_when_cut(&self, dissect: Dissect) {
        self.refused_below(self.messages[0].1.len(), dissect);
    }

    /// UDP: asserts that the first datagram alone is not recognised when cut below `end` octets.
    pub(super) fn refused_below(&self, end: usize, dissect: Dissect) {
        let (side, whole) = &self.messages[0];
        for len in 1..end {
            let mut cut = self.clone();
            cut.messages = vec![(*side, whole[..len].to_vec())];
            cut.refused(dissect);
        }
    }
}

/// Shows `dissect` mutations of `seeds` and random bytes: it must keep the contract and not panic.
pub(super) fn withstands(dissect: Dissect, seeds: &[Trial]) {
    if let Some(corpus) = std::env::var_os("OTTOMETER_FUZZ_SEEDS") {
        write_seeds(dissect, seeds, Path::new(&corpus));
    }
    let mutation = (
        any::<Index>(),
        proptest::collection::vec((any::<Index>(), any::<u8>()), 0..6),
        any::<Index>(),
        proptest::collection::vec(any::<u8>(), 0..80),
        any::<bool>(),
    );
    let config = Config {
        cases: 512,
        failure_persistence: None,
        ..Config::default()
    };
    let run = TestRunner::new(config).run(&mutation, |(which, changes, cut, random, whole)| {
        let mut trial = which.get(seeds).clone();
        for (index, (_, message)) in trial.messages.iter_mut().enumerate() {
            for (at, value) in &changes {
                if !message.is_empty() && value % 2 == (index % 2) as u8 {
                    let place = at.index(message.len());
                    message[place] = *value;
                }
            }
        }
        if !whole {
            let last = cut.index(trial.messages.len());
            trial.messages.truncate(last + 1);
            let message = &mut trial.messages[last].1;
            let keep = cut.index(message.len() + 1);
            message.truncate(keep);
            message.extend_from_slice(&random);
        }
        trial.mid_stream = random.len() % 2 == 1;
        trial.ask(dissect);
        let noise = Trial::new(trial.transport, trial.ports.1);
        noise.client(&random).server(&random).ask(dissect);
        Ok(())
    });
    run.unwrap();
}

/// Writes `seeds` into the corpora of the fuzz targets `dissect_NAME` and `dissect`, in the form
/// `fuzz/src/lib.rs` reads.
fn write_seeds(dissect: Dissect, seeds: &[Trial], corpus: &Path) {
    let is_row = |row: &super::Dissector| std::ptr::fn_addr_eq(row.dissect, dissect);
    let Some(place) = DISSECTORS.iter().position(is_row) else {
        return; // A part of a dissector.
    };
    for (index, trial) in seeds.iter().enumerate() {
        let is_udp = u8::from(trial.transport == Transport::Udp);
        let mut seed = vec![is_udp | if trial.mid_stream { 6 } else { 0 }];
        seed.extend(trial.ports.0.to_be_bytes());
        seed.extend(trial.ports.1.to_be_bytes());
        for (side, message) in &trial.messages {
            let message = &message[..message.len().min(0x7fff)];
            let side = u16::from(*side == Side::Server) << 15;
            seed.extend((side | message.len() as u16).to_be_bytes());
            seed.extend(message);
        }
        let name = DISSECTORS[place].name;
        let chosen = [&[place as u8], &seed[..]].concat();
        for (target, seed) in [
            (format!("dissect_{name}"), seed),
            ("dissect".into(), chosen),
        ] {
            let folder = corpus.join(target);
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join(format!("unit-test-{name}-{index}")), seed).unwrap();
        }
    }
}

/// A TLS record with a ClientHello whose only extension is the server's name, `a.example`.
pub(super) const CLIENT_HELLO: &str = "16 03 01 00 41 01 00 00 3d 03 03 5c*32 00 00 02 13 01 01 00 \
    00 12 00 00 00 0e 00 0c 00 00 09 61 2e 65 78 61 6d 70 6c 65";

/// The bytes of a hexadecimal text; white space is skipped, `*N` repeats the octet before it.
pub(super) fn hex(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for word in text.split_whitespace() {
        let (digits, times) = word.split_once('*').unwrap_or((word, "1"));
        let octets: Vec<u8> = (0..digits.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap())
            .collect();
        for _ in 0..times.parse::<usize>().unwrap() {
            bytes.extend_from_slice(&octets);
        }
    }
    bytes
}
