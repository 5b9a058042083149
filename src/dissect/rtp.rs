//! RTP and RTCP (RFC 3550), bare or muxed with STUN and DTLS on one port (RFC 5761, RFC 7983).
//!
//! One packet has too few fixed bits to prove anything: RTP is claimed when packets of one source
//! follow one another in sequence and time, RTCP when a compound packet adds up to its last byte.
//! SRTP looks the same (RFC 3711 section 3.1) and is not told apart here; SRTCP shows its source and,
//! behind what is sealed, an index that counts its packets (section 3.4).

use super::{Facts, Outcome};
use crate::app::Proto;
use crate::flow::{Opening, Stream};
use crate::wire::reader::Reader;

/// Packets in sequence from one source that prove RTP, where only one side is heard.
const RUN: u8 = 3;

/// The same, where both sides have such a run.
const RUN_OF_BOTH: u8 = 2;

/// Sources followed at a time on each side: audio, video, their retransmissions.
const SOURCES: usize = 4;

/// How far a sequence number may jump: loss and reordering, not chance.
const MAX_STEP: u16 = 32;

/// How far a timestamp may run ahead between two packets: ten seconds at 90 kHz.
const MAX_AHEAD: u32 = 900_000;

/// How far it may fall back: frames of video sent out of order, a second at 90 kHz.
const MAX_BEHIND: u32 = 90_000;

/// Reads all packets of both sides.
pub(super) fn dissect(opening: &Opening<'_>, facts: &mut Facts) -> Outcome {
    let (Some(client), Some(server)) = (Seen::of(opening.client), Seen::of(opening.server)) else {
        // Once RTCP was recognised, a stranger among the packets does not undo it.
        return match facts.proto {
            Some(Proto::RTCP) => Outcome::Done,
            _ => Outcome::NotMine,
        };
    };
    let (longest, least) = (client.run.max(server.run), client.run.min(server.run));
    if longest >= RUN || least >= RUN_OF_BOTH {
        facts.proto = Some(Proto::RTP);
        facts.rtp_payload_type = client.payload_type.or(server.payload_type);
        return Outcome::Done;
    }
    let reports = client.reports.saturating_add(server.reports);
    // Beside ICE's checks that came first, sealed reports show no more than that media may come.
    let sealed = (client.counted || server.counted) && facts.stun.is_none();
    let known = facts.proto == Some(Proto::RTCP);
    if reports >= 2 || client.compound || server.compound || sealed || known {
        facts.proto = Some(Proto::RTCP);
        return Outcome::Partial;
    }
    Outcome::NeedMore
}

/// What one side's packets show.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    /// Packets in the longest run of one source.
    run: u8,
    /// The payload type of that run.
    payload_type: Option<u8>,
    /// RTCP packets whose lengths add up.
    reports: u8,
    /// One of them was a compound of two or more.
    compound: bool,
    /// Two SRTCP packets of one source, which their index counts.
    counted: bool,
}

impl Seen {
    /// `None` when there is a packet that RTP does not share a port with.
    fn of(stream: Stream<'_>) -> Option<Self> {
        let mut seen = Self::default();
        let mut sources: [Option<Source>; SOURCES] = [None; SOURCES];
        let mut sealed = None::<SealedReport>;
        for message in stream.messages() {
            match message {
                [0x80..=0xbf, 192..=223, ..] => match report(message) {
                    Some(1) => seen.reports = seen.reports.saturating_add(1),
                    Some(_) => seen.compound = true,
                    None => {
                        let this = SealedReport::read(message)?;
                        seen.counted |= sealed.is_some_and(|last| this.follows(&last));
                        sealed = Some(this);
                    }
                },
                [0x80..=0xbf, ..] => {
                    let packet = Packet::read(message)?;
                    let source = Source::follow(&mut sources, &packet)?;
                    if source.run > seen.run {
                        seen.run = source.run;
                        seen.payload_type = Some(packet.payload_type);
                    }
                }
                // STUN, ZRTP, DTLS, TURN channels.
                [0..=3 | 16..=79, ..] => {}
                keep_alive if keep_alive.len() <= 4 => {}
                _ => return None,
            }
        }
        Some(seen)
    }
}

