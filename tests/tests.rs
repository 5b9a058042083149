//! Tests through the binary, as a user meets it. One test binary, a module a subject.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]
// Tests wait for programs, by the clock.
#![allow(clippy::disallowed_methods)]

// Every capture in `pcaps/` against its expected flows.
mod golden;

// The ledger closes, and any number of workers gives the same output.
mod threads;

// Protocols inside others.
mod wrapped;
// Mirrors that show traffic twice, by half or cut, and captures that overlap.
mod mirror;

// Arguments, exit codes, formats, damaged files.
mod cli;

// Files, folders, patterns and compressed files that are read.
mod paths;

// Names that do not exist, sizes and lengths of time, completions and manual pages.
mod words;

// What is written: nothing over a capture, in time, whole.
mod outputs;

// Only the records for which a condition holds.
mod only;

// Records to other hosts.
mod network_outputs;

// Records to servers that ask who sends them.
mod mutual_tls;

// Files of Parquet.
mod parquet;

// Every shape of the summary.
mod summaries;

// Rules that hold where they should not.
mod false_names;

// How much of the names is right, on captures as they are and made harder.
mod score;

// Names by what flows do.
mod behaviour;

// What has no name: clusters, drafts, first packets.
mod learn;

// What is shown and written of flows: frames, bytes of those without a name.
mod frames;

// The signature files that are built in.
mod signatures;

// Which module may import which.
mod layers;

// A small table in a flood.
mod flood;

// Every dissector has a fuzz target.
mod fuzz;

// What a live run gives up, and what it can still do.
mod privilege;

// Metrics, and what reads them: Prometheus, alert rules, the documentation.
mod metrics;

// The dashboard, and what answers it.
mod dashboard;

// Capture from veth pairs in network namespaces.
mod live_capture;

// The live run on real interfaces.
mod live;

// Without an interface: datagrams of a mirror, captures over TCP.
mod live_sockets;

// Its records where they cannot be written.
mod live_records;

// Runs that end by themselves.
mod live_ends;

// Volume by interface, and summaries of a run that goes on.
mod live_interfaces;

// How it starts and ends, and what it is not started with.
mod live_start;

// Its view, on terminals.
mod live_view;

// The same for long: reloads, kills, floods.
mod live_soak;

// The live run among real services: web servers, QUIC, DNS, Prometheus.
mod live_services;

// What a reload would change.
mod reload;

// What can be captured.
mod interfaces;
// Records of flows that go on.
mod interim;

mod support;
