//! Names the applications in network traffic and counts their bytes.
//!
//! The modules stand in the order a packet meets them: [`capture`] brings frames in, [`decode`]
//! finds the innermost packet, `flow` keeps its conversation, [`dissect`] reads the opening,
//! `signature` holds the rules, `classify` decides, `usage` counts, `record` says it, `score` holds it
//! against what is known, `learn` looks at what has no name, `encode` turns it into bytes, `sink` takes these where they go, `view` computes what people look at, and `pipeline`
//! runs it all on threads. Each imports only those above it.

pub mod time;

pub mod app;

pub mod verdict;

pub mod wire;

pub mod capture;

pub mod decode;

pub mod flow;

pub mod dissect;

pub mod signature;

pub mod classify;

pub mod usage;

pub mod record;

pub mod score;

pub mod learn;

pub mod encode;

pub mod sink;

pub mod view;

pub mod pipeline;

pub mod serve;

pub mod tui;

pub mod privilege;

pub mod config;

pub mod cli;

// What the tests of the library say of those that are skipped, and those of the program.
#[cfg(test)]
#[path = "../tests/support/skips.rs"]
mod skips;