/// The fixed header of an RTP packet (RFC 3550 section 5.1).
#[derive(Clone, Copy, Debug)]
struct Packet {
    payload_type: u8,
    sequence: u16,
    timestamp: u32,
    source: u32,
}

impl Packet {
    fn read(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let &[first, second] = reader.array()?;
        let payload_type = second & 0x7f;
        // Static types of RFC 3551 and the dynamic ones. Those between would be taken for RTCP.
        if first >> 6 != 2 || !matches!(payload_type, 0..=34 | 96..=127) {
            return None;
        }
        let packet = Self {
            payload_type,
            sequence: reader.be16()?,
            timestamp: reader.be32()?,
            source: reader.be32()?,
        };
        reader.skip(usize::from(first & 0x0f) * 4)?;
        if first & 0x10 != 0 {
            reader.skip(2)?;
            let words = reader.be16()?;
            reader.skip(usize::from(words) * 4)?;
        }
        Some(packet)
    }
}

/// A source of RTP packets and how many have followed one another.
#[derive(Clone, Copy, Debug)]
struct Source {
    last: Packet,
    run: u8,
}

impl Source {
    /// Adds a packet to its source. `None` when there are more sources than one flow has.
    fn follow<'s>(sources: &'s mut [Option<Self>], packet: &Packet) -> Option<&'s Self> {
        let slot = sources
            .iter_mut()
            .find(|slot| slot.is_none_or(|known| known.last.source == packet.source))?;
        *slot = Some(match *slot {
            Some(known) => known.next(packet),
            None => Self {
                last: *packet,
                run: 1,
            },
        });
        slot.as_ref()
    }

    fn next(self, packet: &Packet) -> Self {
        let step = packet.sequence.wrapping_sub(self.last.sequence);
        let ahead = packet.timestamp.wrapping_sub(self.last.timestamp);
        let in_time = ahead <= MAX_AHEAD || ahead.wrapping_neg() <= MAX_BEHIND;
        match step {
            // A duplicate, or one that was overtaken, says nothing.
            0 => self,
            step if step.wrapping_neg() <= MAX_STEP => self,
            1..=MAX_STEP if in_time => Self {
                last: *packet,
                run: self.run.saturating_add(1),
            },
            _ => Self {
                last: *packet,
                run: 1,
            },
        }
    }
}

/// What may be SRTCP (RFC 3711 section 3.4): the first eight bytes are readable, and an index and a
/// tag stand behind the last packet. One alone proves nothing, but does not disprove RTP.
#[derive(Clone, Copy, Debug)]
struct SealedReport {
    source: u32,
    /// What stands where the index does, with the bit that says whether all was encrypted: before
    /// the tag of ten bytes that every older suite has (RFC 3711 section 4.2, RFC 4568 section
    /// 6.2), or behind the tag, at the end (RFC 7714 section 9.2).
    indexes: [Option<u32>; 2],
}

impl SealedReport {
    fn read(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let &[_, kind] = reader.array()?;
        let words = usize::from(reader.be16()?);
        if !matches!(kind, 200..=207) || words == 0 || words * 4 > reader.left() {
            return None;
        }
        let source = reader.be32()?;
        let index = |from_end: usize| {
            let at = bytes.len().checked_sub(from_end).filter(|at| *at >= 8)?;
            Reader::new(bytes.get(at..)?).be32()
        };
        Some(Self {
            source,
            indexes: [index(14), index(4)],
        })
    }

    /// Whether this is a later report of the same source.
    fn follows(&self, last: &Self) -> bool {
        let counts = |(this, last): (&Option<u32>, &Option<u32>)| match (this, last) {
            (Some(this), Some(last)) => {
                (1..=u32::from(MAX_STEP)).contains(&this.wrapping_sub(*last))
            }
            _ => false,
        };
        self.source == last.source && self.indexes.iter().zip(&last.indexes).any(counts)
    }
}

