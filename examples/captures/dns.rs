//! DNS (RFC 1035), and what its answers teach about flows that name nobody.

use crate::Capture;
use crate::net::{Trace, join};
use crate::secure::{client_hello, client_hello_tls12, server_hello, tls_data, vector};

pub const CAPTURES: &[Capture] = &[(
    "dns-learned",
    "A DNS answer names a flow without a name; an address that two applications share names none",
    learned,
)];

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
