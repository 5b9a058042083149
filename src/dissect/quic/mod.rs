//! QUIC (RFC 9000, RFC 9001, RFC 9369 and their drafts) and gQUIC: versions, and the ClientHello
//! or CHLO inside a client's first packets.
//!
//! `version` is the table of versions, `header` cuts datagrams into packets, `crypto` opens
//! Initial packets, `frames` puts the handshake together, `parameters` and `gquic` read what is
//! QUIC's own in it; the ClientHello itself is read by the neighbour `tls`. `short` knows
//! connections that were joined in their middle. [`build`] goes the other way.
//!
//! The whole opening is read on each call, but no more than [`MAX_OPENED`] packets are opened in
//! it, and the answer is [`Outcome::Done`] once the hello is whole or can no longer come. What
//! cannot be opened (a server's Initial without the client's, a version with other keys) is
//! still QUIC when its lengths agree with the datagram.

pub mod build;
mod crypto;
mod frames;
mod gquic;
mod header;
mod hello;
mod parameters;
mod short;
mod version;

use self::frames::CryptoFrames;
use self::gquic::Datagram;
use self::header::{Long, Packet, Packets};
use self::hello::{Hello, Opener, State};
use self::version::{Handshake, PacketType};
use super::{Facts, Outcome};
use crate::app::Proto;
use crate::flow::{Opening, Side, Stream};

/// Packets opened in one call: a hello with post-quantum keys takes two or three, and clients
/// repeat them when answers are late.
const MAX_OPENED: u32 = 16;

/// When one side is silent (only one direction is seen, or the capture swapped the first
/// packets), so many messages of the other are waited for.
const PATIENCE: usize = 6;

/// The Destination Connection ID of a client's first Initial is at least this long (RFC 9000
/// section 7.2).
const MIN_FIRST_DCID: usize = 8;

/// Reads QUIC and gQUIC.
pub(super) fn dissect(opening: &Opening<'_>, facts: &mut Facts) -> Outcome {
    let first = if opening.client.is_empty() {
        opening.server.first()
    } else {
        opening.client.first()
    };
    if !header::may_begin(first) && Datagram::parse(first).is_none() {
        return match short::may_be(first) {
            true => dissect_middle(opening, facts),
            false => Outcome::NotMine,
        };
    }
    let mut reading = Reading {
        hello: Hello::default(),
        left: MAX_OPENED,
        chlo_offset: None,
    };
    let client = reading.read(opening.client, true, facts);
    let server = reading.read(opening.server, !client.opened, facts);

    let messages = opening.client.count() + opening.server.count();
    let negotiated = client.reserved && server.negotiates || server.reserved && client.negotiates;
    if !(client.opened || server.opened || client.certain || server.certain || negotiated) {
        let may_follow = |it: &Seen| it.reserved || it.retries;
        return if messages <= PATIENCE && (may_follow(&client) || may_follow(&server)) {
            Outcome::NeedMore
        } else {
            Outcome::NotMine
        };
    }
    facts.swapped = if client.opened || server.opened {
        server.opened
    } else {
        let served = opening.client_port < 1024 && opening.server_port >= 1024;
        client.answers || client.may_answer && served
    };
    let (sender, receiver, sent) = match server.opened {
        false => (&client, &server, opening.client),
        true => (&server, &client, opening.server),
    };
    if let Some(version) = sender.version.or(receiver.version) {
        facts.quic.get_or_insert_default().version = Some(version);
    }
    facts.proto = Some(match sender.google || receiver.google {
        false => Proto::QUIC,
        true => Proto::GQUIC,
    });
    let hello = &reading.hello;
    if hello.state() == State::Whole {
        return Outcome::Done;
    }
    let one_sided = opening.client.is_empty() || opening.server.is_empty();
    let over = hello.state() == State::Never
        || reading.left == 0
        || sent.ended
        || match one_sided {
            true => messages > PATIENCE,
            false => client.beyond || server.beyond,
        };
    if over {
        hello.give_up(facts);
        Outcome::Done
    } else {
        Outcome::Partial
    }
}

/// Reads a connection of which the handshake was not seen.
fn dissect_middle(opening: &Opening<'_>, facts: &mut Facts) -> Outcome {
    match short::look(opening) {
        short::Seen::Other => Outcome::NotMine,
        short::Seen::TooFew => Outcome::NeedMore,
        short::Seen::Enough(client) => {
            facts.proto = Some(Proto::QUIC);
            let served = opening.client_port < 1024 && opening.server_port >= 1024;
            facts.swapped = served || client == Some(Side::Server) && opening.server_port >= 1024;
            Outcome::Done
        }
    }
}