/// How many RTCP packets a compound one holds; `None` when they do not add up to its last byte.
fn report(bytes: &[u8]) -> Option<u8> {
    let mut reader = Reader::new(bytes);
    let mut count = 0_u8;
    while !reader.is_empty() {
        let (first, kind, words) = (reader.u8()?, reader.u8()?, usize::from(reader.be16()?));
        // Types that IANA registered, by name: full intra-frame request to receiver summary.
        if first >> 6 != 2 || !matches!(kind, 192..=195 | 200..=213) {
            return None;
        }
        let entries = usize::from(first & 0x1f);
        let least = match kind {
            // Sender and receiver report: their blocks are six words each (RFC 3550 section 6.4).
            200 => 6 + 6 * entries,
            201 => 1 + 6 * entries,
            202 | 203 => entries,
            // APP: source and name; feedback: two sources.
            204..=206 => 2,
            _ => 0,
        };
        if words < least {
            return None;
        }
        reader.skip(words * 4)?;
        count = count.saturating_add(1);
    }
    Some(count)
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::flow::opening::Script;

    fn run(script: &Script) -> (Outcome, Facts) {
        let mut facts = Facts::default();
        let outcome = super::super::stun::dissect_media(&script.opening(), &mut facts);
        if !matches!(outcome, Outcome::Done | Outcome::Partial) {
            assert_eq!(facts, Facts::default());
        }
        (outcome, facts)
    }

    fn rtp(payload_type: u8, sequence: u16, timestamp: u32, source: u32) -> Vec<u8> {
        let mut bytes = vec![0x80, payload_type];
        bytes.extend_from_slice(&sequence.to_be_bytes());
        bytes.extend_from_slice(&timestamp.to_be_bytes());
        bytes.extend_from_slice(&source.to_be_bytes());
        bytes.extend_from_slice(&[0xd5; 160]);
        bytes
    }

    fn client(packets: &[Vec<u8>]) -> Script {
        packets
            .iter()
            .fold(Script::udp(30_000), |script, packet| script.client(packet))
    }

    /// A receiver report without blocks, and one with a source description behind it.
    const REPORT: &[u8] = b"\x80\xc9\0\x01abcd";
    const COMPOUND: &[u8] = b"\x80\xc9\0\x01abcd\x81\xca\0\x03abcd\x01\x02ab\0\0\0\0";

    #[test]
    fn a_run_of_one_source_is_rtp() {
        let s = 0xdead_beef;
        let rows: &[(&str, Vec<Vec<u8>>, Outcome)] = &[
            (
                "in order",
                (1..4).map(|i| rtp(8, i, u32::from(i) * 160, s)).collect(),
                Outcome::Done,
            ),
            (
                "wrapping",
                vec![
                    rtp(0x88, 65535, u32::MAX, s),
                    rtp(8, 0, 159, s),
                    rtp(8, 1, 319, s),
                ],
                Outcome::Done,
            ),
            (
                "one frame in many",
                vec![rtp(96, 5, 9, s), rtp(96, 6, 9, s), rtp(0xe0, 7, 9, s)],
                Outcome::Done,
            ),
            (
                "two sources",
                vec![
                    rtp(111, 1, 0, s),
                    rtp(96, 9, 0, 1),
                    rtp(111, 2, 960, s),
                    rtp(96, 10, 0, 1),
                    rtp(111, 3, 1920, s),
                ],
                Outcome::Done,
            ),
            (
                "overtaken",
                vec![
                    rtp(8, 1, 0, s),
                    rtp(8, 3, 320, s),
                    rtp(8, 2, 160, s),
                    rtp(8, 4, 480, s),
                ],
                Outcome::Done,
            ),
            (
                "two packets",
                vec![rtp(8, 1, 0, s), rtp(8, 2, 160, s)],
                Outcome::NeedMore,
            ),
            (
                "one again and again",
                vec![rtp(8, 1, 0, s); 8],
                Outcome::NeedMore,
            ),
            (
                "falling",
                vec![rtp(8, 9, 0, s), rtp(8, 8, 0, s), rtp(8, 7, 0, s)],
                Outcome::NeedMore,
            ),
            (
                "leaping",
                vec![rtp(8, 1, 0, s), rtp(8, 100, 0, s), rtp(8, 200, 0, s)],
                Outcome::NeedMore,
            ),
            (
                "out of time",
                vec![
                    rtp(8, 1, 0, s),
                    rtp(8, 2, 1 << 30, s),
                    rtp(8, 3, 1 << 31, s),
                ],
                Outcome::NeedMore,
            ),
            (
                "many sources",
                (1..9).map(|i| rtp(8, i, 0, u32::from(i))).collect(),
                Outcome::NotMine,
            ),
            ("reserved type", vec![rtp(72, 1, 0, s)], Outcome::NotMine),
            (
                "QUIC",
                vec![rtp(8, 1, 0, s), b"\xc3\0\0\0\x01aaaaaaaa".to_vec()],
                Outcome::NotMine,
            ),
        ];
        for (what, packets, want) in rows {
            assert_eq!(run(&client(packets)).0, *want, "{what}");
        }
        let both = client(&[rtp(8, 1, 0, 1), rtp(8, 2, 160, 1)])
            .server(&rtp(18, 7, 0, 2))
            .server(&rtp(18, 8, 160, 2));
        let (_, facts) = run(&both);
        assert_eq!(
            (facts.proto, facts.rtp_payload_type),
            (Some(Proto::RTP), Some(8))
        );
    }

    #[test]
    fn lengths_of_the_header_must_fit() {
        let rows: &[&[u8]] = &[
            b"\x80",
            b"\x80\x08\0\x01\0\0\0\0abc",
            b"\x81\x08\0\x01\0\0\0\0abcdxyz",
            b"\x90\x08\0\x01\0\0\0\0abcd\xbe\xde\0\x01xyz",
            b"\x40\x08\0\x01\0\0\0\0abcd",
        ];
        for bytes in rows {
            let script = Script::udp(9).client(bytes).client(bytes).client(bytes);
            assert_ne!(run(&script).0, Outcome::Done, "{bytes:02x?}");
        }
        assert!(Packet::read(b"\x91\x08\0\x01\0\0\0\0abcdCSRC\xbe\xde\0\x01xyz.").is_some());
    }

    #[test]
    fn media_may_follow_stun_dtls_and_reports() {
        let stun = b"\0\x01\0\0\x21\x12\xa4\x42abcdefghijkl";
        let start = Script::udp(9)
            .client(stun)
            .client(b"\x16\xfe\xfd\0\0")
            .client(&[0; 4]);
        assert_eq!(run(&start).0, Outcome::NeedMore);
        let reports = start.client(COMPOUND).server(REPORT);
        let (outcome, facts) = run(&reports);
        assert_eq!(
            (outcome, facts.proto),
            (Outcome::Partial, Some(Proto::RTCP))
        );
        let media = (1..4).fold(reports, |script, i| script.server(&rtp(0, i, 0, 1)));
        let (outcome, facts) = run(&media);
        assert_eq!((outcome, facts.proto), (Outcome::Done, Some(Proto::RTP)));
        assert_eq!(facts.rtp_payload_type, Some(0));
    }

    #[test]
    fn encrypted_reports_do_not_disprove_media() {
        let encrypted = [COMPOUND, b"\x80\0\0\x01tagtagtagt"].concat();
        assert_eq!(run(&Script::udp(9).client(&encrypted)).0, Outcome::NeedMore);
        let start = Script::udp(9).client(&rtp(111, 1, 0, 1)).client(&encrypted);
        let media = start
            .client(&rtp(111, 2, 960, 1))
            .client(&rtp(111, 3, 1920, 1));
        assert_eq!(run(&media).0, Outcome::Done);
        let short = Script::udp(9).client(b"\x80\xc9\0\x09abcdefgh");
        assert_eq!(run(&short).0, Outcome::NotMine);
    }

    #[test]
    fn sealed_reports_are_counted() {
        let sealed = |source: &[u8; 4], index: u8, behind: &[u8]| {
            [b"\x80\xc9\0\x01", &source[..], &[0x80, 0, 0, index], behind].concat()
        };
        let tag = b"0123456789";
        let follows = |a: Vec<u8>, b: Vec<u8>| run(&Script::udp(9).client(&a).client(&b));
        for tag in [&tag[..], b""] {
            let (outcome, facts) = follows(sealed(b"abcd", 1, tag), sealed(b"abcd", 2, tag));
            let want = (Outcome::Partial, Some(Proto::RTCP));
            assert_eq!((outcome, facts.proto), want, "{} bytes of tag", tag.len());
        }
        for (a, b) in [
            (sealed(b"abcd", 1, tag), sealed(b"abcd", 1, tag)),
            (sealed(b"abcd", 2, tag), sealed(b"abcd", 1, tag)),
            (sealed(b"abcd", 1, tag), sealed(b"abcd", 99, tag)),
            (sealed(b"abcd", 1, tag), sealed(b"abce", 2, tag)),
            (
                sealed(b"abcd", 1, b"012345678"),
                sealed(b"abcd", 2, b"012345678"),
            ),
        ] {
            assert_eq!(follows(a, b).0, Outcome::NeedMore);
        }
        // ICE's checks that come after are read as well.
        let stun = b"\x01\x01\0\0\x21\x12\xa4\x42abcdefghijkl";
        let script = Script::udp(9)
            .client(&sealed(b"abcd", 1, tag))
            .client(&sealed(b"abcd", 2, tag))
            .server(stun);
        let (_, facts) = run(&script);
        assert_eq!(facts.proto, Some(Proto::RTCP));
        assert!(facts.stun.is_some());
    }

    #[test]
    fn turn_stays_turn_beside_reports() {
        // ChannelData (RFC 8656 section 12.4), then a binding request with its cookie.
        let script = client(&[
            COMPOUND.to_vec(),
            b"\x40\0\0\x04abcd".to_vec(),
            b"\0\x01\0\0\x21\x12\xa4\x42abcdefghijkl".to_vec(),
        ]);
        let (outcome, facts) = run(&script);
        assert_eq!(
            (outcome, facts.proto),
            (Outcome::Partial, Some(Proto::TURN))
        );
        let mut again = facts.clone();
        super::super::stun::dissect_media(&script.opening(), &mut again);
        assert_eq!(again, facts);
    }

    #[test]
    fn reports_add_up() {
        let rows: &[(&[u8], Option<u8>)] = &[
            (REPORT, Some(1)),
            (COMPOUND, Some(2)),
            (&COMPOUND[..23], None),
            (b"\x81\xc9\0\x01abcd", None),
            (b"\x80\xc8\0\x01abcd", None),
            (b"\x80\xc5\0\x01abcd", None),
            (b"\x00\xc9\0\x01abcd", None),
            (b"\x80\xc9\xff\xffabcd", None),
        ];
        for (bytes, want) in rows {
            assert_eq!(report(bytes), *want, "{bytes:02x?}");
        }
        assert_eq!(run(&Script::udp(9).client(REPORT)).0, Outcome::NeedMore);
        assert_eq!(
            run(&Script::udp(9).client(REPORT).server(REPORT)).0,
            Outcome::Partial
        );
        assert_eq!(run(&Script::udp(9).client(COMPOUND)).0, Outcome::Partial);
        for end in 0..COMPOUND.len() {
            let outcome = run(&Script::udp(9).client(&COMPOUND[..end])).0;
            assert!(
                matches!(outcome, Outcome::NotMine | Outcome::NeedMore),
                "cut at {end}"
            );
        }
    }

    proptest! {
        #[test]
        fn random_packets_are_not_rtp(
            packets in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 0..12),
        ) {
            let shaped: Vec<Vec<u8>> = packets
                .iter()
                .map(|p| [&[0x80, p.first().map_or(0, |b| b & 0x1f)], &p[..]].concat())
                .collect();
            for packets in [&packets, &shaped] {
                let outcome = run(&client(packets)).0;
                prop_assert!(matches!(outcome, Outcome::NotMine | Outcome::NeedMore));
            }
        }
    }
}
