//! Any text as signature files (a form feed parts two): compiling and checking never fail, what is
//! found wrong lies in the files, and what compiles can be asked.
#![no_main]

use std::path::Path;
use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use ottometer::dissect::{DISSECTORS, Facts, Outcome, Over};
use ottometer::flow::Transport;
use ottometer::flow::opening::Script;
use ottometer::signature::{
    Conversation, Fate, Observed, Runner, SignatureSet, SourceFile, check, list, test,
};
use ottometer::verdict::RuleId;

fuzz_target!(|input: &[u8]| {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    let files: Vec<SourceFile> = text
        .split('\x0c')
        .zip(["messaging/one.toml", "protocol/two.toml"])
        .map(|(text, path)| SourceFile::new(path, text.to_owned()))
        .collect();
    let (set, found) = SignatureSet::compile_leniently(&files);
    for finding in found.iter().chain(&check(&files)) {
        let _ = finding.to_string();
    }
    let _ = test(&files, Path::new("nowhere"), &mut Nothing);
    let _ = list(&files);
    ask(&set);
});

/// Runs nothing: what messages a test has is asked all the same.
struct Nothing;

impl Runner for Nothing {
    fn capture(&mut self, _: &Arc<SignatureSet>, _: &Path) -> Result<Vec<Observed>, String> {
        Err("no captures".to_owned())
    }

    fn converse(&mut self, _: &Arc<SignatureSet>, _: &Conversation, _: &[RuleId]) -> Fate {
        Fate::Missed
    }
}

/// Asks all matchers about fixed openings.
fn ask(set: &SignatureSet) {
    let http =
        b"GET /index.html?q=1 HTTP/1.1\r\nHost: www.example.com\r\nUser-Agent: Test/1.0\r\n\r\n";
    let query = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03www\x07example\x03com\x00\x00\x01\x00\x01";
    let binding = b"\x00\x01\x00\x08\x21\x12\xa4\x42abcdefghijkl\x80\x22\x00\x04test";
    let scripts = [
        Script::tcp(80)
            .client(http)
            .server(b"HTTP/1.1 200 OK\r\nServer: test\r\n\r\nbody"),
        Script::tcp(443)
            .client(b"\x16\xf1\x03\x00\x05\x01\x03\xf1\x00\x00")
            .server(b"\x16\xf1\x03"),
        Script::tcp(9999)
            .server(&[0; 64])
            .client(&[0xff; 300])
            .client(b"a")
            .server(b"bc"),
        Script::udp(53).client(query).server(query),
        Script::udp(3478).client(binding).client(binding),
        Script::udp(9999)
            .client(&[0; 1200])
            .server(b"\0")
            .client(&[7; 64])
            .server(&[7; 64]),
        Script::new(Transport::Other(132), 0, 0).client(&[1; 40]),
    ];
    for script in &scripts {
        let opening = script.opening();
        let mut facts = Facts::default();
        for dissector in DISSECTORS {
            let shown = match opening.transport {
                Transport::Tcp => dissector.over != Over::Udp,
                Transport::Udp => dissector.over != Over::Tcp,
                Transport::Other(_) => false,
            };
            if shown
                && matches!(
                    (dissector.dissect)(&opening, &mut facts),
                    Outcome::Partial | Outcome::UpToDate | Outcome::Done
                )
            {
                break;
            }
        }
        let mut tags = Vec::new();
        set.by_payload(&opening, &mut tags);
        assert!(tags.len() <= 64);
        let mut tags = Vec::new();
        set.by_facts(&opening, &facts, &mut tags);
        assert!(tags.len() <= 64);
        let mut tags = Vec::new();
        set.by_flow(&opening, &mut tags);
        assert!(tags.len() <= 64);
        for tag in &tags {
            let _ = set.rule_name(tag.rule);
        }
        let _ = set.by_address(opening.server_ip);
        let _ = set.by_port(opening.transport, opening.server_port);
    }
    for name in [
        "",
        ".",
        "www.example.com",
        "example.com",
        "a.b.c.d.e.f.g.h.com",
        "xn--0zwm56d",
    ] {
        let _ = set.by_name(name);
    }
}
