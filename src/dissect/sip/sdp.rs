//! SDP (RFC 8866) inside SIP messages: only where media will flow.

use std::net::{IpAddr, SocketAddr};

use super::super::plain::lines;

/// Addresses given by one description.
const MAX_MEDIA: usize = 32;

/// Lines read of one description: a browser's offer has some hundreds.
const MAX_LINES: usize = 512;

/// Calls `each` for every address and port that `m=` lines with their `c=` name, and for every
/// ICE candidate (RFC 8839 section 5.1). Media on hold or refused has no address.
///
/// `body` may be a description or a multipart body with one inside.
pub(super) fn media(body: &[u8], each: &mut dyn FnMut(SocketAddr)) {
    let mut left = MAX_MEDIA;
    let mut emit = |ip: IpAddr, port: u16| {
        if left > 0 && port != 0 && !ip.is_unspecified() {
            left -= 1;
            each(SocketAddr::new(ip, port));
        }
    };
    // Of the session; of the media section being read.
    let (mut session, mut section): (Option<IpAddr>, Option<(u16, Option<IpAddr>)>) = (None, None);
    for line in lines(body).take(MAX_LINES) {
        match line {
            [b'c', b'=', value @ ..] => match &mut section {
                Some((_, own)) => *own = connection(value).or(*own),
                None => session = connection(value).or(session),
            },
            [b'm', b'=', value @ ..] => {
                if let Some((port, own)) = section
                    && let Some(ip) = own.or(session)
                {
                    emit(ip, port);
                }
                section = Some((port(value).unwrap_or(0), None));
            }
            [b'a', b'=', value @ ..] => {
                if let Some((ip, port)) = value.strip_prefix(b"candidate:").and_then(candidate) {
                    emit(ip, port);
                }
            }
            _ => {}
        }
    }
    if let Some((port, own)) = section
        && let Some(ip) = own.or(session)
    {
        emit(ip, port);
    }
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
        media(body.as_bytes(), &mut |address| {
            found.push(address.to_string())
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
                &["233.252.0.1:49170", "233.252.0.1:51372"],
            ),
            (
                "m=audio 4000/2 RTP/AVP 8\nc=IN IP6 2001:db8::1\n\
                 m=video 0 RTP/AVP 99\nc=IN IP4 192.0.2.1",
                &["[2001:db8::1]:4000"],
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
                &["192.0.2.1:4"],
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
