//! HTTP/1 (RFC 9112), with WebDAV's methods, proxies (CONNECT, and where the tunnel begins)
//! and WebSocket (RFC 6455), whose frames `websocket` reads.
//!
//! `httparse` reads header blocks; this file decides what is HTTP. Only a start line with
//! `HTTP/1.` in it is: RTSP, SIP and ICY have start lines of their own, and SSDP is HTTP over
//! UDP. What HTTP/2 has in common with it, the meaning of header fields, is here as well.

use httparse::{EMPTY_HEADER, Header, ParserConfig, Request, Response};
use memchr::memchr;

use super::host::{authority_host, host_name, is_address, text};
use super::inside::Framing;
use super::{Facts, Http, Inside, Outcome, websocket};
use crate::app::Proto;
use crate::flow::{Opening, Stream};

/// How many segments of a stream whose start was not seen are searched for a start line.
const MAX_SEARCHED: usize = 8;

/// The longest method: those of WebDAV and its kin have up to 17 letters.
const MAX_METHOD: usize = 24;

/// The most spaces there may be before a target.
const MAX_SPACES: usize = 64;

/// Requests for a tunnel of one client: a proxy asks for a password once or twice.
const MAX_TUNNELS: usize = 4;

/// Statuses: the protocol changes; a password is asked for, by a server or a proxy.
const SWITCHING: u16 = 101;
const UNAUTHORIZED: u16 = 401;
const PROXY_AUTHENTICATION: u16 = 407;

/// Header fields read of one block.
const MAX_HEADERS: usize = 64;

/// Cookies of one answer whose domains are kept.
const MAX_COOKIES: usize = 4;

const MAX_TEXT: usize = 512;
const MAX_KEPT: usize = 32;
const MAX_KEPT_NAME: usize = 64;
const MAX_KEPT_VALUE: usize = 256;

/// The field in which both sides of WebSocket agree on what is spoken inside (RFC 6455 section 11.3.4).
const SUBPROTOCOL: &[u8] = b"sec-websocket-protocol";

/// Methods that make a request sure before its line is whole, as long targets do happen.
const COMMON_METHODS: [&[u8]; 6] = [b"GET", b"POST", b"HEAD", b"PUT", b"DELETE", b"PATCH"];

/// Fields that every client sends, or that are the user's secrets: no signature tests them.
const NOT_KEPT: [&str; 24] = [
    "accept",
    "accept-charset",
    "accept-encoding",
    "accept-language",
    "authorization",
    "cache-control",
    "connection",
    "content-length",
    "cookie",
    "date",
    "dnt",
    "expect",
    "host",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "keep-alive",
    "pragma",
    "proxy-authorization",
    "proxy-connection",
    "range",
    "te",
    "transfer-encoding",
    "upgrade-insecure-requests",
];

