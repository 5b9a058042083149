//! SDP (RFC 8866) inside SIP messages: only where media will flow.

use std::net::{IpAddr, SocketAddr};

use super::super::plain::lines;
use crate::app::Proto;

/// Where a description says that media will flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Media {
    /// The socket that gets it.
    pub address: SocketAddr,
    /// What is spoken there, where the description tells.
    pub proto: Option<Proto>,
}

/// Addresses given by one description.
const MAX_MEDIA: usize = 32;

/// Lines read of one description: a browser's offer has some hundreds.
const MAX_LINES: usize = 512;

/// A media section being read.
#[derive(Clone, Copy, Default)]
struct Section {
    /// Zero: refused.
    port: u16,
    address: Option<IpAddr>,
    is_rtp: bool,
    /// RTCP comes to the same port (RFC 8858).
    is_muxed: bool,
}

/// Calls `each` for every address and port that `m=` lines with their `c=` name, for that of their
/// RTCP, and for every ICE candidate (RFC 8839 section 5.1). Media on hold or refused has no address.
///
/// `body` may be a description or a multipart body with one inside.
pub(super) fn media(body: &[u8], each: &mut dyn FnMut(Media)) {
    let mut left = MAX_MEDIA;
    let mut emit = |ip: IpAddr, port: u16, proto: Option<Proto>| {
        if left > 0 && port != 0 && !ip.is_unspecified() {
            left -= 1;
            let address = SocketAddr::new(ip, port);
            each(Media { address, proto });
        }
    };
    let (mut session, mut section): (Option<IpAddr>, Option<Section>) = (None, None);
    let end = |section: Option<Section>, session: Option<IpAddr>, emit: &mut dyn FnMut(_, _, _)| {
        let Some(section) = section else { return };
        let Some(ip) = section.address.or(session) else {
            return;
        };
        emit(ip, section.port, section.is_rtp.then_some(Proto::RTP));
        // RFC 3550 section 11: an even port, and the next one for RTCP.
        let has_next = section.port != 0 && section.port.is_multiple_of(2);
        if section.is_rtp && !section.is_muxed && has_next {
            emit(ip, section.port + 1, Some(Proto::RTCP));
        }
    };
    for line in lines(body).take(MAX_LINES) {
        match line {
            [b'c', b'=', value @ ..] => match &mut section {
                Some(section) => section.address = connection(value).or(section.address),
                None => session = connection(value).or(session),
            },
            [b'm', b'=', value @ ..] => {
                end(section, session, &mut emit);
                section = Some(Section {
                    port: port(value).unwrap_or(0),
                    is_rtp: words(value)
                        .nth(2)
                        .is_some_and(|it| it.starts_with(b"RTP/")),
                    ..Section::default()
                });
            }
            b"a=rtcp-mux" => {
                if let Some(section) = &mut section {
                    section.is_muxed = true;
                }
            }
            [b'a', b'=', value @ ..] => {
                if let Some((ip, port)) = value.strip_prefix(b"candidate:").and_then(candidate) {
                    emit(ip, port, None);
                }
            }
            _ => {}
        }
    }
    end(section, session, &mut emit);
}

/// `IN IP4 192.0.2.1/127`
fn connection(value: &[u8]) -> Option<IpAddr> {
    let mut words = words(value);
    if words.next()? != b"IN" || !matches!(words.next()?, b"IP4" | b"IP6") {
        return None;
    }
    parse(words.next()?.split(|&byte| byte == b'/').next()?)
}

/// `audio 49170/2 RTP/AVP 0`
fn port(value: &[u8]) -> Option<u16> {
    let word = words(value).nth(1)?;
    parse(word.split(|&byte| byte == b'/').next()?)
}

/// `1 1 UDP 2130706431 192.0.2.1 8998 typ host`
fn candidate(value: &[u8]) -> Option<(IpAddr, u16)> {
    let mut words = words(value).skip(4);
    Some((parse(words.next()?)?, parse(words.next()?)?))
}

fn words(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value
        .split(|byte| byte.is_ascii_whitespace())
        .filter(|word| !word.is_empty())
}

fn parse<T: std::str::FromStr>(word: &[u8]) -> Option<T> {
    std::str::from_utf8(word).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(body: &str) -> Vec<String> {
        let mut found = Vec::new();
        media(body.as_bytes(), &mut |media| {
            let proto = match media.proto {
                Some(Proto::RTP) => " rtp",
                Some(Proto::RTCP) => " rtcp",
                _ => "",
            };
            found.push(format!("{}{proto}", media.address));
        });
        found
    }

    #[test]
    fn finds_where_media_flows() {
        let rows: &[(&str, &[&str])] = &[
            // RFC 8866 section 5
            (
                "v=0\r\no=jdoe 1 2 IN IP4 198.51.100.1\r\nc=IN IP4 233.252.0.1/127\r\nt=0 0\r\n\
              m=audio 49170 RTP/AVP 0\r\nm=video 51372 RTP/AVP 99\r\n",
                &[
                    "233.252.0.1:49170 rtp",
                    "233.252.0.1:49171 rtcp",
                    "233.252.0.1:51372 rtp",
                    "233.252.0.1:51373 rtcp",
                ],
            ),
            (
                "c=IN IP4 192.0.2.1\r\nm=audio 4000 RTP/SAVPF 0\r\na=rtcp-mux\r\n\
                 m=video 4003 RTP/AVP 96\r\nm=message 4004 TCP/MSRP *\r\n",
                &["192.0.2.1:4000 rtp", "192.0.2.1:4003 rtp", "192.0.2.1:4004"],
            ),
            (
                "m=audio 4000/2 RTP/AVP 8\nc=IN IP6 2001:db8::1\n\
                 m=video 0 RTP/AVP 99\nc=IN IP4 192.0.2.1",
                &["[2001:db8::1]:4000 rtp", "[2001:db8::1]:4001 rtcp"],
            ),
            ("c=IN IP4 0.0.0.0\r\nm=audio 9 RTP/AVP 0\r\n", &[]),
            (
                "c=IN IP4 192.0.2.1\r\nm=image 4000 udptl t38\r\n\
                 a=candidate:1 1 UDP 2130706431 10.0.1.1 8998 typ host\r\n",
                &["10.0.1.1:8998", "192.0.2.1:4000"],
            ),
            (
                "--b\r\nContent-Type: application/sdp\r\n\r\n\
                 v=0\r\nc=IN IP4 192.0.2.1\r\nm=audio 4 RTP/AVP 0\r\n--b--",
                &["192.0.2.1:4 rtp", "192.0.2.1:5 rtcp"],
            ),
            (
                "c=IN IP4 host.example\r\nm=audio 70000 RTP/AVP\r\n\
                 m=audio\r\nc=\r\nm=\r\na=candidate:1 1 UDP",
                &[],
            ),
        ];
        for (body, want) in rows {
            assert_eq!(found(body), *want, "{body}");
        }
        let many = format!(
            "c=IN IP4 192.0.2.1\r\n{}",
            "m=audio 4 RTP/AVP 0\r\n".repeat(500)
        );
        assert_eq!(found(&many).len(), MAX_MEDIA);
    }
}
