//! Captures made harder: what mirrors, taps and captures of less do to traffic, done to frames that are
//! whole.
//!
//! [`Rewriter`] takes the frames of a capture in order and gives those of the harder one. What is
//! done to which frame follows from a seed and the frame alone, so the same seed gives the same
//! capture. A flow stays the flow it was: its innermost five-tuple does not change. `hello` cuts
//! hellos, `wrap` puts frames into others, `build` makes packets anew.
//!
//! What is kept grows with the flows of the capture: it is a tool for captures that are measured by,
//! not for those of a week.

mod build;

mod ends;

mod hello;

mod random;

mod rewritten;

mod wrap;

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use self::ends::{hash, is_from_low, key};
use self::hello::Cutter;
use self::random::Random;
use super::key::FlowKey;
use crate::capture::Frame;
use crate::decode::{self, Decoded, Decoder, TcpSegment};

pub use self::rewritten::Rewritten;

/// Packets of each flow that [`Harder::NoStart`] leaves out.
const START: u32 = 3;

/// Of a thousand frames, those that come twice or late.
const DISTURBED: u64 = 50;

/// How many frames of its flow a late frame lets pass, at most.
const LATE_BY: usize = 3;

/// How long it is late at most: what takes longer is lost and sent again.
const LATE_WITHIN: Duration = Duration::from_millis(50);

/// The control bits of who answers.
const ANSWER: u8 = TcpSegment::SYN | TcpSegment::ACK;

/// What is done to a capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Harder {
    /// One direction of each flow is missing, by chance this one or that.
    OneDirection,
    /// What servers send is missing.
    ClientOnly,
    /// What clients send is missing.
    ServerOnly,
    /// The first three packets of each flow are missing.
    NoStart,
    /// One frame of a hundred is missing.
    Loss1,
    /// Five frames of a hundred are missing.
    Loss5,
    /// Five frames of a hundred come twice.
    Duplicates,
    /// Five frames of a hundred come one to three packets of their flow late, or 50 ms.
    Reordering,
    /// The first 256 bytes of each frame were captured.
    Snap256,
    /// The first 96 bytes of each frame were captured.
    Snap96,
    /// The hellos of TLS and QUIC are cut over records, segments and datagrams.
    CutHellos,
    /// All is inside GTP-U.
    GtpU,
    /// All is behind two VLAN tags.
    QinQ,
}

impl Harder {
    /// All that there is.
    pub const ALL: [Self; 13] = [
        Self::OneDirection,
        Self::ClientOnly,
        Self::ServerOnly,
        Self::NoStart,
        Self::Loss1,
        Self::Loss5,
        Self::Duplicates,
        Self::Reordering,
        Self::Snap256,
        Self::Snap96,
        Self::CutHellos,
        Self::GtpU,
        Self::QinQ,
    ];

    /// The slug that options and tables have.
    pub const fn slug(self) -> &'static str {
        match self {
            Self::OneDirection => "one-direction",
            Self::ClientOnly => "client-only",
            Self::ServerOnly => "server-only",
            Self::NoStart => "no-start",
            Self::Loss1 => "loss-1",
            Self::Loss5 => "loss-5",
            Self::Duplicates => "duplicates",
            Self::Reordering => "reordering",
            Self::Snap256 => "snap-256",
            Self::Snap96 => "snap-96",
            Self::CutHellos => "cut-hellos",
            Self::GtpU => "gtp-u",
            Self::QinQ => "qinq",
        }
    }

    /// What is done, for people.
    pub const fn title(self) -> &'static str {
        match self {
            Self::OneDirection => "one direction of each flow is missing, by chance either",
            Self::ClientOnly => "what servers send is missing",
            Self::ServerOnly => "what clients send is missing",
            Self::NoStart => "the first three packets of each flow are missing",
            Self::Loss1 => "1 % of the frames are missing",
            Self::Loss5 => "5 % of the frames are missing",
            Self::Duplicates => "5 % of the frames come twice",
            Self::Reordering => {
                "5 % of the frames come one to three packets of their flow late, by 50 ms at most"
            }
            Self::Snap256 => "frames are cut to 256 bytes",
            Self::Snap96 => "frames are cut to 96 bytes",
            Self::CutHellos => {
                "hellos of TLS and QUIC are cut over records, segments and datagrams"
            }
            Self::GtpU => "IP packets are wrapped in GTP-U",
            Self::QinQ => "frames have two VLAN tags more",
        }
    }
}

impl fmt::Display for Harder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.slug())
    }
}

/// A frame that waits until others of its flow have passed.
#[derive(Debug)]
struct Late {
    frame: Rewritten,
    flow: Option<FlowKey>,
    /// How many still have to pass.
    behind: usize,
}