/// What the datagrams of one side show.
#[derive(Debug, Default)]
struct Seen {
    /// The version of the newest packet that has one.
    version: Option<u32>,
    /// The version is one of gQUIC's.
    google: bool,
    /// An Initial packet of a client was opened, or a CHLO read.
    opened: bool,
    /// This is QUIC or gQUIC, opened or not.
    certain: bool,
    /// The first datagram has a version that invites to negotiate.
    reserved: bool,
    /// There is a list of versions.
    negotiates: bool,
    /// There is a Retry packet.
    retries: bool,
    /// There are packets that only a server sends.
    answers: bool,
    /// The first datagram cannot be a client's first.
    may_answer: bool,
    /// There are packets that follow the hello: under handshake or 1-RTT keys.
    beyond: bool,
}

/// The reading of one opening.
struct Reading {
    hello: Hello,
    /// How many more packets may be opened.
    left: u32,
    /// gQUIC: where in its stream the CHLO begins.
    chlo_offset: Option<u64>,
}

impl Reading {
    /// Reads one side until the hello is whole. `open` when it may be the client's.
    fn read(&mut self, stream: Stream<'_>, open: bool, facts: &mut Facts) -> Seen {
        let mut seen = Seen::default();
        let mut opener = open.then(Opener::default);
        for (index, datagram) in stream.messages().enumerate() {
            if self.hello.state() == State::Whole {
                break;
            }
            if header::is_long(datagram) && !gquic::is_long(datagram) {
                self.read_packets(datagram, index == 0, &mut opener, &mut seen, facts);
            } else {
                self.read_google(datagram, index == 0, open, &mut seen, facts);
            }
        }
        seen
    }

    /// Reads a datagram that begins with a long header.
    fn read_packets<'a>(
        &mut self,
        datagram: &'a [u8],
        first: bool,
        opener: &mut Option<Opener<'a>>,
        seen: &mut Seen,
        facts: &mut Facts,
    ) {
        seen.reserved |= first && header::invites_negotiation(datagram);
        let mut packets = Packets::new(datagram);
        let mut certain = true;
        for packet in packets.by_ref() {
            match packet {
                Packet::Long(packet) => {
                    certain &= packet.is_certain();

                    seen.note(&packet, first);
                    if packet.kind == PacketType::Initial
                        && let Some(opener) = opener
                        && let Some(payload) = opener.open(&packet, &mut self.left, &mut self.hello)
                    {
                        seen.opened = true;
                        let frames = CryptoFrames::new(payload, packet.version.google_frames);
                        self.hello.read(frames, packet.version.handshake, facts);
                        if self.hello.state() == State::Whole {
                            return;
                        }
                    }
                }
                Packet::Short => seen.beyond = true,
                Packet::Foreign(number) => {
                    certain = false;
                    seen.version.get_or_insert(number);
                }
                Packet::VersionNegotiation(list) => {
                    certain = list.is_certain();
                    seen.negotiates = true;
                    seen.answers = true;
                }
            }
        }
        seen.certain |= certain && packets.is_sound();
    }

    /// Reads a datagram that begins as those of gQUIC, or with a short header.
    fn read_google(
        &mut self,
        datagram: &[u8],
        first: bool,
        open: bool,
        seen: &mut Seen,
        facts: &mut Facts,
    ) {
        match Datagram::parse(datagram) {
            Some(Datagram::Versioned { number, frames }) => {
                seen.version = Some(number);
                seen.google = true;
                seen.certain = true;
                if !open {
                    return;
                }
                // What is encrypted may look like frames: only a CHLO begins the handshake. It
                // need not be the first message of its stream.
                for (offset, bytes) in frames {
                    if bytes.starts_with(b"CHLO") && self.chlo_offset != Some(offset) {
                        self.chlo_offset = Some(offset);
                        self.hello = Hello::default();
                    }
                    let Some(offset) = self.chlo_offset.and_then(|it| offset.checked_sub(it))
                    else {
                        continue;
                    };
                    seen.opened = true;
                    let frame = std::iter::once((offset, bytes));
                    self.hello.read(frame, Handshake::QuicCrypto, facts);
                    if self.hello.state() == State::Whole {
                        return;
                    }
                }
            }
            Some(answer) => {
                seen.google = true;
                seen.certain = true;
                seen.answers = true;
                seen.negotiates |= answer == Datagram::VersionNegotiation;
            }
            None => seen.beyond |= !first,
        }
    }
}

impl Seen {
    /// Takes note of the header of `packet`, which is in the side's `first` datagram or not.
    fn note(&mut self, packet: &Long<'_>, first: bool) {
        self.version = Some(packet.number);
        self.google |= packet.version.handshake == Handshake::QuicCrypto;
        match packet.kind {
            PacketType::Initial => self.may_answer |= first && packet.dcid.len() < MIN_FIRST_DCID,
            PacketType::ZeroRtt => {}
            PacketType::Handshake => {
                self.beyond = true;
                self.may_answer |= first;
            }
            PacketType::Retry => {
                self.retries = true;
                self.answers = true;
            }
        }
    }
}

#[cfg(test)]
mod tests;
