//! Bytes that mean nothing have no name: every rule and every dissector, through the real
//! classifier, over the messages of `noise`, several 100,000 conversations.
//!
//! `make false-names` looks at all lengths and ports.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use super::noise::{Noise, noises};
use super::trial::Trial;
use crate::flow::{Side, Transport};
use crate::signature::{Conversation, SignatureSet};
use crate::verdict::Evidence;

/// Who sends, message by message.
const SHAPES: &[&[Side]] = {
    use Side::{Client as C, Server as S};
    &[
        &[C],
        &[C, S],
        &[C, C, S, S, C, S, C, S, C, S],
        &[C, C, C, C, C, C, C, C],
    ]
};

/// Ports that rules and dissectors look at.
fn ports(transport: &str) -> Vec<u16> {
    let mut ports = vec![
        21, 22, 23, 25, 53, 67, 68, 69, 80, 88, 110, 123, 137, 138, 139, 143, 161, 162, 389, 443,
        445, 464, 500, 514, 546, 547, 554, 587, 636, 853, 993, 995, 1080, 1194, 1701, 1812, 1813,
        1883, 1900, 1935, 3306, 3389, 3478, 4500, 5060, 5061, 5222, 5223, 5349, 5353, 5355, 6379,
        6881, 8000, 8080, 8443, 9987, 11211, 19302, 27015, 27017, 51413, 51820,
    ];
    for file in crate::signature::builtin_files() {
        let table: toml::Table = file.text.parse().unwrap();
        for kind in ["payload", "flow"] {
            let rules = table.get(kind).and_then(toml::Value::as_array);
            for rule in rules.into_iter().flatten() {
                let is_mine = rule
                    .get("transport")
                    .is_none_or(|given| given.to_string().contains(transport));
                let wants = rule
                    .get("port_required")
                    .is_some_and(|wants| wants.as_bool() == Some(true));
                let given = rule.get("port").and_then(toml::Value::as_array);
                for port in given.into_iter().flatten().filter(|_| is_mine && wants) {
                    match port {
                        toml::Value::Integer(port) => ports.push(*port as u16),
                        other => {
                            let text = other.as_str().unwrap_or_default();
                            ports.extend(
                                text.split('-')
                                    .next()
                                    .and_then(|port| port.parse::<u16>().ok()),
                            );
                        }
                    }
                }
            }
        }
    }
    ports.sort_unstable();
    ports.dedup();
    ports
}

/// Runs one conversation; what it is called, unless by port or address alone, or as it should be.
fn name(
    trial: &mut Trial,
    set: &SignatureSet,
    transport: Transport,
    port: u16,
    noise: &Noise,
    len: usize,
    shape: &[Side],
) -> Option<String> {
    let messages = (0..)
        .zip(shape)
        .map(|(number, &side)| (side, noise.message(number, len)));
    let named = trial
        .run(&Conversation {
            transport,
            client: SocketAddr::from(([10, 0, 0, 1], 50_000)),
            server: SocketAddr::from(([203, 0, 113, 9], port)),
            messages: messages.collect(),
            is_joined: false,
        })
        .named;
    if named.app.is_none() && named.proto.is_none() || named.evidence == Some(Evidence::Port) {
        return None;
    }
    let app = named.app.map_or("-", |app| set.catalog().app_name(app));
    let proto = named
        .proto
        .map_or("-", |proto| set.catalog().protocol_name(proto));
    let rule = match named.decider {
        Some(crate::classify::Decider::Rule(rule)) => set.rule_name(rule).to_owned(),
        Some(crate::classify::Decider::Dissector(place)) => format!(
            "dissector {}",
            crate::dissect::DISSECTORS[usize::from(place)].name
        ),
        _ => String::new(),
    };
    let name = format!("{app}/{proto} by {rule}");
    (!SOUND.contains(&name.as_str())).then_some(name)
}