/// Makes a capture harder, frame by frame.
#[derive(Debug)]
pub struct Rewriter {
    harder: Harder,
    seed: u64,
    /// Frames that came in.
    count: u64,
    decoder: Decoder,
    /// Packets of each flow so far, and whether its client has the lower address.
    flows: HashMap<FlowKey, (u32, bool)>,
    late: Vec<Late>,
    cutter: Cutter,
}

impl Rewriter {
    /// Does `harder` to a capture. The same `seed` does the same.
    pub fn new(harder: Harder, seed: u64) -> Self {
        Self {
            harder,
            seed,
            count: 0,
            decoder: Decoder::new(decode::Config::default()),
            flows: HashMap::new(),
            late: Vec::new(),
            cutter: Cutter::new(seed),
        }
    }

    /// Takes the next frame in, and adds to `out` what becomes of it.
    pub fn frame(&mut self, frame: Frame<'_>, out: &mut Vec<Rewritten>) {
        self.count += 1;
        let mut random = Random::new(self.seed, &[self.harder as u64, self.count]);
        match self.harder {
            Harder::OneDirection | Harder::ClientOnly | Harder::ServerOnly | Harder::NoStart => {
                if self.is_kept(frame) {
                    out.push(Rewritten::of(&frame));
                }
            }
            Harder::Loss1 | Harder::Loss5 => {
                let lost = if self.harder == Harder::Loss1 { 10 } else { 50 };
                if !random.chance(lost) {
                    out.push(Rewritten::of(&frame));
                }
            }
            Harder::Duplicates => {
                out.push(Rewritten::of(&frame));
                if random.chance(DISTURBED) {
                    out.push(Rewritten::of(&frame));
                }
            }
            Harder::Reordering => self.reorder(frame, &mut random, out),
            Harder::Snap256 => out.push(cut(&frame, 256)),
            Harder::Snap96 => out.push(cut(&frame, 96)),
            Harder::CutHellos => match self.decoder.decode(frame) {
                Decoded::Packet(packet) => self.cutter.packet(&frame, &packet, out),
                _ => out.push(Rewritten::of(&frame)),
            },
            Harder::GtpU => out.extend(wrap::in_gtp_u(&frame)),
            Harder::QinQ => out.extend(wrap::in_qinq(&frame)),
        }
    }

    /// The capture has ended: adds what was held back.
    pub fn finish(mut self, out: &mut Vec<Rewritten>) {
        out.extend(self.late.drain(..).map(|late| late.frame));
    }

    /// Whether the frame stays where packets of flows are left out. Fragments stay: which flow they
    /// are of shows only when they are put together.
    fn is_kept(&mut self, frame: Frame<'_>) -> bool {
        let Decoded::Packet(packet) = self.decoder.decode(frame) else {
            return true;
        };
        let key = key(&packet);
        let is_low = is_from_low(&packet, &key);
        let chosen = Random::new(self.seed, &[hash(&key)]).chance(500);
        let answers = packet.tcp.is_some_and(|tcp| tcp.has(ANSWER));
        let (seen, client_is_low) = self.flows.entry(key).or_insert((0, is_low != answers));
        *seen = seen.saturating_add(1);
        match self.harder {
            Harder::NoStart => *seen > START,
            Harder::ClientOnly => is_low == *client_is_low,
            Harder::ServerOnly => is_low != *client_is_low,
            _ => is_low == chosen,
        }
    }

    fn reorder(&mut self, frame: Frame<'_>, random: &mut Random, out: &mut Vec<Rewritten>) {
        let flow = match self.decoder.decode(frame) {
            Decoded::Packet(packet) => Some(key(&packet)),
            _ => None,
        };
        if random.chance(DISTURBED) {
            self.late.push(Late {
                frame: Rewritten::of(&frame),
                flow,
                behind: random.between(1, LATE_BY + 1),
            });
            return;
        }
        let at = frame.at;
        // It comes when it is seen.
        let arrives = |late: Late| Rewritten { at, ..late.frame };
        let overdue = |late: &mut Late| late.frame.at.after(LATE_WITHIN) < at;
        out.extend(self.late.extract_if(.., overdue).map(arrives));
        out.push(Rewritten::of(&frame));
        for late in self.late.iter_mut().filter(|late| late.flow == flow) {
            late.behind = late.behind.saturating_sub(1);
        }
        let due = self.late.extract_if(.., |late| late.behind == 0);
        out.extend(due.map(arrives));
    }
}

fn cut(frame: &Frame<'_>, snap: usize) -> Rewritten {
    let mut rewritten = Rewritten::of(frame);
    rewritten.bytes.truncate(snap);
    rewritten
}
