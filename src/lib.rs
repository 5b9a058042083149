//! Names the applications in network traffic and counts their bytes.
//!
//! # What a packet meets
//!
//! [`capture`] brings a frame in, from a file or an interface, borrowed from the block it came in.
//! [`decode`] passes link layers and tunnels (whose headers are [`wire`]'s), puts fragments together, and
//! gives the innermost packet. [`flow`] finds its conversation, and keeps the first bytes of it in order.
//! While that opening grows, [`dissect`] reads what protocol it is and what it says of itself,
//! [`signature`] holds the rules that this is held against, and [`classify`] decides which evidence wins:
//! then the flow is settled, and its further packets are only counted. [`usage`] counts, by name, by
//! subject and interval, in a ledger that closes. [`pipeline`] runs all this on threads: a reader, workers
//! that own the flows, a collector that puts what they report in the order of the capture.
//!
//! # What leaves
//!
//! Flows that have ended and intervals that have closed become records ([`record`]), an encoding turns
//! these into bytes ([`encode`]), and a sink takes them where they go ([`sink`]). What people look at,
//! rates and top lists and losses, is computed in [`view`]; [`serve`] and [`tui`] only draw it. [`score`]
//! holds records against what is known, [`learn`] looks at what has no name. [`config`] are the settings, [`privilege`] gives up rights, and
//! [`cli`] is the program.
//!
//! The modules stand in this order below, and each imports only those above it.
//!
//! # Example
//!
//! The flows of a capture, a line of JSON each, and that no byte is missing:
//!
//! ```
//! use std::sync::Arc;
//!
//! use ottometer::capture::file::Options;
//! use ottometer::capture::inputs::Inputs;
//! use ottometer::encode::ENCODERS;
//! use ottometer::pipeline::{self, Config};
//! use ottometer::signature::SignatureSet;
//! use ottometer::sink::encoded::Encoded;
//! use ottometer::sink::stream::Stream;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let set = Arc::new(SignatureSet::builtin());
//! let mut inputs = Inputs::open(&["pcaps/wechat-mmtls.pcap"], &Options::default())?;
//! let json = &ENCODERS[0];
//! let lines = Stream::new(std::io::stdout(), json.framing);
//! let mut records = Encoded::flows(json, &Default::default(), lines);
//! let config = Config {
//!     records: true,
//!     ..Config::default()
//! };
//! let summary = pipeline::run(&mut inputs, &set, &config, &mut records, &mut |_| {})?;
//! let wechat = set.catalog().app_named("wechat");
//! assert!(summary.cells.keys().any(|key| key.app == wechat));
//! assert!(summary.ledger.closes());
//! # Ok(())
//! # }
//! ```

/// Points in time and intervals, as captures give them.
pub mod time;

/// The clocks of this machine, for live runs.
pub(crate) mod clock;

/// Other hosts, as people name them.
pub mod host;

/// Applications, protocols and services, by number and name.
pub mod app;

/// What evidence says of a flow.
pub mod verdict;

/// Bytes to views of headers; nothing is kept.
pub mod wire;

/// Frames in: files, compressed or not, and live sources.
pub mod capture;

/// Frame to packet: links, tags, tunnels, fragments.
pub mod decode;

/// Packet to flow: key, table, opening, expiry.
pub mod flow;

/// Opening to protocol and facts: a file a protocol.
pub mod dissect;

/// Files of signatures to matchers.
pub mod signature;

/// Facts and matchers to a verdict.
pub mod classify;

/// Deltas to accounts per subject, name and interval; the ledger.
pub mod usage;

/// What is said: each kind of record and the table of its fields.
pub mod record;

/// How much of the names is right.
pub mod score;

/// What has no name.
pub mod learn;

/// How it is written: the encodings.
pub mod encode;

/// Where it goes: files, streams, sockets.
pub mod sink;

/// What people look at.
pub mod view;

/// Threads and channels.
pub mod pipeline;

/// Metrics and health over HTTP.
pub mod serve;

/// The terminal view.
pub mod tui;

/// Rights, and how they are given up.
pub mod privilege;

/// Settings: the file, the options, and what is wrong with them.
pub mod config;

/// The program.
pub mod cli;

// What the tests of the library say of those that are skipped, and those of the program.
#[cfg(test)]
#[path = "../tests/support/skips.rs"]
mod skips;