#[test]
fn noise_has_no_name() {
    let all = std::env::var_os("OTTOMETER_NOISE").is_some();
    let set = Arc::new(SignatureSet::builtin());
    let noises = noises(all);
    let lens: Vec<usize> = if all {
        (1..=300).chain((301..=1500).step_by(7)).collect()
    } else {
        vec![
            1, 2, 4, 8, 12, 16, 20, 23, 24, 28, 32, 40, 48, 56, 64, 76, 100, 123, 148, 200, 256,
            512, 1000, 1200, 1472, 1500,
        ]
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let found = std::thread::scope(|scope| {
        let parts: Vec<_> = (0..threads)
            .map(|part| {
                let (set, noises, lens) = (Arc::clone(&set), &noises, &lens);
                scope.spawn(move || look(&set, noises, lens, part, threads, all))
            })
            .collect();
        let mut found = BTreeMap::<String, (usize, String)>::new();
        for part in parts {
            for (name, (count, example)) in part.join().unwrap() {
                found.entry(name).or_insert((0, example)).0 += count;
            }
        }
        found
    });
    let lines: Vec<_> = found
        .iter()
        .map(|(name, (count, example))| format!("{name}: {count}, as {example}"))
        .collect();
    assert!(lines.is_empty(), "\n{}", lines.join("\n"));
}

/// Openings of protocols that dissectors read: what repeats these looks like the protocol longest.
const OPENINGS: &[&[u8]] = &[
    b"\x16\x03\x01",
    b"\x16\x03\x03",
    b"\x17\x03\x03",
    b"\x16\xfe\xfd",
    b"\x05\x01",
    b"\x05\x02",
    b"\x05\x01\0",
    b"\x04\x01",
    b"\r\n",
    b"\n",
    b"\x03\0",
    b"\x03\0\0",
    b"\x30",
    b"\x60",
    b"\x6a",
    b"\x10",
    b"\x20\x02",
    b"\xc0\0",
    b"\x12\x01",
    b"\xff\xfd",
    b"\0\0",
    b"\0\x01",
    b"\0\x02",
    b"\x01\x01",
    b"\x80\0",
    b"\x81\x01",
    b"\x82\x01",
    b"\x80\x08",
    b"\x13",
    b"\x52",
    b"+OK",
    b"{}",
    b"<?",
    b"<a>",
];

/// Of a rule's opening: longer ones say by themselves what they are.
const LONGEST_PERIOD: usize = 3;

/// What is a sound message of its protocol, on that protocol's port, though it repeats itself: there
/// is nothing more to ask for.
const SOUND: &[&str] = &[
    // A request for the address is two octets of zero (RFC 6886 section 3.2).
    "-/nat-pmp by nat-pmp/payload:request",
    // A request of MNDP is four.
    "-/mikrotik by mikrotik/payload:request",
    // 40 01 40 01: a request without token and options (RFC 7252 section 3).
    "-/coap by coap/payload:request",
    // 00 01 00 01 00 01 00: a query of everybody without names of authentication.
    "-/xdmcp by xdmcp/payload:message",
    // A result, a time and an address may be anything, and errors of PCP repeat what was asked.
    "-/nat-pmp by nat-pmp/payload:response",
    "-/pcp by pcp/payload:response",
    // Keeps a port open: four octets.
    "-/tzsp by tzsp/payload:idle",
    // One frame whose length in bits agrees with the datagram's.
    "-/raknet by raknet/payload:datagram",
    // Four octets of a header that are fixed, a session, and what a tunnel carries.
    "-/l2tp by l2tp/payload:data-3",
    // A header, padding, the end of the tags, then a frame of anything.
    "-/tzsp by tzsp/payload:frame",
    // What was sent comes back (RFC 862).
    "-/echo by echo/payload:reflected",
    // A line, and text in answer (RFC 1288 section 2.3).
    "-/finger by finger/payload:query",
    // What its probes are filled with: the octets from 64 on.
    "-/traceroute by traceroute/payload:probe",
    // Members say three letters, and nothing more before the other has (Hazelcast's public code).
    "-/hazelcast by hazelcast/payload:member",
    // 03 00 00: who asks for servers says a length and a kind.
    "-/openttd by openttd/payload:server-info",
];

/// The bytes that payload rules fix at the start of a message, with the transport and a port of the
/// rule.
fn openings_of_rules() -> Vec<(Transport, u16, Vec<u8>)> {
    let mut openings = Vec::new();
    for file in crate::signature::builtin_files() {
        let table: toml::Table = file.text.parse().unwrap();
        let rules = table.get("payload").and_then(toml::Value::as_array);
        for rule in rules.into_iter().flatten() {
            let part = |part: Option<&toml::Value>| {
                let at = part.and_then(|part| part.get("at"))?.as_array()?;
                let zero = Some(&toml::Value::Integer(0));
                let first = at.iter().find(|part| part.get("offset") == zero)?;
                if let Some(text) = first.get("text").and_then(toml::Value::as_str) {
                    return Some(text.as_bytes().to_vec());
                }
                let bytes = first.get("hex")?.as_str()?.split_whitespace().map(|byte| {
                    // The first of alternatives, and a zero for what is open.
                    let byte = byte.split('|').next().unwrap_or_default();
                    let (byte, times) = byte.split_once('*').unwrap_or((byte, "1"));
                    let byte = u8::from_str_radix(&byte.replace('?', "0"), 16).unwrap_or(0);
                    vec![byte; times.parse().unwrap_or(1)]
                });
                Some(bytes.flatten().collect::<Vec<u8>>())
            };
            let both = [part(Some(rule)), part(rule.get("reply"))];
            let port = rule.get("port").and_then(|ports| match ports.get(0)? {
                toml::Value::Integer(port) => u16::try_from(*port).ok(),
                other => other.as_str()?.split('-').next()?.parse().ok(),
            });
            let transport = rule.get("transport").map(ToString::to_string);
            for (over, slug) in [(Transport::Udp, "udp"), (Transport::Tcp, "tcp")] {
                if transport.as_ref().is_none_or(|given| given.contains(slug)) {
                    for opening in both.iter().flatten() {
                        for len in 1..=opening.len().min(LONGEST_PERIOD) {
                            openings.push((over, port.unwrap_or(40_000), opening[..len].to_vec()));
                        }
                    }
                }
            }
        }
    }
    openings.sort_unstable_by_key(|(over, port, opening)| {
        (*over == Transport::Tcp, *port, opening.clone())
    });
    openings.dedup();
    openings
}

/// What repeats the opening of a protocol in short messages, on its own port and both ways.
#[test]
fn openings_repeated_have_no_name() {
    use Side::{Client as C, Server as S};
    let shapes: &[&[Side]] = &[&[C, S], &[S, C], &[C, C, S, S, C, S, C, S]];
    let set = Arc::new(SignatureSet::builtin());
    let mut trial = Trial::new(&set);
    let mut openings = openings_of_rules();
    for (over, slug) in [(Transport::Udp, "udp"), (Transport::Tcp, "tcp")] {
        let ports = ports(slug);
        for opening in OPENINGS {
            openings.extend(ports.iter().map(|port| (over, *port, opening.to_vec())));
        }
    }
    let mut found = BTreeMap::<String, (usize, String)>::new();
    for (over, port, opening) in openings {
        let noise = Noise::Repeating(opening);
        for len in 1..=32 {
            for shape in shapes {
                let name = name(&mut trial, &set, over, port, &noise, len, shape);
                if let Some(name) = name {
                    let messages = shape.len();
                    let example =
                        format!("{over:?} {port} {noise:?} {len} bytes, {messages} messages");
                    found.entry(name).or_insert((0, example)).0 += 1;
                }
            }
        }
    }
    let lines: Vec<_> = found
        .iter()
        .map(|(name, (count, example))| format!("{name}: {count}, as {example}"))
        .collect();
    assert!(lines.is_empty(), "\n{}", lines.join("\n"));
}

fn look(
    set: &Arc<SignatureSet>,
    noises: &[Noise],
    lens: &[usize],
    part: usize,
    parts: usize,
    all: bool,
) -> BTreeMap<String, (usize, String)> {
    let mut trial = Trial::new(set);
    let mut found = BTreeMap::<String, (usize, String)>::new();
    for (transport, slug) in [(Transport::Udp, "udp"), (Transport::Tcp, "tcp")] {
        let ports = ports(slug);
        for (place, noise) in noises
            .iter()
            .enumerate()
            .filter(|(place, _)| place % parts == part)
        {
            for (turn, &len) in lens.iter().enumerate() {
                for (number, shape) in SHAPES.iter().enumerate() {
                    // A port of its own for each conversation, beside one that says nothing.
                    let own = ports[(place * 31 + turn * 7 + number * 3) % ports.len()];
                    let chosen = if all && len % 16 == 0 && number == 2 {
                        ports.clone()
                    } else {
                        vec![own]
                    };
                    for port in chosen.into_iter().chain([40_000]) {
                        if let Some(name) =
                            name(&mut trial, set, transport, port, noise, len, shape)
                        {
                            let example = format!(
                                "{slug} {port} {noise:?} {len} bytes, {} messages",
                                shape.len()
                            );
                            found.entry(name).or_insert((0, example)).0 += 1;
                        }
                    }
                }
            }
        }
    }
    found
}
