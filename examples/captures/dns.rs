//! DNS (RFC 1035), and what its answers teach about flows that name nobody.

use crate::Capture;
use crate::net::{Trace, join};
use crate::secure::{client_hello, client_hello_tls12, server_hello, tls_data, vector};

pub const CAPTURES: &[Capture] = &[
    (
        "dns-learned",
        "A DNS answer names a flow without a name; an address that two applications share names none",
        learned,
    ),
    (
        "https-records",
        "HTTPS records (RFC 9460): hints, an alias whose addresses come along, and one that is asked for",
        https_records,
    ),
    (
        "doh",
        "DNS over HTTPS: TLS to known resolvers; neighbour: another page of an operator of one",
        over_https,
    ),
];

pub fn encoded(name: &str) -> Vec<u8> {
    let mut bytes: Vec<u8> = name
        .split('.')
        .flat_map(|label| vector(1, label.as_bytes()))
        .collect();
    bytes.push(0);
    bytes
}

pub fn header(identifier: u16, flags: u16, counts: [u16; 4]) -> Vec<u8> {
    [identifier, flags]
        .iter()
        .chain(&counts)
        .flat_map(|field| field.to_be_bytes())
        .collect()
}

/// A query of one name (RFC 1035 section 4).
pub fn query(identifier: u16, name: &str, kind: u16) -> Vec<u8> {
    join([
        &header(identifier, 0x0100, [1, 0, 0, 0])[..],
        &encoded(name),
        &kind.to_be_bytes(),
        &[0, 1],
    ])
}

/// A response with addresses, A or AAAA as the first one is.
pub fn answer(identifier: u16, name: &str, addresses: &[&str], ttl: u32) -> Vec<u8> {
    let octets: Vec<Vec<u8>> = addresses
        .iter()
        .map(|text| match text.parse().unwrap() {
            std::net::IpAddr::V4(address) => address.octets().to_vec(),
            std::net::IpAddr::V6(address) => address.octets().to_vec(),
        })
        .collect();
    let kind: u16 = if octets[0].len() == 4 { 1 } else { 28 };
    let mut bytes = header(identifier, 0x8180, [1, octets.len() as u16, 0, 0]);
    bytes.extend(encoded(name));
    bytes.extend(join([&kind.to_be_bytes()[..], &[0, 1]]));
    for address in octets {
        // A pointer to the question's name
        bytes.extend([0xc0, 0x0c]);
        bytes.extend(kind.to_be_bytes());
        bytes.extend([0, 1]);
        bytes.extend(ttl.to_be_bytes());
        bytes.extend(vector(2, &address));
    }
    bytes
}

/// One question over UDP, and its answer.
fn resolve(
    trace: &mut Trace,
    client: &str,
    server: &str,
    name: &str,
    addresses: &[&str],
    ttl: u32,
) {
    let identifier = trace.number() as u16;
    let reply = answer(identifier, name, addresses, ttl);
    let kind = if addresses[0].contains(':') { 28 } else { 1 };
    trace
        .udp(client, server)
        .client(query(identifier, name, kind))
        .server(reply)
        .is("dns", "-", "-");
}

/// TLS without a name: its application is not in it.
fn nameless(trace: &mut Trace, client: &str, server: &str, meant: [&str; 2]) {
    let hello = client_hello_tls12(trace, None, &[]);
    let (reply, down) = (server_hello(trace), tls_data(trace, 400));
    trace
        .tcp(client, server)
        .open()
        .client(hello)
        .server(reply)
        .server(down)
        .close()
        .is("tls", meant[0], meant[1]);
}