/// Reads the opening of a TCP flow.
pub(super) fn dissect(opening: &Opening<'_>, facts: &mut Facts) -> Outcome {
    let (client, server) = (SideView::of(opening.client), SideView::of(opening.server));
    let swapped = (client.is_response() && !server.is_response())
        || (server.is_request() && !client.is_request());
    let (client, server) = if swapped {
        (server, client)
    } else {
        (client, server)
    };
    let request = match client.shows {
        Shows::Request(line) => Some(line),
        Shows::Nothing => None,
        // What such a client is answered with does not make it HTTP.
        Shows::Response | Shows::Other => return Outcome::NotMine,
    };
    if request.is_none() && !server.is_response() {
        let over = client.stream.ended && server.stream.ended;
        return if server.shows == Shows::Other || over {
            Outcome::NotMine
        } else {
            Outcome::NeedMore
        };
    }

    facts.proto = Some(Proto::HTTP);
    facts.swapped |= swapped;
    // An answer means that the request was whole, whatever the capture has of it.
    let no_more = client.stream.ended || server.is_response();
    let asked = request.map(|line| read_request(client.bytes, line, no_more, facts));
    let answered = server
        .is_response()
        .then(|| read_response(server.bytes, server.stream.ended, facts));
    let request_end = match asked {
        Some(Block::Waiting) => return Outcome::Partial,
        Some(Block::Read { end }) => Some(end),
        None => None,
    };
    if let (Some(line), Some(end)) = (request, request_end)
        && line.method == b"CONNECT"
    {
        return read_tunnel(client, end, server, answered, facts);
    }
    // The opening handshake is WebSocket's own (RFC 6455 section 1.3) until it is refused.
    let http = facts.http.get_or_insert_default();
    let refused = http.status.is_some_and(|status| status != SWITCHING);
    if http.upgrade.as_deref() == Some("websocket") && !refused {
        facts.proto = Some(Proto::WEBSOCKET);
        if server.shows != Shows::Other {
            let asked = request_end.map(|end| client.offset() + end);
            let answered = answered.and_then(Block::end);
            let answered = answered.map(|end| server.offset() + end);
            let inside = Inside::plain(asked, answered).framed(Framing::WebSocket);
            return Outcome::Wraps(inside);
        }
    }
    let asked_all = request_end.is_some() || client.stream.ended;
    let answered_all = match answered {
        Some(Block::Read { .. }) => true,
        Some(Block::Waiting) => false,
        None => server.stream.ended || server.shows == Shows::Other,
    };
    if asked_all && answered_all {
        Outcome::Done
    } else if request_end.is_some() && answered.is_none() {
        Outcome::UpToDate
    } else {
        Outcome::Partial
    }
}

/// Where the tunnel begins behind a CONNECT and its answer (RFC 9110 section 9.3.6). One that is
/// refused for want of a password is followed by another.
fn read_tunnel<'a>(
    mut client: SideView<'a>,
    mut request_end: usize,
    mut server: SideView<'a>,
    mut answered: Option<Block>,
    facts: &mut Facts,
) -> Outcome {
    facts.server_name = facts.server_name.take().filter(|host| match host.parse() {
        Ok(address) => {
            facts.destination.get_or_insert_default().ip = Some(address);
            false
        }
        Err(_) => true,
    });
    for _ in 0..MAX_TUNNELS {
        let asked = client.offset() + request_end;
        let answer_end = match answered {
            // Without an answer in the capture, the client may show that it was one.
            None if server.shows != Shows::Other => {
                return Outcome::Wraps(Inside::plain(Some(asked), None));
            }
            None => return Outcome::Done,
            Some(Block::Waiting) => return Outcome::Wraps(Inside::LATER),
            Some(Block::Read { end }) => end,
        };
        match facts.http.as_ref().and_then(|http| http.status) {
            Some(200..=299) => {
                let answered = server.offset() + answer_end;
                return Outcome::Wraps(Inside::plain(Some(asked), Some(answered)));
            }
            Some(UNAUTHORIZED | PROXY_AUTHENTICATION) => {}
            _ => return Outcome::Done,
        }
        client.go_on(request_end);
        server.go_on(answer_end);
        server.skip_body();
        let line = match client.shows {
            Shows::Request(line) if line.method == b"CONNECT" => line,
            Shows::Nothing => return Outcome::Wraps(Inside::LATER),
            _ => return Outcome::Done,
        };
        let no_more = client.stream.ended || server.is_response();
        let Block::Read { end } = read_request(client.bytes, line, no_more, facts) else {
            return Outcome::Wraps(Inside::LATER);
        };
        request_end = end;
        answered = server
            .is_response()
            .then(|| read_response(server.bytes, server.stream.ended, facts));
    }
    Outcome::Done
}

/// What a stream shows where a message begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shows<'a> {
    /// Nothing, or too little to tell.
    Nothing,
    /// A request, for sure.
    Request(RequestLine<'a>),
    /// A status line.
    Response,
    /// Not HTTP/1.
    Other,
}

/// A request line, or the start of one that is long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct RequestLine<'a> {
    method: &'a [u8],
    target: &'a [u8],
    /// Where the line ends; `None` when its end is missing.
    end: Option<usize>,
}

/// One stream and what it shows.
struct SideView<'a> {
    stream: Stream<'a>,
    /// The stream from the start line on.
    bytes: &'a [u8],
    shows: Shows<'a>,
}

