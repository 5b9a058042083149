//! Tests of HTTP/1.
#![allow(clippy::indexing_slicing)]

use proptest::prelude::{ProptestConfig, any, prop, proptest};

use super::*;

use crate::flow::opening::Script;

const GET: &[u8] =
    b"GET /a/b?c=d HTTP/1.1\r\nHost: WWW.Example.com:8080\r\nUser-Agent: Probe/1.0\r\n\
    Accept: */*\r\nReferer: https://Search.example/?q=x\r\nX-Kind: first\r\nYX-PN: yxmc\r\n\
    Cookie: secret=1\r\n\r\n";
const OK: &[u8] = b"HTTP/1.1 200 OK\r\nServer: nginx\r\nContent-Type: text/html\r\n\r\n<html>";

fn run(script: &Script) -> (Outcome, Facts) {
    let mut facts = Facts::default();
    let outcome = dissect(&script.opening(), &mut facts);
    let mine = outcome.is_sure();
    assert_eq!(facts.proto.is_some(), mine);
    if mine {
        let mut again = facts.clone();
        assert_eq!(dissect(&script.opening(), &mut again), outcome);
        assert_eq!(again, facts, "asked again");
    } else {
        assert_eq!(facts, Facts::default());
    }
    (outcome, facts)
}

fn tcp() -> Script {
    Script::tcp(80)
}

#[test]
fn facts_of_both_sides() {
    let (outcome, facts) = run(&tcp().client(GET).server(OK));
    assert_eq!(outcome, Outcome::Done);
    let expected = Facts {
        proto: Some(Proto::HTTP),
        server_name: Some("www.example.com".into()),
        http: Some(Box::new(Http {
            method: Some("GET".into()),
            path: Some("/a/b?c=d".into()),
            user_agent: Some("Probe/1.0".into()),
            referer: Some("search.example".into()),
            headers: vec![
                ("x-kind".into(), "first".into()),
                ("yx-pn".into(), "yxmc".into()),
            ],
            status: Some(200),
            server: Some("nginx".into()),
            content_type: Some("text/html".into()),
            ..Http::default()
        })),
        ..Facts::default()
    };
    assert_eq!(facts, expected);
    let (_, facts) = run(&tcp().server(GET).client(OK));
    assert_eq!(
        facts,
        Facts {
            swapped: true,
            ..expected
        }
    );
}

#[test]
fn what_is_http() {
    use Outcome::{Done, NeedMore, NotMine, Partial, UpToDate};
    let cases = [
        ("request", tcp().client(GET), UpToDate),
        (
            "WebDAV",
            tcp().client(b"PROPFIND /dav HTTP/1.1\r\nHost: a.example\r\n\r\n"),
            UpToDate,
        ),
        (
            "DCE RPC",
            tcp().client(b"RPC_IN_DATA /rpc HTTP/1.1\r\n"),
            Partial,
        ),
        (
            "HTTP/1.0",
            tcp().client(b"GET / HTTP/1.0\r\n\r\n").server(OK),
            Done,
        ),
        (
            "bare newlines",
            tcp()
                .client(b"GET / HTTP/1.0\nHost: a.example\n\n")
                .server(OK),
            Done,
        ),
        (
            "empty lines first",
            tcp().client(b"\r\n\r\nGET / HTTP/1.1\r\n"),
            Partial,
        ),
        ("common method, no end", tcp().client(b"GET /aaaa"), Partial),
        (
            "uncommon method, no end",
            tcp().client(b"MKCOL /aaaa"),
            NeedMore,
        ),
        ("no target yet", tcp().client(b"GET "), NeedMore),
        ("method so far", tcp().client(b"GE"), NeedMore),
        ("response only", tcp().server(OK), Partial),
        ("response so far", tcp().server(b"HTTP/1.1 20"), NeedMore),
        (
            "response before its end",
            tcp().client(GET).server(&OK[..30]),
            Partial,
        ),
        (
            "strange answer",
            tcp().client(GET).server(b"\x01\x02\x03\x04"),
            Done,
        ),
        ("HTTP/0.9", tcp().client(b"GET /index.html\r\n"), NotMine),
        ("HTTP/2", tcp().client(b"PRI * HTTP/2.0\r\n\r\n"), NotMine),
        (
            "RTSP",
            tcp().client(b"OPTIONS rtsp://a.example/ RTSP/1.0\r\n"),
            NotMine,
        ),
        (
            "RTSP, cut",
            tcp().client(b"DESCRIBE rtsp://a.example/"),
            NeedMore,
        ),
        (
            "SIP",
            tcp().client(b"REGISTER sip:a.example SIP/2.0\r\n"),
            NotMine,
        ),
        ("ICY", tcp().server(b"ICY 200 OK\r\n"), NotMine),
        (
            "SMTP",
            tcp().client(b"EHLO a.example\r\n").server(b"250 ok\r\n"),
            NotMine,
        ),
        ("lower case", tcp().client(b"get / HTTP/1.1\r\n"), NotMine),
        ("long word", tcp().client(&[b'A'; 30]), NotMine),
        ("binary", tcp().client(&[0x16, 3, 1]), NotMine),
        ("two spaces", tcp().client(b"GET  / HTTP/1.1\r\n"), UpToDate),
        (
            "only spaces",
            tcp().client(&[b"GET".as_slice(), &[b' '; 99]].concat()),
            NotMine,
        ),
        (
            "version without a digit",
            tcp().client(b"GET / HTTP/1.x\r\n"),
            NotMine,
        ),
        (
            "status without digits",
            tcp().server(b"HTTP/1.1 abc"),
            NotMine,
        ),
        (
            "HTTP to something else",
            tcp().client(b"\x01\x02").server(OK),
            NotMine,
        ),
        ("nothing", tcp(), NeedMore),
    ];
    for (what, script, expected) in cases {
        assert_eq!(run(&script).0, expected, "{what}");
    }
}