fn learned(trace: &mut Trace) {
    let resolver = "192.0.2.53:53";
    resolve(
        trace,
        "10.50.0.5:40001",
        resolver,
        "chat.signal.org",
        &["192.0.2.10"],
        60,
    );
    nameless(
        trace,
        "10.50.0.5:50001",
        "192.0.2.10:443",
        ["signal", "chat"],
    );
    // Two applications lead to one address: neither may be named by it.
    resolve(
        trace,
        "10.50.0.5:40002",
        resolver,
        "www.libon.com",
        &["192.0.2.20"],
        60,
    );
    resolve(
        trace,
        "10.50.0.5:40003",
        resolver,
        "mp.weixin.qq.com",
        &["192.0.2.20"],
        60,
    );
    nameless(trace, "10.50.0.5:50002", "192.0.2.20:443", ["-", "-"]);
    // A name in the flow itself is stronger than any address.
    let hello = client_hello(trace, Some("mp.weixin.qq.com"), &["h2"]);
    let reply = server_hello(trace);
    trace
        .tcp("10.50.0.5:50003", "192.0.2.20:443")
        .open()
        .client(hello)
        .server(reply)
        .close()
        .is("tls", "wechat", "web");
    // An alias: the name that was asked for counts, not the host it leads to.
    let identifier = trace.number() as u16;
    let mut reply = header(identifier, 0x8180, [1, 2, 0, 0]);
    let alias = encoded("edge.cdn.example.net");
    reply.extend(join([&encoded("help.libon.com")[..], &[0, 1, 0, 1]]));
    reply.extend(join([
        &[0xc0, 0x0c, 0, 5, 0, 1, 0, 0, 0, 60][..],
        &vector(2, &alias),
    ]));
    reply.extend(join([
        &alias[..],
        &[0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 12],
    ]));
    trace
        .udp("10.50.0.8:40006", "192.0.2.53:53")
        .client(query(identifier, "help.libon.com", 1))
        .server(reply)
        .is("dns", "-", "-");
    nameless(trace, "10.50.0.8:50007", "192.0.2.12:443", ["libon", "-"]);
    // Somebody else asked: this client did not.
    nameless(trace, "10.50.0.6:50004", "192.0.2.10:443", ["-", "-"]);
    let resolver = "[2001:db8:1::53]:53";
    resolve(
        trace,
        "[2001:db8::50]:40004",
        resolver,
        "legy-jp.line-apps.com",
        &["2001:db8:1::10"],
        60,
    );
    nameless(
        trace,
        "[2001:db8::50]:50005",
        "[2001:db8:1::10]:443",
        ["line", "chat"],
    );
    // The answer's time has passed.
    resolve(
        trace,
        "10.50.0.7:40005",
        "192.0.2.53:53",
        "chat.signal.org",
        &["192.0.2.11"],
        5,
    );
    trace.wait(40_000);
    nameless(trace, "10.50.0.7:50006", "192.0.2.11:443", ["-", "-"]);
}

/// The answer to a question for HTTPS records: what the record holds, and addresses of other names.
fn service(identifier: u16, name: &str, data: &[u8], more: &[(&str, [u8; 4])]) -> Vec<u8> {
    let mut bytes = header(identifier, 0x8180, [1, 1, 0, more.len() as u16]);
    bytes.extend(encoded(name));
    bytes.extend([0, 65, 0, 1, 0xc0, 0x0c, 0, 65, 0, 1, 0, 0, 0, 60]);
    bytes.extend(vector(2, data));
    for (name, address) in more {
        bytes.extend(encoded(name));
        bytes.extend([0, 1, 0, 1, 0, 0, 0, 60]);
        bytes.extend(vector(2, address));
    }
    bytes
}

fn https_records(trace: &mut Trace) {
    let resolver = "192.0.2.53:53";
    let ask = |trace: &mut Trace, port: u16, name: &str, data: &[u8], more: &[_]| {
        let identifier = trace.number() as u16;
        trace
            .udp(&format!("10.50.0.6:{port}"), resolver)
            .client(query(identifier, name, 65))
            .server(service(identifier, name, data, more))
            .is("dns", "-", "-");
    };
    let signal = ["signal", "chat"];
    // Priority 1, the name itself, ipv4hint.
    let hint = [0, 1, 0, 0, 4, 0, 4, 192, 0, 2, 30];
    ask(trace, 40_001, "chat.signal.org", &hint, &[]);
    nameless(trace, "10.50.0.6:50001", "192.0.2.30:443", signal);
    // An alias, with the addresses of its target.
    let alias = |name: &str| join([&[0, 0][..], &encoded(name)]);
    let pool = alias("pool.example.net");
    let more = [("pool.example.net", [192, 0, 2, 31])];
    ask(trace, 40_002, "chat.signal.org", &pool, &more);
    nameless(trace, "10.50.0.6:50002", "192.0.2.31:443", signal);
    // An alias whose address is asked for.
    ask(
        trace,
        40_003,
        "chat.signal.org",
        &alias("edge.example.net"),
        &[],
    );
    let (client, name) = ("10.50.0.6:40004", "edge.example.net");
    resolve(trace, client, resolver, name, &["192.0.2.32"], 60);
    nameless(trace, "10.50.0.6:50003", "192.0.2.32:443", signal);
    // Another client asks for that name alone.
    let (client, name) = ("10.50.0.7:40004", "edge.example.net");
    resolve(trace, client, resolver, name, &["192.0.2.33"], 60);
    nameless(trace, "10.50.0.7:50004", "192.0.2.33:443", ["-", "-"]);
}

fn over_https(trace: &mut Trace) {
    let google = ["google-dns", "-"];
    crate::secure::tls_flow(
        trace,
        "10.50.0.8:50001",
        "192.0.2.60:443",
        "dns.google",
        google,
    );
    let mozilla = "mozilla.cloudflare-dns.com";
    let cloudflare = ["cloudflare-dns", "-"];
    crate::secure::tls_flow(
        trace,
        "10.50.0.8:50002",
        "192.0.2.61:443",
        mozilla,
        cloudflare,
    );
    let quad9 = ["quad9", "-"];
    crate::secure::tls_flow(
        trace,
        "10.50.0.8:50003",
        "192.0.2.62:443",
        "www.quad9.net",
        quad9,
    );
}