impl<'a> SideView<'a> {
    fn of(stream: Stream<'a>) -> Self {
        let bytes = after_empty_lines(stream.bytes);
        let mut view = Self {
            stream,
            bytes,
            shows: shown(bytes),
        };
        if view.shows == Shows::Other && stream.mid_stream {
            view.search();
        }
        view
    }

    /// Looks for a segment that begins with a start line.
    fn search(&mut self) {
        let mut offset = 0;
        for message in self.stream.messages().take(MAX_SEARCHED) {
            let bytes = self.stream.bytes.get(offset..).unwrap_or_default();
            let shows = shown(bytes);
            if matches!(shows, Shows::Request(_) | Shows::Response) {
                (self.bytes, self.shows) = (bytes, shows);
                return;
            }
            offset += message.len();
        }
        if !self.stream.ended && self.stream.count() < MAX_SEARCHED {
            self.shows = Shows::Nothing;
        }
    }

    /// Looks at what comes `len` bytes further.
    fn go_on(&mut self, len: usize) {
        self.bytes = after_empty_lines(self.bytes.get(len..).unwrap_or_default());
        self.shows = shown(self.bytes);
    }

    /// Passes over the body of a response, whatever its length: the next one begins with its version.
    fn skip_body(&mut self) {
        if let Some(next) = memchr::memmem::find(self.bytes, b"HTTP/1.") {
            self.go_on(next);
        } else {
            self.bytes = &[];
            self.shows = Shows::Nothing;
        }
    }

    const fn is_request(&self) -> bool {
        matches!(self.shows, Shows::Request(_))
    }

    const fn is_response(&self) -> bool {
        matches!(self.shows, Shows::Response)
    }

    /// Where the start line begins in the stream.
    const fn offset(&self) -> usize {
        self.stream.bytes.len() - self.bytes.len()
    }
}

/// RFC 9112 section 2.2: empty lines before a message are passed over.
fn after_empty_lines(bytes: &[u8]) -> &[u8] {
    let rest = bytes.strip_prefix(b"\r\n").unwrap_or(bytes);
    rest.strip_prefix(b"\r\n").unwrap_or(rest)
}

fn shown(bytes: &[u8]) -> Shows<'_> {
    const VERSION: &[u8] = b"HTTP/1.";
    if let Some(rest) = bytes.strip_prefix(VERSION) {
        return match rest {
            [minor, b' ', status @ ..] if minor.is_ascii_digit() => match status {
                [a, b, c, ..] if [a, b, c].iter().all(|digit| digit.is_ascii_digit()) => {
                    Shows::Response
                }
                [_, _, _, ..] => Shows::Other,
                _ => Shows::Nothing,
            },
            [_, _, ..] => Shows::Other,
            _ => Shows::Nothing,
        };
    }
    if VERSION.starts_with(bytes) {
        return Shows::Nothing;
    }
    request_line(bytes)
}

fn request_line(bytes: &[u8]) -> Shows<'_> {
    let in_method = |byte: &u8| byte.is_ascii_uppercase() || matches!(byte, b'-' | b'_');
    let start = bytes.get(..=MAX_METHOD).unwrap_or(bytes);
    let Some(method_end) = start.iter().position(|byte| !in_method(byte)) else {
        return if start.len() > MAX_METHOD {
            Shows::Other
        } else {
            Shows::Nothing
        };
    };
    let (Some(method), Some([b' ', rest @ ..])) =
        (bytes.get(..method_end), bytes.get(method_end..))
    else {
        return Shows::Other;
    };
    // One space is right, and some servers take more (RFC 9112 section 3).
    let target_start = rest
        .iter()
        .take(MAX_SPACES)
        .position(|&octet| octet != b' ');
    let rest = rest.get(target_start.unwrap_or(0)..).unwrap_or_default();
    if method.len() < 3 || rest.first().is_some_and(|octet| *octet <= b' ') {
        return Shows::Other;
    }
    let Some(line_end) = memchr(b'\n', rest) else {
        let target = rest;
        let common = COMMON_METHODS.contains(&method);
        let sure = common
            && [&b"/"[..], b"http://", b"https://"]
                .iter()
                .any(|it| target.starts_with(it));
        return if sure {
            Shows::Request(RequestLine {
                method,
                target,
                end: None,
            })
        } else {
            Shows::Nothing
        };
    };
    let line = rest.get(..line_end).unwrap_or_default().trim_ascii_end();
    match line.split_last_chunk::<9>() {
        Some((target, [b' ', b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'0'..=b'9']))
            if !target.is_empty() =>
        {
            Shows::Request(RequestLine {
                method,
                target: target.trim_ascii_end(),
                end: Some(bytes.len() - rest.len() + line_end + 1),
            })
        }
        _ => Shows::Other,
    }
}

