//! Reading a flow from another place than the first byte that was seen of it, or with its sides
//! exchanged.
//!
//! Where the beginning was not captured, or spoilt by a few bytes of junk, any segment may be the
//! first one that begins with a message. What has a strong check (`Middle::Strong` of a dissector,
//! `middle` of a payload rule: at least 48 fixed bits, or lengths that agree) is tried there too, with
//! either end as the client, a bounded number of times. The place where something fits is where the
//! flow is read from then on.

use super::roles::FIRST_DYNAMIC_PORT;
use crate::flow::opening::PerSide;
use crate::flow::{Opening, Side, Transport};

/// How many segments of a side may pass before one begins with a message.
const MAX_MESSAGES: usize = 8;

/// How many messages of a flow are tried.
const MAX_TRIES: u8 = 16;

/// So many bytes before a known opening are junk.
const MAX_JUNK: usize = 64;

/// So many of them may be in the segment in which the opening begins.
const MAX_JUNK_BEFORE: usize = 32;

/// Places in a segment at which a message may begin.
type Places = [Option<usize>; 2];

/// Where each side's stream is read from, and which end is taken for the client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Reading {
    start: PerSide<u32>,
    /// Who was taken for the client is the server.
    pub(super) turned: bool,
}

impl Reading {
    /// Whether it is that of a flow whose beginning is known.
    const fn is_plain(self) -> bool {
        self.start.client == 0 && self.start.server == 0 && !self.turned
    }

    /// The opening as this reading sees it.
    pub(super) fn show<'a>(
        self,
        opening: &Opening<'a>,
        ends: &'a mut PerSide<Vec<u32>>,
    ) -> Opening<'a> {
        if self.is_plain() {
            return *opening;
        }
        let start = PerSide {
            client: self.start.client as usize,
            server: self.start.server as usize,
        };
        let shown = opening.since(start, ends);
        if self.turned { shown.turned() } else { shown }
    }

    /// The same from the start, by the other end as the client.
    const fn turned() -> Self {
        Self {
            start: PerSide {
                client: 0,
                server: 0,
            },
            turned: true,
        }
    }

    fn at(opening: &Opening<'_>, start: usize, turned: bool) -> Self {
        let side = opening.latest;
        let place = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let other = opening.stream(!side);
        let mut reading = Self {
            turned,
            ..Self::default()
        };
        reading.start[side] = place(start);
        // What the other side said last is what this answers, or is answered by.
        reading.start[!side] = place(match other.mid_stream {
            true => other.last_start(),
            false => 0,
        });
        reading
    }
}

/// What is remembered of a flow's readings while its opening is read.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Middle {
    /// Where it is read from.
    pub(super) reading: Reading,
    /// A reading that needs more, and the dissectors that have ruled it out.
    pub(super) waiting: Option<(Reading, u64)>,
    tries: u8,
    /// Where the first message of each side ended.
    first_end: PerSide<u32>,
}

impl Middle {
    /// Whether the opening begins otherwise than when it was seen last.
    pub(super) fn begins_anew(&mut self, opening: &Opening<'_>) -> bool {
        let mut anew = false;
        for side in [Side::Client, Side::Server] {
            let end = opening.stream(side).ends.first().copied().unwrap_or(0);
            anew |= !matches!(self.first_end[side], 0) && self.first_end[side] != end;
            self.first_end[side] = end;
        }
        if anew {
            self.reading = Reading::default();
            self.waiting = None;
        }
        anew
    }

    /// The readings to try on the newest message, calling `attempt` until one fits. It is told whether
    /// only payload rules are to be asked.
    pub(super) fn readings(
        &mut self,
        opening: &Opening<'_>,
        mut attempt: impl FnMut(Reading, bool) -> bool,
    ) {
        let stream = opening.stream(opening.latest);
        let other = opening.stream(!opening.latest);
        let newest = stream.last();
        if newest.is_empty() || self.tries >= MAX_TRIES {
            return;
        }
        self.tries += 1;
        let (start, count) = (stream.last_start(), stream.count());
        if opening.transport != Transport::Tcp {
            // Datagrams are whole messages, but who sent the first one seen may be the server, and the
            // only one that is seen.
            let may_answer = opening.latest == Side::Server
                || other.is_empty() && is_from_service(opening.client_port, opening.server_port);
            if may_answer && count == 1 {
                attempt(Reading::turned(), true);
            }
            return;
        }
        let joined = stream.mid_stream && count <= MAX_MESSAGES;
        let behind_junk = !stream.mid_stream && (1..=MAX_JUNK).contains(&start);
        // Without a SYN of either side, who opened the connection is a guess from the ports.
        let roles_unknown = stream.mid_stream && (other.mid_stream || other.is_empty());
        let roles: &[bool] = if roles_unknown {
            &[false, true]
        } else {
            &[false]
        };
        if joined || behind_junk {
            for &turned in roles {
                // The dissectors have seen the first message as it is.
                let rules_only = start == 0 && !turned;
                if attempt(Reading::at(opening, start, turned), rules_only) {
                    return;
                }
            }
        }
        if count > 1 && !joined && !behind_junk {
            return;
        }
        for place in openings_in(newest).into_iter().flatten() {
            for &turned in roles {
                if attempt(Reading::at(opening, start + place, turned), false) {
                    return;
                }
            }
        }
    }
}

/// Whether a port of a service sends to one that systems give to clients.
const fn is_from_service(from: u16, to: u16) -> bool {
    from < FIRST_DYNAMIC_PORT && to >= FIRST_DYNAMIC_PORT
}

/// Where behind a few bytes something begins that a strong check knows: after a run of line ends,
/// spaces, zeros or one repeated byte, and at a TLS ClientHello or an HTTP request.
fn openings_in(message: &[u8]) -> Places {
    let head = message.get(..MAX_JUNK_BEFORE + 8).unwrap_or(message);
    let first = head.first().copied();
    let filler = |byte: &u8| Some(*byte) == first || matches!(byte, b'\r' | b'\n' | b' ' | 0);
    let run = head.iter().take_while(|byte| filler(byte)).count();
    let after_run = matches!(first, Some(b'\r' | b'\n' | b' ' | 0)) || run >= 2;
    let found = (1..=MAX_JUNK_BEFORE).find(|&at| match head.get(at..) {
        Some(rest @ [0x16, 3, ..]) => is_client_hello(rest),
        Some(rest @ [b'G' | b'P' | b'H' | b'C' | b'O', ..]) => {
            METHODS.iter().any(|method| rest.starts_with(method))
        }
        _ => false,
    });
    let bounded = |place: usize| (1..=MAX_JUNK_BEFORE).contains(&place) && place < message.len();
    let run = Some(run).filter(|&run| after_run && bounded(run));
    [run, found.filter(|&at| bounded(at) && Some(at) != run)]
}

/// What begins an HTTP request (RFC 9112 section 3).
const METHODS: [&[u8]; 6] = [
    b"GET /",
    b"POST /",
    b"HEAD /",
    b"PUT /",
    b"CONNECT ",
    b"OPTIONS ",
];

/// A handshake record with a ClientHello (RFC 8446 sections 4 and 5.1).
const fn is_client_hello(bytes: &[u8]) -> bool {
    matches!(bytes, [0x16, 3, 0..=4, _, _, 1, 0, ..])
}
