//! Builds the captures of `pcaps/` from documented wire formats: `make captures`.
//!
//! Beside each capture goes an `.intent`: what its builder meant every flow to be. The builders know
//! nothing of the classifier, and the same captures come out whenever this runs.
#![allow(
    clippy::print_stdout,
    clippy::panic,
    clippy::unwrap_used,
    missing_docs,
    unreachable_pub
)]

use std::fs::{self, File};
use std::io::BufWriter;
use std::path::PathBuf;

use net::Trace;

// Frames and conversations.
mod net;

// TLS, QUIC and DTLS as clients open them.
mod secure;

// WeChat and QQ.
mod tencent;

// The messaging systems of China's operators.
mod operators;

// The other messaging systems.
mod messaging;

// Voice and video: SIP, STUN, RTP.
mod calls;

// DNS and what it teaches.
mod dns;

// What has no name.
mod names;

// HTTP, proxies, foreign ports.
mod web;

// Other plain protocols.
mod plain;

// Peer to peer.
mod peers;

// Beginnings that are missing or spoilt, and FTP's data.
mod middle;
// Protocols inside others.
mod wrapped;

// Links, tunnels, fragments, disorder.
mod links;

// Tags, link types.
mod tags;
// Every kind of tunnel.
mod tunnels;
// Where connections begin and end.
mod connections;
// What is wrong with a mirror.
mod mirror;

/// File name, what it shows, builder.
type Capture = (&'static str, &'static str, fn(&mut Trace));

const FAMILIES: &[&[Capture]] = &[
    tencent::CAPTURES,
    operators::CAPTURES,
    messaging::CAPTURES,
    calls::CAPTURES,
    secure::CAPTURES,
    dns::CAPTURES,
    names::CAPTURES,
    web::CAPTURES,
    plain::CAPTURES,
    peers::CAPTURES,
    middle::CAPTURES,
    wrapped::CAPTURES,
    links::CAPTURES,
    tags::CAPTURES,
    tunnels::CAPTURES,
    connections::CAPTURES,
    mirror::CAPTURES,
];

fn main() -> anyhow::Result<()> {
    let folder = PathBuf::from(std::env::args().nth(1).unwrap_or_else(|| "pcaps".into()));
    fs::create_dir_all(&folder)?;
    for &(name, what, build) in FAMILIES.iter().copied().flatten() {
        let mut trace = Trace::new();
        build(&mut trace);
        let path = folder.join(name).with_extension("pcap");
        trace.write(BufWriter::new(File::create(&path)?))?;
        fs::write(path.with_extension("intent"), trace.intents())?;
        println!("| `{name}.pcap` | built | {what} |");
    }
    Ok(())
}