/// What became of a message's header block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Block {
    /// Its end is missing.
    Waiting,
    /// It is read, as far as it will come.
    Read {
        /// Where it ends.
        end: usize,
    },
}

impl Block {
    /// Where it ends, if it is read.
    const fn end(self) -> Option<usize> {
        match self {
            Self::Waiting => None,
            Self::Read { end } => Some(end),
        }
    }
}

/// Reads a request. Facts are told when its block is whole, or with `no_more` to come.
fn read_request(bytes: &[u8], line: RequestLine<'_>, no_more: bool, facts: &mut Facts) -> Block {
    let mut headers = [EMPTY_HEADER; MAX_HEADERS];
    let parsed = parse_request(bytes, &mut headers);
    let end = match parsed {
        Ok(httparse::Status::Complete(end)) => Some(end),
        Ok(httparse::Status::Partial) => None,
        Err(_) => Some(bytes.len()),
    };
    if end.is_none() && !no_more {
        facts.http.get_or_insert_default().method = text(line.method, MAX_TEXT);
        return Block::Waiting;
    }
    let repaired;
    if parsed.is_err_and(|error| error != httparse::Error::TooManyHeaders) {
        repaired = repair(bytes, line);
        headers = [EMPTY_HEADER; MAX_HEADERS];
        // What is still wrong leaves the fields before it.
        let _ = parse_request(&repaired, &mut headers);
    }
    let mut fields = RequestFields::default();
    for header in fields_of(&headers) {
        fields.read(header.name.as_bytes(), header.value);
    }
    fields.tell(line.method, line.target, facts);
    Block::Read {
        end: end.unwrap_or(bytes.len()),
    }
}

fn parse_request<'b>(
    bytes: &'b [u8],
    headers: &mut [Header<'b>; MAX_HEADERS],
) -> httparse::Result<usize> {
    let mut request = Request::new(headers);
    ParserConfig::default()
        .ignore_invalid_headers_in_requests(true)
        .parse_request(&mut request, bytes)
}

/// The header block as a strict parser takes it: below a plain request line, without control
/// characters. Clients do send targets with spaces; servers are lenient, and so a name can be
/// hidden from who is not.
fn repair(bytes: &[u8], line: RequestLine<'_>) -> Vec<u8> {
    let block = line
        .end
        .and_then(|end| bytes.get(end..))
        .unwrap_or_default();
    let mut repaired = b"GET / HTTP/1.1\r\n".to_vec();
    repaired.extend(block.iter().map(|&octet| match octet {
        b'\r' | b'\n' | b'\t' | b' '..=0x7e | 0x80.. => octet,
        _ => b'?',
    }));
    repaired
}