#[test]
fn hosts() {
    let cases: [(&str, Option<&str>, Option<&str>); 11] = [
        (
            "GET http://Proxy.example:80/x?y HTTP/1.1\r\nHost: other.example\r\n\r\n",
            Some("proxy.example"),
            Some("/x?y"),
        ),
        (
            "GET http://a.example HTTP/1.1\r\n\r\n",
            Some("a.example"),
            None,
        ),
        (
            "OPTIONS * HTTP/1.1\r\nHost: a.example\r\n\r\n",
            Some("a.example"),
            Some("*"),
        ),
        (
            "GET / HTTP/1.1\r\nHost: [2001:db8::1]:80\r\n\r\n",
            Some("2001:db8::1"),
            Some("/"),
        ),
        (
            "GET / HTTP/1.1\r\nhost:a.example\r\n\r\n",
            Some("a.example"),
            Some("/"),
        ),
        (
            "GET / HTTP/1.1\r\nHost: a.example\r\nHost: b.example\r\n\r\n",
            Some("a.example"),
            Some("/"),
        ),
        (
            "GET / HTTP/1.1\r\nHost: not a host\r\n\r\n",
            None,
            Some("/"),
        ),
        ("GET / HTTP/1.1\r\n\r\n", None, Some("/")),
        (
            "GET / HTTP/1.1\r\nbad name: x\r\nHost: a.example\r\n\r\n",
            Some("a.example"),
            Some("/"),
        ),
        (
            "GET   /a HTTP/1.1\r\nX: \0\r\nHost: a.example\r\n\r\n",
            Some("a.example"),
            Some("/a"),
        ),
        (
            "GET /two words HTTP/1.1\r\nHost: a.example\r\n\r\n",
            Some("a.example"),
            Some("/two words"),
        ),
    ];
    for (request, host, path) in cases {
        let (_, facts) = run(&tcp().client(request.as_bytes()));
        assert_eq!(facts.server_name.as_deref(), host, "{request}");
        assert_eq!(
            facts.http.as_ref().unwrap().path.as_deref(),
            path,
            "{request}"
        );
    }
}

/// Who is asked for a whole URL is a proxy.
#[test]
fn a_proxy_is_told_whom_it_is_to_ask() {
    for (target, expected) in [
        ("http://a.example/x", Some(None)),
        ("http://a.example:8080/x", Some(Some(8080))),
        ("/x", None),
    ] {
        let request = format!("GET {target} HTTP/1.1\r\nHost: a.example\r\n\r\n");
        let (_, facts) = run(&tcp().client(request.as_bytes()));
        let port = facts.destination.map(|destination| destination.port);
        assert_eq!(port, expected, "{target}");
    }
}

