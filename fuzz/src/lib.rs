//! What fuzz targets share: cutting arbitrary bytes into fields, and the trial of a dissector.

use ottometer::dissect::{DISSECTORS, Dissector, Facts, Outcome, Over};
use ottometer::flow::opening::Script;
use ottometer::flow::{Opening, Side, Transport};

/// A fuzz target for the dissector of this name.
#[macro_export]
macro_rules! fuzz_dissector {
    ($name:literal) => {
        libfuzzer_sys::fuzz_target!(
            init: {
                $crate::dissector($name);
            },
            |input: &[u8]| $crate::dissect($crate::dissector($name), input)
        );
    };
}

/// Takes fields from the front of arbitrary bytes; what is missing is zero.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'a>(pub &'a [u8]);

impl<'a> Fields<'a> {
    /// An octet.
    pub fn u8(&mut self) -> u8 {
        self.array::<1>()[0]
    }

    /// Two octets, network order.
    pub fn u16(&mut self) -> u16 {
        u16::from_be_bytes(self.array())
    }

    /// Four octets, network order.
    pub fn u32(&mut self) -> u32 {
        u32::from_be_bytes(self.array())
    }

    /// Up to `len` bytes.
    pub fn take(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut array = [0; N];
        let taken = self.take(N);
        array[..taken.len()].copy_from_slice(taken);
        array
    }
}

/// The row of `DISSECTORS` with this name.
///
/// # Panics
///
/// When there is none: a fuzz target has outlived its dissector.
pub fn dissector(name: &str) -> &'static Dissector {
    DISSECTORS
        .iter()
        .find(|row| row.name == name)
        .unwrap_or_else(|| panic!("no dissector is called {name}"))
}

/// Messages of a flow that dissectors see.
const MAX_MESSAGES: usize = 32;

/// Bytes of a side that dissectors see.
const MAX_BYTES: usize = 16 << 10;

/// The flow's transport, where the dissector takes both.
const UDP: u8 = 1;
/// The first bytes of these sides were not captured (TCP).
const CLIENT_MID_STREAM: u8 = 2;
const SERVER_MID_STREAM: u8 = 4;
/// The dissector gets a last look, at sides that have ended.
const LAST_LOOK: u8 = 8;

/// Shows the conversation in `input` to a dissector, message by message as a flow does, and holds
/// it to its contract.
///
/// One octet of the settings above, the client's port, the server's, then messages: the highest
/// bit of two octets says the server sends it, the others how long it is.
pub fn dissect(dissector: &Dissector, input: &[u8]) {
    let mut input = Fields(input);
    let settings = input.u8();
    let transport = match dissector.over {
        Over::Tcp => Transport::Tcp,
        Over::TcpAndUdp if settings & UDP == 0 => Transport::Tcp,
        Over::Udp | Over::TcpAndUdp => Transport::Udp,
    };
    let is_tcp = transport == Transport::Tcp;
    let mut script = Script::new(transport, input.u16(), input.u16());
    let mut trial = Trial {
        dissector,
        facts: Facts::default(),
        outcome: Outcome::NeedMore,
    };
    let mut sent = [0; 2];
    let mut ended = [false; 2];
    let mark = |opening: &mut Opening<'_>, ended: [bool; 2]| {
        opening.client.mid_stream = is_tcp && settings & CLIENT_MID_STREAM != 0;
        opening.server.mid_stream = is_tcp && settings & SERVER_MID_STREAM != 0;
        [opening.client.ended, opening.server.ended] = ended;
    };
    for _ in 0..MAX_MESSAGES {
        if input.is_empty() {
            break;
        }
        let head = input.u16();
        let (side, place) = if head & 0x8000 == 0 {
            (Side::Client, 0)
        } else {
            (Side::Server, 1)
        };
        let message = input.take(usize::from(head & 0x7fff));
        let taken = message.len().min(MAX_BYTES - sent[place]);
        if taken == 0 || ended[place] {
            continue;
        }
        sent[place] += taken;
        ended[place] = taken < message.len();
        script = script.message(side, &message[..taken]);
        let mut opening = script.opening();
        mark(&mut opening, ended);
        if trial.ask(&opening) {
            return;
        }
    }
    if settings & LAST_LOOK != 0 && sent != [0; 2] {
        let mut opening = script.opening();
        mark(&mut opening, [true; 2]);
        trial.ask(&opening);
    }
}

struct Trial<'a> {
    dissector: &'a Dissector,
    facts: Facts,
    outcome: Outcome,
}

impl Trial<'_> {
    /// Asks the dissector. Whether that was the last time.
    fn ask(&mut self, opening: &Opening<'_>) -> bool {
        let name = self.dissector.name;
        let before = self.facts.clone();
        self.outcome = (self.dissector.dissect)(opening, &mut self.facts);
        match self.outcome {
            Outcome::Partial | Outcome::UpToDate | Outcome::Done | Outcome::Wraps(_) => {
                assert!(self.facts.proto.is_some(), "{name}: sure, but of what?");
                let beyond = self.facts.beyond_bounds();
                assert_eq!(beyond, None, "{name}: longer than its row allows");
                let mut again = self.facts.clone();
                let outcome = (self.dissector.dissect)(opening, &mut again);
                assert_eq!(
                    outcome, self.outcome,
                    "{name}: another answer about the same"
                );
                assert_eq!(again, self.facts, "{name}: other facts about the same");
            }
            Outcome::NotMine | Outcome::NeedMore => {
                assert_eq!(self.facts, before, "{name}: facts, but not sure");
            }
        }
        matches!(self.outcome, Outcome::NotMine | Outcome::Done)
    }
}