/// Reads the first response that is not interim (RFC 9110 section 15.2).
fn read_response(bytes: &[u8], no_more: bool, facts: &mut Facts) -> Block {
    let mut start = 0;
    loop {
        let block = bytes.get(start..).unwrap_or_default();
        let mut headers = [EMPTY_HEADER; MAX_HEADERS];
        let mut response = Response::new(&mut headers);
        let parsed = ParserConfig::default()
            .ignore_invalid_headers_in_responses(true)
            .allow_spaces_after_header_name_in_responses(true)
            .allow_obsolete_multiline_headers_in_responses(true)
            .parse_response(&mut response, block);
        let status = response.code;
        let end = match parsed {
            Ok(httparse::Status::Complete(end)) => end,
            Ok(httparse::Status::Partial) if !no_more => return Block::Waiting,
            Ok(httparse::Status::Partial) | Err(_) => block.len(),
        };
        start += end;
        let interim = matches!(status, Some(100 | 102..=199));
        if interim && start < bytes.len() {
            continue;
        }
        if interim && !no_more {
            return Block::Waiting;
        }
        let http = facts.http.get_or_insert_default();
        http.status = status.or(http.status);
        if status == Some(SWITCHING) {
            // Only what the server takes is spoken.
            http.announced = None;
        }
        for header in fields_of(&headers) {
            tell_response_field(header.name.as_bytes(), header.value, http);
        }
        return Block::Read { end: start };
    }
}

/// The fields `httparse` has read: it fills from the front, even when it stops at an error.
fn fields_of<'h, 'b>(headers: &'h [Header<'b>]) -> impl Iterator<Item = &'h Header<'b>> {
    headers.iter().take_while(|header| !header.name.is_empty())
}

/// The fields of a request that say something, borrowed from it. HTTP/2 fills one as well.
#[derive(Debug, Default)]
pub(super) struct RequestFields<'a> {
    host: Option<&'a [u8]>,
    user_agent: Option<&'a [u8]>,
    referer: Option<&'a [u8]>,
    origin: Option<&'a [u8]>,
    upgrade: Option<&'a [u8]>,
    content_type: Option<&'a [u8]>,
    subprotocol: Option<&'a [u8]>,
    kept: Vec<(Box<str>, Box<str>)>,
}

impl<'a> RequestFields<'a> {
    /// Takes in one field. Of those that are named twice the first counts.
    pub(super) fn read(&mut self, name: &[u8], value: &'a [u8]) {
        let slot = match () {
            () if name.eq_ignore_ascii_case(b"host") => &mut self.host,
            () if name.eq_ignore_ascii_case(b"user-agent") => &mut self.user_agent,
            () if name.eq_ignore_ascii_case(b"referer") => &mut self.referer,
            () if name.eq_ignore_ascii_case(b"origin") => &mut self.origin,
            () if name.eq_ignore_ascii_case(b"upgrade") => &mut self.upgrade,
            () if name.eq_ignore_ascii_case(b"content-type") => &mut self.content_type,
            () if name.eq_ignore_ascii_case(SUBPROTOCOL) => &mut self.subprotocol,
            () => return self.keep(name, value),
        };
        slot.get_or_insert(value);
    }

    /// Puts `host` before what a Host field says, where there is one.
    pub(super) fn set_host(&mut self, host: Option<&'a [u8]>) {
        self.host = host.or(self.host);
    }

    fn keep(&mut self, name: &[u8], value: &[u8]) {
        let not_kept = |name: &[u8]| {
            let known = |it: &&str| it.as_bytes().eq_ignore_ascii_case(name);
            NOT_KEPT.iter().any(known)
                || name
                    .get(..4)
                    .is_some_and(|it| it.eq_ignore_ascii_case(b"sec-"))
        };
        if self.kept.len() >= MAX_KEPT || name.len() > MAX_KEPT_NAME || not_kept(name) {
            return;
        }
        if let (Some(name), Some(value)) = (text(name, MAX_KEPT_NAME), text(value, MAX_KEPT_VALUE))
        {
            self.kept.push((name.to_ascii_lowercase().into(), value));
        }
    }