#[test]
fn domains_of_cookies() {
    let many = "Set-Cookie: a=1; Domain=a.example\r\n".repeat(9)
        + &"bcdefg"
            .chars()
            .map(|it| format!("Set-Cookie: a=1; Domain={it}.example\r\n"))
            .collect::<String>();
    let rows: [(&str, &[&str]); 12] = [
        (
            "Set-Cookie: a=1; Path=/; Domain=.A.example; Secure\r\n",
            &["a.example"],
        ),
        ("set-cookie: a=1;domain=a.example\r\n", &["a.example"]),
        ("Set-Cookie: a=1; DOMAIN = a.example\r\n", &["a.example"]),
        ("Set-Cookie: a=1; Path=/\r\n", &[]),
        ("Set-Cookie: domain=a.example\r\n", &[]),
        ("Set-Cookie: a=1; Domain=\r\n", &[]),
        ("Set-Cookie: a=1; Domain=com\r\n", &[]),
        ("Set-Cookie: a=1; Domain=192.0.2.1\r\n", &[]),
        ("Set-Cookie: a=1; Domain=a b.example\r\n", &[]),
        ("Set-Cookie: a=1; Domai\r\n", &[]),
        (
            "Set-Cookie: a=1; Domain=a.example\r\nSet-Cookie: b=2; Domain=b.example\r\n",
            &["a.example", "b.example"],
        ),
        (&many, &["a.example", "b.example", "c.example", "d.example"]),
    ];
    for (fields, expected) in rows {
        let answer = format!("HTTP/1.1 200 OK\r\n{fields}\r\n");
        let (_, facts) = run(&tcp().server(answer.as_bytes()));
        let domains = facts.http.unwrap().cookie_domains;
        let domains: Vec<_> = domains.iter().map(|it| &**it).collect();
        assert_eq!(domains, expected, "{fields}");
    }
}

#[test]
fn every_prefix_of_a_request() {
    for len in 1..GET.len() {
        let (outcome, facts) = run(&tcp().client(&GET[..len]));
        let expected = if len < 5 {
            Outcome::NeedMore
        } else {
            Outcome::Partial
        };
        assert_eq!(outcome, expected, "{len}");
        assert_eq!(
            facts.server_name, None,
            "{len}: told when the block is whole"
        );
        // At the limit of the opening what is there is taken, but no value that is cut.
        let script = tcp().client(&GET[..len]);
        let mut opening = script.opening();
        opening.client.ended = true;
        let mut facts = Facts::default();
        dissect(&opening, &mut facts);
        let host_line = GET.windows(5).position(|it| it == b":8080").unwrap() + 5;
        let host = facts.server_name.as_deref();
        assert!(
            host == (len > host_line + 1).then_some("www.example.com"),
            "{len}: {host:?}"
        );
    }
    let (_, facts) = run(&tcp().client(&GET[..60]).server(OK));
    assert_eq!(
        facts.server_name.as_deref(),
        Some("www.example.com"),
        "answered: nothing is to come"
    );
}

#[test]
fn bounded() {
    let mut request = b"GET /".to_vec();
    request.extend([b'p'; 2000]);
    request.extend(b" HTTP/1.1\r\nHost: a.example\r\nUser-Agent: ");
    request.extend([b'u'; 2000]);
    for n in 0..90 {
        request.extend(format!("\r\nX-{n}: {}", "v".repeat(300)).bytes());
    }
    let (outcome, facts) = run(&tcp().client(&request).server(OK));
    assert_eq!(outcome, Outcome::Done);
    assert_eq!(facts.server_name.as_deref(), Some("a.example"));
    let http = facts.http.unwrap();
    assert_eq!(http.path.map(|it| it.len()), Some(512));
    assert_eq!(http.user_agent.map(|it| it.len()), Some(512));
    assert_eq!(http.headers.len(), 32);
    assert!(http.headers.iter().all(|(_, value)| value.len() == 256));
}

