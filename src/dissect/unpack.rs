//! The bytes of a protocol that another one carries, got out so that they can be read as an opening
//! of their own.

use super::inside::{Framing, Inside};
use super::{Facts, proxy, tds, websocket};
use crate::flow::{Opening, Side, Stream};

/// Messages found at once that are shown one after the other; of more, the others come together.
const MAX_STEPS: usize = 8;

/// Room for what was got out of one wrapper, used again for the next.
#[derive(Debug, Default)]
pub struct Buffer {
    client: Part,
    server: Part,
}

#[derive(Debug, Default)]
struct Part {
    bytes: Vec<u8>,
    ends: Vec<u32>,
}

impl Buffer {
    /// The opening that `outer`, whose wrapper read `facts`, has inside.
    pub fn open<'a>(
        &'a mut self,
        outer: &Opening<'a>,
        inside: Inside,
        facts: &Facts,
    ) -> Opening<'a> {
        let mut roles = *outer;
        if facts.swapped {
            std::mem::swap(&mut roles.client, &mut roles.server);
            std::mem::swap(&mut roles.client_ip, &mut roles.server_ip);
            std::mem::swap(&mut roles.client_port, &mut roles.server_port);
            roles.latest = !roles.latest;
        }
        let client = self
            .client
            .open(roles.client, inside.client, inside.framing);
        let server = self
            .server
            .open(roles.server, inside.server, inside.framing);
        let latest = match (roles.latest, client.is_empty(), server.is_empty()) {
            (Side::Client, true, false) => Side::Server,
            (Side::Server, false, true) => Side::Client,
            (latest, ..) => latest,
        };
        let destination = facts.destination.as_deref().copied().unwrap_or_default();
        Opening {
            server_ip: destination.ip.unwrap_or(roles.server_ip),
            server_port: destination.port.unwrap_or(roles.server_port),
            client,
            server,
            latest,
            ..roles
        }
    }
}

impl Part {
    fn open<'a>(
        &'a mut self,
        stream: Stream<'a>,
        skip: Option<u32>,
        framing: Framing,
    ) -> Stream<'a> {
        self.bytes.clear();
        self.ends.clear();
        let rest = skip.and_then(|skip| stream.bytes.get(skip as usize..));
        let bytes = match (rest, skip, framing) {
            (Some(rest), Some(skip), Framing::Plain) => {
                let ends = stream.ends.iter().filter_map(|end| end.checked_sub(skip));
                self.ends.extend(ends.filter(|&end| end > 0));
                rest
            }
            (Some(rest), _, Framing::Tds) => {
                tds::unpack(rest, |part| self.push(part));
                &self.bytes
            }
            (Some(rest), _, Framing::WebSocket) => {
                websocket::unpack(rest, |part, mask| self.push_masked(part, mask));
                &self.bytes
            }
            (Some(_), _, Framing::ProxyDatagrams) => {
                for message in stream.messages() {
                    self.push(proxy::behind(message));
                }
                &self.bytes
            }
            (None, ..) | (_, None, _) => &[],
        };
        Stream {
            bytes,
            ends: &self.ends,
            mid_stream: false,
            ended: stream.ended,
        }
    }

    fn push(&mut self, part: &[u8]) {
        self.push_masked(part, [0; 4]);
    }

    /// Adds a message that was masked as RFC 6455 section 5.3 says. Empty ones are not kept.
    fn push_masked(&mut self, part: &[u8], mask: [u8; 4]) {
        if part.is_empty() {
            return;
        }
        let masks = mask.iter().cycle();
        self.bytes
            .extend(part.iter().zip(masks).map(|(byte, mask)| byte ^ mask));
        self.ends
            .push(u32::try_from(self.bytes.len()).unwrap_or(u32::MAX));
    }
}

/// How many messages of each side an opening showed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    client: usize,
    server: usize,
}

impl Shown {
    /// All of `opening`.
    pub const fn of(opening: &Opening<'_>) -> Self {
        Self {
            client: opening.client.count(),
            server: opening.server.count(),
        }
    }

    /// `opening` as it was on the way from here to what it is now, a message at a time, without
    /// its last step: what is found inside a wrapper at once came one after the other.
    pub fn until<'a>(self, opening: &Opening<'a>) -> impl Iterator<Item = Opening<'a>> {
        let opening = *opening;
        let last = opening.latest;
        let seen = |side| match side {
            Side::Client => self.client,
            Side::Server => self.server,
        };
        let step = move |mine: Side, count: usize, other: usize| {
            let shown = |side| {
                let count = if side == mine { count } else { other };
                first(opening.stream(side), count)
            };
            Opening {
                client: shown(Side::Client),
                server: shown(Side::Server),
                latest: mine,
                ..opening
            }
        };
        let (before, all) = (seen(last), opening.stream(!last).count());
        let others = (seen(!last) + 1..=all).map(move |count| step(!last, count, before));
        let own =
            (before + 1..opening.stream(last).count()).map(move |count| step(last, count, all));
        others.chain(own).take(MAX_STEPS)
    }
}

/// The first `count` messages of `stream`.
fn first(stream: Stream<'_>, count: usize) -> Stream<'_> {
    let Some(ends) = stream.ends.get(..count) else {
        return stream;
    };
    let end = ends.last().map_or(0, |&end| end as usize);
    Stream {
        bytes: stream.bytes.get(..end).unwrap_or_default(),
        ends,
        ended: stream.ended && count == stream.count(),
        ..stream
    }
}
