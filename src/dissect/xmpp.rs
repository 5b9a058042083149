//! XMPP over TCP (RFC 6120): the stream header, whose `to` names the service, and TLS begun inside
//! (section 5).

use super::dialogue;
use super::{Facts, Inside, Outcome, starttls};
use crate::app::Proto;
use crate::flow::{Opening, Stream};

/// How far into a stream its header may reach.
const MAX_HEADER: usize = 2048;

/// What one side's bytes are.
enum Seen<'a> {
    Other,
    Short,
    /// A stream header: the attributes of its tag.
    Header(&'a [u8]),
    /// A stanza in the middle of a stream, and the server it is for, if it is for one.
    Stanza(Option<&'a [u8]>),
}

pub(super) fn dissect(opening: &Opening<'_>, facts: &mut Facts) -> Outcome {
    let (client, server) = (look(opening.client), look(opening.server));
    let header = match (&client, &server) {
        (Seen::Other, _) | (Seen::Short, Seen::Other) => return Outcome::NotMine,
        (Seen::Short, Seen::Short) => return Outcome::NeedMore,
        (Seen::Header(_) | Seen::Stanza(_), _) => true,
        (Seen::Short, _) => false,
    };
    facts.proto = Some(Proto::XMPP);
    let attribute_host = |header, name| attribute(header, name).and_then(dialogue::host);
    // Section 4.7.2: the client's `to`; a server that gets none answers with its own `from`.
    facts.server_name = match client {
        Seen::Header(header) => attribute_host(header, b"to"),
        Seen::Stanza(server) => server.and_then(dialogue::host),
        _ => None,
    }
    .or_else(|| match server {
        Seen::Header(header) => attribute_host(header, b"from"),
        _ => None,
    });
    let (client, server) = (opening.client.bytes, opening.server.bytes);
    // TLS begins at once behind the tag (section 5.4.2.1), whose server says `<proceed/>`.
    if header {
        let asked = memchr::memmem::find(client, b"<starttls")
            .and_then(|tag| Some(tag + starttls::record(client.get(tag..)?)?));
        if let Some(inside) = starttls::inside(opening.client, opening.server, asked) {
            return Outcome::Wraps(inside);
        }
    }
    // Authentication and stanzas in the clear: the name is known and no TLS will come.
    let clear = ["<auth", "<iq", "<message", "<presence"]
        .iter()
        .any(|tag| memchr::memmem::find(client, tag.as_bytes()).is_some());
    match clear && !server.is_empty() {
        true => Outcome::Done,
        false => Outcome::Wraps(Inside::LATER),
    }
}

fn look(stream: Stream<'_>) -> Seen<'_> {
    let bytes = stream.bytes.trim_ascii_start();
    if bytes.first().is_some_and(|&first| first != b'<') {
        return Seen::Other;
    }
    let bytes = bytes.get(..MAX_HEADER).unwrap_or(bytes);
    if stream.mid_stream
        && let Some(server) = stanza(stream.first().trim_ascii_start())
    {
        return Seen::Stanza(server);
    }
    let mut rest = bytes;
    if let Some(declaration) = rest.strip_prefix(b"<?xml") {
        let Some(end) = memchr::memmem::find(declaration, b"?>") else {
            return if declaration.len() < 128 {
                Seen::Short
            } else {
                Seen::Other
            };
        };
        rest = declaration
            .get(end + 2..)
            .unwrap_or_default()
            .trim_ascii_start();
    } else if b"<?xml".starts_with(rest) {
        return Seen::Short;
    }
    // `stream:` is what everyone calls the prefix; without one the default namespace is streams'.
    let tags: [&[u8]; 3] = [b"<stream:stream ", b"<stream:stream\n", b"<stream "];
    let Some(attributes) = tags.iter().find_map(|tag| rest.strip_prefix(*tag)) else {
        return match tags.iter().any(|tag| tag.starts_with(rest)) {
            true => Seen::Short,
            false => Seen::Other,
        };
    };
    let (attributes, whole) = match memchr::memchr(b'>', attributes) {
        Some(end) => (attributes.get(..end).unwrap_or_default(), true),
        None => (attributes, false),
    };
    let known = [
        "http://etherx.jabber.org/streams",
        "jabber:client",
        "jabber:server",
    ]
    .iter()
    .any(|namespace| memchr::memmem::find(attributes, namespace.as_bytes()).is_some());
    match (whole, known) {
        (true, true) => Seen::Header(attributes),
        (false, _) if bytes.len() < MAX_HEADER => Seen::Short,
        _ => Seen::Other,
    }
}

/// Reads an addressed stanza (section 8) at the front of a segment of a stream whose header was
/// not seen, or that stream's end: the server it is for, if it is for one.
fn stanza(bytes: &[u8]) -> Option<Option<&[u8]>> {
    if bytes.starts_with(b"</stream:stream>") {
        return Some(None);
    }
    let tags: [&[u8]; 3] = [b"<iq ", b"<message ", b"<presence "];
    let rest = tags.iter().find_map(|tag| bytes.strip_prefix(*tag))?;
    let end = memchr::memchr(b'>', rest)?;
    let header = rest.get(..end)?;
    // An address is `user@domain/resource`; a server's is a domain alone (RFC 7622).
    let is_address = |value: &&[u8]| memchr::memchr2(b'@', b'.', value).is_some();
    let to = attribute(header, b"to").filter(is_address);
    to.or_else(|| attribute(header, b"from").filter(is_address))?;
    Some(to.filter(|to| memchr::memchr2(b'@', b'/', to).is_none()))
}

/// The value of `name` among the attributes of a tag.
fn attribute<'a>(attributes: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let mut rest = attributes;
    // A tag has a handful of attributes; more are not looked at.
    for _ in 0..16 {
        rest = rest.trim_ascii_start();
        let equals = memchr::memchr(b'=', rest)?;
        let key = rest.get(..equals)?.trim_ascii();
        let value = rest.get(equals + 1..)?.trim_ascii_start();
        let (&quote, value) = value.split_first()?;
        if !matches!(quote, b'"' | b'\'') {
            return None;
        }
        let end = memchr::memchr(quote, value)?;
        if key == name {
            return value.get(..end);
        }
        rest = value.get(end + 1..)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::trial::{Trial, withstands};
    use super::*;

    /// RFC 6120 section 9.1.1.
    const CLIENT: &str = "<stream:stream from='juliet@im.example.com' to='IM.example.com' \
        version='1.0' xml:lang='en' xmlns='jabber:client' \
        xmlns:stream='http://etherx.jabber.org/streams'>";
    const SERVER: &str = "<?xml version='1.0'?><stream:stream from='im.example.com' id='t7AMCin9' \
        version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>";

    fn typical() -> Trial {
        Trial::tcp(5222)
            .client(CLIENT)
            .server(SERVER)
            .client("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'/>")
    }

    #[test]
    fn the_stream_header_names_the_service() {
        typical().same_by_octets(dissect);
        for trial in [
            typical(),
            Trial::tcp(5222)
                .client(["<?xml version='1.0'?>\n", CLIENT].concat())
                .server(SERVER),
            Trial::tcp(5222)
                .client(CLIENT.replace("to=", "x="))
                .server(SERVER),
            Trial::tcp(5222).client(CLIENT.replace('\'', "\"")),
        ] {
            let facts = trial.facts(dissect);
            assert_eq!(facts.proto, Some(Proto::XMPP));
            assert_eq!(facts.server_name.as_deref(), Some("im.example.com"));
        }
        assert_eq!(typical().ask(dissect).0, Outcome::Done);
        let stanza = "<message to='a@b.c' type='chat'><body>x</body></message>";
        let facts = Trial::tcp(5222).mid_stream().client(stanza).facts(dissect);
        assert_eq!(
            facts.server_name, None,
            "a user's domain may be another server's"
        );
        let ping = "<iq to='im.example.com' id='0' type='get'><ping/></iq>";
        let facts = Trial::tcp(5222).mid_stream().client(ping).facts(dissect);
        assert_eq!(facts.server_name.as_deref(), Some("im.example.com"));
        let end = Trial::tcp(5222).mid_stream().server("</stream:stream>");
        end.facts(dissect);
    }

    #[test]
    fn other_markup_is_not() {
        for (what, bytes) in [
            ("HTML", "<html><head>"),
            ("SOAP", "<?xml version='1.0'?><Envelope xmlns='x'>"),
            ("another stream", "<stream:stream xmlns:stream='urn:other'>"),
            ("a stanza first of all", "<message to='a@b.c' type='chat'>"),
            ("text", "GET / HTTP/1.1\r\n\r\n"),
        ] {
            assert_eq!(
                Trial::tcp(5222).client(bytes).ask(dissect).0,
                Outcome::NotMine,
                "{what}"
            );
        }
        let endless = [CLIENT.trim_end_matches('>'), &" ".repeat(MAX_HEADER)].concat();
        assert_eq!(
            Trial::tcp(5222).client(endless).ask(dissect).0,
            Outcome::NotMine
        );
    }

    #[test]
    fn attributes_are_found_whole() {
        for (tag, value) in [
            ("to='x'", Some("x")),
            ("into='y' to = \"x\"", Some("x")),
            ("a='to=' to='x'", Some("x")),
            ("to=x", None),
            ("to='x", None),
            ("b='1'", None),
        ] {
            let found = attribute(tag.as_bytes(), b"to");
            assert_eq!(found, value.map(str::as_bytes), "{tag}");
        }
    }

    #[test]
    fn withstands_mutations() {
        withstands(dissect, &[typical()]);
    }
}