#[test]
fn responses() {
    let continued = [b"HTTP/1.1 100 Continue\r\n\r\n", OK].concat();
    let (outcome, facts) = run(&tcp().client(GET).server(&continued));
    assert_eq!(
        (outcome, facts.http.as_ref().unwrap().status),
        (Outcome::Done, Some(200))
    );
    let (outcome, facts) = run(&tcp().client(GET).server(&continued[..25]));
    assert_eq!(
        (outcome, facts.http.as_ref().unwrap().status),
        (Outcome::Partial, None)
    );

    let upgrade = |value: &str| {
        format!("GET /mmtls/1a HTTP/1.1\r\nHost: a.example\r\nConnection: Upgrade\r\nUpgrade: {value}\r\n\r\n").into_bytes()
    };
    let switch = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n";
    let frames =
        |client, server| Outcome::Wraps(Inside::plain(client, server).framed(Framing::WebSocket));
    let asked = Some(upgrade("websocket").len());
    for (request, response, proto, wanted) in [
        (
            upgrade("WebSocket"),
            &switch[..],
            Proto::WEBSOCKET,
            frames(asked, Some(switch.len())),
        ),
        (upgrade("WebSocket"), OK, Proto::HTTP, Outcome::Done),
        (upgrade("mmtls"), OK, Proto::HTTP, Outcome::Done),
    ] {
        let (outcome, facts) = run(&tcp().client(&request).server(response));
        assert_eq!((outcome, facts.proto), (wanted, Some(proto)));
    }
    let (outcome, facts) = run(&tcp().client(&upgrade("websocket")));
    assert_eq!(
        (outcome, facts.proto),
        (frames(asked, None), Some(Proto::WEBSOCKET)),
        "not refused yet"
    );
    let (_, facts) = run(&tcp().client(&upgrade("mmtls")));
    assert_eq!(
        facts.http.as_ref().unwrap().upgrade.as_deref(),
        Some("mmtls")
    );
    assert_eq!(facts.proto, Some(Proto::HTTP));
    let (_, facts) = run(&tcp().server(switch));
    assert_eq!(
        facts.proto,
        Some(Proto::WEBSOCKET),
        "the answer alone tells"
    );
}

#[test]
fn subprotocols_are_agreed_on() {
    let field = |value: &str| match value {
        "" => String::new(),
        value => format!("Sec-WebSocket-Protocol: {value}\r\n"),
    };
    for (offered, taken, announced) in [
        ("mqtt", Some("mqtt"), Some(Proto::MQTT)),
        (
            "v11.stomp, v12.stomp",
            Some("v12.stomp"),
            Some(Proto::STOMP),
        ),
        ("mqtt", Some(""), None),
        ("mqtt", None, Some(Proto::MQTT)),
        ("mqtt, xmpp", None, None),
    ] {
        let request = format!(
            "GET / HTTP/1.1\r\nUpgrade: websocket\r\n{}\r\n",
            field(offered)
        );
        let mut script = tcp().client(request.as_bytes());
        if let Some(taken) = taken {
            let answer = format!(
                "HTTP/1.1 101 x\r\nUpgrade: websocket\r\n{}\r\n",
                field(taken)
            );
            script = script.server(answer.as_bytes());
        }
        assert_eq!(
            run(&script).1.http.unwrap().announced,
            announced,
            "{offered} {taken:?}"
        );
    }
}

