//! SSDP, the discovery of UPnP (UPnP Device Architecture 2.0 section 1): HTTP's syntax in
//! datagrams, to a multicast group and back.
//!
//! Requests are recognised on any port by their target, which HTTP over TCP never has. Responses
//! come as a flow of their own, since the request went to the group: there the server is first.

use memchr::memchr;

use super::plain::{MAX_TEXT, lines, text};
use super::{Facts, Outcome};
use crate::app::Proto;
use crate::flow::{Opening, Side};

const PORT: u16 = 1900;

/// Lines read at most: real messages have about a dozen.
const MAX_LINES: usize = 32;

/// Reads the first message of either side.
pub(super) fn dissect(opening: &Opening<'_>, facts: &mut Facts) -> Outcome {
    let side = if opening.client.is_empty() {
        Side::Server
    } else {
        Side::Client
    };
    let message = opening.stream(side).first();
    let method = match message {
        [b'M', ..] if message.starts_with(b"M-SEARCH * HTTP/1.") => "M-SEARCH",
        [b'N', ..] if message.starts_with(b"NOTIFY * HTTP/1.") => "NOTIFY",
        [b'H', ..] if opening.has_port(PORT) && message.starts_with(b"HTTP/1.1 200") => "",
        _ => return Outcome::NotMine,
    };
    facts.proto = Some(Proto::SSDP);
    let ssdp = facts.ssdp.get_or_insert_default();
    if method.is_empty() {
        facts.swapped |= side == Side::Client;
        ssdp.status = Some(200);
    } else {
        ssdp.method = Some(method.into());
    }
    for line in lines(message).skip(1).take(MAX_LINES) {
        let Some((name, value)) = memchr(b':', line).and_then(|colon| line.split_at_checked(colon))
        else {
            continue;
        };
        let value = || text(value.get(1..)?, MAX_TEXT);
        match name.to_ascii_lowercase().as_slice() {
            b"user-agent" => ssdp.user_agent = value(),
            b"server" => ssdp.server = value(),
            b"st" | b"nt" if ssdp.target.is_none() => ssdp.target = value(),
            _ => {}
        }
    }
    Outcome::Done
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::flow::Transport;
    use crate::flow::opening::Script;

    fn run(script: &Script) -> (Outcome, Facts) {
        let mut facts = Facts::default();
        let outcome = dissect(&script.opening(), &mut facts);
        (outcome, facts)
    }

    const SEARCH: &[u8] = b"M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\n\
        MAN: \"ssdp:discover\"\r\nMX: 1\r\nST: urn:dial-multiscreen-org:service:dial:1\r\n\
        USER-AGENT: Chrome/1 Windows\r\n\r\n";
    const FOUND: &[u8] =
        b"HTTP/1.1 200 OK\r\nST: upnp:rootdevice\r\nServer: Linux UPnP/1.0\r\n\r\n";

    #[test]
    fn reads_searches_and_answers() {
        let (outcome, facts) = run(&Script::udp(32412).client(SEARCH));
        assert_eq!((outcome, facts.proto), (Outcome::Done, Some(Proto::SSDP)));
        assert_eq!(
            facts.ssdp.as_ref().unwrap().method.as_deref(),
            Some("M-SEARCH")
        );
        assert_eq!(
            facts.ssdp.as_ref().unwrap().user_agent.as_deref(),
            Some("Chrome/1 Windows")
        );
        assert_eq!(
            facts.ssdp.as_ref().unwrap().target.as_deref().unwrap(),
            "urn:dial-multiscreen-org:service:dial:1"
        );
        let script = Script::new(Transport::Udp, 1900, 50000).client(FOUND);
        let (outcome, facts) = run(&script);
        assert_eq!((outcome, facts.swapped), (Outcome::Done, true));
        assert_eq!(
            facts.ssdp.as_ref().unwrap().server.as_deref(),
            Some("Linux UPnP/1.0")
        );
    }

    #[test]
    fn refuses_other_text() {
        let rows: [&[u8]; 5] = [
            b"",
            b"M-SEARCH",
            b"NOTIFY sip:a@b SIP/2.0\r\n",
            b"BT-SEARCH * HTTP/1.1",
            b"\0",
        ];
        for bytes in rows {
            let (outcome, facts) = run(&Script::udp(1900).client(bytes));
            assert_eq!(
                (outcome, facts),
                (Outcome::NotMine, Facts::default()),
                "{bytes:?}"
            );
        }
        assert_eq!(run(&Script::udp(9999).client(FOUND)).0, Outcome::NotMine);
        for end in 0..18 {
            assert_eq!(
                run(&Script::udp(1900).client(&SEARCH[..end])).0,
                Outcome::NotMine
            );
        }
    }

    proptest! {
        #[test]
        fn survives_anything(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            run(&Script::udp(1900).client(&[b"NOTIFY * HTTP/1.1\r\n", &bytes[..]].concat()));
            prop_assert_eq!(run(&Script::udp(1900).client(&bytes)).0, Outcome::NotMine);
        }
    }
}
