//! Frames of WebSocket (RFC 6455 section 5), behind the handshake that `http` reads.

use super::Http;
use crate::app::Proto;
use crate::wire::reader::Reader;

/// Frames looked at: what is spoken shows in the first.
const MAX_FRAMES: usize = 16;

/// Opcodes (section 5.2).
const CONTINUATION: u8 = 0;
const BINARY: u8 = 2;
const PING: u8 = 9;
const PONG: u8 = 10;

/// Names registered for subprotocols (IANA, WebSocket Subprotocol Name Registry), and what they are.
const SUBPROTOCOLS: &[(&str, Proto)] = &[
    ("mqtt", Proto::MQTT),
    ("mqttv3.1", Proto::MQTT),
    ("v10.stomp", Proto::STOMP),
    ("v11.stomp", Proto::STOMP),
    ("v12.stomp", Proto::STOMP),
    ("xmpp", Proto::XMPP),
    ("sip", Proto::SIP),
    ("amqp", Proto::AMQP),
];

/// Tells what the only protocol of `list` is, the value of a field Sec-WebSocket-Protocol.
pub(super) fn announce(list: &[u8], http: &mut Http) {
    let list = list.trim_ascii();
    let known = SUBPROTOCOLS
        .iter()
        .find(|(name, _)| list.eq_ignore_ascii_case(name.as_bytes()));
    http.announced = known.map(|&(_, proto)| proto);
}

/// Gives `each` the data in the frames of one side, with its mask. What extensions have changed
/// cannot be read, nor what follows it.
pub(super) fn unpack(bytes: &[u8], mut each: impl FnMut(&[u8], [u8; 4])) {
    let mut reader = Reader::new(bytes);
    for _ in 0..MAX_FRAMES {
        let Some((opcode, len, mask)) = header(&mut reader) else {
            return;
        };
        let data = reader.rest().get(..len).unwrap_or_else(|| reader.rest());
        match opcode {
            CONTINUATION..=BINARY => each(data, mask),
            PING | PONG => {}
            _ => return,
        }
        if reader.skip(len).is_none() {
            return;
        }
    }
}

/// Reads a frame's header: opcode, length of its data, mask. `None` also for one with reserved bits.
fn header(reader: &mut Reader<'_>) -> Option<(u8, usize, [u8; 4])> {
    const RESERVED: u8 = 0x70;
    const MASKED: u8 = 0x80;
    let (first, second) = (reader.u8()?, reader.u8()?);
    let len = match second & !MASKED {
        126 => u64::from(reader.be16()?),
        127 => reader.be64()?,
        len => u64::from(len),
    };
    let mask = match second & MASKED {
        0 => [0; 4],
        _ => *reader.array()?,
    };
    let len = usize::try_from(len).ok()?;
    (first & RESERVED == 0).then_some((first & 0x0f, len, mask))
}

#[cfg(test)]
mod tests {
    use super::super::trial::hex;
    use super::*;

    fn unpacked(bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut found = Vec::new();
        unpack(bytes, |data, mask| {
            found.push(
                data.iter()
                    .zip(mask.iter().cycle())
                    .map(|(a, b)| a ^ b)
                    .collect(),
            );
        });
        found
    }

    #[test]
    fn frames_are_unpacked() {
        // RFC 6455 section 5.7, and what may be around it.
        for (what, frames, data) in [
            ("plain", "81 05 48 65 6c 6c 6f", &[&b"Hello"[..]][..]),
            ("masked", "81 85 37 fa 21 3d 7f 9f 4d 51 58", &[b"Hello"]),
            ("parts", "01 03 48 65 6c 80 02 6c 6f", &[b"Hel", b"lo"]),
            ("ping between", "89 01 78 82 01 61", &[b"a"]),
            ("closed", "88 02 03 e8 81 01 61", &[]),
            ("compressed", "82 01 61 c1 01 62", &[b"a"]),
            ("longer", "82 7e 00 03 61 62 63", &[b"abc"]),
            ("longest", "82 7f 00*7 01 61", &[b"a"]),
            ("cut", "82 7e 01 00 61 62", &[b"ab"]),
            ("lying", "82 7f ff*8 61", &[b"a"]),
            ("cut header", "82 7e 01", &[]),
            ("cut mask", "82 85 37 fa", &[]),
            ("nothing", "", &[]),
        ] {
            assert_eq!(unpacked(&hex(frames)), data, "{what}");
        }
        assert_eq!(unpacked(&hex("82 01 61").repeat(100)).len(), MAX_FRAMES);
    }

    #[test]
    fn only_what_is_agreed_on_is_announced() {
        for (list, proto) in [
            (&b" mqtt"[..], Some(Proto::MQTT)),
            (b"v12.stomp", Some(Proto::STOMP)),
            (b"XMPP", Some(Proto::XMPP)),
            (b"mqtt, xmpp", None),
            (b"chat", None),
            (b"", None),
        ] {
            let mut http = Http::default();
            announce(list, &mut http);
            assert_eq!(http.announced, proto, "{list:?}");
        }
    }
}