#[test]
fn tunnels() {
    use Outcome::{Done, Wraps};
    let connect = |host: &str| {
        format!("CONNECT {host}:443 HTTP/1.1\r\nHost: {host}:443\r\n\r\n").into_bytes()
    };
    let ok: &[u8] = b"HTTP/1.1 200 Connection established\r\n\r\n";
    let deny: &[u8] = b"HTTP/1.1 407 who?\r\nContent-Length: 2\r\n\r\nno";
    let named = || tcp().client(&connect("Tunnel.example"));
    let len = connect("Tunnel.example").len();
    let behind = |client, server| Wraps(Inside::plain(Some(client), server));
    let later = Wraps(Inside::LATER);
    for (what, script, outcome, name) in [
        ("asked", named(), behind(len, None), Some("tunnel.example")),
        (
            "accepted",
            named().server(ok),
            behind(len, Some(ok.len())),
            Some("tunnel.example"),
        ),
        (
            "answered in part",
            named().server(&ok[..20]),
            later,
            Some("tunnel.example"),
        ),
        (
            "client only",
            named().client(b"\x16\x03\x01"),
            behind(len, None),
            Some("tunnel.example"),
        ),
        (
            "address",
            tcp().client(&connect("192.0.2.1")),
            behind(connect("192.0.2.1").len(), None),
            None,
        ),
        (
            "refused",
            named().server(b"HTTP/1.1 403 no\r\n\r\n"),
            Done,
            Some("tunnel.example"),
        ),
        (
            "no answer of HTTP",
            named().server(b"SSH-2.0-x\r\n"),
            Done,
            Some("tunnel.example"),
        ),
        (
            "a password is asked for",
            named().server(deny),
            later,
            Some("tunnel.example"),
        ),
        (
            "and given",
            named()
                .server(deny)
                .client(&connect("Other.example"))
                .server(ok),
            behind(
                len + connect("Other.example").len(),
                Some(deny.len() + ok.len()),
            ),
            Some("other.example"),
        ),
        (
            "and not given",
            named().server(deny).client(GET),
            Done,
            Some("tunnel.example"),
        ),
    ] {
        let (read, facts) = run(&script);
        assert_eq!(read, outcome, "{what}");
        assert_eq!(facts.server_name.as_deref(), name, "{what}");
        assert_eq!(
            facts.destination.as_ref().unwrap().port,
            Some(443),
            "{what}"
        );
        assert_eq!(facts.proto, Some(Proto::HTTP), "{what}");
        assert!(!facts.swapped);
    }
}

#[test]
fn the_middle_of_a_stream() {
    let script = tcp().client(b"rest of a body").client(GET);
    let mut opening = script.opening();
    let mut facts = Facts::default();
    assert_eq!(dissect(&opening, &mut facts), Outcome::NotMine);
    opening.client.mid_stream = true;
    assert_eq!(dissect(&opening, &mut facts), Outcome::UpToDate);
    assert_eq!(facts.server_name.as_deref(), Some("www.example.com"));

    let script = (0..9).fold(tcp(), |script, _| script.server(b"binary\x01"));
    let mut opening = script.opening();
    opening.server.mid_stream = true;
    assert_eq!(
        dissect(&opening, &mut Facts::default()),
        Outcome::NotMine,
        "searched enough"
    );
}

#[test]
fn an_answer_seen_before_the_request() {
    let script = tcp().server(OK);
    let mut opening = script.opening();
    opening.server.mid_stream = true;
    let mut facts = Facts::default();
    assert_eq!(dissect(&opening, &mut facts), Outcome::Partial);
    let script = script.client(GET);
    let mut opening = script.opening();
    (opening.server.mid_stream, opening.client.mid_stream) = (true, true);
    assert_eq!(dissect(&opening, &mut facts), Outcome::Done);
    assert_eq!(facts.server_name.as_deref(), Some("www.example.com"));
}

#[test]
fn several_requests_the_first_names_the_flow() {
    let second = b"GET /2 HTTP/1.1\r\nHost: second.example\r\n\r\n";
    let (_, facts) = run(&tcp().client(&[GET, second].concat()).server(OK));
    assert_eq!(facts.server_name.as_deref(), Some("www.example.com"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_bytes_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        noise in prop::collection::vec(any::<u8>(), 0..200),
        mid_stream: bool,
        ended: bool,
    ) {
        let mut request = [GET, b"CONNECT a.example:1 HTTP/1.1\r\n\r\n"].concat();
        let mut response = [b"HTTP/1.1 100 Continue\r\n\r\n", OK].concat();
        for (at, value) in changes {
            let at_request = at.index(request.len());
            request[at_request] = value;
            let at_response = at.index(response.len());
            response[at_response] = value;
        }
        for client in [&request[..], &request[GET.len()..], &response, &noise] {
            let script = tcp().client(client).client(&noise).server(&response).server(&noise);
            let mut opening = script.opening();
            opening.client.mid_stream = mid_stream;
            opening.server.mid_stream = mid_stream;
            opening.client.ended = ended;
            opening.server.ended = ended;
            let mut facts = Facts::default();
            if matches!(dissect(&opening, &mut facts), Outcome::NotMine | Outcome::NeedMore) {
                assert_eq!(facts, Facts::default());
            }
        }
    }
}