    /// Writes to `facts` what the request says. The host of the target, where it has one, goes
    /// before the field (RFC 9112 section 3.2.2).
    pub(super) fn tell(self, method: &[u8], target: &[u8], facts: &mut Facts) {
        let http = facts.http.get_or_insert_default();
        if let Some(list) = self.subprotocol {
            websocket::announce(list, http);
        }
        let (authority, path) = if method == b"CONNECT" {
            facts.destination.get_or_insert_default().port = port_of(target);
            (Some(target), None)
        } else {
            match split_url(target) {
                Some((authority, path)) => {
                    // Who is asked so is a proxy (RFC 9112 section 3.2.2).
                    facts.destination.get_or_insert_default().port = port_of(authority);
                    (Some(authority), Some(path))
                }
                None => (None, Some(target)),
            }
        };
        http.method = text(method, MAX_TEXT);
        http.path = path.and_then(|path| text(path, MAX_TEXT));
        facts.server_name = authority
            .and_then(authority_host)
            .or_else(|| authority_host(self.host?.trim_ascii()));
        http.user_agent = self.user_agent.and_then(|it| text(it, MAX_TEXT));
        http.content_type = self.content_type.and_then(|it| text(it, MAX_TEXT));
        http.upgrade = self
            .upgrade
            .and_then(|it| text(it, MAX_TEXT))
            .map(|it| it.to_ascii_lowercase().into());
        let host_of = |url| authority_host(split_url(url)?.0);
        http.referer = self
            .referer
            .and_then(host_of)
            .or_else(|| host_of(self.origin?));
        http.headers = self.kept;
        // Which protocol is to be spoken in a WebSocket signatures may test as well.
        if let Some(list) = self.subprotocol.and_then(|it| text(it, MAX_KEPT_VALUE)) {
            http.headers.push(("sec-websocket-protocol".into(), list));
        }
    }
}

/// Takes in one field of a response.
pub(super) fn tell_response_field(name: &[u8], value: &[u8], http: &mut Http) {
    if name.eq_ignore_ascii_case(b"server") {
        http.server = text(value, MAX_TEXT);
    } else if name.eq_ignore_ascii_case(b"content-type") {
        http.content_type = text(value, MAX_TEXT);
    } else if name.eq_ignore_ascii_case(SUBPROTOCOL) {
        websocket::announce(value, http);
    } else if name.eq_ignore_ascii_case(b"upgrade") && http.upgrade.is_none() {
        http.upgrade = text(value, MAX_TEXT).map(|it| it.to_ascii_lowercase().into());
    } else if name.eq_ignore_ascii_case(b"set-cookie") && http.cookie_domains.len() < MAX_COOKIES {
        let domain = cookie_domain(value).filter(|domain| !http.cookie_domains.contains(domain));
        http.cookie_domains.extend(domain);
    }
}

/// The domain a cookie is for, where it says one (RFC 6265 section 5.2.3). Clients take only those that
/// the host they asked is in (section 5.3): it is the host's own name, or one above it.
fn cookie_domain(value: &[u8]) -> Option<Box<str>> {
    let mut attributes = value.split(|&octet| octet == b';').skip(1);
    let domain = attributes.find_map(|attribute| {
        let (name, domain) = attribute.split_at_checked(memchr(b'=', attribute)?)?;
        let is_domain = name.trim_ascii().eq_ignore_ascii_case(b"domain");
        domain.get(1..).filter(|_| is_domain)
    })?;
    let domain = domain.trim_ascii();
    let domain = domain.strip_prefix(b".").unwrap_or(domain);
    host_name(domain).filter(|domain| domain.contains('.') && !is_address(domain))
}

/// The port in `host:port`.
fn port_of(authority: &[u8]) -> Option<u16> {
    let colon = authority.iter().rposition(|&it| it == b':')?;
    std::str::from_utf8(authority.get(colon + 1..)?)
        .ok()?
        .parse()
        .ok()
}

/// The authority of a URL and what follows it; `None` when it has no scheme.
fn split_url(url: &[u8]) -> Option<(&[u8], &[u8])> {
    let url = url.trim_ascii();
    let colon = url
        .get(..16)
        .unwrap_or(url)
        .iter()
        .position(|&it| it == b':')?;
    let (scheme, rest) = url.split_at_checked(colon)?;
    if !scheme.first()?.is_ascii_alphabetic() {
        return None;
    }
    let rest = rest.strip_prefix(b"://")?;
    let end = rest
        .iter()
        .position(|it| matches!(it, b'/' | b'?' | b'#'))
        .unwrap_or(rest.len());
    rest.split_at_checked(end)
}

#[cfg(test)]
#[path = "http_tests.rs"]
mod tests;
